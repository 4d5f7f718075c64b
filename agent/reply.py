# SPDX-License-Identifier: GPL-3.0-or-later
"""One reply on its way from the language model to the caller.

    words > ClauseChunker > speakable > TextToSpeech > (first clause: leading silence off) > StreamResampler > AudioOut

One clause after the other, each under an utterance id of its own, so that playout can tell exactly which were heard.
Playing takes longer than rendering: the next clause is rendered while the former one plays, but not long ahead of it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
import structlog

from agent.config import AgentConfig
from agent.conversation import SpokenClause, SpokenReply
from agent.deadlines import within
from agent.errors import ServiceError, ServiceUnavailable
from agent.events import AudioOut
from agent.ledger import LedgerMarks, Stage
from agent.phrases import Phrases
from agent.sentences import ClauseChunker
from agent.services.llm import Cited, Pause, ReplyEvent, Silence, TextDelta, ToolCall
from agent.services.tts import SpeechChunk, TextToSpeech
from agent.speakable import speakable
from media.frames import PcmSamples
from media.limiter import Limiter
from media.playout import Cleared, PlayoutEvent, UtteranceFinished, UtteranceStarted
from media.resample import StreamResampler

log = structlog.get_logger(__name__)

_LOOKAHEAD_MS = 4_000
"""No clause is rendered while more than this is waiting to be sent: most of it would be lost to an interruption."""
_SLICE_S = 0.5
"""Engines render whole sentences at a time; converting one at a stroke would hold up every other call."""
_RETRY_S = 0.05
"""How soon to offer audio again that the queue had no room for."""
_LEADING_SILENCE_S = 0.5
"""At most this much is taken off a voice's beginning."""
_LEAD_S = 0.01
"""This much is left on: consonants begin softly."""
_AUDIBLE = 200
"""Samples from this value on are audible: -44 dB of full scale."""


@dataclass(slots=True)
class Reply:
    """What is known of one reply while it is prepared and spoken."""

    reply_id: int
    turn_index: int | None = None
    marks: LedgerMarks | None = None
    """None for announcements."""
    announcement: str = ""
    """All the words, if they were known beforehand."""
    spoken: SpokenReply = field(default_factory=SpokenReply)
    started_at: float | None = None
    """When its first audible sample was sent."""
    sources: tuple[str, ...] = ()
    """What it rests on."""
    hang_up: str | None = None
    """End the call when it has been heard, for this reason."""
    has_failed: bool = False
    is_written: bool = False
    lead_s: float = 0.0
    """Silence left in front of the first clause."""
    unsent: set[int] = field(default_factory=set)
    """Utterances of which not all has been sent."""

    def split(self, cleared: Cleared) -> tuple[str, str]:
        """The words that were heard, and those, as far as they are known, that were not."""
        heard_text, unheard_text = self.spoken.split(cleared)
        if self.announcement:
            unheard_text = " ".join(self.announcement.split()[len(heard_text.split()) :])
        return heard_text, unheard_text

    @property
    def is_over(self) -> bool:
        return self.is_written and not self.unsent

    def mark(self, stage: Stage, at: float) -> None:
        if self.marks is not None:
            self.marks.mark(stage, at)

    def receive_playout(self, event: PlayoutEvent) -> bool:
        """Take what playout says about one of this reply's utterances; return whether it is now first audible."""
        if event.utterance_id not in self.unsent:
            return False
        match event:
            case UtteranceStarted() if self.started_at is None:
                self.started_at = event.sent_at + self.lead_s
                self.mark(Stage.FIRST_PACKET_SENT, self.started_at)
                return True
            case UtteranceFinished():
                self.unsent.discard(event.utterance_id)
        return False


