# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller who says nothing, and a call that goes on for ever: when to ask, when to take leave.

    quiet for reprompt_after_s > Reprompt 1 ... max_reprompts > quiet again > Farewell("silence")
    max_call_s - warn_before_s > CallEndsSoon     max_call_s > Farewell("max_call"), and a while later CutOff

Quiet is when nobody speaks, thinks, presses keys or is busy with the call: on hold, being transferred, hearing an
announcement or muted. Every sound starts the wait anew; only a turn of the caller's makes the prompts begin again, so
that a cough or a television does not keep a line busy.

`CallHygiene` is told what is, and says what to do. It opens nothing and never asks the time.
"""

from dataclasses import dataclass
from typing import Literal

from agent import cues
from agent.config import SilenceConfig

EndOfCall = Literal["silence", "max_call"]

_GRACE_S = 30.0
"""So long the last word may take at the end of a call that is too long; then it is ended without."""


@dataclass(frozen=True, slots=True)
class Reprompt:
    """Ask the caller whether they are there."""

    number: int
    """From 1."""
    text: str


@dataclass(frozen=True, slots=True)
class CallEndsSoon:
    """Say that the call ends soon."""

    text: str


@dataclass(frozen=True, slots=True)
class Farewell:
    """Say goodbye, and hang up when that has been heard."""

    text: str
    reason: EndOfCall


@dataclass(frozen=True, slots=True)
class CutOff:
    """Hang up now: the goodbye found no room."""

    reason: EndOfCall


HygieneEvent = Reprompt | CallEndsSoon | Farewell | CutOff


class CallHygiene:
    """One call's patience."""

    def __init__(self, config: SilenceConfig, began_at: float) -> None:
        """`began_at`: when the call was answered."""
        self._config = config
        self._quiet_since: float | None = None
        self._prompts = 0
        """Without an answer since."""
        self._wait_s = config.reprompt_after_s
        self._warn_at: float | None = None
        self._end_at: float | None = None
        if config.max_call_s:
            self._end_at = began_at + config.max_call_s
            if 0 < config.warn_before_s < config.max_call_s:
                self._warn_at = self._end_at - config.warn_before_s
        self._has_said_goodbye = False
        self._events: list[HygieneEvent] = []

    def receive_quiet(self, is_quiet: bool, now: float) -> None:
        """Whether there is quiet now; the same again changes nothing."""
        if not is_quiet:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now

    def receive_turn(self, text: str) -> None:
        """The caller has said something, or pressed keys."""
        self._prompts = 0
        asked_to_wait = cues.asks_to_wait(text)
        self._wait_s = self._config.asked_to_wait_s if asked_to_wait else self._config.reprompt_after_s

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        dues = (self._prompt_due(), self._warn_at, self._end_at)
        return min((due for due in dues if due is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        if self._end_at is not None and now >= self._end_at:
            self._end(now)
        elif self._warn_at is not None and now >= self._warn_at:
            self._warn_at = None
            self._events.append(CallEndsSoon(self._config.call_ends_soon))
        elif (due := self._prompt_due()) is not None and now >= due:
            self._quiet_since = now
            self._wait_s = self._config.reprompt_after_s
            if self._prompts >= self._config.max_reprompts:
                self._events.append(Farewell(self._config.goodbye, "silence"))
                return
            self._prompts += 1
            phrases = self._config.phrases
            self._events.append(Reprompt(self._prompts, phrases[min(self._prompts, len(phrases)) - 1]))

    def events(self) -> list[HygieneEvent]:
        """What to do now, in order; drain after each input."""
        events, self._events = self._events, []
        return events

    def _prompt_due(self) -> float | None:
        if self._quiet_since is None or not self._config.reprompt_after_s:
            return None
        return self._quiet_since + self._wait_s

    def _end(self, now: float) -> None:
        """First in words; when they did not end the call in time, without."""
        self._warn_at = None
        if self._has_said_goodbye:
            self._end_at = None
            self._events.append(CutOff("max_call"))
        else:
            self._has_said_goodbye = True
            self._end_at = now + _GRACE_S
            self._events.append(Farewell(self._config.call_over, "max_call"))
