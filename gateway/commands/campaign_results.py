# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of results, written as contacts become done.

A batch of rows is appended when all of it has come: a connection that breaks, or a gateway that is killed, leaves whole
rows only, and the next batch goes on behind the last one. The gateway keeps them all: a file that is lost can be had
again (`parley campaign results`).
"""

import csv
import io
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from gateway.client import ParleyClient
    from gateway.client.campaigns import ResultsKind

_LONGEST_CELL = 1 << 30
_IN_MEMORY_BYTES = 1 << 20
"""Of a batch; what is longer lies in a temporary file until it is whole."""


def results_kind(file: Path) -> "ResultsKind | None":
    """By the name of the file."""
    kinds: dict[str, ResultsKind] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    return kinds.get(file.suffix.lower())


class ResultsFile:
    """Used with `with`. What was in the file is gone with the first batch. A new one is its owner's alone to read: it
    names people."""

    def __init__(self, path: Path, kind: "ResultsKind") -> None:
        """Raises `OSError`."""
        self.path = path
        self.rows = 0
        """That are in the file."""
        self._kind = kind
        self._has_begun = False
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._has_begun and self.path.is_file() and self.path.stat().st_size == 0:
            self.path.unlink()  # it would stand in the way of the next try

    async def catch_up(self, parley: "ParleyClient", campaign_id: str) -> int:
        """Write the rows that have come since; how many. Raises `ParleyError`, `OSError`."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as batch:
            async with parley.campaigns.results(campaign_id, self._kind, after=self.rows) as blocks:
                async for block in blocks:
                    batch.write(block)
            batch.seek(0)
            rows = _rows(batch, self._kind, has_header=self.rows == 0)
            batch.seek(0)
            if self.rows == 0:  # a header that came before any row does not know the columns of the list
                self._file.seek(0)
                self._file.truncate()
            shutil.copyfileobj(batch, self._file)
        self._file.flush()
        self._has_begun = True
        self.rows += rows
        return rows


def _rows(batch: IO[bytes], kind: "ResultsKind", *, has_header: bool) -> int:
    """How many there are."""
    if kind == "jsonl":
        return sum(1 for _ in batch)
    text = io.TextIOWrapper(batch, encoding="utf-8", newline="")
    csv.field_size_limit(_LONGEST_CELL)  # a transcript; the default is 131,072
    rows = sum(1 for _ in csv.reader(text))  # not lines: a quoted cell may have several
    text.detach()
    return rows - 1 if has_header and rows else rows
