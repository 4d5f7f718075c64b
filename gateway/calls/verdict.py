# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an inbound call that rings is answered: by whoever its route asks, or by the API, whoever is first."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gateway.errors import CallRejected

if TYPE_CHECKING:
    from gateway.calls.call import Call

BeforeAnswer = Callable[["Call"], Awaitable[None]]
"""Decides over an inbound call while it rings. Raises `CallRejected` to refuse it."""


class Verdict:
    """On one call. Made on a running event loop."""

    def __init__(self, before_answer: BeforeAnswer) -> None:
        self._before_answer = before_answer
        self._given: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_awaited(self) -> bool:
        """Nobody has decided yet."""
        return not self._given.done()

    def accept(self) -> None:
        """Answer it. Only while the verdict is awaited, as `reject`."""
        self._given.set_result(None)

    def reject(self, code: int, reason: str) -> None:
        """Refuse it, with this SIP status and reason phrase."""
        self._given.set_exception(CallRejected(code, reason))

    async def wait(self, call: "Call", over: asyncio.Event) -> bool:
        """Until somebody has decided: True, answer it. False: it is over. Raises `CallRejected`."""
        deciding = asyncio.ensure_future(self._before_answer(call))
        ending = asyncio.ensure_future(over.wait())
        try:
            await asyncio.wait((deciding, self._given, ending), return_when=asyncio.FIRST_COMPLETED)
            if over.is_set():
                return False
            (self._given if self._given.done() else deciding).result()
            return True
        finally:
            self._given.cancel()
            deciding.cancel()
            ending.cancel()
            await asyncio.gather(deciding, ending, self._given, return_exceptions=True)
