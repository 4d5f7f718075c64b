# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds which API key. Keys are known by their SHA-256 alone, here and in the database."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime

from gateway.api.scopes import ALL_SCOPES
from gateway.store import ApiKeyRecord

HASH_PREFIX = "sha256:"
"""Before the hash, where the configuration has that in place of the key."""
_KEY_PREFIX = "parley_"
_CONFIGURED = "configured-"


def new_key() -> str:
    """256 random bits, to be shown once."""
    return _KEY_PREFIX + secrets.token_urlsafe(32)


def key_hash(key: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(key).hexdigest()


class KeyRing:
    """The keys that are good now."""

    def __init__(self, configured: Iterable[str], created: Iterable[tuple[str, ApiKeyRecord]] = ()) -> None:
        """`configured`: keys, or `sha256:` and their hash: they have all scopes. `created`: hash and record."""
        self._holders: dict[str, ApiKeyRecord] = {}
        for index, key in enumerate(configured):
            hashed = key.removeprefix(HASH_PREFIX).lower() if key.startswith(HASH_PREFIX) else key_hash(key.encode())
            self._holders[hashed] = ApiKeyRecord(
                key_id=f"{_CONFIGURED}{index + 1}", name="configuration", scopes=tuple(sorted(ALL_SCOPES))
            )
        for hashed, record in created:
            self.add(hashed, record)

    def holder(self, presented: bytes, wall_time: datetime) -> ApiKeyRecord | None:
        """Whose key this is; None when it is nobody's, or has expired.

        What is compared is a hash: how long that takes tells nothing about any key.
        """
        found = self._holders.get(key_hash(presented))
        if found is None or (found.expires_at is not None and found.expires_at <= wall_time):
            return None
        return found

    def add(self, hashed: str, record: ApiKeyRecord) -> None:
        """Good from now on."""
        self._holders[hashed] = record

    def renew(self, created: Iterable[tuple[str, ApiKeyRecord]]) -> None:
        """Those of the database, as it has them now: another node has changed them."""
        configured = {hashed: one for hashed, one in self._holders.items() if one.key_id.startswith(_CONFIGURED)}
        self._holders = {**dict(created), **configured}

    def remove(self, key_id: str) -> None:
        """Good no longer."""
        self._holders = {hashed: record for hashed, record in self._holders.items() if record.key_id != key_id}
