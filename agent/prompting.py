# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to silence, and to a call that has lasted long enough: `CallHygiene` decides, this carries it out."""

import contextlib
from collections.abc import Callable
from typing import assert_never

from agent.errors import AgentMisuse
from agent.events import AgentEvent, SilencePrompted
from agent.silence import CallEndsSoon, CallHygiene, CutOff, Farewell, Reprompt
from agent.turn import TurnTaking


class Prompting:
    """One session's."""

    def __init__(
        self, turns: TurnTaking, on_event: Callable[[AgentEvent], None], hang_up: Callable[[str, float], None]
    ) -> None:
        self._turns = turns
        self._on_event = on_event
        self._hang_up = hang_up

    def follow(self, hygiene: CallHygiene, now: float) -> None:
        """Do what is due."""
        for event in hygiene.events():
            match event:
                case Reprompt(number, text):
                    self._on_event(SilencePrompted(number, text))
                    self._announce(text, now)
                case CallEndsSoon(text):
                    self._announce(text, now)
                case Farewell(text, reason):
                    if reason == "silence":
                        self._on_event(SilencePrompted(0, text))
                    self._announce(text, now, hang_up=reason)
                case CutOff(reason):
                    self._hang_up(reason, now)
                case _:
                    assert_never(event)

    def _announce(self, text: str, now: float, *, hang_up: str | None = None) -> None:
        with contextlib.suppress(AgentMisuse):  # so much is waiting to be said that this does not matter
            self._turns.announce(text, now, hang_up=hang_up)
