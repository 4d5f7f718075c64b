# SPDX-License-Identifier: GPL-3.0-or-later
"""What rtpengine says of itself and of a call, as far as it is measured. Pure; what it does not say is None or 0."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.edge.rtpengine_ng import Value


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
        told = _table(answer, b"statistics")
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
    """How RTP fares on one side of a relay, by the far end's RTCP (RFC 3550 section 6.4), over the call so far."""

    local_address: str
    """Of the relay, on that side."""
    round_trip_s: float
    """Between relay and far end."""
    loss: float
    """Share of what the far end was sent, 0 to 1."""
    jitter_s: float


def call_ids(answer: dict[bytes, Value]) -> tuple[bytes, ...]:
    """Of the answer to `list`."""
    return tuple(one for one in _items(answer, b"calls") if isinstance(one, bytes))


def qualities(answer: dict[bytes, Value]) -> Iterator[StreamQuality]:
    """Of the answer to `query`, for a call between two: what each has reported of the other's stream."""
    streams = [stream for tag in _tables(_table(answer, b"tags").values()) for stream in _rtp_streams(tag)]
    if len(streams) != 2:
        return
    for stream, reporter in zip(streams, reversed(streams), strict=True):
        told = _table(_table(_table(answer, b"SSRC"), str(stream.get(b"SSRC")).encode()), b"average MOS")
        if not _number(told, b"samples"):
            continue
        address = reporter.get(b"local address")
        yield StreamQuality(
            address.decode(errors="replace") if isinstance(address, bytes) else "",
            round_trip_s=_number(told, b"round-trip time leg") / 1_000_000,
            loss=_number(told, b"packet loss") / 100,
            jitter_s=_number(told, b"jitter") / 1000,
        )


def _rtp_streams(tag: dict[bytes, Value]) -> Iterator[dict[bytes, Value]]:
    for media in _tables(_items(tag, b"medias")):
        for stream in _tables(_items(media, b"streams")):
            if b"RTP" in _items(stream, b"flags"):
                yield stream


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
