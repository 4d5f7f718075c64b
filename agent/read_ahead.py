# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a stream while its reader is busy, and lets him wait for the next item no longer than he likes."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """An asynchronous context around a generator, which is iterated and closed by one task of its own.

    At most `limit` items are held; then the generator waits.
    """

    def __init__(self, items: AsyncGenerator[Item, None], limit: int = 256) -> None:
        self._items = items
        self._limit = limit
        self._held: deque[Item] = deque()
        self._failure: BaseException | None = None
        self._is_done = False
        self._changed = asyncio.Event()
        """Something was read, or the end."""
        self._taken = asyncio.Event()
        """There is room again."""
        self._task: asyncio.Task[None] | None = None

    @property
    def is_over(self) -> bool:
        """All items have been taken. Raises what the generator raised."""
        if self._held or not self._is_done:
            return False
        if self._failure is not None:
            raise self._failure
        return True

    async def next(self, timeout_s: float | None) -> Item | None:
        """The next item; None when there is none within this time, or no more at all. Raises what it raised."""
        if not self._held and not self._is_done:
            self._changed.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()
            except TimeoutError:
                return None
        if self._held:
            self._taken.set()
            return self._held.popleft()
        if self._failure is not None:
            raise self._failure
        return None

    async def __aenter__(self) -> "ReadAhead[Item]":
        self._task = asyncio.create_task(self._read(), name="agent-read-ahead")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None, "entered"
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _read(self) -> None:
        try:
            async for item in self._items:
                while len(self._held) >= self._limit:
                    self._taken.clear()
                    await self._taken.wait()
                self._held.append(item)
                self._changed.set()
        except Exception as error:  # whatever it was, it belongs to the one who reads on
            self._failure = error
        finally:
            self._is_done = True
            self._changed.set()
            await self._items.aclose()
