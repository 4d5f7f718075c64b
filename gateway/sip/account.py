# SPDX-License-Identifier: GPL-3.0-or-later
"""PJSIP accounts: one for callers who are nobody's trunk, and two per trunk. Endpoint thread only.

Calls out and registrations are the business of a trunk's outbound account, which has our credentials. Calls in are that
of its inbound account, which has none: whoever sends us an INVITE cannot challenge us for them (CVE-2021-41158 is that
in another product).
"""

import contextlib
from collections.abc import Callable

import pjsua2 as pj

from gateway.sip.codecs import rtpmaps
from gateway.sip.events import RegistrationChanged, SipEvent
from gateway.sip.settings import DEFAULT_SUITES, MediaSettings, TrunkSettings, Use

_RED_GENERATIONS = 2
_SRTP_USE: dict[Use, int] = {
    "off": pj.PJMEDIA_SRTP_DISABLED,
    "optional": pj.PJMEDIA_SRTP_OPTIONAL,
    "required": pj.PJMEDIA_SRTP_MANDATORY,
}
_SRTP_KEYING = {"sdes": pj.PJMEDIA_SRTP_KEYING_SDES, "dtls": pj.PJMEDIA_SRTP_KEYING_DTLS_SRTP}
_TIMER_USE: dict[Use, int] = {
    "off": pj.PJSUA_SIP_TIMER_INACTIVE,
    "optional": pj.PJSUA_SIP_TIMER_OPTIONAL,
    "required": pj.PJSUA_SIP_TIMER_REQUIRED,
}
_PRACK_USE: dict[Use, int] = {
    "off": pj.PJSUA_100REL_NOT_USED,
    "optional": pj.PJSUA_100REL_OPTIONAL,
    "required": pj.PJSUA_100REL_MANDATORY,
}


class SipAccount(pj.Account):  # type: ignore[misc]
    """Hands incoming INVITEs and registrar answers on."""

    def __init__(
        self,
        name: str,
        codecs: tuple[str, ...],
        on_invite: Callable[["SipAccount", pj.OnIncomingCallParam], None],
        post: Callable[[SipEvent], None],
    ) -> None:
        super().__init__()
        self.name = name
        self.rtpmaps = rtpmaps(codecs)
        """What its calls offer and accept, most wanted first."""
        self._on_invite = on_invite
        self._post = post
        self._is_moving = False

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        self._on_invite(self, prm)

    def onIncomingSubscribe(self, prm: pj.OnIncomingSubscribeParam) -> None:
        """Nobody's presence is told to strangers, nor NOTIFY sent where their Contact says."""
        prm.code = pj.PJSIP_SC_FORBIDDEN

    def move(self) -> None:
        """Register another Contact, now that our address is another one, in place of that which stands. Raises
        `pj.Error` while a registration is under way."""
        # PJSIP makes a Contact anew only when there is no registration.
        self._is_moving = self.getInfo().regIsActive
        try:
            self.setRegistration(not self._is_moving)
        except pj.Error:
            self._is_moving = False
            raise

    def onRegState(self, prm: pj.OnRegStateParam) -> None:
        registered = self.getInfo().regIsActive
        if self._is_moving:
            self._is_moving = False
            with contextlib.suppress(pj.Error):  # then PJSIP has begun another one
                self.setRegistration(True)
            return
        self._post(RegistrationChanged(self.name, registered, prm.code, prm.reason, prm.rdata.srcAddress))


def local_account(id_uri: str, media: MediaSettings) -> pj.AccountConfig:
    """The account of everybody who calls us without being a registrar we know."""
    config = pj.AccountConfig()
    config.idUri = id_uri
    config.priority = 0
    _apply_media(config, media)
    _apply_srtp(config, DEFAULT_SUITES, "sdes")
    _accept_what_is_offered(config)
    return config


def inbound_account(trunk: TrunkSettings, media: MediaSettings) -> pj.AccountConfig:
    """Calls that come from a trunk: its ways, and none of our credentials."""
    config = pj.AccountConfig()
    config.idUri = _identity(trunk)
    config.priority = 0
    _apply_media(config, media)
    _apply_trunk(config, trunk)
    _accept_what_is_offered(config)
    return config


