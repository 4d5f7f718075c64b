# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller speaks while the agent speaks: what becomes of the playout."""

import pytest

from agent.config import InterruptionConfig
from agent.interruption import (
    AskWords,
    BargeIn,
    BrokenIn,
    Deferred,
    Disregard,
    Duck,
    Hold,
    Overhear,
    Restore,
    Saying,
)
from agent.services.stt import Transcript

CONFIG = InterruptionConfig(confirm_ms=700)
STORY = Saying("We are open on Saturday from nine to one.")
QUESTION = Saying("Shall I book it?", asks=True)


def words(text: str, confidence: float = 0.9) -> Transcript:
    return Transcript(text, True, confidence)


def audible(config: InterruptionConfig = CONFIG, *, protected: bool = False) -> BargeIn:
    engine = BargeIn(config)
    engine.receive_audible(1.0, protected=protected)
    assert engine.events() == []
    return engine


def speak(engine: BargeIn, since: float = 2.0) -> None:
    """Up to when it is speech."""
    engine.receive_suspicion(since + 0.04)
    engine.receive_speech(since, since + 0.14)


def burst(engine: BargeIn, since: float, until: float) -> int:
    """A short sound, up to the question for its words; its id."""
    speak(engine, since)
    engine.receive_silence(until, until + 0.06)
    asked = [event for event in engine.events() if isinstance(event, AskWords)]
    assert len(asked) == 1
    return asked[0].burst_id


def back_channel(engine: BargeIn, since: float) -> None:
    engine.receive_words(burst(engine, since, since + 0.3), words("Uh-huh."), STORY, since + 0.5)
    assert engine.events() == [Disregard(), Restore()]


def test_a_suspicion_ducks_and_its_dismissal_restores() -> None:
    engine = audible()
    engine.receive_suspicion(2.0)
    assert engine.events() == [Duck()]
    engine.receive_dismissal(2.1)
    assert engine.events() == [Restore()]


def test_a_hint_ducks_before_there_is_a_suspicion() -> None:
    engine = audible()
    engine.receive_hint(True, 2.0)
    assert engine.events() == [Duck()]
    engine.receive_suspicion(2.08)
    engine.receive_hint(False, 2.08)
    assert engine.events() == []
    engine.receive_dismissal(2.2)
    assert engine.events() == [Restore()]


def test_speech_holds_the_agent_and_is_overheard() -> None:
    engine = audible()
    speak(engine)
    assert engine.events() == [Duck(), Overhear(goes_on=False), Hold()]


def test_a_back_channel_is_asked_for_its_words_and_lets_the_agent_go_on() -> None:
    engine = audible()
    burst_id = burst(engine, 2.0, 2.4)
    engine.receive_words(burst_id, words("Uh-huh."), STORY, 2.6)
    assert engine.events() == [Disregard(), Restore()]
    assert engine.next_timeout() is None


@pytest.mark.parametrize("text", ["", "[cough]"])
def test_a_cough_lets_the_agent_go_on(text: str) -> None:
    engine = audible()
    engine.receive_words(burst(engine, 2.0, 2.4), words(text), STORY, 2.6)
    assert engine.events() == [Disregard(), Restore()]


def test_a_short_no_interrupts_when_its_words_are_known() -> None:
    engine = audible()
    engine.receive_words(burst(engine, 2.0, 2.25), words("No."), STORY, 2.45)
    assert engine.events() == [BrokenIn(is_certain=True), Restore()]


def test_telling_words_interrupt_while_they_are_spoken() -> None:
    engine = audible()
    speak(engine)
    engine.receive_partial(words("Okay"), STORY, 2.3)
    engine.receive_partial(words("Okay but what"), STORY, 2.5)
    assert engine.events()[3:] == [BrokenIn(is_certain=False), Restore()]


def test_speech_without_known_words_interrupts_when_it_is_long_enough() -> None:
    engine = audible()
    speak(engine)
    engine.events()
    assert engine.next_timeout() == pytest.approx(2.8)
    engine.handle_timeout(2.79)
    assert engine.events() == []
    engine.handle_timeout(2.801)
    assert engine.events() == [BrokenIn(is_certain=False), Restore()]


