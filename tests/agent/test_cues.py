# SPDX-License-Identifier: GPL-3.0-or-later
import time

import pytest

from agent import cues

SAID = {
    cues.is_goodbye: (
        [
            "Bye!",
            "Goodbye.",
            "No, that's all, thank you.",
            "That's it, thanks.",
            "Thanks for your help, bye.",
            "No, nothing else.",
            "No thanks, goodbye.",
            "Have a nice day!",
            "I have no more questions.",
            "I'm done.",
            "That's all I needed. Thank you very much.",
            "That\N{RIGHT SINGLE QUOTATION MARK}s all for today.",
        ],
        [
            "Is that all I need to bring?",
            "Can I buy a toothbrush?",
            "That's all right.",
            "No.",
            "Thanks.",
            "For today.",
            "Nothing works here.",
        ],
    ),
    cues.is_thanks: (["Thanks!", "Thank you very much.", "Great, thanks.", "Okay, thank you."], ["Thanks to whom?"]),
    cues.is_greeting: (["Hello?", "Hi there.", "Good morning!", "Oh, hello."], ["Hello, when do you open?", "High."]),
    cues.asks_wellbeing: (["How are you?", "Hi, how are you doing today?"], ["How are you paid?"]),
    cues.asks_to_repeat: (
        [
            "Can you repeat that?",
            "Could you please say that again?",
            "Pardon?",
            "Sorry, what did you say?",
            "What?",
            "Sorry, I didn't catch that.",
            "Say again?",
            "Excuse me?",
            "Can you repeat that please?",
            "Sorry?",
            "One more time please.",
        ],
        ["What can you do?", "Can you say what it costs?", "What did you do?"],
    ),
    cues.asks_to_wait: (["Just a moment.", "Hold on, please.", "Let me think."], ["How long do I have to wait?"]),
    cues.asks_for_presence: (["Are you there?", "Hello, can you hear me?"], ["Is there a dentist?"]),
    cues.asks_for_person: (
        [
            "Can I talk to a human?",
            "Transfer me to the front desk.",
            "I want to speak to someone.",
            "Operator, please.",
        ],
        ["Who am I talking to?", "I want to see the doctor.", "Is the receptionist nice?"],
    ),
    cues.asks_for_message: (["Can I leave a message?", "Please call me back."], ["Did you get my message?"]),
    cues.asks_own_name: (
        ["What's my name?", "Do you remember my name?"],
        ["What's your name?", "Who am I talking to?"],
    ),
    cues.asks_earlier_question: (
        ["What did I ask before?", "What was my first question?", "What have I asked?"],
        ["What did you ask?", "I have a question."],
    ),
    cues.is_follow_up: (
        ["And on Sunday?", "What about Sunday?", "How much is that?", "Do I need an appointment for it?"],
        ["When are you open?", "Where can I park?"],
    ),
    cues.is_backchannel: (["Uh-huh.", "Okay.", "Mm-hmm.", "Yeah, right."], ["Okay, but why?", "No.", "Wait."]),
    cues.is_whole_turn: (
        ["Yes.", "No, thanks.", "Hello.", "Goodbye.", "Five.", "Three one four.", "Five o'clock.", "5", "Thank you."],
        ["I would like", "My name is", "Are you open"],
    ),
    cues.trails_off: (
        ["My number is", "I would like to", "and", "Well, I wanted to ask if", "I need a", "So, um..."],
        ["What is it like?", "Where are you?", "I need it.", "Yes.", ""],
    ),
}


@pytest.mark.parametrize(("cue", "text"), [(cue, text) for cue, (yes, _) in SAID.items() for text in yes])
def test_a_phrase_is_recognised(cue: cues.Cue, text: str) -> None:
    assert cue(text)


@pytest.mark.parametrize(("cue", "text"), [(cue, text) for cue, (_, no) in SAID.items() for text in no])
def test_what_only_resembles_it_is_not(cue: cues.Cue, text: str) -> None:
    assert not cue(text)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("Yes.", True),
        ("Yes, please.", True),
        ("Sure, go ahead.", True),
        ("Yeah, that would be great.", True),
        ("No.", False),
        ("No, thank you.", False),
        ("Not really.", False),
        ("No, I don't.", False),
        ("Maybe.", None),
        ("Yes, and where are you?", None),
        ("", None),
    ],
)
def test_yes_is_yes_no_is_no_and_the_rest_is_neither(text: str, meaning: bool | None) -> None:
    assert cues.yes_or_no(text) is meaning


@pytest.mark.parametrize(
    ("text", "name", "rest"),
    [
        ("My name is Anna.", "Anna", ""),
        ("Hi, my name's Anna Miller and I want to know when you open.", "Anna Miller", "I want to know when you open."),
        ("This is Tom calling about my bill.", "Tom", "about my bill."),
        ("It's Dr. Brown.", "Dr. Brown", ""),
        ("My name is Mr. van der Berg, are you open?", "Mr. van der Berg", "are you open?"),
        ("I'm Anna.", "Anna", ""),
        ("I am Anna, and I have a toothache.", "Anna", "I have a toothache."),
        ("Call me Ishmael.", "Ishmael", ""),
        ("my name is anna", "Anna", ""),
        ("My name is O'Neil.", "O'Neil", ""),
    ],
)
def test_a_name_is_found_and_taken_out(text: str, name: str, rest: str) -> None:
    assert cues.caller_name(text) == name
    assert cues.without_name(text) == rest


@pytest.mark.parametrize(
    "text",
    [
        "What is my name?",
        "This is about my bill.",
        "I'm looking for a dentist.",
        "It's Monday.",
        "My name is not important.",
        "I am Very sure.",
        "This is great.",
    ],
)
def test_what_is_no_name_is_not_taken_for_one(text: str) -> None:
    assert cues.caller_name(text) is None
    assert cues.without_name(text) == text


def test_pressed_keys_are_told_from_speech() -> None:
    assert cues.pressed_keys("[pressed 1]") == "1"
    assert cues.pressed_keys(" [pressed 12#] ") == "12#"
    assert cues.pressed_keys("I pressed 1") is None


@pytest.mark.parametrize("text", ["no thanks " * 200 + "x", "yes " * 500, "thank you very much " * 100])
def test_an_endless_utterance_is_no_cue_and_is_judged_at_once(text: str) -> None:
    # Without a bound the patterns would need more time than the universe has for the first of these.
    assert not any(cue(text) for cue in (cues.is_goodbye, cues.is_thanks, cues.is_whole_turn))
    assert cues.yes_or_no(text) is None


@pytest.mark.parametrize(("asks", "word"), [(cues.asks_for_person, "talk "), (cues.asks_for_message, "give ")])
def test_a_long_transcript_costs_no_more_than_its_length(asks: cues.Cue, word: str) -> None:
    began = time.process_time()
    assert not asks(word * 20_000)
    assert time.process_time() - began < 10.0  # two minutes, if it grew with the square
