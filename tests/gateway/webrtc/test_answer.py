# SPDX-License-Identifier: GPL-3.0-or-later
"""What we answer: read by aiortc's own parser, line by line for what browsers insist on."""

import pytest
from aioice import Candidate
from aiortc.sdp import SessionDescription

from gateway.webrtc.answer import LocalParameters, chosen_format, write_answer
from gateway.webrtc.fragment import Fragment, write_fragment
from gateway.webrtc.offer import BadOffer, IceCredentials, parse_offer
from tests.gateway.webrtc.offers import CHROMIUM, FINGERPRINT, FIREFOX

ICE = IceCredentials("ours", "o" * 22)
OURS = LocalParameters(ICE, [Candidate("f", 1, "udp", 2130706431, "198.51.100.1", 40000, "host")], FINGERPRINT)


def answer_to(text: str, *, fec: bool = True) -> str:
    offer = parse_offer(text)
    return write_answer(offer, chosen_format(offer, fec=fec), OURS, fec=fec)


def test_redundancy_stands_first_since_the_first_is_what_is_sent() -> None:
    read = SessionDescription.parse(answer_to(CHROMIUM))
    (audio,) = read.media
    assert audio.fmt == [63, 111, 110]
    assert (audio.rtp.muxId, audio.rtcp_mux, audio.direction) == ("0", True, "sendrecv")
    assert audio.ice is not None
    assert (audio.ice.usernameFragment, audio.ice.password) == (ICE.ufrag, ICE.password)
    assert [(one.ip, one.port) for one in audio.ice_candidates] == [("198.51.100.1", 40000)]
    assert audio.ice_candidates_complete
    assert audio.dtls is not None
    assert audio.dtls.role == "client"
    assert audio.dtls.fingerprints[0].value == FINGERPRINT


def test_without_protection_neither_redundancy_nor_fec_is_asked_for() -> None:
    text = answer_to(CHROMIUM, fec=False)
    assert "red/48000" not in text
    assert "useinbandfec=0" in text


def test_video_is_refused_in_its_place_and_left_out_of_the_bundle() -> None:
    text = answer_to(FIREFOX)
    assert "m=video 0 UDP/TLS/RTP/SAVPF 120\r\n" in text
    assert text.index("m=video") < text.index("m=audio")
    assert "a=group:BUNDLE 1\r\n" in text


def test_who_begins_the_handshake_himself_is_waited_for() -> None:
    assert "a=setup:passive" in answer_to(CHROMIUM.replace("actpass", "active"))


def test_a_fragment_says_the_same_when_it_is_read_again() -> None:
    fragment = Fragment.parse(write_fragment("0", ICE, OURS.candidates))
    assert fragment.ice == ICE
    assert [one.port for one in fragment.candidates] == [40000]
    assert fragment.is_complete


@pytest.mark.parametrize(
    "text", ["", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host", "a=ice-ufrag:abcd", "a=ice-ufrag:abcd\r\na=ice-pwd:x"]
)
def test_a_fragment_without_credentials_is_refused(text: str) -> None:
    with pytest.raises(BadOffer):
        Fragment.parse(text)
