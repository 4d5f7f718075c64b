# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes over the calls of nodes that have died, and those that draining nodes hand over.

a heart stops > each survivor takes its share of the calls > re-INVITE, "Sorry, I lost you" > the rest, a second later
a node drains > between two turns: snapshot, hand over > re-INVITE by the other node > the old leg is let go
"""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import structlog
from redis.exceptions import RedisError

from gateway.calls.call import Adoption, Call
from gateway.calls.state import CallState
from gateway.calls.switchboard import Switchboard
from gateway.cluster.call_states import CallStates
from gateway.cluster.keys import NODES, calls_key, handed_key, node_key, settled_key
from gateway.cluster.node import Node
from gateway.cluster.registry import Registry
from gateway.cluster.snapshot import CallSnapshot
from gateway.errors import CallError
from gateway.telemetry import Metrics

_AT_ONCE = 16
"""Calls that are being taken over by one node."""
_SHARE_FIRST_S = 1.0
"""Until what another survivor was to take is taken by anybody."""
_REDIAL_S = 120.0
"""A call whose node was told of last so long ago has ended at its far end."""
_QUIET_S = 8.0
"""Longest time to wait for a moment at which nobody is cut off."""
_ARRIVE_S = 36.0
"""Until it is decided whether a call has arrived: as long as an INVITE that nobody answers, and some more."""
_POLL_S = 0.05
_SETTLED_S = 60
_HAND_WAIT_S = 0.5

_BURY = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
return 1
"""

log = structlog.get_logger(__name__)


