# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node has which call, from its first ring on: a key for each in Redis.

`gateway.cluster.call_states` moves it with the call, and takes it out at the end.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog
from redis.exceptions import RedisError

from gateway.cluster.keys import owner_key
from gateway.cluster.registry import Registry
from gateway.errors import ClusterUnreachable
from gateway.events import Event

_OWNED_S = 86_400
_PAUSE_S = 0.2

log = structlog.get_logger(__name__)


class Owners:
    """`run` writes what `receive` was told; `of` asks."""

    def __init__(self, registry: Registry, standing: Callable[[], Iterable[str]]) -> None:
        """`standing`: the calls that this node has."""
        self._registry = registry
        self._standing = standing
        self._me = registry.me.node_id
        self._new: dict[str, None] = {}
        self._woken = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        registry.on_reachable(lambda is_reachable: self._add(self._standing()) if is_reachable else None)

    def receive(self, event: Event) -> None:
        """An event of a call."""
        if event.kind in ("call.offered", "call.dialing"):
            self._add((event.call_id,))
        elif event.kind == "call.ended":
            self._new.pop(event.call_id, None)

    def _add(self, call_ids: Iterable[str]) -> None:
        self._new.update(dict.fromkeys(call_ids))
        self._written.clear()
        self._woken.set()

    async def run(self) -> None:
        """Write, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            new, self._new = self._new, {}
            try:
                async with self._registry.redis.pipeline(transaction=False) as pipe:
                    for call_id in new:
                        pipe.set(owner_key(call_id), self._me, nx=True, ex=_OWNED_S)
                    await pipe.execute()
            except (RedisError, OSError):
                self._new = {**new, **self._new}
                await asyncio.sleep(_PAUSE_S)
                self._woken.set()
                continue
            if not self._new:
                self._written.set()

    async def settled(self, limit_s: float) -> None:
        """Until the others can know of all our calls, at most so long."""
        try:
            async with asyncio.timeout(limit_s):
                await self._written.wait()
        except TimeoutError:
            log.warning("cluster_owner_not_written")

    async def of(self, call_id: str) -> str | None:
        """The node that has a call; None: nobody has. Raises `ClusterUnreachable`."""
        if not self._registry.is_reachable:
            raise ClusterUnreachable("whether another node has this call is not known: Redis does not answer")
        try:
            found = await self._registry.redis.get(owner_key(call_id))
        except (RedisError, OSError) as fault:
            raise ClusterUnreachable(
                "whether another node has this call is not known: Redis does not answer"
            ) from fault
        return None if found is None else str(found)
