# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from agent.errors import AgentMisuse, ServiceUnavailable
from agent.local.inference import InferencePool, Priority


class Gate:
    """Keeps the only worker busy until it is opened."""

    def __init__(self, pool: InferencePool) -> None:
        self._opened = threading.Event()
        self._entered = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold() -> None:
            loop.call_soon_threadsafe(self._entered.set)
            self._opened.wait(10)

        self.job = pool.submit(Priority.FINAL, hold)

    async def entered(self) -> None:
        await self._entered.wait()

    async def open(self) -> None:
        self._opened.set()
        await self.job.result


@pytest.fixture
async def pool() -> AsyncIterator[InferencePool]:
    pool = InferencePool(workers=1, max_queued=3)
    yield pool
    await pool.aclose()


async def test_a_job_runs_off_the_event_loop_and_returns_its_value(pool: InferencePool) -> None:
    assert await pool.run(Priority.FINAL, threading.get_ident) != threading.get_ident()
    assert await pool.run(Priority.FINAL, pow, 2, 10) == 1024


async def test_what_a_job_raises_reaches_the_one_who_awaits_it_and_the_worker_lives_on(pool: InferencePool) -> None:
    with pytest.raises(ZeroDivisionError):
        await pool.run(Priority.FINAL, divmod, 1, 0)
    with pytest.raises(SystemExit):
        await pool.run(Priority.FINAL, exit)
    assert await pool.run(Priority.FINAL, len, "alive") == 5


async def test_the_most_urgent_job_goes_first_and_of_equals_the_oldest(pool: InferencePool) -> None:
    gate = Gate(pool)
    await gate.entered()
    order: list[str] = []
    jobs = [
        pool.submit(priority, order.append, name)
        for priority, name in (
            (Priority.PARTIAL, "partial"),
            (Priority.FINAL, "first final"),
            (Priority.FINAL, "second final"),
        )
    ]
    await gate.open()
    await asyncio.gather(*(job.result for job in jobs))
    assert order == ["first final", "second final", "partial"]


async def test_queue_and_running_jobs_can_be_seen(pool: InferencePool) -> None:
    assert pool.idle
    gate = Gate(pool)
    await gate.entered()
    waiting = pool.submit(Priority.SPEECH, len, "")
    assert (pool.running, pool.queued, pool.idle) == (1, 1, False)
    assert gate.job.started
    assert not waiting.started
    await gate.open()
    await waiting.result
    assert pool.queued == 0


async def test_a_full_queue_refuses_its_least_urgent_job_even_if_that_is_not_the_new_one(pool: InferencePool) -> None:
    gate = Gate(pool)
    await gate.entered()
    finals = [pool.submit(Priority.FINAL, len, "") for _ in range(2)]
    partial = pool.submit(Priority.PARTIAL, len, "")
    late = pool.submit(Priority.FINAL, len, "four")
    with pytest.raises(ServiceUnavailable, match="too much work"):
        await partial.result
    another = pool.submit(Priority.PARTIAL, len, "")
    with pytest.raises(ServiceUnavailable, match="too much work"):
        await another.result
    assert (pool.queued, pool.refused) == (3, 2)
    await gate.open()
    assert await late.result == 4
    await asyncio.gather(*(final.result for final in finals))


async def test_cancelling_takes_a_waiting_job_out_of_the_queue(pool: InferencePool) -> None:
    gate = Gate(pool)
    await gate.entered()
    ran: list[str] = []
    task = asyncio.ensure_future(pool.run(Priority.SPEECH, ran.append, "unwanted"))
    await asyncio.sleep(0)
    assert pool.queued == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pool.queued == 0
    await gate.open()
    await pool.run(Priority.PARTIAL, len, "")
    assert ran == []


async def test_the_result_of_a_job_cancelled_while_it_runs_is_thrown_away(pool: InferencePool) -> None:
    gate = Gate(pool)
    await gate.entered()
    gate.job.result.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gate.open()
    assert await pool.run(Priority.FINAL, len, "next") == 4


async def test_closing_cancels_what_waits_and_lets_what_runs_finish() -> None:
    pool = InferencePool(workers=1)
    gate = Gate(pool)
    await gate.entered()
    waiting = pool.submit(Priority.FINAL, len, "")
    closing = asyncio.ensure_future(pool.aclose())
    await asyncio.sleep(0)
    assert waiting.result.cancelled()
    await gate.open()
    await closing
    assert gate.job.result.done()
    with pytest.raises(AgentMisuse):
        pool.submit(Priority.FINAL, len, "")


@pytest.mark.parametrize(("workers", "max_queued"), [(0, 1), (1, 0)])
def test_a_pool_without_workers_or_queue_is_misuse(workers: int, max_queued: int) -> None:
    with pytest.raises(AgentMisuse):
        InferencePool(workers, max_queued)
