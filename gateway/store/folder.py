# SPDX-License-Identifier: GPL-3.0-or-later
"""The data folder: made, tried out, and marked as in use by this process."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from gateway.errors import StartupError

_LOCK_FILE = "in-use.lock"


class DataFolder:
    """A data folder in use. Private (mode 0700 when we make it): it holds what people said.

    The mark is a shared lock on a file, which the kernel drops when the process dies, however it dies. Whoever gets it
    exclusively first is alone, and what looks open in the database was left by a process that is gone.
    """

    def __init__(self, path: Path) -> None:
        """Blocks, shortly. Raises `StartupError`."""
        self.path = path
        self.recordings = path / "recordings"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.recordings.mkdir(mode=0o700, exist_ok=True)
            self.recordings.chmod(0o700)  # also when somebody else has made it
            with tempfile.TemporaryFile(dir=path):
                pass
            self._lock = (path / _LOCK_FILE).open("a+")
        except OSError as error:
            raise StartupError(
                f"data folder {path} cannot be written: {error.strerror}. "
                "Make it writable, or name another one: store.data_dir or PARLEY_STORE__DATA_DIR"
            ) from error
        self.is_alone = self._mark()
        self.name = self._name()
        """The same for all processes that use this folder, one after the other or together; no other folder has it."""

    def _mark(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another gateway uses the folder
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            return False
        return True

    def _name(self) -> str:
        self._lock.seek(0)
        name = self._lock.read()
        if not name and self.is_alone:
            name = uuid4().hex
            with contextlib.suppress(OSError):  # a full disk: then it is ours alone
                os.write(self._lock.fileno(), name.encode())
        return name

    def admit_others(self) -> None:
        """What only a process that is alone may do is done."""
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def inside(self, relative: str) -> Path | None:
        """The path of a recording, or None when the name leads out of the recordings folder."""
        path = Path(os.path.normpath(self.path / relative))
        return path if path.is_relative_to(self.recordings) and path != self.recordings else None

    def close(self) -> None:
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
