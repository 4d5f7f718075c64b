# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that do not answer in time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from agent.deadlines import asked_again, in_time, within
from agent.errors import ServiceUnavailable
from tests.fakes.virtual_time import in_virtual_time


class Stream:
    """Yields 0, 1, 2... after these delays, and remembers whether it was closed."""

    def __init__(self, *delays_s: float) -> None:
        self._delays_s = delays_s
        self.is_closed = False

    async def items(self) -> AsyncIterator[int]:
        try:
            for number, delay_s in enumerate(self._delays_s):
                await asyncio.sleep(delay_s)
                yield number
        finally:
            self.is_closed = True


async def taken(stream: Stream) -> list[int]:
    items: list[int] = []
    async with aclosing(within(stream.items(), "llm", first_ms=500, next_ms=100)) as in_time_items:
        async for item in in_time_items:
            items.append(item)
    return items


@in_virtual_time
async def test_what_comes_in_time_comes_through() -> None:
    stream = Stream(0.49, 0.09, 0.09)
    assert await taken(stream) == [0, 1, 2]
    assert stream.is_closed


@in_virtual_time
async def test_a_stream_that_does_not_begin_has_failed_and_is_closed() -> None:
    stream = Stream(0.51)
    with pytest.raises(ServiceUnavailable, match="llm: did not begin within 500 ms"):
        await taken(stream)
    assert stream.is_closed


@in_virtual_time
async def test_a_stream_that_does_not_go_on_has_failed_and_is_closed() -> None:
    stream = Stream(0.1, 0.2)
    with pytest.raises(ServiceUnavailable, match="llm: did not go on within 100 ms"):
        await taken(stream)
    assert stream.is_closed


@in_virtual_time
async def test_a_consumer_that_takes_its_time_is_no_failure_of_the_stream() -> None:
    async with aclosing(within(Stream(0.1, 0.05).items(), "llm", first_ms=500, next_ms=100)) as items:
        assert await anext(items) == 0
        await asyncio.sleep(5)
        assert await anext(items) == 1


@in_virtual_time
async def test_a_consumer_that_leaves_closes_the_stream() -> None:
    stream = Stream(0.1, 0.05)
    async with aclosing(within(stream.items(), "llm", first_ms=500, next_ms=100)) as items:
        await anext(items)
    assert stream.is_closed


@in_virtual_time
async def test_an_answer_that_is_late_has_failed() -> None:
    assert await in_time(asyncio.sleep(0.4, "yes"), "stt", 500) == "yes"
    with pytest.raises(ServiceUnavailable, match="stt: did not answer within 500 ms") as raised:
        await in_time(asyncio.sleep(0.6), "stt", 500)
    assert raised.value.retryable


class Service:
    """Refuses so often, then gives 0 and 1."""

    def __init__(self, *refusals: ServiceUnavailable) -> None:
        self._refusals = list(refusals)
        self.asked_at: list[float] = []

    async def ask(self) -> AsyncGenerator[int, None]:
        self.asked_at.append(asyncio.get_running_loop().time())
        if self._refusals:
            raise self._refusals.pop(0)
        yield 0
        yield 1


@in_virtual_time
async def test_a_service_that_refuses_is_asked_once_more_a_moment_later() -> None:
    service = Service(ServiceUnavailable("llm", "answers 503"))
    async with aclosing(asked_again(service.ask, within_ms=1_000)) as items:
        assert [item async for item in items] == [0, 1]
    first, second = service.asked_at
    assert 0.07 < second - first < 0.16


@in_virtual_time
async def test_a_service_that_asks_for_more_time_than_the_caller_has_is_not_asked_again() -> None:
    service = Service(ServiceUnavailable("llm", "answers 429", retry_after_s=5.0))
    with pytest.raises(ServiceUnavailable):
        async with aclosing(asked_again(service.ask, within_ms=1_000)) as items:
            await anext(items)
    assert len(service.asked_at) == 1
