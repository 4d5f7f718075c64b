# SPDX-License-Identifier: GPL-3.0-or-later
"""One caller's voice: measured when a turn pauses, judged when it is answered, and told once when it is over.

    turn's audio, at each pause > ProsodyAnalyser > TurnSound ─┐
    words, when they are answered or guessed ──────────────────┴> Mood > notes, style, hesitation
    our answer is audible ─> the turn becomes part of the caller's habit ─> CallerProsody

Nothing is done for frames, and nothing while nobody speaks.
"""

from collections.abc import Callable
from dataclasses import replace

from agent.caller_mood import CallerMood, Mood
from agent.errors import ServiceError
from agent.events import CallerProsody
from agent.prosody import NOTHING, TurnSound
from agent.services.llm import ContextNote
from agent.services.prosody import ProsodyAnalyser
from agent.services.tts import SpeechStyle
from media.frames import PcmSamples
from media.level import power_dbov

_SOURCE = "caller"
_WHOLE_S = 7.9
"""Of more than this the ear keeps only the end: its loudness cannot be told from the energy of the whole."""


class CallerVoice:
    """One call's."""

    def __init__(self, analyser: ProsodyAnalyser, energy: Callable[[], float] | None = None) -> None:
        """`energy`: of the caller's audio so far, as it came over the wire (mean square, full scale 1, times seconds).
        Without it loudness is that of the audio given, which automatic gain may have levelled."""
        self._analyser = analyser
        self._energy = energy
        self._energy_before = 0.0
        """When the turn before was over."""
        self._mood = CallerMood()
        self._sound = NOTHING
        """Of the turn so far."""
        self._answered: tuple[int, str] | None = None

    async def hear(self, samples: PcmSamples, sample_rate_hz: int) -> float:
        """Measure the turn so far; return how many times as long its end should be waited for."""
        try:
            sound = await self._analyser.measure(samples, sample_rate_hz)
        except ServiceError:  # too much else to do: the turn goes without
            return 1.0
        self._sound = self._at_the_wire(sound, len(samples) / sample_rate_hz)
        return self._mood.judge(self._sound, "").hesitation

    def notes(self, text: str) -> tuple[ContextNote, ...]:
        """What the language model should know of how these words were said."""
        note = self._mood.judge(self._sound, text).note
        return (ContextNote(_SOURCE, note),) if note else ()

    def style(self, text: str) -> SpeechStyle:
        """How to answer them."""
        return self._mood.style(self._mood.judge(self._sound, text))

    def answer(self, turn_index: int, text: str) -> None:
        """The turn is answered with these words; it may still be reopened."""
        self._answered = (turn_index, text)

    def over(self) -> CallerProsody | None:
        """The turn's sound is forgotten: its answer is audible, or there is none."""
        answered, self._answered = self._answered, None
        sound, self._sound = self._sound, NOTHING
        if self._energy is not None:
            self._energy_before = self._energy()
        if answered is None or sound is NOTHING:
            return None
        turn_index, text = answered
        return _told(turn_index, self._mood.receive_turn(sound, text))

    def _at_the_wire(self, sound: TurnSound, turn_s: float) -> TurnSound:
        if self._energy is None or not sound.speech_s:
            return sound
        if turn_s > _WHOLE_S:
            return replace(sound, level_dbov=None)
        power = (self._energy() - self._energy_before) / sound.speech_s
        return replace(sound, level_dbov=round(power_dbov(min(1.0, power)), 1))


def _told(turn_index: int, mood: Mood) -> CallerProsody:
    sound = mood.sound
    return CallerProsody(
        turn_index=turn_index,
        speech_ms=round(sound.speech_s * 1e3),
        syllables_s=mood.syllables_s,
        pace=mood.pace,
        level_dbov=sound.level_dbov,
        louder_db=mood.louder_db,
        pitch_hz=sound.pitch_hz,
        higher_semitones=mood.higher_semitones,
        pauses_ms=tuple(round(pause_s * 1e3) for pause_s in sound.pauses_s),
        cues=mood.cues,
    )
