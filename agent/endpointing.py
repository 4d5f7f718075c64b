# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpointing: has the caller finished, or only paused? A clockless engine; `agent.turn` feeds it.

    speech ends ─ ask_after ─> AskIfOver ──> probability, transcript (side by side, in any order)
                                   │
        probability high ─────────────────────> decided at once
        a whole turn in a word ── short_wait ──> decided
        a sentence that trails off ── open_wait > decided, whatever the probability
        anything else ──────────── max_wait ───> decided
                                                    └─ and the transcript is there ─> TurnOver / TurnEmpty

All waits are silence, counted from the last speech sample. Speech breaks the pause and drops what was asked about it;
a mere suspicion of speech holds every decision until it is confirmed or dismissed.
"""

from dataclasses import dataclass

from agent.config import TurnConfig
from agent.cues import is_whole_turn, trails_off
from agent.services.stt import Transcript


@dataclass(frozen=True, slots=True)
class AskIfOver:
    """Ask for the transcript and for the end-of-turn model's opinion; answers carry this id back."""

    pause_id: int


@dataclass(frozen=True, slots=True)
class PauseBroken:
    """The caller goes on: answers about this pause are of no use any more."""

    pause_id: int


@dataclass(frozen=True, slots=True)
class TurnOver:
    """The caller has finished."""

    pause_id: int
    transcript: Transcript
    decided_at: float


@dataclass(frozen=True, slots=True)
class TurnEmpty:
    """The sound is over and was no speech."""

    pause_id: int


EndpointingEvent = AskIfOver | PauseBroken | TurnOver | TurnEmpty


@dataclass(slots=True)
class _Pause:
    """What is known of the present silence."""

    pause_id: int
    silent_since: float
    is_asked: bool = False
    probability: float | None = None
    transcript: Transcript | None = None
    believed_at: float | None = None
    """When the model was believed; the words may still overrule it."""


class Endpointing:
    """One caller's pauses, one at a time."""

    def __init__(self, config: TurnConfig) -> None:
        self._config = config
        self._pause: _Pause | None = None
        self._is_held = False
        self._last_pause_id = 0
        self._events: list[EndpointingEvent] = []

    @property
    def pause_id(self) -> int | None:
        """The present pause, if the caller pauses."""
        return None if self._pause is None else self._pause.pause_id

    def receive_speech(self, now: float) -> None:
        """The caller speaks (again)."""
        self._is_held = False
        if self._pause is not None and self._pause.is_asked:
            self._events.append(PauseBroken(self._pause.pause_id))
        self._pause = None

    def receive_suspicion(self, now: float) -> None:
        """Something that may become speech: decide nothing until `receive_speech` or `receive_dismissal`."""
        self._is_held = True

    def receive_dismissal(self, now: float) -> None:
        self._is_held = False
        self.handle_timeout(now)

    def receive_silence(self, silent_since: float, now: float) -> None:
        """The caller has stopped; the last speech sample was spoken at `silent_since`."""
        self._last_pause_id += 1
        self._pause = _Pause(self._last_pause_id, silent_since)
        self.handle_timeout(now)

    def receive_probability(self, pause_id: int, probability: float, now: float) -> None:
        """The end-of-turn model's answer. Late ones are dropped."""
        if self._pause is not None and self._pause.pause_id == pause_id:
            self._pause.probability = probability
            if probability > self._config.over_probability:
                self._pause.believed_at = now
            self.handle_timeout(now)

    def receive_transcript(self, pause_id: int, transcript: Transcript, now: float) -> None:
        """Speech recognition's answer. Late ones are dropped."""
        if self._pause is not None and self._pause.pause_id == pause_id:
            self._pause.transcript = transcript
            self.handle_timeout(now)

    def receive_end(self, now: float) -> None:
        """The turn was ended otherwise: forget the pause."""
        self._pause = None

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        pause = self._pause
        if pause is None or self._is_held:
            return None
        if not pause.is_asked:
            return pause.silent_since + self._config.ask_after_ms / 1e3
        decided_at = self._decided_at(pause)
        if pause.transcript is None:
            return None
        return decided_at

    def handle_timeout(self, now: float) -> None:
        pause = self._pause
        due = self.next_timeout()
        if pause is None or due is None or now < due:
            return
        if not pause.is_asked:
            pause.is_asked = True
            self._events.append(AskIfOver(pause.pause_id))
            return
        assert pause.transcript is not None, "next_timeout() waits for the transcript"
        if pause.transcript.text.strip():
            self._events.append(TurnOver(pause.pause_id, pause.transcript, due))
        else:
            self._events.append(TurnEmpty(pause.pause_id))
        self._pause = None

    def events(self) -> list[EndpointingEvent]:
        """What follows from the latest input; drain after each."""
        events, self._events = self._events, []
        return events

    def _decided_at(self, pause: _Pause) -> float:
        """When the decision falls, or fell: the ledger's word for it, even if the transcript came later."""
        text = pause.transcript.text if pause.transcript is not None else ""
        if trails_off(text):
            return pause.silent_since + self._config.open_wait_ms / 1e3
        # Digits are dictated in groups, with pauses: a number is never a whole turn by its looks.
        is_whole = is_whole_turn(text) and not any(char.isdigit() for char in text)
        wait_ms = self._config.short_wait_ms if is_whole else self._config.max_wait_ms
        waited_until = pause.silent_since + wait_ms / 1e3
        return waited_until if pause.believed_at is None else min(pause.believed_at, waited_until)
