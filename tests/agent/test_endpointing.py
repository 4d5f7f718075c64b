# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the caller finished, or only paused?"""

import pytest

from agent.endpointing import AskIfOver, Endpointing, EndpointingEvent, PauseBroken, TurnEmpty, TurnOver
from agent.services.stt import Transcript
from tests.fakes.scene import QUICK

CONFIG = QUICK
SENTENCE = Transcript("I need an appointment.", True, 0.9)
WHOLE = Transcript("Goodbye.", True, 0.9)
NUMBER = Transcript("555", True, 0.9)
OPEN = Transcript("I need an appointment and", True, 0.9)
NOISE = Transcript(" ", True, 0.0)
SILENT_SINCE = 10.0
PAUSE = 1


def paused() -> Endpointing:
    """An engine whose caller stopped at `SILENT_SINCE`, which was found 0.1 s later, and that has asked."""
    engine = Endpointing(CONFIG)
    engine.receive_speech(SILENT_SINCE - 1.0, SILENT_SINCE - 0.9)
    engine.receive_silence(SILENT_SINCE, SILENT_SINCE + 0.1)
    assert engine.next_timeout() == SILENT_SINCE + 0.2
    engine.handle_timeout(SILENT_SINCE + 0.2)
    assert engine.events() == [AskIfOver(PAUSE)]
    return engine


def run(engine: Endpointing, until_s: float) -> dict[float, EndpointingEvent]:
    """Serve the engine's timers up to so many seconds of silence; what came when."""
    seen: dict[float, EndpointingEvent] = {}
    while (due := engine.next_timeout()) is not None and due <= SILENT_SINCE + until_s:
        engine.handle_timeout(due)
        seen.update({round(due - SILENT_SINCE, 3): event for event in engine.events()})
    return seen


def test_it_asks_after_200_ms_of_silence_counted_from_the_last_sample() -> None:
    engine = Endpointing(CONFIG)
    engine.receive_silence(SILENT_SINCE, SILENT_SINCE + 0.15)
    engine.handle_timeout(SILENT_SINCE + 0.19)
    assert engine.events() == []
    engine.handle_timeout(SILENT_SINCE + 0.2)
    assert engine.events() == [AskIfOver(PAUSE)]


def test_silence_that_was_noticed_late_is_asked_about_at_once() -> None:
    engine = Endpointing(CONFIG)
    engine.receive_silence(SILENT_SINCE, SILENT_SINCE + 0.5)
    assert engine.events() == [AskIfOver(PAUSE)]


def test_a_confident_model_and_a_transcript_end_the_turn_at_once() -> None:
    engine = paused()
    engine.receive_probability(PAUSE, 0.81, SILENT_SINCE + 0.23)
    assert engine.events() == []
    engine.receive_transcript(PAUSE, SENTENCE, SILENT_SINCE + 0.28)
    assert engine.events() == [TurnOver(PAUSE, SENTENCE, SILENT_SINCE + 0.23)]
    assert engine.next_timeout() is None


def test_the_order_of_the_answers_makes_no_difference_to_the_outcome() -> None:
    engine = paused()
    engine.receive_transcript(PAUSE, SENTENCE, SILENT_SINCE + 0.23)
    assert engine.events() == []
    engine.receive_probability(PAUSE, 0.81, SILENT_SINCE + 0.28)
    assert engine.events() == [TurnOver(PAUSE, SENTENCE, SILENT_SINCE + 0.28)]


@pytest.mark.parametrize("probability", [0.0, 0.5, 0.8])
def test_a_doubtful_model_means_the_long_wait(probability: float) -> None:
    engine = paused()
    engine.receive_probability(PAUSE, probability, SILENT_SINCE + 0.23)
    engine.receive_transcript(PAUSE, SENTENCE, SILENT_SINCE + 0.28)
    assert run(engine, 5) == {0.7: TurnOver(PAUSE, SENTENCE, SILENT_SINCE + 0.7)}


def test_without_a_model_the_waits_decide() -> None:
    engine = paused()
    engine.receive_transcript(PAUSE, SENTENCE, SILENT_SINCE + 0.28)
    assert run(engine, 5) == {0.7: TurnOver(PAUSE, SENTENCE, SILENT_SINCE + 0.7)}


def test_a_word_that_is_a_turn_of_its_own_needs_only_the_short_wait() -> None:
    engine = paused()
    engine.receive_probability(PAUSE, 0.07, SILENT_SINCE + 0.23)
    engine.receive_transcript(PAUSE, WHOLE, SILENT_SINCE + 0.28)
    assert run(engine, 5) == {0.3: TurnOver(PAUSE, WHOLE, SILENT_SINCE + 0.3)}


