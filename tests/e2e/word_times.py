# SPDX-License-Identifier: GPL-3.0-or-later
"""When the offline voice says each word, by the voice's own phoneme lengths: the truth beside what we count as heard.

VITS decides how long each phoneme lasts before it makes a sample (the tensor behind its only `Ceil`), so no recogniser
guesses here. Each rendering is another one, though: an answer that came over a line is laid beside one whose times are
known by dynamic time warping of their spectra.
"""

import json
import os
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig

from agent.local.catalogue import PIPER_CONFIG, PIPER_VOICE
from agent.local.models import default_model_folder
from agent.speakable import speakable
from media.frames import PcmSamples
from media.resample import resample

RATE_HZ = 8000
_LENGTHS = b"/Ceil_output_0"
_NO_SOUND = str.maketrans("", "", "ˈˌː.,;:!?\"' ")
_HOP, _FFT = 80, 256
_BANDS = 24
_STRAY_S = 2.0
"""How far the two renderings may be apart."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TimedSpeech:
    """A rendering, 8 kHz."""

    words: tuple[str, ...]
    samples: PcmSamples
    middles: Floats
    """Of each word, in samples."""

    def heard(self, until: int) -> int:
        """Words of which more than half is before this sample."""
        return int(np.count_nonzero(self.middles < until))


class TimedVoice:
    """The offline voice, with its phonemes' lengths."""

    def __init__(self) -> None:
        folder = default_model_folder(os.environ)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        # One more output: protocol buffers one after another are merged, field by field. ModelProto.graph (7),
        # GraphProto.output (12), ValueInfoProto.name (1).
        value = _field(12, _field(1, _LENGTHS))
        model = (folder / PIPER_VOICE).read_bytes() + _field(7, value)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        settings = PiperConfig.from_dict(json.loads((folder / PIPER_CONFIG).read_text(encoding="utf-8")))
        self._voice = PiperVoice(session=session, config=settings)

    def say(self, sentence: str) -> TimedSpeech:
        """One sentence, or a part of one."""
        words = sentence.split()
        spoken = [speakable(word) for word in words]
        chunks = list(self._voice.synthesize(speakable(sentence), SynthesisConfig(volume=0.8), include_alignments=True))
        assert len(chunks) == 1, "one sentence"
        assert chunks[0].phoneme_alignments is not None
        groups: list[list[tuple[int, int]]] = [[]]
        at = 0
        for phoneme in chunks[0].phoneme_alignments:
            begin, at = at, at + int(phoneme.num_samples)
            if phoneme.phoneme == " ":
                groups.append([])
            elif phoneme.phoneme not in "^$" and phoneme.phoneme.translate(_NO_SOUND):
                groups[-1].append((begin, at))
        rate = chunks[0].sample_rate
        sizes = [
            len("".join("".join(part) for part in self._voice.phonemize(word)).translate(_NO_SOUND)) for word in spoken
        ]
        middles = _spread([group for group in groups if group], sizes)
        samples = resample(chunks[0].audio_int16_array, rate, RATE_HZ)
        return TimedSpeech(tuple(words), samples, middles * RATE_HZ / rate)

    def say_all(self, sentences: list[str]) -> TimedSpeech:
        """One after the other."""
        parts = [self.say(sentence) for sentence in sentences]
        starts = np.cumsum([0, *(len(part.samples) for part in parts[:-1])])
        return TimedSpeech(
            tuple(word for part in parts for word in part.words),
            np.concatenate([part.samples for part in parts]),
            np.concatenate([part.middles + start for part, start in zip(parts, starts, strict=True)]),
        )


def lay_over(known: TimedSpeech, heard: PcmSamples) -> TimedSpeech:
    """The same words in another rendering, of which the end may be missing: words beyond it are at its end."""
    ours, theirs = _spectra(known.samples), _spectra(heard)
    width = round(_STRAY_S * RATE_HZ / _HOP)
    cost = np.full((len(theirs) + 1, len(ours) + 1), np.inf)
    cost[0, 0] = 0.0
    for row in range(1, len(theirs) + 1):
        first, last = max(1, row - width), min(len(ours), row + width)
        apart = np.linalg.norm(ours[first - 1 : last] - theirs[row - 1], axis=1)
        before = np.minimum(cost[row - 1, first : last + 1] + apart, cost[row - 1, first - 1 : last] + apart)
        left = cost[row, first - 1]
        for column in range(first, last + 1):
            left = min(before[column - first], left + apart[column - first])
            cost[row, column] = left
    row, column = len(theirs), int(np.argmin(cost[len(theirs), 1:])) + 1
    places = np.full(len(ours), len(heard), dtype=np.float64)
    while row and column:
        places[column - 1] = (row - 1) * _HOP
        steps = ((row - 1, column - 1), (row - 1, column), (row, column - 1))
        row, column = min(steps, key=lambda step: float(cost[step]))
    at = np.clip((known.middles / _HOP).astype(int), 0, len(ours) - 1)
    return TimedSpeech(known.words, heard, places[at])


def _spread(groups: list[list[tuple[int, int]]], sizes: list[int]) -> Floats:
    """Middles of words of so many phonemes each. The voice says some words as one ("of the"), and numbers as several:
    phonemes are dealt out in order, by the share that each word has of all."""
    phonemes = [phoneme for group in groups for phoneme in group]
    ends = np.rint(np.cumsum(sizes) * len(phonemes) / sum(sizes)).astype(int)
    if len(groups) == len(sizes):
        ends = np.cumsum([len(group) for group in groups])
    begins = [0, *ends[:-1]]
    return np.array([(phonemes[a][0] + phonemes[max(a, b - 1)][1]) / 2 for a, b in zip(begins, ends, strict=True)])


def _spectra(samples: PcmSamples) -> Floats:
    """Log powers in bands, shape (n, bands); loudness itself counts for little."""
    count = max(1, 1 + (len(samples) - _FFT) // _HOP)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples.astype(np.float64), (0, _FFT)), _FFT)[::_HOP]
    powers = np.abs(np.fft.rfft(windows[:count] * np.hanning(_FFT))) ** 2
    edges = np.unique(np.geomspace(2, _FFT // 2, _BANDS + 1).astype(int))
    bands = np.log10(np.add.reduceat(powers, edges[:-1], axis=1) + 1e4)
    return np.asarray(bands - 0.5 * bands.mean(axis=1, keepdims=True))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer; shorter than 128 bytes."""
    return bytes((number << 3 | 2, len(content))) + content
