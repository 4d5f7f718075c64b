# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech recognition of one call, opened while the call still rings: connecting takes a hosted service a few round
trips, which no caller should wait for.

    call rings > hold (opens a stream) > call answered > open (takes it)
                                       > call over, or the leg has another rate: closed
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from agent.errors import ServiceError
from agent.services.stt import SpeechToText, SttStream, Transcript

log = structlog.get_logger(__name__)


class EarlyStt:
    """A `SpeechToText` for one call. The first `open` that asks for what was opened ahead takes it; every other one,
    and one whose stream could not be opened ahead, opens another."""

    def __init__(self, stt: SpeechToText, *, sample_rate_hz: int, hints: Sequence[str], language: str) -> None:
        """`sample_rate_hz`: what the leg will probably have."""
        self._stt = stt
        self._wanted = (sample_rate_hz, tuple(hints), language)
        self._opened: asyncio.Future[SttStream | None] = asyncio.get_running_loop().create_future()
        self._is_taken = False
        self._settled = asyncio.Event()
        """Whether it is taken is known."""
        self._on_partial: Callable[[Transcript], None] = lambda _: None

    async def hold(self, until_over: Callable[[], Awaitable[object]]) -> None:
        """Open; close it again when it is known that nobody takes it, which is when the call is over at the latest.
        Raises nothing."""
        rate_hz, hints, language = self._wanted
        stream: SttStream | None = None
        over: asyncio.Future[object] | None = None
        try:
            stream = await self._stt.open(
                sample_rate_hz=rate_hz, on_partial=self._partial, hints=hints, language=language
            )
            self._opened.set_result(stream)
            over = asyncio.ensure_future(until_over())
            settled = asyncio.ensure_future(self._settled.wait())
            await asyncio.wait((over, settled), return_when=asyncio.FIRST_COMPLETED)
            settled.cancel()
        except ServiceError as error:
            log.info("stt_not_opened_early", service=error.service, detail=error.detail)
        except Exception as error:  # of a client: this is only ahead of the time, whoever needs the stream opens one
            log.warning("stt_not_opened_early", cause=type(error).__name__)
        finally:
            if over is not None:
                over.cancel()
            if not self._opened.done():
                self._opened.set_result(None)
            if stream is not None and not self._is_taken:
                self._is_taken = True
                await _close(stream)

    async def open(
        self,
        *,
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
        hints: Sequence[str] = (),
        language: str = "en",
    ) -> SttStream:
        if self._wanted == (sample_rate_hz, tuple(hints), language):
            stream = await asyncio.shield(self._opened)
            if stream is not None and not self._is_taken:
                self._is_taken = True
                self._on_partial = on_partial
                self._settled.set()
                return stream
        self._settled.set()
        return await self._stt.open(
            sample_rate_hz=sample_rate_hz, on_partial=on_partial, hints=hints, language=language
        )

    async def aclose(self) -> None:
        """Nothing to do: the service belongs to whoever made it, the stream to `hold` or to whoever took it."""

    def _partial(self, transcript: Transcript) -> None:
        self._on_partial(transcript)


async def _close(stream: SttStream) -> None:
    try:
        await stream.aclose()
    except Exception as error:  # of a stream that nobody uses
        log.warning("stt_stream_not_closed", cause=type(error).__name__)