def test_a_number_is_not_taken_for_a_whole_turn_since_digits_come_in_groups() -> None:
    engine = paused()
    engine.receive_transcript(PAUSE, NUMBER, SILENT_SINCE + 0.28)
    assert run(engine, 5) == {1.0: TurnOver(PAUSE, NUMBER, SILENT_SINCE + 1.0)}


def test_a_sentence_that_trails_off_overrules_the_model() -> None:
    engine = paused()
    engine.receive_probability(PAUSE, 0.99, SILENT_SINCE + 0.23)
    engine.receive_transcript(PAUSE, OPEN, SILENT_SINCE + 0.28)
    assert run(engine, 5) == {1.0: TurnOver(PAUSE, OPEN, SILENT_SINCE + 1.0)}


def test_a_transcript_that_comes_after_the_wait_is_waited_for_but_the_decision_was_then() -> None:
    engine = paused()
    assert run(engine, 5) == {}
    engine.receive_transcript(PAUSE, SENTENCE, SILENT_SINCE + 1.5)
    assert engine.events() == [TurnOver(PAUSE, SENTENCE, SILENT_SINCE + 0.7)]


def test_a_sound_without_words_ends_without_a_turn() -> None:
    engine = paused()
    engine.receive_transcript(PAUSE, NOISE, SILENT_SINCE + 0.28)
    assert engine.events() == [TurnEmpty(PAUSE)]


def test_speech_breaks_the_pause_and_late_answers_about_it_are_dropped() -> None:
    engine = paused()
    engine.receive_speech(SILENT_SINCE + 0.25, SILENT_SINCE + 0.25)
    assert engine.events() == [PauseBroken(PAUSE)]
    engine.receive_transcript(PAUSE, SENTENCE, SILENT_SINCE + 0.3)
    engine.receive_probability(PAUSE, 0.99, SILENT_SINCE + 0.3)
    engine.handle_timeout(SILENT_SINCE + 5)
    assert engine.events() == []


def test_speech_before_anything_was_asked_breaks_nothing() -> None:
    engine = Endpointing(CONFIG)
    engine.receive_silence(SILENT_SINCE, SILENT_SINCE + 0.1)
    engine.receive_speech(SILENT_SINCE + 0.15, SILENT_SINCE + 0.15)
    engine.handle_timeout(SILENT_SINCE + 5)
    assert engine.events() == []


def test_answers_about_the_pause_before_do_not_count_for_this_one() -> None:
    engine = paused()
    engine.receive_speech(SILENT_SINCE + 0.25, SILENT_SINCE + 0.25)
    engine.receive_silence(SILENT_SINCE + 1, SILENT_SINCE + 1.2)
    assert engine.events() == [PauseBroken(PAUSE), AskIfOver(PAUSE + 1)]
    engine.receive_probability(PAUSE, 0.99, SILENT_SINCE + 1.25)
    engine.receive_transcript(PAUSE + 1, SENTENCE, SILENT_SINCE + 1.25)
    assert engine.events() == []
    assert engine.next_timeout() == SILENT_SINCE + 1.7


def test_a_suspicion_of_speech_holds_the_decision_until_it_is_dismissed() -> None:
    engine = paused()
    engine.receive_suspicion(SILENT_SINCE + 0.22)
    engine.receive_probability(PAUSE, 0.99, SILENT_SINCE + 0.23)
    engine.receive_transcript(PAUSE, SENTENCE, SILENT_SINCE + 0.25)
    assert (engine.events(), engine.next_timeout()) == ([], None)
    engine.receive_dismissal(SILENT_SINCE + 0.35)
    assert engine.events() == [TurnOver(PAUSE, SENTENCE, SILENT_SINCE + 0.23)]


def test_a_suspicion_that_becomes_speech_breaks_the_pause() -> None:
    engine = paused()
    engine.receive_suspicion(SILENT_SINCE + 0.22)
    engine.receive_transcript(PAUSE, SENTENCE, SILENT_SINCE + 0.25)
    engine.receive_speech(SILENT_SINCE + 0.35, SILENT_SINCE + 0.35)
    assert engine.events() == [PauseBroken(PAUSE)]


def test_a_turn_that_was_ended_otherwise_is_not_decided_again() -> None:
    engine = paused()
    engine.receive_end(SILENT_SINCE + 0.25)
    engine.receive_transcript(PAUSE, SENTENCE, SILENT_SINCE + 0.3)
    engine.handle_timeout(SILENT_SINCE + 5)
    assert engine.events() == []
