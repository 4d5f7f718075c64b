# SPDX-License-Identifier: GPL-3.0-or-later
"""An event loop whose clock jumps: seconds of a scenario take no time and always fall out the same."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import ParamSpec, TypeVar

Args = ParamSpec("Args")
Result = TypeVar("Result")


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: where a real selector would sleep, the clock moves on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        """Not 0: a clock that starts there hides forgotten stamps."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: nothing is scheduled and nothing can happen")
            self.now += max(0.0, timeout)
        return ready


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """Time passes only while everybody sleeps."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def in_virtual_time(test: Callable[Args, Coroutine[object, object, Result]]) -> Callable[Args, Result]:
    """Run an asynchronous test on a `VirtualClockLoop`; whatever it leaves behind is cancelled."""

    @functools.wraps(test)
    def run(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            return runner.run(test(*args, **kwargs))

    return run
