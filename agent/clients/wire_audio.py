# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech services' audio bytes to samples, cut anywhere: 16-bit PCM and G.711's mu-law, without a container."""

import base64
from collections.abc import Sequence
from typing import Literal

import numpy as np

from media.frames import PcmSamples
from media.g711 import mu_law

Encoding = Literal["pcm_s16le", "mulaw"]
PREFERRED_HZ = 16_000
"""When nobody says what leg it is for: speech rendered ahead of any call."""
G711_HZ = 8_000


def offered_rate(wanted_hz: int | None, offered_hz: Sequence[int]) -> int:
    """Of the rates a service has (ascending), the lowest that keeps all that the leg can carry."""
    wanted = wanted_hz or PREFERRED_HZ
    return next((rate for rate in offered_hz if rate >= wanted), offered_hz[-1])


class AudioBytes:
    """One stream of audio."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._half = b""
        """The first byte of a sample whose second one has not come yet."""

    def read(self, data: bytes) -> PcmSamples:
        """The samples that are whole now: int16, shape (n,)."""
        if self._encoding == "mulaw":
            return mu_law().decode(data)
        if self._half:
            data = self._half + data
        whole = len(data) & ~1
        self._half = data[whole:]
        return np.frombuffer(data, "<i2", whole // 2)

    def read_base64(self, text: object) -> PcmSamples:
        """The same of a JSON message's field. Raises `ValueError` when it is none."""
        if not isinstance(text, str):
            raise ValueError("no text")
        return self.read(base64.b64decode(text))
