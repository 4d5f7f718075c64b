# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a call: one activity after the other, from when it is answered until the last one is done."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.calls.activity import Activity
from gateway.calls.announcements import Announcements, PlaybackEnd
from gateway.errors import WrongCallState
from media.keys import ToneDetection

if TYPE_CHECKING:
    from gateway.calls.call import Call

_ATTEND_WAIT_S = 2.0
StartActivity = Callable[["Call"], Activity]


class Attendance:
    """Of one call. `work` runs the activities."""

    def __init__(self, call: "Call", start: StartActivity, inband_keys: ToneDetection, over: asyncio.Event) -> None:
        """`over`: set when the leg is over."""
        self.activity: Activity | None = None
        self.attending: StartActivity = start
        """What began the activity of now, and could begin it again."""
        self._call = call
        self._inband_keys = inband_keys
        self._over = over
        self._task: asyncio.Task[str] | None = None
        self._attended_or_over = asyncio.Event()
        self._successor: StartActivity | None = None
        """What the call is for next, once the activity that is being ended has ended."""
        self._announcements: Announcements | None = None

    @property
    def announcements(self) -> Announcements:
        """What is said over what the call is for. Raises `WrongCallState` while nobody attends the call."""
        if self._announcements is None:
            raise WrongCallState("the call is not being attended")
        return self._announcements

    @property
    def is_announcing(self) -> bool:
        """Something is being said so."""
        return self._announcements is not None and self._announcements.is_playing

    @property
    def is_attended(self) -> bool:
        """There is an activity, which can be handed over from: nobody else has been promised the call."""
        task = self._task
        return task is not None and not task.done() and not task.cancelling() and not self._over.is_set()

    def hand_over(self, start: StartActivity) -> None:
        """Let another activity take the call; what was queued to be said is dropped.

        Raises `WrongCallState` when there is no activity yet, another one is to have the call already, or it is ending.
        """
        if self._task is None or not self.is_attended:
            # If it is being handed over: whoever was promised the call would never begin, nor be told.
            raise WrongCallState("the call is not being attended, or is just being handed over")
        self._successor = start
        self._task.cancel()
        self._unattended()  # until the successor has begun

    def follow_with(self, start: StartActivity) -> None:
        """What the call is for once the activity of now has ended of itself, in place of being hung up."""
        self._successor = start

    def cancel(self) -> None:
        """End the activity of now, if there is one."""
        if self._task is not None:
            self._task.cancel()

    def receive_end(self) -> None:
        """The leg is over: nobody is to wait any longer."""
        self._attended_or_over.set()

    async def until_attended(self) -> None:
        """Until an activity has begun, which what is answered waits for a moment; at most 2 s, or until it is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._attended_or_over.wait(), _ATTEND_WAIT_S)

    async def work(self) -> str | None:
        """Run one activity after the other until the last is done: the end reason; None when the leg is over first."""
        call = self._call
        start: StartActivity | None = self.attending
        reason = None
        async with asyncio.TaskGroup() as tasks:
            self._announcements = announcements = Announcements(call.leg, self._announced, tasks.create_task)
            call.keypad.spawn = tasks.create_task
            try:
                while start is not None and not self._over.is_set():
                    reason = await self._attend(start)
                    start, self._successor = self._successor, None
                    if start is not None:  # who comes finds the leg as if it were new
                        call.leg.clear()
                        call.leg.resume()
                        call.leg.duck(1.0)
            finally:
                self._announcements = None
                call.keypad.spawn = None
                announcements.close()
        return reason

    def _announced(self, playback_id: str, end: PlaybackEnd, played_ms: int) -> None:
        self._call.publish("playback.finished", playback_id=playback_id, end=end, played_ms=played_ms)

    async def _attend(self, start: StartActivity) -> str | None:
        call = self._call
        self.attending, self.activity = start, start(call)
        call.publish("call.activity", activity=self.activity.kind, agent=call.facts.agent)
        call.leg.detect_tones(self._inband_keys if self.activity.hears_keys else ToneDetection.OFF)
        async with asyncio.TaskGroup() as tasks:
            activity = tasks.create_task(self._run(self.activity), name=f"{call.call_id}:activity")
            watch = tasks.create_task(self._cancel_when_over(activity), name=f"{call.call_id}:over")
            activity.add_done_callback(lambda _: watch.cancel())
            activity.add_done_callback(lambda _: self._unattended())
            self._attended_or_over.set()  # who waits for it runs after the activity's first step
        return None if activity.cancelled() else activity.result()

    async def _run(self, activity: Activity) -> str:
        # Not before its first step: what is cancelled earlier never begins, and leaves behind what it was to end.
        self._task = asyncio.current_task()
        return await activity.run()

    def _unattended(self) -> None:
        if not self._over.is_set():
            self._attended_or_over.clear()

    async def _cancel_when_over(self, activity: "asyncio.Task[str]") -> None:
        await self._over.wait()
        activity.cancel()