def test_back_channels_one_after_another_may_last_twice_as_long() -> None:
    engine = audible()
    speak(engine)
    engine.receive_partial(words("Okay, okay"), STORY, 2.5)
    assert engine.next_timeout() == pytest.approx(3.5)


def test_a_gap_does_not_begin_the_count_anew_and_drops_the_question() -> None:
    engine = audible()
    burst_id = burst(engine, 2.0, 2.3)
    engine.receive_speech(2.4, 2.54)
    assert engine.events() == [Overhear(goes_on=True)]
    engine.receive_words(burst_id, words("No."), STORY, 2.55)
    assert engine.events() == []
    assert engine.next_timeout() == pytest.approx(2.4 + 0.5)


def test_without_an_answer_in_time_a_short_sound_was_nothing() -> None:
    engine = audible()
    burst(engine, 2.0, 2.3)
    assert engine.next_timeout() == pytest.approx(2.96)
    engine.handle_timeout(2.97)
    assert engine.events() == [Disregard(), Restore()]


def test_an_answer_that_comes_too_late_still_interrupts_if_it_says_so() -> None:
    engine = audible()
    burst_id = burst(engine, 2.0, 2.3)
    engine.handle_timeout(2.97)
    engine.events()
    engine.receive_words(burst_id, words("Uh-huh."), STORY, 3.0)
    assert engine.events() == []
    engine.receive_words(burst_id, words("Stop."), STORY, 3.1)
    assert engine.events() == [BrokenIn(is_certain=True)]


def test_when_recognition_fails_a_short_sound_was_nothing() -> None:
    engine = audible()
    engine.receive_no_words(burst(engine, 2.0, 2.3), 2.4)
    assert engine.events() == [Disregard(), Restore()]


def test_a_yes_at_the_end_of_a_question_answers_it() -> None:
    engine = audible()
    engine.receive_words(burst(engine, 2.0, 2.3), words("Yes."), QUESTION, 2.5)
    assert engine.events() == [BrokenIn(is_certain=True), Restore()]


@pytest.mark.parametrize(("text", "interrupts"), [("That it.", False), ("Not that one.", True), ("Stop.", True)])
def test_in_a_very_short_sound_one_word_more_is_needed_if_they_do_not_tell_by_themselves(
    text: str, interrupts: bool
) -> None:
    engine = audible()
    engine.receive_words(burst(engine, 2.0, 2.3), words(text), STORY, 2.5)
    assert (BrokenIn(is_certain=True) in engine.events()) is interrupts


def test_a_single_word_counts_when_it_is_clear_and_not_too_short() -> None:
    for until, confidence, counts in ((2.5, 0.9, True), (2.3, 0.9, False), (2.5, 0.3, False)):
        engine = audible()
        engine.receive_words(burst(engine, 2.0, until), words("Tuesday.", confidence), STORY, 2.6)
        assert (BrokenIn(is_certain=True) in engine.events()) is counts


def test_our_own_words_are_an_echo() -> None:
    engine = audible()
    engine.receive_words(burst(engine, 2.0, 2.6), words("on Saturday from nine"), STORY, 2.8)
    assert engine.events() == [Disregard(), Restore()]


def test_a_sound_while_the_words_are_asked_for_keeps_the_agent_quiet() -> None:
    engine = audible()
    burst_id = burst(engine, 2.0, 2.3)
    engine.receive_suspicion(2.45)
    engine.receive_words(burst_id, words("Okay."), STORY, 2.5)
    assert engine.events() == [Disregard(), Restore(), Duck()]
    engine.receive_dismissal(2.6)
    assert engine.events() == [Restore()]


def test_nothing_happens_while_the_agent_is_silent() -> None:
    engine = BargeIn(CONFIG)
    speak(engine)
    engine.handle_timeout(3.0)
    engine.receive_silence(3.1, 3.2)
    assert (engine.events(), engine.next_timeout()) == ([], None)


def test_speech_that_began_before_the_agent_was_audible_counts_from_its_own_beginning() -> None:
    engine = BargeIn(CONFIG)
    engine.receive_speech(0.88, 0.95)
    engine.receive_audible(1.0)
    assert engine.events() == [Overhear(goes_on=False), Hold()]
    assert engine.next_timeout() == pytest.approx(1.68)


