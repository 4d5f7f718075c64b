# SPDX-License-Identifier: GPL-3.0-or-later
"""A sealed file once more, under the key in force: what an older key sealed can be read without it afterwards."""

import os
from contextlib import closing
from pathlib import Path

from media.encryption import EncryptionKey
from media.sealed import MAX_HEADER_BYTES, SealedFile, SealedHeader, Sealer

_DRAFT_SUFFIX = ".resealing"


def header_of(path: Path) -> SealedHeader:
    """Of a sealed file. Blocks. Raises `OSError`, and `ValueError` for other files."""
    with path.open("rb") as file:
        return SealedHeader.parse(file.read(MAX_HEADER_BYTES))


def is_draft(path: Path) -> bool:
    """Whether it is what a process that was killed has left behind."""
    return path.name.endswith(_DRAFT_SUFFIX)


def reseal(path: Path, key: EncryptionKey) -> bool:
    """Put the same content, sealed with `key`, in the file's place; a file that breaks off still does. Whoever reads it
    meanwhile reads on. Blocks.

    The new file is there, or the old one, never half of one. False: somebody has erased it meanwhile; he may also have
    done so in the very moment before it returns, which the caller has to see to. Raises `OSError`, `AudioFileError`,
    `WrongKey` and `SealBroken`: then nothing has changed.
    """
    draft = path.with_name(path.name + _DRAFT_SUFFIX)
    try:
        with closing(SealedFile(path, key)) as old:
            times = path.stat()
            _copy(old, key, draft)
        os.utime(draft, ns=(times.st_atime_ns, times.st_mtime_ns))
        if not path.exists():
            return False
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def _copy(old: SealedFile, key: EncryptionKey, draft: Path) -> None:
    sealer = Sealer(key, old.header.content, old.header.name)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as new:
        new.write(sealer.header)
        last = b""
        for piece in old.read():
            if last:
                new.write(sealer.seal(last))
            last = piece
        new.write(sealer.seal(last, last=old.is_whole))
        new.flush()
        os.fsync(new.fileno())
