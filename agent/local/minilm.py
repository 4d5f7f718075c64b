# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentence vectors by MiniLM (all-MiniLM-L6-v2, int8): texts that mean nearly the same lie close together.

text > WordPiece tokens > transformer > mean over the tokens > length 1; the cosine is then a dot product
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from agent.errors import ModelError
from agent.local.onnx import OnnxModel

_MOST_TOKENS = 256
"""The model was trained on no more."""

DIMENSIONS = 384

Vectors = NDArray[np.float32]


class SentenceEmbedder:
    """The weights, shared by all calls. `embed` may run in several threads at once."""

    def __init__(self, model: Path, tokenizer: Path) -> None:
        """Raises `ModelError`."""
        self._model = OnnxModel(model)
        self.model_hash = _hash_of(model, tokenizer)
        """Vectors of models with another one cannot be compared with these."""
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelError(f"tokenizer {tokenizer} cannot be loaded: {error}") from error
        self._tokenizer.enable_truncation(_MOST_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, shape (n, 384).

        One by one: int8 scales come from the whole batch, so a text's vector would depend on its neighbours.
        """
        return np.stack([self._embed(text) for text in texts])

    def _embed(self, text: str) -> Vectors:
        tokens = np.array([self._tokenizer.encode(text).ids], np.int64)
        (states,) = self._model.run(
            None,
            {
                "input_ids": tokens,
                "attention_mask": np.ones_like(tokens),
                "token_type_ids": np.zeros_like(tokens),
            },
        )
        mean: Vectors = states[0].mean(axis=0)
        return mean / np.linalg.norm(mean)


def _hash_of(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
