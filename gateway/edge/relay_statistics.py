# SPDX-License-Identifier: GPL-3.0-or-later
"""What rtpengine says of itself and of a call, as far as it is measured. Pure; what it does not say is None or 0."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.edge.rtpengine_ng import Value

_OUTSIDE = b"outside"
"""Name of the interface towards callers (`gateway.edge.rtpengine`)."""


@dataclass(frozen=True, slots=True)
class RelayStatistics:
    """The answer to `statistics`."""

    sessions: int
    transcoded: int
    packets: int
    """Relayed since its start."""
    errors: int
    """Packets that could not be relayed."""
    one_way: int
    """Calls that ended with audio from one side only."""
    timeouts: int
    """Calls that it ended because no audio came any more."""

    @classmethod
    def parse(cls, answer: dict[bytes, Value]) -> "RelayStatistics":
        told = _table(answer, b"statistics") or answer
        now, total = _table(told, b"currentstatistics"), _table(told, b"totalstatistics")
        return cls(
            sessions=_number(now, b"sessionstotal"),
            transcoded=_number(now, b"transcodedmedia"),
            packets=_number(total, b"relayedpackets"),
            errors=_number(total, b"relayedpacketerrors"),
            one_way=_number(total, b"onewaystreams"),
            timeouts=_number(total, b"timeoutsessions"),
        )


@dataclass(frozen=True, slots=True)
class StreamQuality:
    """How RTP fares between the relay and a caller, by RTCP (RFC 3550 section 6.4)."""

    round_trip_s: float
    loss: float
    """Share of packets, 0 to 1."""
    jitter_s: float
    mos: float


def call_ids(answer: dict[bytes, Value]) -> tuple[bytes, ...]:
    """Of the answer to `list`."""
    calls = answer.get(b"calls")
    return tuple(one for one in calls if isinstance(one, bytes)) if isinstance(calls, list) else ()


def outside_qualities(answer: dict[bytes, Value]) -> Iterator[StreamQuality]:
    """Of the answer to `query`: each stream outside that RTCP has told of."""
    of_stream = _table(answer, b"SSRC")
    for tag in _tables(_table(answer, b"tags").values()):
        for media in _tables(_items(tag, b"medias")):
            for stream in _tables(_items(media, b"streams")):
                if stream.get(b"local interface", _OUTSIDE) != _OUTSIDE and b"outside" not in _text(stream):
                    continue
                for ssrc in _ssrcs(stream):
                    average = _table(_table(of_stream, str(ssrc).encode()), b"average MOS")
                    if average:
                        yield StreamQuality(
                            round_trip_s=_number(average, b"round-trip time") / 1_000_000,
                            loss=_number(average, b"packet loss") / 100,
                            jitter_s=_number(average, b"jitter") / 1000,
                            mos=_number(average, b"MOS") / 10,
                        )


def _text(stream: dict[bytes, Value]) -> bytes:
    value = stream.get(b"interface", b"")
    return value if isinstance(value, bytes) else b""


def _ssrcs(stream: dict[bytes, Value]) -> Iterator[int]:
    one = stream.get(b"SSRC")
    if isinstance(one, int):
        yield one


def _tables(values: Iterable[Value]) -> Iterator[dict[bytes, Value]]:
    return (one for one in values if isinstance(one, dict))


def _items(table: dict[bytes, Value], key: bytes) -> list[Value]:
    value = table.get(key)
    return value if isinstance(value, list) else []


def _table(answer: dict[bytes, Value], key: bytes) -> dict[bytes, Value]:
    value = answer.get(key)
    return value if isinstance(value, dict) else {}


def _number(table: dict[bytes, Value], key: bytes) -> int:
    value = table.get(key)
    return value if isinstance(value, int) else 0
