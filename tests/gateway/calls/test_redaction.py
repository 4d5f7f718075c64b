# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept and told of a call is redacted; the agent hears every word."""

import asyncio
from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.dialogue import AgentServices
from agent.events import ReplyInterrupted, ReplyStarted, SilencePrompted, TranscriptPartial, TurnCommitted
from agent.phrases import Phrases
from agent.recollection import Exchange, Recollection
from agent.redaction import ALL_KINDS, Kind
from agent.session import AgentSession
from gateway.calls.agent import ConfiguredAgents
from gateway.calls.redaction import Redaction, redacted_transcript
from gateway.environment import load_config
from gateway.errors import ConfigError
from gateway.store.records import TranscriptEntry
from tests.fakes.services import ScriptedDetector, ScriptedLlm, ScriptedModel, ScriptedStt, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time
from tests.gateway.calls.test_agent import Attended, LineCall


@pytest.fixture(autouse=True)
def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions take the time of the test's loop."""
    defaults = AgentSession.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "clock", lambda: asyncio.get_running_loop().time())


class ToldCall(LineCall):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.facts.metadata = {"first_name": "Anna", "last_name": "Lindqvist"}
        self.events: list[tuple[str, dict[str, object]]] = []
        self.is_watched = True

    def publish(self, kind: str, **data: object) -> None:
        self.events.append((kind, data))

    def texts(self, kind: str) -> list[object]:
        return [data["text"] for one, data in self.events if one == kind]


def agents_on(
    call: ToldCall, llm: ScriptedLlm, redact: tuple[Kind, ...] | None, usual: tuple[Kind, ...] = ()
) -> ConfiguredAgents:
    tts = ScriptedTts()
    services = AgentServices(ScriptedStt(call.leg.utterances), llm, tts, ScriptedDetector(), Phrases(tts))
    config = AgentConfig(greeting="Good morning, Lindqvist.", redact=redact)
    return ConfiguredAgents({"desk": config}, {"desk": services}, ScriptedModel, echo_gate=False, redact=usual)


@pytest.mark.parametrize(("redact", "usual"), [(("cards", "names"), ()), (None, ("cards", "names"))])
@in_virtual_time
async def test_the_record_and_the_events_are_redacted_and_the_agent_hears_the_words(
    redact: tuple[Kind, ...] | None, usual: tuple[Kind, ...]
) -> None:
    call, llm = ToldCall(), ScriptedLlm(["Thank you, Anna."])
    agents, clock = agents_on(call, llm, redact, usual), asyncio.create_task(call.leg.run())
    async with Attended(agents, call, "desk") as activity:
        call.leg.on_frames = activity.session.feed
        await asyncio.sleep(5)
        activity._receive(TranscriptPartial(0, "it is four one one one one one"))
        await call.leg.speak("what time do you open Anna")
        await asyncio.sleep(6)
        heard = [one.text for one in activity.session.history.snapshot().messages if one.role != "system"]
        for turn, (said, answer) in enumerate(
            (
                ("It is 4111 1111", "Go on."),
                ("1111 1111.", "So it is 4111 1111, and so on, Anna."),
                ("That is right", "Goodbye."),
            ),
            start=1,
        ):
            activity._receive(TurnCommitted(turn, said, 0.9, 0.0, 1.0))
            activity._receive(ReplyStarted(turn + 10, turn, 1.0))
            activity._receive(ReplyInterrupted(turn + 10, turn, answer, answer[:-2], 1.0, 2.0))
        activity._receive(SilencePrompted(1, "Are you there, Anna?"))
    assert heard[1:] == ["what time do you open Anna", "Thank you, Anna."], "the agent hears the words"
    assert call.entries == [
        "Good morning, [name].",
        "what time do you open [name]",
        "Thank you, [name].",
        "It is [card]",
        "Go on.",
        "[card].",
        "So it is [card], and so on, [name].",
        "That is right",
        "Goodbye.",
    ]
    assert call.texts("transcript.final") == call.entries
    assert call.texts("transcript.partial")[0] == "it is [card]"
    assert call.texts("silence.prompted")[-1] == "Are you there, [name]?"
    told = str([data for kind, data in call.events])
    assert not any(word in told for word in ("Anna", "4111", "1111", "Lindqvist"))
    clock.cancel()


