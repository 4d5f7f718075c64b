# SPDX-License-Identifier: GPL-3.0-or-later
"""One call as its caller hears it: early media, an answer, speech, tones and silence, on a line with its noise."""

from dataclasses import dataclass, field

import numpy as np

from agent.far_end_kind import Verdict
from media.frames import PcmSamples
from media.g711 import mu_law
from tests.openings.speakers import RATE_HZ

FULL_SCALE = 32768.0


@dataclass(frozen=True)
class Opening:
    """Seconds are from the first sample."""

    name: str
    part: str
    """`tune`, `held` or `fresh`."""
    kind: str
    """As in the file of texts, or of sound alone: `fax`, `busy`, ..."""
    truth: Verdict
    samples: PcmSamples
    """int16 at 8 kHz, as it comes out of a G.711 decoder."""
    answered_s: float
    spoke_s: float
    """When the first sound of the far end itself began; ringing is none."""
    pauses_s: tuple[tuple[float, float], ...]
    """Begin and end of every silence after that."""
    recording_s: float | None
    """When the last beep ended: what is said from here on is on the machine's tape."""


@dataclass
class Tape:
    """An opening in the making."""

    pieces: list[PcmSamples] = field(default_factory=list)
    answered_s: float = 0.0
    spoke_s: float | None = None
    greeted_s: float | None = None
    """When a recorded greeting ended, and with it what is heard beneath it."""
    recording_s: float | None = None
    _silences: list[tuple[float, float]] = field(default_factory=list)

    @property
    def length_s(self) -> float:
        return sum(len(piece) for piece in self.pieces) / RATE_HZ

    def answer(self) -> None:
        self.answered_s = self.length_s

    def silence(self, seconds: float) -> None:
        begin_s = self.length_s
        self.pieces.append(np.zeros(round(seconds * RATE_HZ), np.int16))
        if self.spoke_s is not None:
            self._silences.append((begin_s, self.length_s))

    def ring(self, sound: PcmSamples) -> None:
        """A sound of the network's."""
        self.pieces.append(sound)

    def play(self, sound: PcmSamples, dbov: float | None = None) -> None:
        """A sound of the far end, at a level if one is given."""
        if self.spoke_s is None:
            self.spoke_s = self.length_s
        self.pieces.append(sound if dbov is None else at_level(sound, dbov))

    def beep(self, sound: PcmSamples) -> None:
        """The beep, or one of several."""
        self.play(sound)
        self.recording_s = self.length_s

    def finish(
        self,
        name: str,
        part: str,
        kind: str,
        truth: Verdict,
        *,
        noise_dbov: float,
        bed: PcmSamples | None = None,
        seed: int = 0,
    ) -> Opening:
        """On the line: its noise, perhaps a sound that goes on beneath it all, and G.711."""
        clean = np.concatenate(self.pieces).astype(float)
        begin = round(self.answered_s * RATE_HZ)
        noisy = np.random.default_rng(seed).normal(0.0, 10 ** (noise_dbov / 20) * FULL_SCALE, len(clean))
        noisy[:begin] *= 0.1  # it is the far end's
        if bed is not None:
            under = np.resize(bed.astype(float), len(clean))
            until = len(clean) if self.greeted_s is None else round(self.greeted_s * RATE_HZ)
            noisy[begin:until] += under[begin:until]
        law = mu_law()
        line = law.decode(law.encode(np.clip(np.rint(clean + noisy), -32768, 32767).astype(np.int16)))
        assert self.spoke_s is not None, "something was heard"
        return Opening(
            name, part, kind, truth, line, self.answered_s, self.spoke_s, tuple(self._silences), self.recording_s
        )


def at_level(sound: PcmSamples, dbov: float) -> PcmSamples:
    """The sound at that mean power, or as near as it gets without clipping."""
    wide = sound.astype(float)
    factor = 10 ** (dbov / 20) * FULL_SCALE / max(1.0, float(np.sqrt(np.mean(wide**2))))
    factor = min(factor, 32000 / max(1.0, float(np.max(np.abs(wide)))))
    scaled: PcmSamples = np.rint(wide * factor).astype(np.int16)
    return scaled
