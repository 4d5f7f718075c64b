# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording read again, encrypted or not: its kind, its length, and its bytes from anywhere. All of it blocks.

path > plain file, or media.sealed > the file as a player wants it
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from media.encryption import EncryptionKey
from media.errors import SealBroken
from media.sealed import SEALED_SUFFIX, SealedFile
from media.wav import HEADER_BYTES, with_length

_BLOCK_BYTES = 256 * 1024


class _Content(Protocol):
    size: int
    is_whole: bool

    def read(self, start: int, end: int) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class RecordingSource:
    """A context manager over one file. Memory: a block of 256 KiB, however long the recording is."""

    def __init__(self, path: Path, key: EncryptionKey | None, name: str | None = None) -> None:
        """`name` is the call the file must belong to, when the file tells; None asks for nothing.

        Raises `OSError`, `WrongKey`, `SealBroken`, `AudioFileError` (it only looks like an encrypted recording).
        """
        self._content: _Content
        self._is_sealed_wav = False
        if path.name.endswith(SEALED_SUFFIX):
            sealed = SealedFile(path, key)
            self._content = sealed
            self.suffix = sealed.header.content
            self._is_sealed_wav = self.suffix == ".wav"
            if name is not None and sealed.header.name != name:
                sealed.close()
                raise SealBroken(f"{path.name} holds the recording of another call")
        else:
            self._content = _PlainFile(path)
            self.suffix = path.suffix
        self.size = self._content.size
        """Bytes, as `read` gives them."""

    suffix: str
    """What it is: `.wav`, `.ogg`."""

    @property
    def media_type(self) -> str:
        return {".wav": "audio/wav", ".ogg": "audio/ogg"}.get(self.suffix, "application/octet-stream")

    @property
    def is_truncated(self) -> bool:
        """An encrypted file lacks its end: kill -9, a full disk, or somebody cut it. Plain files do not tell."""
        return not self._content.is_whole

    def read(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `end` (None: all), in blocks. Raises `SealBroken` where it was changed."""
        end = self.size if end is None else end
        gathered = bytearray()
        for piece in self._pieces(start, end):
            gathered += piece
            if len(gathered) >= _BLOCK_BYTES:
                yield bytes(gathered)
                gathered.clear()
        if gathered:
            yield bytes(gathered)

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        if self._is_sealed_wav and start < HEADER_BYTES and self.size >= HEADER_BYTES:
            # Nobody could go back to its header when the length was known.
            header = with_length(b"".join(self._content.read(0, HEADER_BYTES)), self.size)
            yield header[start:end]
            start = HEADER_BYTES
        if start < end or start == self.size:
            yield from self._content.read(start, end)

    def close(self) -> None:
        self._content.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _PlainFile:
    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)  # closed when nobody has it any more: an answer that nobody fetches
        self.size = os.fstat(self._file.fileno()).st_size
        self.is_whole = True

    def read(self, start: int, end: int) -> Iterator[bytes]:
        while start < end and (piece := os.pread(self._file.fileno(), min(_BLOCK_BYTES, end - start), start)):
            yield piece
            start += len(piece)

    def close(self) -> None:
        self._file.close()
