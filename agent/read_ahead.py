# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a stream while its reader is busy, and lets him wait for the next item no longer than he likes."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """An asynchronous context around an iterator, which is iterated and closed by one task of its own.

    At most `limit` items are held; then it waits.
    """

    def __init__(self, items: AsyncIterator[Item], limit: int = 256, changed: asyncio.Event | None = None) -> None:
        """`changed`: set whenever something was read, or the end, for whoever reads several."""
        self._items = items
        self._limit = limit
        self._held: deque[Item] = deque()
        self.failure: BaseException | None = None
        """What the iterator raised."""
        self._is_done = False
        self._changed = changed or asyncio.Event()
        self._taken = asyncio.Event()
        """There is room again."""
        self._task: asyncio.Task[None] | None = None

    @property
    def holds_any(self) -> bool:
        """Items are there that nobody has taken."""
        return bool(self._held)

    @property
    def is_done(self) -> bool:
        """The iterator has ended, whether or not all items have been taken."""
        return self._is_done

    @property
    def is_over(self) -> bool:
        """All items have been taken. Raises what the generator raised."""
        if self._held or not self._is_done:
            return False
        if self.failure is not None:
            raise self.failure
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
        if self.failure is not None:
            raise self.failure
        return None

    async def __aenter__(self) -> "ReadAhead[Item]":
        self._task = asyncio.create_task(self._read(), name="agent-read-ahead")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        assert self._task is not None, "entered"
        await asyncio.wait((self._task,))

    def stop(self) -> None:
        """Read no more; leaving the context waits until that is done."""
        assert self._task is not None, "entered"
        self._task.cancel()

    async def _read(self) -> None:
        try:
            async for item in self._items:
                while len(self._held) >= self._limit:
                    self._taken.clear()
                    await self._taken.wait()
                self._held.append(item)
                self._changed.set()
        except Exception as error:  # whatever it was, it belongs to the one who reads on
            self.failure = error
        finally:
            self._is_done = True
            self._changed.set()
            if isinstance(self._items, AsyncGenerator):
                await self._items.aclose()
