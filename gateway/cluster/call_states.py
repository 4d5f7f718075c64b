# SPDX-License-Identifier: GPL-3.0-or-later
"""What other nodes need of our calls, kept in Redis: written when a call is answered, at each turn, when it is held,
and every ten seconds; taken out when it is over.

A call has one owner (`owner_key`). Who tells of a call and finds another owner there has been declared dead, and lost
it: its leg is let go, since the other one talks to the far end by now.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import cast

import structlog
from pydantic import ValidationError
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from gateway.calls.call import Call
from gateway.calls.state import CallState
from gateway.calls.switchboard import Switchboard
from gateway.cluster.keys import calls_key, owner_key
from gateway.cluster.registry import Registry
from gateway.cluster.snapshot import CallSnapshot
from gateway.errors import CallError, StoreError
from gateway.events import Event, EventKind
from gateway.store.sealing import ColumnSealer

_TELLING: frozenset[EventKind] = frozenset(
    (
        "call.answered",
        "call.adopted",
        "call.activity",
        "call.held",
        "call.resumed",
        "call.succeeded",
        "transcript.final",
        "turn.measured",
        "far_end.recognized",
    )
)
_REFRESH_S = 10.0
_TOGETHER = 100
"""Calls that are told of in one round trip."""
_SEALED = "cluster.call"
_OWNED_S = 86_400

_TELL = f"""
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', {_OWNED_S})
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[2], {_OWNED_S})
return 1
"""
_MOVE = f"""
local state = redis.call('HGET', KEYS[2], ARGV[2])
if not state then return nil end
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], state)
redis.call('SET', KEYS[1], ARGV[1], 'EX', {_OWNED_S})
return state
"""
_FORGET = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('HDEL', KEYS[2], ARGV[2])
return 1
"""

log = structlog.get_logger(__name__)


