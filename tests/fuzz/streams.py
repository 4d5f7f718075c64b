# SPDX-License-Identifier: GPL-3.0-or-later
"""What hostile backends send, to every stream protocol: mutated, oversized and random messages through the adapter and
the engine, as the connections would give them. Seeded. `python -m tests.fuzz.streams [MESSAGES]` prints a table.

What must hold: nothing raises; whatever is refused has a reason that is short and repeats nothing; a session keeps
less memory than a few seconds of audio and some control would take, whatever it was sent.
"""

import argparse
import base64
import gc
import itertools
import json
import os
import platform
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.streams.comfort import noise
from gateway.streams.conversationrelay import parse
from gateway.streams.messages import (
    Encoding,
    HangUp,
    Malformed,
    ProtocolName,
    StreamFormat,
    StreamStarted,
    WireMessage,
    WireProtocol,
)
from gateway.streams.order import StreamOrder
from gateway.streams.protocols import protocol_kind
from gateway.streams.session import CallRequest, StreamSession
from media.playout import Cleared, Heard, UtteranceFinished, UtteranceStarted

MAX_KEPT_BYTES = 24_000_000
"""Of one session: a minute of 48 kHz audio is 5.8 MB, twice that while it is sliced; one message has 4 MiB."""
_MAX_MESSAGE = 4 * 1024 * 1024
_MAX_PIECE = 256 * 1024
"""Of a TCP connection: what uvloop reads at a time."""
_LARGE_EVERY = 400
"""Messages between those that are as large as they may be."""
_SESSION_MESSAGES = 2000
_STEP_S = 0.001

CASES: tuple[tuple[ProtocolName, Encoding, int], ...] = (
    ("parley", "l16", 8000),
    ("parley", "l16", 48000),
    ("parley", "pcmu", 8000),
    ("parley", "g722", 16000),
    ("parley", "opus", 48000),
    ("twilio", "pcmu", 8000),
    ("teler", "l16", 8000),
    ("audiosocket", "l16", 16000),
    ("conversationrelay", "l16", 8000),
)


def _text(**fields: object) -> str:
    return json.dumps(fields)


def _frame(kind: int, payload: bytes) -> bytes:
    return bytes((kind, *len(payload).to_bytes(2, "big"))) + payload


_AUDIO = bytes(range(256)) + bytes(64)
_AUDIO_B64 = base64.b64encode(_AUDIO).decode()
_SEEDS: dict[str, list[WireMessage]] = {
    "parley": [
        _AUDIO,
        b"\x78" + bytes(40),
        _text(type="mark", seq=1, name="m1"),
        _text(type="clear"),
        _text(type="pause"),
        _text(type="resume"),
        _text(type="dtmf", digits="12#"),
        _text(type="hangup"),
        _text(type="transfer", to="sip:a@192.0.2.1", mode="blind"),
        _text(type="mute", muted=True),
        _text(type="record", state="pause"),
        _text(type="answer"),
        _text(type="reject", code=486),
    ],
    "twilio": [
        _text(event="media", streamSid="MZ0", media={"payload": _AUDIO_B64}),
        _text(event="mark", streamSid="MZ0", mark={"name": "m1"}),
        _text(event="clear", streamSid="MZ0"),
    ],
    "teler": [
        _text(type="audio", data={"audio_b64": _AUDIO_B64, "chunk_id": 7}),
        _text(type="audio", audio_b64=_AUDIO_B64, chunk_id="c8"),
        _text(type="interrupt", chunk_id="c8"),
        _text(type="clear"),
    ],
    "conversationrelay": [
        _text(type="text", token="hello", last=False),
        _text(type="text", token=" world.", last=True, interruptible=True, preemptible=False, lang="en-US"),
        _text(type="play", source="https://x.example/a.wav", loop=1),
        _text(type="sendDigits", digits="1w2"),
        _text(type="language", ttsLanguage="en-US"),
        _text(type="end", handoffData="{}"),
    ],
    "audiosocket": [
        _frame(0x12, _AUDIO),
        _frame(0x10, _AUDIO),
        _frame(0x00, b""),
        _frame(0x01, bytes(16)),
        _frame(0x03, b"5"),
        _frame(0xFF, b"\x01"),
    ],
}

