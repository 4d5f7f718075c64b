# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocol `twilio`: Media Streams as its backends know it, so that one connects here with its URL changed only.

Source: twilio.com/docs/voice/media-streams/websocket-messages; what backends really need of it was read in the code of
Pipecat, Bolna and Vocode. Text frames, told apart by `event`; every counter is a string. A stream is bidirectional, as
`<Connect><Stream>` starts it, or the caller's or our audio alone, as `<Start><Stream>` does: then nothing is told back.

    to the backend:   connected, start | media, dtmf, mark | stop
    from the backend: media, mark, clear

Ids are ours in their shape: a call's is reversible (`call_sid`, `call_id`), so that REST calls find their call.
"""

import base64
import hashlib
import hmac
import re

from gateway.streams.json_message import base64_bytes, base64_text, compact, object_of, parse_object, text_of
from gateway.streams.messages import (
    Audio,
    BackendMessage,
    Clear,
    KeyPressed,
    Malformed,
    Mark,
    MarkReached,
    StreamEvent,
    StreamFormat,
    StreamStarted,
    StreamStopped,
    Track,
    WireMessage,
)

TWILIO_FORMAT = StreamFormat("pcmu", 8000)
"""The only one there is: `audio/x-mulaw`, 8 kHz, without a file's header."""
ACCOUNT_SID = "AC7061726c657900000000000000000000"
"""Whose calls these are, unless the settings name another: there is one account, and this spells its name."""
_MAX_MARK_CHARACTERS = 1024
"""A thousand may wait at once."""
_CALL_SID_PREFIX = "CA7061726c6579"
_CALL_ID = re.compile(r"call_([0-9a-f]{20})")
_CALL_SID = re.compile(_CALL_SID_PREFIX + "([0-9a-f]{20})")


def call_sid(call_id: str) -> str:
    """The call's id as Twilio's are: CA and 32 hexadecimal digits."""
    found = _CALL_ID.fullmatch(call_id)
    return f"{_CALL_SID_PREFIX}{found[1]}" if found is not None else f"CA{_digest(call_id)}"


def call_id(sid: str) -> str | None:
    """Our id of the call; None for one that is not ours."""
    found = _CALL_SID.fullmatch(sid)
    return f"call_{found[1]}" if found is not None else None


def stream_sid(stream_id: str) -> str:
    """The stream's id as Twilio's are: MZ and 32 hexadecimal digits."""
    return f"MZ{_digest(stream_id)}"


def twilio_signature(auth_token: str, url: str) -> str:
    """The header `X-Twilio-Signature` of an upgrade request to exactly this URL, scheme and query included.

    Base64 of HMAC-SHA1 (twilio.com/docs/usage/webhooks/webhooks-security); a GET has no form that would be signed too.
    """
    return base64.b64encode(hmac.new(auth_token.encode(), url.encode(), hashlib.sha1).digest()).decode("ascii")


class TwilioProtocol:
    """One connection."""

    subprotocol = None

    def __init__(self, account_sid: str = ACCOUNT_SID) -> None:
        self._account_sid = account_sid
        self._call_sid = ""
        self._stream_sid = ""
        self._is_bidirectional = False
        self._sequence_number = 0
        self._chunks: dict[Track, int] = {"inbound": 0, "outbound": 0}

    def audio(self, payload: bytes, position_ms: int, track: Track) -> WireMessage:
        self._sequence_number += 1
        self._chunks[track] += 1
        # Put together by hand, since there are fifty a second; no part of it needs escaping.
        return (
            f'{{"event":"media","sequenceNumber":"{self._sequence_number}","media":{{"track":"{track}",'
            f'"chunk":"{self._chunks[track]}","timestamp":"{position_ms}","payload":"{base64_text(payload)}"}},'
            f'"streamSid":"{self._stream_sid}"}}'
        )

    def tell(self, event: StreamEvent) -> list[WireMessage]:
        match event:
            case StreamStarted():
                return self._start(event)
            case KeyPressed(digit) if self._is_bidirectional:
                return [self._message("dtmf", {"track": "inbound_track", "digit": digit})]
            case MarkReached(name):
                return [self._message("mark", {"name": name})]
            case StreamStopped():
                return [self._message("stop", {"accountSid": self._account_sid, "callSid": self._call_sid})]
            case _:
                return []

    def receive(self, message: WireMessage) -> list[BackendMessage]:
        """A wrong `streamSid` is no fault, and an event nobody knows is none of ours."""
        parsed = parse_object(message)
        if isinstance(parsed, Malformed):
            return [parsed]
        match parsed.get("event"):
            case "media":
                payload = base64_bytes(text_of(object_of(parsed, "media"), "payload"))
                return [Audio(payload)] if payload else [Malformed("media without a payload in base64")]
            case "mark":
                name = text_of(object_of(parsed, "mark"), "name")
                if not 1 <= len(name) <= _MAX_MARK_CHARACTERS:
                    return [Malformed(f"mark without a name of 1 to {_MAX_MARK_CHARACTERS} characters")]
                return [Mark(name)]
            case "clear":
                return [Clear()]
            case _:
                return []

    def _start(self, event: StreamStarted) -> list[WireMessage]:
        self._call_sid, self._stream_sid = call_sid(event.call_id), stream_sid(event.stream_id)
        self._is_bidirectional = event.stream_direction == "bidirectional"
        start: dict[str, object] = {
            "accountSid": self._account_sid,
            "streamSid": self._stream_sid,
            "callSid": self._call_sid,
            "tracks": list(event.tracks),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            # Nobody's metadata passes for the numbers.
            "customParameters": {**event.metadata, "from_number": event.from_, "to_number": event.to},
        }
        return ['{"event":"connected","protocol":"Call","version":"1.0.0"}', self._message("start", start)]

    def _message(self, event: str, body: dict[str, object]) -> str:
        self._sequence_number += 1
        return compact(
            {
                "event": event,
                "sequenceNumber": str(self._sequence_number),
                event: body,
                "streamSid": self._stream_sid,
            }
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
