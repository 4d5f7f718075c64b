# SPDX-License-Identifier: GPL-3.0-or-later
"""ICE (RFC 8445) for those who offer it, and for nobody else."""

import re
import socket
import time
from pathlib import Path

import pytest

from tests.e2e.baresip import Baresip, share_of_tone
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import RawCaller

_ECHO = '[[route]]\nmatch = "echo"\naction = "echo"\n'
_OFFER = (
    "RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
    "a=candidate:1 1 UDP 2130706431 127.0.0.1 9 typ host"
)


def _has_an_address() -> bool:
    """Other than loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return False
        return not str(probe.getsockname()[0]).startswith("127.")


def test_a_telephone_that_offers_ice_is_heard_by_its_candidates(tmp_path: Path) -> None:
    if not _has_an_address():
        pytest.skip("this machine has no address but loopback, which ICE does not use")
    gateway = GatewayProcess(tmp_path, _ECHO, record=False)
    gateway.config.write_text(
        gateway.config.read_text().replace('bind = "127.0.0.1"\nport = 0\nmax', 'bind = "0.0.0.0"\nport = 0\nmax')
    )
    with gateway:
        with RawCaller(gateway.sip_port) as plain:  # who does not offer it gets no word of it
            answer = plain.invite("echo")
            assert answer.code == 200
            assert not re.search("a=ice|a=candidate", answer.text)
            plain.bye("echo")
        with Baresip(tmp_path / "baresip", ";medianat=ice;audio_codecs=PCMU/8000/1", modules=("ice",)) as phone:
            phone.dial(gateway.uri("echo"))
            time.sleep(1.8)
            phone.command("hangup")
            phone.event("CALL_CLOSED")
            assert share_of_tone(phone.heard()) > 0.5
        session = gateway.newest_session()
        assert session["quality"]["rx_packets"] > 60


def test_an_offer_of_ice_where_only_loopback_is_bound_is_answered_without(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as raw:
        answer = raw.invite("echo", _OFFER)
        assert answer.code == 200
        assert not re.search("a=ice|a=candidate", answer.text)
        assert raw.bye("echo").code == 200
