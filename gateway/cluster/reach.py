# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts together what lets any node reach any call, and hear the events of all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway.calls.switchboard import Switchboard
from gateway.cluster.commands import Commands
from gateway.cluster.events import open_exchange
from gateway.cluster.owners import Owners
from gateway.cluster.registry import Registry
from gateway.cluster.routing import Routing
from gateway.errors import NoSuchCall
from gateway.events import EventLog
from gateway.events.merged import MergedLog
from gateway.store import SessionStore
from gateway.store.sealing import ColumnSealer

_PAUSE_S = 1.0

RenewKeys = Callable[[], Coroutine[object, object, None]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reach:
    """Of this node, to the others."""

    routing: Routing
    events: MergedLog
    answering: Callable[[RenewKeys], None]
    """Call it once the application is there: others are answered from then on. Takes who renews the API keys."""


@asynccontextmanager
async def open_reach(
    registry: Registry | None, switchboard: Switchboard, store: SessionStore, events: EventLog, dead_after_s: float
) -> AsyncIterator[Reach | None]:
    """Inside, others know our calls and events, and we theirs; None: there is no cluster. Raises `StartupError`."""
    if registry is None:
        yield None
        return
    sealer = ColumnSealer(store.key)
    owners = Owners(registry, lambda: [call.call_id for call in switchboard.calls])
    switchboard.events.follow(owners.receive)
    commands = Commands(registry, sealer)
    routing = Routing(registry, owners, commands, lambda call_id: _has(switchboard, call_id), dead_after_s)
    exchange = await open_exchange(registry, events, store.events, sealer)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(_lasting(owners.run), name="cluster-owners"),
            tasks.create_task(_lasting(exchange.publish), name="cluster-publish"),
            tasks.create_task(_lasting(exchange.listen), name="cluster-listen"),
        ]

        def answering(renew_keys: RenewKeys) -> None:
            forget_here = store.on_erased

            def forget(call_id: str) -> None:
                forget_here(call_id)
                exchange.log.forget(call_id)

            def erased(call_id: str) -> None:
                forget(call_id)
                tasks.create_task(commands.tell("erased", call_id), name="tell-erased")

            store.on_erased = erased

            def noticed(topic: str, text: str) -> None:
                if topic == "keys":
                    tasks.create_task(renew_keys(), name="renew-keys")
                elif topic == "erased":
                    forget(text)

            commands.noticed = noticed
            # What was changed while nobody could be told.
            registry.on_reachable(lambda is_reachable: noticed("keys", "") if is_reachable else None)
            running.append(tasks.create_task(_lasting(commands.run), name="cluster-commands"))

        try:
            yield Reach(routing, exchange.log, answering)
        finally:
            for task in running:
                task.cancel()


async def _lasting(work: Callable[[], Awaitable[None]]) -> None:
    """A fault of ours here must not end the calls."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("cluster_fault")
            await asyncio.sleep(_PAUSE_S)


def _has(switchboard: Switchboard, call_id: str) -> bool:
    try:
        switchboard.call(call_id)
    except NoSuchCall:
        return False
    return True
