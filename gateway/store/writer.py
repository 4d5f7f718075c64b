# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes behind the calls' backs: queued, committed in batches, kept while the database is away.

    put > memory (10,000 records) > batches of 500, one transaction each > database
              └─ full while the database is away > spill (a file) ─┘

The queue is bounded and a call waits when it is full while the database works: nothing is lost then. When the database
refuses everything (gone, full, read-only) nothing waits: records are kept and tried again until they are in. What it
refuses of itself (a turn of a session that was erased) is given up and counted.

A COMMIT whose answer was lost may have happened. So every transaction first moves this run's row in `writers` from
before its first record to its last: that waits for a transaction of ours that the server has not ended yet, and finds
nothing to move when it was committed. Nothing is written twice.
"""

import asyncio
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import IO
from uuid import uuid4

import structlog
from sqlalchemy import bindparam, delete, insert, select, update

from gateway.errors import StoreError
from gateway.store.database import Database, cause_of, is_outage
from gateway.store.health import Health
from gateway.store.spill import Spill, left_behind
from gateway.store.tables import WriterRow
from gateway.store.writes import Names, Step, Write
from gateway.telemetry import Metrics

_QUEUE_RECORDS = 10_000
_BATCH_RECORDS = 500
_ANSWER_S = 4.0
"""How long somebody waits for a commit before they hear that the database does not answer."""
_PAUSES_S = (0.05, 0.2, 0.5, 1.0)
"""Between tries; the last again and again."""
_LAST_TRIES_S = 3.0
"""At the end of the process, with a database that is away."""
_FORGET_AFTER = timedelta(days=60)
"""So long after its beginning a run's row is removed: what it may have left in a file has been written."""

_MOVE = (
    update(WriterRow)
    .where(WriterRow.writer == bindparam("of_writer"), WriterRow.written < bindparam("first"))
    .values(written=bindparam("new_written"))
)

log = structlog.get_logger(__name__)


