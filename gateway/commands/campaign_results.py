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
from collections.abc import Iterator
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
    """Used with `with`. What was in the file is gone; only its owner may read a new one, for it names people."""

    def __init__(self, path: Path, kind: "ResultsKind") -> None:
        """Raises `OSError`."""
        self.path = path
        self.rows = 0
        """That are in the file."""
        self._kind = kind
        self._has_begun = False
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._has_begun:
            self.path.unlink(missing_ok=True)  # it would stand in the way of the next try

    async def catch_up(self, parley: "ParleyClient", campaign_id: str) -> int:
        """Write the rows that have come since; how many. Raises `ParleyError`, `OSError`."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as batch:
            async with parley.campaigns.results(campaign_id, self._kind, after=self.rows) as blocks:
                async for block in blocks:
                    batch.write(block)
            batch.seek(0)
            # Only what begins with the first row has a header; it may have come once before any row did.
            rows, header_bytes = _counted(batch, self._kind, has_header=self.rows == 0)
            batch.seek(header_bytes if self._has_begun else 0)
            shutil.copyfileobj(batch, self._file)
        self._file.flush()
        self._has_begun = True
        self.rows += rows
        return rows


def _counted(batch: IO[bytes], kind: "ResultsKind", *, has_header: bool) -> tuple[int, int]:
    """Rows, and the length of the header before them."""
    if kind == "jsonl":
        return sum(1 for _ in batch), 0
    text = io.TextIOWrapper(batch, encoding="utf-8", newline="")
    read_bytes = 0

    def lines() -> Iterator[str]:
        nonlocal read_bytes
        for line in text:
            read_bytes += len(line.encode())
            yield line

    csv.field_size_limit(_LONGEST_CELL)  # a transcript; the default is 131,072
    rows = csv.reader(lines())  # not lines: a quoted cell may have several
    if has_header:
        next(rows, None)
    header_bytes = read_bytes
    count = sum(1 for _ in rows)
    text.detach()
    return count, header_bytes
