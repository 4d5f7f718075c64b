# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of each protocol before there is a connection."""

import pytest

from gateway.errors import BadStreamOrder
from gateway.streams.messages import ProtocolName, StreamFormat
from gateway.streams.order import StreamOrder
from gateway.streams.protocols import PROTOCOLS, check_options, chosen_format, chosen_tracks


@pytest.mark.parametrize(
    ("protocol", "name", "value"),
    [
        ("twilio", "account_sid", "AC" + "0a" * 16),
        ("teler", "chunk_ms", "20"),
        ("teler", "chunk_ms", "400"),
        ("teler", "chunk_ms", "2000"),
        ("conversationrelay", "agent", "reception-2"),
        ("conversationrelay", "partial_prompts", "true"),
    ],
)
def test_each_protocol_has_options_of_its_own(protocol: ProtocolName, name: str, value: str) -> None:
    check_options(protocol, {name: value})


@pytest.mark.parametrize(
    ("protocol", "name", "value"),
    [
        ("parley", "chunk_ms", "20"),
        ("twilio", "account_sid", "AC1"),
        ("teler", "chunk_ms", "0"),
        ("teler", "chunk_ms", "30"),
        ("teler", "chunk_ms", "2020"),
        ("teler", "chunk_ms", "3000"),
        ("conversationrelay", "partial_prompts", "yes"),
        ("audiosocket", "agent", "reception"),
    ],
)
def test_other_options_and_values_are_refused_by_name(protocol: ProtocolName, name: str, value: str) -> None:
    with pytest.raises(BadStreamOrder, match=name):
        check_options(protocol, {name: value})


def test_every_chunk_size_of_teler_is_one() -> None:
    for chunk_ms in range(20, 2001, 20):
        check_options("teler", {"chunk_ms": str(chunk_ms)})


def test_an_adapter_heeds_its_options() -> None:
    order = StreamOrder("wss://a.example", "teler", StreamFormat("l16", 8000), options={"chunk_ms": "40"})
    protocol = PROTOCOLS["teler"].make(order)
    assert protocol.audio(bytes(320), 0, "inbound") is not None  # nothing is known of the format before the start


def test_both_tracks_are_for_protocols_that_tell_them_apart() -> None:
    assert chosen_tracks("twilio", "both") == ("inbound", "outbound")
    for protocol in ("parley", "teler", "audiosocket", "conversationrelay"):
        with pytest.raises(BadStreamOrder, match="one stream for each"):
            chosen_tracks(protocol, "both")
        assert chosen_tracks(protocol, "outbound") == ("outbound",)


def test_a_protocol_names_what_it_carries() -> None:
    assert chosen_format("twilio", None, None) == StreamFormat("pcmu", 8000)
    assert chosen_format("teler", "l16", 16000) == StreamFormat("l16", 16000)
    for protocol, encoding in (("twilio", "l16"), ("teler", "pcmu"), ("audiosocket", "opus")):
        with pytest.raises(BadStreamOrder, match=protocol):
            chosen_format(protocol, encoding, None)  # type: ignore[arg-type]
