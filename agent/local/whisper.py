# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech to text with Whisper: a recogniser for whole utterances, made to listen while the caller speaks.

    push > TurnAudio > every 300 ms of speech: quick decode of the turn so far > partial
                     > at a pause of 120 ms:   thorough decode of it           > partial, and the final one if
                                                                                 nothing but silence follows
    final > the thorough decode of all that was heard: done, under way, or begun now

Decoding at the first pause means that the final transcript is usually ready when the endpointing asks for it. Whisper
hears at most 30 s, so in a longer turn the text of the part before a pause is committed and its audio forgotten.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from agent.errors import AgentMisuse, ServiceRejected, ServiceUnavailable
from agent.local.inference import InferencePool, Job, Priority
from agent.local.logmel import SAMPLE_RATE_HZ, waveform
from agent.local.turn_audio import TurnAudio
from agent.local.whisper_model import MAX_AUDIO_S, QUICK, THOROUGH, Decoded, Effort, WhisperModel
from agent.services.stt import Transcript
from media.frames import PcmSamples
from media.resample import StreamResampler

_PARTIAL_EVERY_MS = 300
_PAUSE_MS = 120
"""Longer than the closure of a stop consonant, shorter than any endpointing wait."""
_MAYBE_PAUSE_MS = 40
_COMMIT_AFTER_S = 15.0
"""From here on a pause ends a segment of a long turn."""
_CUT_AFTER_S = 25.0
"""Who speaks that long without a pause is cut at the quietest moment of the last `_CUT_AMONG_S`."""
_CUT_AMONG_S = 10.0
_CUT_WINDOW_MS = 200
_TALKING_WITHIN_MS = 500

_log = structlog.get_logger(__name__)


