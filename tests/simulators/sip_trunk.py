# SPDX-License-Identifier: GPL-3.0-or-later
"""A provider's trunk that answers like the world: people, machines, busy lines, faxes, dead numbers; with real audio.

    INVITE > Numbers (who is there?) > TrunkCall (what they do) > Truth (what happened)

One UDP socket for SIP, two for each call's RTP, one clock for all: 50 packets a second for each call that has media.
"""

import asyncio
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.simulators.sip_trunk_behaviour import Behaviour, Numbers
from tests.simulators.sip_trunk_call import Course, TrunkCall
from tests.simulators.sip_trunk_media import PACKET_S, MediaLine
from tests.simulators.sip_trunk_message import SipMessage
from tests.simulators.sip_trunk_script import Manner, script
from tests.simulators.sip_trunk_sounds import TrunkSounds, load_trunk_sounds
from tests.simulators.sip_trunk_truth import Truth

_SO_TIMESTAMPNS = 35
"""Linux, asm-generic/socket.h; Python does not name it."""
_MOST_TICKS_LATE = 25
"""After a longer halt the clock goes on from now; before that it makes good what is missing."""
_FORGET_EVERY_S = 5.0
_MOST_CALLS = 500
"""At once, with those that are over and not forgotten apart; further ones meet a congestion."""


class SipTrunk:
    """Open by `async with`."""

    def __init__(
        self,
        numbers: Numbers,
        sounds: TrunkSounds,
        truth: Truth | None = None,
        *,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        manner: Manner | None = None,
    ) -> None:
        self.truth = truth or Truth(None)
        self.attempts: Counter[str] = Counter()
        """INVITEs of each number."""
        self.most_at_once = 0
        self._numbers = numbers
        self._sounds = sounds
        self._listen = listen
        self._manner = manner or Manner()
        self._calls: dict[tuple[str, str], TrunkCall] = {}
        """By Call-ID and the caller's tag; forgotten some time after their end."""
        self._active: dict[tuple[str, str], TrunkCall] = {}
        """Those of them that need ticks."""
        self._forget_at = 0.0
        self._socket: socket.socket | None = None
        self._clock: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """HOST:PORT."""
        assert self._socket is not None
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    @property
    def calls_now(self) -> int:
        """That are not over."""
        return sum(not call.is_over for call in self._active.values())

    async def __aenter__(self) -> Self:
        self.truth.__enter__()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind(self._listen)
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._receive)
        self._clock = asyncio.create_task(self._tick_for_ever(), name="trunk clock")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._clock is not None
        assert self._socket is not None
        self._clock.cancel()
        with suppress(asyncio.CancelledError):
            await self._clock
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for call in self._active.values():
            call.close()
        self.truth.__exit__(None, None, None)

    def _receive(self) -> None:
        assert self._socket is not None
        while True:
            try:
                data, marks, _, source = self._socket.recvmsg(65536, 64)
            except BlockingIOError:
                return
            except OSError:  # nobody listens where we sent to: a caller that was killed
                continue
            self._receive_datagram(data, source, time.monotonic() - _waited_s(marks))

    def _receive_datagram(self, data: bytes, source: tuple[str, int], now: float) -> None:
        """`now`: when the kernel had it, whatever this process was doing then."""
        try:
            message = SipMessage.parse(data)
        except ValueError:
            return  # keep-alives, and what nobody can answer
        # In a request from us (its response comes back here) the From is ours.
        key = (message.header("call-id"), message.to_tag if message.code else message.from_tag)
        call = self._calls.get(key)
        if call is not None:
            was_over = call.is_over
            call.receive(message, source, now)
            if call.is_over and not was_over:
                self.truth.tell_end(call)
        elif not message.code:
            self._receive_outside(message, source, key, now)

    def _receive_outside(self, message: SipMessage, source: tuple[str, int], key: tuple[str, str], now: float) -> None:
        match message.method:
            case "INVITE" if not message.to_tag:
                self._begin(message, source, key, now)
            case "ACK":
                pass
            case "OPTIONS":
                self._send(message.response(200, "OK", source, "options"), source)
            case "REGISTER":
                contact = f"Contact: {message.header('contact')};expires=3600\r\n" if message.header("contact") else ""
                self._send(message.response(200, "OK", source, "registrar", contact), source)
            case _:
                self._send(message.response(481, "Call/Transaction Does Not Exist", source, "none"), source)

    def _begin(self, invite: SipMessage, source: tuple[str, int], key: tuple[str, str], now: float) -> None:
        number = invite.number
        self.attempts[number] += 1
        attempt = self.attempts[number]
        is_full = self.calls_now >= _MOST_CALLS
        behaviour = Behaviour.CONGESTION_PLAIN if is_full else self._numbers.behaviour(number, attempt)
        chance = self._numbers.chance(number, attempt)
        course = Course(number, attempt, behaviour.value, script(behaviour, self._sounds, chance, self._manner))
        line = MediaLine(self._listen[0], chance.getrandbits(32))
        contact = f"<sip:trunk@{self.address}>"
        call = TrunkCall(invite, source, course, line, self._sounds.noise, contact, self._send, now)
        self._calls[key] = self._active[key] = call
        self.most_at_once = max(self.most_at_once, self.calls_now)
        self.truth.tell_invite(call)
        if call.is_over:
            self.truth.tell_end(call)

    def _send(self, data: bytes, address: tuple[str, int]) -> None:
        if self._socket is not None:
            with suppress(OSError):  # a full buffer loses it, as any network may
                self._socket.sendto(data, address)

    async def _tick_for_ever(self) -> None:
        due = time.monotonic()
        while True:
            due += PACKET_S
            late_s = time.monotonic() - due
            if late_s > _MOST_TICKS_LATE * PACKET_S:
                due += late_s
            await asyncio.sleep(max(0.0, -late_s))
            self._tick(due)

    def _tick(self, now: float) -> None:
        for key, call in list(self._active.items()):
            was_over = call.is_over
            call.handle_tick(now)
            if call.is_over and not was_over:
                self.truth.tell_end(call)
            if call.is_at_rest:
                del self._active[key]
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY_S
            self._calls = {key: call for key, call in self._calls.items() if not call.is_forgotten(now)}


def _waited_s(marks: list[tuple[int, int, bytes]]) -> float:
    """Since the kernel received a datagram."""
    for level, kind, data in marks:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("@ll", data[:16])
            waited_s: float = time.time() - (seconds + nanoseconds * 1e-9)
            return max(0.0, waited_s)
    return 0.0


@contextmanager
def in_thread(
    numbers: Numbers, truth: Path | None = None, manner: Manner | None = None, sounds: TrunkSounds | None = None
) -> Iterator[SipTrunk]:
    """A trunk on a thread with an event loop of its own: beside a test that blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sip trunk", daemon=True)
    trunk = SipTrunk(numbers, sounds or load_trunk_sounds(), Truth(truth), manner=manner)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(trunk.__aenter__(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(trunk.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
