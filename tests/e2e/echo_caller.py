# SPDX-License-Identifier: GPL-3.0-or-later
"""A raw caller on a line with an echo: what it hears it sends back, late and quieter, mixed with what it says."""

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from media.frames import PcmSamples
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller
from tests.mulaw import from_mu_law, mu_law

_FRAME = 160
_FRAME_S = 0.02
_LOUD = 200.0
"""Mean magnitude above this is speech: -44 dBov."""
_ANSWER_WAIT_S = 8.0
_QUIET_S = 1.5
"""An answer is over after so much silence."""
_STOPPED_S = 0.4
"""The agent has stopped speaking where so much silence begins: longer than between two clauses."""
_INTO_THE_ANSWER_S = 0.8
_END_MS = 500
"""An answer cut off so shortly before the end was cut off by it."""


@dataclass
class EchoCall:
    """What one call came to."""

    call_id: str
    asked: int = 0
    answered: int = 0
    stop_ms: list[float] = field(default_factory=list)
    """Of every barge-in: first audible sample sent to the last audible one heard."""


class EchoLine:
    """Both directions of a call in real time, PCMU. Without a delay the line has no echo."""

    def __init__(self, caller: RawCaller, delay_ms: int | None, gain_db: float = -20.0) -> None:
        self._caller = caller
        self._delay = None if delay_ms is None else delay_ms * 8
        self._gain = 10 ** (gain_db / 20)
        self._next = time.monotonic()
        self._sent_frames = 0
        self._first_timestamp: int | None = None
        self._heard = np.zeros(0, np.int16)
        """By RTP time, from the first packet on."""
        self._loud_at: list[float] = []

    def listen(self, seconds: float) -> None:
        for _ in range(round(seconds / _FRAME_S)):
            self._tick(None)

    def until_heard(self, wait_s: float = _ANSWER_WAIT_S) -> bool:
        """Wait until the far end speaks."""
        since = time.monotonic()
        while time.monotonic() < since + wait_s:
            self._tick(None)
            if self._loud_at and self._loud_at[-1] > since:
                return True
        return False

    def until_quiet(self, wait_s: float = 20.0, quiet_s: float = _QUIET_S) -> None:
        """Wait until the far end has finished: been quiet for so long."""
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline and self._loud_at and time.monotonic() - self._loud_at[-1] < quiet_s:
            self._tick(None)

    def speak(self, samples: PcmSamples) -> float:
        """Say this; when the first audible sample was sent."""
        began = 0.0
        for begin in range(0, len(samples) - _FRAME + 1, _FRAME):
            frame = samples[begin : begin + _FRAME]
            if not began and _is_loud(frame):
                began = time.monotonic()
            self._tick(frame)
        return began

    @property
    def heard(self) -> PcmSamples:
        """All that was heard, by RTP time, from the moment it was first heard to now."""
        return self._heard[: self._sent_frames * _FRAME]

    @property
    def position(self) -> int:
        """Where in `heard` we are now."""
        return self._sent_frames * _FRAME

    def stopped_after(self, moment: float) -> float | None:
        """Seconds from `moment` until the far end fell silent; None when it did not speak then."""
        if not any(moment - _STOPPED_S < at < moment for at in self._loud_at):
            return None
        last = moment
        for at in self._loud_at:
            if at > last + _STOPPED_S:
                break
            last = max(last, at)
        return last - moment

    def _tick(self, speech: PcmSamples | None) -> None:
        out = np.zeros(_FRAME) if speech is None else speech.astype(np.float64)
        if self._delay is not None:
            out = out + self._echo() * self._gain
        self._caller.speak(mu_law(np.clip(out, -32768, 32767).astype(np.int16)))
        self._sent_frames += 1
        self._next += _FRAME_S
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._receive()

    def _echo(self) -> PcmSamples:
        """What was heard `delay` before now, by the far end's clock; silence where nothing has come."""
        assert self._delay is not None
        begin = self._sent_frames * _FRAME - self._delay
        echo = np.zeros(_FRAME, np.int16)
        part = self._heard[max(0, begin) : max(0, begin + _FRAME)]
        if len(part):
            echo[max(0, -begin) :][: len(part)] = part
        return echo

    def _receive(self) -> None:
        rtp = self._caller.rtp
        rtp.setblocking(False)
        while True:
            try:
                packet = rtp.recv(2048)
            except BlockingIOError:
                return
            samples = from_mu_law(packet[12:])
            (timestamp,) = struct.unpack_from("!I", packet, 4)
            if self._first_timestamp is None:
                # Our clock's frame now is the far end's first: from here on the two run side by side.
                self._first_timestamp = (timestamp - self._sent_frames * _FRAME) & 0xFFFFFFFF
            start = (timestamp - self._first_timestamp) & 0xFFFFFFFF
            if start + len(samples) > len(self._heard):
                grown = np.zeros(start + len(samples) + 60 * 8000, np.int16)
                grown[: len(self._heard)] = self._heard
                self._heard = grown
            self._heard[start : start + len(samples)] = samples
            if _is_loud(samples):
                self._loud_at.append(time.monotonic())


def converse(
    gateway: GatewayProcess,
    questions: Sequence[PcmSamples],
    *,
    delay_ms: int | None,
    gain_db: float = -20.0,
    interruptions: Sequence[PcmSamples] = (),
) -> EchoCall:
    """Ask every question and hear the answer out; with `interruptions`, break into each answer with the next one."""
    with RawCaller(gateway.sip_port) as caller:
        call = EchoCall(caller.call_id)
        answer = caller.invite("agent")
        assert answer.code == 200, answer.text
        caller.rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        line = EchoLine(caller, delay_ms, gain_db)
        line.until_heard()
        line.until_quiet()
        for index, question in enumerate(questions):
            line.speak(question)
            call.asked += 1
            if not line.until_heard():
                continue
            call.answered += 1
            if interruptions:
                line.listen(_INTO_THE_ANSWER_S)
                began = line.speak(interruptions[index % len(interruptions)])
                line.until_heard(3.0)
                stopped_s = line.stopped_after(began)
                if stopped_s is not None:
                    call.stop_ms.append(1000 * stopped_s)
            line.until_quiet()
        assert caller.bye("agent").code == 200
    return call


def session_of(gateway: GatewayProcess, call: EchoCall) -> dict[str, Any]:
    """The call's session, ended."""
    return session_named(gateway, call.call_id)


def session_named(gateway: GatewayProcess, sip_call_id: str) -> dict[str, Any]:
    """The session of this SIP call, ended."""

    def ended() -> dict[str, Any] | None:
        for summary in gateway.sessions():
            if summary["metadata"].get("sip_call_id") == sip_call_id and summary["ended_at"]:
                session: dict[str, Any] = gateway.get(f"/sessions/{summary['call_id']}")
                return session
        return None

    found: dict[str, Any] = wait_for(ended, "the session of the call")
    return found


def interrupted(session: dict[str, Any]) -> int:
    """How often the agent was stopped while it spoke, other than by the end of the call."""
    answered, ended = (datetime.fromisoformat(session[name]) for name in ("answered_at", "ended_at"))
    last_ms = (ended - answered).total_seconds() * 1000 - _END_MS
    return sum(1 for entry in session["transcript"] if entry["interrupted"] and entry["ended_ms"] < last_ms)


def said_by_caller(session: dict[str, Any]) -> list[str]:
    return [entry["text"] for entry in session["transcript"] if entry["role"] == "user"]


def _is_loud(samples: PcmSamples) -> bool:
    return len(samples) > 0 and float(np.mean(np.abs(samples.astype(np.float64)))) > _LOUD
