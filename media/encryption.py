# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's key and what is done with it: the one door to `cryptography`.

The key itself encrypts nothing. Every use derives keys of its own from it (HKDF-SHA256, RFC 5869), by purpose and salt,
and encrypts with AES-256-GCM (NIST SP 800-38D), which also notices every change of what it encrypted.
"""

import base64
import binascii
import hmac
import os
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from media.errors import SealBroken

KEY_BYTES = 32
KEY_ID_BYTES = 8
NONCE_BYTES = 12
TAG_BYTES = 16


class Cipher:
    """AES-256-GCM under one derived key. The caller sees to it that no nonce is used twice."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, nonce: bytes, data: bytes, bound_to: bytes) -> bytes:
        """The ciphertext, `TAG_BYTES` longer than the data. `bound_to` is needed to open it again."""
        return self._aead.encrypt(nonce, data, bound_to)

    def open(self, nonce: bytes, sealed: bytes, bound_to: bytes) -> bytes:
        """What was sealed. Raises `SealBroken` when anything differs."""
        try:
            return self._aead.decrypt(nonce, sealed, bound_to)
        except InvalidTag:
            raise SealBroken("it was changed, or does not belong here") from None


class EncryptionKey:
    """32 secret bytes, from `store.encryption_key`; with those it took the place of, which open what they sealed."""

    def __init__(self, secret: bytes, older: Iterable["EncryptionKey"] = ()) -> None:
        """`older`: from `store.old_encryption_keys`, the newest first."""
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(secret)}")
        self._secret = secret
        self.older = tuple(older)
        """Seal nothing any more."""
        self.key_id = self._derive(b"parley key id", b"", KEY_ID_BYTES)
        """Tells keys apart without telling anything of them: lies in clear beside what they sealed."""

    @classmethod
    def parse(cls, text: str, older: Iterable["EncryptionKey"] = ()) -> "EncryptionKey":
        """From base64, either alphabet. Raises `ValueError`, without repeating the text."""
        try:
            secret = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != KEY_BYTES:
            raise ValueError(
                f"must be {KEY_BYTES} random bytes in base64 (44 characters); make one with: openssl rand -base64 32"
            )
        return cls(secret, older)

    @classmethod
    def from_text(cls, text: str) -> "EncryptionKey":
        """What `to_text` wrote."""
        secret, *older = map(base64.b64decode, text.split())
        return cls(secret, map(cls, older))

    def to_text(self) -> str:
        """All of them, as `from_text` takes it: for a process of ours that needs them too, over a pipe."""
        return " ".join(base64.b64encode(one._secret).decode("ascii") for one in self.all)

    @property
    def all(self) -> tuple["EncryptionKey", ...]:
        """This one, and the older."""
        return (self, *self.older)

    def of_id(self, key_id: bytes) -> "EncryptionKey | None":
        """The one that sealed what lies beside this id; None: it is none of these."""
        return next((one for one in self.all if one.key_id == key_id), None)

    def cipher(self, purpose: str) -> Cipher:
        """For many small things under one key: nonces are random, which is safe for some 2^32 of them."""
        return Cipher(self._derive(purpose.encode(), b"", KEY_BYTES))

    def file_cipher(self, purpose: str, salt: bytes, prefix_bytes: int) -> tuple[Cipher, bytes]:
        """For one file, whose salt no other file has: its cipher and the constant part of its nonces."""
        derived = self._derive(purpose.encode(), salt, KEY_BYTES + prefix_bytes)
        return Cipher(derived[:KEY_BYTES]), derived[KEY_BYTES:]

    def digest(self, purpose: str, data: bytes) -> bytes:
        """Keyed digest (HMAC-SHA256): the same data has the same one, and without the key nobody can try data out."""
        return hmac.digest(self._derive(purpose.encode(), b"", KEY_BYTES), data, "sha256")

    def _derive(self, purpose: bytes, salt: bytes, length: int) -> bytes:
        return HKDF(algorithm=SHA256(), length=length, salt=salt or None, info=purpose).derive(self._secret)

    def __repr__(self) -> str:
        return f"EncryptionKey({self.key_id.hex()})"


def random_bytes(count: int) -> bytes:
    """From the kernel's generator."""
    return os.urandom(count)
