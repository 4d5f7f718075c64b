# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
from pathlib import Path

import pytest

from agent.knowledge.reading import DEFAULT_FOLDER, read_knowledge
from agent.local.engines import OfflineEngines
from agent.local.receptionist import DEFAULT_GREETING, Receptionist, _questions
from agent.services.llm import Conversation, Message, TextDelta, ToolCall


class Call:
    """A conversation with the receptionist."""

    def __init__(self, receptionist: Receptionist) -> None:
        self._receptionist = receptionist
        self.messages = [Message("assistant", DEFAULT_GREETING)]
        self.is_over = False

    async def say(self, text: str) -> str:
        """The answer; the caller hears all of it."""
        self.messages.append(Message("user", text))
        events = [event async for event in self._receptionist.reply(Conversation(tuple(self.messages)))]
        answer = "".join(event.text for event in events if isinstance(event, TextDelta))
        self.is_over = events[-1] == ToolCall("hang_up")
        self.messages.append(Message("assistant", answer))
        return answer

    def interrupt(self, heard: str) -> None:
        """The caller broke in: of the last answer only this was heard."""
        self.messages[-1] = Message("assistant", heard, interrupted=True)


@pytest.fixture(scope="module")
def receptionist(engines: OfflineEngines) -> Receptionist:
    return asyncio.run(engines.receptionist())


@pytest.fixture
def call(receptionist: Receptionist) -> Call:
    return Call(receptionist)


def answer(heading: str) -> str:
    return next(entry.answer for entry in read_knowledge(DEFAULT_FOLDER) if entry.heading == heading)


HOURS = answer("When are you open?")
PRICE = answer("How much is a cleaning?")
WHITENING = answer("Do you whiten teeth?")


async def test_a_question_is_answered_in_the_words_of_the_knowledge(call: Call) -> None:
    assert await call.say("How much does a cleaning cost?") == PRICE
    assert not call.is_over


async def test_what_it_does_not_know_it_says_and_offers_to_take_a_message(call: Call) -> None:
    assert await call.say("Do you sell cheeseburgers?") == (
        "I do not know that, I am sorry. Would you like to leave a message?"
    )
    assert "tell me your message" in await call.say("Yes, please.")
    taken = await call.say("This is Anna Miller, please call me about my bill.")
    assert taken.startswith("I have written that down for the front desk, Anna Miller.")
    assert await call.say("No, thank you.") == "Goodbye, Anna Miller, and thank you for calling."
    assert call.is_over


async def test_an_offer_can_be_declined(call: Call) -> None:
    await call.say("Do you sell cheeseburgers?")
    assert await call.say("No.") == "All right. Is there anything else I can do for you?"
    assert not call.is_over


async def test_a_caller_may_accept_before_the_offer_is_spoken_to_its_end(call: Call) -> None:
    await call.say("Do you sell cheeseburgers?")
    call.interrupt("I do not know that, I am sorry. Would you like to")
    assert "tell me your message" in await call.say("Yes.")


async def test_the_callers_name_is_remembered_and_used(call: Call) -> None:
    assert await call.say("Hello, my name is Anna.") == "Nice to meet you, Anna. How can I help you?"
    await call.say("When are you open?")
    assert await call.say("What is my name?") == "Your name is Anna."
    assert await call.say("That's all, thank you.") == "Goodbye, Anna, and thank you for calling."
    assert call.is_over


async def test_a_name_and_a_question_at_once_are_both_answered(call: Call) -> None:
    assert await call.say("Hi, this is Tom. When are you open?") == f"Nice to meet you, Tom. {HOURS}"


async def test_without_a_name_it_admits_that(call: Call) -> None:
    assert await call.say("Do you know my name?") == "You have not told me your name yet."


async def test_earlier_questions_are_remembered(call: Call) -> None:
    assert await call.say("What did I ask?") == "You have not asked me anything yet."
    await call.say("Hi, my name is Anna. When are you open?")
    await call.say("Thanks.")
    await call.say("How much is a cleaning?")
    assert await call.say("What did I ask before?") == "You asked: How much is a cleaning?"
    assert await call.say("And what was my first question?") == "You asked: When are you open?"


