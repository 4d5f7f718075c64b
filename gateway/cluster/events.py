# SPDX-License-Identifier: GPL-3.0-or-later
"""Events from node to node: each appends what it has told to one stream in Redis, and reads what the others have.

    our log > told (in the database) > XADD parley:events {run, previous, cursor, event} > theirs: `MergedLog`

Who finds that `previous` is not the last cursor he has of a run has missed something (Redis was away, or its stream is
at its limit), and gets it from the database first. Events that are not kept are lost with Redis.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import structlog
from redis.exceptions import RedisError

from gateway.cluster.keys import EVENTS, RUNS, WATCHED
from gateway.cluster.registry import Registry
from gateway.errors import StartupError, StoreError
from gateway.events import Event, EventLog, Wanted
from gateway.events.catalogue import CATALOGUE
from gateway.events.merged import MergedLog, RunArchive
from gateway.events.reading import begin_of, run_of
from gateway.store.sealing import ColumnSealer

_KEPT = 100_000
_TOGETHER = 200
_BLOCK_MS = 500
_PAUSE_S = 0.2
_LOOK_S = 1.0
_WATCHED_S = 4
_TRIM_S = 60.0
_STREAM_S = 600
"""What is older is in the database only, where it can be erased."""
_QUIET_S = 5.0
"""A node that is not there any more has told its last when it is gone for so long."""
_OLD = timedelta(minutes=1)
_SEALED = "cluster.event"
_ALL = Wanted()

log = structlog.get_logger(__name__)


class EventExchange:
    """Of this node; `log` is what there is to read."""

    def __init__(
        self, registry: Registry, own: EventLog, archive: RunArchive, sealer: ColumnSealer, merged: MergedLog, last: str
    ) -> None:
        """`last`: of the stream; what came up to it is in the archive. See `open_exchange`."""
        self._registry = registry
        self._own = own
        self._archive = archive
        self._sealer = sealer
        self._me = registry.me.node_id
        self._last = last
        self.log = merged
        self._sent = own.begin
        self._is_marked = False
        """The others know how far we are."""
        self._gone_since: dict[int, float] = {}
        self._trim_at = 0.0
        registry.on_reachable(self._reach)

    def _reach(self, is_reachable: bool) -> None:
        self._is_marked = self._is_marked and not is_reachable

    # Ours

    async def publish(self) -> None:
        """Tell the others, until cancelled."""
        while True:
            try:
                if not self._is_marked:
                    await self._registry.redis.hset(RUNS, str(self.log.run), self._me)
                    await self._add([(self._sent, None)])
                    self._is_marked = True
                try:
                    async with asyncio.timeout(_LOOK_S):
                        await self._own.wait(self._sent)
                except TimeoutError:
                    continue
                page = await self._own.read(self._sent, _TOGETHER, _ALL)
                if page.events:
                    await self._add([(event.cursor, event) for event in page.events])
                self._sent = page.position
            except (RedisError, OSError):
                await asyncio.sleep(_PAUSE_S)
            except StoreError as fault:
                log.warning("cluster_events_not_read", cause=str(fault))
                await asyncio.sleep(_PAUSE_S)

    async def _add(self, told: Sequence[tuple[int, Event | None]]) -> None:
        previous = self._sent
        async with self._registry.redis.pipeline(transaction=False) as pipe:
            for cursor, event in told:
                fields = {"node": self._me, "previous": str(previous), "cursor": str(cursor)}
                if event is not None:
                    fields["event"] = self._sealer.seal(event.as_json(), _SEALED)
                pipe.xadd(EVENTS, cast(dict[Any, Any], fields), maxlen=_KEPT, approximate=True)
                previous = cursor
            await pipe.execute()

    # Theirs

    async def listen(self) -> None:
        """Take what the others tell, until cancelled."""
        look_at = 0.0
        while True:
            try:
                found = await self._registry.redis.xread({EVENTS: self._last}, count=_TOGETHER, block=_BLOCK_MS)
                for _, entries in cast(Sequence[tuple[str, Sequence[tuple[str, Mapping[str, str]]]]], found):
                    for number, fields in entries:
                        await self._receive(fields)
                        self._last = number
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + _LOOK_S
                    await self._look()
            except (RedisError, OSError):
                await asyncio.sleep(_PAUSE_S)

    async def _receive(self, fields: Mapping[str, str]) -> None:
        try:
            node_id, previous, cursor = fields["node"], int(fields["previous"]), int(fields["cursor"])
            if node_id == self._me:
                return
            run = run_of(max(cursor, previous + 1))
            kept = fields.get("event")
            event = None if kept is None else _event(json.loads(self._sealer.open(kept, _SEALED)))
        except (StoreError, ValueError, KeyError, TypeError) as fault:
            # Of another version, or sealed with another key.
            log.error("cluster_event_unreadable", cause=type(fault).__name__)
            return
        self.log.lives(run, node_id)
        if previous > self.log.told_up_to(run):
            await self._fill(run, node_id, previous)
        if event is not None:
            self.log.add(event, node_id)
        elif kept is not None:  # of a kind that this version does not know
            self.log.skip(run, cursor)

    async def _fill(self, run: int, node_id: str, up_to: int) -> None:
        """What we have not heard is in the database; until that answers, nothing else is told."""
        while (after := self.log.told_up_to(run)) < up_to:
            try:
                events = await self._archive.read(after, up_to, _TOGETHER, call_id=None, kinds=None)
            except StoreError as fault:
                log.warning("cluster_events_not_read", cause=str(fault))
                await asyncio.sleep(_LOOK_S)
                continue
            for event in events:
                self.log.add(event, node_id)
            if len(events) < _TOGETHER:
                self.log.skip(run, up_to)

    async def _look(self) -> None:
        """Who watches, and whose runs are over."""
        bus, redis = self.log.bus, self._registry.redis
        if bus.is_watched_here:
            await redis.set(WATCHED, self._me, ex=_WATCHED_S)
        bus.is_watched_elsewhere = bool(await redis.exists(WATCHED))
        if time.monotonic() >= self._trim_at:
            self._trim_at = time.monotonic() + _TRIM_S
            await redis.xtrim(EVENTS, minid=f"{round((time.time() - _STREAM_S) * 1000)}-0", approximate=True)
        if not self._registry.is_reachable:
            return
        newest: dict[str, int] = {}
        for run, node_id in self.log.nodes.items():
            newest[node_id] = max(run, newest.get(node_id, 0))
        for run in self.log.active:
            node_id = self.log.nodes.get(run, "")
            if node_id in self._registry.nodes and newest[node_id] == run:
                self._gone_since.pop(run, None)
            elif time.monotonic() - self._gone_since.setdefault(run, time.monotonic()) > _QUIET_S:
                del self._gone_since[run]
                end = (await self._newest_kept()).get(run, begin_of(run))
                if end > self.log.told_up_to(run):  # it died before it could tell us
                    await self._fill(run, node_id, end)
                self.log.is_over(run)

    async def _newest_kept(self) -> Mapping[int, int]:
        try:
            return await self._archive.newest_of_runs()
        except StoreError:
            return {}


def _event(told: Mapping[str, Any]) -> Event | None:
    """None: of a kind that this version does not know."""
    if told["kind"] not in CATALOGUE:
        return None
    return Event(int(told["cursor"]), told["kind"], told["call_id"], datetime.fromisoformat(told["at"]), told["data"])


async def open_exchange(registry: Registry, own: EventLog, archive: RunArchive, sealer: ColumnSealer) -> EventExchange:
    """From now on nothing that is told is missed: what was told before the stream's last entry is in the database.
    Raises `StartupError`."""
    try:
        newest_entry = await registry.redis.xrevrange(EVENTS, count=1)
        last = str(newest_entry[0][0]) if newest_entry else "0-0"
        runs = {int(run): str(node_id) for run, node_id in (await registry.redis.hgetall(RUNS)).items()}
        newest = await archive.newest_of_runs()
        old = await archive.newest_of_runs(datetime.now(UTC) - _OLD)
    except (RedisError, OSError) as fault:
        raise StartupError(f"Redis (cluster.redis_url) does not answer: {fault or type(fault).__name__}") from fault
    except StoreError as fault:
        raise StartupError(f"the events of the other nodes cannot be read: {fault}") from fault
    merged = MergedLog(own, archive, registry.me.node_id, newest)
    latest: dict[str, int] = {}
    for run, node_id in runs.items():
        latest[node_id] = max(run, latest.get(node_id, 0))
        merged.nodes[run] = node_id
    for node_id, newest_run in latest.items():
        if node_id in registry.nodes and node_id != registry.me.node_id:
            merged.lives(newest_run, node_id)
    for run, cursor in newest.items():
        if run not in runs and old.get(run) != cursor:  # somebody who has just begun, and is not known yet
            merged.lives(run, "")
    return EventExchange(registry, own, archive, sealer, merged, last)
