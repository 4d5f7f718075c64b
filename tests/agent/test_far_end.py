# SPDX-License-Identifier: GPL-3.0-or-later
"""Who took the call: words, tones and music."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import FarEndConfig
from agent.far_end import (
    EndCall,
    FallSilent,
    FarEnd,
    FarEndEvent,
    FarEndKind,
    FarEndRecognized,
    FloorOffered,
    InDoubt,
    LeaveMessage,
    Verdict,
)
from media.cadence import BusyHeard, CongestionHeard, RingbackHeard
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


def run_to(far_end: FarEnd, now: float) -> list[tuple[float, FarEndEvent]]:
    """What it says until then, and when."""
    found = [(0.0, event) for event in far_end.events()]
    for _ in range(20):
        due = far_end.next_timeout()
        if due is None or due > now:
            return found
        far_end.handle_timeout(due)
        found += [(round(due, 3), event) for event in far_end.events()]
    pytest.fail("it asks to be called again and again")


def spoken(far_end: FarEnd, *stretches_s: tuple[float, float]) -> None:
    """Speech from, to; the timeouts in between are kept."""
    for begin, end in stretches_s:
        far_end.receive_speech(begin)
        while (due := far_end.next_timeout()) is not None and due < end:
            far_end.handle_timeout(due)
        far_end.receive_silence(end)


def test_a_hello_offers_the_floor_at_once_and_is_a_person_a_moment_later() -> None:
    far_end = FarEnd(MESSAGE)
    spoken(far_end, (1.0, 1.5))
    (floor, person) = run_to(far_end, 5.0)
    assert floor == (1.75, FloorOffered(1.5))
    assert person == (2.1, FarEndRecognized(FarEndKind.PERSON, "cadence", 0.85))
    assert far_end.verdict is Verdict.HUMAN


def test_hello_in_words_makes_it_a_person_sooner() -> None:
    far_end = FarEnd(MESSAGE)
    spoken(far_end, (1.0, 1.5))
    far_end.receive_words("Hello?", 1.7, is_final=False)
    assert run_to(far_end, 5.0)[-1] == (1.9, FarEndRecognized(FarEndKind.PERSON, "words", 0.95))


def test_a_hello_that_does_not_ask_may_be_a_recordings() -> None:
    far_end = FarEnd(MESSAGE)
    spoken(far_end, (1.0, 1.5))
    far_end.receive_words("Hello.", 1.7, is_final=False)
    assert run_to(far_end, 5.0)[-1] == (2.0, FarEndRecognized(FarEndKind.PERSON, "words", 0.95))


def test_a_question_makes_it_a_person_while_it_is_asked_and_the_floor_is_offered_after_it() -> None:
    far_end = FarEnd(MESSAGE)
    far_end.receive_speech(1.0)
    far_end.receive_words("Riverside Dental, how can I help", 3.0, is_final=False)
    assert far_end.events() == [FarEndRecognized(FarEndKind.PERSON, "words", 0.95)]
    far_end.receive_silence(3.4)
    assert run_to(far_end, 9.0) == [(4.0, FloorOffered(3.4))]


def test_words_that_are_told_just_before_the_end_are_all_that_was_said() -> None:
    far_end = FarEnd(MESSAGE)
    far_end.receive_speech(1.0)
    far_end.receive_words("Yeah, hello?", 1.6, is_final=False)
    far_end.receive_silence(1.8)
    assert run_to(far_end, 5.0)[-1] == (2.2, FarEndRecognized(FarEndKind.PERSON, "words", 0.95))


def test_words_that_were_told_long_before_the_end_are_not() -> None:
    far_end = FarEnd(MESSAGE)
    far_end.receive_speech(1.0)
    far_end.receive_words("Hello", 1.4, is_final=False)
    far_end.receive_silence(2.0)
    assert run_to(far_end, 5.0)[-1] == (2.6, FarEndRecognized(FarEndKind.PERSON, "cadence", 0.85))


def test_after_a_name_is_waited_longer() -> None:
    far_end = FarEnd(MESSAGE)
    spoken(far_end, (1.0, 2.0))
    far_end.receive_words("Hi, this is Anna.", 2.2, is_final=False)
    assert run_to(far_end, 5.0)[-1] == (3.0, FarEndRecognized(FarEndKind.PERSON, "cadence", 0.85))


def test_music_behind_a_voice_is_no_queue() -> None:
    far_end = FarEnd(MESSAGE)
    far_end.receive_speech(1.0)
    far_end.receive_music(True, 6.0)
    assert not any(event == FarEndRecognized(FarEndKind.HOLD, "music", 0.8) for _, event in run_to(far_end, 8.0))
    far_end.receive_silence(8.0)
    assert run_to(far_end, 8.9) == []
    assert (9.0, FarEndRecognized(FarEndKind.HOLD, "music", 0.8)) in run_to(far_end, 9.1)


def test_who_asks_us_to_hold_is_a_person() -> None:
    _, events = heard("Green Valley Clinic, can you hold please?")
    assert events == [FarEndRecognized(FarEndKind.PERSON, "words", 0.95)]


def test_a_queue_is_no_mere_machine_again() -> None:
    far_end, _ = heard("Please stay on the line.", "You have reached Acme.")
    assert far_end.kind is FarEndKind.HOLD


def test_ringing_after_the_answer_begins_anew() -> None:
    far_end = FarEnd(MESSAGE)
    spoken(far_end, (1.0, 3.0))
    far_end.receive_tone(RingbackHeard("us", 3_100), 3.1)
    assert run_to(far_end, 9.0) == []


def test_a_sound_that_may_be_speech_is_waited_for() -> None:
    far_end = FarEnd(MESSAGE)
    spoken(far_end, (1.0, 1.5))
    far_end.receive_suspicion(True)
    assert run_to(far_end, 5.0) == []
    far_end.receive_suspicion(False)
    assert [type(event) for _, event in run_to(far_end, 5.0)] == [FloorOffered, FarEndRecognized]


def test_who_speaks_on_and_on_is_a_machine_but_is_not_hung_up_on_for_it() -> None:
    far_end = FarEnd(FarEndConfig())
    far_end.receive_speech(1.0)
    assert run_to(far_end, 8.0) == [
        (4.5, FarEndRecognized(FarEndKind.MACHINE, "cadence", 0.8)),
        (4.5, FallSilent()),
    ]


def test_a_long_greeting_and_a_silence_are_a_voicemail_without_a_word_or_a_beep() -> None:
    far_end = FarEnd(MESSAGE)
    spoken(far_end, (1.0, 7.0))
    assert run_to(far_end, 12.0)[-3:] == [
        (9.5, FarEndRecognized(FarEndKind.VOICEMAIL, "cadence", 0.85)),
        (9.5, FallSilent()),
        (9.5, LEAVE),
    ]


def test_a_machine_by_its_length_that_then_waits_is_a_person_and_gets_the_floor() -> None:
    far_end = FarEnd(MESSAGE)
    spoken(far_end, (1.0, 5.0))
    assert run_to(far_end, 9.0)[-2:] == [
        (6.8, FarEndRecognized(FarEndKind.PERSON, "cadence", 0.6)),
        (6.8, FloorOffered(5.0)),
    ]


def test_one_who_answers_for_somebody_else_is_a_person() -> None:
    far_end = FarEnd(FarEndConfig())
    far_end.receive_speech(1.0)
    far_end.receive_words("He is not available", 2.2, is_final=False)
    far_end.receive_words("He is not available, may I take a message?", 3.0, is_final=False)
    assert far_end.events() == [
        FarEndRecognized(FarEndKind.MACHINE, "words", 0.75),
        FallSilent(),
        FarEndRecognized(FarEndKind.PERSON, "words", 0.95),
    ]


def test_machines_words_in_the_midst_of_a_conversation_are_a_persons() -> None:
    far_end, _ = heard("Hello?", "Yes, this is Tom.", "Thank you for your call, but no.")
    assert far_end.kind is FarEndKind.PERSON


def test_early_media_rings_and_plays_music_to_nobody() -> None:
    far_end = FarEnd(MESSAGE, is_answered=False)
    far_end.receive_tone(RingbackHeard("us", 4_000), 4.0)
    far_end.receive_music(True, 9.0)
    far_end.receive_music(False, 12.0)
    spoken(far_end, (12.0, 12.5))
    far_end.receive_words("Hello?", 13.0, is_final=True)
    assert run_to(far_end, 30.0) == []
    far_end.answered(30.0)
    spoken(far_end, (31.0, 31.5))
    assert run_to(far_end, 35.0)[-1][1] == FarEndRecognized(FarEndKind.PERSON, "cadence", 0.85)


def test_early_media_tells_of_numbers_that_do_not_exist_and_of_voicemails() -> None:
    failed, voicemail = FarEnd(FarEndConfig(), is_answered=False), FarEnd(MESSAGE, is_answered=False)
    failed.receive_words("The number you have dialed is not in service.", 3.0, is_final=False)
    assert failed.events() == [FarEndRecognized(FarEndKind.FAILED, "words", 0.95), EndCall("not_in_service")]
    voicemail.receive_speech(1.0)
    voicemail.receive_words("Please leave a message", 3.0, is_final=False)
    voicemail.receive_silence(4.0)
    voicemail.answered(4.5)
    voicemail.receive_tone(BEEP, 5.0)
    assert voicemail.events() == [FarEndRecognized(FarEndKind.VOICEMAIL, "words", 0.95), FallSilent(), LEAVE]


def test_an_announcement_before_the_answer_says_nothing_of_who_answers() -> None:
    far_end = FarEnd(FarEndConfig(), is_answered=False)
    far_end.receive_speech(1.0)
    far_end.receive_words("Your call is being connected.", 2.0, is_final=False)
    far_end.receive_silence(3.0)
    assert [type(event) for _, event in run_to(far_end, 9.0)] == [FarEndRecognized, FallSilent]
    far_end.answered(9.0)
    assert far_end.listens
    spoken(far_end, (10.0, 10.5))
    assert run_to(far_end, 15.0)[-1][1] == FarEndRecognized(FarEndKind.PERSON, "cadence", 0.85)


def test_who_speaks_long_before_the_answer_and_goes_on_is_a_recording() -> None:
    far_end = FarEnd(MESSAGE, is_answered=False)
    far_end.receive_speech(1.0)
    far_end.answered(4.0)
    assert far_end.events()[0] == FarEndRecognized(FarEndKind.MACHINE, "cadence", 0.85)


def test_a_voice_that_is_here_a_moment_before_the_answer_may_be_a_persons() -> None:
    far_end = FarEnd(MESSAGE, is_answered=False)
    far_end.receive_speech(1.0)
    far_end.answered(1.3)
    far_end.receive_silence(1.6)
    assert run_to(far_end, 5.0)[-1][1] == FarEndRecognized(FarEndKind.PERSON, "cadence", 0.85)


def test_of_two_beeps_the_message_follows_the_last() -> None:
    far_end, _ = heard("Leave a message.")
    far_end.receive_tone(BEEP, 9.0)
    far_end.receive_tone(BEEP, 9.6)
    assert far_end.events() == [LEAVE, FallSilent(), LEAVE]


def test_a_message_into_the_greeting_is_broken_off_and_comes_again_after_the_beep() -> None:
    far_end, _ = heard("Leave a message.")
    far_end.receive_silence(5.0)
    assert run_to(far_end, 8.0) == [(7.5, LEAVE)]
    far_end.receive_speech(8.5)
    assert run_to(far_end, 10.0) == [(9.5, FallSilent())]
    far_end.receive_silence(11.0)
    far_end.receive_tone(BEEP, 12.0)
    assert far_end.events() == [LEAVE]


def test_a_word_over_the_message_does_not_break_it_off() -> None:
    far_end, _ = heard("Leave a message.")
    far_end.receive_tone(BEEP, 7.0)
    far_end.events()
    spoken(far_end, (8.0, 8.6))
    assert run_to(far_end, 30.0) == []


def test_nobody_is_left_messages_for_ever() -> None:
    far_end, _ = heard("Leave a message.")
    for second in range(10, 40, 2):
        far_end.receive_tone(BEEP, float(second))
    assert far_end.events().count(LEAVE) == 3


def test_a_beep_before_a_word_waits_for_one() -> None:
    answering, silent = FarEnd(MESSAGE), FarEnd(MESSAGE)
    for far_end in (answering, silent):
        far_end.receive_tone(BEEP, 1.0)
        assert not far_end.events()
    answering.receive_speech(2.0)
    assert run_to(answering, 3.0) == []
    assert [event for _, event in run_to(silent, 5.0)] == [
        FarEndRecognized(FarEndKind.VOICEMAIL, "tone", 0.8),
        FallSilent(),
        LEAVE,
    ]


def test_busy_and_congestion_end_the_call_unless_a_person_was_there() -> None:
    busy, crowded, (person, _) = FarEnd(MESSAGE), FarEnd(MESSAGE), heard("Hello?")
    busy.receive_tone(BusyHeard("us", 2_000), 2.0)
    crowded.receive_tone(CongestionHeard("us", 2_000), 2.0)
    person.receive_tone(BusyHeard("us", 60_000), 60.0)
    assert busy.events() == [FarEndRecognized(FarEndKind.BUSY, "tone", 0.98), EndCall("busy")]
    assert crowded.events() == [FarEndRecognized(FarEndKind.UNREACHABLE, "tone", 0.98), EndCall("unreachable")]
    assert not person.events()


LONG = "The Millers are out in the garden and we would love to hear from you so talk to our parrot instead"


def test_a_language_model_is_asked_when_nothing_tells() -> None:
    far_end, events = heard(LONG)
    assert events == [InDoubt(LONG)]
    far_end.receive_judgement(FarEndKind.UNKNOWN, 0.8, 8.0)
    assert not far_end.events()
    far_end.receive_judgement(FarEndKind.VOICEMAIL, 0.8, 9.0)
    assert far_end.events() == [FarEndRecognized(FarEndKind.VOICEMAIL, "judgement", 0.8), FallSilent()]


def test_a_judgement_that_comes_too_late_is_ignored() -> None:
    far_end, _ = heard(LONG, "Hello?")
    far_end.receive_judgement(FarEndKind.VOICEMAIL, 0.8, 9.0)
    assert far_end.kind is FarEndKind.PERSON


_NEWS = st.one_of(
    st.sampled_from(("speech", "silence", "suspected", "dismissed", "answered", "music", "no music")),
    st.sampled_from(
        ("Hello?", "This is Tom.", "You have reached", "Leave a message", "Press one", "How can I help you?")
    ),
    st.sampled_from((BEEP, FaxAnswered(1), SitHeard(SitKind.VACANT, 1), BusyHeard("us", 1), RingbackHeard("us", 1))),
)


@given(st.lists(st.tuples(_NEWS, st.floats(0.0, 4.0)), max_size=25), st.booleans(), st.booleans())
def test_whatever_is_heard_timeouts_lead_on_and_a_call_ends_once(
    news: list[tuple[object, float]], leaves_message: bool, is_answered: bool
) -> None:
    far_end, now = FarEnd(MESSAGE if leaves_message else FarEndConfig(), is_answered=is_answered), 100.0
    found: list[FarEndEvent] = []
    for one, wait_s in news:
        match one:
            case "speech":
                far_end.receive_speech(now)
            case "silence":
                far_end.receive_silence(now)
            case "suspected" | "dismissed":
                far_end.receive_suspicion(one == "suspected")
            case "answered":
                far_end.answered(now)
            case "music" | "no music":
                far_end.receive_music(one == "music", now)
            case str():
                far_end.receive_words(one, now, is_final=wait_s > 2)
            case _:
                far_end.receive_tone(one, now)  # type: ignore[arg-type]
        now += wait_s
        found += [event for _, event in run_to(far_end, now)]
    assert sum(isinstance(event, LeaveMessage) for event in found) <= 3
    ends = [event.reason for event in found if isinstance(event, EndCall)]
    assert len([reason for reason in ends if reason != "on_hold_too_long"]) <= 1


def test_a_long_turn_of_a_known_person_is_not_in_doubt() -> None:
    _, events = heard("Hello?", LONG)
    assert not any(isinstance(event, InDoubt) for event in events)


def test_who_speaks_long_after_the_message_began_does_not_break_it_off() -> None:
    far_end, _ = heard("Leave a message.")
    far_end.receive_tone(BEEP, 7.0)
    far_end.events()
    far_end.receive_speech(13.5)
    assert run_to(far_end, 30.0) == []


def test_the_last_message_is_said_to_its_end_whoever_speaks() -> None:
    far_end, _ = heard("Leave a message.")
    for second in (7.0, 8.0, 9.0):
        far_end.receive_tone(BEEP, second)
    assert far_end.events().count(LEAVE) == 3
    far_end.receive_speech(9.5)
    assert run_to(far_end, 30.0) == []
