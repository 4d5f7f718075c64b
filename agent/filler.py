# SPDX-License-Identifier: GPL-3.0-or-later
"""What the caller hears while a service is slow: a rendered phrase, when nothing of ours has been audible for a while.

    answer begins ─> due at: end of the caller's speech, or of what was audible last, + `filler_after_ms`
    due ─> nothing waits to be sent, no clause is half written ─> the next phrase ─> due again, `filler_again_ms` later

A service that breaks down in the middle of a clause is not covered up: its own deadline ends in an apology.
"""

import asyncio
from collections.abc import Callable, Iterator

from agent.config import PhrasesConfig
from agent.reply import Reply, Speaker
from agent.tasks import SessionTasks

_AT_LEAST_S = 0.25
"""After the turn became ours: however long it took to be sure of that, the answer gets its chance."""
_LOOK_AGAIN_S = 0.1


class Filler:
    """One call's; of one reply at a time."""

    def __init__(
        self,
        config: PhrasesConfig,
        speaker: Speaker,
        tasks: SessionTasks,
        is_filled: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        """`is_filled`: somebody else sees to it for the moment, as whoever runs tools does."""
        self._config = config
        self._is_filled = is_filled
        self._speaker = speaker
        self._tasks = tasks
        self._clock = clock
        self._reply: Reply | None = None
        self._phrases: Iterator[str] = iter(())
        self._silence_s = 0.0
        """That is allowed now."""
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, reply: Reply, spoken_at: float) -> None:
        """The turn is ours, and this is its answer; the caller has been silent since `spoken_at`."""
        self.stop()
        now = self._clock()
        self._reply, self._phrases = reply, iter(self._config.filler)
        self._silence_s = self._config.filler_after_ms / 1e3
        self._look_at(max(spoken_at + self._silence_s, now + _AT_LEAST_S), now)

    def stop(self) -> None:
        """Nothing more is to be covered up."""
        self._reply = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, due: float, now: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._look)

    def _look(self) -> None:
        reply, now = self._reply, self._clock()
        if reply is None or reply.is_written:
            return
        if self._is_filled():
            reply.audible_until = now
        due = reply.audible_until + self._silence_s
        if now < due or reply.is_mid_clause:
            self._look_at(max(due, now + _LOOK_AGAIN_S), now)
            return
        phrase = next(self._phrases, None)
        if phrase is None:
            return
        self._tasks.fill(self._speaker.fill(reply, phrase))
        self._silence_s = self._config.filler_again_ms / 1e3
        self._look_at(now + self._silence_s, now)
