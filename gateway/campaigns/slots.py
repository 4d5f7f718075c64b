# SPDX-License-Identifier: GPL-3.0-or-later
"""When INVITEs may go out, so that a rate of calls holds over any second, not on the average only."""

import asyncio
import math

_WINDOW_S = 1.08
"""A second, and what INVITEs of two gateways may be nearer together where they arrive than their slots are (measured:
54 ms with two busy ones on one machine)."""


def gap_s(cps: float) -> float:
    """Between two INVITEs of all gateways: then no second has more than `cps` of them.

    Of 2.5 a second two fit into each second, of 0.5 one into every other.
    """
    return _WINDOW_S / math.floor(cps) if cps >= 1 else _WINDOW_S / cps


class SendPermits:
    """This gateway's INVITEs of the last second. After a stall of the machine, those that have waited must not leave
    together; and what leaves slowly must not be caught up with. So an INVITE counts until a second after it is out.
    """

    def __init__(self, cps: float) -> None:
        self._window_s = 1.0 if cps >= 1 else 1.0 / cps
        self._free = asyncio.Semaphore(max(1, math.floor(cps)))

    async def take(self) -> None:
        """Returns when the next one may leave; `receive_sent` is owed for it."""
        await self._free.acquire()

    def receive_sent(self) -> None:
        """One is out, or will never be."""
        asyncio.get_running_loop().call_later(self._window_s, self._free.release)
