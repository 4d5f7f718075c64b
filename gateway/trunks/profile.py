# SPDX-License-Identifier: GPL-3.0-or-later
"""What is particular to a provider or PBX: every quirk is a field here, and each TOML file of sip_profiles is one set.

A `[[trunk]]` names its profile and may set every field itself, too (`gateway.trunks.config`).
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from gateway.setting_types import HeaderText, HostAndPort, Network, Port, Section, WebUrl
from gateway.trunks.numbers import NumberPlan, ReceivedNumber, SentNumber

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
Digits = Annotated[str, Field(pattern=r"^[0-9]{0,5}$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]


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
    host_form: str = ""
    """What it looks like where each customer has one of their own: `NAME.pstn.twilio.com`."""
    backup_hosts: tuple[HostAndPort, ...] = ()
    """Tried in this order when `host` fails."""
    outbound_proxy: HostAndPort | None = None
    """Where its calls go first, over UDP: the edge's address inside (docs/edge.md). It finds `host`, and encrypts as
    `srtp` says. None: straight to the host."""
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
    media_ports: tuple[Port, Port] | None = None
    """First and last UDP port of its RTP: for firewalls, nothing here checks it."""
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
    delayed_offer: bool = False
    """Our INVITE has no session description: the far end makes the offer, as some PBXs want it."""

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

    number_format: SentNumber = "as_is"
    """Of numbers that we send, dialled and as caller: `e164_plus` +441632960123, `e164` 441632960123, `national`
    01632960123, or as they were given."""
    number_prefix: str = ""
    """Put before the dialled number, when it is written as it has to be: an exchange's 9, a carrier's tech prefix."""
    numbers_in: ReceivedNumber = "as_is"
    """What numbers that come in are when they begin with no + : `e164` (441632960123), `national` (01632960123), to be
    brought to +441632960123 for routes, agents and records; or what they are."""
    number_strip: str = ""
    """Taken from the beginning of dialled numbers that come in, if there."""
    country_code: Digits = ""
    """Whose national numbers those are: `44`. Empty: nobody's, they stay as they are."""
    national_prefix: Digits = "0"
    """What national numbers begin with; empty where they have none (North America, Spain)."""
    international_prefix: Digits = "00"
    """What numbers of other countries are dialled with: `00`, in North America `011`."""

    from_domain: HostAndPort | None = None
    """Of our address in From. None: `host`."""
    caller_id: Literal["from", "pai", "ppi", "rpid", "p_charge_info"] = "from"
    """Which header says who calls, beside From: P-Asserted-Identity (RFC 3325), P-Preferred-Identity (the same),
    Remote-Party-ID (Cisco's, older) or P-Charge-Info (RFC 8496, with `number`)."""
    privacy: Literal["anonymous", "id"] = "anonymous"
    """How a number is withheld: From says anonymous and Privacy id (RFC 3323, 3325), or From has the number all the
    same and Privacy alone has the far end hide it."""
    diversion: bool = False
    """Calls that we pass on say which number they came for (Diversion, RFC 5806): where a caller's number that is not
    ours is let through for that only."""
    trust_identity: bool = False
    """Its P-Asserted-Identity is believed, before From (RFC 3325)."""
    headers: dict[HeaderName, HeaderText] = Field(default_factory=dict)
    """Sent with each INVITE."""

    max_calls: Annotated[int, Field(ge=0)] = 0
    """At the same time, both ways. 0: no limit but `sip.max_calls`."""
    max_cps: Annotated[float, Field(ge=0)] = 0.0
    """Outgoing calls begun per second. 0: no limit."""
    failover_codes: tuple[int, ...] = (408, 500, 502, 503, 504)
    """Final responses after which the next host or trunk is tried; timeouts and lost connections count as 408."""
    failover_s: Annotated[float, Field(ge=1, le=32)] = 4.0
    """How long it may say nothing at all to an INVITE."""

    @property
    def plan(self) -> NumberPlan:
        """How numbers are written here."""
        return NumberPlan(
            sent=self.number_format,
            received=self.numbers_in,
            prefix=self.number_prefix,
            strip=self.number_strip,
            country_code=self.country_code,
            national_prefix=self.national_prefix,
            international_prefix=self.international_prefix,
        )
