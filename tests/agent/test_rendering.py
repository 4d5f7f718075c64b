# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines leave of a style is made of their samples, and heard truth counts what was really written."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import numpy as np
import pytest

from agent.config import AgentConfig, VoiceStyleConfig
from agent.errors import ServiceError
from agent.phrases import Phrases
from agent.reply import Reply, Speaker
from agent.services.llm import Conversation
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle
from media.playout import Cleared, Heard
from tests.fakes.leg import FakeLeg
from tests.fakes.services import VOICE_HZ, ScriptedLlm, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time

SENTENCE = "We open at nine in the morning."


class PacedTts(ScriptedTts):
    """Has a control of its own for pace, and none else."""

    async def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().synthesize(text, voice=voice, style=style):
            length = round(len(chunk.samples) / style.rate)
            yield SpeechChunk(np.full(length, self.level, np.int16), VOICE_HZ, SpeechStyle(rate=style.rate))


async def said(text: str, tts: ScriptedTts, *, style: VoiceStyleConfig | None = None) -> tuple[Reply, FakeLeg]:
    reply, leg = Reply(1), FakeLeg()

    def fails(error: ServiceError) -> str:
        raise AssertionError(error)

    config = AgentConfig(voice_style=style or VoiceStyleConfig())
    speaker = Speaker(config, tts, Phrases(tts), leg, count(1), fails, asyncio.get_running_loop().time)
    await speaker.speak(reply, ScriptedLlm([text]).reply(Conversation(())))
    return reply, leg


def peak(leg: FakeLeg) -> float:
    return float(np.abs(leg._segments[0].pcm[1_000:-1_000].astype(int)).max())


@pytest.mark.parametrize("tts", [ScriptedTts(), PacedTts()], ids=["without a control", "with its own"])
@in_virtual_time
async def test_slow_words_take_longer_whoever_makes_them_slow(tts: ScriptedTts) -> None:
    plain, _ = await said(SENTENCE, tts)
    slow, leg = await said(f"<slow>{SENTENCE}</slow>", tts)
    (clause,) = slow.spoken.clauses
    assert clause.written_samples == pytest.approx(plain.spoken.clauses[0].written_samples / 0.8, rel=0.03)
    assert clause.text == SENTENCE
    assert leg.queued_ms == pytest.approx(clause.written_samples / 8)


@in_virtual_time
async def test_half_of_a_slow_clause_is_half_of_its_words() -> None:
    reply, _ = await said(f"<slow>{SENTENCE}</slow>", ScriptedTts())
    (clause,) = reply.spoken.clauses
    cleared = Cleared((Heard(clause.utterance_id, clause.written_samples // 2, clause.written_samples // 2),))
    heard, rest = reply.split(cleared)
    assert f"{heard} {rest}" == SENTENCE
    assert heard in ("We open at nine", "We open at nine in")


@in_virtual_time
async def test_softer_words_are_softer() -> None:
    _, plain = await said(SENTENCE, ScriptedTts())
    _, soft = await said(f'<prosody volume="-6dB">{SENTENCE}</prosody>', ScriptedTts())
    assert peak(soft) / peak(plain) == pytest.approx(0.5, rel=0.05)


@in_virtual_time
async def test_the_agents_own_style_lies_under_the_markup() -> None:
    style = VoiceStyleConfig(rate=0.8)
    plain, _ = await said(SENTENCE, ScriptedTts())
    own, _ = await said(SENTENCE, ScriptedTts(), style=style)
    slower, _ = await said(f'<prosody rate="75%">{SENTENCE}</prosody>', ScriptedTts(), style=style)
    lengths = [reply.spoken.clauses[0].written_samples for reply in (plain, own, slower)]
    assert lengths[1] / lengths[0] == pytest.approx(1 / 0.8, rel=0.03)
    assert lengths[2] / lengths[0] == pytest.approx(1 / 0.6, rel=0.03)


@in_virtual_time
async def test_markup_is_neither_spoken_nor_remembered_and_a_code_is_spelled() -> None:
    tts = ScriptedTts()
    reply, _ = await said('Your code is <spell>AB4</spell>. <emotion name="friendly">Thank you.</emotion>', tts)
    assert tts.spoken == ["Your code is", "A, B, four", "Thank you."]
    assert reply.spoken.text == "Your code is AB4. Thank you."


@in_virtual_time
async def test_a_pause_is_silence_of_that_length_and_holds_no_words() -> None:
    reply, leg = await said('One moment.<break time="500ms"/> Here it is.', ScriptedTts())
    first, pause, second = reply.spoken.clauses
    assert (first.text, pause.text, second.text) == ("One moment.", "", "Here it is.")
    assert pause.written_samples == 4_000
    assert not leg._segments[1].pcm.any()
    assert reply.spoken.text == "One moment. Here it is."
    assert reply.split(Cleared((Heard(second.utterance_id, 0, second.written_samples),))) == (
        "One moment.",
        "Here it is.",
    )


@in_virtual_time
async def test_a_pause_before_the_first_word_is_left_out() -> None:
    reply, _ = await said('<break time="2s"/>Hello.', ScriptedTts())
    assert [clause.text for clause in reply.spoken.clauses] == ["Hello."]


@in_virtual_time
async def test_speech_is_asked_for_at_the_legs_rate() -> None:
    tts = ScriptedTts()
    _, leg = await said(SENTENCE, tts)
    assert tts.rates_hz == [leg.sample_rate_hz]
