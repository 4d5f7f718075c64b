# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller's voice says beside the words, and what follows from it. A clockless engine; `agent.session` feeds it.

    TurnSound, words > against this caller's earlier turns > Mood: cues > a note to the language model
                                                                        > the style we answer in
                                                                        > how much longer hesitation lets us wait

Cues are relative to the caller's own turns before this one; in the first turn only what is unusual for anybody counts.
Agitation is at least two of louder, faster, higher. The thresholds are judgement: they were tried on synthetic voices
(tests/agent/test_caller_mood.py), never on real agitation or laughter.
"""

import re
from collections import deque
from dataclasses import dataclass
from math import log2
from statistics import median
from typing import Literal

from agent.cues import asks_to_repeat, is_confused
from agent.prosody import TurnSound
from agent.services.tts import PLAIN, SpeechStyle

Cue = Literal["fast", "slow", "loud", "quiet", "high", "low", "hesitant", "agitated", "confused", "laughing"]

_LEAST_SPEECH_S = 0.6
"""A shorter turn says nothing of pace and pitch, and is no habit."""
_LEAST_SYLLABLES = 4
_REMEMBERED = 8
"""Turns; the caller's habit is their median."""
_USUAL_SYLLABLES_S = 4.6
"""Of English speech without its pauses, as a first guess at a caller's habit."""

_FASTER, _SLOWER = 1.2, 0.75
_FAST_FOR_ANYBODY, _SLOW_FOR_ANYBODY = 1.45, 0.55
_LOUDER_DB, _QUIETER_DB = 5.0, -6.0
_HIGHER_SEMITONES, _LOWER_SEMITONES = 2.5, -3.0
_HESITANT_SHARE = 0.35
_HESITANT_PAUSE_S = 0.8
_HESITATION_WORDS = re.compile(r"\b(?:u+h+m*|u+m+|e+r+m*|hm+|well|let me (?:see|think))\b|\.\.\.|…", re.IGNORECASE)
_ALIKE = 0.6
"""Of the words of two questions: it is the same one again."""

_CALMING = SpeechStyle(rate=0.9, volume_db=-3.0, emotion="calm")
_CLEARLY = SpeechStyle(rate=0.9)
_CALM_TURNS = 2
"""So many further turns the voice stays calm after agitation."""


@dataclass(frozen=True, slots=True)
class Mood:
    """One turn of the caller."""

    sound: TurnSound
    syllables_s: float | None
    """Of speech without pauses; None: too short to tell. So for what is relative to the caller's habit."""
    pace: float | None
    """1.2: a fifth faster than this caller's habit."""
    louder_db: float | None
    higher_semitones: float | None
    cues: tuple[Cue, ...]

    @property
    def note(self) -> str:
        """For the language model; empty when nothing is remarkable."""
        heard = [_HEARD[cue] for cue in ("fast", "slow", "loud", "quiet") if cue in self.cues]
        speaks = f"The caller speaks {' and '.join(heard)}" if heard else ""
        seems = [cue for cue in ("agitated", "hesitant", "confused") if cue in self.cues]
        if seems:
            words = " and ".join(seems)
            speaks = f"{speaks}, seems {words}" if speaks else f"The caller seems {words}"
        if "laughing" in self.cues:
            speaks = f"{speaks}, and laughs" if speaks else "The caller laughs"
        elif not seems:
            return ""
        advice = [_ADVICE[cue] for cue in seems]
        return " ".join([f"{speaks}.", *advice])

    @property
    def hesitation(self) -> float:
        """How many times as long to wait for the end of the turn."""
        return 1.5 if "hesitant" in self.cues else 1.0


_HEARD = {"fast": "fast", "slow": "slowly", "loud": "loud", "quiet": "quietly"}
_ADVICE = {
    "agitated": "Stay calm, be brief, and say first what you can do.",
    "hesitant": "Give the caller time, and offer a choice.",
    "confused": "Say it again in other, simpler words, and ask whether that is clear.",
}


