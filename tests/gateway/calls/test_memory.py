# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers who call again: remembered when they agreed, gone on with when they were cut off, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from agent.config import AgentConfig
from agent.conversation import History
from agent.session import AgentSession
from gateway.calls.call import Call
from gateway.calls.facts import CallFacts
from gateway.calls.journal import Journal
from gateway.calls.memory import CallerMemories, CallMemory, broke_off
from gateway.store import SessionStore, TranscriptEntry, open_store
from gateway.telemetry import Metrics

ANNA = '"Anna" <sip:anna@192.0.2.7:5060>'
BEN = "<sip:ben@192.0.2.7>"


class SpokenTo:
    """As much of an `AgentSession` as a memory needs."""

    def __init__(self) -> None:
        self.history = History("Be kind.")
        self.opening: str | None = None
        self.said: list[str] = []

    def open_with(self, text: str) -> None:
        self.opening = text

    def say(self, text: str) -> None:
        self.said.append(text)


class Caller:
    """As much of a `Call` as a memory needs."""

    def __init__(self, call_id: str, peer: str) -> None:
        self.call_id = call_id
        self.facts = CallFacts(call_id, "inbound", "anna", "desk", peer=peer)
        self.gone_s = 0.0

    def silent_for(self, now: float) -> float:
        return self.gone_s


class Line:
    """One call, and the agent's memory on it."""

    def __init__(self, desk: "Desk", call_id: str, peer: str, memory: CallMemory) -> None:
        self._desk = desk
        self.call = cast(Caller, memory.call)
        self.memory = memory
        self.session = SpokenTo()
        self._said = 0

    async def begin(self) -> "Line":
        facts = self.call.facts
        self._desk.journal.began(facts)
        facts.answered_at = facts.started_at
        self._desk.journal.answered(facts)
        await self.memory.begin(cast(AgentSession, self.session))
        return self

    def turn(self, asked: str, answered: str) -> None:
        """As `AgentActivity` tells it."""
        self.session.history.caller_said(asked)
        self._keep("user", asked)
        self.memory.receive_caller(asked)
        self.hear(answered, is_answer=True)

    def hear(self, text: str, *, is_answer: bool = False) -> None:
        """The agent is heard."""
        self.session.history.agent_said(text, interrupted=False)
        self._keep("assistant", text)
        self.memory.receive_agent(text, is_answer=is_answer)

    async def end(self, reason: str) -> None:
        self.memory.end()
        self.call.facts.ended_at, self.call.facts.end_reason = self.call.facts.started_at + 60, reason
        self._desk.journal.ended(self.call.facts, None)
        await self._desk.settle()

    def _keep(self, role: str, text: str) -> None:
        self._said += 1_000
        entry = TranscriptEntry.model_validate(
            {"role": role, "text": text, "started_ms": self._said, "ended_ms": self._said + 900}
        )
        self._desk.journal.said(self.call.call_id, entry)


class Desk:
    """One agent's calls, with a database."""

    def __init__(self, store: SessionStore, journal: Journal, memories: CallerMemories) -> None:
        self.store = store
        self.journal = journal
        self._memories = memories
        self._calls = 0

    async def call(self, peer: str = ANNA, agent: str = "desk", remember: str = "off", expire_days: int = 90) -> Line:
        """A call has been answered; its agent is about to speak."""
        self._calls += 1
        config = AgentConfig.model_validate({"memory": {"remember": remember, "expire_days": expire_days}})
        call_id = f"call_{self._calls}"
        memory = self._memories.of_call(cast(Call, Caller(call_id, peer)), agent, config)
        assert memory is not None
        return await Line(self, call_id, peer, memory).begin()

    def nobody(self, peer: str, **settings: object) -> bool:
        """This caller has no memory at all."""
        config = AgentConfig.model_validate({"memory": settings})
        return self._memories.of_call(cast(Call, Caller("call_0", peer)), "desk", config) is None

    async def settle(self) -> None:
        """All that was journaled is in the database."""
        written = asyncio.Event()
        self.journal._put(lambda: _told(written))
        await written.wait()
        await self.store.flush()


