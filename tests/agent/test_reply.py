# SPDX-License-Identifier: GPL-3.0-or-later
"""One reply: leading silence, marks, and what playout says of it. Whole replies are in test_session."""

import asyncio
from itertools import count

import numpy as np
import pytest

from agent.config import AgentConfig
from agent.errors import ServiceError
from agent.ledger import LedgerMarks
from agent.phrases import Phrases
from agent.reply import LeadingSilence, Reply, Speaker
from agent.services.llm import Conversation
from media.frames import PcmSamples
from media.playout import Cleared, Heard, UtteranceFinished, UtteranceStarted
from tests.fakes.leg import FakeLeg
from tests.fakes.services import CHARACTERS_PER_S, VOICE_HZ, ScriptedLlm, ScriptedTts, Step
from tests.fakes.virtual_time import in_virtual_time

RATE_HZ = 1_000


def sound(silent_ms: int, loud_ms: int) -> PcmSamples:
    return np.concatenate((np.full(silent_ms, 3, np.int16), np.full(loud_ms, -9_000, np.int16)))


def new_speaker(leg: FakeLeg, tts: ScriptedTts) -> Speaker:
    def fails(error: ServiceError) -> str:
        raise AssertionError(error)

    return Speaker(AgentConfig(), tts, Phrases(tts), leg, count(1), fails, asyncio.get_running_loop().time)


async def speak(reply: Reply, *steps: Step, leg: FakeLeg, tts: ScriptedTts) -> None:
    """Speak a script into a leg that does not tick."""
    speaker = new_speaker(leg, tts)
    await speaker.speak(reply, ScriptedLlm(list(steps)).reply(Conversation(())))


def test_leading_silence_is_taken_off_up_to_the_first_audible_sample() -> None:
    silence = LeadingSilence()
    trimmed = silence.trim(sound(300, 50), RATE_HZ)
    assert len(trimmed) == 50
    assert silence.left_s == 0
    assert len(silence.trim(sound(300, 50), RATE_HZ)) == 350


def test_leading_silence_is_taken_off_across_chunks() -> None:
    silence = LeadingSilence()
    assert [len(silence.trim(sound(100, 0), RATE_HZ)) for _ in range(3)] == [0, 0, 0]
    assert len(silence.trim(sound(50, 20), RATE_HZ)) == 20


def test_a_voice_that_begins_at_once_loses_nothing() -> None:
    silence = LeadingSilence()
    assert len(silence.trim(sound(0, 50), RATE_HZ)) == 50
    assert silence.left_s == 0
    assert len(LeadingSilence().trim(sound(5, 50), RATE_HZ)) == 50


def test_no_more_than_half_a_second_is_taken_off() -> None:
    silence = LeadingSilence()
    trimmed = silence.trim(sound(800, 10), RATE_HZ)
    assert len(trimmed) == 310
    assert silence.left_s == pytest.approx(0.3)


def test_a_voice_that_says_nothing_is_passed_on_after_half_a_second() -> None:
    silence = LeadingSilence()
    assert [len(silence.trim(sound(400, 0), RATE_HZ)) for _ in range(3)] == [0, 300, 400]


def test_a_reply_is_audible_with_its_first_utterance_and_over_with_its_last() -> None:
    marks = LedgerMarks(9.0)
    reply = Reply(1, 0, marks, lead_s=0.01, unsent={5, 6})
    assert reply.receive_playout(UtteranceStarted(5, 10.0))
    assert reply.started_at == pytest.approx(10.01)
    assert not reply.receive_playout(UtteranceFinished(5, 8_000, 11.0))
    assert not reply.receive_playout(UtteranceStarted(6, 11.0))
    reply.is_written = True
    assert not reply.is_over
    reply.receive_playout(UtteranceFinished(6, 8_000, 12.0))
    assert reply.is_over
    ledger = marks.measure(0, interrupted=False)
    assert ledger is not None
    assert ledger.response_ms == pytest.approx(1_010)


def test_utterances_of_other_replies_are_none_of_its_business() -> None:
    reply = Reply(1, unsent={5})
    assert not reply.receive_playout(UtteranceStarted(4, 10.0))
    reply.receive_playout(UtteranceFinished(4, 8_000, 11.0))
    assert (reply.started_at, reply.unsent) == (None, {5})


def test_what_an_announcement_has_not_said_yet_is_known_before_it_is_rendered() -> None:
    reply = Reply(1, announcement="We open at nine. We close at five.")
    assert reply.split(Cleared()) == ("", "We open at nine. We close at five.")


@in_virtual_time
async def test_every_clause_is_an_utterance_of_its_own() -> None:
    reply, leg = Reply(1), FakeLeg()
    await speak(reply, "We open at nine. We close at five.", leg=leg, tts=ScriptedTts())
    first, second = reply.spoken.clauses
    assert (first.text, first.is_whole) == ("We open at nine.", True)
    assert (second.text, second.is_whole) == ("We close at five.", True)
    assert first.utterance_id < second.utterance_id
    assert first.written_samples == pytest.approx(16 / CHARACTERS_PER_S * leg.sample_rate_hz, abs=2)
    assert leg.clear().utterances == (
        Heard(first.utterance_id, 0, first.written_samples),
        Heard(second.utterance_id, 0, second.written_samples),
    )
    assert reply.unsent == {first.utterance_id, second.utterance_id}


@in_virtual_time
async def test_what_is_spoken_is_the_speakable_form_and_what_is_remembered_is_the_written_one() -> None:
    reply, tts = Reply(1), ScriptedTts()
    await speak(reply, "It is $95.", leg=FakeLeg(), tts=tts)
    assert tts.spoken == ["It is ninety-five dollars."]
    assert reply.spoken.text == "It is $95."


@in_virtual_time
async def test_the_marks_are_those_of_the_first_clause() -> None:
    now = asyncio.get_running_loop().time()
    reply = Reply(1, 0, LedgerMarks(now))
    tts = ScriptedTts(first_byte_s=0.3)
    await speak(reply, 0.2, "We open", 0.1, " at nine. ", 0.5, "Later.", leg=FakeLeg(), tts=tts)
    reply.receive_playout(UtteranceStarted(reply.spoken.clauses[0].utterance_id, now + 1.0))
    assert reply.marks is not None
    ledger = reply.marks.measure(0, interrupted=False)
    assert ledger is not None
    passed = {name: round(ms) for name, ms in ledger.segments_ms.items() if ms}
    assert passed == {"llm_first_token": 200, "first_clause": 100, "tts_first_byte": 300, "first_packet_sent": 400}


@in_virtual_time
async def test_a_voice_at_the_legs_own_rate_is_passed_on_as_it_is() -> None:
    reply, leg = Reply(1), FakeLeg(sample_rate_hz=VOICE_HZ)
    await speak(reply, "Yes.", leg=leg, tts=ScriptedTts())
    assert reply.spoken.clauses[0].written_samples == 4 * VOICE_HZ // CHARACTERS_PER_S


@in_virtual_time
async def test_a_voice_that_is_too_loud_is_turned_down() -> None:
    for level, expected in ((5_000, 5_000), (32_000, 32768 * 10 ** (-3 / 20))):
        leg = FakeLeg()
        await speak(Reply(1), "We open at nine.", leg=leg, tts=ScriptedTts(level=level))
        written = leg._segments[0].pcm[800:-800].astype(int)  # the resampler's own edges apart
        assert np.abs(written).max() == pytest.approx(expected, rel=0.05)
