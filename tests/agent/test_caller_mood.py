# SPDX-License-Identifier: GPL-3.0-or-later
"""What a turn's sound and words tell, against this caller's habit."""

import pytest

from agent.caller_mood import CallerMood, count_syllables
from agent.prosody import NOTHING, TurnSound
from agent.services.tts import PLAIN, SpeechStyle

WORDS = "I would like to move my appointment to Tuesday."
"""Thirteen syllables."""

OTHER_WORDS = "I want to talk about the last bill that you sent me."
"""As many, to another purpose."""


def sound(
    speech_s: float = 2.8, level_dbov: float = -30.0, pitch_hz: float = 120.0, pauses_s: tuple[float, ...] = ()
) -> TurnSound:
    return TurnSound(speech_s, level_dbov, pitch_hz, 6.0, pauses_s, 0)


def acquainted() -> CallerMood:
    mood = CallerMood()
    for turn in range(3):
        mood.receive_turn(sound(level_dbov=-30.0 + turn * 0.5), WORDS)
    return mood


@pytest.mark.parametrize(
    ("text", "syllables"),
    [("hello", 2), ("make", 1), ("appointment", 3), ("table", 2), ("moved", 1), ("wanted", 2), ("42", 2), ("", 0)],
)
def test_syllables(text: str, syllables: int) -> None:
    assert count_syllables(text) == syllables


@pytest.mark.parametrize(
    ("heard", "cues"),
    [
        (sound(), ()),
        (sound(speech_s=2.1), ("fast",)),
        (sound(speech_s=4.2), ("slow",)),
        (sound(level_dbov=-22), ("loud",)),
        (sound(level_dbov=-38), ("quiet",)),
        (sound(pitch_hz=150), ("high",)),
        (sound(pitch_hz=95), ("low",)),
        (sound(speech_s=2.1, level_dbov=-22), ("fast", "loud", "agitated")),
        (sound(level_dbov=-22, pitch_hz=150), ("loud", "high", "agitated")),
        (sound(pauses_s=(0.9, 1.2)), ("hesitant",)),
        (sound(speech_s=1.0, pauses_s=(0.4, 0.4)), ("fast", "hesitant")),
    ],
)
def test_cues_are_relative_to_the_callers_own_habit(heard: TurnSound, cues: tuple[str, ...]) -> None:
    assert acquainted().judge(heard, OTHER_WORDS).cues == cues


def test_a_first_turn_is_neither_loud_nor_agitated() -> None:
    mood = CallerMood().judge(sound(speech_s=2.0, level_dbov=-5, pitch_hz=300), WORDS)
    assert mood.cues == ()
    assert mood.louder_db is None


@pytest.mark.parametrize(
    "text",
    [
        "What?",
        "Sorry, what?",
        "I don't understand.",
        "What do you mean?",
        "That makes no sense.",
        "Could you repeat that?",
    ],
)
def test_words_of_confusion(text: str) -> None:
    assert "confused" in CallerMood().judge(NOTHING, text).cues


@pytest.mark.parametrize("text", ["What are your prices?", "I understand.", "What time do you open?", "Yes, I follow."])
def test_questions_are_no_confusion(text: str) -> None:
    assert CallerMood().judge(NOTHING, text).cues == ()


def test_a_question_that_is_asked_again_is_confusion() -> None:
    mood = CallerMood()
    mood.receive_turn(sound(), "How much is a cleaning without insurance?")
    assert "confused" in mood.judge(sound(), "How much is the cleaning without insurance?").cues
    assert "confused" not in mood.judge(sound(), "How much is the parking behind the house?").cues


def test_fillers_are_hesitation_and_lengthen_the_wait() -> None:
    mood = CallerMood().judge(NOTHING, "Um, I would, uh, like to come.")
    assert mood.cues == ("hesitant",)
    assert mood.hesitation > 1


def test_the_note_is_short_and_says_nothing_of_usual_turns() -> None:
    mood = acquainted()
    assert mood.judge(sound(), "Another thing.").note == ""
    assert mood.judge(sound(level_dbov=-22), "Another thing entirely, please.").note == ""
    note = mood.judge(sound(speech_s=2.0, level_dbov=-22), OTHER_WORDS).note
    assert note.startswith("The caller speaks fast and loud, seems agitated. ")


def test_agitation_slows_and_softens_the_voice_for_a_while() -> None:
    caller = acquainted()
    calming = caller.style(caller.receive_turn(sound(speech_s=2.0, level_dbov=-20), OTHER_WORDS))
    assert calming.rate < 1
    assert calming.volume_db < 0
    assert caller.style(caller.judge(sound(speech_s=0.9), "Another thing.")) == calming
    for _ in range(3):
        caller.receive_turn(sound(), "All right then.")
    assert caller.style(caller.judge(sound(speech_s=0.9), "Another thing.")) == PLAIN


def test_confusion_is_answered_more_slowly() -> None:
    caller = CallerMood()
    assert caller.style(caller.judge(NOTHING, "I don't understand.")) == SpeechStyle(rate=0.9)


def test_laughter_needs_bursts_without_words() -> None:
    laughing = TurnSound(1.5, -30.0, 250.0, 2.0, (), 6)
    assert "laughing" in CallerMood().judge(laughing, "Ha ha ha ha").cues
    assert "laughing" not in CallerMood().judge(laughing, WORDS).cues
