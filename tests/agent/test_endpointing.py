# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the caller finished, or only paused?"""

import pytest

from agent.config import TurnConfig
from agent.endpointing import AskIfOver, Endpointing, EndpointingEvent, PauseBroken, TurnEmpty, TurnOver
from agent.expectation import Expectation
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


ADAPTIVE = TurnConfig()
QUESTION = Transcript("What are your opening hours?", True, 0.9)
THANKS = Transcript("Thank you.", True, 0.9)
REQUEST = Transcript("I would like to make an appointment.", True, 0.9)
DIGITS = Transcript("four seven", True, 0.9)
PIN = Transcript("four seven one nine", True, 0.9)


def decided_after(engine: Endpointing, transcript: Transcript, probability: float | None) -> float:
    """Seconds of silence after which the next turn, which pauses at `SILENT_SINCE`, is taken."""
    engine.receive_speech(SILENT_SINCE - 1.0, SILENT_SINCE - 0.9)
    engine.receive_silence(SILENT_SINCE, SILENT_SINCE + 0.1)
    engine.handle_timeout(SILENT_SINCE + 0.2)
    pause_id = engine.pause_id
    assert pause_id is not None
    if probability is not None:
        engine.receive_probability(pause_id, probability, SILENT_SINCE + 0.23)
    engine.receive_transcript(pause_id, transcript, SILENT_SINCE + 0.24)
    while (due := engine.next_timeout()) is not None:
        engine.handle_timeout(due)
    (decided_at,) = [event.decided_at for event in engine.events() if isinstance(event, TurnOver)]
    return round(decided_at - SILENT_SINCE, 3)


@pytest.mark.parametrize(
    ("transcript", "probability", "wait_s"),
    [
        (QUESTION, 0.95, 0.23),
        (QUESTION, 0.5, 0.5),
        (QUESTION, 0.05, 1.7),
        (REQUEST, 0.95, 0.5),
        (REQUEST, 0.5, 0.5),
        (REQUEST, 0.49, 1.6),
        (SENTENCE, 0.95, 1.6),
        (THANKS, 0.99, 1.6),
        (OPEN, 0.99, 1.7),
        (WHOLE, 0.05, 0.3),
    ],
)
def test_words_and_model_choose_the_wait(transcript: Transcript, probability: float, wait_s: float) -> None:
    assert decided_after(Endpointing(ADAPTIVE), transcript, probability) == wait_s


@pytest.mark.parametrize(("probability", "wait_s"), [(0.89, 1.6), (0.91, 0.5), (None, 0.5)])
def test_how_sure_the_model_must_be_of_a_request_can_be_set(probability: float | None, wait_s: float) -> None:
    careful = Endpointing(ADAPTIVE.model_copy(update={"request_probability": 0.9}))
    assert decided_after(careful, REQUEST, probability) == wait_s


def test_thank_you_waits_for_the_goodbye_that_follows_within_a_second() -> None:
    engine = Endpointing(ADAPTIVE)
    engine.receive_silence(SILENT_SINCE, SILENT_SINCE + 0.1)
    engine.handle_timeout(SILENT_SINCE + 0.2)
    engine.receive_probability(PAUSE, 0.99, SILENT_SINCE + 0.23)
    engine.receive_transcript(PAUSE, THANKS, SILENT_SINCE + 0.24)
    engine.handle_timeout(SILENT_SINCE + 1.1)
    engine.receive_speech(SILENT_SINCE + 1.0, SILENT_SINCE + 1.14)
    assert engine.events() == [AskIfOver(PAUSE), PauseBroken(PAUSE)]


def test_expected_digits_are_not_cut_between_groups_and_are_over_when_there_are_enough() -> None:
    engine = Endpointing(ADAPTIVE)
    engine.receive_expectation(Expectation("digits", length=4), 1.0)
    assert decided_after(engine, DIGITS, 0.99) == 1.7
    assert decided_after(engine, PIN, 0.5) == 0.3