class Writer:
    """One for the store; `run` is its life, until `close`."""

    def __init__(self, database: Database, health: Health, folder: Path, names: Names, metrics: Metrics) -> None:
        self._database = database
        self._health = health
        self._folder = folder
        self._names = names
        self._metrics = metrics
        self._run = uuid4().hex
        self._spill = Spill(folder, self._run)
        self._numbers = itertools.count(1)
        self._memory: deque[Write] = deque()
        self._unnamed: dict[int, Write] = {}
        """Among the spilled: what no file can keep."""
        self._waiters: dict[int, asyncio.Future[None]] = {}
        """Among the spilled: who waits for it."""
        self._in_hand: list[Write] = []
        """The batch that is being committed."""
        self._waiting: set[asyncio.Future[None]] = set()
        self._some, self._room = asyncio.Event(), asyncio.Event()
        self._is_closing = False
        self._refused_before = False
        health.follow(self._receive_health)

    @property
    def depth(self) -> int:
        """Records that wait."""
        return len(self._memory) + self._spill.lines

    async def begin(self) -> None:
        """Enter this run into the database, and write what others have left in files. Raises what the driver raises."""
        now = datetime.now(UTC)
        async with self._database.writing() as connection:
            await connection.execute(delete(WriterRow).where(WriterRow.at < now - _FORGET_AFTER))
            await connection.execute(insert(WriterRow), {"writer": self._run, "written": 0, "at": now})
        for run, file in left_behind(self._folder):
            records = await self._write_what_was_left(run, file)
            os.unlink(file.name)
            log.info("store_wrote_what_was_left", records=records)

    async def put(
        self,
        *steps: Step,
        wait: bool = False,
        settled: Callable[[], None] | None = None,
        last: tuple[Step, ...] = (),
    ) -> None:
        """Queue steps that are committed together. `wait`: until they are; raises `StoreError`."""
        if not wait:
            await self._add(Write(steps, None, settled, last))
            return
        self._expect_it_up()
        done = asyncio.get_running_loop().create_future()
        self._waiting.add(done)
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._add(Write(steps, done, settled, last))
                await done
        except TimeoutError as error:
            raise StoreError("the database takes too long") from error
        finally:
            done.cancel()
            self._waiting.discard(done)

    async def flush(self) -> None:
        """Return when all that was queued so far is committed or given up; at once while the database is away. Raises
        `StoreError`."""
        if self._health.is_up:
            try:
                await self.put(wait=True)
            except StoreError:
                if self._health.is_up:
                    raise

    async def run(self) -> None:
        """The writer task: commits batches until `close`."""
        while batch := await self._take():
            self._in_hand = batch
            if not await self._commit(batch):
                self._leave_behind(batch)
                return
            self._metrics.store_queue_depth.set(self.depth)
            self._room.set()
            if not self._spill.lines:
                self._spill.clear()

    def close(self) -> None:
        """Nothing more comes: the writer ends when all is written, or left to the next gateway."""
        self._is_closing = True
        self._some.set()

    # The queue

    async def _add(self, write: Write) -> None:
        while self._health.is_up and not self._spill.lines and len(self._memory) >= _QUEUE_RECORDS:
            self._room.clear()
            await self._room.wait()
        write.number = next(self._numbers)
        if self._spill.lines or len(self._memory) >= _QUEUE_RECORDS:
            self._add_to_file(write)
        else:
            self._memory.append(write)
            if not self._health.is_up:
                self._tell(write)
        self._some.set()
        self._metrics.store_queue_depth.set(self.depth)

    def _add_to_file(self, write: Write) -> None:
        line = self._names.line(write)
        if line is None:
            self._unnamed[write.number] = write
            line = str(write.number)
        elif write.done is not None:
            self._waiters[write.number] = write.done
        if self._spill.add(line):
            self._tell(write)
        else:
            self._unnamed.pop(write.number, None)
            self._waiters.pop(write.number, None)
            self._give_up(write, "there is no room to keep it until the database is back")

    async def _take(self) -> list[Write]:
        """The next batch; none: it is over."""
        while not self._memory and not self._spill.lines:
            if self._is_closing:
                return []
            self._some.clear()
            await self._some.wait()
        if self._memory:
            batch = [self._memory.popleft() for _ in range(min(_BATCH_RECORDS, len(self._memory)))]
        else:
            batch = [self._unspilled(line) for line in self._spill.take(_BATCH_RECORDS)]
        return batch

    def _unspilled(self, line: str) -> Write:
        if line.isdigit():
            return self._unnamed.pop(int(line))
        write = self._names.write(line)
        write.done = self._waiters.pop(write.number, None)
        return write

    # Committing

    async def _commit(self, batch: list[Write]) -> bool:
        """False: the process ends, and the database is away."""
        pauses = itertools.chain(_PAUSES_S, itertools.repeat(_PAUSES_S[-1]))
        give_up_at: float | None = None
        while True:
            try:
                await self._execute(batch)
            except Exception as error:  # also what a driver raises of its own accord: no record must end the writer
                if is_outage(error):
                    self._health.lost(cause_of(error))
                    if self._is_closing:
                        now = asyncio.get_running_loop().time()
                        give_up_at = now + _LAST_TRIES_S if give_up_at is None else give_up_at
                        if now >= give_up_at:
                            return False
                    await asyncio.sleep(next(pauses))
                    continue
                if len(batch) > 1:
                    # One record of many is refused, or all: find out one by one.
                    return await self._commit_one_by_one(batch)
                self._give_up(batch[0], cause_of(error))
                return True
            if any(write.steps or write.last for write in batch):
                self._health.back()
                self._refused_before = False
            for write in batch:
                self._settle(write)
            return True

    async def _commit_one_by_one(self, batch: list[Write]) -> bool:
        for index, write in enumerate(batch):
            if not await self._commit([write]):
                batch[:] = batch[index:]
                return False
        return True

    async def _execute(self, batch: Sequence[Write], run: str | None = None) -> None:
        wanted = [write for write in batch if not write.is_withdrawn]
        steps = [step for write in wanted for step in write.steps]
        steps += [step for write in wanted for step in write.last]
        if not steps:
            return
        async with self._database.writing() as connection:
            moved = await connection.execute(
                _MOVE,
                {"of_writer": run or self._run, "first": batch[0].number, "new_written": batch[-1].number},
            )
            if not moved.rowcount:  # it was committed the time before, though nobody told us
                return
            # The same statement several times in a row is one execution with several sets of parameters.
            for statement, alike in itertools.groupby(steps, key=itemgetter(0)):
                await connection.execute(statement, [parameters for _, parameters in alike])

    def _settle(self, write: Write) -> None:
        if write.done is not None and not write.done.done():
            write.done.set_result(None)
        self._tell(write)

    def _tell(self, write: Write) -> None:
        """While the database is away, what is kept counts as settled: who follows the calls is not to wait for it."""
        told, write.settled = write.settled, None
        if told is not None:
            told()

    def _give_up(self, write: Write, cause: str) -> None:
        self._metrics.store_failed_writes.inc()
        if not self._refused_before:
            self._refused_before = True
            log.error("store_cannot_write", cause=cause, effect="records are lost, calls go on")
        if write.done is not None and not write.done.done():
            write.done.set_exception(StoreError(f"the database refused: {cause}"))
        self._tell(write)

    # A database that goes away

    def _expect_it_up(self) -> None:
        if not self._health.is_up:
            raise StoreError("the database does not answer")

    def _receive_health(self, is_up: bool) -> None:
        if not is_up:
            for done in self._waiting:
                if not done.done():
                    done.set_exception(StoreError("the database does not answer: nobody knows whether it was done"))
            for write in [*self._in_hand, *self._memory]:
                self._tell(write)
        self._room.set()

    def _leave_behind(self, batch: Iterable[Write]) -> None:
        older = [*batch, *self._memory]
        self._memory.clear()
        lines = [line for write in older if not write.is_withdrawn and (line := self._names.line(write)) is not None]
        lost = self._spill.close(lines) + len(self._unnamed) + len(older) - len(lines)
        self._metrics.store_failed_writes.inc(lost)
        log.error("store_left_unwritten", records=len(lines), lost=lost, effect="the next gateway here writes them")

    async def _write_what_was_left(self, run: str, file: IO[str]) -> int:
        async with self._database.reading() as connection:
            row = await connection.scalar(select(WriterRow.written).where(WriterRow.writer == run))
        written = row or 0
        count = 0
        async with self._database.writing() as connection:
            if row is None:
                values = {"writer": run, "written": 0, "at": datetime.now(UTC)}
                await connection.execute(insert(WriterRow), values)
        while lines := list(itertools.islice(file, _BATCH_RECORDS)):
            batch = [write for line in lines if (write := self._readable(line)) and write.number > written]
            await self._write_again(batch, run)
            count += len(batch)
        return count

    async def _write_again(self, batch: Sequence[Write], run: str) -> None:
        try:
            await self._execute(batch, run)
        except Exception as error:
            if is_outage(error):
                raise
            if len(batch) == 1:
                self._give_up(batch[0], cause_of(error))
                return
            for write in batch:
                await self._write_again([write], run)

    def _readable(self, line: str) -> Write | None:
        try:
            return None if line.rstrip("\n").isdigit() else self._names.write(line)
        except ValueError:
            self._metrics.store_failed_writes.inc()
            return None
