# SPDX-License-Identifier: GPL-3.0-or-later
"""A test set for end-of-turn decisions: utterances at 8 kHz G.711 whose pauses and ends are known to the sample.

    recorded     Asterisk's English prompts, one speaker: a natural pause at a comma is stretched
    recorded     the same speaker's digits and letters, put together in groups as callers dictate them
    synthesised  a caller's sentences with Piper, rendered whole, so that the voice goes on before a pause as it does
                 within a sentence, and then stretched in the gaps it makes

Pauses are drawn from 0.3 to 1.5 s, seeded, evenly on a logarithmic scale: short ones are more frequent, as in speech.
One half is for tuning, the other for the test: nobody looks at what becomes of those while choosing settings. As the
misses of that half became known by kind, there are fresh ones, written before the settings were chosen again; they
are spoken at three speeds.
"""

import random
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.local.piper import PiperVoiceModel
from media.frames import PcmSamples
from media.resample import resample
from media.wav import read_wav
from tests.mulaw import from_mu_law, mu_law
from tests.wer import SOUNDS_FOLDER, load_prompts

RATE_HZ = 8000
_TEXTS = Path(__file__).parent / "data" / "utterances.toml"
PAUSE_S = (0.3, 1.5)
_LEAD_S, _TAIL_S = 0.6, 2.6
_LINE_NOISE_DBFS = -66.0
_SPEECH_DBFS = -24.0
_QUIET_DB = 40.0
"""Below an utterance's loudest 10 ms: not speech any more."""
_STEP = RATE_HZ // 100
_NATURAL_PAUSE_S = 0.12
"""A gap in a recorded prompt from which on it is one the speaker made, and may be stretched."""

HELP = "Hello, how can I help you?"


@dataclass(frozen=True)
class Utterance:
    """One turn of a caller."""

    name: str
    kind: str
    """As in the file of texts, or `prompt`."""
    is_recorded: bool
    half: str
    """`tune`, `test` or `fresh`."""
    question: str
    """What we said before."""
    samples: PcmSamples
    """With a silent lead and tail, as it comes out of a G.711 decoder."""
    pauses_s: tuple[tuple[float, float], ...]
    """Begin and end of each pause within the turn."""
    ended_s: float
    """After the last sample of speech."""


_RECORDED_NAMES = {"@": "letters/at", ".": "letters/dot"}
_MOST_IN_CLAUSE, _MOST_COMPLETE_PROMPTS = 17, 8
_FEWEST_WORDS = 6
_SPEEDS = (1.0, 0.85, 1.2)


def load_utterances(voice: PiperVoiceModel, seed: int = 5) -> list[Utterance]:
    """The whole set; without the prompts' package only what is synthesised."""
    draw, fresh_draw = random.Random(seed), random.Random(seed + 1)
    found: list[Utterance] = []
    for half, kinds in tomllib.loads(_TEXTS.read_text(encoding="utf-8")).items():
        for kind, questions in kinds.items():
            is_recorded = kind.startswith("recorded")
            if is_recorded and not SOUNDS_FOLDER.exists():
                continue
            for question, texts in questions.items():
                for text in texts:
                    speed = _SPEEDS[len(found) % len(_SPEEDS)] if half == "fresh" else 1.0
                    parts = [_dictate(group) for group in text.split()] if is_recorded else _render(voice, text, speed)
                    # Of its own, so that the pauses of the older ones stay as they are.
                    lengths = fresh_draw if half == "fresh" else draw
                    found.append(_utterance(text, kind, is_recorded, half, question, parts, lengths))
    for index, (text, parts) in enumerate(_prompts()):
        found.append(_utterance(text, "prompt", True, ("tune", "test")[index % 2], HELP, parts, draw))
    return found


def _utterance(
    name: str,
    kind: str,
    is_recorded: bool,
    half: str,
    question: str,
    parts: Sequence[PcmSamples],
    draw: random.Random,
) -> Utterance:
    """The parts with pauses between them, at a common level, with the noise of a line, through G.711."""
    shortest, longest = PAUSE_S
    pauses_s = [round(shortest * (longest / shortest) ** draw.random(), 2) for _ in parts[1:]]
    level = 10 ** (_SPEECH_DBFS / 20) * 32768 / np.sqrt(np.mean(np.concatenate(parts).astype(float) ** 2))
    pieces = [np.zeros(round(_LEAD_S * RATE_HZ)), parts[0] * level]
    gaps: list[tuple[float, float]] = []
    for part, pause_s in zip(parts[1:], pauses_s, strict=True):
        begin = sum(len(piece) for piece in pieces) / RATE_HZ
        gaps.append((begin, begin + pause_s))
        pieces += [np.zeros(round(pause_s * RATE_HZ)), part * level]
    ended_s = sum(len(piece) for piece in pieces) / RATE_HZ
    sound = np.concatenate([*pieces, np.zeros(round(_TAIL_S * RATE_HZ))])
    sound += np.random.default_rng(len(sound)).normal(0.0, 10 ** (_LINE_NOISE_DBFS / 20) * 32768, len(sound))
    samples = from_mu_law(mu_law(np.clip(np.rint(sound), -32768, 32767).astype(np.int16)))
    return Utterance(name, kind, is_recorded, half, question, samples, tuple(gaps), ended_s)


