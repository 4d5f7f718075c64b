# SPDX-License-Identifier: GPL-3.0-or-later
"""RTP ports for gateways that run side by side: each has a slice of its own, whoever started it."""

import os
import socket

_FIRST = 12_000
_SLICES = 16
_SLICE_PORTS = 1_000
"""Enough for 400 calls. All slices are below 28000, where the tests' own telephones begin, and below 32768, from where
Linux gives out ports to those who ask for any."""


class RtpPorts:
    """A slice, until this is garbage: its first port is bound, which is how others, in any process, see that it is
    taken."""

    def __init__(self) -> None:
        """Raises `OSError` when all are taken."""
        self._mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for number in range(_SLICES):
            # Begun at different places, so that a port that lingers is not asked for at once.
            first = _FIRST + (os.getpid() + number) % _SLICES * _SLICE_PORTS
            try:
                self._mark.bind(("127.0.0.1", first))
            except OSError:
                continue
            self.low, self.high = first + 2, first + _SLICE_PORTS - 1
            return
        self.close()
        raise OSError("every slice of RTP ports is taken")

    def close(self) -> None:
        """Somebody else may have it."""
        self._mark.close()
