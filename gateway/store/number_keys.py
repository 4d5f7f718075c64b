# SPDX-License-Identifier: GPL-3.0-or-later
"""By what somebody is found in the database, though who it is lies sealed there: a telephone number, a caller."""

import hashlib
import hmac
from typing import Literal

from media.encryption import EncryptionKey

Purpose = Literal["parley numbers 1", "parley callers 1"]


class NumberKeys:
    """Digests, with the key where there is one. While a key takes another's place, and after the first key was set, the
    same number may be known by several."""

    def __init__(self, key: EncryptionKey | None, purpose: Purpose = "parley numbers 1") -> None:
        self._key = key
        self._purpose = purpose

    def of(self, number: str) -> str:
        """By what it is kept: hexadecimal; equal numbers have equal ones."""
        if self._key is None:
            return self._bare(number)
        return self._key.digest(self._purpose, number.encode()).hex()

    def all_of(self, number: str) -> tuple[str, ...]:
        """By what it may have been kept, `of` first: under the older keys, and from before there was one."""
        keys = () if self._key is None else self._key.all
        return (*(one.digest(self._purpose, number.encode()).hex() for one in keys), self._bare(number))

    def _bare(self, number: str) -> str:
        return hmac.digest(self._purpose.encode(), number.encode(), hashlib.sha256).hex()
