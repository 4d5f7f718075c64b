# SPDX-License-Identifier: GPL-3.0-or-later
"""DTMF bodies of INFO are read as peers write them, and strangers' bodies do no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.info import DEFAULT_DURATION_MS, InfoDigit
from media.keys import KEYS


@pytest.mark.parametrize(
    ("body", "digit", "duration_ms"),
    [
        ("Signal=5\r\nDuration=160\r\n", "5", 160),
        ("Signal= 5\r\nDuration= 160\r\n", "5", 160),
        ("signal = #\nduration = 90", "#", 90),
        ("Signal=11\r\nDuration=250", "#", 250),
        ("Signal=10", "*", DEFAULT_DURATION_MS),
        ("Signal=a\r\n", "A", DEFAULT_DURATION_MS),
        ("Duration=100\r\nSignal=*\r\n", "*", 100),
        ("Signal:3\r\nDuration:100\r\n", "3", 100),
        ("Signal=1\rDuration=70\r", "1", 70),
        ("Signal=1\r\nDuration=0\r\n", "1", 1),
        ("Signal=1\r\nDuration=999999\r\n", "1", 10_000),
        ("Signal=1\r\nDuration=9999999\r\n", "1", DEFAULT_DURATION_MS),
        ("Signal=1\r\nDuration=-5\r\n", "1", DEFAULT_DURATION_MS),
        ("Signal=2\0", "2", DEFAULT_DURATION_MS),
    ],
)
def test_dtmf_relay_is_read(body: str, digit: str, duration_ms: int) -> None:
    assert InfoDigit.parse("dtmf-relay", body) == InfoDigit(digit, duration_ms)


@pytest.mark.parametrize(("body", "digit"), [("5", "5"), (" # \r\n", "#"), ("11", "#"), ("d", "D"), ("15", "D")])
def test_dtmf_is_read(body: str, digit: str) -> None:
    assert InfoDigit.parse("dtmf", body) == InfoDigit(digit)


@pytest.mark.parametrize(
    ("subtype", "body"),
    [
        ("dtmf", ""),
        ("dtmf", "21"),
        ("dtmf", "16"),
        ("dtmf", "5 6"),
        ("dtmf", "x"),
        ("dtmf", "!"),
        ("dtmf-relay", ""),
        ("dtmf-relay", "5"),
        ("dtmf-relay", "Signal="),
        ("dtmf-relay", "Signal=\r\nDuration=5"),
        ("dtmf-relay", "Signal==5"),
        ("dtmf-relay", "NoSignal=5"),
        ("dtmf-relay", "Signal=hf\r\nDuration=5"),
        ("dtmf-relay", "Signal=123\r\n"),
        ("dtmf-relay", "Duration=5"),
    ],
)
def test_what_names_no_key_is_none(subtype: str, body: str) -> None:
    assert InfoDigit.parse(subtype, body) is None


@given(st.sampled_from(["dtmf", "dtmf-relay"]), st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_body_raises(subtype: str, body: str) -> None:
    found = InfoDigit.parse(subtype, body)
    assert found is None or found.digit in KEYS


@given(st.sampled_from(KEYS), st.integers(1, 10_000))
def test_what_we_write_is_what_is_read(digit: str, duration_ms: int) -> None:
    info = InfoDigit(digit, duration_ms)
    assert InfoDigit.parse("dtmf-relay", info.body()) == info


def test_the_digit_does_not_show_in_what_is_printed() -> None:
    assert "7" not in repr(InfoDigit("7", 100))
