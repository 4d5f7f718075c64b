# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures as Standard Webhooks has them, and what is not one."""

import base64
import hashlib
import hmac

import pytest

from gateway.errors import GatewayMisuse, SignatureRefused
from gateway.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, SigningSecret, signature_headers, verify

NOW = 1_674_087_231.5
OLD = SigningSecret.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
NEW = SigningSecret(bytes(range(32)))
BODY = b'{"test": 2432232314}'


def test_the_specifications_own_example_comes_out() -> None:
    """standard-webhooks, spec and libraries: id msg_p5jXN8AQM9LWM0D4loKWxJek, time 1614265330."""
    headers = signature_headers([OLD], "msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, 1_614_265_330.0)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_signature_is_hmac_sha256_over_id_time_and_body() -> None:
    expected = hmac.new(bytes(range(32)), b"evt_1.1674087231." + BODY, hashlib.sha256).digest()
    headers = signature_headers([NEW], "evt_1", BODY, NOW)
    assert headers[SIGNATURE_HEADER] == f"v1,{base64.b64encode(expected).decode()}"


def test_while_a_secret_is_changed_a_receiver_with_either_accepts() -> None:
    headers = signature_headers([NEW, OLD], "evt_1", BODY, NOW)
    assert headers[SIGNATURE_HEADER].count("v1,") == 2
    for known in ([OLD], [NEW], [SigningSecret.new(), OLD]):
        assert verify(known, headers, BODY, NOW) == "evt_1"
    with pytest.raises(SignatureRefused, match="no signature is that of a known secret"):
        verify([SigningSecret.new()], headers, BODY, NOW)


def test_header_names_have_no_case() -> None:
    headers = {name.title(): value for name, value in signature_headers([OLD], "evt_1", BODY, NOW).items()}
    assert verify([OLD], headers, BODY, NOW) == "evt_1"


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_nothing_may_be_changed_or_left_out(changed: str) -> None:
    headers = signature_headers([OLD], "evt_1", BODY, NOW)
    other = {"webhook-id": "evt_2", "webhook-timestamp": str(int(NOW) + 1), "webhook-signature": "v1,AAAA"}[changed]
    with pytest.raises(SignatureRefused, match="known secret"):
        verify([OLD], {**headers, changed: other}, BODY, NOW)
    del headers[changed]
    with pytest.raises(SignatureRefused, match=f"the header {changed} is missing"):
        verify([OLD], headers, BODY, NOW)


def test_the_body_may_not_be_changed() -> None:
    headers = signature_headers([OLD], "evt_1", BODY, NOW)
    with pytest.raises(SignatureRefused):
        verify([OLD], headers, BODY + b" ", NOW)


def test_an_old_message_and_one_from_the_future_are_refused() -> None:
    headers = signature_headers([OLD], "evt_1", BODY, NOW)
    for now in (NOW + 299, NOW - 299):
        assert verify([OLD], headers, BODY, now) == "evt_1"
    for now in (NOW + 301, NOW - 301):
        with pytest.raises(SignatureRefused, match="too old, or in the future"):
            verify([OLD], headers, BODY, now)


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e9", "1674087231.5", "٣", "9" * 5000])
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    headers = {**signature_headers([OLD], "evt_1", BODY, NOW), TIMESTAMP_HEADER: timestamp}
    with pytest.raises(SignatureRefused, match="no number of seconds"):
        verify([OLD], headers, BODY, NOW)


@pytest.mark.parametrize(
    "signatures", ["", "v1", "v1,", "v1,ß", "v1,====", "v2,AAAA", "v1a," + "A" * 88, "v1,A " * 1000]
)
def test_a_signature_that_is_none_is_refused(signatures: str) -> None:
    headers = {**signature_headers([OLD], "evt_1", BODY, NOW), SIGNATURE_HEADER: signatures}
    with pytest.raises(SignatureRefused, match="known secret"):
        verify([OLD], headers, BODY, NOW)


def test_an_asymmetric_signature_beside_ours_does_no_harm() -> None:
    headers = signature_headers([OLD], "evt_1", BODY, NOW)
    headers[SIGNATURE_HEADER] = f"v1a,{'A' * 88} {headers[SIGNATURE_HEADER]}"
    assert verify([OLD], headers, BODY, NOW) == "evt_1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_short",
        "whsec_" + "A" * 400,
        "whsec_öööö",
        "whsec_AA AA",
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_ and base64") as caught:
        SigningSecret.parse(text)
    assert len(text) < 10 or text not in str(caught.value)


def test_a_new_secret_is_random_can_be_written_down_and_hides_in_logs() -> None:
    one, other = SigningSecret.new(), SigningSecret.new()
    assert one != other
    assert SigningSecret.parse(str(one)) == one
    assert str(one) not in repr(one)
    assert one.key.hex() not in repr(one)


@pytest.mark.parametrize("message_id", ["", "a.b", "a\nb", "ä"])
def test_an_id_that_would_make_the_signature_ambiguous_is_our_own_fault(message_id: str) -> None:
    with pytest.raises(GatewayMisuse):
        signature_headers([OLD], message_id, BODY, NOW)


def test_without_a_secret_nothing_is_signed() -> None:
    assert signature_headers([], "evt_1", BODY, NOW) == {}
