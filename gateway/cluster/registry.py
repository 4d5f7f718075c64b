# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes there are: each beats its heart in Redis and looks at those of the others.

    SET parley:node:ID {...} PX dead_after      every heartbeat, with the id in the set parley:nodes
    SMEMBERS parley:nodes, MGET parley:node:*   in the same round trip: in the set without a heartbeat = dead

A node whose Redis is gone goes on with what it knows: nobody is declared dead for a silence of Redis. What it finds
when Redis is back is looked at for `dead_after` first, so that the others can say that they live.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import cast

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.cluster.keys import NODES, calls_key, node_key
from gateway.cluster.node import Node
from gateway.errors import StartupError

_TIMEOUT_S = 1.0
"""For one command: Redis is near, and nobody waits for a dead one."""
_START_S = 5.0

log = structlog.get_logger(__name__)


class Registry:
    """Made by `open_registry`. All of it is the event loop's."""

    def __init__(self, redis: Redis, describe: Callable[[], Node], *, heartbeat_s: float, dead_after_s: float) -> None:
        self.redis = redis
        """For what else is kept there; its commands raise `redis.exceptions.RedisError` after a second."""
        self._describe = describe
        self._heartbeat_s = heartbeat_s
        self._dead_after_s = dead_after_s
        self._is_draining = False
        self._nodes: dict[str, Node] = {}
        self._last_seen: dict[str, Node] = {}
        """Of every node that was seen alive and has neither left nor been mourned."""
        self._changed: list[Callable[[], None]] = []
        self._died: list[Callable[[Node], None]] = []
        self._reachable: list[Callable[[bool], None]] = []
        self.is_reachable = True
        """Redis has answered the last time."""
        self._trust_from = 0.0
        """Monotonic: silence of others before it means nothing."""
        self._beat_now = asyncio.Event()

    @property
    def me(self) -> Node:
        """This node, as it is now."""
        node = self._describe()
        return node.model_copy(update={"state": "draining"}) if self._is_draining else node

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The living by id, this one among them; at most a heartbeat old, older while Redis is away."""
        me = self.me
        return {**self._nodes, me.node_id: me}

    def follow(self, on_change: Callable[[], None]) -> None:
        """Tell this one whenever `nodes` has changed; it must not block."""
        self._changed.append(on_change)

    def on_death(self, mourner: Callable[[Node], None]) -> None:
        """Tell this one of each node whose heart has stopped without a leave."""
        self._died.append(mourner)

    def on_reachable(self, told: Callable[[bool], None]) -> None:
        """Tell this one when Redis is lost (False) and back (True)."""
        self._reachable.append(told)

    def drain(self) -> None:
        """Be no place for new calls from now on."""
        self._is_draining = True
        self._beat_now.set()

    async def beat(self) -> None:
        """One heartbeat, and a look at the others. Raises `RedisError`."""
        me = self.me
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.set(node_key(me.node_id), me.model_dump_json(), px=round(self._dead_after_s * 1000))
            pipe.sadd(NODES, me.node_id)
            pipe.smembers(NODES)
            members = cast(set[str], (await pipe.execute())[2])
        others = sorted(members - {me.node_id})
        beats = await self.redis.mget([node_key(one) for one in others]) if others else []
        alive = {one: node for one, kept in zip(others, beats, strict=True) if (node := _node(kept)) is not None}
        self._compare(alive, frozenset(others))

    def _compare(self, alive: dict[str, Node], members: frozenset[str]) -> None:
        before, self._nodes = self._nodes, alive
        dead = []
        if time.monotonic() >= self._trust_from:
            for node_id, node in list(self._last_seen.items()):
                if node_id in alive and alive[node_id].run == node.run:
                    continue
                del self._last_seen[node_id]
                if node_id in members:  # who has taken its leave is not there any more
                    dead.append(node)
        self._last_seen.update(alive)
        if before != alive:
            for told in self._changed:
                told()
        for node in dead:
            log.warning("cluster_node_died", node=node.node_id, calls=node.calls)
            for mourner in self._died:
                mourner(node)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            begun = time.monotonic()
            self._beat_now.clear()
            try:
                async with asyncio.timeout(2 * _TIMEOUT_S):  # `wait_for` may lose a cancellation
                    await self.beat()
                self._reach(True)
            except (RedisError, OSError, TimeoutError) as fault:
                self._reach(False, type(fault).__name__)
            if time.monotonic() - begun > self._dead_after_s / 2:  # we, or Redis, have stood still: so may the others
                self._trust_from = time.monotonic() + self._dead_after_s
            with suppress(TimeoutError):
                rest_s = max(0.01, self._heartbeat_s - (time.monotonic() - begun))
                async with asyncio.timeout(rest_s):
                    await self._beat_now.wait()

    def _reach(self, is_reachable: bool, cause: str = "") -> None:
        if is_reachable == self.is_reachable:
            return
        self.is_reachable = is_reachable
        if is_reachable:
            self._trust_from = time.monotonic() + 2 * self._dead_after_s
            log.info("cluster_redis_back")
        else:
            log.error("cluster_redis_lost", cause=cause, effect="calls go on; what the nodes tell each other waits")
        for told in self._reachable:
            told(is_reachable)

    async def leave(self) -> None:
        """Nobody mourns a node that said goodbye."""
        node_id = self._describe().node_id
        with suppress(RedisError, OSError, TimeoutError):
            async with self.redis.pipeline() as pipe:
                pipe.srem(NODES, node_id)
                pipe.delete(node_key(node_id), calls_key(node_id))
                await asyncio.wait_for(pipe.execute(), _TIMEOUT_S)


def _node(kept: object) -> Node | None:
    if not isinstance(kept, str):
        return None
    try:
        return Node.model_validate_json(kept)
    except ValidationError:  # of another version, or somebody else's
        return None


@asynccontextmanager
async def open_registry(
    redis_url: str, describe: Callable[[], Node], *, heartbeat_s: float = 0.25, dead_after_s: float = 1.0
) -> AsyncIterator[Registry]:
    """Join the cluster; leaving the context takes leave of it. Raises `StartupError`: another living node has our id,
    or Redis does not answer."""
    redis: Redis = Redis.from_url(
        redis_url,
        decode_responses=True,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),  # the client's own would wait for seconds between one try and the next
    )
    try:
        registry = Registry(redis, describe, heartbeat_s=heartbeat_s, dead_after_s=dead_after_s)
        me = describe()
        try:
            other = _node(await asyncio.wait_for(cast(Awaitable[object], redis.get(node_key(me.node_id))), _START_S))
            if other is not None and other.run != me.run:
                await asyncio.sleep(2 * dead_after_s)  # of a run before that has just died, perhaps
                other = _node(await redis.get(node_key(me.node_id)))
            if other is not None and other.run != me.run:
                raise StartupError(
                    f"there is another node {me.node_id!r} in the cluster ({other.sip}): give each a cluster.node_id"
                )
            await registry.beat()
        except (RedisError, OSError, TimeoutError) as fault:
            raise StartupError(f"Redis (cluster.redis_url) does not answer: {fault or type(fault).__name__}") from fault
        beating = asyncio.create_task(registry.run(), name="cluster-heartbeat")
        try:
            yield registry
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
            await registry.leave()
    finally:
        await redis.aclose()