class CallStates:
    """Of the calls of this node. `run` writes; `receive` takes the events of all calls."""

    def __init__(
        self,
        registry: Registry,
        switchboard: Switchboard,
        dump: Callable[[Call], str | None],
        sealer: ColumnSealer,
    ) -> None:
        """`dump`: the conversation of a call's agent."""
        self._registry = registry
        self._switchboard = switchboard
        self._dump = dump
        self._sealer = sealer
        self._me = registry.me.node_id
        self._stale: dict[str, None] = {}
        """Calls to tell of, the first that changed first."""
        self._over: set[str] = set()
        self.leaving: set[str] = set()
        """Calls that are being handed over: nothing more is told of them."""
        self._woken = asyncio.Event()
        self._tell: AsyncScript = registry.redis.register_script(_TELL)
        self._move: AsyncScript = registry.redis.register_script(_MOVE)
        self._forget: AsyncScript = registry.redis.register_script(_FORGET)
        registry.on_reachable(lambda is_reachable: self._all_are_stale() if is_reachable else None)

    def receive(self, event: Event) -> None:
        """An event of a call."""
        if event.kind == "call.ended":
            self._stale.pop(event.call_id, None)
            self._over.add(event.call_id)
        elif event.kind not in _TELLING:
            return
        else:
            self._stale[event.call_id] = None
        self._woken.set()

    async def run(self) -> None:
        """Tell of what has changed, until cancelled."""
        refresh_at = time.monotonic() + _REFRESH_S
        while True:
            try:
                async with asyncio.timeout(max(0.0, refresh_at - time.monotonic())):
                    await self._woken.wait()
            except TimeoutError:
                refresh_at = time.monotonic() + _REFRESH_S
                self._all_are_stale()
            self._woken.clear()
            if not self._registry.is_reachable:
                await asyncio.sleep(0.1)
                continue
            try:
                await self._write()
            except Exception:  # a fault over one call must not end those of all
                log.exception("cluster_fault")

    def _all_are_stale(self) -> None:
        self._stale.update(dict.fromkeys(call.call_id for call in self._switchboard.calls))
        self._woken.set()

    async def _write(self) -> None:
        over, self._over = self._over, set()
        stale = [call_id for call_id in self._stale if call_id not in self.leaving][:_TOGETHER]
        for call_id in stale:
            del self._stale[call_id]
        if any(call_id not in self.leaving for call_id in self._stale):
            self._woken.set()
        try:
            for call_id in over:
                await self._forget(keys=[owner_key(call_id), calls_key(self._me)], args=[self._me, call_id])
            for snapshot in await self._snapshots(stale):
                if not await self.tell(snapshot):
                    await self._let_go(snapshot.call_id)
        except (RedisError, OSError) as fault:
            log.warning("cluster_calls_not_told", cause=type(fault).__name__)
            self._over |= over
            self._stale.update(dict.fromkeys(stale))

    async def _snapshots(self, call_ids: Iterable[str]) -> list[CallSnapshot]:
        taken = [await self.snapshot(call_id) for call_id in call_ids]
        return [snapshot for snapshot in taken if snapshot is not None]

    async def snapshot(self, call_id: str) -> CallSnapshot | None:
        """A call as it is now; None: it cannot move, since it does not stand, or not by SIP."""
        try:
            call = self._switchboard.call(call_id)
            if call.state not in (CallState.ACTIVE, CallState.HELD) or call.legs is not self._switchboard.endpoint:
                return None
            dialog = await self._switchboard.endpoint.dialog(call_id)
        except CallError:
            return None
        facts = call.facts
        if dialog is None or facts.answered_at is None:
            return None
        return CallSnapshot(
            call_id=call_id,
            direction=facts.direction,
            from_=facts.from_,
            to=facts.to,
            peer=facts.peer,
            trunk=facts.trunk,
            agent=facts.agent,
            metadata=dict(facts.metadata),
            codec=facts.codec,
            srtp=facts.srtp,
            started_at=facts.started_at,
            answered_at=facts.answered_at,
            far_end=facts.far_end,
            far_end_confidence=facts.far_end_confidence,
            activity="" if call.activity is None else call.activity.kind,
            history=self._dump(call),
            turn_count=call.turn_count,
            dialog=dialog,
            told_at=time.time(),
            from_node=self._me,
        )

    async def tell(self, snapshot: CallSnapshot) -> bool:
        """Keep it for the others; False: the call is another node's. Raises `RedisError`."""
        kept = self._sealer.seal(snapshot.model_dump_json(), _SEALED)
        keys = [owner_key(snapshot.call_id), calls_key(self._me)]
        return cast(int, await self._tell(keys=keys, args=[self._me, snapshot.call_id, kept])) == 1

    async def _let_go(self, call_id: str) -> None:
        try:
            call = self._switchboard.call(call_id)
        except CallError:
            return
        log.warning("cluster_call_lost_to_another_node", call_id=call_id)
        await call.let_go()

    async def waiting(self, node_id: str) -> list[str]:
        """The calls that this node has told of. Raises `RedisError`."""
        return sorted(cast(list[str], await self._registry.redis.hkeys(calls_key(node_id))))

    async def take(self, call_id: str, node_id: str) -> CallSnapshot | None:
        """Make a call of that node ours; None: somebody else has. Raises `RedisError`."""
        return self._open(await self._moved(call_id, node_id, self._me))

    async def give(self, call_id: str, node_id: str) -> None:
        """Make a call of ours that node's. Raises `RedisError`."""
        await self._moved(call_id, self._me, node_id)

    async def given(self, call_id: str) -> CallSnapshot | None:
        """A call that was made ours. Raises `RedisError`."""
        kept = await self._registry.redis.hget(calls_key(self._me), call_id)
        return self._open(cast(str | None, kept))

    async def _moved(self, call_id: str, source: str, target: str) -> str | None:
        keys = [owner_key(call_id), calls_key(source), calls_key(target)]
        return cast(str | None, await self._move(keys=keys, args=[target, call_id]))

    def _open(self, kept: str | None) -> CallSnapshot | None:
        if kept is None:
            return None
        try:
            return CallSnapshot.model_validate_json(self._sealer.open(kept, _SEALED))
        except (ValidationError, StoreError) as fault:  # of another version, or sealed with another key
            log.error("cluster_call_unreadable", cause=type(fault).__name__)
            return None
