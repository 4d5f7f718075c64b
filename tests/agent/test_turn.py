# SPDX-License-Identifier: GPL-3.0-or-later
"""The state machine of a conversation, and the engine that runs it."""

import itertools

import pytest

from agent.config import AgentConfig
from agent.errors import AgentMisuse
from agent.expectation import Expectation
from agent.interruption import AskWords, Duck, Hold, Restore, Saying
from agent.ledger import Stage
from agent.services.stt import Transcript
from agent.speech import SpeechDismissed, SpeechEnded, SpeechEvent, SpeechStarted, SpeechSuspected
from agent.turn import TurnTaking
from agent.turn_actions import (
    Announce,
    Answer,
    Apologize,
    Ask,
    ForgetTurn,
    Interrupt,
    Listen,
    StopAsking,
    TurnAction,
    Withdraw,
)
from agent.turn_state import TRANSITIONS, Cause, TurnState, next_state
from tests.fakes.scene import QUICK

CONFIG = AgentConfig(turn=QUICK)


def speech(
    engine: TurnTaking, begin: float, end: float, transcript: str | None, probability: float = 0.95
) -> list[TurnAction]:
    """A caller's utterance as the detector tells it, and the services' answers to the pause after it."""
    actions: list[TurnAction] = []

    def tell(event: SpeechEvent, now: float) -> None:
        engine.receive_speech(event, now)
        actions.extend(engine.actions())

    tell(SpeechSuspected(begin), begin + 0.04)
    tell(SpeechStarted(begin, 0), begin + 0.14)
    tell(SpeechEnded(end, end + 0.02, 0), end + 0.1)
    engine.handle_timeout(end + 0.2)
    asked = engine.actions()
    actions += asked
    for ask in asked:
        if isinstance(ask, Ask) and transcript is not None:
            engine.receive_probability(ask.pause_id, probability, end + 0.23)
            engine.receive_transcript(ask.pause_id, Transcript(transcript, True, 0.9), end + 0.28)
            actions += engine.actions()
    return actions


def announced(text: str = "Hello.") -> TurnTaking:
    """An engine whose agent is audible with an announcement (reply 1), at 1.0 s."""
    engine = TurnTaking(CONFIG)
    engine.announce(text, 0.9)
    engine.receive_audible(1, 1.0)
    engine.actions()
    assert engine.state is TurnState.SPEAKING
    return engine


def only(actions: list[TurnAction], kind: type[Answer]) -> Answer:
    (found,) = [action for action in actions if isinstance(action, kind)]
    return found


@pytest.mark.parametrize(("state", "cause"), list(itertools.product(TurnState, Cause)))
def test_an_event_that_is_not_in_the_table_raises_with_event_and_state(state: TurnState, cause: Cause) -> None:
    if (state, cause) in TRANSITIONS:
        assert next_state(state, cause) is TRANSITIONS[state, cause]
    else:
        with pytest.raises(AgentMisuse, match=f"{cause.value} does not happen while {state.value}"):
            next_state(state, cause)


def test_every_state_is_reached_and_every_state_can_be_left_by_hanging_up() -> None:
    assert set(TRANSITIONS.values()) == set(TurnState)
    assert {state for state, cause in TRANSITIONS if cause is Cause.HUNG_UP} == set(TurnState)


def test_a_turn_is_heard_asked_about_and_answered() -> None:
    engine = TurnTaking(CONFIG)
    actions = speech(engine, 1.0, 2.0, "What time do you open?")
    assert actions[:2] == [Listen(), Ask(1)]
    answer = only(actions, Answer)
    assert (answer.reply_id, answer.turn_index, answer.text) == (1, 0, "What time do you open?")
    assert (answer.started_at, answer.confidence) == (1.0, 0.9)
    assert engine.state is TurnState.PREPARING
    answer.marks.mark(Stage.FIRST_PACKET_SENT, 2.5)
    ledger = answer.marks.measure(0, interrupted=False)
    assert ledger is not None
    assert [ledger.segments_ms[name] for name in ("arrival", "endpointing", "stt_final")] == [20.0, 210.0, 50.0]


def test_the_turns_sound_is_forgotten_when_its_answer_is_audible_and_not_before() -> None:
    engine = TurnTaking(CONFIG)
    assert ForgetTurn(was_noise=False) not in speech(engine, 1.0, 2.0, "What time do you open?")
    engine.receive_audible(1, 2.6)
    assert engine.actions() == [ForgetTurn(was_noise=False)]
    assert (engine.state, engine.turn_index) == (TurnState.SPEAKING, 1)
    engine.receive_reply_over(1, 3.0)
    assert engine.state is TurnState.LISTENING


