# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls over HTTP. `ScriptedCalls` stands for the live calls, here and in the other API tests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from gateway.api import CallInfo, create_app
from gateway.api.bridging import BridgeInfo, BridgeOrder, SuperviseOrder
from gateway.api.campaigns import campaigns_router, do_not_call_router
from gateway.api.control import MuteSide, Playback, RecordingOrder, Stopped, StoppedPlayback
from gateway.api.keyring import KeyRing
from gateway.api.orders import HangUpOrder, PlaceCall, PlayOrder, SayOrder, StartStream, TransferOrder
from gateway.api.work import work_router
from gateway.calls.journal import Journal
from gateway.campaigns.control import Campaigns
from gateway.campaigns.runner import Runner, extract_nothing
from gateway.errors import BadAddress, CallRefused, NoSuchAgent, NoSuchCall, NoSuchTrunk, TooManyCalls, WrongCallState
from gateway.events import EventBus, EventLog
from gateway.sip.sip_thread import new_handle
from gateway.store import SessionStore, open_store
from gateway.streams.control import StreamInfo
from gateway.streams.tokens import StreamTokens
from gateway.telemetry import Metrics
from gateway.webrtc.tokens import PageTokens
from gateway.work import WorkBoard
from media.encryption import EncryptionKey
from media.keys import KeyMethod
from tests.fakes.campaign_line import ScriptedLine

KEY = "test-key"
Routers = Callable[[SessionStore, Journal], Sequence[APIRouter]]
STARTED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass
class ScriptedCalls:
    """A call hub without calls: remembers what it was asked, raises what it is told to."""

    live: dict[str, CallInfo] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    orders: list[PlaceCall] = field(default_factory=list)
    refuse_with: Exception | None = None
    node: str | None = None

    async def place(self, order: PlaceCall) -> CallInfo:
        self.orders.append(order)
        if self.refuse_with is not None:
            raise self.refuse_with
        call = CallInfo(
            call_id=f"call_{len(self.orders)}",
            direction="outbound",
            from_=order.from_ or "sip:parley@192.0.2.1",
            to=order.to,
            state="dialing",
            started_at=STARTED,
            agent=order.agent,
            metadata=order.metadata,
        )
        self.live[call.call_id] = call
        return call

    async def list(self) -> Sequence[CallInfo]:
        return list(self.live.values())

    async def get(self, call_id: str) -> CallInfo:
        return self._act("get", call_id)

    async def answer(self, call_id: str) -> CallInfo:
        return self._act("answer", call_id)

    async def hangup(self, call_id: str, order: HangUpOrder | None = None) -> None:
        self._act("hangup", call_id, *(() if order is None else (str(order.code), order.reason)))

    async def hold(self, call_id: str) -> CallInfo:
        return self._act("hold", call_id)

    async def resume(self, call_id: str) -> CallInfo:
        return self._act("resume", call_id)

    async def mute(self, call_id: str, side: MuteSide, *, muted: bool) -> CallInfo:
        return self._act("mute" if muted else "unmute", call_id, side)

    async def record(self, call_id: str, order: RecordingOrder) -> CallInfo:
        return self._act("record", call_id, order)

    async def dtmf(
        self, call_id: str, digits: str, *, method: KeyMethod | None, duration_ms: int, secret: bool
    ) -> None:
        self._act("dtmf", call_id, digits, str(method), str(duration_ms), str(secret))

    async def keep_keys_secret(self, call_id: str, *, secret: bool) -> CallInfo:
        return self._act("keys", call_id, str(secret)).model_copy(update={"keys_secret": secret})

    async def hand_to_agent(self, call_id: str, agent: str | None) -> CallInfo:
        return self._act("agent", call_id, str(agent))

    async def transfer(self, call_id: str, order: TransferOrder) -> CallInfo:
        return self._act("transfer", call_id, order.model_dump_json())

    async def play(self, call_id: str, order: PlayOrder) -> Playback:
        self._act("play", call_id, order.model_dump_json())
        return Playback(playback_id="playback_1", ahead=0)

    async def say(self, call_id: str, order: SayOrder) -> Playback:
        self._act("say", call_id, order.model_dump_json())
        return Playback(playback_id="playback_1", ahead=2)

    async def stop(self, call_id: str, playback_id: str | None) -> Stopped:
        self._act("stop", call_id, str(playback_id))
        return Stopped(played_ms=740, playbacks=[StoppedPlayback(playback_id="playback_1", played_ms=740)])

    async def bridge(self, call_id: str, order: BridgeOrder) -> BridgeInfo:
        self._act("bridge", call_id, order.model_dump_json())
        return BridgeInfo(call_id=call_id, other_call_id=order.call_id or "call_9", bridged=order.call_id is not None)

    async def unbridge(self, call_id: str) -> None:
        self._act("unbridge", call_id)

    async def supervise(self, call_id: str, order: SuperviseOrder) -> None:
        self._act("supervise", call_id, order.supervisor, order.mode)

    async def start_stream(self, order: StartStream) -> StreamInfo:
        self._act("stream", order.call_id, order.stream_url or "")
        return _stream(order.call_id, order.stream_url or "")

    async def stop_stream(self, stream_id: str) -> StreamInfo:
        self.asked.append(("stream_stop", stream_id))
        if self.refuse_with is not None:
            raise self.refuse_with
        return _stream("call_1", "wss://backend.example/")

    async def list_streams(self, call_id: str) -> Sequence[StreamInfo]:
        self._act("streams", call_id)
        return [_stream(call_id, "wss://backend.example/")]

    def _act(self, action: str, call_id: str, *arguments: str) -> CallInfo:
        self.asked.append((action, call_id, *arguments))
        if self.refuse_with is not None:
            raise self.refuse_with
        try:
            return self.live[call_id]
        except KeyError:
            raise NoSuchCall(call_id) from None


