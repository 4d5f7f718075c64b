# SPDX-License-Identifier: GPL-3.0-or-later
"""ITU-T G.711 mu-law, for peers that stream raw payload. Parley itself leaves codecs to PJMEDIA."""

import numpy as np
from numpy.typing import NDArray

from media.frames import PcmSamples

_BIAS = 132
_CLIP = 32635


def mu_law(samples: PcmSamples) -> bytes:
    """Encode int16 samples, shape (n,), one byte each."""
    wide = samples.astype(np.int32)
    magnitude = np.minimum(np.abs(wide), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(wide < 0, 0x80, 0)
    code: NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return code.tobytes()


def from_mu_law(payload: bytes) -> PcmSamples:
    """Decode to int16 samples, shape (n,)."""
    code = ~np.frombuffer(payload, dtype=np.uint8).astype(np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _BIAS) << ((code >> 4) & 0x07)) - _BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)
