# SPDX-License-Identifier: GPL-3.0-or-later
"""Offers are read as RFC 8829 has them, and what is none is refused with its place."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.webrtc.offer import BadOffer, parse_offer
from tests.gateway.webrtc.offers import CHROMIUM, FINGERPRINT, FIREFOX


def test_chromiums_offer_has_redundancy_first_and_one_candidate_that_we_can_send_to() -> None:
    offer = parse_offer(CHROMIUM.replace("\n", "\r\n"))
    assert (offer.opus, offer.red, offer.event, offer.fec, offer.red_first) == (111, 63, 110, True, True)
    assert (offer.ice.ufrag, offer.ice.password) == ("7Eda", "vDfWG/1lL5PmXzgzY5SBg1Mu")
    assert [one.value for one in offer.fingerprints] == [FINGERPRINT]
    assert [(one.host, one.port) for one in offer.candidates] == [("192.0.2.7", 46243)]
    assert not offer.is_active
    assert not offer.is_complete


def test_firefoxs_offer_has_its_fingerprint_in_the_session_and_video_before_audio() -> None:
    offer = parse_offer(FIREFOX)
    assert [line.kind for line in offer.lines] == ["video", "audio"]
    assert (offer.audio, offer.lines[1].mid) == (1, "1")
    assert (offer.opus, offer.red, offer.event) == (109, None, None)
    assert offer.ice.ufrag == "dddddddd"


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("v=0", "hello", "v=0"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", "no audio line"),
        ("a=rtcp-mux\n", "", "rtcp-mux"),
        ("opus/48000/2", "speex/8000", "Opus"),
        ("a=ice-ufrag:7Eda", "a=ice-ufrag:7 a", "ice-ufrag"),
        ("a=ice-pwd:vDfWG/1lL5PmXzgzY5SBg1Mu", "a=ice-pwd:short", "ice-pwd"),
        (FINGERPRINT, "00:11", "fingerprint"),
        ("a=setup:actpass", "a=setup:holdconn", "a=setup"),
        ("1 udp 2122260223 192.0.2.7", "1 udp x 192.0.2.7", "a=candidate"),
        ("m=audio 9", "m=audio nine", "m= line"),
    ],
)
def test_what_is_wrong_is_named(before: str, after: str, place: str) -> None:
    assert before in CHROMIUM
    with pytest.raises(BadOffer, match=place):
        parse_offer(CHROMIUM.replace(before, after))


@pytest.mark.parametrize(
    "where",
    [
        "a.example 9",
        "192.0.2.1 0",
        "192.0.2.1 99999",
        "192.0.2.1 -4",
        "224.0.0.1 9",
        "255.255.255.255 9",
        ":: 9",
        "x 9",
    ],
)
def test_candidates_that_are_no_single_machine_are_left_out(where: str) -> None:
    assert "192.0.2.7 46243" in CHROMIUM
    assert parse_offer(CHROMIUM.replace("192.0.2.7 46243", where)).candidates == ()


@given(st.data())
def test_a_mangled_offer_is_read_or_refused_and_raises_nothing_else(data: st.DataObject) -> None:
    lines = CHROMIUM.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(("cut", "drop", "double", "noise"))):
            case "cut":
                lines[index] = lines[index][: data.draw(st.integers(0, len(lines[index])))]
            case "drop" if len(lines) > 1:
                del lines[index]
            case "double":
                lines.insert(index, lines[index])
            case _:
                lines[index] += data.draw(st.text(max_size=20))
    with contextlib.suppress(BadOffer):
        parse_offer("\n".join(lines))
