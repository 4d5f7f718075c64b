# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SIP thread tells the event loop: primitive values only, copied before the callback returned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from gateway.sip.reason import Reason
from gateway.sip.signalling import SipMessage
from media.native_port import NativePort


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """An INVITE that PJSIP found acceptable; 100 Trying is out, nothing else."""

    handle: str
    """Our name of the call leg, unique in this process's life."""
    sip_call_id: str
    from_uri: str
    from_user: str
    to_uri: str
    dialled_user: str
    """User part of the request URI (RFC 3261 section 8.1.1.1): what routes match."""
    source_address: str
    """`ip:port` the request came from."""
    trunk: str = ""
    """Name of the trunk it came through; empty for none."""
    user: str = ""
    """The `[[user]]` who has logged in; empty for nobody."""
    headers: tuple[tuple[str, str], ...] = ()
    """The INVITE's headers, in their order, names as they were written (RFC 3261 section 7.3)."""
    replaced: "Replaced | None" = None
    """It is to take the place of another call (Replaces, RFC 3891)."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """Whose place an INVITE wants."""

    handle: str
    """Of the leg; empty: there is none that it could be, and `code` says so."""
    code: int = 0


@dataclass(frozen=True, slots=True)
class ReferReceived:
    """The far end of a leg wants us to call somebody in its place (REFER, RFC 3515); 202 and a first NOTIFY are out."""

    handle: str
    to: str = field(repr=False)
    """A SIP URI, or `tel:`."""
    replaces: str = field(repr=False)
    """Value of the Replaces header that our INVITE is to have (RFC 3891); empty for none."""
    referred_by: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallDialled:
    """Our INVITE is out, with this Call-ID; again when the call is tried elsewhere."""

    handle: str
    sip_call_id: str


@dataclass(frozen=True, slots=True)
class CallProgress:
    """A provisional response came from the far end (180, 183...)."""

    handle: str
    code: int
    early_media: bool = False
    """It came with a session description: what they send is to be heard before they answer."""


@dataclass(frozen=True, slots=True)
class CallConfirmed:
    """The dialog stands: 200 OK and its ACK have passed."""

    handle: str


@dataclass(frozen=True, slots=True)
class MediaActive:
    """Audio is negotiated, or negotiated anew after a re-INVITE."""

    handle: str
    codec: str
    """`PCMU`, `PCMA`, `G722`, `L16` or `OPUS`."""
    sample_rate_hz: int
    port: NativePort
    """The same object for the whole call."""
    remote_address: str
    srtp: bool


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """Who holds the call now (RFC 3264 section 8.4)."""

    handle: str
    held_by_us: bool
    held_by_peer: bool


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """A DTMF digit that came in an INFO (those in the media come with the audio: `media.ports`)."""

    handle: str
    digit: str = field(repr=False)
    duration_ms: int
    """How long the peer says it was pressed."""


@dataclass(frozen=True, slots=True)
class TransferReported:
    """How our REFER fares: its own response, then what the far end's NOTIFYs say (RFC 3515 section 2.4.5)."""

    handle: str
    code: int
    """SIP status of the call that the far end makes; 100 first, when it accepts."""
    is_final: bool
    """Nothing more will be reported."""


@dataclass(frozen=True, slots=True)
class LegSucceeded:
    """The leg `successor` is `handle` from here on, and the one before has its name."""

    handle: str
    successor: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The leg is gone; no event for this handle follows."""

    handle: str
    code: int
    """SIP status: 200 for a normal BYE, the final response for a call that never stood."""
    reason: str
    ended_by_peer: bool
    quality: "LegQuality" = field(default_factory=lambda: LegQuality())
    causes: tuple[Reason, ...] = ()
    """What the far end's Reason headers say (RFC 3326)."""
    contacts: tuple[str, ...] = ()
    """Where a 3xx says to call instead, the best first (RFC 3261 section 8.1.3.4)."""
    because: str = ""
    """What its end is called (`CallFacts.end_reason`), where the leg knows better than its status says."""


@dataclass(frozen=True, slots=True)
class LegQuality:
    """RTCP's and our own counts of a leg up to now, or at its end (RFC 3550 section 6.4)."""

    rx_packets: int = 0
    rx_strangers: int = 0
    """Packets that were not the peer's: nobody heard them."""
    rx_lost: int = 0
    rx_gaps: int = 0
    """Runs of lost packets."""
    rx_jitter_ms: float = 0.0
    tx_packets: int = 0
    tx_reports: int = 0
    """How many times the peer reported on ours."""
    tx_lost: int = 0
    """What the peer reported lost of ours."""
    tx_jitter_ms: float = 0.0
    """As the peer reported."""
    rtt_ms: float = 0.0
    """0 when no receiver report answered one of ours."""
    tx_redundant: int = 0
    """Packets that also carried what was sent before them (RFC 2198)."""
    tx_generations: int = 0
    """Of redundancy, at the end."""
    tx_reported_loss: float = 0.0
    """Share of our packets that the peer's reports called lost, smoothed, at the end."""

    @classmethod
    def of_native(cls, stats: Mapping[str, Any]) -> Self:
        """From `RtpStats` (media/native/stream_link.hpp)."""
        counts = dict(stats)
        for name in ("rx_jitter", "tx_jitter", "rtt"):
            counts[f"{name}_ms"] = counts.pop(f"{name}_us") / 1000
        return cls(**counts)


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    """A trunk's registrar answered (RFC 3261 section 10)."""

    account: str
    registered: bool
    code: int
    reason: str
    registrar_address: str = ""
    """`ip:port` that answered; empty when nobody did."""


@dataclass(frozen=True, slots=True)
class SignallingSeen:
    """SIP messages have passed the wire, in this order."""

    messages: tuple[SipMessage, ...]


SipEvent = (
    IncomingCall
    | CallDialled
    | CallProgress
    | CallConfirmed
    | MediaActive
    | HoldChanged
    | DigitReceived
    | TransferReported
    | ReferReceived
    | LegSucceeded
    | CallEnded
    | RegistrationChanged
    | SignallingSeen
)
