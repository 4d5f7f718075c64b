# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of the data folder with the records that a database which is away has not taken.

    unwritten-RUN.jsonl    locked while its gateway lives; read by the next one when that has died, or ended

Full (1 GiB, or the disk refuses): the newest records are given up.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_MOST_BYTES = 1 << 30
_NAME = re.compile(r"unwritten-([0-9a-f]{32})\.jsonl")


class Spill:
    """Lines, first in, first out. Blocks for as long as the page cache takes."""

    def __init__(self, folder: Path, run: str) -> None:
        self.path = folder / f"unwritten-{run}.jsonl"
        self._file: IO[str] | None = None
        self._bytes = 0
        self._read_to = 0
        self.lines = 0
        """That were added and not taken."""

    def add(self, line: str) -> bool:
        """False: there is no room for it."""
        size = len(line) + 1  # ASCII, as json.dumps writes
        if self._bytes + size > _MOST_BYTES:
            return False
        try:
            file = self._opened()
            file.seek(0, os.SEEK_END)
            file.write(line + "\n")
            file.flush()
        except OSError:
            self._cut()
            return False
        self._bytes += size
        self.lines += 1
        return True

    def take(self, most: int) -> list[str]:
        """The oldest lines, which stay in the file until all are taken and `clear` is told."""
        if not self.lines or self._file is None:
            return []
        self._file.seek(self._read_to)
        taken = [self._file.readline().rstrip("\n") for _ in range(min(most, self.lines))]
        self._read_to = self._file.tell()
        self.lines -= len(taken)
        return taken

    def clear(self) -> None:
        """What was taken is in the database; without effect while there is more."""
        if self.lines == 0 and self._file is not None:
            self._file.close()
            self._file = None
            self._bytes = self._read_to = 0
            self.path.unlink(missing_ok=True)

    def close(self, older: list[str]) -> int:
        """Leave it to the next gateway, with these before all else; how many of them there was no room for."""
        rest = self.take(self.lines)
        if not older and not rest:
            self.clear()
            return 0
        whole = self.path.with_suffix(".new")
        try:
            with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.writelines(f"{line}\n" for line in [*older, *rest])
                file.flush()
                os.fsync(file.fileno())
            whole.replace(self.path)
            lost = 0
        except OSError:
            lost = len(older)
        if self._file is not None:
            self._file.close()
        return lost

    def _opened(self) -> IO[str]:
        if self._file is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "r+", encoding="ascii", newline="\n")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._file

    def _cut(self) -> None:
        """A line that was written in part must not run into the next."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(self._bytes)


def left_behind(folder: Path) -> Iterator[tuple[str, IO[str]]]:
    """Files of gateways that are gone, the oldest first, as (run, open file); whoever has one open has it alone."""
    for path in sorted(folder.glob("unwritten-*.jsonl"), key=lambda one: one.stat().st_mtime):
        found = _NAME.fullmatch(path.name)
        if found is None:
            continue
        with path.open(encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # its gateway lives
                continue
            yield found[1], file