class WhisperSpeechToText:
    """A `SpeechToText` on one `WhisperModel`, shared by all calls."""

    def __init__(self, model: WhisperModel, pool: InferencePool, *, partials_up_to_callers: int = 4) -> None:
        """While more callers than that speak at once, or work is waiting in the pool, nobody gets partials."""
        self._model = model
        self._pool = pool
        self._partials_up_to_callers = partials_up_to_callers
        self._talking: set[WhisperStream] = set()

    async def open(
        self,
        *,
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
        hints: Sequence[str] = (),
        language: str = "en",
    ) -> "WhisperStream":
        if not self._model.knows(language):
            raise ServiceRejected("whisper", f"the model does not know the language {language!r}")
        return WhisperStream(self, sample_rate_hz, on_partial, tuple(hints), language)

    @property
    def talking(self) -> int:
        """Callers speaking now."""
        return len(self._talking)

    @property
    def has_time_for_partials(self) -> bool:
        return len(self._talking) <= self._partials_up_to_callers and self._pool.queued == 0

    @property
    def has_free_worker(self) -> bool:
        return self._pool.idle

    def note_talking(self, stream: "WhisperStream", talking: bool) -> None:
        """A stream's caller speaks, or has stopped."""
        if talking:
            self._talking.add(stream)
        else:
            self._talking.discard(stream)

    def submit(
        self, priority: Priority, samples: PcmSamples, effort: Effort, hints: Sequence[str], language: str
    ) -> Job[Decoded]:
        """Queue a decode; audio at 16 kHz."""
        return self._pool.submit(priority, self._decode, samples, effort, hints, language)

    def _decode(self, samples: PcmSamples, effort: Effort, hints: Sequence[str], language: str) -> Decoded:
        try:
            return self._model.decode(waveform(samples), effort, hints, language)
        except (RuntimeError, ValueError) as error:  # what CTranslate2 raises
            raise ServiceUnavailable("whisper", str(error)) from error

    async def aclose(self) -> None:
        """Nothing to do: the pool and the model belong to whoever made them."""


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A decode that is under way."""

    job: Job[Decoded]
    epoch: int
    until: int
    """Position up to which it hears the turn."""
    thorough: bool
    commits: bool
    """Its text becomes part of the turn for good, and the audio up to `until` is forgotten."""

    @property
    def is_running(self) -> bool:
        return self.job.started and not self.job.result.done()


class WhisperStream:
    """An `SttStream`. At most one quick and one thorough decode of it are under way ahead of `final`."""

    def __init__(
        self,
        engine: WhisperSpeechToText,
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
        hints: Sequence[str],
        language: str,
    ) -> None:
        self._engine = engine
        self._resampler = StreamResampler(sample_rate_hz, SAMPLE_RATE_HZ)
        self._on_partial = on_partial
        self._hints = hints
        self._language = language
        self._audio = TurnAudio(MAX_AUDIO_S)
        self._closed = False
        self._epoch = 0
        """Counts what makes earlier decodes worthless: a new turn, a commit."""
        self._committed: list[Decoded] = []
        self._quick: _Request | None = None
        self._thorough: _Request | None = None
        self._quick_until = 0
        """Up to here a quick decode was asked for,"""
        self._thorough_until = 0
        """and up to here a thorough one."""
        self._heard = Decoded("", 0.0)
        """What the newest thorough decode heard,"""
        self._heard_until = 0
        """and up to where."""
        self._partial_until = 0
        self._partial_text = ""

    @property
    def dropped_samples(self) -> int:
        """At 16 kHz: lost because a turn outgrew 30 s faster than it could be decoded."""
        return self._audio.dropped_samples

    def push(self, samples: PcmSamples) -> None:
        if self._closed:
            raise AgentMisuse("push() on a closed stream")
        self._audio.append(self._resampler.process(samples))
        self._engine.note_talking(self, self._audio.has_sound and self._audio.quiet_ms < _TALKING_WITHIN_MS)
        self._decode_ahead()

    async def final(self) -> Transcript:
        ahead = self._thorough
        if ahead is not None and ahead.is_running and (ahead.commits or ahead.until >= self._audio.sound_end):
            await asyncio.wait([ahead.job.result])  # its outcome, good or bad, is in our state then
        elif ahead is not None and not ahead.job.started:
            ahead.job.result.cancel()
        epoch, committed = self._epoch, list(self._committed)
        if not self._audio.has_sound:
            return _transcript(committed, is_final=True)
        if self._heard_until >= self._audio.sound_end:
            return _transcript([*committed, self._heard], is_final=True)
        until = self._audio.end
        job = self._engine.submit(Priority.FINAL, self._audio.samples(), THOROUGH, self._hints, self._language)
        decoded = await job.result
        if epoch == self._epoch:
            self._heard, self._heard_until = decoded, until
        return _transcript([*committed, decoded], is_final=True)

    def next_turn(self, keep_ms: int) -> None:
        self._audio.next_turn(keep_ms)
        self._committed.clear()
        self._new_epoch()
        self._engine.note_talking(self, False)

    async def aclose(self) -> None:
        self._closed = True
        self._new_epoch()
        self._engine.note_talking(self, False)

    def _new_epoch(self) -> None:
        self._epoch += 1
        for request in (self._quick, self._thorough):
            if request is not None:
                request.job.result.cancel()
        self._quick = self._thorough = None
        self._quick_until = self._thorough_until = self._heard_until = self._partial_until = self._audio.start
        self._heard = Decoded("", 0.0)
        self._partial_text = ""

    def _decode_ahead(self) -> None:
        """Start a decode if one is due."""
        audio = self._audio
        if self._thorough is not None:
            return
        at_pause = audio.quiet_ms >= _PAUSE_MS
        if audio.seconds >= _COMMIT_AFTER_S and at_pause:
            if not audio.has_sound:
                audio.drop_before(audio.end - SAMPLE_RATE_HZ)
            elif self._heard_until >= audio.sound_end:
                self._commit(self._heard, self._heard_until)
            else:
                self._ask(Priority.SPEECH, THOROUGH, audio.end, commits=True)
            return
        if audio.seconds >= _CUT_AFTER_S:
            self._ask(Priority.SPEECH, THOROUGH, audio.quietest(_CUT_AMONG_S, _CUT_WINDOW_MS), commits=True)
            return
        if audio.sound_end <= self._thorough_until:
            return
        if at_pause:
            if self._engine.has_free_worker:
                self._ask(Priority.PARTIAL, THOROUGH, audio.end, commits=False)
            return
        if audio.quiet_ms >= _MAYBE_PAUSE_MS:
            return  # a worker that hears what was said so far could not hear all of it in a moment
        news = audio.end - max(self._quick_until, self._thorough_until)
        is_due = self._quick is None and news >= _PARTIAL_EVERY_MS * SAMPLE_RATE_HZ // 1000
        if is_due and self._engine.has_time_for_partials:
            self._ask(Priority.PARTIAL, QUICK, audio.end, commits=False)

    def _ask(self, priority: Priority, effort: Effort, until: int, *, commits: bool) -> None:
        samples = self._audio.samples(until)
        job = self._engine.submit(priority, samples, effort, self._hints, self._language)
        request = _Request(job, self._epoch, until, effort is THOROUGH, commits)
        if request.thorough:
            self._thorough, self._thorough_until = request, until
        else:
            self._quick, self._quick_until = request, until
        job.result.add_done_callback(partial(self._receive_decoded, request))

    def _receive_decoded(self, request: _Request, result: asyncio.Future[Decoded]) -> None:
        if self._thorough is request:
            self._thorough = None
        elif self._quick is request:
            self._quick = None
        if result.cancelled():
            return
        error = result.exception()
        if error is not None:
            _log.warning("decode_ahead_failed", error=type(error).__name__)
        elif request.epoch != self._epoch:
            return
        elif request.commits:
            self._commit(result.result(), request.until)
        else:
            if request.thorough:
                self._heard, self._heard_until = result.result(), request.until
            self._show_partial(request.until, result.result(), is_stable=request.thorough)

    def _commit(self, segment: Decoded, until: int) -> None:
        """The turn has become long: keep the text of its first part, forget the sound."""
        self._committed.append(segment)
        self._audio.drop_before(until)
        self._new_epoch()
        self._show_partial(until, None)

    def _show_partial(self, until: int, decoded: Decoded | None, *, is_stable: bool = False) -> None:
        if until < self._partial_until:
            return  # a quick decode overtaken by a thorough one
        self._partial_until = until
        transcript = _transcript([*self._committed, *([decoded] if decoded else [])], is_final=False)
        if transcript.text and (is_stable or transcript.text != self._partial_text):
            self._partial_text = transcript.text
            self._on_partial(replace(transcript, is_stable=is_stable))


def _transcript(segments: Sequence[Decoded], *, is_final: bool) -> Transcript:
    """The segments as one; it is as sure as the least sure of them."""
    spoken = [segment for segment in segments if segment.text]
    confidence = min((segment.confidence for segment in spoken), default=0.0)
    return Transcript(" ".join(segment.text for segment in spoken), is_final, confidence)
