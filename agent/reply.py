# SPDX-License-Identifier: GPL-3.0-or-later
"""One reply on its way from the language model to the caller.

    words > ReadAhead > ClauseQueue > Renderer > (first clause: leading silence off) > StreamResampler > AudioOut

One clause after the other, each under an utterance id of its own, so that playout can tell exactly which were heard.
Playing takes longer than rendering: the next clause is rendered while the former one plays, but not long ahead of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
import structlog

from agent.clauses import Clause, ClauseQueue
from agent.config import AgentConfig
from agent.conversation import SpokenClause, SpokenReply
from agent.errors import ServiceError, ServiceUnavailable
from agent.events import AudioOut
from agent.ledger import LedgerMarks, Stage
from agent.phrases import Phrases
from agent.read_ahead import ReadAhead
from agent.rendering import Renderer
from agent.services.llm import Cited, Pause, ReplyEvent, Silence, TextDelta, ToolCall
from agent.services.tts import SpeechStyle, TextToSpeech
from media.frames import PcmSamples
from media.limiter import Limiter
from media.playout import Cleared, PlayoutEvent, UtteranceFinished, UtteranceStarted
from media.resample import StreamResampler

log = structlog.get_logger(__name__)

_SLICE_S = 0.5
"""Engines render whole sentences at a time; converting one at a stroke would hold up every other call."""
_RETRY_S = 0.05
"""How soon to offer audio again that the queue had no room for."""
_LEADING_SILENCE_S = 0.5
"""At most this much is taken off a voice's beginning."""
_AUDIBLE = 200
"""Samples from this value on are audible: -44 dB of full scale. A voice begins with them: at most 228 in 19 clauses of
the offline one, too soft a step to be a click."""


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
    is_ours: asyncio.Event | None = None
    """Not set while the caller may still go on: until then nothing is written. None: the turn is ours."""
    renders_ahead: bool = True
    """While the turn is not ours, the first clause is rendered already; else only the words are waited for."""
    has_failed: bool = False
    is_written: bool = False
    lead_s: float = 0.0
    """Silence left in front of the first clause."""
    unsent: set[int] = field(default_factory=set)
    """Utterances of which not all has been sent."""
    is_mid_clause: bool = False
    """A clause has been written in part: nothing else may be, until it is whole."""
    audible_until: float = 0.0
    """When the last sound of what is written will have been sent; the silence after it is waited in already."""
    fillers: int = 0
    """Clauses spoken that were no answer."""

    def split(self, cleared: Cleared) -> tuple[str, str]:
        """The words that were heard, and those, as far as they are known, that were not."""
        heard_text, unheard_text = self.spoken.split(cleared)
        if self.announcement:
            unheard_text = " ".join(self.announcement.split()[len(heard_text.split()) :])
        return heard_text, unheard_text

    @property
    def is_over(self) -> bool:
        return self.is_written and not self.unsent

    @property
    def is_ahead(self) -> bool:
        """The turn it would answer is not over yet."""
        return self.is_ours is not None and not self.is_ours.is_set()

    async def until_ours(self) -> None:
        """Return when it may be heard."""
        if self.is_ours is not None:
            await self.is_ours.wait()

    def mark(self, stage: Stage, at: float) -> None:
        if self.marks is not None:
            self.marks.mark(stage, at)

    def waited(self, since: float, until: float) -> None:
        """A service was waited for."""
        if self.marks is not None:
            self.marks.waited(since, until)

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
        *,
        joins_sentences: bool = False,
    ) -> None:
        """`on_failure` is told what failed, and returns what to say to the caller instead."""
        self._joins = joins_sentences
        self._config = config
        self._renderer = Renderer(config, tts, phrases)
        self._out = out
        self._utterance_ids = utterance_ids
        self._on_failure = on_failure
        self._clock = clock
        self._limiter: Limiter | None = None
        self._is_behind: Callable[[], bool] = lambda: False

    def adapt(self, style: SpeechStyle) -> None:
        """Speak so from the next clause on; what the markup says comes on top."""
        self._renderer.adaptation = style

    def use_voice(self, voice: str | None) -> None:
        """Speak with this voice from the next clause on; what was rendered ahead has the one before."""
        self._renderer.voice = voice

    @property
    def is_behind(self) -> bool:
        """Words have come that are not written yet."""
        return self._is_behind()

    async def speak(self, reply: Reply, words: AsyncIterator[ReplyEvent]) -> None:
        """Speak all of it; return when all is written. The caller hears something even if a service fails."""
        try:
            await self._answer(reply, words)
        except ServiceError as error:
            reply.has_failed = True
            if reply.is_ahead:
                return  # the turn will be answered afresh
            phrase = self._on_failure(error)
            try:
                await self._apologize(reply, phrase)
            except ServiceError as second:
                log.warning("apology_failed", service=second.service, detail=second.detail)
        await reply.until_ours()  # it may have had nothing to say
        reply.is_written = True

    async def _answer(self, reply: Reply, words: AsyncIterator[ReplyEvent]) -> None:
        clauses = ClauseQueue(joins=self._joins, is_ready=self._renderer.is_ready)
        may_be_empty = False
        failure: ServiceError | None = None
        async with ReadAhead(words) as events:
            is_saying = False
            self._is_behind = lambda: is_saying or events.holds_any or clauses.has_words
            while True:
                try:
                    if events.is_over:
                        break
                    asked_at = self._clock()
                    event = await events.next(clauses.patience_s(self._out.queued_ms))
                    reply.waited(asked_at, self._clock())
                except ServiceError as error:
                    failure = error
                    break
                match event:
                    case TextDelta(text):
                        reply.mark(Stage.LLM_FIRST_TOKEN, self._clock())
                        clauses.push(text)
                    case ToolCall("hang_up") if any(fnmatchcase("hang_up", name) for name in self._config.tools):
                        reply.hang_up = "goodbye"
                    case ToolCall():
                        log.warning("tool_unknown")  # its name is the model's words
                    case Cited(sources):
                        reply.sources = tuple(dict.fromkeys((*reply.sources, *sources)))
                    case Pause():
                        clauses.end_clause()
                    case Silence():
                        may_be_empty = True
                is_saying = True
                while (clause := clauses.next(self._out.queued_ms)) is not None:
                    await self._say(reply, clause)
                is_saying = False
        if failure is not None:  # what was whole is said before the apology
            clauses.break_off()
            await self._say_rest(reply, clauses)
            raise failure
        clauses.close()
        await self._say_rest(reply, clauses)
        if len(reply.spoken.clauses) == reply.fillers and reply.hang_up is None and not may_be_empty:
            raise ServiceUnavailable("llm", "the answer was empty")

    async def fill(self, reply: Reply, phrase: str) -> None:
        """Say this now if its sound was rendered beforehand, unless something else of the reply is audible by then."""
        clauses = ClauseQueue()
        clauses.push(phrase)
        clauses.close()
        rate_hz = self._out.sample_rate_hz
        sounds: list[tuple[Clause, PcmSamples]] = []
        while (clause := clauses.next(0.0)) is not None:
            if not self._renderer.is_ready(clause.text):
                return
            resampler: StreamResampler | None = None
            parts: list[PcmSamples] = []
            async with aclosing(self._renderer.render(clause, rate_hz)) as chunks:
                async for chunk in chunks:
                    resampler = resampler or StreamResampler(chunk.sample_rate_hz, rate_hz)
                    parts.append(resampler.process(chunk.samples))
            if resampler is not None:
                sounds.append((clause, np.concatenate((*parts, resampler.flush()))))
        if reply.is_written or reply.is_mid_clause or self._out.queued_ms > 0 or rate_hz != self._out.sample_rate_hz:
            return
        for clause, samples in sounds:
            self._write_filler(reply, clause, self._limit(samples, rate_hz), rate_hz)

    def _write_filler(self, reply: Reply, clause: Clause, samples: PcmSamples, rate_hz: int) -> None:
        """At a stroke: the queue is empty, and nobody else writes before it is there."""
        spoken = SpokenClause(next(self._utterance_ids), clause.text, rate_hz, is_whole=True)
        pcm = samples.astype("<i2", copy=False).tobytes()
        if accepted := self._out.play(spoken.utterance_id, pcm, rate_hz):
            spoken.wrote(samples[:accepted])
            reply.fillers += 1
            reply.spoken.clauses.append(spoken)
            reply.unsent.add(spoken.utterance_id)
            reply.audible_until = self._audible_until(spoken)
            self._out.end_utterance(spoken.utterance_id)

    async def _apologize(self, reply: Reply, phrase: str) -> None:
        clauses = ClauseQueue()
        clauses.push(phrase)
        clauses.close()
        await self._say_rest(reply, clauses)

    async def _say_rest(self, reply: Reply, clauses: ClauseQueue) -> None:
        while not clauses.is_over:
            queued_ms = self._out.queued_ms
            if (clause := clauses.next(queued_ms)) is not None:
                await self._say(reply, clause)
            else:
                await asyncio.sleep(clauses.patience_s(queued_ms) or 0.0)

    async def _say(self, reply: Reply, clause: Clause) -> None:
        """Render one clause and write it, as it comes."""
        reply.mark(Stage.FIRST_CLAUSE, self._clock())
        if not reply.renders_ahead:
            await reply.until_ours()
        if clause.pause_ms and reply.spoken.clauses:
            silence = np.zeros(clause.pause_ms * self._out.sample_rate_hz // 1000, np.int16)
            pause = SpokenClause(0, "", self._out.sample_rate_hz)
            await self._write(reply, pause, silence)
            self._out.end_utterance(pause.utterance_id)
            reply.is_mid_clause = False
        spoken = SpokenClause(0, clause.text, self._out.sample_rate_hz)
        lead = LeadingSilence() if not reply.spoken.clauses else None
        resampler: StreamResampler | None = None
        try:
            async with aclosing(self._renderer.render(clause, spoken.sample_rate_hz)) as chunks:
                asked_at = self._clock()
                async for chunk in chunks:
                    reply.waited(asked_at, self._clock())
                    reply.mark(Stage.TTS_FIRST_BYTE, self._clock())
                    samples = chunk.samples
                    if lead is not None:
                        samples = lead.trim(samples, chunk.sample_rate_hz)
                        reply.lead_s = lead.left_s
                    step = round(_SLICE_S * chunk.sample_rate_hz)
                    if resampler is None or resampler.from_hz != chunk.sample_rate_hz:
                        resampler = StreamResampler(chunk.sample_rate_hz, spoken.sample_rate_hz)
                    for begin in range(0, len(samples), step):
                        await self._write(reply, spoken, resampler.process(samples[begin : begin + step]))
                        await asyncio.sleep(0)
                    asked_at = self._clock()
            if resampler is not None:
                await self._write(reply, spoken, resampler.flush())
            spoken.is_whole = True
        finally:
            reply.is_mid_clause = False
            if spoken.written_samples:
                self._out.end_utterance(spoken.utterance_id)

    async def _write(self, reply: Reply, clause: SpokenClause, samples: PcmSamples) -> None:
        if not clause.written_samples:
            await reply.until_ours()
            clause.utterance_id = next(self._utterance_ids)  # not before: ids only grow, and others may play till then
        limited = self._limit(samples, clause.sample_rate_hz).astype("<i2", copy=False)
        pcm = limited.tobytes()
        while pcm:
            accepted = self._out.play(clause.utterance_id, pcm, clause.sample_rate_hz)
            if accepted:
                if not clause.written_samples:
                    reply.spoken.clauses.append(clause)
                    reply.unsent.add(clause.utterance_id)
                    reply.mark(Stage.FIRST_SAMPLE_WRITTEN, self._clock())
                clause.wrote(limited[:accepted])
                limited = limited[accepted:]
                reply.is_mid_clause = True
                reply.audible_until = self._audible_until(clause)
            pcm = pcm[2 * accepted :]
            if pcm:
                await asyncio.sleep(_RETRY_S)

    def _audible_until(self, newest: SpokenClause) -> float:
        return self._clock() + self._out.queued_ms / 1e3 - newest.audible.silent_tail / newest.sample_rate_hz

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
        room = max(0, round((_LEADING_SILENCE_S - self._dropped_s) * sample_rate_hz))
        start = min(silent, room)
        self._dropped_s += start / sample_rate_hz
        self._is_done = bool(len(audible)) or start < silent
        self.left_s = (silent - start) / sample_rate_hz
        return samples[start:]
