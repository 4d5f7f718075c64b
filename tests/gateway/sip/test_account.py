# SPDX-License-Identifier: GPL-3.0-or-later
"""What an account of PJSIP is told about a trunk's media; that it does so on the wire is tests/e2e/test_srtp.py's."""

import pjsua2 as pj

from gateway.sip.account import inbound_account, local_account, outbound_account
from gateway.sip.settings import DEFAULT_SUITES, MediaSettings, TrunkSettings

_MEDIA = MediaSettings(10000, 19999, "", "", "optional")
_SDES, _DTLS = pj.PJMEDIA_SRTP_KEYING_SDES, pj.PJMEDIA_SRTP_KEYING_DTLS_SRTP


def _trunk(**settings: object) -> TrunkSettings:
    host = "203.0.113.1"
    return TrunkSettings("carrier", host, host, "", "", register=False, transport="udp", **settings)  # type: ignore[arg-type]


def test_a_trunk_has_its_suites_in_their_order_and_both_ways_of_keying() -> None:
    suites = ("AES_256_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
    for account in (inbound_account, outbound_account):
        config = account(_trunk(srtp_suites=suites, srtp_keying="dtls", srtp="required"), _MEDIA)
        assert tuple(crypto.name for crypto in config.mediaConfig.srtpOpt.cryptos) == suites
        assert tuple(config.mediaConfig.srtpOpt.keyings) == (_DTLS, _SDES)
        assert config.mediaConfig.srtpUse == pj.PJMEDIA_SRTP_MANDATORY
    local = local_account("sip:parley@127.0.0.1", _MEDIA)  # its parts live as long as it does
    assert tuple(crypto.name for crypto in local.mediaConfig.srtpOpt.cryptos) == DEFAULT_SUITES
    assert tuple(local.mediaConfig.srtpOpt.keyings) == (_SDES, _DTLS)


def test_rtcp_on_rtps_port_and_ice_are_accepted_and_offered_only_when_asked_for() -> None:
    inbound, outbound = inbound_account(_trunk(), _MEDIA), outbound_account(_trunk(), _MEDIA)
    assert inbound.mediaConfig.rtcpMuxEnabled
    assert inbound.natConfig.iceEnabled
    assert not outbound.mediaConfig.rtcpMuxEnabled
    assert not outbound.natConfig.iceEnabled
    assert outbound_account(_trunk(rtcp_mux=True), _MEDIA).mediaConfig.rtcpMuxEnabled
