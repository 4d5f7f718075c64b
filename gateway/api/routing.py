# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes requests on to the node that has the call they are about, or has room for a new one.

gate, body limit > here: whose is it? ── ours ──> the application
                                      └─ theirs ──> Redis ──> their `answer` ──> their application, gate passed already

What came from another node is answered here, whatever it is about: nothing is passed on twice. Bodies and answers have
a megabyte at most; WebSockets cannot be passed on, and are told where to go.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, cast
from urllib.parse import parse_qs

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.problems import problem_of, problem_response
from gateway.cluster.commands import MAX_BYTES, Reply, Request
from gateway.cluster.node import Node
from gateway.cluster.routing import Routing
from gateway.errors import ClusterError, ClusterUnreachable, NoSuchNode, OnlyThere
from gateway.streams.twilio import call_id as twilio_call_id

log = structlog.get_logger(__name__)

FORWARDED = "parley.forwarded"
"""In the scope of what another node has sent: no header can say that."""
_CALL = re.compile(r"/(?:calls|webrtc/calls)/([^/]+)(/.*)?")
_NODE = re.compile(r"/nodes/([^/]+)/drain")
_TWILIO = re.compile(r"/2010-04-01/Accounts/[^/]+/Calls/([^/]+)\.json")
_OF_BODY = ("/stream/start", "/tokens")
"""Their body names the call."""
_OF_TWO_CALLS = {"bridge": "call_id", "supervise": "supervisor", "transfer": "call_id"}
"""Where the body names another call, which has to be at the same node."""
_PASSED_ON = frozenset({"accept", "content-type", "idempotency-key", "if-match", "origin"})
_PASSED_BACK = frozenset(
    {"accept-patch", "allow", "content-type", "etag", "idempotency-replayed", "link", "location", "retry-after"}
    | {"www-authenticate"}
)
_LIST_S = 2.0
"""How long nodes may take to say which calls they have."""
_FULL = 503
_PLACES = 3
"""So many nodes are asked to take a call, one after the other."""
_SETTLE_S = 0.2
_NODE_HEADER = "Parley-Node"