def _render(voice: PiperVoiceModel, text: str, speed: float) -> list[PcmSamples]:
    """The sentence as a whole, cut in the gaps that the voice makes at its commas: it goes on before each pause."""
    parts = text.split("|")
    samples = np.concatenate(list(voice.render(" ".join(part.strip() for part in parts), speed)))
    sound = _trim(resample(samples, voice.sample_rate_hz, RATE_HZ))
    gaps: list[tuple[int, int]] = []
    spoken = np.cumsum([len(part) for part in parts])
    for place in spoken[:-1] / spoken[-1] * len(sound):
        # The gap that is long and near where the pause belongs by the length of the text.
        after = [gap for gap in _gaps(sound, 30.0) if not gaps or gap[0] >= gaps[-1][1] + RATE_HZ // 10]
        gaps.append(max(after, key=lambda gap: (gap[1] - gap[0]) - abs((gap[0] + gap[1]) / 2 - place) * 0.25))
    return _parts(sound, gaps)


def _dictate(group: str) -> PcmSamples:
    """Digits and letters one after the other, as closely as a speaker would."""
    parts: list[PcmSamples] = []
    for sign in group:
        name = f"digits/{sign}" if sign.isdigit() else _RECORDED_NAMES.get(sign, f"letters/{sign}")
        samples, rate_hz = read_wav(SOUNDS_FOLDER / f"{name}.wav")
        parts += [_trim(resample(samples, rate_hz, RATE_HZ)), np.zeros(RATE_HZ // 20, np.int16)]
    return np.concatenate(parts[:-1])


def _prompts() -> Iterable[tuple[str, list[PcmSamples]]]:
    """Prompts of one sentence: those with a comma, paused where the speaker paused; some without, paused at the longest
    gap inside the clause; and some without a pause."""
    at_comma: list[tuple[str, list[PcmSamples]]] = []
    in_clause: list[tuple[str, list[PcmSamples]]] = []
    complete: list[tuple[str, list[PcmSamples]]] = []
    for path, text in load_prompts().values():
        if len(re.findall(r"[.!?]\s", text)) or not text[0].isupper() or "..." in text:
            continue
        sound = _sound(path)
        gaps = _gaps(sound)
        natural = [gap for gap in gaps if gap[1] - gap[0] >= _NATURAL_PAUSE_S * RATE_HZ]
        if "," in text[:-1]:
            if natural:
                at_comma.append((text, _parts(sound, natural)))
        elif (
            len(text.split()) >= _FEWEST_WORDS
            and len(in_clause) < _MOST_IN_CLAUSE
            and len(in_clause) <= 2 * len(complete)
        ):
            inner = [gap for gap in gaps if 0.3 * len(sound) < gap[0] and gap[1] < 0.7 * len(sound)]
            if inner:
                longest = max(inner, key=lambda gap: gap[1] - gap[0])
                in_clause.append((text, _parts(sound, [longest])))
        elif not natural and len(complete) < _MOST_COMPLETE_PROMPTS:
            complete.append((text, [sound]))
    return [*at_comma, *in_clause, *complete]


def _parts(sound: PcmSamples, gaps: Sequence[tuple[int, int]]) -> list[PcmSamples]:
    """The sound without these gaps."""
    begins, ends = [0, *(end for _, end in gaps)], [*(begin for begin, _ in gaps), len(sound)]
    return [sound[begin:end] for begin, end in zip(begins, ends, strict=True)]


def _sound(path: Path) -> PcmSamples:
    samples, rate_hz = read_wav(path)
    return _trim(resample(samples, rate_hz, RATE_HZ))


def _loud(samples: PcmSamples, quiet_db: float = _QUIET_DB) -> NDArray[np.bool_]:
    """Of each 10 ms, whether it is speech."""
    steps = samples[: len(samples) // _STEP * _STEP].astype(float).reshape(-1, _STEP)
    power = (steps**2).mean(axis=1)
    is_loud: NDArray[np.bool_] = power > power.max() * 10 ** (-quiet_db / 10)
    return is_loud


def _trim(samples: PcmSamples) -> PcmSamples:
    loud = np.flatnonzero(_loud(samples))
    return samples[loud[0] * _STEP : (loud[-1] + 1) * _STEP]


def _gaps(sound: PcmSamples, quiet_db: float = _QUIET_DB) -> list[tuple[int, int]]:
    """The longest gaps of an utterance, at most two, in order: first and last sample of each."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], _loud(sound, quiet_db), [True])).astype(int)))
    gaps = [(int(begin) * _STEP, int(end) * _STEP) for begin, end in zip(edges[::2], edges[1::2], strict=True)]
    return gaps