class CallerMood:
    """One caller's habit, and how each turn compares."""

    def __init__(self) -> None:
        self._paces: deque[float] = deque(maxlen=_REMEMBERED)
        self._levels_dbov: deque[float] = deque(maxlen=_REMEMBERED)
        self._pitches_hz: deque[float] = deque(maxlen=_REMEMBERED)
        self._earlier: deque[str] = deque(maxlen=2)
        """What was said last."""
        self._calm_turns = 0

    def judge(self, sound: TurnSound, text: str) -> Mood:
        """How a turn, or what there is of it, sounds beside those before. Changes nothing."""
        syllables = count_syllables(text)
        is_long = sound.speech_s >= _LEAST_SPEECH_S
        rate = syllables / sound.speech_s if is_long and syllables >= _LEAST_SYLLABLES else None
        pace = None if rate is None else rate / median(self._paces or (_USUAL_SYLLABLES_S,))
        louder = None
        if is_long and sound.level_dbov is not None and self._levels_dbov:
            louder = sound.level_dbov - median(self._levels_dbov)
        higher = None
        if is_long and sound.pitch_hz is not None and self._pitches_hz:
            higher = _semitones(sound.pitch_hz / median(self._pitches_hz))
        cues = self._cues(sound, text, pace, louder, higher)
        return Mood(sound, _rounded(rate), _rounded(pace), _rounded(louder), _rounded(higher), cues)

    def receive_turn(self, sound: TurnSound, text: str) -> Mood:
        """The turn is over and answered: it becomes part of the caller's habit."""
        mood = self.judge(sound, text)
        if mood.syllables_s is not None:
            self._paces.append(mood.syllables_s)
        if sound.speech_s >= _LEAST_SPEECH_S:
            if sound.level_dbov is not None:
                self._levels_dbov.append(sound.level_dbov)
            if sound.pitch_hz is not None:
                self._pitches_hz.append(sound.pitch_hz)
        self._earlier.append(text)
        self._calm_turns = _CALM_TURNS + 1 if "agitated" in mood.cues else max(0, self._calm_turns - 1)
        return mood

    def style(self, mood: Mood) -> SpeechStyle:
        """How to answer a turn that sounds so."""
        if "agitated" in mood.cues or self._calm_turns > 1:
            return _CALMING
        return _CLEARLY if "confused" in mood.cues or "slow" in mood.cues else PLAIN

    def _cues(
        self, sound: TurnSound, text: str, pace: float | None, louder: float | None, higher: float | None
    ) -> tuple[Cue, ...]:
        knows_pace = bool(self._paces)
        fast, slow = (_FASTER, _SLOWER) if knows_pace else (_FAST_FOR_ANYBODY, _SLOW_FOR_ANYBODY)
        is_fast = pace is not None and pace >= fast
        is_loud = louder is not None and louder >= _LOUDER_DB
        is_high = higher is not None and higher >= _HIGHER_SEMITONES
        is_question_again = any(_is_alike(text, earlier) for earlier in self._earlier)
        found: dict[Cue, bool] = {
            "fast": is_fast,
            "slow": pace is not None and pace <= slow,
            "loud": is_loud,
            "quiet": louder is not None and louder <= _QUIETER_DB,
            "high": is_high,
            "low": higher is not None and higher <= _LOWER_SEMITONES,
            "hesitant": _is_hesitant(sound, text),
            "agitated": is_fast + is_loud + is_high >= 2,
            "confused": is_confused(text) or asks_to_repeat(text) or is_question_again,
            "laughing": sound.laughter_bursts > 2 * count_syllables(re.sub(r"(?i)\b(?:ha|he)+\b", "", text)),
        }
        return tuple(cue for cue, is_there in found.items() if is_there)


def count_syllables(text: str) -> int:
    """Of English words, by their groups of vowels; a silent final `e` is none; digits are spoken as one or two."""
    count = 0
    for word in re.findall(r"[a-z']+|\d", text.lower()):
        if word.isdigit():
            count += 2 if word in "07" else 1
            continue
        groups = len(re.findall(r"[aeiouy]+", word))
        if groups > 1 and re.search(r"[^aeiouyl]e$|[^aeioudt]ed$", word):
            groups -= 1
        count += max(1, groups)
    return count


def _is_hesitant(sound: TurnSound, text: str) -> bool:
    long_pauses = sum(pause_s >= _HESITANT_PAUSE_S for pause_s in sound.pauses_s)
    fillers = len(_HESITATION_WORDS.findall(text))
    is_broken = sound.pause_share >= _HESITANT_SHARE and len(sound.pauses_s) >= 2
    return is_broken or long_pauses >= 2 or fillers >= 2 or (long_pauses + fillers >= 2)


def _is_alike(text: str, earlier: str) -> bool:
    words, before = set(re.findall(r"[\w']+", text.lower())), set(re.findall(r"[\w']+", earlier.lower()))
    return len(words) >= 4 and len(words & before) / len(words | before) >= _ALIKE


def _semitones(ratio: float) -> float:
    return 12 * log2(ratio)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
