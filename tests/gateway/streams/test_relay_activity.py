# SPDX-License-Identifier: GPL-3.0-or-later
"""A text backend on a call: what becomes of its connection, its orders and its end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from agent.config import AgentConfig
from agent.dialogue import AgentServices
from agent.events import AgentEvent
from agent.phrases import Phrases
from agent.services.llm import LanguageModel
from agent.session import AgentSession
from gateway.calls.agent import AgentActivity
from gateway.calls.call import Call
from gateway.calls.facts import CallFacts
from gateway.calls.prompts import Prompt
from gateway.errors import BadPrompt
from gateway.streams.connection import ConnectFailed, Connection, Disconnected, Receiver
from gateway.streams.messages import WireMessage
from gateway.streams.order import StreamOrder
from gateway.streams.relay import relay_config
from gateway.streams.relay_activity import RelayActivity
from gateway.streams.stream import Ending
from tests.fakes.leg import FakeLeg
from tests.fakes.scene import QUICK
from tests.fakes.services import ScriptedDetector, ScriptedModel, ScriptedStt, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."
ORDER = StreamOrder("wss://backend.example/relay", "conversationrelay")
CLIP_S = 5.0


@dataclass
class Wire:
    """Connector and connection to a backend that is the test. `refusals` are raised first."""

    refusals: list[ConnectFailed] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    receiver: Receiver | None = None
    is_closed: bool = False
    is_aborted: bool = False

    async def connect(
        self, call_id: str, order: StreamOrder, subprotocol: str | None, receiver: Receiver
    ) -> Connection:
        if self.refusals:
            raise self.refusals.pop(0)
        self.receiver = receiver
        return self

    def write(self, message: WireMessage) -> None:
        self.sent.append(json.loads(message))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def says(self, **message: Any) -> None:
        assert self.receiver is not None
        self.receiver.receive(json.dumps(message))

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["type"] == kind]


class LineCall:
    """As much of a `Call` as a text backend needs: its leg, its keypad, its announcements, its events."""

    def __init__(self) -> None:
        self.facts = CallFacts("call_0123456789abcdef0123", "inbound", "+15550100", "+15550101", answered_at=1.0)
        self.call_id = self.facts.call_id
        self.leg = FakeLeg()
        self.dialled: list[str] = []
        self.clips: list[str] = []
        self.published: list[tuple[str, dict[str, object]]] = []
        self.keypad = self.announcements = self

    async def dial(self, leg: FakeLeg, keys: str) -> None:
        self.dialled.append(keys)

    async def play_to_its_end(self, prompt: Prompt, *, loop: int, gain: float) -> None:
        self.clips.append("started")
        try:
            await asyncio.sleep(CLIP_S * loop)
            self.clips.append("ended")
        except asyncio.CancelledError:
            self.clips.append("stopped")
            raise

    def publish(self, kind: str, **data: object) -> None:
        self.published.append((kind, data))


class Agent:
    """An agent's ears and mouth on that leg."""

    def __init__(self, call: LineCall, llm: LanguageModel, follow: Callable[[AgentEvent], None]) -> None:
        tts = ScriptedTts()
        services = AgentServices(ScriptedStt(call.leg.utterances), llm, tts, ScriptedDetector(), Phrases(tts))
        loop = asyncio.get_running_loop()
        config = relay_config(AgentConfig(greeting="", turn=QUICK))
        self.session = AgentSession(config, services, call.leg, ScriptedModel, follow, clock=loop.time)
        call.leg.on_frames = self.session.feed
        call.leg.on_playout = self.session.playout

    async def run(self) -> str:
        return await self.session.run()


@dataclass
class Scene:
    """A call that a backend has."""

    call: LineCall
    wire: Wire
    activity: RelayActivity
    running: "asyncio.Task[str]"
    endings: list[Ending]
    live: dict[str, RelayActivity]
    """Found by id."""


@asynccontextmanager
async def relayed(wire: Wire) -> AsyncIterator[Scene]:
    call, endings = LineCall(), list[Ending]()
    live = dict[str, RelayActivity]()

    async def find(url: str) -> Prompt:
        if "missing" in url:
            raise BadPrompt("url: there is nothing")
        return Prompt(np.ones(8000, np.int16), 8000)

    def successor(ending: Ending) -> bool:
        endings.append(ending)
        return False

    activity = RelayActivity(
        cast(Call, call),
        ORDER,
        wire,
        lambda llm, follow: cast(AgentActivity, Agent(call, llm, follow)),
        find,
        successor,
        "str_1",
        live,
    )
    running = asyncio.create_task(activity.run())
    clock = asyncio.create_task(call.leg.run())
    await asyncio.sleep(0.01)
    yield Scene(call, wire, activity, running, endings, live)
    clock.cancel()
    running.cancel()
    await asyncio.gather(running, clock, return_exceptions=True)


@in_virtual_time
async def test_the_setup_comes_first_and_an_end_ends_the_call_with_its_handoff_data() -> None:
    async with relayed(Wire()) as scene:
        assert [message["type"] for message in scene.wire.sent] == ["setup"]
        assert scene.activity.info.state == "connected"
        scene.wire.says(type="end", handoffData="ask for Ann")
        assert await scene.running == "stream_ended"
        assert (scene.wire.is_closed, scene.endings) == (True, [Ending.BACKEND_CLOSED])
        assert scene.call.published == [
            ("stream.connected", {"stream_id": "str_1", "reconnected": False}),
            ("stream.stopped", {"stream_id": "str_1", "reason": "backend_closed", "handoff_data": "ask for Ann"}),
        ]


