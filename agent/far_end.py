# SPDX-License-Identifier: GPL-3.0-or-later
"""Who took the call that we placed: a person, a voicemail, a menu, a queue, a fax? A clockless engine.

    words, tones, music ──> FarEndRecognized          whenever the answer changes
    a voicemail's beep, or its silence ──> RecordingBegan    now a message would be recorded

Words tell most: machines say what they are ("leave a message after the tone", "press one for sales", "please hold").
Whoever says anything else is a person, until they put us on hold; only a voicemail stays one. One who was never
recognised is `UNKNOWN`, and is talked to like a person.
"""

import re
from dataclasses import dataclass
from enum import Enum

from media.progress import BeepHeard, FaxAnswered, FaxCalling, ProgressEvent, SitHeard


class FarEndKind(Enum):
    """The value is the name in events and records."""

    UNKNOWN = "unknown"
    PERSON = "person"
    VOICEMAIL = "voicemail"
    MENU = "menu"
    """An automatic menu, "IVR": it wants keys or words."""
    HOLD = "hold"
    """A queue, or music: nobody listens."""
    FAX = "fax"
    FAILED = "failed"
    """Information tones: the number is not in service."""


@dataclass(frozen=True, slots=True)
class FarEndRecognized:
    """The far end is something else than was known."""

    kind: FarEndKind
    cause: str
    """`words`, `tone` or `music`."""


@dataclass(frozen=True, slots=True)
class RecordingBegan:
    """A voicemail has said all it had to say."""


FarEndEvent = FarEndRecognized | RecordingBegan

_GREETING_PAUSE_S = 2.5
"""A voicemail that is silent for so long records: its beep was none that we know."""
_VOICEMAIL = re.compile(
    r"\b(?:leave (?:me |us )?(?:a|your|the) (?:\w+ )?(?:message|name|number)|(?:after|at) the (?:tone|beep|signal)"
    r"|record your message|voice ?mail(?:box)?|mailbox|answering machine|get back to you"
    r"|(?:unable|not able) to (?:take|answer|come to)|can(?:not|'t)(?: \w+)? (?:take|answer|come to) (?:your|the|this) "
    r"(?:call|phone)|(?:is|am|are|'m|'re) not available|is unavailable|no one is available)\b"
)
_MENU = re.compile(
    r"\b(?:(?:press|dial|push|enter) (?:\w+ )?(?:zero|one|two|three|four|five|six|seven|eight|nine|star|pound|hash|\d)"
    r"|for (?:sales|service|support|billing|english|spanish)\b.*\bpress|main menu|(?:following|these) options"
    r"|menu options|say or (?:press|enter)|in a few words|enter your|dial your party)\b"
)
_HOLD = re.compile(
    r"\b(?:please (?:stay|remain) on the line|(?:please )?(?:continue to )?hold(?: the line)?,? (?:please|while|for the)"
    r"|please hold|your call is (?:very )?important|next available|you are (?:caller |customer )?number|estimated wait"
    r"|(?:all|our) (?:of our )?(?:\w+ )?(?:agents|representatives|operators|lines|associates) are|in the queue"
    r"|call (?:will be|may be) (?:answered|recorded|monitored))\b"
)


class FarEnd:
    """One placed call's."""

    def __init__(self) -> None:
        self.kind = FarEndKind.UNKNOWN
        self._silent_since: float | None = None
        self._is_recording = False
        self._turns_taken = 0
        """By somebody who said nothing that a machine says."""
        self._events: list[FarEndEvent] = []

    @property
    def listens(self) -> bool:
        """Whether there is sense in talking: nobody hears us in a queue, and a voicemail only when it records."""
        return self.kind in (FarEndKind.UNKNOWN, FarEndKind.PERSON, FarEndKind.MENU)

    def receive_words(self, text: str, *, is_final: bool) -> None:
        """What the far end says, or said so far in this turn."""
        plain = " ".join(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
        for kind, pattern in (
            (FarEndKind.VOICEMAIL, _VOICEMAIL),
            (FarEndKind.MENU, _MENU),
            (FarEndKind.HOLD, _HOLD),
        ):
            if pattern.search(plain):
                self._recognize(kind, "words")
                return
        if is_final and plain:
            self._turns_taken += 1
            self._recognize(FarEndKind.PERSON, "words")

    def receive_tone(self, event: ProgressEvent) -> None:
        match event:
            case BeepHeard() if self.kind is FarEndKind.VOICEMAIL or self._has_barely_spoken:
                self._recognize(FarEndKind.VOICEMAIL, "tone")
                self._begin_recording()
            case FaxAnswered() | FaxCalling():
                self._recognize(FarEndKind.FAX, "tone")
            case SitHeard():
                self._recognize(FarEndKind.FAILED, "tone")

    def receive_music(self, is_playing: bool) -> None:
        if is_playing:
            self._recognize(FarEndKind.HOLD, "music")

    def receive_speech(self, now: float) -> None:
        """The far end speaks (again)."""
        self._silent_since = None

    def receive_silence(self, now: float) -> None:
        """It has stopped, or says nothing yet."""
        self._silent_since = now

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        if self.kind is not FarEndKind.VOICEMAIL or self._is_recording or self._silent_since is None:
            return None
        return self._silent_since + _GREETING_PAUSE_S

    def handle_timeout(self, now: float) -> None:
        due = self.next_timeout()
        if due is not None and now >= due:
            self._begin_recording()

    def events(self) -> list[FarEndEvent]:
        """What follows from the latest input; drain after each."""
        events, self._events = self._events, []
        return events

    @property
    def _has_barely_spoken(self) -> bool:
        """A greeting at most ("Hi, this is Bob"): a beep after it makes it a voicemail's; later it is just a beep."""
        return self.kind in (FarEndKind.UNKNOWN, FarEndKind.PERSON) and self._turns_taken <= 1

    def _recognize(self, kind: FarEndKind, cause: str) -> None:
        is_settled = self.kind in (FarEndKind.VOICEMAIL, FarEndKind.FAX)
        if kind is self.kind or (is_settled and kind is not FarEndKind.FAX):
            return
        self.kind = kind
        self._events.append(FarEndRecognized(kind, cause))

    def _begin_recording(self) -> None:
        if not self._is_recording:
            self._is_recording = True
            self._events.append(RecordingBegan())
