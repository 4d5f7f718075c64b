# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of answer is expected?"""

import pytest

from agent.expectation import FREE, Expectation, ExpectedAnswer, expected_by

PIN = Expectation("digits", length=4)
EMAIL = Expectation("email")
YES_NO = Expectation("yes_no")


@pytest.mark.parametrize(
    ("said", "expectation"),
    [
        ("What is your phone number?", Expectation("digits")),
        ("Thank you. Can you tell me your account number?", Expectation("digits")),
        ("Please say your four digit pin.", Expectation("digits", length=4)),
        ("Please enter your 6-digit code.", Expectation("digits", length=6)),
        ("Say your member number, followed by pound.", Expectation("digits", terminator="pound")),
        ("Could you spell that for me?", Expectation("spelling")),
        ("What is your e-mail address?", Expectation("email")),
        ("Could you spell your email address?", Expectation("email")),
        ("What day would suit you?", Expectation("date")),
        ("What is your date of birth?", Expectation("date", length=3)),
        ("Shall I put you through?", Expectation("yes_no")),
        ("Would you like to leave a message?", Expectation("yes_no")),
        ("Is there anything else I can do for you?", None),
        ("Hello, how can I help you?", None),
        ("Would you like Monday or Tuesday?", None),
        ("Our phone number is 555 0199.", None),
        ("Your appointment is on Monday.", None),
        ("What is your phone number? You can also leave it out.", None),
        ("", None),
    ],
)
def test_our_last_sentence_tells_where_it_is_plain(said: str, expectation: Expectation | None) -> None:
    assert expected_by(said) == expectation


def test_what_was_told_overrules_our_question_and_that_the_configuration() -> None:
    expected = ExpectedAnswer(EMAIL)
    assert expected.expectation == EMAIL
    expected.receive_question("Shall I put you through?")
    assert expected.expectation == YES_NO
    expected.receive_told(PIN, is_answered=False)
    assert (expected.expectation, expected.keys) == (PIN, 4)
    expected.receive_answered()
    assert (expected.expectation, expected.keys) == (YES_NO, None)
    expected.receive_question("All right.")
    assert expected.expectation == EMAIL


def test_what_a_tool_tells_while_a_turn_is_answered_is_for_the_next_turn() -> None:
    expected = ExpectedAnswer(FREE)
    expected.receive_told(PIN, is_answered=True)
    assert expected.expectation == FREE
    expected.receive_answered()
    assert expected.expectation == PIN
    expected.receive_answered()
    assert expected.expectation == FREE


def test_a_turn_that_goes_on_takes_back_what_its_answer_told() -> None:
    expected = ExpectedAnswer(FREE)
    expected.receive_told(PIN, is_answered=True)
    expected.receive_reopened()
    expected.receive_answered()
    assert expected.expectation == FREE