def _stream(call_id: str, url: str) -> StreamInfo:
    return StreamInfo(
        stream_id="stream_1",
        call_id=call_id,
        stream_url=url,
        protocol="parley",
        codec="l16",
        sample_rate=8000,
        direction="bidirectional",
        tracks=["inbound"],
        state="connecting",
    )


@dataclass
class Api:
    """The application over a real store in a folder of the test, and a client with the key."""

    client: httpx.AsyncClient
    stranger: httpx.AsyncClient
    app: FastAPI
    calls: ScriptedCalls
    store: SessionStore
    metrics: Metrics
    not_ready: list[str]
    tokens: StreamTokens
    events: EventLog
    line: ScriptedLine
    board: WorkBoard


@asynccontextmanager
async def running_api(
    folder: Path,
    key: EncryptionKey | None = None,
    *,
    twilio_auth_token: str | None = None,
    runs_campaigns: bool = True,
    routers: Routers = lambda store, journal: (),
) -> AsyncIterator[Api]:
    """`routers`: more of them, over the store that was opened."""
    async with AsyncExitStack() as stack:
        calls, metrics, not_ready, tokens = ScriptedCalls(), Metrics(), list[str](), StreamTokens()
        url = f"sqlite+aiosqlite:///{folder}/parley.db"
        store = await stack.enter_async_context(open_store(url, folder, metrics, key))
        journal = Journal(store, metrics)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(journal.write_until_closed())
        stack.push_async_callback(journal.close)
        events = EventLog(EventBus((await store.events.begin_run())[0]), store.events, journal.event)
        line, board = ScriptedLine(), WorkBoard()
        campaigns, runner = Campaigns(store, url, board), Runner(store, line, events.bus, extract_nothing, new_handle)
        if runs_campaigns:
            stack.callback(tasks.create_task(runner.run()).cancel)
        app = create_app(
            calls,
            store,
            metrics,
            events,
            keys=KeyRing(["other-key", KEY]),
            tokens=tokens,
            pages=PageTokens(),
            ready=lambda: not_ready,
            twilio_auth_token=twilio_auth_token,
            campaigns=(campaigns_router(campaigns, runner), do_not_call_router(campaigns)),
            more=(work_router(board), *routers(store, journal)),
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client, stranger = [
            await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://parley", headers=headers)
            )
            for headers in ({"Authorization": f"Bearer {KEY}"}, {})
        ]
        yield Api(client, stranger, app, calls, store, metrics, not_ready, tokens, events, line, board)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


async def test_placing_a_call_answers_while_it_rings(api: Api) -> None:
    body = {
        "to": "sip:ann@example.com",
        "from": "sip:desk@example.org",
        "agent": "receptionist",
        "metadata": {"order": "7"},
        "timeout_s": 20,
    }
    answer = await api.client.post("/api/v1/calls", json=body)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/calls/call_1"
    assert answer.json() == {
        "call_id": "call_1",
        "direction": "outbound",
        "from": "sip:desk@example.org",
        "to": "sip:ann@example.com",
        "state": "dialing",
        "started_at": "2026-11-22T12:00:00Z",
        "answered_at": None,
        "codec": None,
        "agent": "receptionist",
        "trunk": None,
        "ringing": False,
        "activity": "none",
        "transfer": None,
        "muted": False,
        "muted_theirs": False,
        "recording": "off",
        "keys_secret": False,
        "metadata": {"order": "7"},
        "quality": None,
        "node": None,
    }
    (order,) = api.calls.orders
    assert (order.to, order.from_, order.profile) == ("sip:ann@example.com", "sip:desk@example.org", None)
    assert (order.agent, order.metadata, order.timeout_s) == ("receptionist", {"order": "7"}, 20.0)


