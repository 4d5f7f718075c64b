# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.knowledge.reading import DEFAULT_FOLDER, read_knowledge
from agent.speakable import speakable, spelled

TRICKY = "019 $€%-+/:.,@#*_[](){}amp \nJanSt\N{EN DASH}\N{VULGAR FRACTION ONE HALF}"

SPOKEN = {
    "currencies": [
        ("12,50 €", "twelve euros and fifty cents"),
        ("€12,50", "twelve euros and fifty cents"),
        ("1.299,00 €", "one thousand two hundred ninety-nine euros"),
        ("USD 45", "forty-five dollars"),
        ("20 EUR", "twenty euros"),
        ("$45 USD", "forty-five dollars"),
        ("CHF 20.50", "twenty francs and fifty centimes"),
        ("₹500", "five hundred rupees"),
        ("5¢", "five cents"),
        ("-$5", "minus five dollars"),
        ("$5/month", "five dollars per month"),
        ("$95/hr", "ninety-five dollars per hour"),
        ("$1.5-2M", "one point five to two million dollars"),
    ],
    "measures": [
        ("10kg", "ten kilograms"),
        ("1 lb", "one pound"),
        ("60 mph", "sixty miles per hour"),
        ("6 ft 2 in", "six feet two inches"),
        ("5'10\"", "five foot ten"),
        ("12 sq ft", "twelve square feet"),
        ("5 m²", "five square meters"),
        ("30 mins", "thirty minutes"),
        ("2½ hrs", "two and a half hours"),
        ("1 1/2 cups", "one and a half cups"),
        ("16GB", "sixteen gigabytes"),
        ("100k", "one hundred thousand"),
        ("It is 5 in the morning", "It is five in the morning"),
        ("5 GB/s", "five gigabytes per second"),
    ],
    "arithmetic": [
        ("5 - 3 = 2", "five minus three equals two"),
        ("4x6", "four by six"),
        ("10x", "ten times"),
        ("10 / 2", "ten divided by two"),
        ("10^6", "ten to the power of six"),
        ("<5", "less than five"),
        ("~5", "about five"),
        ("±2", "plus or minus two"),
        ("2:1", "two to one"),
        (".5", "zero point five"),
        ("1 000 000", "one million"),
    ],
    "codes": [
        ("PIN 0042", "PIN zero zero four two"),
        ("Your code is 4821.", "Your code is four eight two one."),
        ("order #12345", "order one two three four five"),
        ("KX7-39Q", "K X seven, three nine Q"),
        ("flight BA2490", "flight B A two four nine zero"),
        (
            "DE89 3704 0044 0532 0130 00",
            "D E eight nine, three seven zero four, zero zero four four, zero five three two, "
            "zero one three zero, zero zero",
        ),
        ("zip 02139", "zip zero two one three nine"),
        ("ext. 42", "extension four two"),
        ("911", "nine one one"),
        ("dial 9-1-1", "dial nine one one"),
        ("1-800-FLOWERS", "one, eight zero zero, FLOWERS"),
        ("020 7946 0958", "zero two zero, seven nine four six, zero nine five eight"),
        ("Room 204", "Room two oh four"),
        ("Suite 300", "Suite three hundred"),
        ("B12", "B twelve"),
        ("COVID-19", "COVID-nineteen"),
        ("between 10AM-5PM", "between ten AM to five PM"),
        ("U.S.A.", "U S A"),
    ],
    "years, decades and kings": [
        ("in 1066", "in ten sixty-six"),
        ("1990s", "nineteen nineties"),
        ("the '90s", "the nineties"),
        ("Henry VIII", "Henry the eighth"),
        ("Chapter IV", "Chapter four"),
    ],
    "days": [
        ("Mon-Fri 9-5", "Monday to Friday nine to five"),
        ("Mon.\N{EN DASH}Fri., 8 a.m.\N{EN DASH}6 p.m.", "Monday to Friday, eight AM to six PM."),
        ("Tues & Thurs", "Tuesday and Thursday"),
        ("Sat. and Sun. only", "Saturday and Sunday only"),
        ("The sun is out", "The sun is out"),
        ("3/14/26", "March fourteenth, twenty twenty-six"),
        ("14.03.2026", "March fourteenth, twenty twenty-six"),
        ("by 3/4", "by March fourth"),
        ("3/4 cup", "three quarters cup"),
        ("9:30am", "nine thirty AM"),
    ],
    "slashes": [
        ("he/she", "he or she"),
        ("and/or", "and or"),
        ("w/ fries", "with fries"),
        ("w/o salt", "without salt"),
        ("5th Ave", "fifth Avenue"),
    ],
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


@pytest.mark.parametrize(
    ("text", "spoken"),
    [("AB-12.", "A, B, dash, one, two"), ("lee", "L, E, E"), ("a.b@c", "A, dot, B, at, C"), ("", "")],
)
def test_what_is_spelled_is_said_sign_by_sign(text: str, spoken: str) -> None:
    assert spelled(text) == spoken
