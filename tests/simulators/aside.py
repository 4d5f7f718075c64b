# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulator on a thread and an event loop of its own, beside a test or a bench that blocks."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

Opened = TypeVar("Opened")


@contextlib.contextmanager
def aside(simulator: AbstractAsyncContextManager[Opened]) -> Iterator[Opened]:
    """What it opens as."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    exits = AsyncExitStack()
    try:
        yield asyncio.run_coroutine_threadsafe(exits.enter_async_context(simulator), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(exits.aclose(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
