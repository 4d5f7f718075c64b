# SPDX-License-Identifier: GPL-3.0-or-later
"""When the agent begins to speak on a call that it placed: whoever takes a call says something first. A clockless
engine.

    "hello?" and a pause ────────────────────> SpeakNow   (they may turn out to be anybody: what we say is stopped then)
    a person is recognised, and is silent ───> SpeakNow
    nobody says anything for greet_after_s ──> SpeakNow
    a machine, a queue, a fax: nothing, until a person comes

        WAITING ──SpeakNow──> GIVEN ──audible──> HEARD
           ^                    │                  │
           └──── they go on ────┴─ before a word ──┘

It says when; the words are the agent's greeting.
"""

from dataclasses import dataclass
from enum import Enum

_PAUSE_S = 0.25
"""After which a person whom we have not greeted yet is."""
_AS_GOOD_AS_NOTHING_S = 1.0


@dataclass(frozen=True, slots=True)
class SpeakNow:
    """Greet whoever is there."""


class _State(Enum):
    WAITING = "waiting"
    GIVEN = "given"
    """They are on their way; whoever goes on before they are audible is listened to first."""
    HEARD = "heard"


class FirstWords:
    """One placed call's."""

    def __init__(self, greet_after_s: float, answered_at: float) -> None:
        """`answered_at`: when the call was, monotonic seconds."""
        self._greet_after_s = greet_after_s
        self._state = _State.WAITING
        self._is_invited = False
        """Somebody has said something short, or is known to be a person."""
        self._is_person = False
        self._quiet_since: float | None = answered_at
        self._paused_since: float | None = None
        """Since when a person has been silent."""
        self._events: list[SpeakNow] = []

    @property
    def are_due(self) -> bool:
        """Nothing has been said, and nothing else should be before."""
        return self._state is _State.WAITING

    def receive_quiet(self, is_quiet: bool, now: float) -> None:
        """Whether nobody speaks, and somebody may be there who would hear us; the same again changes nothing."""
        if not is_quiet:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        self.handle_timeout(now)

    def receive_invitation(self, *, is_person: bool = False) -> None:
        """The far end has said something and waits, or was recognised as a person: if it speaks again, we wait until
        it is quiet."""
        self._is_person = self._is_person or is_person
        if self._state is _State.WAITING:
            self._is_invited = True
            self._events.append(SpeakNow())

    def receive_speech(self) -> None:
        """The far end speaks."""
        self._paused_since = None

    def receive_silence(self, ended_at: float) -> None:
        """It stopped then."""
        self._paused_since = ended_at

    def receive_given(self) -> None:
        """They have been asked for."""
        if self._state is _State.WAITING:
            self._state = _State.GIVEN

    def receive_audible(self) -> None:
        """Something of ours is heard."""
        if self._state is _State.GIVEN:
            self._state = _State.HEARD

    def receive_withdrawn(self) -> None:
        """The far end went on before anything was audible."""
        if self._state is _State.GIVEN:
            self._state = _State.WAITING
            self._is_invited, self._quiet_since = False, None

    def receive_cut_off(self, heard_s: float) -> None:
        """The far end has stopped us, after so much of what we said. A pause within "yeah... hello?" is soon over:
        then as good as nothing was heard."""
        if self._state is _State.HEARD and heard_s < _AS_GOOD_AS_NOTHING_S:
            self._state = _State.GIVEN
            self.receive_withdrawn()

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        if self._state is not _State.WAITING:
            return None
        if self._is_person and self._paused_since is not None:
            return self._paused_since + _PAUSE_S
        if self._quiet_since is None:
            return None
        return self._quiet_since + (0.0 if self._is_invited else self._greet_after_s)

    def handle_timeout(self, now: float) -> None:
        due = self.next_timeout()
        if due is not None and now >= due and not self._events:
            self._paused_since = None
            self._events.append(SpeakNow())

    def events(self) -> list[SpeakNow]:
        """What to do now; drain after each input."""
        events, self._events = self._events, []
        return events
