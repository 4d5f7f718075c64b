# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of what the gateway sends out: webhooks, and the upgrade request of a stream (Standard Webhooks 1.0.0).

    webhook-id: ID                                    a webhook's id; the call id for an upgrade request
    webhook-timestamp: seconds since 1970
    webhook-signature: v1,BASE64 [v1,BASE64 ...]      HMAC-SHA256 over ID.TIMESTAMP.CONTENT, one for every secret

The content is the body; for an upgrade request, which has none, the URL as it was dialled. While a secret is being
changed, both are configured: a receiver with either accepts. (https://www.standardwebhooks.com)
"""

import base64
import binascii
import hashlib
import hmac
import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import GatewayMisuse, SignatureRefused

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

TOLERANCE_S = 300
"""How far the sender's clock may be off, and how long a signed message can be replayed: receivers remember ids."""

_PREFIX = "whsec_"
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64
_NEW_SECRET_BYTES = 32
_MAX_SIGNATURES = 16
"""What a header may hold: nobody makes us compute for long."""


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A key that both sides know."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "SigningSecret":
        """From `whsec_` and base64 of 24 to 64 bytes. Raises `ValueError`, which does not repeat it."""
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("must be whsec_ and base64 (echo whsec_$(openssl rand -base64 32))") from error
        if not text.startswith(_PREFIX) or not _MIN_SECRET_BYTES <= len(key) <= _MAX_SECRET_BYTES:
            raise ValueError("must be whsec_ and base64 of 24 to 64 bytes (echo whsec_$(openssl rand -base64 32))")
        return cls(key)

    @classmethod
    def new(cls) -> "SigningSecret":
        """A random one."""
        return cls(random.token_bytes(_NEW_SECRET_BYTES))

    def __str__(self) -> str:
        return _PREFIX + base64.b64encode(self.key).decode("ascii")


def signature_headers(
    secrets: Sequence[SigningSecret], message_id: str, content: bytes, wall_time: float
) -> dict[str, str]:
    """The three headers; none without a secret. `wall_time`: seconds since 1970."""
    if not message_id or "." in message_id or not message_id.isascii() or not message_id.isprintable():
        raise GatewayMisuse(f"{message_id!r} cannot be the id of a signed message")
    if not secrets:
        return {}
    timestamp = str(int(wall_time))
    signatures = (_signature(secret, message_id, timestamp, content) for secret in secrets)
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: " ".join(f"v1,{base64.b64encode(one).decode('ascii')}" for one in signatures),
    }


def verify(
    secrets: Sequence[SigningSecret],
    headers: Mapping[str, str],
    content: bytes,
    wall_time: float,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """The message's id, when one of the secrets signed it and it is fresh. Raises `SignatureRefused`.

    Compares in constant time. `headers` may be written in any case. A message can be replayed within the tolerance:
    remember the ids that long.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp, signatures = (given[name] for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    except KeyError as missing:
        raise SignatureRefused(f"the header {missing.args[0]} is missing") from None
    if not timestamp.isdecimal() or not timestamp.isascii() or len(timestamp) > len("9999999999"):
        raise SignatureRefused("the timestamp is no number of seconds")
    if abs(wall_time - int(timestamp)) > tolerance_s:
        raise SignatureRefused("the timestamp is too old, or in the future")
    expected = [_signature(secret, message_id, timestamp, content) for secret in secrets]
    matches = [
        hmac.compare_digest(one, candidate)
        for one in _decoded(signatures.split(" ")[:_MAX_SIGNATURES])
        for candidate in expected
    ]
    if not any(matches):
        raise SignatureRefused("no signature is that of a known secret")
    return message_id


def _signature(secret: SigningSecret, message_id: str, timestamp: str, content: bytes) -> bytes:
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "replace") + content
    return hmac.digest(secret.key, signed, hashlib.sha256)


def _decoded(signatures: Sequence[str]) -> list[bytes]:
    """Those of version 1; others (v1a: asymmetric) are not for us."""
    found = []
    for signature in signatures:
        version, _, text = signature.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found
