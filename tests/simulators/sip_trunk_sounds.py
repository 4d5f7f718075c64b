# SPDX-License-Identifier: GPL-3.0-or-later
"""What the trunk's far ends sound like, as G.711 mu-law, made once: Piper's voice, Asterisk's prompts, tones.

Rendering takes seconds, so it is kept: below the cache folder, a file for each sound, named by what it was made from.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.local.models import default_model_folder
from agent.local.piper import PiperVoiceModel
from media.frames import PcmSamples
from media.resample import resample
from media.tones import tone
from media.wav import read_wav
from tests.mulaw import mu_law
from tests.wer import SOUNDS_FOLDER

_RATE_HZ = 8000
_VERSION = 1
"""Raise it when what is made below changes: what was kept is made again."""
_SPEECH_DBFS = -22.0
_NOISE_DBFS = -62.0

_HELLOS = ("Hello?", "Hello.", "Yes?", "Hi.", "Hello, who is this?", "Joe speaking.", "Yeah, hello?", "Good morning.")
_REPLIES = ("Yes.", "Yes, that is right.", "No, thank you.", "Okay.", "Yes, please.", "That works for me.", "No.")
_GOODBYES = ("Okay, goodbye.", "Thank you, bye.", "Bye bye.")
_DO_NOT_CALL = ("Please take me off your list.", "Please don't call me again.")
_GREETINGS = (
    "Hi, this is Joe. I can't take your call right now. Please leave a message after the tone.",
    "You have reached the voicemail of Joe Miller. Please leave your name and number after the beep.",
    "Hello. We are not available at the moment. Leave a message and we will get back to you as soon as possible.",
    "Hey, it's Joe. You know what to do.",
)
_RECORDED_GREETINGS = (("vm-nobodyavail", "vm-intro"), ("vm-intro",))
"""Asterisk's own; `vm-intro` asks for the message."""
_OUT_OF_SERVICE = ("ss-noservice", "cannot-complete-as-dialed")
_VOICES = ((1.0, 1.0), (1.12, 1.0), (0.92, 1.1), (1.2, 0.9))
"""Pitch and pace of the speakers that are made of one voice."""
_BEEPS = ((1000.0, 400), (1400.0, 250), (440.0, 800), (850.0, 200))
"""Hz and ms of the beeps of different machines."""


@dataclass(frozen=True, slots=True)
class Sound:
    """One mu-law sound, 8 kHz."""

    name: str
    payload: bytes
    """Whole packets of 20 ms."""


@dataclass(frozen=True, slots=True)
class TrunkSounds:
    """Everything that is played."""

    hellos: Sequence[Sound]
    replies: Sequence[Sound]
    goodbyes: Sequence[Sound]
    do_not_call: Sequence[Sound]
    greetings: Sequence[Sound]
    """Of answering machines, up to the beep."""
    beeps: Sequence[Sound]
    out_of_service: Sequence[Sound]
    information_tones: Sound
    fax: Sound
    """A fax machine's answer (CED, T.30 section 4.1.2)."""
    ringback: Sound
    busy_tone: Sound
    noise: bytes
    """A second of what a line sounds like when nobody speaks."""


def load_trunk_sounds(*, voices: int = len(_VOICES)) -> TrunkSounds:
    """From the cache, or made now, which takes some three seconds for each voice. Raises `ModelError`, `OSError`."""
    return _Maker(default_model_folder(os.environ), _default_cache(os.environ)).make(_VOICES[:voices])


def _default_cache(environment: Mapping[str, str]) -> Path:
    folder = environment.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "parley/trunk-sounds"