async def _told(written: asyncio.Event) -> None:
    written.set()


@asynccontextmanager
async def open_desk(folder: Path) -> AsyncIterator[Desk]:
    metrics = Metrics()
    async with open_store(f"sqlite+aiosqlite:///{folder}/parley.db", folder, metrics) as store:
        journal = Journal(store, metrics)
        writing = asyncio.create_task(journal.write_until_closed())
        yield Desk(store, journal, CallerMemories(store.memories, journal))
        await journal.close()
        await writing


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path) as one:
        yield one


async def cut_off(desk: Desk, reason: str = "media_timeout", remember: str = "off", expire_days: int = 90) -> Line:
    """A call on which a question was answered ends like that."""
    line = await desk.call(remember=remember, expire_days=expire_days)
    line.turn("My name is Anna. Where can I park?", "Behind the house.")
    await line.end(reason)
    return line


async def test_a_call_that_broke_off_is_gone_on_with(desk: Desk) -> None:
    await cut_off(desk)
    again = await desk.call()
    assert again.session.opening == "Welcome back, we were interrupted. Please go on."
    assert [one.text for one in again.session.history.snapshot().messages[1:]] == [
        "My name is Anna. Where can I park?",
        "Behind the house.",
    ]


async def test_a_process_that_was_killed_is_one_that_broke_off(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        line = await desk.call()
        line.turn("Where can I park?", "Behind the house.")
        await desk.settle()
    async with open_desk(tmp_path) as desk:
        desk._calls = 1
        assert (await desk.call()).session.history.recollection.questions == ("Where can I park?",)


@pytest.mark.parametrize("reason", ["goodbye", "caller_hung_up", "silence", "max_call", "api", "transferred"])
async def test_a_call_that_was_over_is_over(desk: Desk, reason: str) -> None:
    await cut_off(desk, reason)
    again = await desk.call()
    assert again.session.opening is None
    assert again.session.history.is_empty
    assert not broke_off(reason)


async def test_only_the_same_caller_and_agent_go_on(desk: Desk) -> None:
    await cut_off(desk)
    for line in (await desk.call(BEN), await desk.call(agent="night")):
        assert line.session.history.is_empty


async def test_after_the_time_is_over_a_call_begins_anew(desk: Desk) -> None:
    line = await desk.call()
    line.turn("Where can I park?", "Behind the house.")
    line.call.facts.started_at -= 700
    await line.end("media_timeout")
    assert (await desk.call()).session.opening is None


async def test_a_broken_call_on_which_nothing_was_said_is_not_worth_a_word(desk: Desk) -> None:
    line = await desk.call()
    line.hear("Hello.")
    await line.end("media_timeout")
    assert (await desk.call()).session.opening is None


async def test_what_broke_off_twice_is_whole_the_third_time(desk: Desk) -> None:
    await cut_off(desk)
    second = await desk.call()
    second.hear("Welcome back.")
    second.turn("And on Sunday?", "Closed.")
    await second.end("lost")
    third = await desk.call()
    assert third.session.history.recollection.questions == ("Where can I park?", "And on Sunday?")


async def test_a_call_is_gone_on_with_once_and_not_by_two(desk: Desk) -> None:
    await cut_off(desk)
    await desk.call()
    await desk.settle()
    assert (await desk.call()).session.opening is None


async def test_whose_network_is_gone_goes_on_before_we_have_noticed(desk: Desk) -> None:
    lost = await desk.call()
    lost.turn("Where can I park?", "Behind the house.")
    beside = await desk.call()
    assert beside.session.opening is None, "somebody still talks there"
    beside.memory.end()
    lost.call.gone_s = 5.0
    again = await desk.call()
    assert again.session.opening is not None
    assert again.session.history.recollection.questions == ("Where can I park?",)


def test_withheld_numbers_and_agents_without_memory_have_none(tmp_path: Path) -> None:
    async def look() -> None:
        async with open_desk(tmp_path) as desk:
            assert desk.nobody("<sip:anonymous@anonymous.invalid>", remember="on")
            assert desk.nobody(ANNA, remember="off", resume_within_s=0)
            assert not desk.nobody(ANNA, remember="off")

    asyncio.run(look())


async def test_a_caller_who_agreed_is_remembered(desk: Desk) -> None:
    line = await desk.call(remember="ask")
    line.turn("My name is Anna. Where can I park?", "Behind the house.")
    assert line.session.said == ["May I remember what we talked about, for the next time you call?"]
    line.hear(line.session.said[0])
    line.turn("Yes, please.", "What would you like to know?")
    await line.end("caller_hung_up")
    again = await desk.call(remember="ask")
    assert again.session.opening == (
        'Hello Anna, welcome back. Last time you asked: "Where can I park?" How can I help you today?'
    )
    assert again.session.history.memory.caller_name == "Anna"
    again.turn("Are you open on Sunday?", "No.")
    assert again.session.said == [], "asked once"
    await again.end("caller_hung_up")
    third = await desk.call(remember="ask")
    assert third.session.history.memory.questions == ("Where can I park?", "Are you open on Sunday?")


@pytest.mark.parametrize("answer", ["No, thank you.", "How much is a cleaning?"])
async def test_a_caller_who_did_not_agree_is_not_remembered(desk: Desk, answer: str) -> None:
    line = await desk.call(remember="ask")
    line.turn("Where can I park?", "Behind the house.")
    line.hear(line.session.said[0])
    line.turn(answer, "I see.")
    await line.end("caller_hung_up")
    again = await desk.call(remember="ask")
    assert (again.session.opening, again.session.history.memory) == (None, History("").memory)
    again.turn("Are you open on Sunday?", "No.")
    assert bool(again.session.said) is not answer.startswith("No"), "a refusal is kept, no answer is not"


async def test_forget_me_erases_and_is_kept(desk: Desk) -> None:
    await cut_off(desk, "caller_hung_up", remember="on")
    line = await desk.call(remember="on")
    assert line.session.history.memory
    line.turn("Please forget me.", "All right.")
    assert line.session.said == ["I have erased what I remembered about you."]
    assert not line.session.history.memory
    await line.end("caller_hung_up")
    assert not (await desk.call(remember="on")).session.history.memory
    now = datetime.now(UTC)
    (consent,) = await desk.store.memories.consents(("sip:anna@192.0.2.7",), "", now)
    assert not consent.given


async def test_erasing_over_the_api_reaches_a_call_that_goes_on(desk: Desk) -> None:
    await cut_off(desk, "caller_hung_up", remember="on")
    line = await desk.call(remember="on")
    line.turn("Are you open on Sunday?", "No.")
    await desk.store.memories.forget(("sip:anna@192.0.2.7",), wait=True)
    assert not line.session.history.memory
    await line.end("caller_hung_up")
    assert not (await desk.call(remember="on")).session.history.memory


async def test_a_memory_ends_with_its_days(desk: Desk) -> None:
    await cut_off(desk, "caller_hung_up", remember="on", expire_days=3)
    (record,) = await desk.store.memories.of_caller(("sip:anna@192.0.2.7",), "", datetime.now(UTC))
    assert timedelta(days=2.9) < record.expires_at - datetime.now(UTC) <= timedelta(days=3)


async def test_a_call_goes_on_without_its_memory_when_the_database_is_gone(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await cut_off(desk, "caller_hung_up", remember="on")
        await desk.store.database.dispose()
        (tmp_path / "parley.db").write_bytes(b"no database")
        line = await desk.call(remember="on")
        assert not line.session.history.memory
        assert line.session.opening is None
