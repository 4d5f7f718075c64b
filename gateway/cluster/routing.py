# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a request belongs: to the node that has the call, or that has room for one."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from gateway.api.nodes import NodeInfo
from gateway.cluster.commands import Commands
from gateway.cluster.keys import NODES, node_key, turn_key
from gateway.cluster.node import Node
from gateway.cluster.owners import Owners
from gateway.cluster.registry import Registry
from gateway.errors import NodeGone, NoSuchNode

_ADOPTION_S = 3.0
"""How long the calls of a dead node may take to be at another one."""
_HERE_SOON_S = 0.5
"""A call that has just been made ours is here after so long."""
_LOOK_S = 0.05
_TURN_S = 35
"""Longer than one request may take."""
_DRAIN_SOON_S = 0.1
"""Time for the answer to leave first."""


class Routing:
    """Of this node."""

    def __init__(
        self,
        registry: Registry,
        owners: Owners,
        commands: Commands,
        has: Callable[[str], bool],
        dead_after_s: float,
    ) -> None:
        """`has`: whether a call is here."""
        self._registry = registry
        self._dead_after_s = dead_after_s
        self.owners = owners
        self.commands = commands
        self.has = has
        self.me = registry.me.node_id

    async def elsewhere(self, call_id: str) -> Node | None:
        """The living node that has the call; None: it is here, or nobody's. A call whose node has just died is waited
        for: another one takes it. Raises `NodeGone`, `ClusterUnreachable`."""
        begun = time.monotonic()
        while not self.has(call_id):
            owner = await self.owners.of(call_id)
            if owner is None:
                return None
            waited_s = time.monotonic() - begun
            if owner == self.me:
                if waited_s > _HERE_SOON_S:
                    return None
            elif (node := self._registry.nodes.get(owner)) is not None:
                return node
            elif waited_s > _ADOPTION_S:
                raise NodeGone(f"node {owner}, which had the call, is gone, and no other one has taken it")
            await asyncio.sleep(_LOOK_S)
        return None

    def node(self, node_id: str) -> Node:
        """A living node. Raises `NoSuchNode`."""
        try:
            return self._registry.nodes[node_id]
        except KeyError:
            raise NoSuchNode(f"there is no living node {node_id!r}") from None

    @property
    def others(self) -> list[Node]:
        """The living, without this one."""
        return [node for node in self._registry.nodes.values() if node.node_id != self.me]

    def places(self, region: str | None, *, is_full: bool = False) -> list[Node]:
        """Who is to place a call, the best first; empty: this node, or nobody can. A region that was asked for comes
        before load; without one calls stay where they were ordered, as long as there is room. `is_full`: here is
        none, whatever it looks like."""
        me = self._registry.me
        has_room = me.is_open and not is_full
        wanted = region or me.region
        is_near = not region or me.region == region
        if has_room and is_near:
            return []
        able = [node for node in self.others if node.is_open]
        able.sort(key=lambda node: (node.region != wanted, round(node.share, 2), -node.weight, random.random()))
        if has_room:  # elsewhere only if that is nearer
            able = [node for node in able if node.region == wanted]
        return able

    def share(self) -> float:
        """Which part of the cluster's free places is here: 0 to 1."""
        free = {
            node.node_id: max(0, node.capacity - node.calls)
            for node in self._registry.nodes.values()
            if node.state == "up"
        }
        total = sum(free.values())
        return free.get(self.me, 0) / total if total else 0.0

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Alone in the cluster with what has this name, inside; without Redis, alone on this node at best."""
        redis, key = self._registry.redis, turn_key(name)
        waits_until = time.monotonic() + _TURN_S
        is_ours = False
        try:
            while time.monotonic() < waits_until:
                if is_ours := bool(await redis.set(key, self.me, nx=True, ex=_TURN_S)):
                    break
                await asyncio.sleep(_LOOK_S)
        except (RedisError, OSError):
            is_ours = False
        try:
            yield
        finally:
            if is_ours:
                try:
                    await redis.delete(key)
                except (RedisError, OSError):
                    is_ours = False  # it goes by itself

    async def list_nodes(self) -> Sequence[NodeInfo]:
        """All that have come and not left, the dead among them."""
        nodes = dict(self._registry.nodes)
        ages: dict[str, float] = {}
        dead: list[str] = []
        if self._registry.is_reachable:
            try:
                redis = self._registry.redis
                members = {str(one) for one in await redis.smembers(NODES)}
                dead = sorted(members - nodes.keys())
                async with redis.pipeline(transaction=False) as pipe:
                    for node_id in nodes:
                        pipe.pttl(node_key(node_id))
                    left = await pipe.execute()
                for node_id, left_ms in zip(nodes, left, strict=True):
                    if left_ms >= 0:
                        ages[node_id] = max(0.0, 1000 * self._dead_after_s - left_ms)
            except (RedisError, OSError):
                ages = {}
        return [
            *(
                NodeInfo(
                    node_id=node.node_id,
                    state=node.state,
                    is_here=node.node_id == self.me,
                    region=node.region,
                    sip=node.sip,
                    http=node.http,
                    calls=node.calls,
                    capacity=node.capacity,
                    weight=node.weight,
                    started_at=node.started_at,
                    version=node.version,
                    heartbeat_age_ms=None if node.node_id not in ages else round(ages[node.node_id]),
                )
                for node in sorted(nodes.values(), key=lambda node: node.node_id)
            ),
            *(NodeInfo(node_id=node_id, state="dead", is_here=False) for node_id in dead),
        ]

    async def drain(self, node_id: str) -> NodeInfo:
        """As SIGTERM does. Raises `NoSuchNode`: it is not this one."""
        if node_id != self.me:
            raise NoSuchNode(f"there is no living node {node_id!r}")
        self._registry.drain()
        asyncio.get_running_loop().call_later(_DRAIN_SOON_S, os.kill, os.getpid(), signal.SIGTERM)
        return next(node for node in await self.list_nodes() if node.node_id == node_id)
