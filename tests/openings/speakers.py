# SPDX-License-Identifier: GPL-3.0-or-later
"""Voices to make openings with, at 8 kHz: Piper's, and those of Flite where Debian's libflite1 is installed.

Flite's C interface (flite.h of version 2.2): flite_init, flite_text_to_wave, and a function per voice.
"""

import ctypes
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from agent.local.piper import PiperVoiceModel
from media.frames import PcmSamples
from media.resample import resample

RATE_HZ = 8000
Speaker = Callable[[str], PcmSamples]
"""A text as sound, without silence before and after."""
FLITE_PACKAGE = "libflite1"
_STEP = RATE_HZ // 100
_QUIET_DB = 40.0


class _Wave(ctypes.Structure):
    """`cst_wave` of Flite."""

    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


@lru_cache
def _flite() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
        for name in ("libflite_usenglish.so.1", "libflite_cmulex.so.1"):
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None
    library.flite_init()
    library.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
    library.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    library.delete_wave.argtypes = [ctypes.POINTER(_Wave)]
    return library


def has_flite() -> bool:
    return _flite() is not None


def flite(name: str, pitch: float = 1.0) -> Speaker:
    """One of Flite's voices: `kal`, `awb`, `rms`, `slt`; higher (and faster) by the factor `pitch`."""
    library = _flite()
    if library is None:
        raise RuntimeError(f"Flite's voices need the Debian package {FLITE_PACKAGE}")
    register = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
    register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    voice = register(None)

    def say(text: str) -> PcmSamples:
        wave = library.flite_text_to_wave(text.encode(), voice)
        made = wave.contents
        samples: PcmSamples = np.ctypeslib.as_array(made.samples, (made.num_samples,)).copy()
        rate_hz = made.sample_rate
        library.delete_wave(wave)
        return trim(resample(_pitched(samples, pitch), rate_hz, RATE_HZ))

    return say


def piper(voice: PiperVoiceModel, rate: float = 1.0, pitch: float = 1.0) -> Speaker:
    """Piper's voice, at some speed."""

    def say(text: str) -> PcmSamples:
        samples = np.concatenate(list(voice.render(text, rate)))
        return trim(resample(_pitched(samples, pitch), voice.sample_rate_hz, RATE_HZ))

    return say


def trim(samples: PcmSamples) -> PcmSamples:
    """Without what is 40 dB below the loudest, before and after."""
    steps = samples[: len(samples) // _STEP * _STEP].astype(float).reshape(-1, _STEP)
    power = (steps**2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-_QUIET_DB / 10))
    return samples[loud[0] * _STEP : (loud[-1] + 1) * _STEP]


def _pitched(samples: PcmSamples, factor: float) -> PcmSamples:
    """As if played that much faster."""
    if factor == 1.0:
        return samples
    places = np.arange(0, len(samples) - 1, factor)
    faster: PcmSamples = np.interp(places, np.arange(len(samples)), samples).astype(np.int16)
    return faster
