# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said in several breaths is found, what was found is known for the rest of the call, and nothing is lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.redaction import ALL_KINDS, RedactionWindow, Redactor, Utterance
from tests.agent.redaction.test_redactor import _CARDS, WORDS, spoken


def window(*names: str) -> RedactionWindow[int]:
    return RedactionWindow(Redactor(ALL_KINDS), names)


def told(one: RedactionWindow[int], *said: Utterance) -> list[str]:
    """All texts that come out of it, in order."""
    out = [entry for index, utterance in enumerate(said) for entry in one.receive(index, utterance)]
    out += one.flush()
    assert [index for index, _ in out] == list(range(len(said))), "each once, in order"
    return [utterance.text for _, utterance in out]


def caller(text: str) -> Utterance:
    return Utterance(True, text)


def agent(text: str, heard: str | None = None) -> Utterance:
    return Utterance(False, text, heard)


@settings(max_examples=200, deadline=None)
@given(_CARDS, st.integers(0, 5), st.integers(2, 10), st.sampled_from(("", "Go on.", "Mhm.")))
def test_a_card_that_is_read_out_in_two_breaths_is_redacted_in_both(
    card: str, style: int, cut: int, between: str
) -> None:
    first, second = spoken(card[:cut], min(style, 4)), spoken(card[cut:], min(style, 4))
    said = [caller(f"It is {first}"), *([agent(between)] if between else []), caller(f"{second}, that's it")]
    texts = told(window(), *said)
    assert texts[0] == "It is [card]"
    assert texts[-1] == "[card], that's it"


def test_three_breaths_and_the_agents_read_back_in_parts_are_redacted() -> None:
    texts = told(
        window(),
        agent("What is the number of the card?"),
        caller("four one one one"),
        agent("Mhm."),
        caller("one one one one, one one one one"),
        caller("one one one one."),
        agent("So that is four one one one, and then one one one one?", "So that is four one one one, and"),
        caller("Yes."),
    )
    assert texts[1:5] == ["[card]", "Mhm.", "[card]", "[card]."]
    assert texts[5] == "So that is [card]?"
    assert not any(word in " ".join(texts) for word in ("one one", "four one"))


def test_what_was_heard_of_the_agent_is_redacted_as_well() -> None:
    one = window()
    one.receive(0, caller("My number is 030 123456."))
    (_, mine), (_, ours) = [*one.receive(1, agent("I note 030 123456.", "I note 030 12")), *one.flush()]
    assert mine.text == "My number is [number]."
    assert (ours.text, ours.heard_text) == ("I note [number].", "I note [number]")


def test_an_email_and_a_name_may_go_on_in_the_next_breath() -> None:
    texts = told(window(), caller("my email is anna dot smith at"), caller("example dot com"), caller("Good bye."))
    assert texts[0].startswith("my email is [email]")
    assert texts[1:] == ["[email]", "Good bye."]
    assert told(window(), caller("Hello, my name is"), caller("Anna Smith.")) == ["Hello, my name is", "[name]."]


def test_a_name_once_told_or_known_is_redacted_wherever_it_comes() -> None:
    texts = told(
        window("Ms. Rossi"),
        caller("My name is Anna Smith."),
        agent("Thank you, Anna. Shall I tell Rossi?"),
        caller("Smith with i. And will anna's husband hear of it?"),
    )
    assert texts == [
        "My name is [name].",
        "Thank you, [name]. Shall I tell [name]?",
        "[name] with i. And will anna's husband hear of it?",
    ]


def test_nothing_waits_that_is_over_and_no_entry_waits_for_ever() -> None:
    one = window()
    assert len(one.receive(0, caller("I would like an appointment."))) == 1
    assert one.receive(1, caller("two three")) == []
    held = 1
    for index in range(2, 12):
        held = held + 1 - len(one.receive(index, agent("Yes?")))
        assert held < 8
    assert one.receive(12, caller("Good bye.")) or True
    assert one.flush() == []


@pytest.mark.parametrize("cut", range(1, 16))
def test_what_is_being_said_shows_no_four_digits_in_a_row(cut: int) -> None:
    one = window()
    card = "4111111111111111"
    partial = one.partial("it is " + " ".join(WORDS[int(digit)] for digit in card[:cut]))
    assert partial.count("one") + partial.count("four") < 4


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.text(alphabet="ab 14@.,", max_size=30)), max_size=20))
def test_every_entry_comes_out_once_and_in_order(said: list[tuple[bool, str]]) -> None:
    told(window(), *(Utterance(is_caller, text) for is_caller, text in said))
