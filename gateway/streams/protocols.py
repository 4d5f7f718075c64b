# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire protocols there are. Whoever adds one adds its line to `PROTOCOLS`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.errors import BadStreamOrder
from gateway.streams.audiosocket import AudioSocketProtocol
from gateway.streams.messages import USUAL_FORMAT, Encoding, ProtocolName, StreamFormat, Track, WireProtocol
from gateway.streams.order import StreamOrder, stream_format
from gateway.streams.parley import ParleyProtocol
from gateway.streams.teler import CHUNK_MS, TelerProtocol
from gateway.streams.twilio import ACCOUNT_SID, TWILIO_FORMAT, TwilioProtocol


@dataclass(frozen=True, slots=True)
class ProtocolKind:
    """What is known of a protocol before there is a connection."""

    make: Callable[[StreamOrder], WireProtocol]
    """For one connection."""
    formats: tuple[StreamFormat, ...] = ()
    """The only ones it can carry, its usual one first; none: every format."""
    schemes: tuple[str, ...] = ("wss", "ws")
    raw_audio: bool = False
    """Binary messages are payloads of the stream's format and nothing else, both ways."""
    names_tracks: bool = False
    """Its audio messages say whose they are: a stream may have both tracks."""
    answers: bool = False
    """Whether its backends can answer or reject a call that rings."""
    is_text: bool = False
    """The backend converses in text: there is no audio on the wire, and `make` is not for it."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What an order may say besides (`StreamOrder.options`), and the regular expression of each value."""


def _no_wire(order: StreamOrder) -> WireProtocol:
    raise AssertionError(f"{order.protocol} has no audio on its wire")


def _l16(*rates_hz: int) -> tuple[StreamFormat, ...]:
    return tuple(StreamFormat("l16", rate_hz) for rate_hz in rates_hz)


PROTOCOLS: dict[ProtocolName, ProtocolKind] = {
    "parley": ProtocolKind(lambda order: ParleyProtocol(), raw_audio=True, answers=True),
    "twilio": ProtocolKind(
        lambda order: TwilioProtocol(order.options.get("account_sid", ACCOUNT_SID)),
        formats=(TWILIO_FORMAT,),
        names_tracks=True,
        options={"account_sid": r"AC[0-9a-f]{32}"},
    ),
    "teler": ProtocolKind(
        lambda order: TelerProtocol(int(order.options.get("chunk_ms", CHUNK_MS))),
        formats=_l16(8000, 16000),
        options={"chunk_ms": r"[2468]0|[1-9][02468]0|1\d[02468]0|2000"},
    ),
    "conversationrelay": ProtocolKind(
        _no_wire,
        formats=_l16(8000),
        is_text=True,
        options={
            "account_sid": r"AC[0-9a-f]{32}",
            "agent": r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
            "partial_prompts": "true|false",
        },
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


def check_options(protocol: ProtocolName, options: Mapping[str, str]) -> None:
    """Raises `BadStreamOrder` for an option that the protocol does not have, or a value that it cannot be."""
    known = protocol_kind(protocol).options
    for name, value in options.items():
        if name not in known:
            raise BadStreamOrder(f"protocol {protocol} has no option {name}: {', '.join(known) or 'none'}")
        if re.fullmatch(known[name], value) is None:
            raise BadStreamOrder(f"protocol {protocol}, option {name}: this cannot be its value")


def chosen_tracks(protocol: ProtocolName, track: Literal["inbound", "outbound", "both"]) -> tuple[Track, ...]:
    """Whose audio a stream carries for which this is asked. Raises `BadStreamOrder`."""
    if track != "both":
        return (track,)
    if not protocol_kind(protocol).names_tracks:
        raise BadStreamOrder(f"protocol {protocol} cannot tell two tracks apart: start one stream for each")
    return ("inbound", "outbound")


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
