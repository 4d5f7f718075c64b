# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire protocols there are. Whoever adds one adds its line to `PROTOCOLS`."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import BadStreamOrder
from gateway.streams.audiosocket import AudioSocketProtocol
from gateway.streams.messages import USUAL_FORMAT, Encoding, ProtocolName, StreamFormat, WireProtocol
from gateway.streams.order import StreamOrder, stream_format
from gateway.streams.parley import ParleyProtocol
from gateway.streams.teler import CHUNK_MS, TelerProtocol
from gateway.streams.twilio import TWILIO_FORMAT, TwilioProtocol


@dataclass(frozen=True, slots=True)
class ProtocolKind:
    """What is known of a protocol before there is a connection."""

    make: Callable[[StreamOrder], WireProtocol]
    """For one connection."""
    formats: tuple[StreamFormat, ...] = ()
    """The only ones it can carry, its usual one first; none: every format."""
    schemes: tuple[str, ...] = ("wss", "ws")
    answers: bool = False
    """Whether its backends can answer or reject a call that rings."""


def _l16(*rates_hz: int) -> tuple[StreamFormat, ...]:
    return tuple(StreamFormat("l16", rate_hz) for rate_hz in rates_hz)


PROTOCOLS: dict[ProtocolName, ProtocolKind] = {
    "parley": ProtocolKind(lambda order: ParleyProtocol(), answers=True),
    "twilio": ProtocolKind(lambda order: TwilioProtocol(), formats=(TWILIO_FORMAT,)),
    "teler": ProtocolKind(
        lambda order: TelerProtocol(int(order.options.get("chunk_ms", CHUNK_MS))), formats=_l16(8000, 16000)
    ),
    "audiosocket": ProtocolKind(
        lambda order: AudioSocketProtocol(), formats=_l16(8000, 16000, 24000, 48000), schemes=("audiosocket", "tcp")
    ),
}


def protocol_kind(name: ProtocolName) -> ProtocolKind:
    """Raises `BadStreamOrder` for one that this version lacks."""
    try:
        return PROTOCOLS[name]
    except KeyError:
        raise BadStreamOrder(f"protocol {name} is none of {', '.join(PROTOCOLS)}") from None


def chosen_format(protocol: ProtocolName, encoding: Encoding | None, sample_rate_hz: int | None) -> StreamFormat:
    """The format of a stream for which this codec and rate are asked, or none. Raises `BadStreamOrder`."""
    formats = protocol_kind(protocol).formats
    usual = formats[0] if formats else USUAL_FORMAT
    if encoding is None and sample_rate_hz is None:
        return usual
    chosen = stream_format(encoding or usual.encoding, sample_rate_hz)
    if formats and chosen not in formats:
        known = ", ".join(f"{one.encoding} at {one.sample_rate_hz}" for one in formats)
        raise BadStreamOrder(f"protocol {protocol} carries {known} Hz only")
    return chosen
