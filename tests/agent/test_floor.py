# SPDX-License-Identifier: GPL-3.0-or-later
"""What words spoken over us ask for."""

import pytest

from agent.floor import Floor, wish

STORY = "We are open on Saturday from nine to one, and on Sunday we rest."


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Uh-huh.",
            "uh",
            "Mm-hmm.",
            "mhm",
            "Hmm.",
            "M.",
            "Okay.",
            "OK, okay.",
            "Right.",
            "Oh, right.",
            "Yeah",
            "I see.",
        ),
        *("Got it.", "Sure.", "Yes.", "Ah.", "Really?", "That's right.", "Thank you.", "You", "Okay, great, thanks."),
    ],
)
def test_back_channels_leave_us_the_floor(text: str) -> None:
    assert wish(text) is Floor.BACKCHANNEL


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Stop.",
            "No.",
            "Wait",
            "Hold on.",
            "What?",
            "Excuse me.",
            "How much",
            "Okay, but what about Sunday?",
            "Bye.",
        ),
        *("Yeah, no, that's wrong.", "Uh, wait.", "Can I", "I need", "Hello?", "Sorry, what", "Operator.", "Not that."),
        *("my daughter", "Tuesday afternoon would be better", "yes I know that go to the prices"),
    ],
)
def test_claims_questions_and_several_words_want_the_floor(text: str) -> None:
    assert wish(text) is Floor.WANTED


@pytest.mark.parametrize("text", ["", " ", "...", "[cough]", "(sighs)", "*laughs*", "♪♪"])
def test_noises_are_no_words(text: str) -> None:
    assert wish(text) is Floor.NOTHING


def test_one_other_word_tells_nothing_yet() -> None:
    assert wish("Tuesday") is Floor.UNSURE
    assert wish("Okay, Tuesday.") is Floor.UNSURE
    assert wish("Tuesday", least_words=1) is Floor.WANTED
    assert wish("my daughter", least_words=3) is Floor.UNSURE


def test_a_doubtful_transcript_wants_nothing_and_an_unknown_confidence_is_believed() -> None:
    assert wish("in my mom", confidence=0.3) is Floor.UNSURE
    assert wish("in my mom", confidence=0.5) is Floor.WANTED
    assert wish("What?", confidence=0.2) is Floor.UNSURE
    assert wish("What?", confidence=0.3) is Floor.WANTED
    assert wish("in my mom", confidence=0.0) is Floor.WANTED


def test_our_own_words_in_a_row_are_our_echo() -> None:
    assert wish("on Saturday from nine", STORY) is Floor.ECHO
    assert wish("to one and on", STORY) is Floor.ECHO
    assert wish("on Saturday", STORY) is Floor.WANTED  # a caller who asks back
    assert wish("on Saturday from ten", STORY) is Floor.WANTED


def test_an_agent_may_have_words_of_its_own() -> None:
    assert wish("genau", backchannels=("genau",)) is Floor.BACKCHANNEL
    assert wish("genau, okay", backchannels=("genau",)) is Floor.BACKCHANNEL
    assert wish("moment", claims=("Moment",)) is Floor.WANTED
    assert wish("momentum", claims=("Moment",)) is Floor.UNSURE


def test_who_says_very_much_wants_the_floor_at_any_price() -> None:
    assert wish("okay " * 100) is Floor.WANTED
