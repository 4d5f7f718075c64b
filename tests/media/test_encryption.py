# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's key: what it is made of, and that nothing opens without it."""

import base64
import contextlib

import pytest

from media.encryption import NONCE_BYTES, EncryptionKey
from media.errors import SealBroken
from tests.media.decoder import KEY, OTHER_KEY


def test_a_key_is_32_bytes_in_either_base64() -> None:
    secret = bytes(range(224, 256))
    standard, for_urls = base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()
    assert standard != for_urls
    assert EncryptionKey.parse(standard).key_id == EncryptionKey.parse(f" {for_urls}\n").key_id


@pytest.mark.parametrize("text", ["", "secret", "A" * 43, base64.b64encode(bytes(31)).decode(), "é" * 44, "A" * 64])
def test_another_text_is_refused_without_being_repeated_and_the_cure_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="openssl rand -base64 32") as caught:
        EncryptionKey.parse(text)
    assert not text or text not in str(caught.value)


def test_a_key_is_told_from_others_without_being_shown() -> None:
    assert KEY.key_id != OTHER_KEY.key_id
    assert bytes(range(8)).hex() not in repr(KEY)


def test_purposes_and_salts_have_keys_of_their_own() -> None:
    nonce = bytes(NONCE_BYTES)
    ciphers = [KEY.cipher("one"), KEY.cipher("two"), OTHER_KEY.cipher("one")]
    ciphers += [KEY.file_cipher("one", salt, 7)[0] for salt in (b"a" * 32, b"b" * 32)]
    sealed = [cipher.seal(nonce, b"text", b"") for cipher in ciphers]
    assert len(set(sealed)) == len(sealed)
    for opener in ciphers:
        opened = 0
        for text in sealed:
            with contextlib.suppress(SealBroken):
                opened += opener.open(nonce, text, b"") == b"text"
        assert opened == 1
