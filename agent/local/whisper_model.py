# SPDX-License-Identifier: GPL-3.0-or-later
"""Whisper on CTranslate2: one stretch of audio in, its text out. Knows nothing of calls or streams.

    audio > log-mel, zero padded to a short window > encoder > beam search > guards > text

Whisper was trained on windows of 30 s; the encoder's time grows with the window, and most turns last 3 s. A window of
the audio plus 7 s is four times faster at the same error rate (measured; faster-whisper always pads to 30 s). The price
is that a short window makes tiny.en loop ("press one press one ..."), which four guards cure: timestamps stay on, new
tokens are capped by the audio's length, repetitions are cut, and what is probably not speech is dropped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import ctranslate2
import numpy as np
from tokenizers import Tokenizer

from agent.errors import ModelError
from agent.local.logmel import SAMPLE_RATE_HZ, Waveform, log_mel

T = TypeVar("T")

MAX_AUDIO_S = 30.0

_WINDOWS_S = (4, 6, 8, 10, 12, 14, 16, 20, 24, 30)
"""Few sizes, because every new one makes CTranslate2 keep more buffers: 222 MB against 440 to 520 with free sizes."""
_TOKENS_AT_LEAST = 8
_TOKENS_PER_SECOND = 6
"""Fast speech has about four words a second, a word one or two tokens, and two timestamps for each segment."""
_HINT_TOKENS = 64
_LOOP_LENGTH = 6
"""Shorter outputs are not looked at: "no, no, no" is speech."""
_NO_SPEECH_ABOVE = 0.6
_LOG_PROBABILITY_BELOW = -1.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time a decode may take."""

    padding_s: float
    """Silence behind the audio, before rounding up to a window."""
    beam: int


THOROUGH = Effort(padding_s=7.0, beam=5)
QUICK = Effort(padding_s=4.0, beam=1)


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    """Empty when it was not speech."""
    confidence: float
    """Geometric mean of the tokens' probabilities, 0 to 1; 0 for empty text."""


class WhisperModel:
    """The weights, shared by all calls. `decode` may run in several threads at once."""

    def __init__(self, folder: Path, parallel: int) -> None:
        """`parallel` decodes run side by side, one thread each. Raises `ModelError`."""
        try:
            self._whisper = ctranslate2.models.Whisper(
                str(folder), device="cpu", compute_type="int8", inter_threads=parallel, intra_threads=1
            )
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises bare Exception, CTranslate2 RuntimeError and ValueError
            raise ModelError(f"Whisper model in {folder} cannot be loaded: {error}") from error
        self._multilingual: bool = self._whisper.is_multilingual
        self._end_of_text = self._token("<|endoftext|>")

    def knows(self, language: str) -> bool:
        """Whether it understands the language of this ISO 639-1 code."""
        if not self._multilingual:
            return language == "en"
        return self._tokenizer.token_to_id(f"<|{language}|>") is not None

    def decode(self, audio: Waveform, effort: Effort, hints: Sequence[str] = (), language: str = "en") -> Decoded:
        """The words in at most 30 s of 16 kHz audio. `hints` are words to expect: names, products."""
        seconds = len(audio) / SAMPLE_RATE_HZ
        window_s = next((size for size in _WINDOWS_S if size >= seconds + effort.padding_s), _WINDOWS_S[-1])
        features = log_mel(audio, window_s * SAMPLE_RATE_HZ)
        prompt = self._prompt(hints, language)
        most_tokens = _TOKENS_AT_LEAST + math.ceil(_TOKENS_PER_SECOND * seconds)
        (result,) = self._whisper.generate(
            ctranslate2.StorageView.from_array(features[np.newaxis]),
            [prompt],
            beam_size=effort.beam,
            # CTranslate2 generates half of it at most, and 4.8.5 dies of a prompt that is longer (segmentation fault).
            max_length=max(2 * most_tokens, len(prompt) + most_tokens),
            return_scores=True,
            return_no_speech_prob=True,
        )
        generated: list[int] = result.sequences_ids[0]
        log_probability: float = result.scores[0]
        if result.no_speech_prob > _NO_SPEECH_ABOVE and log_probability < _LOG_PROBABILITY_BELOW:
            return Decoded("", 0.0)
        tokens = [token for token in generated if token < self._end_of_text]  # timestamps come after it
        was_cut = len(generated) >= most_tokens
        text = self._tokenizer.decode(without_loop(tokens, was_cut=was_cut)).strip()
        if not any(character.isalnum() for character in text):
            return Decoded("", 0.0)
        # Once more by words: a sentence may come back with a capital letter, which is another token.
        words = text.split()
        kept = len(without_loop([word.strip(".,?!").lower() for word in words], was_cut=was_cut))
        return Decoded(" ".join(words[:kept]), math.exp(min(log_probability, 0.0)))

    def _prompt(self, hints: Sequence[str], language: str) -> list[int]:
        prompt: list[int] = []
        if hints:
            expected = self._tokenizer.encode(" " + ", ".join(hints), add_special_tokens=False).ids
            prompt += [self._token("<|startofprev|>"), *expected[:_HINT_TOKENS]]
        prompt.append(self._token("<|startoftranscript|>"))
        if self._multilingual:
            prompt += [self._token(f"<|{language}|>"), self._token("<|transcribe|>")]
        return prompt  # without <|notimestamps|>: timestamps are one of the guards

    def _token(self, name: str) -> int:
        token = self._tokenizer.token_to_id(name)
        if token is None:
            raise ModelError(f"the Whisper tokenizer has no token {name}")
        return int(token)


def without_loop(items: list[T], *, was_cut: bool) -> list[T]:
    """Tokens or words, a repeated period kept once: P P P is P. When the token cap cut the output, Q P P P is Q P."""
    if len(items) < _LOOP_LENGTH:
        return items
    for start in range(len(items) if was_cut else 1):
        rest = items[start:]
        for period in range(1, len(rest) // 2 + 1):
            if start and len(rest) < max(2 * period, _LOOP_LENGTH + 2):
                break
            if rest[period:] == rest[:-period]:
                return items[: start + period]
    return items
