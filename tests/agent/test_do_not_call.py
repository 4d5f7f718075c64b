# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks not to be called any more is heard, and what merely sounds alike is not taken for it."""

import time

import pytest

from agent.do_not_call import asks_not_to_be_called

REQUESTS = [
    "Don't call me again.",
    "don't call me again",
    "Please do not call me anymore.",
    "dont call me any more please",
    "Please don't ever call me again, thank you.",
    "Never call me again!",
    "Never call this number again.",
    "Don\N{RIGHT SINGLE QUOTATION MARK}t call here again, okay?",
    "Don't you call me again.",
    "Do not contact me again.",
    "Don't phone us again.",
    "Don't call this number anymore, it's my work phone.",
    "Please don't call me.",
    "Don't call back.",
    "I'm not interested, don't call me again, bye.",
    "I told you not to call me again.",
    "I asked you not to call this number.",
    "I hope you don't call me again.",
    "Make sure you don't call me again.",
    "Stop calling me.",
    "Stop calling.",
    "Would you please stop calling me?",
    "I want you to stop calling me.",
    "I told you people to stop calling me!",
    "Can you stop calling this number?",
    "Quit calling me, I'm busy.",
    "Stop calling me all the time.",
    "Stop calling me every day.",
    "Stop harassing me.",
    "Take me off your list.",
    "Can you take me off your list please?",
    "Take me off your calling list.",
    "Please remove me from your call list.",
    "Could you remove my number from your list?",
    "Remove my number from your database, please.",
    "Take my name off that list and have a nice day.",
    "I'd like to be taken off your list.",
    "I want to be removed from your calling list.",
    "How do I get removed from this list?",
    "Put me on your do-not-call list.",
    "Put me on the do not call list, please.",
    "Add my number to the national do not call registry.",
    "I'm on the do not call list.",
    "This number is on the do not call registry.",
    "I don't want to be called again.",
    "I don't want to be called anymore.",
    "I do not wish to be contacted.",
    "I don't want you to call me again.",
    "I don't want you calling me.",
    "I don't want any more calls.",
    "I don't want any more calls from you.",
    "I don't want these calls.",
    "I do not want to receive your calls.",
    "No more calls, please.",
    "Lose my number.",
    "Delete my number, please.",
    "Unsubscribe me.",
    "Leave me alone.",
    "No. Not interested. And take me off your list, will you?",
    "Who is this? I have said it three times: do not call me again. Goodbye.",
]

ALIKE = [
    "",
    "Call me again.",
    "Please call me again tomorrow.",
    "Don't call me before nine.",
    "Don't call me again before six.",
    "Don't call me until Monday.",
    "Don't call me again today, I am at work.",
    "Please don't call me at work.",
    "Don't call me tomorrow, call me on Friday.",
    "Don't call me again this week.",
    "Don't call me Bob.",
    "Don't call me mister Smith.",
    "Don't call me, I'll call you.",
    "Why don't you call me again tomorrow?",
    "Why don't you call me again?",
    "If you don't call me again I will go somewhere else.",
    "You don't call me anymore.",
    "They never call me back.",
    "You never called me back.",
    "He won't stop calling me.",
    "My ex won't stop calling me.",
    "They don't stop calling.",
    "I told him to stop calling me.",
    "How can I get them to stop calling me?",
    "My phone did not stop ringing.",
    "Stop calling me Bob.",
    "Stop calling me names.",
    "Did you take me off your list?",
    "Why did you take me off your list?",
    "Please don't take me off your list.",
    "I don't want to be taken off your list.",
    "Don't remove me from the list.",
    "Never remove my number from your database.",
    "Was I removed from your list?",
    "Take me off hold.",
    "Take me off speaker.",
    "Take me off the waiting list.",
    "Please remove me from the email list.",
    "Take me off the do not call list.",
    "Remove me from your do-not-call list, I want to hear from you.",
    "Am I on the do not call list?",
    "Take that off my list.",
    "Put me on the list.",
    "Put me on your waiting list.",
    "Call this number again.",
    "Do not forget to call me again.",
    "I don't want to be called Bob.",
    "I don't want to miss your calls.",
    "I don't want any more coffee.",
    "Do you want me to call again?",
    "No more calls after six today.",
    "There were no more calls.",
    "I lost my number.",
    "Did I lose my number?",
    "Delete my number seven order.",
    "Leave me alone with her for a minute.",
    "Leave me a message.",
    "I was not called again.",
    "Don't hang up.",
    "Don't stop.",
    "Stop.",
    "No, not today.",
    "I'm not interested.",
    "Should I call again if nobody answers?",
]


@pytest.mark.parametrize("text", REQUESTS)
def test_who_does_not_want_to_be_called_is_heard(text: str) -> None:
    assert asks_not_to_be_called(text)


@pytest.mark.parametrize("text", ALIKE)
def test_what_merely_sounds_alike_is_no_such_request(text: str) -> None:
    assert not asks_not_to_be_called(text)


@pytest.mark.parametrize("word", ["don't call me ", "not ", "take me off your ", "stop calling i ", "the list "])
def test_a_long_transcript_costs_no_more_than_its_end(word: str) -> None:
    began = time.process_time()
    asks_not_to_be_called(word * 20_000)
    assert time.process_time() - began < 5.0
