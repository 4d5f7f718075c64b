# SPDX-License-Identifier: GPL-3.0-or-later
"""The inference pool: the few threads in which all engines of all calls compute, the most urgent job first.

    event loop: await run(priority, fn) > queue, by priority, then by age > worker thread: fn() > event loop: result

One worker per core and one thread per engine: two threads in one decode were measured slower than two decodes.
The queue is bounded. When it is full, the least urgent of all waiting jobs (the newest of equals) is refused with
`ServiceUnavailable`, be it the new one or one already waiting: so partial transcripts go first and final ones last.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Generic, TypeVar

from agent.errors import AgentMisuse, ServiceUnavailable

T = TypeVar("T")

_NICE = 5
"""Added to the workers' own niceness: the event loop and the RTP clock must not wait for a matrix product."""


class Priority(IntEnum):
    """How urgent a job is; smaller is sooner."""

    FINAL = 0
    """A caller has stopped speaking and waits for an answer."""
    END_OF_TURN = 1
    ANSWER = 2
    """Retrieval: nothing can be said before it is done."""
    SPEECH = 3
    PARTIAL = 4
    """Nice to have; the next one comes in 300 ms."""


class Job(Generic[T]):
    """A function waiting for a worker, running in one, or done. Await `result`; cancelling that dequeues the job."""

    __slots__ = ("_age", "_call", "priority", "result", "started")

    def __init__(self, priority: Priority, age: int, call: Callable[[], T], result: asyncio.Future[T]) -> None:
        self.priority = priority
        self.result = result
        self.started = False
        """A worker has it: cancelling saves nothing any more, the result is thrown away."""
        self._age = age
        self._call = call

    @property
    def urgency(self) -> tuple[int, int]:
        """Sorts the most urgent first."""
        return (self.priority, self._age)

    def compute(self) -> Callable[[], None]:
        """Run in the worker's thread; returns what hands the outcome to the loop that asked."""
        try:
            value = self._call()
        except BaseException as error:  # whatever it was, it belongs to the one who awaits it, not to the worker
            return partial(self._deliver, self._fail, error)
        return partial(self._deliver, self._succeed, value)

    def refuse(self) -> None:
        """A full queue has dropped the job."""
        self._deliver(self._fail, ServiceUnavailable("offline engines", "too much work is waiting already"))

    def _deliver(self, tell: Callable[[T], None] | Callable[[BaseException], None], outcome: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
            self.result.get_loop().call_soon_threadsafe(tell, outcome)  # type: ignore[arg-type]

    def _succeed(self, value: T) -> None:
        if not self.result.done():
            self.result.set_result(value)

    def _fail(self, error: BaseException) -> None:
        if not self.result.done():
            self.result.set_exception(error)


class InferencePool:
    """Worker threads with one bounded priority queue. `run` and `submit` belong to an event loop."""

    def __init__(self, workers: int | None = None, max_queued: int = 256) -> None:
        """`workers` defaults to the cores this process may use. 256 jobs are some 20 s of work for one core."""
        self.workers = workers if workers is not None else len(os.sched_getaffinity(0))
        if self.workers < 1 or max_queued < 1:
            raise AgentMisuse("an inference pool needs at least one worker and one place in its queue")
        self.max_queued = max_queued
        self.running = 0
        """Jobs being computed now."""
        self.refused = 0
        """Jobs that a full queue refused, since the start."""
        self.completed = 0
        self._submitted = 0
        self._waiting: list[Job[object]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{number}", daemon=True)
            for number in range(self.workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued(self) -> int:
        """Jobs that wait for a worker."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """A job submitted now would start at once."""
        return not self._waiting and self.running < self.workers

    async def run(self, priority: Priority, function: Callable[..., T], *arguments: object) -> T:
        """Compute `function(*arguments)` in a worker. Cancelling takes it out of the queue.

        Raises what the function raises, and `ServiceUnavailable` when the queue was full of more urgent work.
        """
        return await self.submit(priority, function, *arguments).result

    def submit(self, priority: Priority, function: Callable[..., T], *arguments: object) -> Job[T]:
        """Queue the work and return at once; whoever submits must await, cancel or watch the job's result."""
        if self._closed:
            raise AgentMisuse("the inference pool is closed")
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._submitted += 1
        job = Job(priority, self._submitted, lambda: function(*arguments), result)
        result.add_done_callback(lambda _: self._forget(job))
        surplus: Job[object] | None = None
        with self._changed:
            self._waiting.append(job)  # type: ignore[arg-type]
            if len(self._waiting) > self.max_queued:
                surplus = max(self._waiting, key=lambda waiting: waiting.urgency)
                self._waiting.remove(surplus)
                self.refused += 1
            else:
                self._changed.notify()
        if surplus is not None:
            surplus.refuse()
        return job

    def _forget(self, job: Job[T]) -> None:
        if job.started or not job.result.cancelled():
            return
        with self._changed, contextlib.suppress(ValueError):
            self._waiting.remove(job)  # type: ignore[arg-type]

    def _work(self) -> None:
        with contextlib.suppress(OSError):  # a container may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                job = min(self._waiting, key=lambda waiting: waiting.urgency)
                self._waiting.remove(job)
                job.started = True
                self.running += 1
            deliver = job.compute()
            with self._changed:  # first, so that who gets the result finds it counted
                self.running -= 1
                self.completed += 1
            deliver()
            del job, deliver  # a waiting worker must not keep the last audio alive

    async def aclose(self) -> None:
        """Refuse new work, cancel what waits, let what runs finish."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            self._changed.notify_all()
        for job in waiting:
            job.result.cancel()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
