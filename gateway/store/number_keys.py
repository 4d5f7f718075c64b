# SPDX-License-Identifier: GPL-3.0-or-later
"""By what a telephone number is found in the database, though it is sealed there."""

import hashlib
import hmac

from media.encryption import EncryptionKey

_PURPOSE = "parley numbers 1"


class NumberKeys:
    """Digests, with the key where there is one."""

    def __init__(self, key: EncryptionKey | None) -> None:
        self._key = key

    def of(self, number: str) -> str:
        """Hexadecimal; equal numbers have equal ones."""
        if self._key is not None:
            return self._key.digest(_PURPOSE, number.encode()).hex()
        return hmac.digest(_PURPOSE.encode(), number.encode(), hashlib.sha256).hex()
