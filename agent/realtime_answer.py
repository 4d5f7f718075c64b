# SPDX-License-Identifier: GPL-3.0-or-later
"""One answer of a speech-to-speech service on its way to the caller: what has come, what was written, what was sent.

AnswerSound > the leg's rate > waits while the queue is full > playout > milliseconds that were really sent
"""

from dataclasses import dataclass, field

from agent.audible import AudibleTime
from agent.events import AudioOut
from agent.ledger import LedgerMarks
from media.frames import PcmSamples
from media.resample import StreamResampler


@dataclass(slots=True)
class SpokenAnswer:
    """One. It is one utterance of the leg."""

    answer_id: str
    utterance_id: int
    reply_id: int
    turn_index: int | None
    """The turn it answers; None: an announcement."""
    marks: LedgerMarks | None
    text: str = ""
    started_at: float | None = None
    is_whole: bool = False
    """All of it has come."""
    _waiting: bytearray = field(default_factory=bytearray, repr=False)
    _resampler: StreamResampler | None = field(default=None, repr=False)
    _sound: AudibleTime = field(default_factory=AudibleTime, repr=False)
    written_samples: int = 0

    def receive(self, samples: PcmSamples, sample_rate_hz: int, out: AudioOut) -> None:
        """Some more of it."""
        if self._resampler is None or self._resampler.from_hz != sample_rate_hz:
            self._resampler = StreamResampler(sample_rate_hz, out.sample_rate_hz)
        converted = self._resampler.process(samples)
        self._sound.append(converted, out.sample_rate_hz)
        self._waiting += converted.astype("<i2", copy=False).tobytes()

    def end(self, out: AudioOut) -> None:
        """That was all."""
        if not self.is_whole:
            self.is_whole = True
            if self._resampler is not None:
                self._waiting += self._resampler.flush().astype("<i2", copy=False).tobytes()
            self.write(out)

    def write(self, out: AudioOut) -> bool:
        """As much as the queue takes; whether something is left that it did not take."""
        if self._waiting:
            accepted = out.play(self.utterance_id, bytes(self._waiting), out.sample_rate_hz)
            self.written_samples += accepted
            del self._waiting[: 2 * accepted]
        if self.is_whole and not self._waiting:
            out.end_utterance(self.utterance_id)
        return bool(self._waiting)

    def heard_text(self, heard_samples: int) -> str:
        """The words up to there: as many of them as of what can be heard."""
        words = self.text.split()
        whole = self._sound.total
        share = self._sound.until(heard_samples) / whole if whole else 0.0
        letters, count = sum(map(len, words)) * share, 0.0
        for number, word in enumerate(words):
            if count + len(word) / 2 > letters:
                return " ".join(words[:number])
            count += len(word)
        return self.text.strip()
