# SPDX-License-Identifier: GPL-3.0-or-later
"""G.711 in Python: tables that agree with media/native/codecs.cpp, so that a code passes PCM and comes back the same.

Source: ITU-T G.711. Of the two codes for zero in mu-law the positive one (0xFF) is sent.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from media.frames import PcmSamples

_MU_BIAS = 0x84


class G711:
    """One of the two laws. A code is a byte, at 8 kHz."""

    def __init__(self, codes_as_pcm: PcmSamples) -> None:
        """`codes_as_pcm`: the sample that every code stands for, shape (256,)."""
        self._decoded = codes_as_pcm
        self._encoded = _nearest_codes(codes_as_pcm)

    def decode(self, codes: bytes | bytearray | memoryview) -> PcmSamples:
        return self._decoded[np.frombuffer(codes, np.uint8)]

    def encode(self, samples: PcmSamples) -> bytes:
        return self._encoded[samples.view(np.uint16)].tobytes()


@lru_cache
def mu_law() -> G711:
    """G.711 mu-law (PCMU)."""
    inverted = ~np.arange(256) & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + _MU_BIAS << (inverted >> 4 & 7)) - _MU_BIAS
    return G711(np.where(inverted & 0x80, -magnitude, magnitude).astype(np.int16))


@lru_cache
def a_law() -> G711:
    """G.711 A-law (PCMA)."""
    toggled = np.arange(256) ^ 0x55  # every other bit is sent inverted
    segment = toggled >> 4 & 7
    magnitude = ((toggled & 0x0F) << 4) + 8
    magnitude = np.where(segment > 0, (magnitude + 0x100) << np.maximum(segment - 1, 0), magnitude)
    return G711(np.where(toggled & 0x80, magnitude, -magnitude).astype(np.int16))


def _nearest_codes(codes_as_pcm: PcmSamples) -> NDArray[np.uint8]:
    """The code for every sample, indexed by its 16 bits unsigned: the one whose value is nearest."""
    codes = np.lexsort((-np.arange(256), codes_as_pcm))  # equal values, mu-law's two zeros: the higher code first
    values, first = np.unique(codes_as_pcm[codes], return_index=True)
    codes = codes[first]
    samples = np.arange(-32768, 32768)
    upper = np.clip(np.searchsorted(values, samples), 0, len(values) - 1)
    lower = np.maximum(upper - 1, 0)
    is_lower = samples - values[lower].astype(np.int32) <= values[upper].astype(np.int32) - samples
    nearest = codes[np.where(is_lower, lower, upper)].astype(np.uint8)
    table = np.empty(65536, np.uint8)
    table[samples & 0xFFFF] = nearest
    table.setflags(write=False)
    return table