class RoutedRequests:
    """ASGI middleware, the innermost."""

    def __init__(self, app: ASGIApp, *, routing: Routing, prefix: str, application: object) -> None:
        """`application`: of which `app` is the inside; its handlers look at it."""
        self._app = app
        self._routing = routing
        self._prefix = prefix
        self._application = application
        routing.commands.serve = self.answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send, path.removeprefix(self._prefix))
        elif scope["type"] != "http" or scope.get(FORWARDED):
            await self._app(scope, receive, send)
        elif path.startswith(f"{self._prefix}/"):
            await self._route(scope, receive, send, path.removeprefix(self._prefix))
        elif (found := _TWILIO.fullmatch(path)) and (call_id := twilio_call_id(found[1])) is not None:
            await self._route_call(scope, receive, send, call_id, with_authorization=True)
        else:
            await self._app(scope, receive, send)

    # What others ask of us

    async def answer(self, request: Request) -> Reply:
        """A request that another node has let in."""
        about = _CALL.fullmatch(request.path.removeprefix(self._prefix))
        is_absent = about is not None and not self._routing.has(about[1])
        reply = await self._run(request)
        if len(reply.body) > MAX_BYTES:
            node = self._routing.node(self._routing.me)
            fault = OnlyThere(f"the answer has more than {MAX_BYTES} bytes: ask node {node.node_id} at {node.http}")
            return await _said(problem_of(fault))
        return Reply(reply.status, reply.headers, reply.body, is_absent and reply.status == 404)

    async def _run(self, request: Request) -> Reply:
        """Have the application here answer."""
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode(),
            "root_path": "",
            "query_string": request.query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
            "client": (request.client, 0) if request.client else None,
            "server": None,
            "state": dict(request.state),
            "app": self._application,
            FORWARDED: True,
        }
        answer = _Answer()
        try:
            await self._app(scope, _one_body(request.body), answer.receive)
        except Exception:
            log.exception("cluster_request_fault")
            return await _said(problem_response(500))
        return answer.reply

    # What clients ask

    async def _route(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        method = scope["method"]
        if path == "/calls" and method == "GET":
            await self._list_calls(scope, receive, send)
        elif path == "/calls" and method == "POST":
            await self._place(scope, receive, send)
        elif found := _CALL.fullmatch(path):
            await self._route_call(scope, receive, send, found[1])
        elif path in _OF_BODY and method == "POST":
            body = await _body(receive)
            call_id = _named(body, "call_id")
            if call_id is None:
                await self._here(scope, _one_body(body), send)
            else:
                await self._route_call(scope, _one_body(body), send, call_id)
        elif path == "/stream/stop" and method == "POST":
            await self._stop_stream(scope, receive, send)
        elif (found := _NODE.fullmatch(path)) and method == "POST":
            await self._drain(scope, receive, send, found[1])
        elif path.partition("/")[2].startswith("keys") and method != "GET":
            await self._app(scope, receive, send)
            await self._routing.commands.tell("keys")
        else:
            await self._here(scope, receive, send)

    async def _here(self, scope: Scope, receive: Receive, send: Send) -> None:
        """By us; a call that has begun is known to the others before whoever began it knows."""

        async def settled(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (200, 201):
                await self._routing.owners.settled(_SETTLE_S)
            await send(message)

        await self._app(scope, receive, send if scope["method"] == "GET" else settled)

    async def _route_call(
        self, scope: Scope, receive: Receive, send: Send, call_id: str, *, with_authorization: bool = False
    ) -> None:
        try:
            node = await self._routing.elsewhere(call_id)
            body = b"" if node is None else await _body(receive)
            if node is None:
                if (other := _OF_TWO_CALLS.get(scope["path"].rpartition("/")[2])) is not None:
                    body = await _body(receive)
                    receive = _one_body(body)
                    await self._look_for_other(_named(body, other), self._routing.me)
                await self._here(scope, receive, send)
                return
            request = _request(scope, body, with_authorization=with_authorization)
            reply = await self._routing.commands.ask(node.node_id, request)
            if reply.is_absent:  # it has moved in this moment, or is over
                again = await self._routing.elsewhere(call_id)
                if again is None:
                    await self._here(scope, _one_body(body), send)
                    return
                if again.node_id != node.node_id:
                    node = again
                    reply = await self._routing.commands.ask(node.node_id, request)
            if reply.status == 404 and (other := _OF_TWO_CALLS.get(scope["path"].rpartition("/")[2])) is not None:
                await self._look_for_other(_named(body, other), node.node_id)
        except ClusterError as fault:
            await problem_of(fault)(scope, receive, send)
            return
        await _pass_back(reply, node.node_id)(scope, receive, send)

    async def _look_for_other(self, call_id: str | None, where: str) -> None:
        """Two calls that are to hear each other are at one node. Raises `OnlyThere` when they are not."""
        if call_id is None or (where == self._routing.me and self._routing.has(call_id)):
            return
        owner = await self._routing.owners.of(call_id)
        if owner is not None and owner != where:
            raise OnlyThere(f"the other call is at node {owner}, this one at {where}: calls of one node only can meet")

    async def _list_calls(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("node", [None])[-1]
        try:
            wanted = [self._routing.node(named)] if named else [self._routing.node(self._routing.me)]
        except NoSuchNode as fault:
            await problem_of(fault)(scope, receive, send)
            return
        if not named:
            wanted += self._routing.others
        request = _request(scope, b"")
        replies = await asyncio.gather(*(self._calls_of(node, request) for node in wanted))
        refusal = next((reply for reply in replies if reply is not None and reply.status != 200), None)
        if refusal is not None:
            await _pass_back(refusal, "")(scope, receive, send)
            return
        calls: dict[str, dict[str, Any]] = {}
        for reply in replies:
            for call in [] if reply is None else json.loads(reply.body)["calls"]:
                calls.setdefault(call["call_id"], call)
        listed = {
            "calls": sorted(calls.values(), key=lambda call: str(call["started_at"])),
            "unreachable": [node.node_id for node, reply in zip(wanted, replies, strict=True) if reply is None],
        }
        await Response(json.dumps(listed), media_type="application/json")(scope, receive, send)

    async def _calls_of(self, node: Node, request: Request) -> Reply | None:
        """None: it does not say."""
        if node.node_id == self._routing.me:
            return await self._run(request)
        try:
            return await self._routing.commands.ask(node.node_id, request, _LIST_S)
        except ClusterError:
            return None

    async def _place(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        key = next((value for name, value in scope["headers"] if name == b"idempotency-key"), None)
        async with AsyncExitStack() as stack:
            if key is not None:  # two nodes that are asked at the same moment place one call
                whose = scope.get("state", {}).get("key_id", "")
                await stack.enter_async_context(self._routing.turn(f"{whose} {key.decode('latin-1')}"))
            request, region = _request(scope, body), _named(body, "region")
            try:
                reply, where = await self._placed(request, self._routing.places(region))
                if reply is None:
                    reply, where = await self._run(request), self._routing.me
                    await self._routing.owners.settled(_SETTLE_S)
                    if reply.status == _FULL:  # fuller than it looked
                        elsewhere = await self._placed(request, self._routing.places(region, is_full=True))
                        reply, where = elsewhere if elsewhere[0] is not None else (reply, where)
            except ClusterError as fault:
                await problem_of(fault)(scope, receive, send)
                return
        assert reply is not None
        await _pass_back(reply, where)(scope, receive, send)

    async def _placed(self, request: Request, nodes: Sequence[Node]) -> tuple[Reply | None, str]:
        """The first that takes it; None: none does. Raises `NodeSilent`, `NodeGone`: one may have dialled, and nobody
        may dial a second time."""
        for node in nodes[:_PLACES]:
            try:
                reply = await self._routing.commands.ask(node.node_id, request)
            except ClusterUnreachable:
                break
            if reply.status != _FULL:
                return reply, node.node_id
        return None, ""

    async def _stop_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams have no owner in Redis: whoever has it says so."""
        body = await _body(receive)
        request = _request(scope, body)
        reply, where = await self._run(request), self._routing.me
        if reply.status == 404:
            others = self._routing.others
            asked = (self._routing.commands.ask(node.node_id, request) for node in others)
            answers = await asyncio.gather(*asked, return_exceptions=True)
            for node, answer in zip(others, answers, strict=True):
                if isinstance(answer, Reply) and answer.status != 404:
                    reply, where = answer, node.node_id
                elif isinstance(answer, BaseException) and not isinstance(answer, ClusterError):
                    raise answer
        await _pass_back(reply, where)(scope, receive, send)

    async def _drain(self, scope: Scope, receive: Receive, send: Send, node_id: str) -> None:
        if node_id == self._routing.me:
            await self._app(scope, receive, send)
            return
        try:
            node = self._routing.node(node_id)
            reply = await self._routing.commands.ask(node.node_id, _request(scope, b""))
        except ClusterError as fault:
            await problem_of(fault)(scope, receive, send)
            return
        await _pass_back(reply, node_id)(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """A WebSocket: to a call that is elsewhere there is no way through us."""
        refusal: Response | None = None
        if found := _CALL.fullmatch(path):
            try:
                node = await self._routing.elsewhere(found[1])
                if node is not None:
                    raise OnlyThere(f"the call is at node {node.node_id}: connect to {node.http}")
            except ClusterError as fault:
                refusal = problem_of(fault)
        if refusal is None:
            await self._app(scope, receive, send)
        elif "websocket.http.response" in scope.get("extensions", {}):
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})


class _Answer:
    """Collects what an ASGI application sends."""

    def __init__(self) -> None:
        self._status = 500
        self._headers: Sequence[tuple[bytes, bytes]] = ()
        self._body = bytearray()

    async def receive(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], message.get("headers", ())
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    @property
    def reply(self) -> Reply:
        headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self._headers)
        return Reply(self._status, headers, bytes(self._body))


async def _said(response: Response) -> Reply:
    answer = _Answer()
    await response({"type": "http"}, _one_body(b""), answer.receive)
    return answer.reply


def _pass_back(reply: Reply, node_id: str) -> Response:
    headers = {name: value for name, value in reply.headers if name in _PASSED_BACK}
    if node_id:
        headers[_NODE_HEADER] = node_id
    return Response(reply.body, reply.status, headers)


def _request(scope: Scope, body: bytes, *, with_authorization: bool = False) -> Request:
    passed_on = _PASSED_ON | ({"authorization"} if with_authorization else frozenset())
    headers = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    client = scope.get("client")
    state = scope.get("state", {})
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=tuple((name, value) for name, value in headers if name in passed_on),
        body=body,
        state={name: state[name] for name in ("key_id", "scopes", "only", "page_token") if name in state},
        client="" if client is None else str(client[0]),
    )


async def _body(receive: Receive) -> bytes:
    """Whole: the body limit stands before us."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _one_body(body: bytes) -> Receive:
    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        if is_read:
            await asyncio.Event().wait()  # nobody goes away: whoever waits for that is cancelled
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _named(body: bytes, field: str) -> str | None:
    """What a JSON body has there, if it is text."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    value = cast("dict[str, object]", found).get(field) if isinstance(found, dict) else None
    return value if isinstance(value, str) and 0 < len(value) <= 128 else None
