# SPDX-License-Identifier: GPL-3.0-or-later
"""`/events`: what happens on calls, as a WebSocket that goes on by itself and as pages to ask for.

A feed begins with `{"kind": "feed.started", "cursor", "complete"}`; whoever comes again with the last cursor he saw
gets what he missed, then what happens. Who reads nothing for ten seconds is cut off (gateway.api.connections).
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Request, WebSocket
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocketDisconnect

from gateway.api.fence import Owners
from gateway.api.onlookers import Onlookers
from gateway.api.problems import problem_of, problem_response, problem_responses
from gateway.api.reach import reach_of
from gateway.errors import StoreError, TooManyOnlookers
from gateway.events import KEPT_KINDS, EventKind, Wanted, kinds_matching
from gateway.events.catalogue import CATALOGUE
from gateway.events.event import Event
from gateway.events.reading import EventReading, Place, Told
from gateway.store.records import Record
from gateway.telemetry import Metrics

log = structlog.get_logger(__name__)

FEED_PROTOCOL = "parley.events"
"""Offered by pages, beside `parley.key.KEY` (gateway.api.gate)."""
_PAGE_EVENTS = 100
Admits = Callable[[Event], Awaitable[bool]]
_MOST_FEEDS = 200
_TRY_AGAIN_LATER = 1013
"""In RFC 6455's registry. Our database does not answer; the reason holds the cursor to go on from."""

_REASON_BYTES = 123
"""RFC 6455 section 5.5. Whoever is told nothing goes on from the last event that came."""

_Cursor = Annotated[int, Field(ge=0, lt=2**63, description="Of the last event seen; 0: from the oldest kept on.")]
_POSITION = r"^[0-9]{1,9}(-[0-9]{1,19}){0,300}$"
_Position = Annotated[
    str,
    Field(
        max_length=8192,
        pattern=_POSITION,
        description="In a cluster, in place of `after`: `position` of the last event seen, at whichever node.",
    ),
]
_CallId = Annotated[str, Field(max_length=128, description="Of this call only.")]
_KIND = "|".join(
    sorted(kind.replace(".", r"\.") for kind in (*CATALOGUE, *{f"{kind.partition('.')[0]}.*" for kind in CATALOGUE}))
).replace("*", r"\*")
_Kinds = Annotated[
    str,
    Field(
        max_length=1024,
        pattern=rf"^(({_KIND})(,({_KIND}))*)?$",
        description="`call.ended,transcript.*`: of these kinds only.",
    ),
]


class EventInfo(Record):
    """Something that happened on a call, or to a trunk."""

    cursor: int
    """Grows with every event, and never repeats; some numbers are left out."""
    kind: EventKind
    call_id: str
    """Empty: it is of no call."""
    at: datetime
    data: dict[str, Any]
    """See docs/events.md."""
    node: str | None = None
    """Of a cluster: where it arose."""
    position: str | None = None
    """Of a cluster: to go on from here at any node."""


class EventPage(BaseModel):
    """Events that are kept, oldest first."""

    events: list[EventInfo]
    cursor: int
    """Ask again with this as `after`."""
    position: str | None = None
    """Of a cluster: ask again with this instead, at any node."""
    complete: bool
    """False: some of what came after your cursor is not kept any more."""


class _FeedQuery(BaseModel):
    after: _Cursor | None = None
    position: _Position | None = None
    call_id: _CallId | None = None
    kinds: _Kinds = ""
    batch_ms: Annotated[int, Field(ge=0, le=5000)] = 0


