# SPDX-License-Identifier: GPL-3.0-or-later
"""An encrypted file that is written as it comes: a recording on a disk that others may see.

    file   = header chunk*
    header = "PARLEYR1" | key id (8) | salt (32) | length of content (1) | content | length of name (1) | name
    chunk  = length of the plaintext (4, little endian; bit 31: the last chunk) | ciphertext | tag (16)

The chunks are the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar: "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance", CRYPTO 2015): AES-256-GCM under a key of this file (HKDF over its random salt), the
nonce is prefix (7) | chunk number (4, big endian) | last (1), and every chunk is bound to the whole header. So a chunk
that was changed, moved, repeated, left out or taken from another file does not open, and a file under another call's
name is told by the name inside. A file without its last chunk was cut: by kill -9, a full disk, or somebody. What is
there is good, and the reader says that it is not all.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from media.encryption import KEY_ID_BYTES, TAG_BYTES, EncryptionKey, random_bytes
from media.errors import AudioFileError, SealBroken, WrongKey

SEALED_SUFFIX = ".enc"

MAX_CHUNK_BYTES = 256 * 1024
"""Of plaintext: what a reader holds in memory."""

_MAGIC = b"PARLEYR1"
_PURPOSE = "parley recording 1"
_SALT_BYTES = 32
_PREFIX_BYTES = 7
_LENGTH = struct.Struct("<I")
_LAST = 1 << 31
MAX_HEADER_BYTES = len(_MAGIC) + KEY_ID_BYTES + _SALT_BYTES + 2 * 256


@dataclass(frozen=True, slots=True)
class SealedHeader:
    """What lies in clear at the start of a sealed file; changing it breaks every chunk."""

    key_id: bytes
    salt: bytes
    content: str
    """The suffix of what is inside: `.wav`, `.ogg`."""
    name: str
    """Whose file it is: the call id."""

    def pack(self) -> bytes:
        texts = b"".join(bytes([len(text)]) + text for text in (self.content.encode(), self.name.encode()))
        return _MAGIC + self.key_id + self.salt + texts

    @classmethod
    def parse(cls, data: bytes) -> "SealedHeader":
        """From the first bytes of a file, more than the header or not. Raises `ValueError`."""
        if not data.startswith(_MAGIC):
            raise ValueError("it is no encrypted recording of Parley")
        at = len(_MAGIC) + KEY_ID_BYTES + _SALT_BYTES
        key_id, salt = data[len(_MAGIC) : len(_MAGIC) + KEY_ID_BYTES], data[len(_MAGIC) + KEY_ID_BYTES : at]
        texts = []
        for _ in range(2):
            length = data[at] if at < len(data) else 256
            text = data[at + 1 : at + 1 + length]
            if len(text) != length:
                raise ValueError("its header was cut short")
            texts.append(text.decode())  # a UnicodeDecodeError is a ValueError
            at += 1 + length
        return cls(key_id, salt, *texts)


class Sealer:
    """Turns plaintext into the bytes of a sealed file, piece by piece."""

    def __init__(self, key: EncryptionKey, content: str, name: str) -> None:
        salt = random_bytes(_SALT_BYTES)
        self.header = SealedHeader(key.key_id, salt, content, name).pack()
        self._cipher, self._prefix = key.file_cipher(_PURPOSE, salt, _PREFIX_BYTES)
        self._number = 0

    def seal(self, data: bytes, *, last: bool = False) -> bytes:
        """The chunks for this piece; `last` ends the file, also when there is no more data."""
        sealed = bytearray()
        pieces = [data[at : at + MAX_CHUNK_BYTES] for at in range(0, len(data), MAX_CHUNK_BYTES)]
        if last and not pieces:
            pieces = [b""]
        for index, piece in enumerate(pieces, 1):
            is_last = last and index == len(pieces)
            sealed += _LENGTH.pack(len(piece) | (_LAST if is_last else 0))
            sealed += self._cipher.seal(_nonce(self._prefix, self._number, is_last), piece, self.header)
            self._number += 1
        return bytes(sealed)


@dataclass(frozen=True, slots=True)
class _Chunk:
    number: int
    is_last: bool
    at: int
    """Where its ciphertext begins in the file."""
    start: int
    """Where its plaintext begins in the whole."""
    length: int


class SealedFile:
    """A sealed file to read from; a context manager. Everything blocks on the disk. Memory: one chunk."""

    def __init__(self, path: Path, key: EncryptionKey | None) -> None:
        """Raises `OSError`, `AudioFileError` (no such file of ours) and `WrongKey`."""
        self.header: SealedHeader
        self._path = path
        self._file = path.open("rb", buffering=0)  # an object, and no number: it is closed when nobody has it any more
        self._fd = self._file.fileno()
        try:
            self._open(key)
        except BaseException:
            self._file.close()
            raise

    def _open(self, key: EncryptionKey | None) -> None:
        try:
            self.header = SealedHeader.parse(os.pread(self._fd, MAX_HEADER_BYTES, 0))
        except ValueError as error:
            raise AudioFileError(f"{self._path}: {error}") from error
        if key is None:
            raise WrongKey(f"{self._path.name} is encrypted: set store.encryption_key (PARLEY_STORE__ENCRYPTION_KEY)")
        theirs = key.of_id(self.header.key_id)
        if theirs is None:
            known = ", ".join(one.key_id.hex() for one in key.all)
            raise WrongKey(
                f"{self._path.name} was encrypted with another key ({self.header.key_id.hex()}) "
                f"than store.encryption_key ({known})"
            )
        self._bound = self.header.pack()
        self._cipher, self._prefix = theirs.file_cipher(_PURPOSE, self.header.salt, _PREFIX_BYTES)
        self.size = 0
        self.is_whole = False
        for chunk in self._chunks():
            self.size = chunk.start + chunk.length
            self.is_whole = chunk.is_last

    size: int
    """Bytes of plaintext, at the moment of opening."""
    is_whole: bool
    """Whether the last chunk is there. Certain only after it was read: `read` to the end opens it."""

    def read(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The plaintext from `start` to before `end` (None: all). Raises `SealBroken` where it is not as written."""
        end = self.size if end is None else end
        for chunk in self._chunks():
            # The last chunk is opened even if it is empty: without it the end of the file would be taken on trust.
            if chunk.start + chunk.length > start or chunk.is_last:
                piece = self._plain(chunk)[max(0, start - chunk.start) : max(0, end - chunk.start)]
                if piece:
                    yield piece
            if chunk.start + chunk.length >= end and end < self.size:
                return

    def _plain(self, chunk: _Chunk) -> bytes:
        sealed = os.pread(self._fd, chunk.length + TAG_BYTES, chunk.at)
        try:
            return self._cipher.open(_nonce(self._prefix, chunk.number, chunk.is_last), sealed, self._bound)
        except SealBroken as error:
            raise SealBroken(f"{self._path.name} is damaged {chunk.start} bytes in: {error}") from error

    def _chunks(self) -> Iterator[_Chunk]:
        """The chunks that are whole, by their lengths alone."""
        size = os.fstat(self._fd).st_size
        at, start, number, is_last = len(self._bound), 0, 0, False
        while not is_last and at + _LENGTH.size <= size:
            (word,) = _LENGTH.unpack(os.pread(self._fd, _LENGTH.size, at))
            length, is_last = word & ~_LAST, bool(word & _LAST)
            at += _LENGTH.size
            if length > MAX_CHUNK_BYTES:
                raise SealBroken(f"{self._path.name} is damaged {start} bytes in: no chunk is that long")
            if at + length + TAG_BYTES > size:
                return
            yield _Chunk(number, is_last, at, start, length)
            at += length + TAG_BYTES
            start += length
            number += 1
        if is_last and at != size:
            raise SealBroken(f"{self._path.name} is damaged: something follows its end")

    def close(self) -> None:
        self._file.close()


def _nonce(prefix: bytes, number: int, is_last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([is_last])
