# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answered, told by how long they speak and when they stop, whatever they say. A clockless engine.

    "hello?" and silence ──────────> GreetingPaused > SoundsLikePerson
    "good morning, this is ..." ───> GreetingPaused > SoundsLikePerson, after a longer silence
    and on, and on ────────────────> SoundsLikeRecording, and again when it is certain
    and then silence, and no beep ─> SoundsLikePerson, hesitantly: someone who answers for a firm

Somebody who answers says a little and waits for the caller. A recording has much to say, and pauses for breath only.
So the more was said, the longer must a silence be to mean that an answer is awaited. A person who turns out to go on
was met by the caller's first words, which nobody minds; so `GreetingPaused` comes much earlier than the verdict.
"""

from dataclasses import dataclass

_BREATH_S = 0.2
"""A gap within a word or a sentence."""
_PAUSE_S = 0.25
_LONGEST_INVITING_S = 2.2
"""Who has spoken for so long, and pauses for `_PAUSE_S` only, may go on."""
_LONG_PAUSE_S = 0.6
_PERSON_AFTER_S = ((0.2, 1.5), (1.1, 0.6), (1.6, 0.8), (2.6, 0.9), (float("inf"), 1.1))
"""Up to so many seconds of speech, so much silence; the least of it may be a click or a note."""
_RECORDING_S, _WORDLESS_RECORDING_S = 5.0, 3.5
"""Words tell sooner as a rule; who is understood and says nothing that machines say may go on for longer."""
_CERTAINLY_RECORDED_S = 8.0
_NO_RECORDING_S, _LONGEST_ANSWER_S = 1.8, 4.5
"""A recording has its beep or goes on within that; if nothing comes and no more than that was said, it was none."""


@dataclass(frozen=True, slots=True)
class GreetingPaused:
    """What was said could be all of it, and a caller may speak; told once for every silence."""

    ended_at: float


@dataclass(frozen=True, slots=True)
class SoundsLikePerson:
    """They spoke as people do who answer, and now wait."""

    confidence: float


@dataclass(frozen=True, slots=True)
class SoundsLikeRecording:
    """They go on for longer than people do who answer; told when that is likely, and again when it is certain."""

    confidence: float


CadenceEvidence = GreetingPaused | SoundsLikePerson | SoundsLikeRecording


class GreetingCadence:
    """Of the far end's first words; nothing more is told after a person was."""

    def __init__(self) -> None:
        self.began_at: float | None = None
        """When the greeting's first sample was spoken."""
        self._said_s = 0.0
        """Speech so far, breaths included, without what goes on."""
        self._speaks_since: float | None = None
        self._silent_since: float | None = None
        self._has_paused = False
        """And that was told, of this silence."""
        self._is_understood = False
        self._least_wait_s = 0.0
        """Of this silence, to be a person's."""
        self._is_recording = False
        self._is_certain = False
        self._is_over = False
        self._evidence: list[CadenceEvidence] = []

    @property
    def is_silent(self) -> bool:
        """Something was said, and has ended for now."""
        return self._silent_since is not None

    def silent_s(self, now: float) -> float:
        """For how long, 0 while they speak."""
        return 0.0 if self._silent_since is None else now - self._silent_since

    def said_s(self, now: float) -> float:
        """Seconds of speech so far."""
        return self._said_s + (0.0 if self._speaks_since is None else max(0.0, now - self._speaks_since))

    def receive_speech(self, started_at: float) -> None:
        """They speak (again), from then on."""
        if self.began_at is None:
            self.began_at = started_at
        if self._silent_since is not None and started_at - self._silent_since < _BREATH_S:
            self._said_s += started_at - self._silent_since
        self._silent_since, self._speaks_since, self._least_wait_s = None, started_at, 0.0
        self._has_paused = False

    def receive_silence(self, ended_at: float) -> None:
        """They have stopped, at that time."""
        if self._speaks_since is not None:
            self._said_s += max(0.0, ended_at - self._speaks_since)
            self._speaks_since, self._silent_since = None, ended_at

    def receive_words(self, least_wait_s: float = 0.0) -> None:
        """What they say is understood, and told by neither a machine nor a person; a person waits for so long."""
        self._is_understood = True
        self._least_wait_s = least_wait_s

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        if self._is_over:
            return None
        if self._speaks_since is not None and not self._is_certain:
            limit_s = _RECORDING_S if self._is_understood else _WORDLESS_RECORDING_S
            limit_s = _CERTAINLY_RECORDED_S if self._is_recording else limit_s
            return self._speaks_since + max(0.0, limit_s - self._said_s)
        if self._silent_since is None or (self._has_paused and self._is_recording and self._said_s > _LONGEST_ANSWER_S):
            return None
        return self._silent_since + (self._person_after_s if self._has_paused else self._pause_s)

    def handle_timeout(self, now: float) -> None:
        while (due := self.next_timeout()) is not None and now >= due:
            if self._speaks_since is not None:
                self._is_certain, self._is_recording = self._is_recording, True
                self._evidence.append(SoundsLikeRecording(0.95 if self._is_certain else 0.8))
            elif not self._has_paused:
                self._has_paused = True
                assert self._silent_since is not None, "only a silence is paused in"
                self._evidence.append(GreetingPaused(self._silent_since))
            else:
                self._is_over = True
                self._evidence.append(SoundsLikePerson(0.6 if self._is_recording else 0.85))

    def evidence(self) -> list[CadenceEvidence]:
        """What follows from the latest input; drain after each."""
        evidence, self._evidence = self._evidence, []
        return evidence

    @property
    def _pause_s(self) -> float:
        return _PAUSE_S if self._said_s <= _LONGEST_INVITING_S else _LONG_PAUSE_S

    @property
    def _person_after_s(self) -> float:
        if self._is_recording:
            return _NO_RECORDING_S
        wait_s = next(wait_s for said_s, wait_s in _PERSON_AFTER_S if self._said_s <= said_s)
        return max(wait_s, self._least_wait_s)