@in_virtual_time
async def test_a_backend_that_is_away_is_tried_again_and_then_given_up() -> None:
    async with relayed(Wire([ConnectFailed("away"), ConnectFailed("away")])) as scene:
        await asyncio.sleep(1.0)
        assert scene.activity.info.state == "connected"
    async with relayed(Wire([ConnectFailed("away")] * 100)) as scene:
        assert await scene.running == "backend_unreachable"
        assert scene.endings == [Ending.UNREACHABLE]
    async with relayed(Wire([ConnectFailed("forbidden", is_final=True)])) as scene:
        assert await scene.running == "backend_unreachable"


@in_virtual_time
async def test_a_backend_that_is_lost_is_unreachable_and_one_that_closes_is_done() -> None:
    for code, ending in ((1006, Ending.UNREACHABLE), (1000, Ending.BACKEND_CLOSED)):
        async with relayed(Wire()) as scene:
            scene.activity.disconnected(Disconnected(code))
            await scene.running
            assert scene.endings == [ending]


@in_virtual_time
async def test_orders_are_carried_out_one_after_the_other() -> None:
    async with relayed(Wire()) as scene:
        scene.wire.says(type="play", source="https://example.com/a.wav", loop=2)
        scene.wire.says(type="sendDigits", digits="1w2")
        await asyncio.sleep(2 * CLIP_S - 0.1)
        assert (scene.call.clips, scene.call.dialled) == (["started"], [])
        await asyncio.sleep(0.2)
        assert (scene.call.clips, scene.call.dialled) == (["started", "ended"], ["1w2"])


@in_virtual_time
async def test_a_recording_waits_for_the_words_before_it() -> None:
    async with relayed(Wire()) as scene:
        scene.wire.says(type="text", token=LONG, last=True)
        scene.wire.says(type="play", source="https://example.com/a.wav")
        await asyncio.sleep(2.0)
        assert scene.call.clips == []
        await asyncio.sleep(5.0)
        assert scene.call.clips == ["started"]


@in_virtual_time
async def test_the_caller_stops_a_recording_if_he_may() -> None:
    for interruptible, by, stopped in (
        ("any", "words", True),
        ("any", "key", True),
        ("dtmf", "words", False),
        ("speech", "key", False),
        (False, "key", False),
    ):
        async with relayed(Wire()) as scene:
            scene.wire.says(type="play", source="https://example.com/a.wav", interruptible=interruptible)
            await asyncio.sleep(0.5)
            if by == "key":
                scene.activity.receive_digit("1", secret=False)
            else:
                await scene.call.leg.speak("stop that please")
                await scene.call.leg.pause_for(1_000)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (scene.call.clips == ["started", "stopped"]) == stopped


@in_virtual_time
async def test_what_cannot_be_done_is_told_and_the_next_is_done() -> None:
    async with relayed(Wire()) as scene:
        scene.wire.says(type="play", source="https://example.com/missing.wav")
        scene.wire.says(type="sendDigits", digits="5")
        await asyncio.sleep(0.1)
        assert [message["description"] for message in scene.wire.all("error")] == ["BadPrompt: url: there is nothing"]
        assert scene.call.dialled == ["5"]
        for _ in range(100):
            scene.wire.says(type="sendDigits", digits="5")
        assert len(scene.wire.all("error")) == 1 + 36


@in_virtual_time
async def test_a_secret_key_is_a_star() -> None:
    async with relayed(Wire()) as scene:
        scene.activity.receive_digit("4", secret=True)
        scene.activity.receive_digit("4", secret=False)
        assert [message["digit"] for message in scene.wire.all("dtmf")] == ["*", "4"]


@in_virtual_time
async def test_a_backend_that_floods_us_is_done_with() -> None:
    async with relayed(Wire()) as one:
        assert one.wire.receiver is not None
        for _ in range(20_000):
            one.wire.receiver.receive("nonsense")
        assert one.wire.is_closed
        assert len(one.wire.all("error")) <= 5000
        assert await one.running == "stream_ended"


@in_virtual_time
async def test_a_backend_that_asks_and_asks_and_reads_nothing_is_lost() -> None:
    async with relayed(Wire()) as one:
        assert one.wire.receiver is not None
        one.wire.receiver.congested(True)
        for _ in range(4000):
            one.wire.receiver.receive("nonsense")
        assert one.wire.is_aborted
        assert len(one.wire.sent) < 2010


@in_virtual_time
async def test_a_conversation_is_found_while_it_runs_and_not_when_it_never_ran() -> None:
    async with relayed(Wire()) as scene:
        assert scene.live == {"str_1": scene.activity}
        scene.activity.end(Ending.STOPPED)
        await scene.running
        assert scene.live == {}
        never = asyncio.create_task(scene.activity.run())
        never.cancel()
        await asyncio.gather(never, return_exceptions=True)
        assert scene.live == {}
