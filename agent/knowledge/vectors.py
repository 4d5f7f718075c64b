# SPDX-License-Identifier: GPL-3.0-or-later
"""Vectors of texts, kept on the disk: what was embedded once with this model is never embedded again.

    folder / MODEL HASH / CONTENT HASH.npy     float32, shape (texts, dimensions), one file per document

A file that is damaged counts as missing; one that nothing has used for 30 days is removed at the next start.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

log = structlog.get_logger(__name__)

Vectors = NDArray[np.float32]

_UNUSED_S = 30 * 86_400


class VectorStore:
    """The vectors of one model. Methods block: call them in a thread."""

    def __init__(self, folder: Path | None, model_hash: str, dimensions: int) -> None:
        """`folder` None: nothing is kept."""
        self._folder = None if folder is None else folder / model_hash[:16]
        self._dimensions = dimensions

    def read(self, texts: Sequence[str]) -> Vectors | None:
        """The vectors of these texts, in order; None when they are not there."""
        if self._folder is None:
            return None
        path = self._path(texts)
        try:
            vectors: Vectors = np.load(path, allow_pickle=False)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError) as error:
            log.warning("vectors_unreadable", file=str(path), cause=type(error).__name__)
            return None
        fits = vectors.shape == (len(texts), self._dimensions) and vectors.dtype == np.float32
        return vectors if fits else None

    def write(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Keep them; a disk that refuses costs time at the next start, and nothing else."""
        if self._folder is None:
            return
        path = self._path(texts)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.save(file, vectors, allow_pickle=False)
            part.replace(path)
        except OSError as error:
            log.warning("vectors_not_kept", file=str(path), cause=error.strerror)

    def remove_unused(self) -> None:
        """Remove what nothing has used for long, of other models too."""
        if self._folder is None:
            return
        before = time.time() - _UNUSED_S
        for path in [*self._folder.parent.glob("*/*.npy"), *self._folder.parent.glob("*/*.part")]:
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
            except OSError:
                continue  # another gateway removed it

    def _path(self, texts: Sequence[str]) -> Path:
        assert self._folder is not None
        return self._folder / f"{content_hash(texts)}.npy"


def content_hash(texts: Sequence[str]) -> str:
    """The same for the same texts in the same order, and for no others."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
