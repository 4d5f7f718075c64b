# SPDX-License-Identifier: GPL-3.0-or-later
"""What is particular to a provider or PBX: every quirk is a field here, and each TOML file of sip_profiles is one set.

A `[[trunk]]` names its profile and may set every field itself, too (`gateway.trunks.config`).
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from gateway.setting_types import HeaderText, HostAndPort, Network, Section, WebUrl

Codec = Literal["opus", "g722", "pcmu", "pcma", "l16"]
Transport = Literal["udp", "tcp", "tls"]
Use = Literal["off", "optional", "required"]
SrtpSuite = Literal[
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_192_CM_HMAC_SHA1_80",
    "AES_192_CM_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
]
"""RFC 4568, RFC 6188."""


class TrunkProfile(Section):
    """How a provider or PBX wants to be talked to. The defaults are what RFC 3261 and most peers do."""

    title: str = ""
    """For people: `Twilio Elastic SIP Trunking`."""
    source: tuple[WebUrl, ...] = ()
    """Where the facts are from."""
    last_verified: date | None = None
    """When somebody last compared them."""
    notes: str = ""
    """What else whoever connects it has to know, and to set at the provider."""

    host: HostAndPort | None = None
    """Where calls go and registrations are sent: `sip.example.com` or `203.0.113.5:5080`."""
    backup_hosts: tuple[HostAndPort, ...] = ()
    """Tried in this order when `host` fails."""
    transport: Transport = "udp"
    auth: Literal["ip", "digest", "register"] | None = None
    """How the far end knows us: by our address, by digest on each INVITE, or by registration. None: by digest when
    there is a username, by registration with `register`."""
    realm: str = "*"
    """Of the challenges that our password answers; `*`: any, from the trunk's own addresses."""
    register_s: Annotated[int, Field(ge=60, le=86400)] = 300
    """Expiry that we ask the registrar for."""
    allow: tuple[Network, ...] = ()
    """Addresses or networks its calls come from."""
    media_allow: tuple[Network, ...] = ()
    """Networks its RTP comes from and goes to, all else is dropped; none: wherever its SDP says, or symmetric RTP
    shows."""
    options_s: Annotated[int, Field(ge=0, le=3600)] = 0
    """How often to ask by OPTIONS whether it is there. 0: never."""

    srtp: Use | None = None
    """None: as `media.srtp`."""
    srtp_keying: Literal["sdes", "dtls"] = "sdes"
    """Which we offer; theirs is accepted either way. An offer of DTLS has no plain RTP to fall back to."""
    srtp_suites: Annotated[tuple[SrtpSuite, ...], Field(min_length=1)] = (
        "AES_CM_128_HMAC_SHA1_80",
        "AES_256_CM_HMAC_SHA1_80",
        "AES_CM_128_HMAC_SHA1_32",
    )
    """With keys by SDES, most wanted first; others are refused."""
    rtcp_mux: bool = False
    """We offer RTP and RTCP on one port (RFC 5761); theirs is accepted either way."""
    codecs: tuple[Codec, ...] = ()
    """None: as `media.codecs`."""
    dtmf: Literal["rfc4733", "info", "inband"] = "rfc4733"
    """How we press keys; keys that are pressed to us are taken in all three ways."""
    early_media: bool = True
    """183 with SDP is sent to it and believed from it."""

    session_timers: Use = "optional"
    """RFC 4028."""
    session_expires_s: Annotated[int, Field(ge=90, le=86400)] = 1800
    min_se_s: Annotated[int, Field(ge=90, le=86400)] = 90
    prack: Use = "optional"
    """Reliable provisional responses (RFC 3262)."""
    refer_in: bool = False
    """It may send our calls elsewhere (REFER), as far as the toll guard allows."""
    refer_out: bool = True
    """It does as our REFER says."""
    replaces: bool = False
    """It may put one of its calls in another's place (RFC 3891)."""
    redirects: bool = False
    """Its 3xx are followed, as far as the toll guard allows."""

    number_format: Literal["e164_plus", "e164", "as_is"] = "as_is"
    """Of the numbers we dial through it: `+14155550100`, `14155550100`, or as they were given."""
    number_prefix: str = ""
    """Put before the dialled number."""
    number_strip: str = ""
    """Taken from the beginning of numbers that come in, if there."""
    caller_id: Literal["from", "pai", "rpid", "p_charge_info"] = "from"
    """Which header says who calls; From has it always."""
    trust_identity: bool = False
    """Its P-Asserted-Identity is believed, before From (RFC 3325)."""
    headers: dict[str, HeaderText] = Field(default_factory=dict)
    """Sent with each INVITE."""

    max_calls: Annotated[int, Field(ge=0)] = 0
    """At the same time, both ways. 0: no limit but `sip.max_calls`."""
    max_cps: Annotated[float, Field(ge=0)] = 0.0
    """Outgoing calls begun per second. 0: no limit."""
    failover_codes: tuple[int, ...] = (408, 500, 502, 503, 504)
    """Final responses after which the next host or trunk is tried; timeouts and lost connections count as 408."""
    failover_s: Annotated[float, Field(ge=1, le=32)] = 4.0
    """How long it may say nothing at all to an INVITE."""
