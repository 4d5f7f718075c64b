# SPDX-License-Identifier: GPL-3.0-or-later
"""Every task of one agent session, named and owned, and its one timer."""

import asyncio
from collections.abc import Callable, Coroutine

Work = Coroutine[object, object, None]


class SessionTasks:
    """What a session has under way. Before `begin` and after `cancel` nothing can be."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._ear: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        """At most four per pause: the end-of-turn model, who awaits it, the transcript, the caller's voice."""
        self._reply: asyncio.Task[None] | None = None
        self._aside: asyncio.Task[None] | None = None
        self._prepared: asyncio.Task[None] | None = None
        """The reply to a turn that is not over yet."""
        self._filler: asyncio.Task[None] | None = None
        """What covers up that the reply takes its time."""
        self._intent: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._tools: set[asyncio.Task[None]] = set()
        """As many as the model asks for at once, and what is left of former replies."""
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = 0.0

    @property
    def is_running(self) -> bool:
        return self._group is not None

    def begin(self, group: asyncio.TaskGroup) -> None:
        self._group = group

    def listen(self, work: Work) -> None:
        """Replaces what listened before."""
        self._cancel(self._ear)
        self._ear = self._start(work, "agent-ear")

    def ask(self, work: Work) -> None:
        task = self._start(work, "agent-ask")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def stop_asking(self) -> None:
        for task in tuple(self._asking):
            task.cancel()

    def reply(self, work: Work) -> None:
        self._reply = self._start(work, "agent-reply")

    def stop_reply(self) -> None:
        self._cancel(self._reply)
        self._cancel(self._filler)
        self._reply = self._filler = None

    def fill(self, work: Work) -> None:
        """Replaces what filled in before."""
        self._cancel(self._filler)
        self._filler = self._start(work, "agent-filler")

    def aside(self, work: Work) -> None:
        """What no turn waits for. One at a time: the one before is over."""
        self._aside = self._start(work, "agent-aside")

    def errand(self, work: Work) -> None:
        """What nothing waits for: a few in a call, and each ends by itself."""
        task = self._start(work, "agent-errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    @property
    def is_using_tool(self) -> bool:
        return bool(self._tools)

    def prepare(self, work: Work) -> None:
        """Replaces what was prepared before."""
        self.drop_prepared()
        self._prepared = self._start(work, "agent-prepare")

    def drop_prepared(self) -> None:
        self._cancel(self._prepared)
        self._prepared = None

    def use_prepared(self) -> None:
        """What was prepared is the reply now."""
        self._reply, self._prepared = self._prepared, None

    def track_intent(self, work: Work) -> None:
        """The one before is over, or soon finds nothing to do."""
        self._intent = self._start(work, "agent-intent")

    def use_tool(self, work: Work) -> asyncio.Task[None]:
        """Runs until it is done, whatever becomes of the reply that wanted it."""
        task = self._start(work, "agent-tool")
        self._tools.add(task)
        task.add_done_callback(self._tools.discard)
        return task

    def wake_at(self, due: float | None, now: float, callback: Callable[[], None]) -> None:
        """Have `callback` called at `due` (both by the session's clock), or a little earlier: it looks again then.

        A timer that is armed for an earlier moment stays: re-arming one for every frame would cost more than waking.
        """
        if due is None:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + max(0.0, due - now)
        if self._timer is not None:
            if self._wake_at <= when:  # kept here: uvloop's handle of a timer that is due already cannot tell
                return
            self._timer.cancel()

        def wake() -> None:
            self._timer = None
            callback()

        self._wake_at = when
        self._timer = loop.call_at(when, wake)

    def cancel(self) -> None:
        self._group = None
        self.stop_asking()
        self.stop_reply()
        self.drop_prepared()
        self._cancel(self._ear)
        self._cancel(self._aside)
        self._cancel(self._intent)
        for task in (*self._errands, *self._tools):
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, work: Work, name: str) -> asyncio.Task[None]:
        assert self._group is not None, "tasks belong to a running session"
        return self._group.create_task(work, name=name)

    @staticmethod
    def _cancel(task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.cancel()