def test_speech_before_the_answer_is_audible_reopens_the_turn() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, "I would like it.")
    actions = speech(engine, 2.5, 3.0, "I would like an appointment.")
    assert actions[:3] == [Withdraw(1), Listen(), Ask(2)]
    answer = only(actions, Answer)
    assert (answer.reply_id, answer.turn_index, answer.started_at) == (2, 0, 1.0)


def test_a_reopened_turn_that_was_only_noise_is_answered_as_it_was() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, "What time do you open?")
    answer = only(speech(engine, 2.5, 2.7, ""), Answer)
    assert (answer.reply_id, answer.turn_index, answer.text) == (2, 0, "What time do you open?")


def test_a_reopened_turn_whose_new_transcript_fails_is_answered_as_it_was() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, "What time do you open?")
    speech(engine, 2.5, 2.7, None)
    engine.receive_no_transcript(2, 3.0)
    assert only(engine.actions(), Answer).text == "What time do you open?"


def test_a_turn_without_words_is_dropped_and_its_index_used_again() -> None:
    engine = TurnTaking(CONFIG)
    assert speech(engine, 1.0, 1.3, "")[-1] == ForgetTurn(was_noise=True)
    assert engine.state is TurnState.LISTENING
    assert only(speech(engine, 3.0, 4.0, "Is it open?"), Answer).turn_index == 0


def test_a_turn_that_could_not_be_understood_is_apologised_for() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, None)
    engine.receive_no_transcript(1, 2.5)
    assert engine.actions() == [StopAsking(), ForgetTurn(was_noise=False), Apologize()]
    assert engine.state is TurnState.LISTENING
    engine.receive_no_transcript(1, 2.6)
    assert engine.actions() == []


def test_speech_that_resumes_during_the_wait_cancels_what_was_asked() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, None)
    engine.receive_speech(SpeechStarted(2.3, 0), 2.4)
    assert engine.actions() == [Listen(), StopAsking()]
    engine.receive_transcript(1, Transcript("I would", True, 0.9), 2.5)
    engine.receive_probability(1, 0.99, 2.5)
    engine.handle_timeout(9.0)
    assert engine.actions() == []
    assert engine.state is TurnState.CALLER_SPEAKING


def test_a_suspicion_during_the_wait_holds_the_answer_back() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, None)
    engine.receive_speech(SpeechSuspected(2.2), 2.25)
    engine.receive_probability(1, 0.99, 2.26)
    engine.receive_transcript(1, Transcript("I would like it.", True, 0.9), 2.28)
    assert engine.actions() == []
    engine.receive_speech(SpeechDismissed(), 2.35)
    assert only(engine.actions(), Answer).text == "I would like it."


def test_speech_over_the_agent_ducks_and_then_interrupts_it() -> None:
    engine = announced()
    engine.receive_speech(SpeechSuspected(2.0), 2.04)
    assert engine.actions() == [Duck()]
    engine.receive_speech(SpeechStarted(2.0, 0), 2.14)
    assert engine.actions() == [Listen(), Hold()]
    engine.receive_partial(Transcript("stop it", False, 0.9), Saying(), 2.4)
    assert engine.actions() == [Interrupt(1), Listen(), Restore()]
    assert engine.state is TurnState.CALLER_SPEAKING


def test_an_interruption_that_is_over_when_its_words_are_known_is_a_turn_that_is_over() -> None:
    engine = announced()
    engine.receive_speech(SpeechStarted(2.0, 0), 2.14)
    engine.receive_speech(SpeechEnded(2.3, 2.31, 0), 2.37)
    assert engine.actions() == [Listen(), Hold(), AskWords(1)]
    engine.receive_words(1, Transcript("No.", True, 0.9), Saying(), 2.45)
    assert engine.actions() == [Interrupt(1), Listen(), Restore()]
    assert engine.state is TurnState.PAUSED
    assert engine.next_timeout() == pytest.approx(2.5)


