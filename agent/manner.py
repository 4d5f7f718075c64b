# SPDX-License-Identifier: GPL-3.0-or-later
"""How words are to be said, and what the markup's tags make of it. Pure; `agent.markup` reads the tags.

    Manner (style, spelled?) . tag, attributes > Manner        <slow> on top of <emotion name="calm"> is both

Rate, pitch and volume of nested tags add up, within the bounds of `SpeechStyle`; the innermost emotion counts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import get_args

from agent.services.tts import PLAIN, Emotion, SpeechStyle

RATES = (0.5, 2.0)
PITCHES_SEMITONES = (-12.0, 12.0)
VOLUMES_DB = (-20.0, 6.0)
_RATE_STEP = 0.05
"""Rates are rounded to this, so that what is said at nearly the same pace is rendered once."""

LONGEST_BREAK_MS = 3_000
_DEFAULT_BREAK_MS = 300
_BREAKS_MS = {"none": 0, "x-weak": 100, "weak": 200, "medium": 300, "strong": 600, "x-strong": 1_000}

_RATE_WORDS = {"x-slow": 0.6, "slow": 0.8, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.5}
_PITCH_WORDS = {"x-low": -4.0, "low": -2.0, "medium": 0.0, "default": 0.0, "high": 2.0, "x-high": 4.0}
_VOLUME_WORDS = {
    **{"silent": -20.0, "x-soft": -10.0, "soft": -5.0},
    **{"medium": 0.0, "default": 0.0, "loud": 3.0, "x-loud": 6.0},
}
_EMOTIONS: Mapping[str, Emotion] = {
    **{emotion: emotion for emotion in get_args(Emotion)},
    **{"happy": "cheerful", "joyful": "cheerful", "sorry": "apologetic", "sympathetic": "empathetic"},
    **{"warm": "friendly", "relaxed": "calm", "gentle": "calm", "formal": "serious", "enthusiastic": "excited"},
}
_EMOTION_STYLES: Mapping[Emotion, SpeechStyle] = {
    "neutral": PLAIN,
    "calm": SpeechStyle(rate=0.9, pitch_semitones=-0.5, volume_db=-2.0),
    "friendly": SpeechStyle(rate=1.0, pitch_semitones=0.5),
    "cheerful": SpeechStyle(rate=1.05, pitch_semitones=1.0, volume_db=1.0),
    "apologetic": SpeechStyle(rate=0.9, pitch_semitones=-0.5, volume_db=-2.0),
    "empathetic": SpeechStyle(rate=0.9, pitch_semitones=-0.5, volume_db=-1.0),
    "serious": SpeechStyle(rate=0.95, pitch_semitones=-1.0),
    "excited": SpeechStyle(rate=1.1, pitch_semitones=1.5, volume_db=2.0),
}
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(%|st|hz|db|ms|s|x)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Manner:
    """Of a piece of text."""

    style: SpeechStyle = PLAIN
    is_spelled: bool = False
    """Letter by letter, digit by digit."""


PLAINLY = Manner()


def combined(first: SpeechStyle, second: SpeechStyle) -> SpeechStyle:
    """The second on top of the first, within bounds."""
    return SpeechStyle(
        rate=round(round(_within(first.rate * second.rate, RATES) / _RATE_STEP) * _RATE_STEP, 2),
        pitch_semitones=_within(first.pitch_semitones + second.pitch_semitones, PITCHES_SEMITONES),
        volume_db=_within(first.volume_db + second.volume_db, VOLUMES_DB),
        emotion=first.emotion if second.emotion == "neutral" else second.emotion,
    )


def emotion_as_prosody(style: SpeechStyle) -> SpeechStyle:
    """For a voice without emotions: what pace, pitch and volume can do for them."""
    return replace(combined(style, _EMOTION_STYLES[style.emotion]), emotion="neutral")


def under(manner: Manner, tag: str, attributes: Mapping[str, str]) -> Manner:
    """What this tag makes of the manner in force; tags and values that nobody knows change nothing."""
    match tag:
        case "spell":
            return replace(manner, is_spelled=True)
        case "say-as" if attributes.get("interpret-as") in ("characters", "spell-out", "digits", "verbatim"):
            return replace(manner, is_spelled=True)
        case "slow" | "fast":
            change = SpeechStyle(rate=_RATE_WORDS[tag])
        case "soft" | "loud":
            change = SpeechStyle(volume_db=_VOLUME_WORDS[tag])
        case "high" | "low":
            change = SpeechStyle(pitch_semitones=_PITCH_WORDS[tag])
        case "emphasis":
            change = SpeechStyle(rate=0.85 if attributes.get("level") == "strong" else 0.9, volume_db=1.0)
        case "prosody":
            change = _prosody(attributes)
        case "emotion" | "express-as":
            named = (attributes.get(key) for key in ("name", "value", "style"))
            emotion = _EMOTIONS.get(next((name for name in named if name), "").lower(), "neutral")
            change = SpeechStyle(emotion=emotion)
        case _:
            return manner
    return replace(manner, style=combined(manner.style, change))


def break_ms(attributes: Mapping[str, str]) -> int:
    """How long a `<break/>` is."""
    number = _NUMBER.fullmatch(attributes.get("time", "").strip())
    if number is not None and (number[2] or "").lower() in ("ms", "s"):
        milliseconds = float(number[1]) * (1000 if number[2].lower() == "s" else 1)
        return round(_within(milliseconds, (0, LONGEST_BREAK_MS)))
    return _BREAKS_MS.get(attributes.get("strength", "").lower(), _DEFAULT_BREAK_MS)


def _prosody(attributes: Mapping[str, str]) -> SpeechStyle:
    return SpeechStyle(
        rate=_within(_ratio(attributes.get("rate", ""), _RATE_WORDS), RATES),
        pitch_semitones=_within(_pitch(attributes.get("pitch", "")), PITCHES_SEMITONES),
        volume_db=_within(_volume(attributes.get("volume", "")), VOLUMES_DB),
    )


def _ratio(value: str, words: Mapping[str, float]) -> float:
    """ "slow", "80%", "-20%", "0.8"; SSML 1.1, section 3.2.4."""
    value = value.strip().lower()
    number = _NUMBER.fullmatch(value)
    if number is None:
        return words.get(value, 1.0)
    amount, unit = float(number[1]), (number[2] or "").lower()
    if unit == "%":
        amount = 1.0 + amount / 100 if value[0] in "+-" else amount / 100
    elif value[0] in "+-":
        return 1.0
    return amount if unit in ("%", "", "x") and amount > 0 else 1.0


def _pitch(value: str) -> float:
    """ "high", "+2st", "+10%"; hertz say nothing without the voice's own pitch."""
    value = value.strip().lower()
    number = _NUMBER.fullmatch(value)
    if number is None:
        return _PITCH_WORDS.get(value, 0.0)
    if number[2] == "%" and value[0] in "+-":
        return float(number[1]) / 6  # 6 % are a semitone, nearly
    return float(number[1]) if number[2] == "st" else 0.0


def _volume(value: str) -> float:
    value = value.strip().lower()
    number = _NUMBER.fullmatch(value)
    if number is None:
        return _VOLUME_WORDS.get(value, 0.0)
    if number[2] == "%" and value[0] in "+-":
        return float(number[1]) / 10
    return float(number[1]) if number[2] == "db" else 0.0


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(bounds[1], max(bounds[0], value))
