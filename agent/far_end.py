# SPDX-License-Identifier: GPL-3.0-or-later
"""Who took the call that we placed: a person, a voicemail, a menu, a queue, a fax? A clockless engine.

    words, tones, music ──> FarEndRecognized, whenever the answer changes
        voicemail ──> EndCall, or FallSilent ── its beep, or its silence ──> LeaveMessage
        hold ───────> FallSilent, until somebody speaks ── max_hold_s ──> EndCall
        fax, no such number ──> EndCall

Words tell most: machines say what they are ("leave a message after the tone", "press one for sales", "please hold").
Whoever says anything else is a person, until they put us on hold; only a voicemail stays one. One who was never
recognised is `UNKNOWN`, and is talked to like a person.
"""

import re
from dataclasses import dataclass
from enum import Enum

from agent.config import FarEndConfig
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
class FallSilent:
    """Stop what is being said: nobody listens."""


@dataclass(frozen=True, slots=True)
class LeaveMessage:
    """A voicemail has said all it had to say and records: say this, then end the call for this reason."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndCall:
    """There is nobody to talk to."""

    reason: str
    """`voicemail`, `fax`, `not_in_service`, `on_hold_too_long`."""


FarEndEvent = FarEndRecognized | FallSilent | LeaveMessage | EndCall

MESSAGE_LEFT = "voicemail_message"
"""End reason of a call whose voicemail has recorded our message, all of it."""
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
    r"\b(?:please (?:stay|remain) on the line|(?:please )?(?:continue to )?hold(?: the line)?,? (?:please|while)"
    r"|please hold|hold for the|your call is (?:very )?important|next available|you are (?:caller |customer )?number"
    r"|(?:all|our) (?:of our )?(?:\w+ )?(?:agents|representatives|operators|lines|associates) are|in the queue"
    r"|estimated wait|call (?:will be|may be) (?:answered|recorded|monitored))\b"
)

_SAID_BY_MACHINES = (
    (FarEndKind.VOICEMAIL, _VOICEMAIL),
    (FarEndKind.MENU, _MENU),
    (FarEndKind.HOLD, _HOLD),
)


class FarEnd:
    """One placed call's."""

    def __init__(self, config: FarEndConfig) -> None:
        self.kind = FarEndKind.UNKNOWN
        self._config = config
        self._silent_since: float | None = None
        self._held_since: float | None = None
        self._is_music = False
        self._is_recording = False
        self._turns_taken = 0
        """By somebody who said nothing that a machine says."""
        self._events: list[FarEndEvent] = []

    @property
    def listens(self) -> bool:
        """Whether there is sense in answering: nobody hears us in a queue, and a voicemail does not converse."""
        return self.kind in (FarEndKind.UNKNOWN, FarEndKind.PERSON, FarEndKind.MENU)

    def receive_words(self, text: str, now: float, *, is_final: bool) -> None:
        """What the far end says, or said so far in this turn."""
        plain = " ".join(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
        for kind, pattern in _SAID_BY_MACHINES:
            if pattern.search(plain):
                self._recognize(kind, "words", now)
                return
        if is_final and plain and not self._is_music:  # speech recognition hears words in music, too
            self._turns_taken += 1
            self._recognize(FarEndKind.PERSON, "words", now)

    def receive_tone(self, event: ProgressEvent, now: float) -> None:
        match event:
            case BeepHeard() if self.kind is FarEndKind.VOICEMAIL or self._has_barely_spoken:
                self._recognize(FarEndKind.VOICEMAIL, "tone", now)
                self._leave_message()
            case FaxAnswered() | FaxCalling():
                self._recognize(FarEndKind.FAX, "tone", now)
            case SitHeard():
                self._recognize(FarEndKind.FAILED, "tone", now)

    def receive_music(self, is_playing: bool, now: float) -> None:
        self._is_music = is_playing
        if is_playing:
            self._recognize(FarEndKind.HOLD, "music", now)

    def receive_speech(self, now: float) -> None:
        """The far end speaks (again)."""
        self._silent_since = None

    def receive_silence(self, now: float) -> None:
        """It has stopped, or says nothing yet."""
        self._silent_since = now

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        if self.kind is FarEndKind.HOLD and self._held_since is not None:
            return self._held_since + self._config.max_hold_s
        if self.kind is FarEndKind.VOICEMAIL and not self._is_recording and self._silent_since is not None:
            return self._silent_since + _GREETING_PAUSE_S
        return None

    def handle_timeout(self, now: float) -> None:
        due = self.next_timeout()
        if due is None or now < due:
            return
        if self.kind is FarEndKind.HOLD:
            self._held_since = None
            self._events.append(EndCall("on_hold_too_long"))
        else:
            self._leave_message()

    def events(self) -> list[FarEndEvent]:
        """What follows from the latest input; drain after each."""
        events, self._events = self._events, []
        return events

    @property
    def _has_barely_spoken(self) -> bool:
        """A greeting at most ("Hi, this is Bob"): a beep after it makes it a voicemail's; later it is just a beep."""
        return self.kind in (FarEndKind.UNKNOWN, FarEndKind.PERSON) and self._turns_taken <= 1

    def _recognize(self, kind: FarEndKind, cause: str, now: float) -> None:
        if kind is self.kind or self.kind in (FarEndKind.VOICEMAIL, FarEndKind.FAX, FarEndKind.FAILED):
            return
        self.kind = kind
        self._events.append(FarEndRecognized(kind, cause))
        self._held_since = now if kind is FarEndKind.HOLD else None
        match kind:
            case FarEndKind.VOICEMAIL if self._config.voicemail == "hang_up":
                self._events.append(EndCall("voicemail"))
            case FarEndKind.VOICEMAIL | FarEndKind.HOLD:
                self._events.append(FallSilent())
            case FarEndKind.FAX:
                self._events.append(EndCall("fax"))
            case FarEndKind.FAILED:
                self._events.append(EndCall("not_in_service"))

    def _leave_message(self) -> None:
        if not self._is_recording and self._config.voicemail == "message":
            self._is_recording = True
            self._events.append(LeaveMessage(self._config.message, MESSAGE_LEFT))
