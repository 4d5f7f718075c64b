# SPDX-License-Identifier: GPL-3.0-or-later
"""`/webrtc`: calls from browsers, as WHIP has it (RFC 9725), with a key or with a page token.

POST /webrtc/offer > 201, our answer, Location > PATCH Location: candidates, ICE restart > DELETE Location: the end
"""

import contextlib
import ipaddress
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Protocol, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from gateway.api.events import feed_events
from gateway.api.numbers import JSON_NUMBER
from gateway.api.onlookers import Onlookers
from gateway.api.orders import NO_CONTROLS, Body, Metadata
from gateway.api.problems import problem_of, problem_responses
from gateway.api.reach import Reach, reach_of
from gateway.errors import GatewayError, NoSuchCall, ScopeMissing, TokenRefused, TooManyCalls
from gateway.events import EventLog
from gateway.events.event import EventKind
from gateway.events.log import Wanted
from gateway.events.reading import OwnEvents, Told
from gateway.rates import Rate, TokenBucket
from gateway.sites import site_of
from gateway.telemetry import Metrics
from gateway.webrtc.config import WebRtcConfig
from gateway.webrtc.fragment import CONTENT_TYPE as FRAGMENT_TYPE
from gateway.webrtc.fragment import Fragment
from gateway.webrtc.offer import MAX_BYTES, BadOffer, Offer, parse_offer
from gateway.webrtc.tokens import PageGrant, PageTokens
from gateway.webrtc.turn import TTL_S, ice_servers

_Parsed = TypeVar("_Parsed")
_SDP_TYPE = "application/sdp"
_PUBLIC_TTL_S = 600
_MOST_ADDRESSES = 10_000
_MOST_FEEDS = 200
_FEEDS_OF_CALL = 3
"""A page that has lost its feed comes again before we know that it is gone."""
_KINDS_FOR_PAGES: frozenset[EventKind] = frozenset(
    {
        "call.answered",
        "call.held",
        "call.resumed",
        "call.ended",
        "transcript.partial",
        "transcript.final",
        "recording.changed",
    }
)
_CREATED = {
    "description": "Our answer; `Location` names the call's leg, `ETag` the generation of ICE.",
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/BrowserCall"}},
        _SDP_TYPE: {"schema": {"type": "string"}},
    },
}


class BrowserOrder(Body):
    """What the call is for: an agent, whatever a number leads to, or an operator's desk."""

    agent: Annotated[str | None, Field(max_length=64)] = None
    """Name of the agent; may be left out when there is one."""
    to: Annotated[str | None, Field(min_length=1, max_length=128, pattern=NO_CONTROLS)] = None
    """A number or name, as if it had been dialled by SIP: `[[route]]` decides."""
    desk: bool = False
    """A silent leg for an operator, which then supervises calls or is bridged with them."""
    from_: Annotated[str | None, Field(validation_alias="from", max_length=128, pattern=NO_CONTROLS)] = None
    """Who calls, for agents and records. None: `browser`."""
    metadata: Annotated[Metadata, Field(default_factory=dict)]

    @model_validator(mode="after")
    def _one_purpose(self) -> "BrowserOrder":
        if sum((self.agent is not None, self.to is not None, self.desk)) > 1:
            raise ValueError("a call is for one of agent, to and desk")
        return self


class BrowserOffer(BrowserOrder):
    """An offer as JSON."""

    sdp: Annotated[str, Field(min_length=1, max_length=MAX_BYTES)]
    """The browser's offer: one audio line with Opus."""


class BrowserCall(BaseModel):
    """The call that an offer has begun."""

    call_id: str
    sdp: str
    """Our answer, all candidates in it."""


class IceServer(BaseModel):
    """As RTCPeerConnection wants it."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class IceServers(BaseModel):
    """STUN and TURN servers for browsers."""

    ice_servers: list[IceServer]
    ttl_s: int
    """How long the credentials are good."""


class AskForPageToken(Body):
    """What a page without a key wants to call."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    agent: Annotated[str | None, Field(max_length=64)] = None
    """One of `webrtc.public_agents`; may be left out when there is one."""


