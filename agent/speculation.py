# SPDX-License-Identifier: GPL-3.0-or-later
"""Speculation: answering words before it is certain that the turn ends with them. A clockless engine.

    partial, stable ──> Prepare(words): context, language model and, if configured, the first clause's speech, unheard
    other words ──────> DropPrepared
    the turn is over ─> the same words still? used : thrown away (agent/dialogue.py compares the rest)

A partial is stable when speech recognition says so (it heard a pause and decoded thoroughly), when it is the transcript
that a pause was asked for, or, if the recogniser does not say, when the caller has fallen silent and the words have
been the same for `stable_ms`. Every try costs what an answer costs, so that they are few: `max_per_turn`,
`max_per_call`.
"""

import re
from dataclasses import dataclass
from typing import Literal

from agent.config import SpeculationConfig
from agent.cues import trails_off

Outcome = Literal["used", "wasted"]

_FILLERS = frozenset({"uh", "um", "uhm", "er", "erm", "eh", "hm", "hmm", "mm", "mhm", "ah", "äh", "ähm", "euh"})
_WORD = re.compile(r"[^\W_]+(?:['’.,:@/&+-][^\W_]+)*|[$€£%#]", re.UNICODE)  # noqa: RUF001 - typographic apostrophe
"""What stands inside a word or a number may change its meaning ("1.5", "re-sign"); what surrounds it does not."""


def essence(text: str) -> str:
    """The words that matter, without case, punctuation around them, and fillers: the same essence, the same answer."""
    words = [word.replace("’", "'") for word in _WORD.findall(text.casefold())]  # noqa: RUF001
    kept = [word for word in words if word not in _FILLERS]
    return " ".join(kept or words)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Prepare the answer to a turn of these words; nothing of it may be heard or done yet."""

    text: str


@dataclass(frozen=True, slots=True)
class DropPrepared:
    """The words are others: what was prepared is of no use."""


SpeculationEvent = Prepare | DropPrepared


class Speculation:
    """One call's guesses."""

    def __init__(self, config: SpeculationConfig) -> None:
        self._config = config
        self._text = ""
        """The turn so far."""
        self._changed_at = 0.0
        """When its words became these."""
        self._can_settle = False
        """It is for us to find out whether they stay these."""
        self._silent_at: float | None = None
        """Since when we know that the caller is silent."""
        self._prepared: str | None = None
        """The essence that is being answered ahead."""
        self._tries_in_turn = 0
        self._tries_in_call = 0
        self._events: list[SpeculationEvent] = []

    def receive_partial(self, text: str, is_stable: bool | None, now: float) -> None:
        """What the turn sounds like so far. `is_stable`: as in `Transcript`."""
        if self._config.mode == "off":
            return
        words = essence(text)
        if words != essence(self._text):
            self._changed_at = now
        self._text = text
        if self._prepared is not None and self._prepared != words:
            self._prepared = None
            self._events.append(DropPrepared())
        self._can_settle = is_stable is None
        if is_stable:
            self._try()
        else:
            self.handle_timeout(now)

    def receive_speech(self, now: float) -> None:
        """The caller speaks (again). What was prepared stays until the words are others."""
        self._silent_at = None

    def receive_silence(self, now: float) -> None:
        """The caller has fallen silent, perhaps only for a moment."""
        self._silent_at = now
        self.handle_timeout(now)

    def receive_answer(self) -> None:
        """The turn is over, and its answer has taken what was prepared or thrown it away."""
        self._prepared = None
        self._silent_at = None

    def receive_forgotten(self) -> None:
        """The next turn begins afresh."""
        if self._prepared is not None:
            self._events.append(DropPrepared())
        self._text, self._prepared, self._silent_at = "", None, None
        self._tries_in_turn = 0

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        if self._silent_at is None or not self._can_settle or not self._may_try():
            return None
        return max(self._silent_at, self._changed_at + self._config.stable_ms / 1e3)

    def handle_timeout(self, now: float) -> None:
        due = self.next_timeout()
        if due is not None and now >= due:
            self._try()

    def events(self) -> list[SpeculationEvent]:
        """What to do now; drain after each input."""
        events, self._events = self._events, []
        return events

    def _may_try(self) -> bool:
        config = self._config
        return (
            config.mode != "off"
            and self._prepared is None
            and self._tries_in_turn < config.max_per_turn
            and self._tries_in_call < config.max_per_call
            and bool(essence(self._text))
            and not trails_off(self._text)
        )

    def _try(self) -> None:
        if self._may_try():
            self._tries_in_turn += 1
            self._tries_in_call += 1
            self._prepared = essence(self._text)
            self._events.append(Prepare(self._text))
