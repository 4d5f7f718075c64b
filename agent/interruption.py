# SPDX-License-Identifier: GPL-3.0-or-later
"""Barge-in: the caller speaks while the agent speaks. A clockless engine; `agent.turn` feeds it.

    quiet ── suspicion ──> ducked ── speech for confirm_ms ──> BrokenIn
                              └────── it was nothing ─────────> Restore

Only matters while the agent is audible. The first sound of what may be speech makes the agent quieter at once, which is
undone when it turns out to be a click or too short; confirmed speech stops the agent.
"""

from dataclasses import dataclass

from agent.config import InterruptionConfig


@dataclass(frozen=True, slots=True)
class Duck:
    """Quieter, or paused: what `at_onset` says."""


@dataclass(frozen=True, slots=True)
class Restore:
    """As before `Duck`."""


@dataclass(frozen=True, slots=True)
class BrokenIn:
    """The caller has the floor: throw the rest away."""


BargeInEvent = Duck | Restore | BrokenIn


@dataclass(frozen=True, slots=True)
class _Sound:
    """The caller's present sound."""

    is_speech: bool = False
    confirmed_at: float = 0.0
    """Speech only: when it is long enough."""


class BargeIn:
    """One call's interruptions."""

    def __init__(self, config: InterruptionConfig) -> None:
        self._config = config
        self._is_enabled = config.enabled
        self._is_audible = False
        self._is_ducked = False
        self._sound: _Sound | None = None
        self._events: list[BargeInEvent] = []

    def enable(self, enabled: bool, now: float) -> None:
        """Whether speech may stop the agent, from now on."""
        self._is_enabled = enabled
        self._weigh(now)

    def receive_audible(self, now: float) -> None:
        """The agent is heard from now on."""
        self._is_audible = True
        self._weigh(now)

    def receive_inaudible(self, now: float) -> None:
        """The agent has finished, or was stopped."""
        self._is_audible = False
        self._weigh(now)

    def receive_suspicion(self, now: float) -> None:
        """Something that may become speech."""
        self._sound = _Sound()
        self._weigh(now)

    def receive_speech(self, started_at: float, now: float) -> None:
        """It is speech, and began at `started_at`."""
        self._sound = _Sound(is_speech=True, confirmed_at=started_at + self._config.confirm_ms / 1e3)
        self._weigh(now)

    def receive_silence(self, now: float) -> None:
        """The sound is over, or was nothing."""
        self._sound = None
        self._weigh(now)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        if self._is_audible and self._is_enabled and self._sound is not None and self._sound.is_speech:
            return self._sound.confirmed_at
        return None

    def handle_timeout(self, now: float) -> None:
        self._weigh(now)

    def events(self) -> list[BargeInEvent]:
        """What follows from the latest input; drain after each."""
        events, self._events = self._events, []
        return events

    def _weigh(self, now: float) -> None:
        due = self.next_timeout()
        if due is not None and now >= due:
            self._is_audible = False
            self._events.append(BrokenIn())
            self._duck(False)
        else:
            self._duck(self._is_audible and self._is_enabled and self._sound is not None)

    def _duck(self, wanted: bool) -> None:
        if wanted != self._is_ducked and self._config.at_onset != "none":
            self._is_ducked = wanted
            self._events.append(Duck() if wanted else Restore())
