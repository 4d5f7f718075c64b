# SPDX-License-Identifier: GPL-3.0-or-later
"""How finished do the words look?"""

import pytest

from agent.completeness import Completeness, digit_count, judge
from agent.expectation import FREE, Expectation

PHONE = Expectation("digits")
PIN = Expectation("digits", length=4)
MEMBER = Expectation("digits", terminator="pound")
EMAIL = Expectation("email")
SPELLING = Expectation("spelling")
NAME_OF_FIVE = Expectation("spelling", length=5)
YES_NO = Expectation("yes_no")
DATE = Expectation("date")
BIRTH = Expectation("date", length=3)


@pytest.mark.parametrize(
    ("text", "completeness"),
    [
        ("", Completeness.WORDLESS),
        (" ... ", Completeness.WORDLESS),
        ("Goodbye.", Completeness.WHOLE),
        ("Thank you. Goodbye.", Completeness.WHOLE),
        ("Can you repeat that, please?", Completeness.WHOLE),
        ("That's all, thank you.", Completeness.CLEAR),
        ("No, thank you.", Completeness.CLEAR),
        ("Yes, please.", Completeness.CLEAR),
        ("Thank you.", Completeness.LONE),
        ("Okay. Thanks.", Completeness.LONE),
        ("Okay.", Completeness.LONE),
        ("Hello.", Completeness.LONE),
        ("Yes.", Completeness.LONE),
        ("What are your opening hours?", Completeness.QUESTION),
        ("what are your opening hours", Completeness.QUESTION),
        ("do you have anything in the morning", Completeness.QUESTION),
        ("Who am I talking to?", Completeness.QUESTION),
        ("Is it possible to?", Completeness.OPEN),
        ("Could you tell me?", Completeness.OPEN),
        ("Do you have anything on?", Completeness.OPEN),
        ("Excuse me.", Completeness.LONE),
        ("Excuse me?", Completeness.WHOLE),
        ("I would prefer.", Completeness.OPEN),
        ("What do you need?", Completeness.QUESTION),
        ("I would like to make an appointment.", Completeness.CLEAR),
        ("I need to change my appointment.", Completeness.CLEAR),
        ("I got a letter from you.", Completeness.DOUBTFUL),
        ("What I need is a cleaning.", Completeness.DOUBTFUL),
        ("I need an appointment and", Completeness.OPEN),
        ("I'm calling because...", Completeness.OPEN),
        ("If I come at five.", Completeness.OPEN),
        ("If I come at five, I need a taxi.", Completeness.DOUBTFUL),
        ("When I was there last week", Completeness.OPEN),
        ("When are you open?", Completeness.QUESTION),
        ("So.", Completeness.OPEN),
        ("Well, um.", Completeness.OPEN),
        ("Let me think.", Completeness.OPEN),
        ("My number is 415", Completeness.OPEN),
        ("My number is 415 986", Completeness.OPEN),
        ("My number is 415 986 2317", Completeness.WHOLE),
        ("four one five nine eight", Completeness.OPEN),
        ("I was born in 1984.", Completeness.DOUBTFUL),
        ("It was $200.", Completeness.DOUBTFUL),
        ("I will be there at 5:30.", Completeness.DOUBTFUL),
    ],
)
def test_free_speech(text: str, completeness: Completeness) -> None:
    assert judge(text, FREE) is completeness


@pytest.mark.parametrize(
    ("text", "expectation", "completeness"),
    [
        ("4, 7,", PIN, Completeness.OPEN),
        ("4, 7, 1, 9.", PIN, Completeness.WHOLE),
        ("It's four seven one nine.", PIN, Completeness.WHOLE),
        ("double four one nine", PIN, Completeness.WHOLE),
        ("I don't remember it.", PIN, Completeness.DOUBTFUL),
        ("555 01", PHONE, Completeness.OPEN),
        ("212 555 0147", PHONE, Completeness.WHOLE),
        ("five five five", MEMBER, Completeness.OPEN),
        ("2, 1, 2, 5, 5, 5, 0, 1, 4, 7,", PHONE, Completeness.OPEN),
        ("212 555 0147", MEMBER, Completeness.OPEN),
        ("five five five pound", MEMBER, Completeness.WHOLE),
        ("anna dot miller", EMAIL, Completeness.OPEN),
        ("anna dot miller at", EMAIL, Completeness.OPEN),
        ("anna.miller@example.com.", EMAIL, Completeness.CLEAR),
        ("A, B, at M, E, T, dot O, R, G.", EMAIL, Completeness.CLEAR),
        ("and full at riverside.org", EMAIL, Completeness.CLEAR),
        ("I have none, sorry.", EMAIL, Completeness.DOUBTFUL),
        ("S-M-I", SPELLING, Completeness.OPEN),
        ("S-M-I-T-H", SPELLING, Completeness.OPEN),
        ("S-M-I-T-H", NAME_OF_FIVE, Completeness.WHOLE),
        ("Yes.", YES_NO, Completeness.WHOLE),
        ("No, I don't.", YES_NO, Completeness.WHOLE),
        ("Well, it depends on the price.", YES_NO, Completeness.DOUBTFUL),
        ("next", DATE, Completeness.OPEN),
        ("Next Wednesday.", DATE, Completeness.CLEAR),
        ("On the", DATE, Completeness.OPEN),
        ("The fifth of March.", DATE, Completeness.CLEAR),
        ("March the fifth.", BIRTH, Completeness.OPEN),
        ("March the 5th, 1984.", BIRTH, Completeness.CLEAR),
        ("Goodbye.", PIN, Completeness.WHOLE),
        ("What do you need that for?", PIN, Completeness.QUESTION),
    ],
)
def test_in_the_light_of_what_was_expected(text: str, expectation: Expectation, completeness: Completeness) -> None:
    assert judge(text, expectation) is completeness


@pytest.mark.parametrize(
    ("text", "count"), [("5-5-5 0199", 7), ("five five, oh", 3), ("double five triple zero", 5), ("none of them", 0)]
)
def test_digits_are_counted_as_they_are_spoken(text: str, count: int) -> None:
    assert digit_count(text) == count


@pytest.mark.parametrize(
    "text", ["yes " * 3_000, "so well um " * 2_000, "five " * 3_000 + "x", "a " * 4_000, "5 " * 5_000]
)
def test_an_endless_utterance_is_judged_at_once(text: str) -> None:
    for expectation in (FREE, PHONE, EMAIL, SPELLING, YES_NO, DATE):
        judge(text, expectation)
