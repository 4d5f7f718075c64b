# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise suppression, for callers in the street: WebRTC's, by the library webrtc-noise-gain (extra `noise`).

    frame > 16 kHz > 10 ms blocks > WebRTC's suppressor > the frame's own rate > as many samples as came, a little later

Off by default: README, "Noise", has its measured effect on recognition, which is not good for every noise.
"""

from typing import Literal

import numpy as np

from media.errors import MediaMisuse
from media.frames import PcmSamples, check_rate
from media.resample import StreamResampler

try:
    from webrtc_noise_gain import AudioProcessor
except ImportError:  # an extra: whoever leaves noise in needs no library
    AudioProcessor = None

Strength = Literal["low", "medium", "high"]

_LEVELS: dict[Strength, int] = {"low": 1, "medium": 2, "high": 3}
_RATE_HZ = 16000
"""The library's only one."""
_BLOCK = _RATE_HZ // 100
_NO_AUTOMATIC_GAIN = 0
"""That is `media.gain`'s."""


def is_installed() -> bool:
    """Whether the library is there."""
    return AudioProcessor is not None


class NoiseSuppressor:
    """One caller's. Keeps the number of samples; what comes out is `delay_samples` late."""

    def __init__(self, sample_rate_hz: int, strength: Strength) -> None:
        """Raises `MediaMisuse` without the library: `is_installed` is for the configuration to ask."""
        if AudioProcessor is None:
            raise MediaMisuse("noise suppression needs the extra noise: .venv/bin/pip install -e '.[noise]'")
        self.sample_rate_hz = check_rate(sample_rate_hz)
        self._processor = AudioProcessor(_NO_AUTOMATIC_GAIN, _LEVELS[strength])
        self._widen = StreamResampler(sample_rate_hz, _RATE_HZ)
        self._narrow = StreamResampler(_RATE_HZ, sample_rate_hz)
        self._waiting = np.empty(0, np.int16)
        self.delay_samples = self._narrow.delay_samples + (
            (self._widen.delay_samples + _BLOCK) * sample_rate_hz // _RATE_HZ
        )
        self._ready = np.zeros(self.delay_samples, np.int16)
        """Begins with the delay, so that there is always enough to give back."""

    def process(self, samples: PcmSamples) -> PcmSamples:
        """The next piece of the stream, any length."""
        self._waiting = np.concatenate((self._waiting, self._widen.process(samples)))
        whole = len(self._waiting) // _BLOCK * _BLOCK
        blocks = [self._clean(self._waiting[at : at + _BLOCK]) for at in range(0, whole, _BLOCK)]
        self._waiting = self._waiting[whole:]
        if blocks:
            cleaned = np.frombuffer(b"".join(blocks), "<i2")
            self._ready = np.concatenate((self._ready, self._narrow.process(cleaned)))
        output, self._ready = self._ready[: len(samples)], self._ready[len(samples) :]
        return output

    def _clean(self, block: PcmSamples) -> bytes:
        cleaned: bytes = self._processor.Process10ms(block.tobytes()).audio
        return cleaned