class Adoptions:
    """Of this node."""

    def __init__(
        self,
        registry: Registry,
        states: CallStates,
        switchboard: Switchboard,
        metrics: Metrics,
        spawn: Callable[[Coroutine[object, object, None]], object],
        finish: Callable[[str, datetime, str], Awaitable[None]],
        dead_after_s: float,
    ) -> None:
        """`finish`: ends the session of a call that nobody can go on with."""
        self._registry = registry
        self._states = states
        self._switchboard = switchboard
        self._metrics = metrics
        self._spawn = spawn
        self._finish = finish
        self._dead_after_s = dead_after_s
        self._me = registry.me.node_id
        self._slots = asyncio.Semaphore(_AT_ONCE)
        for result in ("taken", "lost"):
            metrics.calls_adopted.labels(result)
        registry.on_death(self._mourn_soon)

    async def redeem(self) -> None:
        """Go on with what a run before of this very node has left, if nobody else has: the far ends may still be
        there."""
        await self._guarded(self._redeem())

    async def _redeem(self) -> None:
        await self._take(await self._states.waiting(self._me), self._me, time.time())

    async def _guarded(self, work: Awaitable[None]) -> None:
        """A fault over one call must not end the others."""
        try:
            await work
        except (RedisError, OSError) as fault:
            log.error("cluster_calls_not_taken", cause=type(fault).__name__)
        except Exception:
            log.exception("cluster_fault")

    def _mourn_soon(self, node: Node) -> None:
        self._spawn(self._guarded(self._mourn(node)))

    async def _mourn(self, node: Node) -> None:
        last_seen_at = time.time() - self._dead_after_s
        calls = await self._states.waiting(node.node_id)
        survivors = sorted(one.node_id for one in self._registry.nodes.values() if one.state == "up")
        if self._me not in survivors:
            return
        share, rank = len(survivors), survivors.index(self._me)
        ours = [one for one in calls if zlib.crc32(one.encode()) % share == rank]
        await self._take(ours, node.node_id, last_seen_at)
        await asyncio.sleep(_SHARE_FIRST_S)
        again = self._registry.nodes.get(node.node_id)
        if again is not None and again.run != node.run:  # it is back, and goes on with the rest itself
            return
        await self._take(calls, node.node_id, last_seen_at)
        await self._bury(node.node_id)

    async def _bury(self, node_id: str) -> None:
        keys = [node_key(node_id), NODES, calls_key(node_id)]
        await self._registry.redis.eval(_BURY, len(keys), *keys, node_id)

    async def _take(self, call_ids: Sequence[str], node_id: str, last_seen_at: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            for call_id in call_ids:
                tasks.create_task(self._take_one(call_id, node_id, last_seen_at))

    async def _take_one(self, call_id: str, node_id: str, last_seen_at: float) -> None:
        async with self._slots:
            try:
                snapshot = await self._states.take(call_id, node_id)
            except (RedisError, OSError) as fault:
                log.error("cluster_call_not_taken", call_id=call_id, cause=type(fault).__name__)
                return
            if snapshot is None:
                return
            if time.time() - snapshot.told_at > _REDIAL_S:
                await self._lose(call_id)
                return
            last_seen_at = max(last_seen_at, snapshot.told_at)
            await self._go_on(snapshot, Adoption(node_id, "death", last_seen_at))

    async def _go_on(self, snapshot: CallSnapshot, adoption: Adoption) -> bool:
        """Whether the far end talks to us."""
        call_id = snapshot.call_id
        try:
            call = await self._switchboard.go_on_with(snapshot.facts(), snapshot.dialog, adoption, snapshot.history)
        except CallError as fault:
            log.error("cluster_call_not_taken", call_id=call_id, cause=type(fault).__name__)
            if adoption.cause == "death":
                await self._lose(call_id)
            return False
        call.turn_count = snapshot.turn_count
        is_taken = await _is_ours(call)
        self._metrics.calls_adopted.labels("taken" if is_taken else "lost").inc()
        return is_taken

    async def _lose(self, call_id: str) -> None:
        self._metrics.calls_adopted.labels("lost").inc()
        await self._finish(call_id, datetime.now(UTC), "lost")

    # What draining nodes hand over

    async def receive_handed(self) -> None:
        """Take what is handed to us, until cancelled."""
        redis = self._registry.redis
        while True:
            try:
                handed = await redis.lpop(handed_key(self._me))
            except (RedisError, OSError):
                handed = None
            if handed is None:
                await asyncio.sleep(_HAND_WAIT_S / 5)
                continue
            self._spawn(self._guarded(self._receive(cast(str, handed))))

    async def _receive(self, call_id: str) -> None:
        snapshot = await self._states.given(call_id)
        is_here = False
        if snapshot is not None:
            is_here = await self._go_on(snapshot, Adoption(snapshot.from_node, "drain", time.time()))
        await self._registry.redis.set(settled_key(call_id), "yes" if is_here else "no", ex=_SETTLED_S)

    async def hand_over_all(self) -> None:
        """Give every call of ours to another node, each between two turns. Those that cannot move stay."""
        async with asyncio.TaskGroup() as tasks:
            for call in self._switchboard.calls:
                tasks.create_task(self._hand_over(call))

    async def _hand_over(self, call: Call) -> None:
        quiet_by = time.monotonic() + _QUIET_S
        while not call.is_between_turns and time.monotonic() < quiet_by:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(_POLL_S)
        async with self._slots:
            target = self._heir()
            if target is None:
                return
            call_id = call.call_id
            self._states.leaving.add(call_id)
            try:
                snapshot = await self._states.snapshot(call_id)
                if snapshot is None or not await self._states.tell(snapshot.model_copy(update={"cause": "drain"})):
                    return
                redis = self._registry.redis
                await redis.delete(settled_key(call_id))
                await self._states.give(call_id, target.node_id)
                await redis.rpush(handed_key(target.node_id), call_id)
                if await self._has_arrived(call_id):
                    await call.let_go()
                else:
                    await self._states.take(call_id, target.node_id)
            except (RedisError, OSError, CallError) as fault:
                log.error("cluster_call_not_handed_over", call_id=call_id, cause=type(fault).__name__)
            finally:
                self._states.leaving.discard(call_id)

    async def _has_arrived(self, call_id: str) -> bool:
        settled, arrive_by = None, time.monotonic() + _ARRIVE_S
        while settled is None and time.monotonic() < arrive_by:
            await asyncio.sleep(_POLL_S)
            with suppress(RedisError, OSError):  # it has been handed over: only the other node knows what becomes of it
                settled = await self._registry.redis.get(settled_key(call_id))
        return settled == "yes"

    def _heir(self) -> Node | None:
        """Who is the emptiest, and, alike empty, the heaviest."""
        others = [node for node in self._registry.nodes.values() if node.node_id != self._me and node.is_open]
        return min(others, key=lambda node: (node.share, -node.weight), default=None)


async def _is_ours(call: Call) -> bool:
    """Once it is decided: the far end has answered, or the call is over."""
    while call.state is CallState.DIALING:  # noqa: ASYNC110 - a fiftieth of a second, for a rare thing
        await asyncio.sleep(_POLL_S)
    return call.state is not CallState.ENDED
