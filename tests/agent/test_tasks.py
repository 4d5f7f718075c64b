# SPDX-License-Identifier: GPL-3.0-or-later
"""The one timer of a session, on the event loop that the gateway runs on."""

import asyncio

import uvloop

from agent.tasks import SessionTasks


def test_a_timer_that_is_due_already_may_be_armed_again() -> None:
    async def wake_twice() -> list[str]:
        woken: list[str] = []
        tasks = SessionTasks()
        tasks.wake_at(1.0, 2.0, lambda: woken.append("first"))
        tasks.wake_at(1.5, 2.0, lambda: woken.append("second"))
        await asyncio.sleep(0.01)
        return woken

    # uvloop gives a plain handle, without its time, for what is due at once.
    assert uvloop.run(wake_twice())