async def test_calls_are_listed_and_shown(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    listed = (await api.client.get("/api/v1/calls")).json()
    shown = (await api.client.get("/api/v1/calls/call_1")).json()
    assert listed == {"calls": [shown], "unreachable": []}
    assert shown["to"] == "100"


@pytest.mark.parametrize(
    ("action", "body", "status", "asked"),
    [
        ("hold", None, 200, ()),
        ("resume", {}, 200, ()),
        ("answer", None, 200, ()),
        ("mute", None, 200, ("ours",)),
        ("mute", {"side": "theirs"}, 200, ("theirs",)),
        ("unmute", {"side": "ours"}, 200, ("ours",)),
        ("hangup", None, 204, ()),
        ("hangup", {"code": 486, "reason": "In a meeting"}, 204, ("486", "In a meeting")),
        ("agent", None, 200, ("None",)),
        ("agent", {"agent": "clerk"}, 200, ("clerk",)),
        ("stop", None, 200, ("None",)),
        ("stop", {"playback_id": "playback_7"}, 200, ("playback_7",)),
    ],
)
async def test_an_action_reaches_the_call_it_names(
    api: Api, action: str, body: dict[str, object] | None, status: int, asked: tuple[str, ...]
) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    answer = await api.client.post(f"/api/v1/calls/call_1/{action}", json=body)
    assert answer.status_code == status
    assert api.calls.asked == [(action, "call_1", *asked)]


async def test_digits_are_sent_and_nothing_but_digits(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    assert (await api.client.post("/api/v1/calls/call_1/dtmf", json={"digits": "12#A"})).status_code == 204
    order = {"digits": "1,w2", "method": "info", "duration_ms": 200, "secret": True}
    assert (await api.client.post("/api/v1/calls/call_1/dtmf", json=order)).status_code == 204
    assert api.calls.asked == [
        ("dtmf", "call_1", "12#A", "None", "120", "False"),
        ("dtmf", "call_1", "1,w2", "info", "200", "True"),
    ]


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"digits": "call me"}, "body.digits"),
        ({"digits": ""}, "body.digits"),
        ({"digits": "1" * 65}, "body.digits"),
        ({"digits": "1", "method": "smoke"}, "body.method"),
        ({"digits": "1", "duration_ms": 39}, "body.duration_ms"),
        ({"digits": "1", "duration_ms": 2001}, "body.duration_ms"),
    ],
)
async def test_what_cannot_be_dialled_is_refused_by_field(api: Api, order: dict[str, object], field: str) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    refused = await api.client.post("/api/v1/calls/call_1/dtmf", json=order)
    assert refused.status_code == 422
    assert [one["field"] for one in refused.json()["errors"]] == [field]
    assert api.calls.asked == []


