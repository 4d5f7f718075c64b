# SPDX-License-Identifier: GPL-3.0-or-later
"""When the agent begins to speak on a call that it placed."""

from agent.first_words import FirstWords, SpeakNow


def test_who_has_said_hello_is_greeted_at_once() -> None:
    words = FirstWords(2.0, 0.0)
    words.receive_quiet(False, 0.5)
    words.receive_invitation()
    assert words.events() == [SpeakNow()]


def test_who_says_nothing_is_greeted_after_a_while() -> None:
    words = FirstWords(2.0, 10.0)
    assert words.next_timeout() == 12.0
    words.handle_timeout(11.99)
    assert not words.events()
    words.handle_timeout(12.0)
    assert words.events() == [SpeakNow()]


def test_a_cough_makes_the_wait_begin_anew() -> None:
    words = FirstWords(2.0, 0.0)
    words.receive_quiet(False, 1.0)
    assert words.next_timeout() is None
    words.receive_quiet(True, 1.5)
    assert words.next_timeout() == 3.5


def test_nobody_is_greeted_twice() -> None:
    words = FirstWords(2.0, 0.0)
    words.receive_invitation()
    words.events()
    words.receive_given()
    words.receive_audible()
    words.receive_withdrawn()
    words.receive_cut_off(1.2)
    words.receive_invitation()
    words.receive_quiet(True, 50.0)
    assert not words.are_due
    assert not words.events()
    assert words.next_timeout() is None


def test_who_went_on_before_we_were_heard_is_greeted_later() -> None:
    words = FirstWords(2.0, 0.0)
    words.receive_invitation()
    words.events()
    words.receive_given()
    words.receive_withdrawn()
    assert words.are_due
    words.receive_quiet(True, 5.0)
    assert words.next_timeout() == 7.0


def test_who_stopped_us_before_a_word_was_heard_is_greeted_again() -> None:
    words = FirstWords(2.0, 0.0)
    words.receive_invitation()
    words.events()
    words.receive_given()
    words.receive_audible()
    words.receive_cut_off(0.3)
    words.receive_invitation()
    assert words.events() == [SpeakNow()]


def test_who_invited_us_and_spoke_on_is_greeted_when_it_is_quiet() -> None:
    words = FirstWords(2.0, 0.0)
    words.receive_quiet(False, 0.2)
    words.receive_invitation()
    words.events()
    words.receive_quiet(True, 3.0)
    assert words.events() == [SpeakNow()]


def test_a_person_who_was_not_greeted_yet_is_greeted_in_the_next_pause() -> None:
    words = FirstWords(2.0, 0.0)
    words.receive_quiet(False, 0.0)
    words.receive_invitation(is_person=True)
    words.events()
    words.receive_speech()
    assert words.next_timeout() is None
    words.receive_silence(4.0)
    words.handle_timeout(4.2)
    assert not words.events()
    words.handle_timeout(4.25)
    assert words.events() == [SpeakNow()]
