# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognition that is opened while a call rings: taken when it fits, never left behind."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from agent.early_stt import EarlyStt
from agent.errors import ServiceUnavailable
from agent.services.stt import SttStream, Transcript
from media.frames import PcmSamples
from tests.fakes.virtual_time import in_virtual_time

OPENING_S = 0.3


class Stream:
    def __init__(self, sample_rate_hz: int, on_partial: Callable[[Transcript], None]) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.on_partial = on_partial
        self.is_closed = False

    def push(self, samples: PcmSamples) -> None: ...

    async def final(self) -> Transcript:
        return Transcript("", True, 0.0)

    def next_turn(self, keep_ms: int) -> None: ...

    async def aclose(self) -> None:
        self.is_closed = True


class SlowStt:
    """Takes its time to open, as a handshake does."""

    def __init__(self, *, failures: int = 0) -> None:
        self.streams: list[Stream] = []
        self._failures = failures

    async def open(
        self,
        *,
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
        hints: Sequence[str] = (),
        language: str = "en",
    ) -> SttStream:
        await asyncio.sleep(OPENING_S)
        if self._failures:
            self._failures -= 1
            raise ServiceUnavailable("stt", "is busy")
        self.streams.append(Stream(sample_rate_hz, on_partial))
        return self.streams[-1]

    async def aclose(self) -> None: ...


def early(stt: SlowStt) -> EarlyStt:
    return EarlyStt(stt, sample_rate_hz=8000, hints=("Parley",), language="en")


async def opened(stt: EarlyStt, sample_rate_hz: int = 8000) -> tuple[SttStream, float, list[Transcript]]:
    """The stream, how long it took, and its partial transcripts."""
    loop = asyncio.get_running_loop()
    partials: list[Transcript] = []
    began_at = loop.time()
    stream = await stt.open(sample_rate_hz=sample_rate_hz, on_partial=partials.append, hints=("Parley",))
    return stream, loop.time() - began_at, partials


@in_virtual_time
async def test_what_was_opened_while_it_rang_is_there_at_once_and_tells_whoever_took_it() -> None:
    service, over = SlowStt(), asyncio.Event()
    stt = early(service)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stt.hold(over.wait))
        await asyncio.sleep(1.0)
        stream, took_s, partials = await opened(stt)
        assert took_s == 0
        service.streams[0].on_partial(Transcript("hello", False, 0.5))
        assert [one.text for one in partials] == ["hello"]
        over.set()
    assert stream is service.streams[0]
    assert not service.streams[0].is_closed, "it belongs to whoever took it"


@in_virtual_time
async def test_a_call_that_is_answered_at_once_waits_only_for_the_rest_of_the_opening() -> None:
    service, over = SlowStt(), asyncio.Event()
    stt = early(service)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stt.hold(over.wait))
        await asyncio.sleep(0.2)
        _, took_s, _ = await opened(stt)
        assert took_s == pytest.approx(OPENING_S - 0.2)
        over.set()
    assert len(service.streams) == 1


@in_virtual_time
async def test_a_leg_with_another_rate_gets_another_stream_and_the_first_is_closed() -> None:
    service, over = SlowStt(), asyncio.Event()
    stt = early(service)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stt.hold(over.wait))
        await asyncio.sleep(1.0)
        await opened(stt, 16000)
        assert [stream.sample_rate_hz for stream in service.streams] == [8000, 16000]
        assert [stream.is_closed for stream in service.streams] == [True, False]
        over.set()


@in_virtual_time
async def test_a_second_stream_of_the_call_is_a_new_one() -> None:
    service, over = SlowStt(), asyncio.Event()
    stt = early(service)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stt.hold(over.wait))
        first, _, _ = await opened(stt)
        second, _, _ = await opened(stt)
        assert first is not second
        over.set()


@in_virtual_time
async def test_a_caller_who_gives_up_leaves_no_stream_behind() -> None:
    service, over = SlowStt(), asyncio.Event()
    stt = early(service)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stt.hold(over.wait))
        await asyncio.sleep(1.0)
        over.set()
    assert [stream.is_closed for stream in service.streams] == [True]


@in_virtual_time
async def test_when_opening_early_fails_the_call_opens_its_own() -> None:
    service, over = SlowStt(failures=1), asyncio.Event()
    stt = early(service)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stt.hold(over.wait))
        stream, _, _ = await opened(stt)
        over.set()
    assert stream is service.streams[0]


@in_virtual_time
async def test_whoever_stops_waiting_for_the_opening_does_not_stop_it() -> None:
    service, over = SlowStt(), asyncio.Event()
    stt = early(service)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stt.hold(over.wait))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await opened(stt)
        await opened(stt)
        over.set()
    assert len(service.streams) == 1
