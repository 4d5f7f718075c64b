# SPDX-License-Identifier: GPL-3.0-or-later
"""Digest access authentication of those who call us (RFC 7616, RFC 8760): challenges, and what answers them.

    challenge() > 401 with WWW-Authenticate > Authorization > verify()

A nonce carries the second it was made in, under a key of this process, so that nothing is kept for a challenge that
nobody answers: a flood of them costs no memory. What is kept is the highest count (`nc`) of each nonce that was used: a
response that was seen before is worth nothing. Passwords are compared in constant time, unknown names as if known.
"""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from gateway.sip.uri import SipUri, UriError

NONCE_S = 60.0
"""How long a nonce is good for; a softphone that uses it later is given another, without asking its user."""
_MOST_NONCES = 10_000
_TAG_BYTES = 16
_NONCE = struct.Struct("!dQ")
_PARAMETER = re.compile(r'\s*([A-Za-z0-9*_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]*))\s*(?:,|$)')


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


ALGORITHMS: Mapping[str, Callable[[bytes], str]] = {"SHA-256": _sha256, "MD5": _md5}
"""Best first (RFC 8760 section 2.3). MD5 because most telephones have nothing else."""

_MD5_ONLY = re.compile(r"baresip v[01]\.", re.IGNORECASE)


def stumbles_over_sha(user_agent: str) -> bool:
    """Whether it gives up at a challenge it does not know, in place of taking the next (RFC 8760 section 2.4).

    Debian 12's baresip does: "Register: Function not implemented". Who says to be one gets nothing that others do not:
    MD5 is accepted from everybody.
    """
    return _MD5_ONLY.search(user_agent) is not None


class Outcome(Enum):
    """What an Authorization header is worth."""

    VALID = "valid"
    STALE = "stale"
    """Made for a nonce that is too old, not ours, or was used: the far end may try again with a new one."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An Authorization header (RFC 7616 section 3.4)."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    qop: str
    cnonce: str
    nc: str

    @classmethod
    def parse(cls, text: str) -> "Credentials":
        """Raises `ValueError` that names what is missing."""
        scheme, _, rest = text.strip().partition(" ")
        if scheme.lower() != "digest":
            raise ValueError("the scheme is not Digest")
        fields: dict[str, str] = {}
        at = 0
        while at < len(rest):
            found = _PARAMETER.match(rest, at)
            if found is None:
                raise ValueError(f"unreadable at character {at}")
            name = found[1].lower()
            if name in fields:
                raise ValueError(f"{name} is there twice")
            fields[name] = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else found[3]
            at = found.end()
        for name in ("username", "realm", "nonce", "uri", "response", "cnonce", "nc"):
            if not fields.get(name):
                raise ValueError(f"{name} is missing")
        return cls(
            username=fields["username"],
            realm=fields["realm"],
            nonce=fields["nonce"],
            uri=fields["uri"],
            response=fields["response"].lower(),
            algorithm=fields.get("algorithm", "MD5").upper(),
            qop=fields.get("qop", "").lower(),
            cnonce=fields["cnonce"],
            nc=fields["nc"].lower(),
        )


class DigestServer:
    """Knows the passwords of one realm."""

    def __init__(self, realm: str, passwords: Mapping[str, str], key: bytes, nonce_s: float = NONCE_S) -> None:
        """`key`: random, this process's own."""
        self._realm = realm
        self._passwords = passwords
        self._key = key
        self._nonce_s = nonce_s
        self._made = 0
        self._counts: dict[str, int] = {}
        """Highest `nc` seen, by nonce, in the order of first use."""
        self._oldest = float("-inf")
        """Nonces made until then are no longer accepted: what their counts were has been forgotten."""

    def challenge(self, now: float, *, stale: bool = False, md5_only: bool = False) -> tuple[str, ...]:
        """Values of WWW-Authenticate, one for each algorithm, with one nonce. `md5_only`: see `stumbles_over_sha`."""
        nonce = self._nonce(now)
        more = ", stale=true" if stale else ""
        return tuple(
            f'Digest realm="{self._realm}", nonce="{nonce}", algorithm={name}, qop="auth"{more}'
            for name in ALGORITHMS
            if name == "MD5" or not md5_only
        )

    def verify(self, text: str, method: str, uri: str, now: float) -> tuple[Outcome, str]:
        """What the Authorization header `text` of a request with this method and Request-URI is worth, and whose it
        is; the name is empty unless it is valid."""
        try:
            given = Credentials.parse(text)
        except ValueError:
            return Outcome.WRONG, ""
        digest = ALGORITHMS.get(given.algorithm)
        if given.realm != self._realm or given.qop != "auth" or digest is None or not _same_target(given.uri, uri):
            return Outcome.WRONG, ""
        made_at = self._made_at(given.nonce)
        # Only a nonce of ours is looked at further: others are from before our start, or made up.
        if made_at is None or not made_at <= now < made_at + self._nonce_s or made_at <= self._oldest:
            return Outcome.STALE, ""
        password = self._passwords.get(given.username)
        secret = digest(_bytes(f"{given.username}:{self._realm}:{password or ''}"))
        request = digest(_bytes(f"{method}:{given.uri}"))
        wanted = digest(_bytes(f"{secret}:{given.nonce}:{given.nc}:{given.cnonce}:auth:{request}"))
        matches = hmac.compare_digest(_bytes(wanted), _bytes(given.response))
        if not matches or password is None:
            return Outcome.WRONG, ""
        if not self._count(given.nonce, given.nc, made_at):
            return Outcome.STALE, ""
        return Outcome.VALID, given.username

    def _nonce(self, now: float) -> str:
        self._made += 1
        body = _NONCE.pack(now, self._made)
        tag = self._tag(body)
        return base64.urlsafe_b64encode(self._masked(body, tag) + tag).decode().rstrip("=")

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_TAG_BYTES]

    def _masked(self, body: bytes, tag: bytes) -> bytes:
        """How long we have been up, and how busy, is nobody's business; the same again undoes it."""
        mask = hmac.digest(self._key, b"mask" + tag, "sha256")
        return bytes(one ^ other for one, other in zip(body, mask, strict=False))

    def _made_at(self, nonce: str) -> float | None:
        """When we made it; None when we did not."""
        try:
            raw = base64.b64decode(nonce + "=" * (-len(nonce) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return None
        if len(raw) != _NONCE.size + _TAG_BYTES:
            return None
        tag = raw[_NONCE.size :]
        body = self._masked(raw[: _NONCE.size], tag)
        if not hmac.compare_digest(tag, self._tag(body)):
            return None
        made_at: float = _NONCE.unpack(body)[0]
        return made_at

    def _count(self, nonce: str, nc: str, made_at: float) -> bool:
        """Whether this use of the nonce is a new one (RFC 7616 section 3.4, nc)."""
        count = int(nc, 16) if re.fullmatch("[0-9a-f]{8}", nc) else 0
        if count <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = count
        while len(self._counts) > _MOST_NONCES:
            forgotten = next(iter(self._counts))
            del self._counts[forgotten]
            self._oldest = max(self._oldest, self._made_at(forgotten) or made_at)
        return True


def _bytes(text: str) -> bytes:
    """What was on the wire, which need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _same_target(given: str, uri: str) -> bool:
    """Proxies and telephones differ in ports and parameters; who is called, and where, they agree upon."""
    if given == uri:
        return True
    try:
        one, other = SipUri.parse(given), SipUri.parse(uri)
    except UriError:
        return False
    return (one.user, one.host) == (other.user, other.host)