class _Maker:
    def __init__(self, models: Path, kept: Path) -> None:
        self._models = models
        self._kept = kept
        self._voice: PiperVoiceModel | None = None

    def make(self, voices: Sequence[tuple[float, float]]) -> TrunkSounds:
        return TrunkSounds(
            hellos=[self._said(text, *voice) for voice in voices for text in _HELLOS],
            replies=[self._said(text, *voice) for voice in voices for text in _REPLIES],
            goodbyes=[self._said(text, *voice) for voice in voices for text in _GOODBYES],
            do_not_call=[self._said(text, *voice) for voice in voices for text in _DO_NOT_CALL],
            greetings=[
                *(self._said(text, *voices[index % len(voices)]) for index, text in enumerate(_GREETINGS)),
                *(self._recorded(names) for names in _RECORDED_GREETINGS),
            ],
            beeps=[Sound(f"beep {hz:.0f} Hz", _packets(tone((hz,), ms, _RATE_HZ))) for hz, ms in _BEEPS],
            out_of_service=[self._recorded((name,)) for name in _OUT_OF_SERVICE],
            information_tones=Sound("information tones", _packets(_information_tones())),
            fax=Sound("fax", _packets(tone((2100.0,), 3000, _RATE_HZ))),
            ringback=Sound("ringback", _packets(_with_silence(tone((440.0, 480.0), 2000, _RATE_HZ), 4000))),
            busy_tone=Sound("busy tone", _packets(_with_silence(tone((480.0, 620.0), 500, _RATE_HZ), 500))),
            noise=_packets(_noise(_RATE_HZ)),
        )

    def _said(self, text: str, pitch: float, pace: float) -> Sound:
        key = f"piper {text} {pitch} {pace}"
        return Sound(text, self._keep(key) or self._keep(key, self._render(text, pitch, pace)))

    def _render(self, text: str, pitch: float, pace: float) -> bytes:
        if self._voice is None:
            self._voice = PiperVoiceModel(self._models / "piper/voice.onnx", self._models / "piper/voice.onnx.json")
        # Played faster it sounds higher; spoken slower before, it takes no less time for that.
        samples = np.concatenate(list(self._voice.render(text, pace / pitch)))
        as_if_hz = round(self._voice.sample_rate_hz * pitch / 50) * 50
        return _packets(_levelled(resample(samples, as_if_hz, _RATE_HZ)))

    def _recorded(self, names: Sequence[str]) -> Sound:
        parts = []
        for name in names:
            samples, rate_hz = read_wav(SOUNDS_FOLDER / f"{name}.wav")
            parts.append(resample(samples, rate_hz, _RATE_HZ))
        return Sound(" ".join(names), _packets(_levelled(np.concatenate(parts))))

    def _keep(self, key: str, made: bytes = b"") -> bytes:
        """What is kept under this key, or to keep it from now on."""
        name = hashlib.sha256(f"{_VERSION} {key}".encode()).hexdigest()[:24]
        path = self._kept / f"{name}.ulaw"
        if not made:
            return path.read_bytes() if path.exists() else b""
        self._kept.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._kept, delete=False) as begun:  # others may be making it, too
            begun.write(made)
        Path(begun.name).replace(path)
        return made


def _levelled(samples: PcmSamples) -> PcmSamples:
    """Without silence before and after, at a telephone's level."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 300)
    sound = samples[loud[0] : loud[-1] + 1].astype(float)
    power = np.mean(np.square(sound[np.abs(sound) > 300]))
    return _rounded(sound * 10 ** (_SPEECH_DBFS / 20) * 32768 / np.sqrt(power))


def _information_tones() -> PcmSamples:
    """ "Vacant code": there is no such number. The third tone is always long."""
    parts = ((985.2, 380), (1370.6, 274), (1776.7, 380))
    return np.concatenate([tone((hz,), ms, _RATE_HZ) for hz, ms in parts])


def _with_silence(samples: PcmSamples, silence_ms: int) -> PcmSamples:
    return np.concatenate([samples, np.zeros(silence_ms * _RATE_HZ // 1000, np.int16)])


def _noise(samples: int) -> PcmSamples:
    return _rounded(np.random.default_rng(8).normal(0.0, 10 ** (_NOISE_DBFS / 20) * 32768, samples))


def _rounded(samples: NDArray[np.float64]) -> PcmSamples:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


def _packets(samples: PcmSamples) -> bytes:
    """With the line's noise, filled up to whole packets."""
    whole = np.zeros(-(-len(samples) // 160) * 160)
    whole[: len(samples)] = samples
    return mu_law(_rounded(whole + _noise(len(whole))))