async def test_keys_are_declared_secret_for_a_call(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    answer = await api.client.post("/api/v1/calls/call_1/keys", json={"secret": True})
    assert (answer.status_code, answer.json()["keys_secret"]) == (200, True)
    assert api.calls.asked == [("keys", "call_1", "True")]
    assert (await api.client.post("/api/v1/calls/nobody/keys", json={"secret": True})).status_code == 404
    assert (await api.client.post("/api/v1/calls/call_1/keys", json={})).status_code == 422


async def test_recording_is_started_paused_resumed_and_stopped_and_nothing_else(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    for state in ("start", "pause", "resume", "stop"):
        answer = await api.client.post("/api/v1/calls/call_1/record", json={"state": state})
        assert (answer.status_code, answer.json()["recording"]) == (200, "off")
    assert api.calls.asked == [("record", "call_1", state) for state in ("start", "pause", "resume", "stop")]
    for body in ({"state": "erase"}, {}, {"state": "start", "file": "/etc/passwd"}):
        assert (await api.client.post("/api/v1/calls/call_1/record", json=body)).status_code == 422
    api.calls.refuse_with = WrongCallState("the recording is paused: resume or stop it")
    refused = await api.client.post("/api/v1/calls/call_1/record", json={"state": "pause"})
    assert (refused.status_code, refused.json()["detail"]) == (409, "the recording is paused: resume or stop it")


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (NoSuchCall("call_9"), 404, "no-such-call"),
        (NoSuchAgent("x"), 422, "no-such-agent"),
        (NoSuchTrunk("no trunk"), 422, "no-such-trunk"),
        (BadAddress("no address"), 422, "bad-address"),
        (WrongCallState("it rings"), 409, "wrong-call-state"),
        (TooManyCalls("full"), 503, "too-many-calls"),
        (CallRefused(486, "Busy Here"), 502, "call-refused"),
    ],
)
async def test_each_refusal_has_its_status_and_type(api: Api, error: Exception, status: int, name: str) -> None:
    api.calls.refuse_with = error
    answer = await api.client.post("/api/v1/calls", json={"to": "100"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == (f"urn:parley:problem:{name}", status)
    assert problem["detail"] == str(error)
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_an_unknown_call_is_a_404_for_every_action(api: Api) -> None:
    for action in ("answer", "hangup", "hold", "resume", "mute", "unmute", "agent", "stop"):
        assert (await api.client.post(f"/api/v1/calls/nobody/{action}")).status_code == 404
    assert (await api.client.get("/api/v1/calls/nobody")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.to"),
        ({"to": ""}, "body.to"),
        ({"to": "1", "timeout_s": 0}, "body.timeout_s"),
        ({"to": "1", "timeout_s": "inf"}, "body.timeout_s"),
        ({"to": "1", "metadata": {"k": 7}}, "body.metadata.k"),
        ({"to": "1", "metadata": {str(n): "" for n in range(51)}}, "body.metadata"),
        ({"to": "1", "stream": "ws://h/"}, "body.stream"),
        ({"to": "1", "stream": {"stream_url": "ws://h/", "codec": "mp3"}}, "body.stream.codec"),
        ({"to": "1", "agent": "a", "stream": {"stream_url": "ws://h/"}}, "body"),
        ({"to": "1", "flow": {"flow_url": "https://h/"}, "stream": {"stream_url": "ws://h/"}}, "body"),
        ({"to": "1", "play": {}}, "body.play"),
        ({"to": "1\r\nVia: x"}, "body.to"),
    ],
)
async def test_a_faulty_order_names_the_field_and_dials_nobody(api: Api, body: dict[str, object], field: str) -> None:
    answer = await api.client.post("/api/v1/calls", json=body)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [field]
    assert api.calls.orders == []


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("hangup", {"code": 200}, "body.code"),
        ("hangup", {"code": 486, "reason": "Busy\r\nVia: x"}, "body.reason"),
        ("mute", {"side": "both"}, "body.side"),
        ("play", {}, "body"),
        ("play", {"file": "a.wav", "url": "https://h/a.wav"}, "body"),
        ("play", {"file": "a.wav", "gain": 5}, "body.gain"),
        ("play", {"file": "a.wav", "loop": -1}, "body.loop"),
        ("say", {"text": ""}, "body.text"),
        ("say", {"text": "a" * 2001}, "body.text"),
        ("transfer", {}, "body"),
        ("transfer", {"to": "100", "mode": "attended"}, "body"),
        ("transfer", {"to": "100", "call_id": "call_2"}, "body"),
        ("transfer", {"to": "100", "headers": {"Via": "x"}}, "body.headers.Via.[key]"),
        ("transfer", {"to": "100", "headers": {"X-Note": "a\r\nVia: x"}}, "body.headers.X-Note"),
    ],
)
async def test_what_an_action_does_not_take_is_refused_by_field(
    api: Api, action: str, body: dict[str, object], field: str
) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    refused = await api.client.post(f"/api/v1/calls/call_1/{action}", json=body)
    assert refused.status_code == 422
    assert [one["field"] for one in refused.json()["errors"]] == [field]
    assert api.calls.asked == []


async def test_announcements_are_taken_on_and_stopped_with_the_truth(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    played = await api.client.post("/api/v1/calls/call_1/play", json={"file": "closed.wav", "loop": 0, "gain": 0.5})
    said = await api.client.post("/api/v1/calls/call_1/say", json={"text": "One moment."})
    stopped = await api.client.post("/api/v1/calls/call_1/stop")
    assert (played.status_code, played.json()) == (202, {"playback_id": "playback_1", "ahead": 0})
    assert (said.status_code, said.json()["ahead"]) == (202, 2)
    assert stopped.json() == {"played_ms": 740, "playbacks": [{"playback_id": "playback_1", "played_ms": 740}]}


async def test_a_transfer_is_accepted_not_done(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    orders = ({"to": "sip:ann@example.com"}, {"mode": "attended", "call_id": "call_2"})
    for order in orders:
        assert (await api.client.post("/api/v1/calls/call_1/transfer", json=order)).status_code == 202