class PageToken(BaseModel):
    """A token for one page. This is the only time that it is shown."""

    token: str
    agent: str
    expires_in_s: Annotated[int, JSON_NUMBER]


@dataclass(frozen=True, slots=True)
class OpenedCall:
    """A browser's call has begun."""

    call_id: str
    answer: str
    generation: int
    """Of ICE."""


class BrowserControl(Protocol):
    """What is done with browsers' calls. Who names one that is over gets `NoSuchCall`."""

    async def open(self, order: BrowserOrder, offer: Offer, source: str) -> OpenedCall:
        """`source`: IP address of whoever asks. Raises `NoSuchAgent`, `BadAddress`, `DestinationBarred`,
        `TooManyCalls`."""
        ...

    async def add(self, call_id: str, fragment: Fragment) -> str | None:
        """Candidates, or a restart: our side of it. Raises `WrongCallState`."""
        ...

    def generation(self, call_id: str) -> int: ...

    def leave(self, call_id: str) -> None:
        """The browser hangs up; once more is no fault."""

    def stands(self, call_id: str) -> bool: ...


def webrtc_router(
    browsers: BrowserControl, tokens: PageTokens, config: WebRtcConfig, public_agents: Sequence[str] = ()
) -> APIRouter:
    """The routes over these. `public_agents`: those that need no key."""
    router = APIRouter(prefix="/webrtc", tags=["webrtc"], responses=problem_responses(401, 422))
    public = PublicPages(config, public_agents, tokens, browsers.stands)

    @router.post(
        "/offer",
        status_code=201,
        responses={**problem_responses(413, 415, 503), 201: _CREATED},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": BrowserOffer.model_json_schema()},
                    _SDP_TYPE: {"schema": {"type": "string"}},
                },
            }
        },
    )
    async def offer(request: Request) -> Response:
        """A browser's call: an offer, as SDP or with an order as JSON; our answer in the same form."""
        is_json = _content_type(request) == "application/json"
        order, sdp = (
            _json_order(await request.body())
            if is_json
            else (BrowserOrder(metadata={}), await _text(request, _SDP_TYPE))
        )
        grant = _grant(request, tokens)
        description = _parsed(parse_offer, sdp)
        if grant is None:
            opened = await browsers.open(_within(reach_of(request), order), description, _address(request))
        else:
            order = _allowed(order, grant)
            with public.opening(grant):
                opened = await browsers.open(order, description, _address(request))
                grant.call_id = opened.call_id
        headers = {
            "Location": f"/api/v1/webrtc/calls/{opened.call_id}",
            "ETag": _etag(opened.generation),
            "Cache-Control": "no-store",
        }
        if is_json:
            content = BrowserCall(call_id=opened.call_id, sdp=opened.answer).model_dump()
            return JSONResponse(content, 201, headers)
        return Response(opened.answer, 201, headers, _SDP_TYPE)

    @router.patch(
        "/calls/{call_id}",
        responses={
            **problem_responses(404, 409, 412, 413, 415, 428),
            200: {
                "description": "ICE begins anew: our side",
                "content": {FRAGMENT_TYPE: {"schema": {"type": "string"}}},
            },
            204: {"description": "Candidates taken"},
        },
        openapi_extra={"requestBody": {"required": True, "content": {FRAGMENT_TYPE: {"schema": {"type": "string"}}}}},
    )
    async def trickle(call_id: str, request: Request) -> Response:
        """Candidates of the browser that came later (RFC 8840), or, with new credentials, an ICE restart."""
        _owned(request, tokens, call_id)
        fragment = _parsed(Fragment.parse, await _text(request, FRAGMENT_TYPE))
        wanted = request.headers.get("if-match")
        if wanted is None:
            raise HTTPException(428, "send If-Match with the ETag of the offer's response (RFC 9725 section 4.3.1)")
        if wanted not in ("*", _etag(browsers.generation(call_id))):
            raise HTTPException(412, "ICE has begun anew meanwhile: these candidates are of another generation")
        answer = await browsers.add(call_id, fragment)
        headers = {"ETag": _etag(browsers.generation(call_id))}
        return Response(None, 204, headers) if answer is None else Response(answer, 200, headers, FRAGMENT_TYPE)

    @router.delete("/calls/{call_id}", status_code=204, response_model=None, responses=problem_responses(404))
    async def leave(call_id: str, request: Request) -> None:
        """The browser hangs up. Over already is fine for who opened it."""
        _owned(request, tokens, call_id)
        browsers.leave(call_id)

    @router.get("/ice-servers")
    async def list_ice_servers(request: Request) -> IceServers:
        """What RTCPeerConnection wants as `iceServers`, with credentials of one's own."""
        _grant(request, tokens)
        servers = ice_servers(config, "browser", time.time())
        return IceServers(ice_servers=[IceServer.model_validate(one) for one in servers], ttl_s=TTL_S)

    @router.post("/token", status_code=201, responses=problem_responses(429, 503))
    async def issue_public_token(request: Request, wanted: AskForPageToken | None = None) -> PageToken:
        """A token for a page that everybody may see: for agents of `webrtc.public_agents`. Needs no key."""
        return public.issue((wanted or AskForPageToken()).agent, request, time.monotonic())

    return router


