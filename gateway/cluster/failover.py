# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts together what lets other nodes go on with our calls, and us with theirs."""

import asyncio
from collections.abc import AsyncIterator
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
    async with asyncio.TaskGroup() as tasks:
        adoptions = Adoptions(registry, states, switchboard, metrics, tasks.create_task, store.finish, dead_after_s)
        running = [tasks.create_task(states.run()), tasks.create_task(adoptions.receive_handed())]
        running.append(tasks.create_task(adoptions.redeem()))
        try:
            yield adoptions
        finally:
            for task in running:
                task.cancel()