_VALUES: tuple[str, ...] = (
    *("null", "true", "false", "0", "-1", "1e999", "-1e-999", "NaN", "Infinity", "1" * 400, "1" * 5000, "0.1"),
    *('""', '"\\ud800"', '"\\u0000"', '"\U0001f600"', '"' + "a" * 3000 + '"', '"\\uDFFF\\uD800"', '"\\r\\n"'),
    *("[]", "{}", "[[[[]]]]", '{"type":{"type":{}}}', "[" * 2000 + "]" * 2000, '{"a":' * 2000 + "1" + "}" * 2000),
    *('"sip:x@127.0.0.1"', '"====" ', '"AAAA=AAAA="', '"' + "A" * 4001 + '"', '"%s%n"', '"../../etc/passwd"'),
)
_KEYS = ("type", "event", "name", "media", "payload", "data", "audio_b64", "chunk_id", "digits", "code", "to", "mark")


class Mutator:
    """Makes messages out of a protocol's own."""

    def __init__(self, protocol: str, seed: int) -> None:
        self._random = random.Random(f"{protocol}:{seed}")
        self._seeds = _SEEDS[protocol]
        self._ways: tuple[Callable[[WireMessage], WireMessage], ...] = (
            *(self._value, self._value, self._bytes, self._cut, self._twice, self._other_kind),
            *(self._key, self._noise, self._untouched, self._untouched),
        )

    def messages(self) -> Iterator[WireMessage]:
        """Without end."""
        for number in itertools.count(1):
            message = self._random.choice(self._seeds)
            for _ in range(self._random.choice((1, 1, 1, 2, 4))):
                message = self._random.choice(self._ways)(message)
            yield self._large() if number % _LARGE_EVERY == 0 else message[:_MAX_MESSAGE]

    def _untouched(self, message: WireMessage) -> WireMessage:
        return message

    def _value(self, message: WireMessage) -> WireMessage:
        """Another value for one key."""
        if isinstance(message, bytes):
            return self._bytes(message)
        try:
            fields = json.loads(message)
        except (ValueError, RecursionError):
            return self._bytes(message)
        if not isinstance(fields, dict) or not fields:
            return self._random.choice(_VALUES)
        key = self._random.choice(list(fields))
        inner = fields[key]
        if isinstance(inner, dict) and inner and self._random.random() < 0.7:
            fields, key = inner, self._random.choice(list(inner))
        fields[key] = "\x00here\x00"
        whole = json.dumps(json.loads(message) if fields is inner else fields)
        if fields is inner:
            outer = json.loads(message)
            outer[next(name for name, value in outer.items() if isinstance(value, dict))] = fields
            whole = json.dumps(outer)
        return whole.replace('"\\u0000here\\u0000"', self._random.choice(_VALUES))

    def _key(self, message: WireMessage) -> WireMessage:
        """One key more, perhaps for the second time."""
        if isinstance(message, bytes):
            return self._twice(message)
        return message.replace("{", f'{{"{self._random.choice(_KEYS)}":{self._random.choice(_VALUES)},', 1)

    def _bytes(self, message: WireMessage) -> WireMessage:
        """Some bytes changed, put in or taken out."""
        raw = bytearray(message.encode("utf-8", "replace") if isinstance(message, str) else message)
        for _ in range(self._random.randint(1, 8)):
            at = self._random.randrange(len(raw) + 1)
            match self._random.randrange(3):
                case 0:
                    raw[at : at + 1] = self._random.randbytes(1)
                case 1:
                    raw[at:at] = self._random.randbytes(self._random.randint(1, 4))
                case _:
                    del raw[at : at + self._random.randint(1, 4)]
        return raw.decode("utf-8", "replace") if isinstance(message, str) else bytes(raw)

    def _cut(self, message: WireMessage) -> WireMessage:
        return message[: self._random.randrange(len(message) + 1)]

    def _twice(self, message: WireMessage) -> WireMessage:
        return message * self._random.choice((2, 3, 50)) if len(message) < 20_000 else message

    def _other_kind(self, message: WireMessage) -> WireMessage:
        """Text as a binary message, and the other way round."""
        return message.encode("utf-8", "replace") if isinstance(message, str) else message.decode("latin-1")

    def _noise(self, message: WireMessage) -> WireMessage:
        raw = self._random.randbytes(self._random.choice((0, 1, 2, 3, 7, 320, 4000)))
        return raw if self._random.random() < 0.5 else raw.decode("latin-1")

    def _large(self) -> WireMessage:
        """As large as the connections let through."""
        filler = self._random.choice(("A", "[", '{"a":', "1", "\x00"))
        text = (filler * (_MAX_MESSAGE // len(filler) + 1))[: _MAX_MESSAGE - 100]
        match self._random.randrange(4):
            case 0:
                return text
            case 1:
                return self._random.randbytes(1) + bytes(_MAX_MESSAGE - 1)
            case 2:
                seed = self._random.choice(self._seeds)
                return (
                    seed.replace("m1", "A" * len(text)) if isinstance(seed, str) else seed * (_MAX_MESSAGE // len(seed))
                )
            case _:
                seed = self._random.choice(self._seeds)
                return seed.replace(_AUDIO_B64, "A" * len(text)) if isinstance(seed, str) else seed


class FuzzLine:
    """A leg that plays what it is given as time goes on, and has room for ten seconds."""

    sample_rate_hz = 8000

    def __init__(self) -> None:
        self.utterance_ids = itertools.count(1)
        self.now = 0.0
        self._queue: list[list[int]] = []
        """Utterance, samples written, samples sent, and whether it is ended."""

    @property
    def queued_ms(self) -> float:
        return sum(written - sent for _, written, sent, _ in self._queue) / 8

    def play(self, utterance_id: int, pcm: bytes | bytearray | memoryview, sample_rate_hz: int = 0) -> int:
        assert len(pcm) % 2 == 0
        samples = min(len(pcm) // 2, max(0, 80_000 - int(self.queued_ms * 8)))
        if not self._queue or self._queue[-1][0] != utterance_id:
            assert len(self._queue) < 63, "the leg's queue has room for 63 utterances"
            self._queue.append([utterance_id, 0, 0, 0])
        self._queue[-1][1] += samples
        return samples

    def end_utterance(self, utterance_id: int) -> None:
        for one in self._queue:
            if one[0] == utterance_id:
                one[3] = 1

    def clear(self) -> Cleared:
        cut = tuple(Heard(number, sent, written - sent) for number, written, sent, _ in self._queue)
        self._queue.clear()
        return Cleared(cut)

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def advance(self, seconds: float, tell: Callable[[Any], None]) -> None:
        """Time goes on: send, and tell."""
        self.now += seconds
        left = int(seconds * self.sample_rate_hz)
        while self._queue and left > 0:
            one = self._queue[0]
            step = min(left, one[1] - one[2])
            if one[2] == 0 and step:
                tell(UtteranceStarted(one[0], self.now))
            one[2] += step
            left -= step
            if one[2] < one[1]:
                break
            if not one[3]:
                break
            self._queue.pop(0)
            tell(UtteranceFinished(one[0], one[2], self.now))


class SlowConnection:
    """Takes what is written; keeps the sum."""

    def __init__(self) -> None:
        self.written_bytes = 0

    def write(self, message: WireMessage) -> None:
        self.written_bytes += len(message)
        if isinstance(message, str):
            message.encode()  # as a WebSocket does: what cannot be sent would end the connection

    def close(self, code: int = 1000, reason: str = "") -> None: ...

    def abort(self) -> None: ...


@dataclass
class Found:
    """What came of one case."""

    sessions: int = 0
    messages: int = 0
    refused: int = 0
    requests: int = 0
    largest_kept: int = 0
    slowest_ms: float = 0.0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def fuzz(case: tuple[ProtocolName, Encoding, int], count: int, seed: int = 4, *, measure_memory: bool = True) -> Found:
    """Feed `count` messages, two thousand to a session; congested in between.

    Of `conversationrelay`, whose engine is an agent's, the parser alone gets them.
    """
    protocol, encoding, rate_hz = case
    found = Found()
    mutator = Mutator(protocol, seed).messages()
    chance = random.Random(seed)
    begun = time.perf_counter()
    while protocol == "conversationrelay" and found.messages < count:
        found.messages += 1
        _look_at([parse(next(mutator))], found)
    while found.messages < count:
        session_of = min(_SESSION_MESSAGES, count - found.messages)
        measured, found.sessions = measure_memory and found.sessions % 2 == 0, found.sessions + 1
        _session(protocol, StreamFormat(encoding, rate_hz), mutator, session_of, chance, found, measured)
    found.seconds = time.perf_counter() - begun
    return found


def _session(
    protocol: ProtocolName,
    format: StreamFormat,
    mutator: Iterator[WireMessage],
    count: int,
    chance: random.Random,
    found: Found,
    measure_memory: bool,
) -> None:
    line, connection = FuzzLine(), SlowConnection()
    order = StreamOrder(protocol=protocol, format=format)
    asked: list[CallRequest] = []
    started = StreamStarted(
        "call_00000000000000000000", "str_1", "a", "b", "inbound", "bidirectional", ("inbound",), format
    )
    session = StreamSession(started, lambda: protocol_kind(protocol).make(order), asked.append, noise())
    session.connected(connection, line.now)
    session.speak_on(line, line.now)
    # A second adapter tells what is refused, and why.
    judge = _judge(protocol, order, started)
    if measure_memory:
        gc.collect()
        tracemalloc.start(1)
    kept_before = tracemalloc.get_traced_memory()[0]
    for number in range(count):
        message = next(mutator)
        if protocol == "audiosocket":
            message = message[:_MAX_PIECE]
        found.messages += 1
        at = time.perf_counter()
        try:
            session.receive(message, line.now)
            if not measure_memory:  # which takes its own time
                found.slowest_ms = max(found.slowest_ms, (time.perf_counter() - at) * 1000)
            _look_at(judge.receive(message), found)
            line.advance(_STEP_S, lambda event: session.receive_playout(event, line.now))
            while session.next_timeout is not None and session.next_timeout <= line.now:
                line.now += 1e-6
                session.handle_timeout(line.now)
        except Exception as fault:  # whatever it is, it is what we look for
            found.faults.append(f"{protocol} {type(fault).__name__}: {fault} at {message[:100]!r}")
            raise
        if chance.random() < 0.002:
            session.congested(True, line.now)
        elif chance.random() < 0.01:
            session.congested(False, line.now)
        del message
        if measure_memory and number % 100 == 0:
            found.largest_kept = max(found.largest_kept, tracemalloc.get_traced_memory()[0] - kept_before)
        if any(isinstance(one, HangUp) for one in asked) or session.is_abusive:
            # As in life: another connection comes after it.
            session.disconnected(line.now)
            session.connected(connection, line.now)
            judge = _judge(protocol, order, started)
        found.requests += len(asked)
        asked.clear()
    if measure_memory:
        tracemalloc.stop()


def _judge(protocol: ProtocolName, order: StreamOrder, started: StreamStarted) -> WireProtocol:
    judge = protocol_kind(protocol).make(order)
    judge.tell(started)
    return judge


def _look_at(said: list[Any], found: Found) -> None:
    for one in said:
        if isinstance(one, Malformed):
            found.refused += 1
            assert 0 < len(one.detail) <= 200, one.detail
            assert one.detail.isascii(), one.detail
            assert one.detail.isprintable(), one.detail


def main() -> int:
    parser = argparse.ArgumentParser(description="Feed hostile messages to every stream protocol.")
    parser.add_argument("messages", type=int, nargs="?", default=100_000, help="in all (default 100000)")
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args()
    each = -(-options.messages // len(CASES))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'protocol':<22}{'messages':>10}{'refused':>10}{'requests':>10}{'a second':>10}{'slowest':>12}{'kept':>10}")
    worst = 0
    for case in CASES:
        found = fuzz(case, each, options.seed)
        name = f"{case[0]} {case[1]} {case[2] // 1000}k"
        print(
            f"{name:<22}{found.messages:>10}{found.refused:>10}{found.requests:>10}"
            f"{found.messages / found.seconds:>10.0f}{found.slowest_ms:>9.1f} ms{found.largest_kept / 1e6:>7.1f} MB"
        )
        worst = max(worst, found.largest_kept)
    print(f"nothing raised; a session kept {worst / 1e6:.1f} MB at most (allowed: {MAX_KEPT_BYTES / 1e6:.0f} MB)")
    return int(worst > MAX_KEPT_BYTES)


if __name__ == "__main__":
    sys.exit(main())
