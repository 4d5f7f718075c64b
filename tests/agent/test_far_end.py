# SPDX-License-Identifier: GPL-3.0-or-later
"""Who took the call: words, tones and music."""

import pytest

from agent.config import FarEndConfig
from agent.far_end import EndCall, FallSilent, FarEnd, FarEndEvent, FarEndKind, FarEndRecognized, LeaveMessage
from media.progress import BeepHeard, FaxAnswered, SitHeard, SitKind

BEEP = BeepHeard(1000.0, 400, 9_000)
MESSAGE = FarEndConfig(voicemail="message", message="Please call us back.")
LEAVE = LeaveMessage("Please call us back.", "voicemail_message")


def heard(*texts: str, config: FarEndConfig = MESSAGE) -> tuple[FarEnd, list[FarEndEvent]]:
    far_end = FarEnd(config)
    for now, text in enumerate(texts):
        far_end.receive_words(text, float(now), is_final=True)
    return far_end, far_end.events()


@pytest.mark.parametrize(
    "text",
    [
        "You have reached the voicemail of Anna Berg.",
        "Hi, this is Tom. I can't come to the phone right now, leave a message and I'll get back to you.",
        "The person you are calling is not available.",
        "Please record your message after the tone.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m not available. Leave your name and number.",
    ],
)
def test_a_voicemail_says_what_it_is(text: str) -> None:
    far_end, events = heard(text)
    assert events == [FarEndRecognized(FarEndKind.VOICEMAIL, "words", 0.95), FallSilent()]
    assert not far_end.listens


@pytest.mark.parametrize(
    "text",
    [
        "For sales, press one. For support, press two.",
        "Thank you for calling Acme. Please listen to the following options.",
        "Please enter your account number.",
        "In a few words, tell me what you are calling about.",
    ],
)
def test_a_menu_says_what_it_is_and_is_talked_to(text: str) -> None:
    far_end, events = heard(text)
    assert events == [FarEndRecognized(FarEndKind.MENU, "words", 0.95)]
    assert far_end.listens


@pytest.mark.parametrize(
    "text",
    [
        "Your call is important to us. Please stay on the line.",
        "All of our agents are busy. Please hold.",
        "You are caller number three in the queue.",
        "Please hold while I try that extension.",
    ],
)
def test_a_queue_says_what_it_is(text: str) -> None:
    far_end, events = heard(text)
    assert events == [FarEndRecognized(FarEndKind.HOLD, "words", 0.95), FallSilent()]
    assert not far_end.listens


@pytest.mark.parametrize(
    "text",
    [
        "Hello?",
        "Riverside Dental, this is Mary, how can I help you?",
        "Yes, I would like to make an appointment.",
        "Can you hold my order until Friday?",
        "The press was there, one of them asked me.",
        "I will call you back later.",
    ],
)
def test_anybody_else_is_a_person(text: str) -> None:
    far_end, (event,) = heard(text)
    assert isinstance(event, FarEndRecognized)
    assert (event.kind, event.cause) == (FarEndKind.PERSON, "words")
    assert far_end.listens


def test_a_partial_transcript_recognises_a_machine_and_no_person() -> None:
    far_end = FarEnd(MESSAGE)
    far_end.receive_words("hello you have", 1.0, is_final=False)
    assert not far_end.events()
    far_end.receive_words("hello you have reached the voicemail of", 2.0, is_final=False)
    assert far_end.events() == [FarEndRecognized(FarEndKind.VOICEMAIL, "words", 0.95), FallSilent()]


def test_a_person_can_come_back_from_hold_but_no_voicemail_turns_into_one() -> None:
    _, events = heard("Please hold while I connect you.", "Hello, this is Sam.")
    assert [event.kind for event in events if isinstance(event, FarEndRecognized)] == [
        FarEndKind.HOLD,
        FarEndKind.PERSON,
    ]
    far_end, events = heard("Leave a message after the beep.", "Thank you.")
    assert far_end.kind is FarEndKind.VOICEMAIL
    assert events == [FarEndRecognized(FarEndKind.VOICEMAIL, "words", 0.95), FallSilent()]


def test_a_beep_after_a_greeting_makes_it_a_voicemail_that_records() -> None:
    far_end, _ = heard("Hi, this is Tom.")
    far_end.receive_tone(BEEP, 9.0)
    assert far_end.events() == [FarEndRecognized(FarEndKind.VOICEMAIL, "tone", 0.98), FallSilent(), LEAVE]
    far_end.receive_tone(BEEP, 9.0)
    assert not far_end.events()


def test_a_beep_in_a_conversation_is_nothing() -> None:
    far_end, _ = heard("Hello?", "Yes, what is it about?")
    far_end.receive_tone(BEEP, 9.0)
    assert not far_end.events()
    assert far_end.kind is FarEndKind.PERSON


def test_a_voicemail_without_a_beep_records_after_its_silence() -> None:
    far_end, _ = heard("Please leave a message.")
    assert far_end.next_timeout() is None
    far_end.receive_silence(10.0)
    assert far_end.next_timeout() == 12.5
    far_end.receive_speech(11.0)
    assert far_end.next_timeout() is None
    far_end.receive_silence(14.0)
    far_end.handle_timeout(16.4)
    assert not far_end.events()
    far_end.handle_timeout(16.5)
    assert far_end.events() == [LEAVE]


def test_a_voicemail_that_gets_no_message_ends_the_call() -> None:
    _, events = heard("Please leave a message.", config=FarEndConfig())
    assert events == [FarEndRecognized(FarEndKind.VOICEMAIL, "words", 0.95), EndCall("voicemail")]


def test_words_in_music_are_nobody() -> None:
    far_end = FarEnd(MESSAGE)
    far_end.receive_music(True, 1.0)
    far_end.receive_words("Thank you.", 2.0, is_final=True)
    assert far_end.events() == [FarEndRecognized(FarEndKind.HOLD, "music", 0.8), FallSilent()]
    far_end.receive_music(False, 3.0)
    far_end.receive_words("Hello, this is Sam.", 4.0, is_final=True)
    assert far_end.events() == [FarEndRecognized(FarEndKind.PERSON, "words", 0.8)]


def test_nobody_waits_on_hold_for_ever() -> None:
    far_end, _ = heard("Please hold.", config=FarEndConfig(max_hold_s=60))
    assert far_end.next_timeout() == 60.0
    far_end.handle_timeout(60.0)
    assert far_end.events() == [EndCall("on_hold_too_long")]
    assert far_end.next_timeout() is None


def test_a_fax_and_a_number_that_is_not_in_service_end_the_call() -> None:
    fax, vacant = FarEnd(MESSAGE), FarEnd(MESSAGE)
    fax.receive_tone(FaxAnswered(5_000), 5.0)
    vacant.receive_tone(SitHeard(SitKind.VACANT, 3_000), 3.0)
    assert fax.events() == [FarEndRecognized(FarEndKind.FAX, "tone", 0.98), EndCall("fax")]
    assert vacant.events() == [FarEndRecognized(FarEndKind.FAILED, "tone", 0.98), EndCall("not_in_service")]
