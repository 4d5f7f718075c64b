# SPDX-License-Identifier: GPL-3.0-or-later
"""Two ends for telephone keys: Parley's own legs, which hear and dial, and a caller written from the RFCs whose packets
are lost, doubled and disordered by a seed. For the end-to-end tests and scripts/bench/dtmf."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from gateway.calls.keypad import Keypad
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallConfirmed, CallEnded, DigitReceived, IncomingCall, MediaActive, SipEvent
from gateway.sip.settings import EndpointSettings, MediaSettings
from gateway.sip.sip_thread import new_handle
from media.frames import PcmSamples
from media.keys import KEYS, KeyMethod, ToneDetection, dialled_ms
from media.ports import CallAudio, PcmHub
from media.tones import dtmf
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.mulaw import mu_law

_CODECS = ("pcmu", "pcma", "g722", "l16", "opus")
_MU_LAW = "RTP/AVP 0\r\na=rtpmap:0 PCMU/8000"
_WITH_EVENTS = "RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16"
_WITH_RED = _WITH_EVENTS.replace(" 101\r\n", " 101 97\r\n") + "\r\na=rtpmap:97 red/8000\r\na=fmtp:97 0/0"
_FRAME_S = 0.02
_PRESS_SAMPLES, _PRESS_PACKETS, _GAP_PACKETS = 800, 5, 4


def random_keys(count: int, seed: int) -> str:
    """So many keys, some of them the same twice."""
    return "".join(random.Random(seed).choices(KEYS, k=count))


@dataclass
class Leg:
    """One leg of Parley's, and what was pressed at its far end."""

    handle: str
    keypad: Keypad
    heard: str = ""
    audio: CallAudio | None = None
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    pressed: asyncio.Event = field(default_factory=asyncio.Event)

    def press(self, digit: str) -> None:
        self.heard += digit
        self.pressed.set()

    @property
    def disturbances(self) -> int:
        """Frames that were not heard as they were sent: the machine stood still, or a packet was late."""
        assert self.audio is not None
        counters = self.audio.counters()
        return counters.frames_concealed + counters.frames_skipped


