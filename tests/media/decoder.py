# SPDX-License-Identifier: GPL-3.0-or-later
"""FFmpeg, as the player of somebody who was sent a recording."""

import io
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from media.encryption import EncryptionKey
from media.recording_source import RecordingSource

KEY = EncryptionKey(bytes(range(32)))
OTHER_KEY = EncryptionKey(bytes(32))


def decoded(content: bytes) -> tuple[NDArray[np.int16], int]:
    """A file's sound, shape (n, 2), and its rate in Hz."""
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.audio[0]
        rate_hz = stream.rate
        to_s16 = av.AudioResampler(format="s16", layout="stereo", rate=rate_hz)
        frames = container.decode(stream)
        blocks = [block.to_ndarray().reshape(-1, 2) for frame in frames for block in to_s16.resample(frame)]
    return (np.concatenate(blocks) if blocks else np.empty((0, 2), np.int16)), rate_hz


def played(path: Path, key: EncryptionKey | None = None) -> tuple[NDArray[np.int16], int]:
    """The same of a recording on the disk, with the key it was encrypted with."""
    with RecordingSource(path, key) as source:
        return decoded(b"".join(source.read()))
