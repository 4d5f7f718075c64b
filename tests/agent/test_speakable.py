# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.knowledge.reading import DEFAULT_FOLDER, read_knowledge
from agent.speakable import speakable

TRICKY = "019 $€%-+/:.,@#*_[](){}amp \nJanSt\N{EN DASH}\N{VULGAR FRACTION ONE HALF}"

SPOKEN = {
    "money": [
        ("A cleaning is $95.", "A cleaning is ninety-five dollars."),
        ("$29.50", "twenty-nine dollars and fifty cents"),
        ("$0.50", "fifty cents"),
        ("$1", "one dollar"),
        ("€5", "five euros"),
        ("5 €", "five euros"),
        ("£1.01", "one pound and one penny"),
        ("$1,250.00", "one thousand two hundred fifty dollars"),
        ("$3 million", "three million dollars"),
        ("$2.5M", "two point five million dollars"),
        ("$5-10", "five to ten dollars"),
    ],
    "times": [
        ("9:30 am", "nine thirty AM"),
        ("9:30", "nine thirty"),
        ("9:05", "nine oh five"),
        ("9:00", "nine o'clock"),
        ("17:00", "five PM"),
        ("0:15", "twelve fifteen AM"),
        ("12:00 pm", "twelve PM"),
        ("9am", "nine AM"),
        ("from 9 a.m. to 5 p.m.", "from nine AM to five PM."),
        ("at 5 p.m. Then", "at five PM. Then"),
        ("at 5 p.m. today", "at five PM today"),
    ],
    "dates": [
        ("03/14/2026", "March fourteenth, twenty twenty-six"),
        ("March 14, 2026", "March fourteenth, twenty twenty-six"),
        ("2026-03-14", "March fourteenth, twenty twenty-six"),
        ("14 March 2026", "March fourteenth, twenty twenty-six"),
        ("on Mar. 3", "on March third"),
        ("May 5th at noon", "May fifth at noon"),
        ("the 2nd of June", "the June second"),
        ("you may 5 times", "you may five times"),
    ],
    "telephone numbers": [
        ("Call 555-0199.", "Call five five five, zero one nine nine."),
        ("+1 415 555 2671", "one, four one five, five five five, two six seven one"),
        ("(415) 555-2671", "four one five, five five five, two six seven one"),
        ("1-800-555-0199", "one, eight zero zero, five five five, zero one nine nine"),
        ("+44 20 7946 0958", "four four, two zero, seven nine four six, zero nine five eight"),
    ],
    "addresses": [
        ("anna.smith-1@example.com", "anna dot smith dash one at example dot com"),
        ("See https://www.example.com/help.", "See example dot com slash help."),
        ("Visit example.org!", "Visit example dot org!"),
        ("[our site](https://example.com)", "our site"),
    ],
    "ranges": [
        ("9-5", "nine to five"),
        ("9am-5pm", "nine AM to five PM"),
        ("9:00-17:00", "nine o'clock to five PM"),
        ("9 am \N{EN DASH} 5 pm", "nine AM to five PM"),
        ("Monday\N{EN DASH}Friday", "Monday to Friday"),
        ("pages 10-20", "pages ten to twenty"),
    ],
    "numbers": [
        ("15%", "fifteen percent"),
        ("2.5 %", "two point five percent"),
        ("the 21st", "the twenty-first"),
        ("1,234", "one thousand two hundred thirty-four"),
        ("12345678", "one two three four five six seven eight"),
        ("-5 degrees", "minus five degrees"),
        ("50°C", "fifty degrees Celsius"),
        ("24/7", "twenty-four seven"),
        ("1/2 and 3/4", "one half and three quarters"),
        ("in 2026", "in twenty twenty-six"),
        ("room B12", "room B twelve"),
        ("No. 5 and #6", "number five and number six"),
        ("twenty-four hours", "twenty-four hours"),
    ],
    "abbreviations": [
        ("Dr. Patel", "Doctor Patel"),
        ("12 Main St., near St. John", "twelve Main Street, near Saint John"),
        ("Mr. and Mrs. Smith", "Mister and Missus Smith"),
        ("e.g. fillings, etc.", "for example fillings, et cetera."),
        ("bread & butter", "bread and butter"),
    ],
    "markdown": [
        ("**Bold**, *it*, __so__, `code`", "Bold, it, so, code"),
        ("# Title\n- one\n- two\n\n1. three", "Title. one. two. three"),
        ("snake_case", "snake case"),
        ("[[x]] <b>", "x b"),
    ],
    "signs": [
        ('He said "hi" (really) \N{GRINNING FACE}', "He said hi really"),
        ("Hello \N{EM DASH} world", "Hello, world"),
        ("It\N{RIGHT SINGLE QUOTATION MARK}s fine\N{HORIZONTAL ELLIPSIS}", "It's fine..."),
        ("  ", ""),
    ],
}


@pytest.mark.parametrize(
    ("written", "spoken"), [pair for pairs in SPOKEN.values() for pair in pairs], ids=lambda text: text or "nothing"
)
def test_what_is_written_is_spoken_as_people_say_it(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize("text", ["Hello, this is Parley. How can I help you?", "We're closed; sorry!", "Why? Oh..."])
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert speakable(text) == text


@pytest.mark.parametrize("impossible", ["13/45/2026", "2026-13-45", "25:61"])
def test_what_is_no_date_or_time_is_still_spoken_as_numbers(impossible: str) -> None:
    assert speakable(impossible)


@given(st.text(alphabet=st.sampled_from(TRICKY), max_size=40))
def test_nothing_is_left_that_an_engine_could_misread(text: str) -> None:
    spoken = speakable(text)
    assert not any(sign.isdigit() or sign in "$€%+@#*_[](){}<>|" for sign in spoken)


@given(st.text(max_size=60))
def test_no_text_is_refused(text: str) -> None:
    assert not any(sign.isdigit() for sign in speakable(text))


def test_every_answer_of_the_default_knowledge_can_be_spoken() -> None:
    for entry in read_knowledge(DEFAULT_FOLDER):
        assert not any(sign.isdigit() or sign in "$*#" for sign in speakable(entry.answer)), entry.source
