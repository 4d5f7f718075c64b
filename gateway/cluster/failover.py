# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts together what lets other nodes go on with our calls, and us with theirs."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from gateway.calls.switchboard import Switchboard
from gateway.cluster.adoption import Adoptions
from gateway.cluster.call_states import CallStates
from gateway.cluster.registry import Registry
from gateway.store import SessionStore
from gateway.store.sealing import ColumnSealer
from gateway.telemetry import Metrics


@asynccontextmanager
async def open_failover(
    registry: Registry | None, switchboard: Switchboard, store: SessionStore, metrics: Metrics, dead_after_s: float
) -> AsyncIterator[Adoptions | None]:
    """Inside, our calls are told of and others' are taken over; None: there is no cluster."""
    if registry is None:
        yield None
        return
    states = CallStates(registry, switchboard, switchboard.dump, ColumnSealer(store.key))
    switchboard.events.follow(states.receive)
    at_work: set[asyncio.Task[object]] = set()
    async with asyncio.TaskGroup() as tasks:

        def spawn(work: Coroutine[object, object, object]) -> None:
            task = tasks.create_task(work)
            at_work.add(task)
            task.add_done_callback(at_work.discard)

        adoptions = Adoptions(registry, states, switchboard, metrics, spawn, store.finish, dead_after_s)
        for work in (states.run(), adoptions.receive_handed(), adoptions.redeem()):
            spawn(work)
        try:
            yield adoptions
        finally:
            for task in tuple(at_work):  # whoever waits for a far end that is gone, too
                task.cancel()
