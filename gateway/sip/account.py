# SPDX-License-Identifier: GPL-3.0-or-later
"""PJSIP accounts: one that takes every call, and one per trunk with our credentials there. Endpoint thread only."""

from collections.abc import Callable

import pjsua2 as pj

from gateway.sip.events import RegistrationChanged, SipEvent
from gateway.sip.settings import MediaSettings, Srtp, TrunkSettings

_RED_GENERATIONS = 2
_SRTP_USE: dict[Srtp, int] = {
    "off": pj.PJMEDIA_SRTP_DISABLED,
    "optional": pj.PJMEDIA_SRTP_OPTIONAL,
    "required": pj.PJMEDIA_SRTP_MANDATORY,
}


class SipAccount(pj.Account):  # type: ignore[misc]
    """Hands incoming INVITEs and registrar answers on."""

    def __init__(
        self,
        name: str,
        on_invite: Callable[["SipAccount", pj.OnIncomingCallParam], None],
        post: Callable[[SipEvent], None],
    ) -> None:
        super().__init__()
        self.name = name
        self._on_invite = on_invite
        self._post = post

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        self._on_invite(self, prm)

    def onIncomingSubscribe(self, prm: pj.OnIncomingSubscribeParam) -> None:
        """Nobody's presence is told to strangers, nor NOTIFY sent where their Contact says."""
        prm.code = pj.PJSIP_SC_FORBIDDEN

    def onRegState(self, prm: pj.OnRegStateParam) -> None:
        registered = self.getInfo().regIsActive
        self._post(RegistrationChanged(self.name, registered, prm.code, prm.reason))


def local_account(id_uri: str, media: MediaSettings) -> pj.AccountConfig:
    """The account of everybody who calls us without being a registrar we know."""
    config = pj.AccountConfig()
    config.idUri = id_uri
    config.priority = 0
    _apply_media(config, media)
    return config


def trunk_account(trunk: TrunkSettings, media: MediaSettings) -> pj.AccountConfig:
    """Our identity at a trunk: digest credentials for whatever realm its challenge names, registration if asked."""
    config = pj.AccountConfig()
    user = trunk.username or "parley"
    config.idUri = f"sip:{user}@{trunk.host}"
    config.priority = 1
    hop = f"sip:{trunk.host};transport={trunk.transport}"
    if trunk.register:
        config.regConfig.registrarUri = hop
        config.regConfig.timeoutSec = 300
        config.regConfig.retryIntervalSec = 30
    if trunk.username:
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", trunk.username, 0, trunk.password))
    config.sipConfig.proxies.append(f"{hop};lr")
    _apply_media(config, media)
    return config


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
    # Keep the codec of the first answer: no second re-INVITE that some trunks refuse.
    config.mediaConfig.lockCodecEnabled = False
    # RFC 4028: accept and refresh session timers, never demand them.
    config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
    config.callConfig.prackUse = pj.PJSUA_100REL_NOT_USED
