# SPDX-License-Identifier: GPL-3.0-or-later
"""How soon a caller from the RFCs alone (PCMU) hears something: for benchmarks."""

import select
import time

import numpy as np

from tests.e2e.raw_caller import SILENCE, RawCaller

_FRAME_S = 0.02
_WAIT_S = 2.0
_AUDIBLE = 200
"""-44 dB of full scale, as in agent/reply.py."""
_HEADER = 12


def first_audio_ms(port: int, user: str = "agent") -> float | None:
    """One call: from the 200 OK to the first audible sample in an RTP packet; None when nothing was heard."""
    with RawCaller(port) as caller:
        answer = caller.invite(user)
        answered_at = due = time.monotonic()
        assert answer.code == 200, answer.code
        assert caller.remote_rtp is not None
        heard_ms = None
        while heard_ms is None and time.monotonic() < answered_at + _WAIT_S:
            if time.monotonic() >= due:
                caller.rtp.sendto(caller.clock.packet(SILENCE), caller.remote_rtp)
                due += _FRAME_S
            if select.select([caller.rtp], [], [], max(0.0, due - time.monotonic()))[0]:
                samples = _decoded(caller.rtp.recv(2048)[_HEADER:])
                if np.max(samples, initial=0) >= _AUDIBLE:
                    lead_s = int(np.argmax(samples >= _AUDIBLE)) / 8000
                    heard_ms = (time.monotonic() - answered_at + lead_s) * 1e3
        caller.bye(user)
        return heard_ms


def _decoded(payload: bytes) -> "np.typing.NDArray[np.int64]":
    """Mu-law as magnitudes (ITU-T G.711)."""
    code = ~np.frombuffer(payload, np.uint8)
    return ((((code & 0x0F).astype(np.int64) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
