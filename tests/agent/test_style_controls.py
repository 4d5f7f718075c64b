# SPDX-License-Identifier: GPL-3.0-or-later
"""What services are asked for, and what is left to do."""

from agent.services.tts import PLAIN, SpeechStyle
from agent.style_controls import Controls, ssml, still_to_do

WHOLE = Controls(rates=(0.5, 2.0), pitches_semitones=(-6, 6), volumes_db=(-10, 6), emotions={"calm": "gentle"})


def test_an_engine_without_controls_is_asked_for_nothing_and_leaves_everything() -> None:
    style = SpeechStyle(rate=0.8, pitch_semitones=2, volume_db=-3)
    asked = Controls().ask(style)
    assert (asked.rate, asked.pitch_semitones, asked.volume_db, asked.emotion) == (None, None, None, None)
    assert asked.done == PLAIN
    assert still_to_do(style, asked.done) == style


def test_an_engine_with_all_controls_leaves_nothing() -> None:
    style = SpeechStyle(rate=0.8, pitch_semitones=2, volume_db=-3, emotion="calm")
    asked = WHOLE.ask(style)
    assert (asked.rate, asked.pitch_semitones, asked.volume_db, asked.emotion) == (0.8, 2, -3, "gentle")
    assert still_to_do(style, asked.done) == PLAIN


def test_what_goes_beyond_a_control_is_left() -> None:
    style = SpeechStyle(rate=0.6, pitch_semitones=3)
    asked = Controls(rates=(0.8, 1.2)).ask(style)
    assert asked.rate == 0.8
    rest = still_to_do(style, asked.done)
    assert round(rest.rate, 3) == 0.75
    assert rest.pitch_semitones == 3


def test_an_emotion_that_a_service_has_no_word_for_becomes_pace_and_loudness() -> None:
    style = SpeechStyle(emotion="apologetic")
    asked = WHOLE.ask(style)
    assert asked.emotion is None
    assert asked.rate is not None
    assert asked.rate < 1
    assert asked.volume_db is not None
    assert asked.volume_db < 0
    assert still_to_do(style, asked.done) == PLAIN


def test_ssml_holds_what_was_asked_and_escapes_the_text() -> None:
    asked = WHOLE.ask(SpeechStyle(rate=0.8, pitch_semitones=-2, emotion="calm"))
    document = ssml("Smith & Sons <open>", asked, voice="Ava", language="en-US")
    assert '<prosody rate="80%" pitch="-2st">Smith &amp; Sons &lt;open&gt;</prosody>' in document
    assert '<mstts:express-as style="gentle">' in document
    assert '<voice name="Ava">' in document
    assert document.startswith('<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis"')


def test_ssml_of_a_plain_style_is_plain() -> None:
    document = ssml("Hello.", WHOLE.ask(PLAIN))
    assert document.endswith('xml:lang="en">Hello.</speak>')
