# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller hears while the backend is away, so that the line does not seem dead. Sync and clockless."""

from dataclasses import dataclass, field

import numpy as np

from gateway.streams.playout import Line
from media.frames import PcmSamples
from media.resample import resample

NOISE_DBOV = -45.0
"""Level of the noise: as loud as a quiet office on the telephone, well below speech at -20 to -26."""
_NOISE_RATE_HZ = 8000
_NOISE_S = 4
_SEED = 4
_BEFORE_END_MS = 40.0
"""What the backend has left is played first: this begins so long before its end."""
_AHEAD_MS = 400.0
_PIECE_MS = 200


@dataclass(frozen=True, eq=False)
class ComfortSound:
    """Played over and over."""

    samples: PcmSamples
    sample_rate_hz: int
    _converted: dict[int, PcmSamples] = field(default_factory=dict)

    def at_rate(self, sample_rate_hz: int) -> PcmSamples:
        """The sound at a leg's rate; every rate is converted once."""
        if sample_rate_hz not in self._converted:
            self._converted[sample_rate_hz] = resample(self.samples, self.sample_rate_hz, sample_rate_hz)
        return self._converted[sample_rate_hz]


def noise(level_dbov: float = NOISE_DBOV) -> ComfortSound:
    """Noise that falls with frequency, as a room has it, without a seam where it begins anew."""
    count = _NOISE_S * _NOISE_RATE_HZ
    random = np.random.default_rng(_SEED)
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / _NOISE_RATE_HZ)
    spectrum *= 1 / np.maximum(frequencies, 100.0)
    spectrum[(frequencies < 50.0) | (frequencies > 3400.0)] = 0.0
    signal = np.fft.irfft(spectrum, count)
    signal *= 32768 * 10 ** (level_dbov / 20) / np.sqrt(np.mean(signal**2))
    return ComfortSound(np.rint(signal).astype(np.int16), _NOISE_RATE_HZ)


class ComfortAudio:
    """One stream's."""

    def __init__(self, line: Line, sound: ComfortSound) -> None:
        self.next_timeout: float | None = None
        self._line = line
        self._sound = sound
        self._samples = sound.samples
        self._rate_hz = 0
        self._position = 0
        self._utterance_id = 0

    def start(self, now: float) -> None:
        """Play as soon as nothing else is queued."""
        self._line.resume()
        self._position = 0
        self.handle_timeout(now)

    def stop(self) -> None:
        self.next_timeout = None
        if self._utterance_id:
            self._utterance_id = 0
            self._line.clear()

    def handle_timeout(self, now: float) -> None:
        queued_ms = self._line.queued_ms
        if not self._utterance_id and queued_ms > _BEFORE_END_MS:
            self.next_timeout = now + (queued_ms - _BEFORE_END_MS) / 1000
            return
        if not self._utterance_id:
            self._utterance_id = next(self._line.utterance_ids)
        while queued_ms < _AHEAD_MS:
            piece = self._next_piece()
            taken = self._line.play(self._utterance_id, piece, self._rate_hz)
            if taken * 2 < len(piece):
                break
            queued_ms += _PIECE_MS
        self.next_timeout = now + _PIECE_MS / 1000

    def _next_piece(self) -> bytes:
        if self._rate_hz != self._line.sample_rate_hz:
            self._rate_hz = self._line.sample_rate_hz
            self._samples = self._sound.at_rate(self._rate_hz)
        count = self._rate_hz * _PIECE_MS // 1000
        piece = np.take(self._samples, np.arange(self._position, self._position + count), mode="wrap")
        self._position = (self._position + count) % len(self._samples)
        return piece.astype("<i2").tobytes()
