# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
from collections.abc import AsyncGenerator

import pytest

from agent.errors import ServiceUnavailable
from agent.read_ahead import ReadAhead
from tests.fakes.virtual_time import in_virtual_time


class Source:
    """Numbers, one every 0.1 s."""

    def __init__(self, count: int, failure: Exception | None = None) -> None:
        self.given = 0
        self.is_closed = False
        self._count = count
        self._failure = failure

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self._count):
                await asyncio.sleep(0.1)
                self.given += 1
                yield number
            if self._failure is not None:
                raise self._failure
        finally:
            self.is_closed = True


@in_virtual_time
async def test_items_come_in_order_until_it_is_over() -> None:
    async with ReadAhead(Source(3).items()) as ahead:
        taken = []
        while not ahead.is_over:
            if (item := await ahead.next(None)) is not None:
                taken.append(item)
    assert taken == [0, 1, 2]


@in_virtual_time
async def test_a_reader_waits_no_longer_than_he_likes() -> None:
    async with ReadAhead(Source(1).items()) as ahead:
        assert await ahead.next(0.05) is None
        assert await ahead.next(1.0) == 0


@in_virtual_time
async def test_it_reads_on_while_nobody_takes_up_to_its_limit() -> None:
    source = Source(10)
    async with ReadAhead(source.items(), limit=3) as ahead:
        await asyncio.sleep(5.0)
        assert source.given == 4
        assert [await ahead.next(None) for _ in range(10)] == list(range(10))


@in_virtual_time
async def test_a_failure_comes_after_what_was_read_before_it() -> None:
    async with ReadAhead(Source(1, ServiceUnavailable("llm", "gone")).items()) as ahead:
        await asyncio.sleep(1.0)
        assert await ahead.next(None) == 0
        with pytest.raises(ServiceUnavailable):
            assert ahead.is_over


@in_virtual_time
async def test_leaving_closes_the_source() -> None:
    source = Source(100)
    async with ReadAhead(source.items()) as ahead:
        await ahead.next(None)
    assert source.is_closed
