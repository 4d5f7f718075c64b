# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a service does, the caller hears something sensible within 1.5 s, and the call goes on.

With the deadlines that every agent has. Each case: from the caller's last word, or from when we fell silent, to sound.
"""

from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from agent.config import AgentConfig
from agent.errors import ServiceError, ServiceUnavailable
from agent.events import ReplyFinished, ServiceFailed, TurnCommitted
from agent.services.llm import Conversation, ReplyEvent, TextDelta
from agent.services.stt import Transcript
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle
from tests.fakes.scene import Scene
from tests.fakes.services import STALL, ScriptedLlm, ScriptedSttStream, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time

AUDIBLE_S = 1.5
PHRASES = AgentConfig().phrases
FILLER = PHRASES.filler[0]
QUESTION = "what time do you open"


async def heard_after(scene: Scene) -> float:
    """Ask; seconds from the question's last sample to the first sound."""
    ended_at = await scene.leg.speak(QUESTION)
    await scene.leg.pause_for(2_000)
    return scene.first_sound_after(ended_at) - ended_at


def longest_silence(scene: Scene, since: float, until: float) -> float:
    """Of ours, in that span."""
    sounds = [since, *(one.sent_at for one in scene.leg.packets if one.peak > 0 and since < one.sent_at < until), until]
    return float(max(np.diff(sounds)))


