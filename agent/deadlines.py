# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines: a service that does not answer in time, or stops in the middle, has failed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar

from agent.errors import ServiceUnavailable

Item = TypeVar("Item")


async def in_time(answer: Awaitable[Item], service: str, timeout_ms: int) -> Item:
    """The answer; raises `ServiceUnavailable`, and cancels the work, when it takes too long."""
    try:
        async with asyncio.timeout(timeout_ms / 1e3):
            return await answer
    except TimeoutError:
        raise ServiceUnavailable(service, f"did not answer within {timeout_ms} ms") from None


async def within(
    items: AsyncIterator[Item], service: str, *, first_ms: int, next_ms: int
) -> AsyncGenerator[Item, None]:
    """The same items; raises `ServiceUnavailable` when the first or a later one takes too long.

    Use it under `contextlib.aclosing`: closing it closes `items`, which cancels the service's work.
    """
    wait_ms, late = first_ms, "did not begin"
    try:
        while True:
            try:
                async with asyncio.timeout(wait_ms / 1e3):
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise ServiceUnavailable(service, f"{late} within {wait_ms} ms") from None
            yield item
            wait_ms, late = next_ms, "did not go on"
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