class Speaker:
    """One call's mouth: speaks one reply at a time into `out`."""

    def __init__(
        self,
        config: AgentConfig,
        tts: TextToSpeech,
        phrases: Phrases,
        out: AudioOut,
        utterance_ids: Iterator[int],
        on_failure: Callable[[ServiceError], str],
        clock: Callable[[], float],
    ) -> None:
        """`on_failure` is told what failed, and returns what to say to the caller instead."""
        self._config = config
        self._tts = tts
        self._phrases = phrases
        self._out = out
        self._utterance_ids = utterance_ids
        self._on_failure = on_failure
        self._clock = clock
        self._limiter: Limiter | None = None

    async def speak(self, reply: Reply, words: AsyncIterator[ReplyEvent]) -> None:
        """Speak all of it; return when all is written. The caller hears something even if a service fails."""
        try:
            await self._answer(reply, words)
        except ServiceError as error:
            reply.has_failed = True
            phrase = self._on_failure(error)
            try:
                await self._say_all(reply, ClauseChunker(), phrase)
            except ServiceError as second:
                log.warning("apology_failed", service=second.service, detail=second.detail)
        reply.is_written = True

    async def _answer(self, reply: Reply, words: AsyncIterator[ReplyEvent]) -> None:
        chunker = ClauseChunker()
        may_be_empty = False
        async with aclosing(words) if isinstance(words, AsyncGenerator) else nullcontext(words) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        reply.mark(Stage.LLM_FIRST_TOKEN, self._clock())
                        for clause in chunker.push(text):
                            await self._say(reply, clause)
                    case ToolCall("hang_up") if any(fnmatchcase("hang_up", name) for name in self._config.tools):
                        reply.hang_up = "goodbye"
                    case ToolCall(name):
                        log.warning("tool_unknown", tool=name)
                    case Cited(sources):
                        reply.sources = tuple(dict.fromkeys((*reply.sources, *sources)))
                    case Pause():
                        await self._say_all(reply, chunker)
                    case Silence():
                        may_be_empty = True
        await self._say_all(reply, chunker)
        if not reply.spoken.clauses and reply.hang_up is None and not may_be_empty:
            raise ServiceUnavailable("llm", "the answer was empty")

    async def _say_all(self, reply: Reply, chunker: ClauseChunker, text: str = "") -> None:
        for clause in (*chunker.push(text), *chunker.flush()):
            await self._say(reply, clause)

    async def _say(self, reply: Reply, text: str) -> None:
        """Render one clause and write it, as it comes."""
        reply.mark(Stage.FIRST_CLAUSE, self._clock())
        if (ahead_ms := self._out.queued_ms - _LOOKAHEAD_MS) > 0:
            await asyncio.sleep(ahead_ms / 1e3)
        clause = SpokenClause(next(self._utterance_ids), text, self._out.sample_rate_hz)
        silence = LeadingSilence() if not reply.spoken.clauses else None
        resampler: StreamResampler | None = None
        try:
            async with aclosing(self._render(text)) as chunks:
                async for chunk in chunks:
                    reply.mark(Stage.TTS_FIRST_BYTE, self._clock())
                    samples = chunk.samples
                    if silence is not None:
                        samples = silence.trim(samples, chunk.sample_rate_hz)
                        reply.lead_s = silence.left_s
                    step = round(_SLICE_S * chunk.sample_rate_hz)
                    if resampler is None or resampler.from_hz != chunk.sample_rate_hz:
                        resampler = StreamResampler(chunk.sample_rate_hz, clause.sample_rate_hz)
                    for begin in range(0, len(samples), step):
                        await self._write(reply, clause, resampler.process(samples[begin : begin + step]))
                        await asyncio.sleep(0)
            if resampler is not None:
                await self._write(reply, clause, resampler.flush())
            clause.is_whole = True
        finally:
            if clause.written_samples:
                self._out.end_utterance(clause.utterance_id)

    async def _render(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        if (ready := self._phrases.get(text)) is not None:
            for chunk in ready:
                yield chunk
            return
        deadlines = self._config.deadlines
        speech = self._tts.synthesize(speakable(text), voice=self._config.voice)
        in_time = within(speech, "tts", first_ms=deadlines.tts_first_byte_ms, next_ms=deadlines.tts_stall_ms)
        async with aclosing(in_time) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _write(self, reply: Reply, clause: SpokenClause, samples: PcmSamples) -> None:
        pcm = self._limit(samples, clause.sample_rate_hz).astype("<i2", copy=False).tobytes()
        while pcm:
            accepted = self._out.play(clause.utterance_id, pcm, clause.sample_rate_hz)
            if accepted:
                if not clause.written_samples:
                    reply.spoken.clauses.append(clause)
                    reply.unsent.add(clause.utterance_id)
                    reply.mark(Stage.FIRST_SAMPLE_WRITTEN, self._clock())
                clause.written_samples += accepted
            pcm = pcm[2 * accepted :]
            if pcm:
                await asyncio.sleep(_RETRY_S)

    def _limit(self, samples: PcmSamples, sample_rate_hz: int) -> PcmSamples:
        """No voice is too loud, whatever its service sends."""
        if self._limiter is None or self._limiter.sample_rate_hz != sample_rate_hz:
            self._limiter = Limiter(sample_rate_hz)
        return self._limiter.process(samples)


class LeadingSilence:
    """Takes the silence off the beginning of a voice, within bounds."""

    def __init__(self) -> None:
        self._dropped_s = 0.0
        self._is_done = False
        self.left_s = 0.0
        """Silence that still precedes the first audible sample."""

    def trim(self, samples: PcmSamples, sample_rate_hz: int) -> PcmSamples:
        """The next chunk without what is silent at the beginning of it all."""
        if self._is_done:
            return samples
        audible = np.flatnonzero((samples >= _AUDIBLE) | (samples <= -_AUDIBLE))
        silent = int(audible[0]) if len(audible) else len(samples)
        lead = round(_LEAD_S * sample_rate_hz)
        room = max(0, round((_LEADING_SILENCE_S - self._dropped_s) * sample_rate_hz))
        start = min(silent - min(lead, silent) if len(audible) else silent, room)
        self._dropped_s += start / sample_rate_hz
        self._is_done = bool(len(audible)) or start < silent
        self.left_s = (silent - start) / sample_rate_hz
        return samples[start:]