def test_an_agent_that_finishes_meanwhile_is_as_loud_as_ever_the_next_time() -> None:
    engine = audible()
    speak(engine)
    engine.events()
    assert engine.is_undecided
    engine.receive_inaudible(2.2)
    assert engine.events() == [Restore()]
    assert not engine.is_undecided
    engine.receive_silence(2.3, 2.4)
    assert engine.events() == []


def test_a_reply_is_interrupted_only_once() -> None:
    engine = audible()
    speak(engine)
    engine.handle_timeout(2.85)
    engine.receive_partial(words("stop it now"), STORY, 2.9)
    engine.handle_timeout(3.5)
    assert [event for event in engine.events() if isinstance(event, BrokenIn)] == [BrokenIn(is_certain=False)]


def test_a_policy_without_interruptions_does_not_even_duck() -> None:
    engine = audible(InterruptionConfig(enabled=False))
    speak(engine)
    engine.handle_timeout(3.0)
    assert (engine.events(), engine.next_timeout()) == ([], None)


def test_ducking_alone_never_silences() -> None:
    engine = audible(InterruptionConfig(at_onset="duck"))
    speak(engine)
    assert engine.events() == [Duck(), Overhear(goes_on=False)]


def test_without_ducking_telling_words_still_interrupt() -> None:
    engine = audible(InterruptionConfig(at_onset="none"))
    speak(engine)
    engine.receive_partial(words("wait"), STORY, 2.3)
    assert engine.events() == [Overhear(goes_on=False), BrokenIn(is_certain=False)]


def test_when_only_words_count_sound_without_any_is_passed_over_until_it_ends() -> None:
    engine = audible(InterruptionConfig(policy="words", confirm_ms=500))
    speak(engine)
    engine.events()
    engine.handle_timeout(2.9)
    assert engine.events() == []
    engine.handle_timeout(3.61)
    assert engine.events() == [Disregard(), Restore()]
    engine.receive_silence(5.0, 5.1)
    assert engine.events() == []
    speak(engine, 6.0)
    assert engine.events() == [Duck(), Overhear(goes_on=False), Hold()]


def test_when_only_duration_counts_words_are_not_asked_for() -> None:
    engine = audible(InterruptionConfig(policy="duration", confirm_ms=500))
    speak(engine)
    engine.receive_partial(words("stop it now"), STORY, 2.2)
    engine.receive_silence(2.3, 2.36)
    assert engine.events()[3:] == [Disregard(), Restore()]
    speak(engine, 6.0)
    assert engine.next_timeout() == pytest.approx(6.5)
    engine.handle_timeout(6.501)
    assert BrokenIn(is_certain=False) in engine.events()


def test_back_channels_and_stops_for_nothing_need_longer_speech_from_then_on() -> None:
    engine = audible()
    back_channel(engine, 2.0)
    assert engine.confirm_s == pytest.approx(0.77)
    engine.receive_false_stop()
    assert engine.confirm_s == pytest.approx(1.001)
    for _ in range(5):
        engine.receive_false_stop()
    assert engine.confirm_s == pytest.approx(1.4)


def test_who_had_to_try_twice_needs_less() -> None:
    engine = audible()
    burst(engine, 2.0, 2.3)
    engine.handle_timeout(2.97)
    speak(engine, 3.5)
    engine.receive_partial(words("I said stop"), STORY, 3.9)
    assert engine.confirm_s == pytest.approx(0.525)


def test_a_policy_that_does_not_adapt_stays_as_it_is() -> None:
    engine = audible(InterruptionConfig(adaptive=False))
    engine.receive_false_stop()
    assert engine.confirm_s == pytest.approx(0.7)


def test_what_is_protected_is_neither_quieter_nor_stopped_and_wishes_are_deferred() -> None:
    engine = audible(protected=True)
    speak(engine)
    engine.receive_partial(words("wait a moment"), STORY, 2.4)
    assert engine.events() == [Overhear(goes_on=False), Deferred()]
    engine.handle_timeout(4.0)
    engine.receive_silence(4.0, 4.1)
    assert engine.events() == []
    engine.receive_words(burst(engine, 5.0, 5.3), words("Uh-huh."), STORY, 5.5)
    assert engine.events() == [Disregard()]