def test_an_interruption_that_began_like_one_and_was_a_back_channel_is_none() -> None:
    engine = announced()
    engine.receive_speech(SpeechStarted(2.0, 0), 2.14)
    engine.receive_partial(Transcript("why the", False, 0.9), Saying(), 2.4)
    engine.receive_speech(SpeechEnded(2.5, 2.51, 0), 2.57)
    engine.handle_timeout(2.71)
    engine.actions()
    engine.receive_transcript(1, Transcript("Right.", True, 0.9), 2.8)
    engine.receive_probability(1, 0.99, 2.81)
    engine.handle_timeout(3.6)
    assert engine.actions() == [ForgetTurn(was_noise=True)]
    assert engine.state is TurnState.LISTENING


def test_a_click_over_the_agent_ducks_and_restores() -> None:
    engine = announced()
    engine.receive_speech(SpeechSuspected(2.0), 2.04)
    engine.receive_speech(SpeechDismissed(), 2.2)
    assert engine.actions() == [Duck(), Restore()]
    assert engine.state is TurnState.SPEAKING


def test_news_of_a_reply_that_is_gone_is_dropped() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, "I would like it.")
    engine.receive_speech(SpeechStarted(2.5, 0), 2.6)
    engine.actions()
    engine.receive_audible(1, 2.61)
    engine.receive_reply_over(1, 2.62)
    assert engine.actions() == []
    assert engine.state is TurnState.CALLER_SPEAKING


def test_news_of_a_reply_that_is_gone_does_not_count_for_the_next_one() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, "I would like it.")
    speech(engine, 2.5, 3.0, "I would like it now.")
    engine.receive_audible(1, 3.31)
    engine.receive_reply_over(1, 3.32)
    assert engine.actions() == []
    assert engine.state is TurnState.PREPARING


def test_a_reply_that_had_nothing_to_say_gives_the_floor_back() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, "What time do you open?")
    engine.receive_reply_over(1, 2.6)
    assert (engine.state, engine.turn_index) == (TurnState.LISTENING, 1)
    assert engine.actions() == [ForgetTurn(was_noise=False)]


def test_who_still_speaks_when_an_uninterruptible_reply_ends_has_the_floor() -> None:
    interruption = CONFIG.interruption.model_copy(update={"enabled": False})
    engine = TurnTaking(CONFIG.model_copy(update={"interruption": interruption}))
    engine.announce("Hello.", 0.9)
    engine.receive_audible(1, 1.0)
    engine.receive_speech(SpeechStarted(1.5, 0), 1.6)
    engine.actions()
    engine.receive_reply_over(1, 2.0)
    assert engine.actions() == [Listen()]
    assert engine.state is TurnState.CALLER_SPEAKING


def test_announcements_wait_for_each_other_and_for_the_caller() -> None:
    engine = TurnTaking(CONFIG)
    engine.announce("one", 1.0)
    engine.announce("two", 1.0)
    assert engine.actions() == [Announce(1, "one")]
    engine.receive_audible(1, 1.1)
    engine.receive_speech(SpeechStarted(1.5, 0), 1.7)
    engine.receive_reply_over(1, 1.8)
    assert Announce(2, "two") not in engine.actions()
    engine.receive_speech(SpeechEnded(2.0, 2.0, 0), 2.1)
    engine.handle_timeout(2.2)
    engine.receive_transcript(1, Transcript("", True, 0.0), 2.3)
    engine.handle_timeout(2.7)
    assert engine.actions()[-1] == Announce(2, "two")


def test_too_many_announcements_are_refused() -> None:
    engine = TurnTaking(CONFIG)
    for number in range(9):
        engine.announce(f"number {number}", 1.0)
    with pytest.raises(AgentMisuse, match="eight announcements"):
        engine.announce("one too many", 1.0)


def test_keys_become_a_turn_after_a_wait_or_a_hash() -> None:
    engine = TurnTaking(CONFIG)
    engine.receive_digit("1", 1.0)
    engine.receive_digit("2", 2.0)
    assert (engine.actions(), engine.next_timeout()) == ([], 4.0)
    engine.receive_digit("#", 2.5)
    answer = only(engine.actions(), Answer)
    assert (answer.text, answer.started_at, answer.marks.spoken_at) == ("[pressed 12]", 2.5, 2.5)


def test_a_hash_alone_is_a_key_like_any_other() -> None:
    engine = TurnTaking(CONFIG)
    engine.receive_digit("#", 1.0)
    engine.handle_timeout(3.0)
    assert only(engine.actions(), Answer).text == "[pressed #]"