class PublicPages:
    """Tokens without a key: for whom, from where, how many."""

    def __init__(
        self, config: WebRtcConfig, agents: Sequence[str], tokens: PageTokens, stands: Callable[[str], bool]
    ) -> None:
        self._config = config
        self._agents = agents
        self._tokens = tokens
        self._stands = stands
        self._buckets: dict[str, TokenBucket] = {}
        """By site; the oldest go first."""

    def issue(self, agent: str | None, request: Request, now: float) -> PageToken:
        """Raises `HTTPException` 403 and 429, `TooManyTokens`."""
        name = agent or (self._agents[0] if len(self._agents) == 1 else "")
        if name not in self._agents:
            raise HTTPException(401, "this agent is not open to everybody (webrtc.public_agents): send an API key")
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        if origin not in self._config.origins and not (_is_ours(origin, host) and _is_no_name(host)):
            raise HTTPException(403, "the page is none of ours, nor of webrtc.origins")
        site = site_of(_address(request))
        bucket = self._buckets.pop(site, None) or TokenBucket(
            Rate(self._config.calls_per_address / 60, burst=self._config.calls_per_address), now
        )
        self._buckets[site] = bucket
        if len(self._buckets) > _MOST_ADDRESSES:
            del self._buckets[next(iter(self._buckets))]
        wait_s = bucket.take(now)
        if wait_s > 0:
            retry = {"Retry-After": str(int(wait_s) + 1)}
            raise HTTPException(429, "too many calls from here: try again in a moment", headers=retry)
        origins = () if origin is None else (origin,)
        grant = PageGrant(name, now + _PUBLIC_TTL_S, origins=origins, site=site)
        return PageToken(token=self._tokens.issue(grant, now), agent=name, expires_in_s=_PUBLIC_TTL_S)

    @contextlib.contextmanager
    def opening(self, grant: PageGrant) -> Iterator[None]:
        """One more call is opened with this, inside: it takes its place before it stands. Raises `TooManyCalls`."""
        if self._is_used(grant):
            raise TooManyCalls("the page has a call already: one at a time")
        if grant.site is not None:
            used = sum(map(self._is_used, self._tokens.of_site(grant.site)))
            if used >= self._config.calls_per_address:
                raise TooManyCalls("too many calls from this address: webrtc.calls_per_address")
        grant.is_opening = True
        try:
            yield
        finally:
            grant.is_opening = False

    def _is_used(self, grant: PageGrant) -> bool:
        return grant.is_opening or (grant.call_id is not None and self._stands(grant.call_id))


