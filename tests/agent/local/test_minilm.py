# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest

from agent.errors import ModelError
from agent.local.engines import OfflineEngines
from agent.local.minilm import SentenceEmbedder


def test_what_means_the_same_is_nearer_than_what_sounds_the_same(engines: OfflineEngines) -> None:
    question, same, other = engines.embedder.embed(
        ["How much does it cost?", "What is the price?", "How much does it weigh?"]
    )
    assert question @ same > question @ other


def test_vectors_have_length_one_and_do_not_depend_on_their_neighbours(engines: OfflineEngines) -> None:
    texts = ["Hello.", "A much longer sentence about opening hours and prices.", ""]
    together = engines.embedder.embed(texts)
    assert together.shape == (3, 384)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(engines.embedder.embed([texts[0]])[0], together[0])


def test_a_text_longer_than_the_model_reads_is_cut(engines: OfflineEngines) -> None:
    long = "word " * 2000
    assert np.array_equal(engines.embedder.embed([long]), engines.embedder.embed([long + "and more"]))


def test_a_broken_tokenizer_is_named(model_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{}")
    with pytest.raises(ModelError, match=str(broken)):
        SentenceEmbedder(model_folder / "minilm/model.onnx", broken)


def test_a_broken_model_is_named(model_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match=str(broken)):
        SentenceEmbedder(broken, model_folder / "minilm/tokenizer.json")