class BrokenLlm(ScriptedLlm):
    """Its client raises what no client should, after some words."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self._words = words

    async def reply(self, conversation: Conversation) -> AsyncIterator[ReplyEvent]:
        for word in self._words:
            yield TextDelta(word)
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "garbage")


class BrokenTts(ScriptedTts):
    """The same, after some speech."""

    async def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncIterator[SpeechChunk]:
        raise ValueError("no audio in this answer")
        yield


class BrokenStream(ScriptedSttStream):
    """Breaks down at the first push."""

    def push(self, samples: object) -> None:
        raise ConnectionResetError


@pytest.mark.parametrize(
    "llm",
    [
        pytest.param(lambda: ScriptedLlm([3.0, "We open at nine."]), id="slow first token"),
        pytest.param(lambda: ScriptedLlm([STALL]), id="no first token"),
        pytest.param(lambda: ScriptedLlm([ServiceUnavailable("llm", "gone")]), id="disconnect"),
        pytest.param(lambda: ScriptedLlm([0.7, ServiceUnavailable("llm", "gone")]), id="late disconnect"),
        pytest.param(lambda: ScriptedLlm([""]), id="nothing"),
        pytest.param(lambda: ScriptedLlm(["\x00\x07<|im_end|>{}[]"]), id="unspeakable"),
        pytest.param(BrokenLlm, id="garbage"),
    ],
)
@in_virtual_time
async def test_a_language_model_that_misbehaves_leaves_nobody_in_silence(llm: Callable[[], ScriptedLlm]) -> None:
    async with Scene(llm=llm()) as scene:
        assert await heard_after(scene) <= AUDIBLE_S
        assert scene.end_reason is None


@pytest.mark.parametrize(
    "tts",
    [
        pytest.param(lambda: ScriptedTts(first_byte_s=2.5), id="slow first byte"),
        pytest.param(lambda: ScriptedTts(first_byte_s=STALL), id="no first byte"),
        pytest.param(lambda: ScriptedTts(failing_clauses={"Certainly.": [STALL]}), id="stall"),
        pytest.param(
            lambda: ScriptedTts(failing_clauses={"Certainly.": [ServiceUnavailable("tts", "gone")]}), id="disconnect"
        ),
        pytest.param(BrokenTts, id="garbage"),
    ],
)
@in_virtual_time
async def test_a_voice_that_misbehaves_leaves_nobody_in_silence(tts: Callable[[], ScriptedTts]) -> None:
    async with Scene(tts=tts()) as scene:
        assert await heard_after(scene) <= AUDIBLE_S
        assert scene.end_reason is None


@pytest.mark.parametrize(
    ("final_s", "failures"),
    [
        pytest.param(3.0, [], id="slow final"),
        pytest.param(STALL, [], id="no final"),
        pytest.param(0.1, [ServiceUnavailable("stt", "gone")], id="disconnect"),
        pytest.param(0.1, [ServiceUnavailable("stt", "gone")] * 9, id="gone for good"),
        pytest.param(0.1, [KeyError("alternatives")] * 9, id="garbage"),
    ],
)
@in_virtual_time
async def test_speech_recognition_that_misbehaves_leaves_nobody_in_silence(
    final_s: float, failures: list[ServiceError]
) -> None:
    async with Scene() as scene:
        scene.stt.final_s = final_s
        scene.stt.failures += failures
        assert await heard_after(scene) <= AUDIBLE_S
        assert scene.end_reason is None


@in_virtual_time
async def test_who_waits_for_an_answer_is_told_so_and_gets_it() -> None:
    async with Scene(llm=ScriptedLlm([3.0, "We open at nine."])) as scene:
        await scene.leg.speak(QUESTION)
        assert (await scene.wait_for(ReplyFinished)).text == f"{FILLER} We open at nine."


@in_virtual_time
async def test_an_answer_that_comes_at_once_needs_no_filler() -> None:
    async with Scene(llm=ScriptedLlm([0.5, "We open at nine."])) as scene:
        await scene.leg.speak(QUESTION)
        assert (await scene.wait_for(ReplyFinished)).text == "We open at nine."


@in_virtual_time
async def test_a_stall_between_two_sentences_is_covered_up() -> None:
    async with Scene(llm=ScriptedLlm(["We open at nine. ", 4.0, "We close at five."])) as scene:
        ended_at = await scene.leg.speak(QUESTION)
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == f"We open at nine. {FILLER} We close at five."
        assert longest_silence(scene, ended_at, finished.ended_at) <= AUDIBLE_S


@in_virtual_time
async def test_the_silence_in_which_a_voice_ends_counts_for_the_caller_waits_in_it() -> None:
    llm = ScriptedLlm(["We open at nine. ", 4.0, "We close at five."])
    async with Scene(llm=llm, tts=ScriptedTts(tail_s=0.4)) as scene:
        ended_at = await scene.leg.speak(QUESTION)
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == f"We open at nine. {FILLER} We close at five."
        assert longest_silence(scene, ended_at, finished.ended_at) <= AUDIBLE_S


@in_virtual_time
async def test_a_stall_within_a_clause_ends_in_an_apology() -> None:
    clause = "We open at nine in the morning."
    tts = ScriptedTts(failing_clauses={clause: [STALL]})
    async with Scene(llm=ScriptedLlm([clause]), tts=tts) as scene:
        ended_at = await scene.leg.speak(QUESTION)
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text.endswith(PHRASES.trouble)
        assert longest_silence(scene, ended_at, finished.ended_at) <= AUDIBLE_S


@in_virtual_time
async def test_a_model_that_fails_once_is_asked_again_and_nobody_hears_of_it() -> None:
    async with Scene(llm=ScriptedLlm([ServiceUnavailable("llm", "busy")], ["We open at nine."])) as scene:
        await scene.leg.speak(QUESTION)
        assert (await scene.wait_for(ReplyFinished)).text == "We open at nine."
        assert scene.all(ServiceFailed) == []


@in_virtual_time
async def test_a_recogniser_that_breaks_down_is_replaced_and_the_next_one_hears_the_turn() -> None:
    async with Scene() as scene:
        scene.stt.failures.append(ServiceUnavailable("stt", "gone"))
        await scene.leg.speak(QUESTION)
        assert (await scene.wait_for(TurnCommitted)).text == QUESTION
        await scene.wait_for(ReplyFinished)
        assert len(scene.stt.streams) == 2
        assert scene.stt.streams[0].is_closed
        await scene.leg.speak("and on sundays")
        assert (await scene.wait_for(TurnCommitted, 2)).text == "and on sundays"


@in_virtual_time
async def test_a_recogniser_that_breaks_down_while_the_caller_speaks_takes_no_call_with_it() -> None:
    async with Scene() as scene:
        await scene.leg.pause_for(100)
        scene.stt.streams[0].__class__ = BrokenStream
        await scene.leg.speak(QUESTION)
        assert (await scene.wait_for(TurnCommitted)).text == QUESTION


@in_virtual_time
async def test_what_was_understood_so_far_is_answered_when_the_final_words_do_not_come() -> None:
    async with Scene() as scene:
        scene.stt.final_s = STALL
        await scene.leg.pause_for(100)

        def hear_half(samples: object) -> None:
            scene.stt.streams[0].on_partial(Transcript("what time do you", False, 0.8))

        scene.stt.streams[0].push = hear_half  # type: ignore[method-assign]
        ended_at = await scene.leg.speak(QUESTION)
        assert (await scene.wait_for(TurnCommitted)).text == "what time do you"
        await scene.wait_for(ReplyFinished)
        assert scene.first_sound_after(ended_at) - ended_at <= AUDIBLE_S


@in_virtual_time
async def test_the_filler_that_was_heard_is_part_of_what_was_said() -> None:
    async with Scene(llm=ScriptedLlm([2.0, "We open at nine."], ["Certainly."])) as scene:
        await scene.leg.speak(QUESTION)
        await scene.wait_for(ReplyFinished)
        await scene.leg.speak("thank you")
        await scene.wait_for(ReplyFinished, 2)
        assert scene.history[1].text == f"{FILLER} We open at nine."
