# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that rings, and what its agent will need of services as soon as it is answered."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from agent.early_stt import EarlyStt
from agent.errors import ServiceError
from agent.phrases import Phrases

WarmVoice = Callable[[int], Awaitable[None]]
"""Has a connection ready that speaks at this rate in Hz; cheap when there is one. Raises nothing."""


class Expected:
    """One call's, from when it rings until it is answered or over."""

    def __init__(
        self,
        agent: str,
        stt: EarlyStt | None,
        warm_voice: WarmVoice | None,
        sample_rate_hz: int,
        greeting: tuple[Phrases, str] | None = None,
    ) -> None:
        """`sample_rate_hz`: what the leg will probably have. `greeting`: one for this call alone, and where it is to be
        ready."""
        self.agent = agent
        self.stt = stt
        self.phrases = None if greeting is None else greeting[0]
        self._greeting = "" if greeting is None else greeting[1]
        self._warm_voice = warm_voice
        self._rate_hz = sample_rate_hz
        self._known_hz: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def answered(self, sample_rate_hz: int) -> None:
        """The leg is there, with this rate."""
        if not self._known_hz.done():
            self._known_hz.set_result(sample_rate_hz)

    async def run(self, until_over: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            if self.stt is not None:
                tasks.create_task(self.stt.hold(until_over), name="early-stt")
            if self.phrases is not None:
                tasks.create_task(self._render(self.phrases), name="early-greeting")
            if self._warm_voice is not None:
                tasks.create_task(self._warm(self._warm_voice, until_over), name="early-tts")

    async def _render(self, phrases: Phrases) -> None:
        with contextlib.suppress(ServiceError):  # it is rendered when it is said, then
            await phrases.prepare([self._greeting])

    async def _warm(self, warm_voice: WarmVoice, until_over: Callable[[], Awaitable[object]]) -> None:
        await warm_voice(self._rate_hz)
        over = asyncio.ensure_future(until_over())
        try:
            await asyncio.wait((self._known_hz, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
        if self._known_hz.done() and self._known_hz.result() != self._rate_hz:
            await warm_voice(self._known_hz.result())