def outbound_account(trunk: TrunkSettings, media: MediaSettings, *, trusts_registrar: bool = True) -> pj.AccountConfig:
    """Our identity at a trunk: digest credentials, registration if asked."""
    config = pj.AccountConfig()
    config.idUri = _identity(trunk)
    config.priority = 0
    hop = f"sip:{trunk.host};transport={trunk.transport}"
    if trunk.register:
        config.regConfig.registrarUri = hop
        config.regConfig.timeoutSec = trunk.register_s
        # Lost, it is asked for again within 4 s, then every 30 s or so: until then its calls do not come.
        config.regConfig.firstRetryIntervalSec = 2
        config.regConfig.retryIntervalSec = 30
        config.regConfig.randomRetryIntervalSec = 2
    if trunk.username:
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", trunk.realm, trunk.username, 0, trunk.password))
    _apply_media(config, media)
    _apply_trunk(config, trunk)
    if not trusts_registrar:
        config.natConfig.contactRewriteUse = config.natConfig.viaRewriteUse = 0
    return config


def _identity(trunk: TrunkSettings) -> str:
    return f"sip:{trunk.username or 'parley'}@{trunk.domain}"


def _apply_trunk(config: pj.AccountConfig, trunk: TrunkSettings) -> None:
    if trunk.srtp is not None:
        config.mediaConfig.srtpUse = _SRTP_USE[trunk.srtp]
    _apply_srtp(config, trunk.srtp_suites, trunk.srtp_keying)
    config.mediaConfig.rtcpMuxEnabled = trunk.rtcp_mux
    config.callConfig.timerUse = _TIMER_USE[trunk.session_timers]
    config.callConfig.timerMinSESec = trunk.min_se_s
    config.callConfig.timerSessExpiresSec = trunk.session_expires_s
    config.callConfig.prackUse = _PRACK_USE[trunk.prack]


def _apply_srtp(config: pj.AccountConfig, suites: tuple[str, ...], keying: str) -> None:
    """Both ways of keying are accepted, and the first of them is offered: PJSIP knows no offer of both."""
    for name in suites:
        crypto = pj.SrtpCrypto()
        crypto.name = name
        config.mediaConfig.srtpOpt.cryptos.append(crypto)
    first = _SRTP_KEYING[keying]
    others = (method for method in _SRTP_KEYING.values() if method != first)
    config.mediaConfig.srtpOpt.keyings = pj.IntVector([first, *others])


def _accept_what_is_offered(config: pj.AccountConfig) -> None:
    """RTCP on RTP's port (RFC 5761), and ICE (RFC 8445), which our patch keeps to those who offer it."""
    config.mediaConfig.rtcpMuxEnabled = True
    config.natConfig.iceEnabled = True


def _apply_media(config: pj.AccountConfig, media: MediaSettings) -> None:
    transport = config.mediaConfig.transportConfig
    transport.port = media.rtp_port_min
    transport.portRange = media.rtp_port_max - media.rtp_port_min
    transport.boundAddress = media.bind
    transport.publicAddress = media.public_address
    config.mediaConfig.srtpUse = _SRTP_USE[media.srtp]
    # PJSIP has the setting for real-time text, which we do not have; our patch lets it govern audio.
    config.textConfig.redundancyLevel = _RED_GENERATIONS if media.fec else 0
    # SDES keys are only as secret as the signalling; whether that is TLS is the operator's choice of transports.
    config.mediaConfig.srtpSecureSignaling = 0
    config.natConfig.sdpNatRewriteUse = 0
    # Our listener's port, not that of one connection: PJSUA would ask DNS for the host first, and wait.
    config.natConfig.contactUseSrcPort = 0
    # Keep the codec of the first answer: no second re-INVITE that some trunks refuse.
    config.mediaConfig.lockCodecEnabled = False
    # RFC 4028: accept and refresh session timers, never demand them.
    config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
    config.callConfig.prackUse = pj.PJSUA_100REL_NOT_USED
