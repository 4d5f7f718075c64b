# SPDX-License-Identifier: GPL-3.0-or-later
"""Telephone keys: those the far end presses, however they come, and the strings we dial.

    RTP events, tones in the audio > CallAudio.on_key ─┐
    SIP INFO ─────────────────────> DigitReceived ─────┴> KeyPresses > one press, once

A digit may be part of a card number: none is in a `repr`, in a message or in a log.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from media.errors import MediaMisuse

KEYS = "0123456789*#ABCD"
"""By their event codes (RFC 4733 section 3.2)."""

_DIALLED = re.compile(rf"[{re.escape(KEYS)},w]*")
_PAUSES_MS = {",": 2000, "w": 500}
MAX_DIALLED = 64
"""Keys and pauses in one order."""
MIN_KEY_MS, MAX_KEY_MS = 40, 2000
"""Receivers need 40 ms (ITU-T Q.24)."""
KEY_MS, KEY_GAP_MS = 120, 80
"""How long we press a key, and wait after it, when nobody says otherwise."""


class KeyMethod(StrEnum):
    """How a key travels."""

    RFC4733 = "rfc4733"
    INFO = "info"
    INBAND = "inband"


class ToneDetection(Enum):
    """When keys are looked for in the audio. Values are media/native's (call_keys.hpp)."""

    OFF = 0
    AUTO = 1
    """When the leg did not negotiate telephone-event."""
    ALWAYS = 2


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """A key went down at the far end."""

    digit: str = field(repr=False)
    """One of `KEYS`."""
    method: KeyMethod
    at: float
    """Our clock (monotonic seconds)."""


@dataclass(frozen=True, slots=True)
class KeyReleased:
    """It came up again."""

    digit: str = field(repr=False)
    method: KeyMethod
    duration_ms: int
    """How long it was held, as far as that is known."""
    at: float


KeyHeard = KeyPressed | KeyReleased


def check_dialled(keys: str) -> str:
    """The string, if it can be dialled: keys, `,` for a pause of 2 s, `w` for one of 0.5 s. Raises `MediaMisuse`."""
    if not keys or len(keys) > MAX_DIALLED or not _DIALLED.fullmatch(keys):
        raise MediaMisuse(f"what is dialled are 1 to {MAX_DIALLED} of 0-9 * # A-D, and `,` or `w` for pauses")
    return keys


def check_key_ms(duration_ms: int) -> int:
    """The duration, if a key can be pressed so long. Raises `MediaMisuse`."""
    if not MIN_KEY_MS <= duration_ms <= MAX_KEY_MS:
        raise MediaMisuse(f"a key is pressed for {MIN_KEY_MS} to {MAX_KEY_MS} ms, not {duration_ms}")
    return duration_ms


def pause_ms(key: str) -> int:
    """How long a pause in a dialled string is; 0 for a key."""
    return _PAUSES_MS.get(key, 0)


def dialled_ms(keys: str, duration_ms: int = KEY_MS) -> int:
    """How long a dialled string takes."""
    return sum(pause_ms(key) or duration_ms + KEY_GAP_MS for key in keys)


@dataclass(slots=True)
class _Press:
    digit: str = field(repr=False)
    began_at: float
    ended_at: float
    methods: set[KeyMethod]


class KeyPresses:
    """Counts each press once, when a peer reports it in several ways (a gateway that sends INFO beside RFC 4733, or
    leaves the tone in the audio).

    Two reports are of one press when they name the same key, came by different methods, and their times are at most
    `WINDOW_S` apart. Two reports by the same method are always two presses.
    """

    WINDOW_S = 0.6
    """Signalling may be late by that much; and a caller who presses a key twice does so by the same method."""

    def __init__(self) -> None:
        self._recent: deque[_Press] = deque(maxlen=32)

    def receive(self, digit: str, method: KeyMethod, now: float, held_ms: int = 0) -> bool:
        """Whether this report is a press not known yet; `held_ms` when it tells of one that is over (INFO)."""
        began_at = now - held_ms / 1000
        for press in self._recent:
            is_near = began_at - self.WINDOW_S <= press.ended_at and press.began_at <= now + self.WINDOW_S
            if press.digit == digit and method not in press.methods and is_near:
                press.methods.add(method)
                return False
        self._recent.append(_Press(digit, began_at, now, {method}))
        return True

    def receive_release(self, digit: str, method: KeyMethod, now: float) -> None:
        """The key is up: another report of this press may come until a while after."""
        for press in reversed(self._recent):
            if press.digit == digit and method in press.methods:
                press.ended_at = max(press.ended_at, now)
                return
