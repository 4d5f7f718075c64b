# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocol `conversationrelay`, the messages: text goes over the wire, we hear and speak for the backend.

Source: twilio.com/docs/voice/conversationrelay/websocket-messages; Telnyx speaks it too. Text frames, told apart by
`type`. What they lead to is in `gateway.streams.relay`.

    to the backend:   setup | prompt, interrupt, dtmf, error
    from the backend: text, play, sendDigits, language, end
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.streams.json_message import compact, parse_object, text_of
from gateway.streams.messages import Malformed, SendKeys, StreamStarted, WireMessage
from gateway.streams.twilio import call_sid

Interruptible = Literal["none", "dtmf", "speech", "any"]
"""What of the caller's stops us: nothing, keys, speech, both."""

_INTERRUPTIBLE: dict[object, Interruptible] = {
    "none": "none",
    "dtmf": "dtmf",
    "speech": "speech",
    "any": "any",
    True: "any",
    False: "none",
}
_DIGITS = re.compile(r"[0-9w#*]{1,64}")
_MOST_LOOPS = 1000


@dataclass(frozen=True, slots=True)
class TextToken:
    """Some of what is to be said; a talk is over with its last token."""

    token: str
    last: bool
    interruptible: Interruptible | None = None
    """None: as configured."""
    preemptible: bool = False
    """The next talk may stop this one."""


@dataclass(frozen=True, slots=True)
class PlayMedia:
    """Play what is at a URL."""

    source: str
    loop: int = 1
    interruptible: Interruptible | None = None
    preemptible: bool = False


@dataclass(frozen=True, slots=True)
class SwitchLanguage:
    """From now on, speak and understand these (BCP 47); empty: as before."""

    tts_language: str
    transcription_language: str


@dataclass(frozen=True, slots=True)
class EndSession:
    """The backend is done with the call."""

    handoff_data: str


RelayMessage = TextToken | PlayMedia | SendKeys | SwitchLanguage | EndSession | Malformed


def parse(message: WireMessage) -> RelayMessage | None:
    """What the backend said; None for a type nobody knows."""
    parsed = parse_object(message)
    if isinstance(parsed, Malformed):
        return parsed
    match parsed.get("type"):
        case "text":
            return _text(parsed)
        case "play":
            return _play(parsed)
        case "sendDigits":
            digits = text_of(parsed, "digits")
            return SendKeys(digits) if _DIGITS.fullmatch(digits) else Malformed("sendDigits: digits are 0-9 w # *")
        case "language":
            return SwitchLanguage(text_of(parsed, "ttsLanguage"), text_of(parsed, "transcriptionLanguage"))
        case "end":
            return EndSession(text_of(parsed, "handoffData"))
        case _:
            return None


def setup(started: StreamStarted, account_sid: str) -> str:
    """The first message."""
    return compact(
        {
            "type": "setup",
            "sessionId": f"VX{hashlib.sha256(started.stream_id.encode()).hexdigest()[:32]}",
            "accountSid": account_sid,
            "parentCallSid": "",
            "callSid": call_sid(started.call_id),
            "from": started.from_,
            "to": started.to,
            "forwardedFrom": "",
            "callType": "SIP",
            "callerName": "",
            "direction": started.call_direction,
            "callStatus": "IN-PROGRESS" if started.answered else "RINGING",
            "customParameters": dict(started.metadata),
        }
    )


def prompt(text: str, language: str, *, last: bool) -> str:
    """What the caller says (so far, unless it is the last word of the turn)."""
    return compact({"type": "prompt", "voicePrompt": text, "lang": language, "last": last})


def interrupt(heard_text: str, heard_ms: int) -> str:
    """The caller broke in; of the talk he heard this."""
    return compact({"type": "interrupt", "utteranceUntilInterrupt": heard_text, "durationUntilInterruptMs": heard_ms})


def dtmf(digit: str) -> str:
    return compact({"type": "dtmf", "digit": digit})


def error(description: str) -> str:
    return compact({"type": "error", "description": description})


def _text(parsed: Mapping[str, object]) -> RelayMessage:
    token, last = parsed.get("token"), parsed.get("last", False)
    if not isinstance(token, str) or not isinstance(last, bool):
        return Malformed("text: token is a string, last a boolean")
    return TextToken(token, last, _interruptible(parsed), parsed.get("preemptible") is True)


def _play(parsed: Mapping[str, object]) -> RelayMessage:
    source, loop = text_of(parsed, "source"), parsed.get("loop", 1)
    if not source or not isinstance(loop, int) or not 0 <= loop <= _MOST_LOOPS:
        return Malformed(f"play: source is a URL, loop a number from 0 to {_MOST_LOOPS}")
    return PlayMedia(source, int(loop) or _MOST_LOOPS, _interruptible(parsed), parsed.get("preemptible") is True)


def _interruptible(parsed: Mapping[str, object]) -> Interruptible | None:
    found = parsed.get("interruptible")
    return _INTERRUPTIBLE.get(found) if isinstance(found, str | bool) else None