def browser_events_router(
    events: EventLog, metrics: Metrics, browsers: BrowserControl, tokens: PageTokens
) -> APIRouter:
    """The WebSocket with which a page follows its own call."""
    router = APIRouter(prefix="/webrtc")
    onlookers, own = Onlookers(_MOST_FEEDS, _FEEDS_OF_CALL), OwnEvents(events)

    @router.websocket("/calls/{call_id}/events")
    async def follow_call(socket: WebSocket, call_id: str) -> None:
        try:
            _owned(socket, tokens, call_id)
            if not browsers.stands(call_id):
                raise NoSuchCall(call_id)
        except GatewayError as error:
            await socket.send_denial_response(problem_of(error))
            return
        # From its beginning: what was said before the page asked is shown as well.
        wanted = Wanted(_KINDS_FOR_PAGES, call_id)
        await feed_events(socket, own, metrics, onlookers, wanted, events.begin, as_text=_for_page, last="call.ended")

    return router


def _for_page(told: Told) -> str:
    """Without what is the operator's business: who called, with which metadata, and how it sounded."""
    event = told.event
    if event.kind != "call.ended":
        return event.as_json()
    kept = {name: event.data.get(name) for name in ("reason", "duration_ms")}
    return replace(event, data=kept).as_json()


def _within(reach: Reach, order: BrowserOrder) -> BrowserOrder:
    """The order, so that whoever gave it reaches the call."""
    if not reach.is_limited:
        return order
    if order.desk or order.to is not None or reach.trunks is not None:
        reach.refuse_others("it may open calls to its agents")
    metadata = reach.metadata_for(order.metadata)
    return order.model_copy(update={"agent": reach.agent_for(order.agent), "metadata": metadata})


def _allowed(order: BrowserOrder, grant: PageGrant) -> BrowserOrder:
    """What a page may order. Who calls and what is known of them only the token says: agents, look-ups and records
    rely on it, and anybody may have written the page."""
    is_more = order.to is not None or order.desk or order.agent not in (None, grant.agent)
    if is_more or order.from_ is not None or order.metadata:
        raise ScopeMissing("calls:write")
    return order.model_copy(update={"agent": grant.agent, "metadata": dict(grant.metadata)})


def _grant(connection: HTTPConnection, tokens: PageTokens, call_id: str | None = None) -> PageGrant | None:
    """What the page token is good for; None: it is a key. Raises `TokenRefused`."""
    token = getattr(connection.state, "page_token", None)
    if token is None:
        return None
    grant = tokens.find(token, time.monotonic(), for_call=call_id)
    origin = connection.headers.get("origin")
    if origin is not None and origin not in grant.origins and not _is_ours(origin, connection.headers.get("host", "")):
        raise TokenRefused("the page token is for pages of another origin")
    return grant


def _owned(connection: HTTPConnection, tokens: PageTokens, call_id: str) -> None:
    """Whoever asks may name this call. Raises `TokenRefused`."""
    _grant(connection, tokens, call_id)


def _json_order(body: bytes) -> tuple[BrowserOrder, str]:
    try:
        offer = BrowserOffer.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error
    return offer, offer.sdp


async def _text(request: Request, content_type: str) -> str:
    if _content_type(request) != content_type:
        raise HTTPException(415, f"the body is {content_type}")
    try:
        return (await request.body()).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unprocessable("the body is no UTF-8") from error


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _parsed(parse: Callable[[str], _Parsed], text: str) -> _Parsed:
    try:
        return parse(text)
    except BadOffer as error:
        raise _unprocessable(str(error)) from error


def _unprocessable(problem: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body",), "msg": problem, "type": "value_error"}])


def _etag(generation: int) -> str:
    return f'"ice-{generation}"'


def _address(connection: HTTPConnection) -> str:
    return "" if connection.client is None else connection.client.host


def _is_ours(origin: str | None, host: str) -> bool:
    """The page came from this server."""
    return origin is not None and urlsplit(origin).netloc.lower() == host.lower()


def _is_no_name(host: str) -> bool:
    """Not a name that somebody else's DNS could have led here (rebinding): an address, or this machine's own name."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