class KeyEndpoint:
    """An endpoint that answers every call and listens for keys; it can call itself, too."""

    def __init__(self, codec: str = "", detection: ToneDetection = ToneDetection.AUTO, max_calls: int = 40) -> None:
        self.legs: dict[str, Leg] = {}
        self._detection = detection
        self._answering: list[asyncio.Task[None]] = []
        self._hub = PcmHub()
        self._expected: dict[str, asyncio.Future[Leg]] = {}
        media = MediaSettings(43000, 44998, "127.0.0.1", "", "off")
        codecs = (codec,) if codec else _CODECS
        settings = EndpointSettings("127.0.0.1", 0, ("udp",), media, codecs, max_calls, "Parley keys")
        self.endpoint = SipEndpoint(settings, self._receive)

    async def __aenter__(self) -> Self:
        await self.endpoint.start()
        self._hub.start(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.endpoint.close()
        self._hub.close()

    @property
    def port(self) -> int:
        return int(self.endpoint.address.rpartition(":")[2])

    def expect(self, far_user: str) -> "asyncio.Future[Leg]":
        """The leg on which this user will have called us."""
        return self._expected.setdefault(far_user, asyncio.get_running_loop().create_future())

    async def pair(self) -> tuple[Leg, Leg]:
        """A call from us to us: the end that dialled, and the one that answered."""
        caller = self._leg(new_handle())
        arrived = self.expect(caller.handle)
        to, caller_id = f"sip:keys@127.0.0.1:{self.port}", f"sip:{caller.handle}@127.0.0.1:{self.port}"
        await self.endpoint.place(caller.handle, to, caller_id=caller_id)
        callee = await asyncio.wait_for(arrived, 20)
        for leg in (caller, callee):
            await asyncio.wait_for(leg.confirmed.wait(), 20)
        return caller, callee

    async def hang_up(self, leg: Leg) -> None:
        await self.endpoint.hang_up(leg.handle)
        await asyncio.wait_for(leg.ended.wait(), 20)

    def _leg(self, handle: str) -> Leg:
        leg = Leg(handle, Keypad(handle, self.endpoint, lambda digit: leg.press(digit)))
        self.legs[handle] = leg
        return leg

    def _receive(self, event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            leg = self._leg(event.handle)
            self._answering.append(asyncio.create_task(self._answer(leg, event.from_user), name=event.handle))
            return
        match event:
            case MediaActive():
                leg = self.legs[event.handle]
                if leg.audio is None:
                    leg.audio = CallAudio(self._hub, event.port)
                    leg.audio.on_key = leg.keypad.receive_key
                    leg.audio.detect_tones(self._detection)
            case DigitReceived():
                self.legs[event.handle].keypad.receive_info(event)
            case CallConfirmed():
                self.legs[event.handle].confirmed.set()
            case CallEnded():
                self.legs[event.handle].ended.set()
            case _:
                pass

    async def _answer(self, leg: Leg, far_user: str) -> None:
        await self.endpoint.answer(leg.handle)
        self.expect(far_user).set_result(leg)


async def dial(endpoint: KeyEndpoint, keys: str, method: KeyMethod) -> tuple[str, int]:
    """Dial from one leg of ours to another; what was heard, and how many frames were disturbed meanwhile."""
    caller, callee = await endpoint.pair()
    assert caller.audio is not None
    await asyncio.sleep(0.5)  # jitter buffers fill
    before = callee.disturbances + caller.disturbances
    for begin in range(0, len(keys), 64):
        part = keys[begin : begin + 64]
        await caller.keypad.dial(caller.audio, part, method)
        if method is not KeyMethod.INFO:
            await asyncio.sleep(dialled_ms(part) / 1000)
    await _heard(callee, len(keys))
    disturbed = callee.disturbances + caller.disturbances - before
    await endpoint.hang_up(caller)
    return callee.heard, disturbed


@dataclass(frozen=True, slots=True)
class Impairments:
    """What happens to packets, as shares of them."""

    loss: float = 0.05
    doubled: float = 0.03
    swapped: float = 0.05


async def call_with_events(endpoint: KeyEndpoint, keys: str, seed: int, impairments: Impairments) -> str:
    """A peer presses keys as RFC 4733 events over a bad line; what was heard."""
    rng = random.Random(seed)
    with RawCaller(endpoint.port) as caller:
        leg = await _connect(endpoint, caller, _WITH_EVENTS)
        packets = _event_packets(caller, keys)
        await asyncio.to_thread(_send, caller, _impair(packets, rng, impairments))
        return await _close(leg, caller, len(keys))


async def call_with_copies(endpoint: KeyEndpoint, keys: str) -> str:
    """A peer whose every event packet is lost, and only copies in RFC 2198 redundancy arrive; what was heard."""
    with RawCaller(endpoint.port) as caller:
        leg = await _connect(endpoint, caller, _WITH_RED)
        packets = [caller.clock.packet(SILENCE)]
        for key in keys:
            began = caller.clock.timestamp
            caller.clock.timestamp = (began + _PRESS_SAMPLES) & 0xFFFFFFFF
            caller.clock.sequence = (caller.clock.sequence + _PRESS_PACKETS) & 0xFFFF
            for _ in range(2):
                offset = (caller.clock.timestamp - began) & 0xFFFFFFFF
                event = bytes([KEYS.index(key), 0x8A]) + _PRESS_SAMPLES.to_bytes(2, "big")
                header = bytes([0x80 | 101]) + (offset << 10 | len(event)).to_bytes(3, "big") + bytes([0])
                packets.append(caller.clock.packet(header + event + SILENCE, 97, len(SILENCE)))
        await asyncio.to_thread(_send, caller, packets)
        return await _close(leg, caller, len(keys))


async def call_with_tones(endpoint: KeyEndpoint, keys: str) -> tuple[str, int]:
    """A peer without telephone-event presses keys as tones, G.711; what was heard, and how many frames disturbed."""
    sound = dtmf(keys, 8000, on_ms=80, off_ms=80)
    with RawCaller(endpoint.port) as caller:
        leg = await _connect(endpoint, caller, _MU_LAW)
        quiet = [caller.clock.packet(SILENCE) for _ in range(50)]
        await asyncio.to_thread(_send, caller, quiet[:25])
        before = leg.disturbances
        await asyncio.to_thread(_send, caller, quiet[25:] + _tone_packets(caller, sound))
        disturbed = leg.disturbances - before
        return await _close(leg, caller, len(keys)), disturbed


async def call_with_infos(endpoint: KeyEndpoint, keys: str, seed: int, *, also_events: bool = False) -> str:
    """A peer presses keys by INFO, in all the ways that bodies are written, and maybe as events, too."""
    rng = random.Random(seed)
    with RawCaller(endpoint.port) as caller:
        leg = await _connect(endpoint, caller, _WITH_EVENTS)
        for key in keys:
            if also_events:
                await asyncio.to_thread(_send, caller, _event_packets(caller, key))
            kind, body = _info_body(key, rng)
            caller.sequence += 1
            caller.send("INFO", "keys", body, content_type=kind)
            answer = await asyncio.to_thread(caller.final, "INFO")
            assert answer.code == 200, answer.text
        return await _close(leg, caller, len(keys))


async def answers_to_infos(endpoint: KeyEndpoint, infos: Sequence[tuple[str, str]]) -> tuple[list[int], str]:
    """The status of each INFO (content type, body), and the keys that were heard."""
    with RawCaller(endpoint.port) as caller:
        leg = await _connect(endpoint, caller, _MU_LAW)
        codes = []
        for kind, body in infos:
            caller.sequence += 1
            caller.send("INFO", "keys", body, content_type=kind)
            codes.append((await asyncio.to_thread(caller.final, "INFO")).code)
        return codes, await _close(leg, caller, 1)


async def _connect(endpoint: KeyEndpoint, caller: RawCaller, media: str) -> Leg:
    arrived = endpoint.expect(caller.call_id)
    caller.from_header = f"<sip:{caller.call_id}@127.0.0.1>"
    answer = await asyncio.to_thread(caller.invite, "keys", media)
    assert answer.code == 200, answer.text
    leg = await asyncio.wait_for(arrived, 20)
    await asyncio.wait_for(leg.confirmed.wait(), 20)
    return leg


async def _close(leg: Leg, caller: RawCaller, count: int) -> str:
    await _heard(leg, count)
    await asyncio.to_thread(caller.bye, "keys")
    await asyncio.wait_for(leg.ended.wait(), 20)
    return leg.heard


async def _heard(leg: Leg, count: int) -> None:
    """Until so many keys were heard, or nothing more can come; and a little longer, for one too many."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while len(leg.heard) < count:
                leg.pressed.clear()
                await leg.pressed.wait()
    await asyncio.sleep(0.3)


def _event_packets(caller: RawCaller, keys: str) -> list[bytes]:
    """RTP of a peer that presses each key for 100 ms, the end sent three times, sound in between."""
    packets = [caller.clock.packet(SILENCE)]
    for key in keys:
        began = caller.clock.timestamp
        code = KEYS.index(key)
        for index in range(_PRESS_PACKETS + 2):
            end = index >= _PRESS_PACKETS - 1
            duration = min((index + 1) * 160, _PRESS_SAMPLES)
            payload = bytes([code, 0x8A if end else 0x0A]) + duration.to_bytes(2, "big")
            now, caller.clock.timestamp = caller.clock.timestamp, began
            packets.append(caller.clock.packet(payload, 101, 160))
            caller.clock.timestamp = (now + 160) & 0xFFFFFFFF
        packets += [caller.clock.packet(SILENCE) for _ in range(_GAP_PACKETS - 2)]
    return packets


def _tone_packets(caller: RawCaller, sound: PcmSamples) -> list[bytes]:
    payload = mu_law(sound)
    return [caller.clock.packet(payload[at : at + 160]) for at in range(0, len(payload), 160)]


def _impair(packets: Sequence[bytes], rng: random.Random, impairments: Impairments) -> list[bytes]:
    """Lose, double and swap; copies come up to five packets late, swaps stay among neighbours."""
    arriving: list[tuple[float, bytes]] = []
    for index, packet in enumerate(packets):
        if rng.random() >= impairments.loss:
            swap = 1.5 if rng.random() < impairments.swapped else 0.0
            arriving.append((index + swap, packet))
        if rng.random() < impairments.doubled:
            arriving.append((index + rng.uniform(0.1, 5.0), packet))
    return [packet for _, packet in sorted(arriving, key=lambda one: one[0])]


def _send(caller: RawCaller, packets: Sequence[bytes]) -> None:
    """A packet every 20 ms."""
    assert caller.remote_rtp is not None
    due = time.monotonic()
    for packet in packets:
        time.sleep(max(0.0, due - time.monotonic()))
        caller.rtp.sendto(packet, caller.remote_rtp)
        due += _FRAME_S


def _info_body(key: str, rng: random.Random) -> tuple[str, str]:
    code = str(KEYS.index(key)) if key in "*#" else key
    return rng.choice(
        [
            ("application/dtmf-relay", f"Signal={key}\r\nDuration=160\r\n"),
            ("application/dtmf-relay", f"Signal= {key}\nDuration= 100"),
            ("application/dtmf-relay", f"Duration=250\r\nSignal={code}\r\n"),
            ("application/dtmf-relay", f"Signal={key}\r\n"),
            ("Application/DTMF", key),
            ("application/dtmf", f"{code}\r\n"),
        ]
    )