@in_virtual_time
async def test_without_kinds_everything_is_kept_as_it_was_said_at_once() -> None:
    call, llm = ToldCall(), ScriptedLlm(["Thank you."])
    agents, clock = agents_on(call, llm, (), ALL_KINDS_IN_ORDER), asyncio.create_task(call.leg.run())
    async with Attended(agents, call, "desk") as activity:
        call.leg.on_frames = activity.session.feed
        await asyncio.sleep(5)
        await call.leg.speak("what time do you open")
        await asyncio.sleep(6)
        assert "what time do you open" in call.entries
    clock.cancel()


ALL_KINDS_IN_ORDER = tuple(sorted(ALL_KINDS))


@in_virtual_time
async def test_what_was_held_back_is_kept_when_the_call_ends() -> None:
    call, llm = ToldCall(), ScriptedLlm()
    agents, clock = agents_on(call, llm, ("numbers",)), asyncio.create_task(call.leg.run())
    async with Attended(agents, call, "desk") as activity:
        call.leg.on_frames = activity.session.feed
        await asyncio.sleep(5)
        activity._receive(TurnCommitted(0, "it is four four eight", 0.9, 0.0, 1.0))
        activity._receive(ReplyStarted(7, 0, 1.0))
        assert call.entries == ["Good morning, Lindqvist."], "it may go on"
    assert call.entries == ["Good morning, Lindqvist.", "it is four four eight"]
    clock.cancel()


def test_a_memory_is_redacted_and_without_names_nobody_is_greeted_by_one() -> None:
    what = Recollection(
        "Anna", (Exchange("Is Anna's card 4111 1111 1111 1111 good?", "Yes, Anna"),), ("call Anna",), ""
    )
    kept = Redaction(("cards", "names"), lambda entry: None).recollection(what)
    assert kept == Recollection("", (Exchange("Is [name]'s card [card] good?", "Yes, [name]"),), ("call [name]",), "")
    only_cards: tuple[Kind, ...] = ("cards",)
    assert Redaction(only_cards, lambda entry: None).recollection(what).caller_name == "Anna"
    assert Redaction((), lambda entry: None).recollection(what) == what


def test_a_call_that_was_kept_as_it_was_said_is_redacted_whole() -> None:
    said = TranscriptEntry(role="user", text="it is 4111 1111", started_ms=0, ended_ms=1)
    entries = [said, replace_text(said, "1111 1111"), replace_text(said, "my name is Anna"), replace_text(said, "Anna")]
    assert [one.text for one in redacted_transcript(entries, ALL_KINDS)] == [
        "it is [card]",
        "[card]",
        "my name is [name]",
        "[name]",
    ]


def replace_text(entry: TranscriptEntry, text: str) -> TranscriptEntry:
    return entry.model_copy(update={"text": text})


def test_text_backends_get_the_words_unless_asked_otherwise() -> None:
    call = ToldCall()
    agents = agents_on(call, ScriptedLlm(), ("cards",))
    assert agents.for_streams("desk")("4111 1111 1111 1111") == "4111 1111 1111 1111"
    agents._redact_streams = True
    assert agents.for_streams("desk")("4111 1111 1111 1111") == "[card]"
    assert agents.for_streams(None)("4111 1111 1111 1111") == "4111 1111 1111 1111", "nothing is redacted there"


def test_the_settings_name_kinds_and_a_kind_that_there_is_not_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "parley.toml"
    file.write_text('[redaction]\nredact = ["cards", "iban"]\n[agents.desk]\nredact = ["names"]\n')
    config = load_config(file, {})
    assert config.redaction.redact == ("cards", "iban")
    assert config.agents["desk"].redact == ("names",)
    assert load_config(None, {}).redaction.redact == ()
    file.write_text('[redaction]\nredact = ["faces"]\n')
    with pytest.raises(ConfigError, match="redact"):
        load_config(file, {})
