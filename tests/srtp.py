# SPDX-License-Identifier: GPL-3.0-or-later
"""SRTP from the RFCs alone (3711, 4568): AES_CM_128_HMAC_SHA1_80, one stream each way."""

import base64
import hmac
import os
import struct
from dataclasses import dataclass
from hashlib import sha1

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SUITE = "AES_CM_128_HMAC_SHA1_80"
_TAG_BYTES = 10
_KEY_BYTES, _SALT_BYTES = 16, 14
_LABELS = {"key": 0, "auth": 1, "salt": 2}
_HEADER_BYTES = 12


class BadSrtp(ValueError):
    """A packet that does not authenticate."""


@dataclass(slots=True)
class SrtpKey:
    """A master key with its salt, and what follows from it (RFC 3711 section 4.3)."""

    master: bytes
    """Key, then salt: 30 bytes."""
    rollover: int = 0

    @classmethod
    def random(cls) -> "SrtpKey":
        return cls(os.urandom(_KEY_BYTES + _SALT_BYTES))

    @classmethod
    def parse(cls, crypto: str) -> "SrtpKey":
        """From the value of an `a=crypto` line (RFC 4568 section 9.1)."""
        return cls(base64.b64decode(crypto.split("inline:")[1].split("|")[0].split()[0]))

    def line(self, tag: int = 1) -> str:
        return f"a=crypto:{tag} {SUITE} inline:{base64.b64encode(self.master).decode()}"

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet without extension or CSRC, encrypted, with its tag."""
        body = packet[:_HEADER_BYTES] + self._crypt(packet)
        return body + self._tag(body)

    def unprotect(self, packet: bytes) -> bytes:
        """The RTP packet. Raises `BadSrtp`."""
        body, tag = packet[:-_TAG_BYTES], packet[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(body)):
            raise BadSrtp("the authentication tag is wrong")
        return body[:_HEADER_BYTES] + self._crypt(body)

    def _crypt(self, packet: bytes) -> bytes:
        sequence, ssrc = struct.unpack("!H", packet[2:4])[0], struct.unpack("!I", packet[8:12])[0]
        index = self.rollover << 16 | sequence
        salt = int.from_bytes(self._derive("salt", _SALT_BYTES), "big") << 16
        counter = (salt ^ (ssrc << 64) ^ (index << 16)).to_bytes(16, "big")
        cipher = Cipher(algorithms.AES(self._derive("key", _KEY_BYTES)), modes.CTR(counter)).encryptor()
        return cipher.update(packet[_HEADER_BYTES:])

    def _tag(self, body: bytes) -> bytes:
        return hmac.new(self._derive("auth", 20), body + struct.pack("!I", self.rollover), sha1).digest()[:_TAG_BYTES]

    def _derive(self, label: str, size: int) -> bytes:
        salt = int.from_bytes(self.master[_KEY_BYTES:], "big") ^ (_LABELS[label] << 48)
        cipher = Cipher(algorithms.AES(self.master[:_KEY_BYTES]), modes.CTR((salt << 16).to_bytes(16, "big")))
        return cipher.encryptor().update(bytes(size))
