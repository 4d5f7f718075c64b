# SPDX-License-Identifier: GPL-3.0-or-later
"""What was sent is remembered by position, whatever the pauses between."""

import numpy as np
import pytest

from media.echo import EchoGate
from media.frames import PcmFrame

_FRAME = 160


def sent(position: int) -> PcmFrame:
    samples = np.full(_FRAME, 1_000, "<i2")
    return PcmFrame(samples.tobytes(), 8000, position, position / 8000)


@pytest.mark.parametrize("pause", range(16_000 - 3 * _FRAME, 16_000 + 3 * _FRAME, _FRAME // 2))
def test_we_may_pause_for_two_seconds_or_about_as_long(pause: int) -> None:
    gate, position = EchoGate(), 0
    for _ in range(5):
        gate.receive_sent([sent(position)])
        position += _FRAME + pause
    assert gate.report.gated_ms == 0