def test_an_expectation_that_comes_during_the_pause_still_counts() -> None:
    engine = Endpointing(ADAPTIVE)
    engine.receive_silence(SILENT_SINCE, SILENT_SINCE + 0.1)
    engine.handle_timeout(SILENT_SINCE + 0.2)
    engine.receive_transcript(PAUSE, PIN, SILENT_SINCE + 0.24)
    assert engine.next_timeout() == pytest.approx(SILENT_SINCE + 1.7)
    engine.receive_expectation(Expectation("digits", length=4), SILENT_SINCE + 0.25)
    assert engine.next_timeout() == pytest.approx(SILENT_SINCE + 0.3)


def test_a_hesitant_caller_is_waited_for_longer_but_not_for_a_goodbye_and_only_until_the_answer() -> None:
    engine = Endpointing(ADAPTIVE)
    engine.receive_hesitation(2.0, 1.0)
    assert decided_after(engine, REQUEST, 0.95) == 1.0
    assert decided_after(engine, WHOLE, 0.5) == 0.3
    engine.receive_answered(SILENT_SINCE + 1.5)
    assert decided_after(engine, REQUEST, 0.95) == 0.5


@pytest.mark.parametrize(("factor", "wait_s"), [(0.1, 0.5), (100.0, 1.5)])
def test_hesitation_is_bounded(factor: float, wait_s: float) -> None:
    engine = Endpointing(ADAPTIVE)
    engine.receive_hesitation(factor, 1.0)
    assert decided_after(engine, REQUEST, 0.95) == wait_s


def cut_off(engine: Endpointing, went_on_as: str, *, answered: bool) -> None:
    """The agent takes a question after 0.23 s, and the caller goes on after 0.4 s."""
    assert decided_after(engine, QUESTION, 0.95) == 0.23
    if answered:
        engine.receive_answered(SILENT_SINCE + 0.35)
    engine.receive_speech(SILENT_SINCE + 0.4, SILENT_SINCE + 0.53)
    engine.receive_silence(SILENT_SINCE + 0.8, SILENT_SINCE + 0.9)
    engine.handle_timeout(SILENT_SINCE + 1.0)
    pause_id = engine.pause_id
    assert pause_id is not None
    engine.receive_transcript(pause_id, Transcript(went_on_as, True, 0.9), SILENT_SINCE + 1.04)
    engine.handle_timeout(SILENT_SINCE + 9)
    engine.events()


@pytest.mark.parametrize(
    ("went_on_as", "answered"), [("What are your opening hours on Sunday?", False), ("On Sunday?", True)]
)
def test_a_false_cut_off_raises_the_least_wait(went_on_as: str, answered: bool) -> None:
    engine = Endpointing(ADAPTIVE)
    cut_off(engine, went_on_as, answered=answered)
    assert decided_after(engine, QUESTION, 0.95) == 0.5


@pytest.mark.parametrize(("went_on_as", "answered"), [(QUESTION.text, False), ("Okay.", True), ("", False)])
def test_a_cough_or_a_back_channel_after_our_decision_was_no_cut_off(went_on_as: str, answered: bool) -> None:
    engine = Endpointing(ADAPTIVE)
    cut_off(engine, went_on_as, answered=answered)
    assert decided_after(engine, QUESTION, 0.95) == 0.23


def test_who_interrupts_later_was_not_cut_off() -> None:
    engine = Endpointing(ADAPTIVE)
    assert decided_after(engine, QUESTION, 0.95) == 0.23
    engine.receive_answered(SILENT_SINCE - 4.0)
    assert decided_after(engine, Transcript("Wait, on Sunday?", True, 0.9), 0.95) == 0.23


def test_a_caller_without_pauses_is_waited_for_less_after_every_turn() -> None:
    engine = Endpointing(ADAPTIVE)
    waits = []
    for _ in range(4):
        waits.append(decided_after(engine, SENTENCE, 0.95))
        engine.receive_answered(SILENT_SINCE - 4.0)
    assert waits == [1.6, 1.3, 1.1, 0.967]
