# SPDX-License-Identifier: GPL-3.0-or-later
"""What a text-to-speech service can be asked for of a style, in its own terms. Pure; for every client of one.

    SpeechStyle > Controls.ask > Asked: the service's own values, and `done`, the style they amount to
    Asked > ssml(text)           for engines that read SSML 1.1 (W3C, sections 3.2.4 and 3.1.8)

The rest, the difference between the style and `done`, is made of the samples (`agent.rendering`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from xml.sax.saxutils import escape, quoteattr

from agent.manner import emotion_as_prosody
from agent.services.tts import Emotion, SpeechStyle

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to ask a service for; None: it cannot, or need not."""

    rate: float | None
    """1.0 is the voice's own pace. An engine with a length scale takes 1 / rate."""
    pitch_semitones: float | None
    volume_db: float | None
    emotion: str | None
    """In the service's words."""
    done: SpeechStyle
    """For `SpeechChunk.done`."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What a service has controls for, and how far they go; None: none."""

    rates: Range | None = None
    pitches_semitones: Range | None = None
    volumes_db: Range | None = None
    emotions: Mapping[Emotion, str] = field(default_factory=dict)
    """The service's words for those it has. The others become pace, pitch and volume."""

    def ask(self, style: SpeechStyle) -> Asked:
        emotion = self.emotions.get(style.emotion)
        wanted = emotion_as_prosody(style) if emotion is None else style
        rate = _within(wanted.rate, self.rates, 1.0)
        pitch = _within(wanted.pitch_semitones, self.pitches_semitones, 0.0)
        volume = _within(wanted.volume_db, self.volumes_db, 0.0)
        return Asked(
            rate=None if rate == 1.0 else rate,
            pitch_semitones=None if pitch == 0.0 else pitch,
            volume_db=None if volume == 0.0 else volume,
            emotion=emotion,
            done=SpeechStyle(rate, pitch, volume, style.emotion if emotion is not None else "neutral"),
        )


def ssml(text: str, asked: Asked, *, voice: str | None = None, language: str = "en") -> str:
    """The text as an SSML document with what was asked for; `express-as` is Azure's element for styles."""
    attributes = {
        "rate": None if asked.rate is None else f"{asked.rate * 100:g}%",
        "pitch": None if asked.pitch_semitones is None else f"{asked.pitch_semitones:+g}st",
        "volume": None if asked.volume_db is None else f"{asked.volume_db:+g}dB",
    }
    named = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items() if value is not None)
    inner = f"<prosody {named}>{escape(text)}</prosody>" if named else escape(text)
    if asked.emotion is not None:
        inner = f"<mstts:express-as style={quoteattr(asked.emotion)}>{inner}</mstts:express-as>"
    if voice is not None:
        inner = f"<voice name={quoteattr(voice)}>{inner}</voice>"
    namespaces = 'xmlns="http://www.w3.org/2001/10/synthesis"'
    if asked.emotion is not None:
        namespaces += ' xmlns:mstts="http://www.w3.org/2001/mstts"'
    return f'<speak version="1.1" {namespaces} xml:lang={quoteattr(language)}>{inner}</speak>'


def still_to_do(style: SpeechStyle, done: SpeechStyle) -> SpeechStyle:
    """What is left of a style when the engine has done so much: pace, pitch and volume for the samples."""
    wanted = emotion_as_prosody(style) if style.emotion != done.emotion else replace(style, emotion="neutral")
    return SpeechStyle(
        rate=wanted.rate / done.rate,
        pitch_semitones=wanted.pitch_semitones - done.pitch_semitones,
        volume_db=wanted.volume_db - done.volume_db,
    )


def _within(value: float, bounds: Range | None, own: float) -> float:
    return own if bounds is None else min(bounds[1], max(bounds[0], value))
