# SPDX-License-Identifier: GPL-3.0-or-later
"""A line with an echo, made from a seed: what was sent comes back late, quieter and coloured, in a codec's words."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin

from media.frames import PcmSamples
from media.level import FULL_SCALE
from tests.mulaw import from_mu_law, mu_law

Kind = Literal["flat", "hybrid", "room", "muffled"]
"""A wire; the mismatched hybrid of an analogue line (8 ms); a speakerphone in a room (RT60 0.43 s); 900 Hz low-pass."""


@dataclass(frozen=True)
class EchoLine:
    """At 8 kHz, over G.711 both ways."""

    delay_ms: float
    gain_db: float
    kind: Kind = "flat"
    noise_dbov: float = -65.0
    seed: int = 1

    def echo(self, sent: PcmSamples) -> NDArray[np.float64]:
        """What comes back of this, of the same length, before noise and codec."""
        returned = np.convolve(from_mu_law(mu_law(sent)).astype(np.float64), self._response())[: len(sent)]
        delayed = np.concatenate((np.zeros(round(self.delay_ms * 8)), returned))[: len(sent)]
        echo: NDArray[np.float64] = delayed * 10 ** (self.gain_db / 20)
        return echo

    def heard(self, sent: PcmSamples, caller: PcmSamples | None = None) -> PcmSamples:
        """What arrives of this echo and the caller (of the same length), in G.711."""
        rng = np.random.default_rng(self.seed + 1)
        line = self.echo(sent) + rng.standard_normal(len(sent)) * FULL_SCALE * 10 ** (self.noise_dbov / 20)
        if caller is not None:
            line += caller
        return from_mu_law(mu_law(np.clip(line, -32768, 32767).astype(np.int16)))

    def _response(self) -> NDArray[np.float64]:
        rng = np.random.default_rng(self.seed)
        match self.kind:
            case "flat":
                response = np.ones(1)
            case "hybrid":
                response = np.exp(-np.arange(64) / 10) * rng.standard_normal(64)
            case "room":
                response = np.exp(-np.arange(3400) / 500) * rng.standard_normal(3400)
                response[:4] *= 6.0
            case "muffled":
                response = firwin(63, 900, fs=8000)
        power: NDArray[np.float64] = response / np.sqrt(np.sum(response**2))
        return power
