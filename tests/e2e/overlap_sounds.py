# SPDX-License-Identifier: GPL-3.0-or-later
"""What callers do while somebody else speaks: break in, say "uh-huh", cough. 8 kHz, -20 dBov, without silence around.

Real interruptions are recorded prompts of a human speaker (asterisk-core-sounds-en-wav) and sentences of the offline
voice. Back-channels are the offline voice at several paces and pitches, one given as phonemes, because it spells "mhm".
Coughs are shaped noise, some with a voiced end. Nothing better is at hand: all but the prompts is synthetic.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from media.frames import PcmSamples
from media.wav import read_wav
from tests.e2e.conftest import Voice
from tests.wer import load_prompts

_RATE_HZ = 8000
_LEVEL_DBOV = -20.0

INTERRUPTIONS = (
    "Stop.",
    "No.",
    "Wait.",
    "Hold on.",
    "Wait a minute.",
    "Sorry, can I ask something?",
    "No, that's not what I meant.",
    "What about Saturday?",
    "How much does that cost?",
    "Can I speak to a human?",
    "Excuse me, where are you?",
    "Stop, I have another question.",
    "Okay, but what about children?",
    "Yes, I know that, go to the prices.",
    "Actually, I need an appointment.",
    "My tooth hurts really badly.",
    "I'm calling about my insurance.",
    "Do you take credit cards?",
    "That's enough, thank you, what are your hours?",
    "Let me stop you there.",
    "Right, and when do you open on Monday?",
    "Tuesday afternoon would be better for me.",
    "I already have an account with you.",
    "Please speak more slowly.",
    "Hello? Can you hear me?",
    "Who am I talking to?",
    "Just tell me the address.",
    "My daughter is five years old.",
    "No no no, listen.",
    "Uh, wait, I didn't get that.",
)
_BACKCHANNELS = (
    "Uh-huh.",
    "Okay.",
    "Right.",
    "Yeah.",
    "I see.",
    "Sure.",
    "Got it.",
    "Oh, right.",
    "Okay, okay.",
    "Yes.",
    "[[ m\u0329h\u02c8m\u0329 ]].",  # mhm
    "Hmm.",
)
_SPEAKERS = ((1.0, 1.0), (1.1, 1.2), (0.85, 0.9))
"""Pace and pitch."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Something a caller does."""

    name: str
    samples: PcmSamples
    words: str = ""


def interruptions(voice: Voice, count: int) -> list[Sound]:
    """Half of them by a human, half by the offline voice."""
    paths = [
        (path, words)
        for path, words in load_prompts().values()
        if 3 <= len(words.split()) <= 8 and not re.search("bye|thank|hello", words.lower())
    ]
    human = [
        Sound(f"human: {words}", levelled(read_wav(path)[0]), words)
        for path, words in paths[:: max(1, len(paths) // (count - count // 2))]
    ]
    machine = []
    for index, words in enumerate(INTERRUPTIONS[: count // 2]):
        pace, pitch = _SPEAKERS[index % len(_SPEAKERS)]
        machine.append(Sound(words, levelled(voice.say(words, _RATE_HZ, pace=pace, pitch=pitch)), words))
    return [*human[: count - len(machine)], *machine]


def backchannels(voice: Voice) -> list[Sound]:
    """Twelve in three voices each."""
    return [
        Sound(f"{words} {pace:g}/{pitch:g}", levelled(voice.say(words, _RATE_HZ, pace=pace, pitch=pitch)))
        for words in _BACKCHANNELS
        for pace, pitch in _SPEAKERS
    ]


def coughs(count: int) -> list[Sound]:
    """150 to 450 ms of noise through a throat's formants, one or two bursts, every other one with a voiced end."""
    rng = np.random.default_rng(5)
    return [
        _cough(rng, 150 + 300 * index // max(1, count - 1), 1 + index % 2, index // 2 % 2 == 1)
        for index in range(count)
    ]


def _cough(rng: np.random.Generator, ms: int, bursts: int, voiced: bool) -> Sound:
    samples = ms * _RATE_HZ // 1000
    seconds = np.arange(samples) / _RATE_HZ
    spectrum = np.fft.rfft(rng.normal(0, 1, samples))
    hz = np.fft.rfftfreq(samples, 1 / _RATE_HZ)
    throat = 1 / (1 + ((hz - 900) / 600) ** 2) + 0.5 / (1 + ((hz - 2500) / 500) ** 2)
    noise = np.fft.irfft(spectrum * throat, samples)
    noise /= np.abs(noise).max()
    burst = noise * np.minimum(seconds / 0.008, 1) * np.exp(-seconds / (ms / 3000))
    if voiced:
        pitch = 2 * np.pi * np.cumsum(160 - 200 * seconds) / _RATE_HZ
        hum = sum(np.sin(k * pitch) / k for k in range(1, 12))
        burst += 0.3 * hum * np.clip((seconds - 0.3 * seconds[-1]) / 0.05, 0, 1) * np.exp(-seconds / (ms / 3000))
    gap = np.zeros(_RATE_HZ // 8)
    whole = np.concatenate([burst, *([gap, 0.8 * burst] * (bursts - 1))])
    return Sound(f"cough {ms} ms x{bursts}{' voiced' if voiced else ''}", levelled(whole))


def levelled(samples: PcmSamples | Sequence[float]) -> PcmSamples:
    """At the usual level, from its first audible sample to its last."""
    signal = np.asarray(samples, dtype=np.float64)
    signal = signal * (8000 / np.abs(signal).max())
    signal = signal * (32768 * 10 ** (_LEVEL_DBOV / 20) / np.sqrt(np.mean(signal[np.abs(signal) > 300] ** 2)))
    audible = np.flatnonzero(np.abs(signal) > 200)
    cut = signal[int(audible[0]) : int(audible[-1]) + 1]
    padded = np.concatenate([cut, np.zeros(-len(cut) % 160)])
    whole: PcmSamples = np.clip(padded, -32767, 32767).astype(np.int16)
    return whole