def test_a_key_stops_the_agent_and_its_announcements_wait_for_the_keys() -> None:
    engine = announced()
    engine.announce("More.", 1.2)
    engine.receive_digit("1", 1.5)
    assert engine.actions() == [Interrupt(1)]
    assert engine.state is TurnState.LISTENING
    engine.handle_timeout(3.5)
    assert only(engine.actions(), Answer).text == "[pressed 1]"


def test_a_key_pressed_while_the_caller_begins_to_speak_loses_no_words() -> None:
    interruption = CONFIG.interruption.model_copy(update={"confirm_ms": 500})
    engine = TurnTaking(CONFIG.model_copy(update={"interruption": interruption}))
    engine.announce("Hello.", 0.9)
    engine.receive_audible(1, 1.0)
    engine.receive_speech(SpeechStarted(1.5, 0), 1.65)
    engine.actions()
    engine.receive_digit("1", 1.7)
    assert engine.actions() == [Interrupt(1), Listen(), Restore()]
    assert engine.state is TurnState.CALLER_SPEAKING


def test_keys_pressed_while_the_answer_is_prepared_are_not_lost() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, "What time do you open?")
    engine.receive_digit("1", 2.4)
    assert engine.actions() == []
    engine.receive_audible(1, 2.6)
    assert engine.actions() == [ForgetTurn(was_noise=False), Interrupt(1)]
    engine.handle_timeout(4.4)
    answer = only(engine.actions(), Answer)
    assert (answer.turn_index, answer.text) == (1, "[pressed 1]")


def test_keys_and_the_words_that_follow_before_the_answer_is_audible_are_one_turn() -> None:
    engine = TurnTaking(CONFIG)
    engine.receive_digit("1", 1.0)
    engine.receive_digit("#", 1.1)
    engine.actions()
    answer = only(speech(engine, 1.2, 2.0, "That is my number."), Answer)
    assert (answer.turn_index, answer.text) == (0, "That is my number. [pressed 1]")


def test_after_the_end_nothing_has_any_effect() -> None:
    engine = announced()
    engine.receive_speech(SpeechSuspected(1.9), 1.95)
    engine.hang_up(2.0)
    engine.receive_speech(SpeechStarted(2.0, 0), 2.1)
    engine.receive_digit("1", 2.1)
    engine.receive_reply_over(1, 2.2)
    engine.announce("Hello?", 2.3)
    engine.handle_timeout(9.0)
    engine.hang_up(9.1)
    assert engine.actions() == []
    assert engine.state is TurnState.ENDED


def test_expected_digits_keep_the_turn_open_until_there_are_enough() -> None:
    engine = TurnTaking(CONFIG)
    engine.expect(Expectation("digits", length=4), 0.5)
    assert Answer not in {type(action) for action in speech(engine, 1.0, 2.0, "Four seven.", 0.99)}
    assert only(speech(engine, 2.9, 3.5, "Four seven one nine."), Answer).text == "Four seven one nine."
    engine.receive_audible(1, 3.8)
    engine.receive_reply_over(1, 4.5)
    engine.actions()
    assert only(speech(engine, 6.0, 7.0, "Is it four seven?"), Answer).turn_index == 1


def test_our_question_for_a_pin_makes_four_digits_or_keys_a_turn() -> None:
    engine = TurnTaking(CONFIG)
    engine.receive_question("Please say or enter your four digit pin.", 0.5)
    for number, key in enumerate("4719"):
        engine.receive_digit(key, 1.0 + number / 10)
    assert only(engine.actions(), Answer).text == "[pressed 4719]"


def test_what_a_tool_expects_while_it_answers_is_for_the_next_turn() -> None:
    engine = TurnTaking(CONFIG)
    speech(engine, 1.0, 2.0, "What time do you open?")
    engine.expect(Expectation("digits", length=2), 2.5)
    engine.receive_audible(1, 2.6)
    engine.receive_reply_over(1, 3.0)
    engine.receive_digit("1", 4.0)
    engine.receive_digit("2", 4.2)
    assert only(engine.actions(), Answer).text == "[pressed 12]"


def test_a_hesitant_caller_is_given_more_time() -> None:
    engine = TurnTaking(CONFIG)
    engine.receive_hesitation(3.0, 0.5)
    assert Answer not in {type(action) for action in speech(engine, 1.0, 2.0, "What time do you open?")}
    assert engine.next_timeout() == pytest.approx(2.0 + 3 * 0.23)
