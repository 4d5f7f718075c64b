# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SIP endpoint needs to know; `gateway.app` fills it from the configuration."""

from dataclasses import dataclass
from typing import Literal

from gateway.sip.guard import OPEN, GuardSettings
from media.ports import JitterPolicy

Transport = Literal["udp", "tcp", "tls"]
Use = Literal["off", "optional", "required"]
Fec = bool | Literal["always"]
"""Protection of what we send against loss: as the peer's reports ask for it, never, or from the first packet on."""

DEFAULT_SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
"""Of SRTP, for whoever calls without being a trunk (RFC 4568, RFC 6188)."""


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Where RTP flows and how it is protected."""

    rtp_port_min: int
    rtp_port_max: int
    bind: str
    """Address of our RTP sockets; empty for all interfaces."""
    public_address: str
    """Address written into SDP when it differs from the bound one (NAT); empty when not."""
    srtp: Use
    fec: Fec = True
    jitter: JitterPolicy = JitterPolicy.BALANCED


@dataclass(frozen=True, slots=True)
class TrunkSettings:
    """A provider or PBX that calls go out through, and come in from."""

    name: str
    host: str
    domain: str
    """Of our address there."""
    username: str
    password: str
    register: bool
    transport: Transport
    realm: str = "*"
    register_s: int = 300
    srtp: Use | None = None
    """None: as all media."""
    srtp_keying: Literal["sdes", "dtls"] = "sdes"
    srtp_suites: tuple[str, ...] = DEFAULT_SUITES
    rtcp_mux: bool = False
    media_allow: tuple[str, ...] = ()
    """Networks; none: anywhere."""
    codecs: tuple[str, ...] = ()
    """None: as all calls."""
    session_timers: Use = "optional"
    session_expires_s: int = 1800
    min_se_s: int = 90
    prack: Use = "optional"
    delayed_offer: bool = False


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Who we are in TLS, and whom we believe. Paths of PEM files; empty: none."""

    certificate: str = ""
    """Our chain: to those who connect to us, and to servers that ask for one."""
    key: str = ""
    authorities: str = ""
    """Who signs the certificates of others."""
    verify_servers: bool = False
    """Connect only to who has a certificate for the name we asked for."""
    ask_clients: bool = False
    """Let in only who shows a certificate."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """All that the endpoint needs to know; `gateway.app` fills it from the configuration."""

    bind: str
    """IPv4 address; `0.0.0.0` for all interfaces."""
    port: int
    """UDP and TCP port; 0 lets the system choose."""
    transports: tuple[Transport, ...]
    media: MediaSettings
    codecs: tuple[str, ...]
    """Order of preference; what is not named is not offered."""
    max_calls: int
    user_agent: str
    public_address: str = ""
    trusts_registrars: bool = True
    """Contacts have the address that a registrar saw us at (RFC 3261 section 18.2.1). False: ours is known better."""
    bind6: str = ""
    """IPv6 address; `::` for all interfaces, empty for none."""
    tls_port: int = 5061
    tls: TlsSettings = TlsSettings()
    connections_per_address: int = 64
    """TCP and TLS connections that one address may have open to us."""
    trunks: tuple[TrunkSettings, ...] = ()
    guard: GuardSettings = OPEN
    """Who may call; everybody, unless told otherwise."""
    trace: bool = False
    """Tell of every SIP message (`SignallingSeen`)."""
    log_level: int = 2
    """PJSIP's: 1 errors, 2 warnings."""
