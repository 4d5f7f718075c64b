# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech recognition of one leg: a stream for each rate the leg has, opened, replaced when it breaks down, closed.

frames > Ear > SttStream > partial transcripts (`on_partial`), the turn's transcript (`transcript`)
"""

import asyncio
from collections.abc import Callable

import structlog

from agent.config import AgentConfig
from agent.deadlines import in_time
from agent.ear import Ear
from agent.errors import ServiceError, ServiceLate
from agent.services.stt import SpeechToText, SttStream, Transcript
from agent.tasks import SessionTasks

log = structlog.get_logger(__name__)

_REOPEN_AFTER_S = (1.0, 2.0, 4.0, 8.0)
"""When speech recognition cannot be opened."""


class Recognition:
    """One session's."""

    def __init__(
        self,
        config: AgentConfig,
        stt: SpeechToText,
        sample_rate_hz: int,
        tasks: SessionTasks,
        on_partial: Callable[[Transcript], None],
        on_failure: Callable[[ServiceError], None],
    ) -> None:
        """`on_failure` is told of every attempt to open that failed."""
        self._config = config
        self._stt = stt
        self._tasks = tasks
        self._on_partial = on_partial
        self._on_failure = on_failure
        self.ear = Ear(sample_rate_hz, config.speech.preroll_ms)

    def begin(self) -> None:
        """Open a stream; to be called when tasks can run."""
        self._tasks.listen(self._attach(self.ear))

    def receive_rate(self, sample_rate_hz: int) -> None:
        """The leg has a new rate: what was just being said is lost."""
        self.ear = Ear(sample_rate_hz, self._config.speech.preroll_ms)
        if self._tasks.is_running:
            self.begin()

    async def words(self) -> Transcript:
        """What was heard so far. Raises `ServiceError`."""
        return await in_time(self.ear.transcript(), "stt", self._config.deadlines.stt_final_ms)

    async def transcript(self) -> Transcript:
        """The turn's, whatever becomes of the recogniser, within one deadline. Raises `ServiceError`."""
        return await in_time(self._transcript(), "stt", self._config.deadlines.stt_final_ms)

    async def _transcript(self) -> Transcript:
        """The turn's. A recogniser that breaks down is replaced, once; the next one is given what the turn has said."""
        if self.ear.is_lost:
            self.begin()
        try:
            return await self.words()
        except ServiceLate:
            raise
        except ServiceError as error:
            if not error.retryable:
                raise
            self.ear.detach()
            self.begin()
            return await self.ear.transcript()

    async def _attach(self, ear: Ear) -> None:
        """Give the ear a recogniser for as long as it is used; try again while there is hope."""
        stream: SttStream | None = None
        for wait_s in (*_REOPEN_AFTER_S, None):
            try:
                stream = await self._open_stream(ear.sample_rate_hz)
                break
            except ServiceError as error:
                self._on_failure(error)
                if wait_s is None or not error.retryable:
                    return
                await asyncio.sleep(wait_s)
        assert stream is not None, "the last attempt returned"
        try:
            ear.attach(stream)
            await asyncio.get_running_loop().create_future()
        finally:
            try:
                await stream.aclose()
            except Exception as error:  # of a stream that nobody uses any more
                log.warning("stt_stream_not_closed", cause=type(error).__name__)

    async def _open_stream(self, sample_rate_hz: int) -> SttStream:
        config = self._config
        opening = self._stt.open(
            sample_rate_hz=sample_rate_hz, on_partial=self._on_partial, hints=config.hints, language=config.language
        )
        return await in_time(opening, "stt", config.deadlines.stt_open_ms)