async def test_a_follow_up_is_understood_from_the_question_before(call: Call) -> None:
    await call.say("Do you whiten teeth?")
    assert await call.say("And how much is that?") == WHITENING
    assert await call.say("And when are you open?") == HOURS


async def test_two_questions_at_once_get_two_answers(call: Call) -> None:
    assert await call.say("When are you open? And how much is a cleaning?") == f"{HOURS} {PRICE}"


@pytest.mark.parametrize("request_", ["Can you repeat that, please?", "Pardon?", "Sorry, I didn't catch that."])
async def test_an_interrupted_answer_is_repeated_whole(call: Call, request_: str) -> None:
    await call.say("When are you open?")
    call.interrupt("We are open")
    assert await call.say(request_) == HOURS
    assert await call.say(request_) == HOURS


async def test_who_did_not_hear_the_greeting_hears_it_again(call: Call) -> None:
    assert await call.say("Sorry?") == DEFAULT_GREETING


async def test_a_conversation_without_a_word_of_the_caller_is_greeted(receptionist: Receptionist) -> None:
    events = [event async for event in receptionist.reply(Conversation(()))]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == DEFAULT_GREETING


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Hello?", "Hello. How can I help you?"),
        ("How are you today?", "I am fine, thank you. How can I help you?"),
        ("Thank you very much.", "You are welcome. Is there anything else I can do for you?"),
        ("Just a moment.", "Of course, take your time."),
        ("Are you still there?", "Yes, I can hear you. How can I help you?"),
        ("Can I talk to a real person?", "I cannot put you through from here. Would you like to leave a message?"),
        ("I'd like to leave a message.", "All right. Please tell me your message, and how we can reach you."),
        ("[pressed 1]", "There is no menu here, just tell me what you would like to know."),
        ("[pressed 0]", "I cannot put you through from here. Would you like to leave a message?"),
        ("", "I am sorry, I did not hear you. Could you say that again?"),
        ("Blorp.", "I am sorry, I did not understand that. Could you say it in other words?"),
        ("Yes.", "What would you like to know?"),
    ],
)
async def test_small_talk_has_its_answers(call: Call, said: str, expected: str) -> None:
    assert await call.say(said) == expected


async def test_it_says_what_it_is(call: Call) -> None:
    assert "computer program" in await call.say("Are you a robot?")
    assert "Parley" in await call.say("Who are you?")


@pytest.mark.parametrize("said", ["Goodbye.", "Thanks for your help, bye!", "No, that's all, thank you."])
async def test_who_takes_leave_is_let_go(call: Call, said: str) -> None:
    assert await call.say(said) == "Goodbye, and thank you for calling."
    assert call.is_over


async def test_callers_do_not_hear_of_each_other(receptionist: Receptionist) -> None:
    first, second = Call(receptionist), Call(receptionist)
    await first.say("My name is Anna.")
    assert await second.say("What's my name?") == "You have not told me your name yet."


async def test_a_folder_of_ones_own_is_answered_from(engines: OfflineEngines, tmp_path: Path) -> None:
    (tmp_path / "bakery.md").write_text("## Do you have rye bread?\nYes, fresh every morning.\n")
    call = Call(await engines.receptionist(tmp_path))
    assert await call.say("Have you got rye bread?") == "Yes, fresh every morning."
    assert "I do not know that" in await call.say("How much does a cleaning cost?")


async def test_what_it_says_is_among_its_sayings(call: Call, receptionist: Receptionist) -> None:
    sayings = receptionist.sayings()
    for said in ("Hello.", "Do you sell cheeseburgers?", "No.", "How much is a cleaning?", "Thanks.", "No, goodbye."):
        rest = await call.say(said)
        for saying in sorted(sayings, key=len, reverse=True):
            rest = rest.replace(saying, "")
        assert rest.strip() in ("", "Hello.")


def test_looking_back_again_and_again_takes_no_longer() -> None:
    # Each look back once followed every one before it: forty would outlast the test's time limit.
    asked = [Message("user", "What did I ask you before?")] * 40
    assert _questions(asked) == []
