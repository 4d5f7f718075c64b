# SPDX-License-Identifier: GPL-3.0-or-later
"""One call to the trunk: its signalling, its audio and its far end's script. Clockless; its sockets are the shell's.

INVITE > 100 > script: 180, 183, 200 ── ACK ── RTP ── BYE from either side
            └ 4xx ── ACK        └ CANCEL > 487
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from tests.simulators.sip_trunk_media import PACKET_BYTES, PACKET_S, MediaLine, Utterance
from tests.simulators.sip_trunk_message import Offer, SipMessage, description, end_of_message
from tests.simulators.sip_trunk_script import (
    Answer,
    Early,
    HangUp,
    Play,
    Refuse,
    Ring,
    Script,
    Step,
    UntilHeard,
    UntilQuiet,
    Wait,
)

Send = Callable[[bytes, tuple[str, int]], None]

_T1_S, _T2_S = 0.5, 4.0
_LOST_S = 10.0
"""Without an ACK, an answer to our BYE or any RTP for so long, the caller is gone."""
_REMEMBERED_S = 32.0
"""So long retransmissions of what is over may come (RFC 3261 section 17, timer H)."""


class CallState(Enum):
    CALLED = "called"
    ANSWERED = "answered"
    ENDED = "ended"


class EndedBy(Enum):
    """The value is the name in the truth."""

    CALLER = "caller"
    """CANCEL or BYE."""
    CALLEE = "callee"
    """Our BYE, or our final response other than 200."""
    LOST = "lost"
    """The caller is gone without a word."""


@dataclass(slots=True)
class _Resent:
    """A message that is sent again until it is answered."""

    data: bytes
    due: float
    until: float
    gap_s: float = _T1_S


@dataclass(frozen=True, slots=True)
class Course:
    """What this call is going to be."""

    number: str
    attempt: int
    behaviour: str
    script: Script


class TrunkCall:
    """Begins with its INVITE. `on_end` is told once; what it then is, `facts` says."""

    def __init__(
        self,
        invite: SipMessage,
        source: tuple[str, int],
        course: Course,
        line: MediaLine,
        noise: bytes,
        contact: str,
        send: Send,
        now: float,
    ) -> None:
        self.course = course
        self.call_id = invite.header("call-id")
        self.caller = invite.caller
        self.state = CallState.CALLED
        self.times: dict[str, float] = {"invited": now}
        """When what happened, monotonic seconds: invited, answered, acknowledged, cancelled, ended."""
        self.ended_by: EndedBy | None = None
        self.code = 0
        """Of the final response to the INVITE."""
        self.marks: dict[str, Utterance] = {}
        """When sounds with a mark were played: the last of each."""
        self.played: dict[str, str] = {}
        """And which ones."""
        self._invite = invite
        self._source = source
        self._contact = contact
        self._host = contact.rpartition("@")[2].partition(":")[0]
        self._send_bytes = send
        self._line = line
        self._noise = noise
        self._tag = f"trunk{line.port}x{invite.sequence}x{int(now * 1000)}"
        self._has_media = False
        self._events: int | None = None
        self._version = 1
        self._is_held = False
        self._bye_sequence = 0
        self._resent: _Resent | None = None
        self._last_response = b""
        """To the INVITE that began it, or the last re-INVITE."""
        self._step: Step | None = None
        self._step_began = now
        self._position = 0
        self._noise_position = 0
        offer = Offer.parse(invite.body) if invite.body else None
        self._respond(100, "Trying", tag="")
        if invite.body and offer is None:
            self._refuse(488, "Not Acceptable Here", now)
            return
        self._take(offer)
        self._next_step(False, now, is_first=True)

    @property
    def is_over(self) -> bool:
        return self.state is CallState.ENDED

    @property
    def is_at_rest(self) -> bool:
        """Over, and nothing of ours is unanswered: it needs no ticks."""
        return self.is_over and self._resent is None

    def is_forgotten(self, now: float) -> bool:
        """Nothing of it will come any more."""
        return self.is_over and now > self.times["ended"] + _REMEMBERED_S

    @property
    def heard(self) -> list[Utterance]:
        """What the caller said."""
        return self._line.hearing.utterances

    @property
    def packets(self) -> Mapping[str, int]:
        """RTP of both directions."""
        return {"sent": self._line.sent, "received": self._line.received}

    def close(self) -> None:
        """The trunk goes."""
        self._line.close()

    # Signalling

    def receive(self, message: SipMessage, source: tuple[str, int], now: float) -> None:
        """A request or response that belongs to it; a retransmission is answered as the first was."""
        if message.code:
            if message.code >= 200 and message.method == "BYE":
                self._resent = None
            return
        self._source = source
        match message.method:
            case "INVITE" if not message.to_tag or message.sequence <= self._invite.sequence:
                self._send(self._last_response)
            case "INVITE" | "UPDATE":
                self._renegotiate(message, now)
            case "ACK":
                self._acknowledge(message, now)
            case "CANCEL":
                self._send(message.response(200, "OK", source, self._tag))
                if self.state is CallState.CALLED:
                    self.times["cancelled"] = now
                    self._final(487, "Request Terminated", now)
                    self._end(EndedBy.CALLER, now)
            case "BYE":
                self._send(message.response(200, "OK", source, self._tag))
                if not self.is_over:
                    self._resent = None
                    self._end(EndedBy.CALLER, now)
            case "INFO" | "NOTIFY" | "MESSAGE" | "OPTIONS" | "PRACK":
                self._send(message.response(200, "OK", source, self._tag))
            case _:
                self._send(message.response(501, "Not Implemented", source, self._tag))

    def _renegotiate(self, message: SipMessage, now: float) -> None:
        offer = Offer.parse(message.body) if message.body else None
        if self.is_over:
            self._send(message.response(481, "Call/Transaction Does Not Exist", self._source, self._tag))
            return
        if message.body and offer is None:
            answer = message.response(488, "Not Acceptable Here", self._source, self._tag)
        else:
            self._take(offer)
            self._version += 1
            body = self._description() if offer is not None or message.method == "INVITE" else ""
            answer = message.response(200, "OK", self._source, self._tag, self._contact_line, body)
        self._send(answer)
        if message.method == "INVITE":
            self._invite, self._last_response = message, answer
            self._resent = _Resent(answer, now + _T1_S, now + _LOST_S)

    def _acknowledge(self, message: SipMessage, now: float) -> None:
        if message.sequence != self._invite.sequence or self._bye_sequence:
            return
        self._resent = None
        self.times.setdefault("acknowledged", now)
        if message.body:  # the answer to our own offer
            self._take(Offer.parse(message.body))

    def _take(self, offer: Offer | None) -> None:
        if offer is not None:
            self._is_held = offer.is_held
            self._events = offer.events
            self._line.send_to(None if offer.is_held else offer.address)

    def _respond(self, code: int, reason: str, *, body: str = "", tag: str | None = None) -> None:
        more = "" if code == 100 else self._contact_line
        named = self._tag if tag is None else tag
        self._last_response = self._invite.response(code, reason, self._source, named, more, body)
        self._send(self._last_response)

    def _final(self, code: int, reason: str, now: float, body: str = "") -> None:
        self.code = code
        self._respond(code, reason, body=body)
        self._resent = _Resent(self._last_response, now + _T1_S, now + _LOST_S)

    def _refuse(self, code: int, reason: str, now: float) -> None:
        self._final(code, reason, now)
        self._end(EndedBy.CALLEE, now)

    def _hang_up(self, by: EndedBy, now: float) -> None:
        self._bye_sequence += 1
        to, own = self._invite.header("from"), self._invite.header("to")
        target = self._invite.header("contact").partition("<")[2].partition(">")[0] or self._invite.header("contact")
        routes = "".join(f"Route: {route}\r\n" for route in self._invite.headers.get("record-route", ()))
        tagged = own if self._invite.to_tag else f"{own};tag={self._tag}"
        host = self._contact.rpartition("@")[2].rstrip(">")
        bye = end_of_message(
            f"BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {host};rport;branch=z9hG4bK{self._tag}b{self._bye_sequence}\r\n"
            f"From: {tagged}\r\nTo: {to}\r\nCall-ID: {self.call_id}\r\nCSeq: {self._bye_sequence} BYE\r\n"
            f"Max-Forwards: 70\r\n{routes}"
        )
        self._send(bye)
        self._resent = _Resent(bye, now + _T1_S, now + _LOST_S)
        self._end(by, now)

    def _end(self, by: EndedBy, now: float) -> None:
        self.state = CallState.ENDED
        self.ended_by = by
        self.times["ended"] = now
        self._step = None
        self._line.close()

    def _send(self, data: bytes) -> None:
        self._send_bytes(data, self._source)

    @property
    def _contact_line(self) -> str:
        return f"Contact: {self._contact}\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO\r\n"

    def _description(self) -> str:
        return description(self._host, self._line.port, self._version, self._events, is_held=self._is_held)

    # Time

    def handle_tick(self, now: float) -> None:
        """Every 20 ms: one packet out, all that came in, one look at timers and script."""
        resent = self._resent
        if resent is not None and now >= resent.due:
            self._resend(resent, now)
        if self.is_over:
            return
        payload = b""
        if self._has_media:
            self._line.receive(now)
        if self._step is not None:
            payload = self._continue(self._step, now)
        if self._has_media and not self.is_over:
            self._line.send(payload or self._silence())
            self._look_whether_lost(now)

    def _resend(self, resent: _Resent, now: float) -> None:
        if now >= resent.until:
            self._resent = None
            if not self.is_over:  # no ACK for our 200
                self._hang_up(EndedBy.LOST, now)
            return
        self._send(resent.data)
        resent.gap_s = min(2 * resent.gap_s, _T2_S)
        resent.due = now + resent.gap_s

    def _look_whether_lost(self, now: float) -> None:
        answered = self.times.get("answered")
        if answered is not None and not self._is_held and now - (self._line.heard_at or answered) > _LOST_S:
            self._hang_up(EndedBy.LOST, now)

    def _silence(self) -> bytes:
        begin = self._noise_position
        self._noise_position = (begin + PACKET_BYTES) % len(self._noise)
        return self._noise[begin : begin + PACKET_BYTES]

    # The script

    def _continue(self, step: Step, now: float) -> bytes:
        """What is to be sent in this tick; nothing: silence."""
        for_s = now - self._step_began
        hearing = self._line.hearing
        match step:
            case Play(sound, mark):
                payload = sound.payload[self._position : self._position + PACKET_BYTES]
                self._position += PACKET_BYTES
                if mark:
                    self.marks.setdefault(mark, Utterance(now, now)).ended_at = now + PACKET_S
                if self._position >= len(sound.payload):
                    self._next_step(True, now + PACKET_S)
                return payload
            case Ring(seconds) | Wait(seconds):
                if for_s >= seconds:
                    self._next_step(True, now)
            case UntilHeard(at_most_s):
                is_heard = hearing.is_speaking(now)
                if is_heard or for_s >= at_most_s:
                    self._next_step(is_heard, now)
            case UntilQuiet(quiet_s, at_most_s):
                is_quiet = hearing.quiet_s(now) >= quiet_s
                if is_quiet or for_s >= at_most_s:
                    self._next_step(is_quiet, now)
            case Early() | Answer() | Refuse() | HangUp():
                raise AssertionError("takes no time")
            case _:
                assert_never(step)
        return b""

    def _next_step(self, result: bool, now: float, *, is_first: bool = False) -> None:
        """Up to one that takes time."""
        while not self.is_over:
            try:
                step = next(self.course.script) if is_first else self.course.script.send(result)
            except StopIteration:
                self._step = None
                return
            is_first, result = False, True
            match step:
                case Early():
                    self._has_media = True
                    self._respond(183, "Session Progress", body=self._description())
                case Answer():
                    self._has_media = True
                    self.state = CallState.ANSWERED
                    self.times["answered"] = now
                    self._final(200, "OK", now, self._description())
                case Refuse(code, reason):
                    self._refuse(code, reason, now)
                case HangUp():
                    self._hang_up(EndedBy.CALLEE, now)
                case _:
                    self._step, self._step_began, self._position = step, now, 0
                    if isinstance(step, Ring):
                        self._respond(180, "Ringing")
                    elif isinstance(step, Play) and step.mark:
                        self.marks.pop(step.mark, None)
                        self.played[step.mark] = step.sound.name
                    return
