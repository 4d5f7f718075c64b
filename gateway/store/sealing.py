# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns with what people said, encrypted when there is a key.

    text > "sealed:1:" + base64(key id (8) | nonce (12) | ciphertext | tag (16)), bound to the column

Rows from before the key was set stay readable, in clear. A database that was sealed with another key, or is opened
without one, is refused at the start (`SessionStore.check_key`).
"""

import base64
import binascii

from gateway.errors import StoreError
from media.encryption import KEY_ID_BYTES, NONCE_BYTES, EncryptionKey, random_bytes
from media.errors import SealBroken

_MARK = "sealed:1:"
_CLEAR = "sealed:0:"
"""Before a text in clear that begins like a sealed one."""
_PURPOSE = "parley columns 1"
MARKED_BYTES = 6
MARK_CHARACTERS = len(_MARK) + MARKED_BYTES * 4 // 3


class ColumnSealer:
    """Seals and opens texts; without a key it leaves them as they are. Older keys open only."""

    def __init__(self, key: EncryptionKey | None) -> None:
        self._key_id = b"" if key is None else key.key_id
        self._cipher = None if key is None else key.cipher(_PURPOSE)
        self._openers = {} if key is None else {one.key_id: one.cipher(_PURPOSE) for one in key.all}

    def seal(self, text: str, column: str) -> str:
        """The text as the database keeps it; `column` names where: `transcript.text`."""
        if self._cipher is None:
            return _CLEAR + text if text.startswith((_MARK, _CLEAR)) else text
        nonce = random_bytes(NONCE_BYTES)
        sealed = self._cipher.seal(nonce, text.encode("utf-8", "replace"), column.encode())
        return _MARK + base64.b64encode(self._key_id + nonce + sealed).decode("ascii")

    def open(self, kept: str, column: str) -> str:
        """What was sealed, or the text itself when it is in clear. Raises `StoreError`."""
        if kept.startswith(_CLEAR):
            return kept.removeprefix(_CLEAR)
        raw = _raw(kept)
        if raw is None:
            return kept
        cipher = self._openers.get(raw[:KEY_ID_BYTES])
        if cipher is None:
            raise StoreError(f"{column} is encrypted with another key than store.encryption_key")
        nonce, sealed = raw[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES], raw[KEY_ID_BYTES + NONCE_BYTES :]
        if len(nonce) < NONCE_BYTES:
            raise StoreError(f"{column} is damaged: it breaks off")
        try:
            return cipher.open(nonce, sealed, column.encode()).decode()
        except SealBroken as error:
            raise StoreError(f"{column} is damaged: {error}") from error

    def problem_with(self, kept: str) -> str | None:
        """Why this key is not the one for this value; None when it fits, or the value is in clear."""
        raw = _raw(kept)
        if raw is None or raw[:KEY_ID_BYTES] in self._openers:
            return None
        theirs = raw[:KEY_ID_BYTES].hex()
        if self._cipher is None:
            return f"it is encrypted (key {theirs}), and store.encryption_key is not set"
        return f"it is encrypted with another key ({theirs}) than store.encryption_key ({self._key_id.hex()})"

    @property
    def mark(self) -> str:
        """How everything begins that the key in force has sealed; empty without a key."""
        return mark_of(self._key_id) if self._key_id else ""


def mark_of(key_id: bytes) -> str:
    """How everything begins that this key has sealed: with six bytes of its id, which base64 writes in whole signs."""
    return _MARK + base64.b64encode(key_id[:MARKED_BYTES]).decode("ascii")


def marked_key(kept: str) -> str | None:
    """The beginning of the id of the key that sealed what begins so, in hex; None: it lies in clear."""
    if not kept.startswith(_MARK) or len(kept) < MARK_CHARACTERS:
        return None
    try:
        return base64.b64decode(kept[len(_MARK) : MARK_CHARACTERS], validate=True).hex()
    except (binascii.Error, ValueError):
        return None


def _raw(kept: str) -> bytes | None:
    if not kept.startswith(_MARK):
        return None
    try:
        return base64.b64decode(kept.removeprefix(_MARK), validate=True)
    except (binascii.Error, ValueError):
        return None