def events_router(events: EventReading, metrics: Metrics, owners: Owners) -> APIRouter:
    """The routes over these; `owners` know whose they are."""
    onlookers = Onlookers(_MOST_FEEDS)
    router = APIRouter(prefix="/events", tags=["events"], responses=problem_responses(401, 422, 503))

    @router.get("", response_model_exclude_unset=True)
    async def list_events(
        request: Request,
        after: Annotated[_Cursor, Query()] = 0,
        position: Annotated[_Position | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        call_id: Annotated[_CallId | None, Query()] = None,
        kinds: Annotated[_Kinds, Query()] = "",
    ) -> EventPage:
        """What happened after a cursor. For what happens from now on, open this address as a WebSocket."""
        try:
            wanted = Wanted((_kinds(kinds) or KEPT_KINDS) & KEPT_KINDS, call_id)
            place, is_complete = await events.after(after, position, live=False)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        page = await events.read(place, limit, wanted)
        text, reach = page.place.text, reach_of(request)
        return EventPage(
            events=[_info(one) for one in page.told if await owners.admits(reach, one.event)],
            cursor=page.place.cursor,
            complete=is_complete,
            **({} if text is None else {"position": text}),
        )

    @router.websocket("")
    async def follow_events(socket: WebSocket) -> None:
        try:
            query = TypeAdapter(_FeedQuery).validate_python(dict(socket.query_params))
            wanted = Wanted(_kinds(query.kinds), query.call_id)
        except (ValidationError, ValueError):
            await socket.send_denial_response(
                problem_response(
                    422, "after is a cursor, kinds are separated by commas, batch_ms is 0 to 5000 (docs/events.md)"
                )
            )
            return
        reach = reach_of(socket)
        admits = partial(owners.admits, reach) if reach.is_limited else None
        try:
            await feed_events(
                socket,
                events,
                metrics,
                onlookers,
                wanted,
                query.after,
                query.position,
                batch_ms=query.batch_ms,
                admits=admits,
            )
        except ValueError as error:
            await socket.send_denial_response(problem_response(422, str(error)))

    return router


def _info(told: Told) -> EventInfo:
    event = told.event
    in_cluster = {} if told.position is None else {"node": told.node, "position": told.position}
    return EventInfo(
        cursor=event.cursor, kind=event.kind, call_id=event.call_id, at=event.at, data=dict(event.data), **in_cluster
    )


async def feed_events(
    socket: WebSocket,
    events: EventReading,
    metrics: Metrics,
    onlookers: Onlookers,
    wanted: Wanted,
    after: int | None = None,
    position: str | None = None,
    as_text: Callable[[Told], str] = Told.as_json,
    *,
    batch_ms: int = 0,
    last: EventKind | None = None,
    admits: Admits | None = None,
) -> None:
    """Accept the WebSocket and tell it what happens, until it goes, or after an event of kind `last`.

    `batch_ms`: so often, in arrays; 0: at once. `admits`: of which events it may know; None: of all. Raises
    `ValueError` for a position that is none.
    """
    with contextlib.ExitStack() as places:
        try:
            places.enter_context(onlookers.place(wanted.call_id or ""))
        except TooManyOnlookers as error:
            await socket.send_denial_response(problem_of(error))
            return
        try:
            start = await events.after(after, position, live=True)
        except StoreError as error:
            await socket.send_denial_response(problem_of(error))
            return
        feed = _Feed(socket, events, wanted, start, as_text, batch_ms / 1000, last, admits)
        await _tell(socket, feed, metrics)


async def _tell(socket: WebSocket, feed: "_Feed", metrics: Metrics) -> None:
    # A browser's own check: of the protocols that it offers, one has to be taken (RFC 6455 section 4.1).
    offered = socket.scope.get("subprotocols", ())
    await socket.accept(FEED_PROTOCOL if FEED_PROTOCOL in offered else None)
    metrics.event_feeds.inc()
    try:
        await feed.run()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has gone already
            await socket.close()
    except StoreError as error:
        log.warning("event_feed_closed", cause=str(error))
        await feed.close()
    finally:
        metrics.event_feeds.dec()


class _Feed:
    """One WebSocket. It holds no queue: `position` is where it reads on in the log."""

    def __init__(
        self,
        socket: WebSocket,
        events: EventReading,
        wanted: Wanted,
        start: tuple[Place, bool],
        as_text: Callable[[Told], str] = Told.as_json,
        batch_s: float = 0.0,
        last: EventKind | None = None,
        admits: Admits | None = None,
    ) -> None:
        self._admits = admits
        self._socket = socket
        self._events = events
        self._wanted = wanted
        self._as_text = as_text
        self._batch_s = batch_s
        self._last = last
        self._place, self._is_complete = start

    async def run(self) -> None:
        """Until the client goes. Raises `StoreError`."""
        feeding = asyncio.ensure_future(self._feed())
        listening = asyncio.ensure_future(self._listen())
        try:
            await asyncio.wait((feeding, listening), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (feeding, listening):
                task.cancel()
            results = await asyncio.gather(feeding, listening, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                raise result

    async def close(self) -> None:
        """Say where to go on, if there is still somebody."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            where = json.dumps(self._where())
            await self._socket.close(_TRY_AGAIN_LATER, where if len(where) <= _REASON_BYTES else "")

    async def _feed(self) -> None:
        started = {"kind": "feed.started", **self._where(), "complete": self._is_complete}
        with self._events.bus.watching():
            await self._socket.send_text(json.dumps(started))
            while True:
                page = await self._events.read(self._place, _PAGE_EVENTS, self._wanted)
                if self._admits is not None:
                    page = replace(page, told=[one for one in page.told if await self._admits(one.event)])
                if self._batch_s:
                    if page.told:
                        await self._socket.send_text(f"[{','.join(map(self._as_text, page.told))}]")
                else:
                    for told in page.told:
                        await self._socket.send_text(self._as_text(told))
                self._place = page.place
                if self._last is not None and any(told.event.kind == self._last for told in page.told):
                    return
                await self._events.wait(self._place)
                if self._batch_s and len(page.told) < _PAGE_EVENTS:
                    # Not all at once: fifty that came together would hold up the event loop together.
                    await asyncio.sleep(self._batch_s * random.uniform(0.9, 1.1))

    def _where(self) -> dict[str, object]:
        """To go on from."""
        text = self._place.text
        return {"cursor": self._place.cursor, **({} if text is None else {"position": text})}

    async def _listen(self) -> None:
        """Nothing is expected of the client but its going."""
        while (await self._socket.receive())["type"] != "websocket.disconnect":
            pass


def _kinds(text: str) -> frozenset[EventKind] | None:
    return kinds_matching(text.split(",")) if text else None
