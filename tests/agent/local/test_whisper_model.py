# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest

from agent.errors import ModelError
from agent.local.logmel import SAMPLE_RATE_HZ, Waveform, waveform
from agent.local.whisper_model import QUICK, THOROUGH, Effort, WhisperModel, without_loop
from media.resample import resample
from tests.agent.local.recordings import RATE_HZ, TWO_SENTENCES, noise, prompt
from tests.wer import word_error_rate


@pytest.fixture(scope="module")
def model(model_folder: Path) -> WhisperModel:
    return WhisperModel(model_folder / "whisper", parallel=1)


def heard(name: str) -> tuple[Waveform, str]:
    samples, words = prompt(name)
    return waveform(resample(samples, RATE_HZ, SAMPLE_RATE_HZ)), words


@pytest.mark.parametrize("effort", [THOROUGH, QUICK])
def test_a_sentence_is_understood(model: WhisperModel, effort: Effort) -> None:
    audio, words = heard(TWO_SENTENCES)
    decoded = model.decode(audio, effort)
    assert word_error_rate([words], [decoded.text]) == 0
    assert 0.5 < decoded.confidence <= 1


def test_what_is_no_speech_has_no_words(model: WhisperModel) -> None:
    for sound in (noise(1.0, 0.0), noise(1.0, 300.0), np.zeros(0, np.int16)):
        decoded = model.decode(waveform(resample(sound, RATE_HZ, SAMPLE_RATE_HZ)), THOROUGH)
        assert (decoded.text, decoded.confidence) == ("", 0.0)


def test_hints_decide_between_words_that_sound_alike(model: WhisperModel) -> None:
    audio, words = heard("from-unknown-caller")
    assert word_error_rate([words], [model.decode(audio, THOROUGH).text]) > 0
    assert word_error_rate([words], [model.decode(audio, THOROUGH, hints=["callee", "caller"]).text]) == 0


@pytest.mark.parametrize("name", [TWO_SENTENCES, "is-set-to"])
def test_too_many_hints_neither_harm_nor_shorten_what_is_heard(model: WhisperModel, name: str) -> None:
    audio, _ = heard(name)
    decoded = model.decode(audio, THOROUGH, hints=["conference", "extension", "voicemail", "Aetna"] * 100)
    assert word_error_rate([model.decode(audio, THOROUGH).text], [decoded.text]) == 0


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=str(tmp_path)):
        WhisperModel(tmp_path, parallel=1)


@pytest.mark.parametrize(
    ("tokens", "was_cut", "expected"),
    [
        ([1, 2, 3, 1, 2, 3, 1, 2, 3], False, [1, 2, 3]),
        ([1, 2, 3, 1, 2, 3, 1, 2], False, [1, 2, 3]),
        ([9, 8, 1, 2, 1, 2, 1, 2, 1, 2], True, [9, 8, 1, 2]),
        ([9, 8, 1, 2, 1, 2, 1, 2, 1, 2], False, [9, 8, 1, 2, 1, 2, 1, 2, 1, 2]),
        ([5, 5, 5], True, [5, 5, 5]),
        ([1, 2, 3, 4, 5, 6, 7, 8], True, [1, 2, 3, 4, 5, 6, 7, 8]),
        ([], True, []),
    ],
)
def test_only_loops_are_cut(tokens: list[int], was_cut: bool, expected: list[int]) -> None:
    assert without_loop(tokens, was_cut=was_cut) == expected
