# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines: a service that does not answer in time, stops in the middle or breaks its protocol has failed.

The one door to services: whatever comes through it is an answer or a `ServiceError`, so that no service ends a call.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from agent.clients.backoff import Backoff
from agent.errors import AgentError, ServiceError, ServiceLate, ServiceUnavailable

Item = TypeVar("Item")

_RETRY_AFTER_S = 0.15
"""At most: a service that has just refused a connection may be about to take one. Half of it is chance."""


async def in_time(answer: Awaitable[Item], service: str, timeout_ms: int) -> Item:
    """The answer; raises `ServiceLate`, and cancels the work, when it takes too long."""
    try:
        async with asyncio.timeout(timeout_ms / 1e3):
            return await answer
    except TimeoutError:
        raise ServiceLate(service, f"did not answer within {timeout_ms} ms") from None
    except AgentError:
        raise
    except Exception as error:  # a client that did not map what it met: its service's fault, not the call's
        raise ServiceUnavailable(service, f"broke down ({type(error).__name__})") from error


async def asked_again(ask: Callable[[], AsyncGenerator[Item, None]], *, within_ms: int) -> AsyncGenerator[Item, None]:
    """What `ask` gives; once more from the beginning when that fails within this time, before it gave anything, and
    there is hope: the one place where a service that has failed is asked again. Use it under `contextlib.aclosing`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_ms / 1e3
    is_first = True
    while True:
        try:
            async with aclosing(ask()) as items:
                async for item in items:
                    is_first = False
                    yield item
            return
        except ServiceError as error:
            if not is_first or not error.retryable or isinstance(error, ServiceLate) or loop.time() >= until:
                raise
            if isinstance(error, ServiceUnavailable) and loop.time() + (error.retry_after_s or 0.0) > until:
                raise  # it has said that it would refuse again
        is_first = False
        await asyncio.sleep(Backoff(_RETRY_AFTER_S).next_s())


async def within(
    items: AsyncIterator[Item], service: str, *, first_ms: int, next_ms: int
) -> AsyncGenerator[Item, None]:
    """The same items; raises `ServiceLate` when the first or a later one takes too long.

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
                raise ServiceLate(service, f"{late} within {wait_ms} ms") from None
            except AgentError:
                raise
            except Exception as error:  # as above
                raise ServiceUnavailable(service, f"broke down ({type(error).__name__})") from error
            yield item
            wait_ms, late = next_ms, "did not go on"
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
