# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receptionist still knows after many turns, after the beginning of a call was folded, and from last time."""

import asyncio

import pytest

from agent.conversation import History
from agent.local.engines import OfflineEngines
from agent.local.receptionist import Receptionist
from agent.recollection import NOTHING, Exchange, Recollection
from agent.services.llm import TextDelta


class Call:
    """A conversation with the receptionist, kept as a session keeps it."""

    def __init__(self, receptionist: Receptionist, history: History) -> None:
        self._receptionist = receptionist
        self.history = history

    async def say(self, text: str) -> str:
        """The answer; the caller hears all of it."""
        self.history.caller_said(text)
        events = [event async for event in self._receptionist.reply(self.history.snapshot())]
        answer = "".join(event.text for event in events if isinstance(event, TextDelta))
        self.history.agent_said(answer, interrupted=False)
        return answer


@pytest.fixture(scope="module")
def receptionist(engines: OfflineEngines) -> Receptionist:
    return asyncio.run(engines.receptionist())


OTHER_TURNS = (
    "How much is a cleaning?",
    "Do you whiten teeth?",
    "Is there a place where I can park?",
    "Thank you.",
    "Do you take Cigna?",
)


@pytest.mark.parametrize("max_messages", [120, 6])
async def test_facts_of_turn_1_are_used_in_turn_8(receptionist: Receptionist, max_messages: int) -> None:
    """With the whole call word for word, and with all but its end folded into the summary."""
    call = Call(receptionist, History("", max_messages=max_messages))
    await call.say("Hello, my name is Anna and I would like to know when you are open.")
    for text in OTHER_TURNS:
        await call.say(text)
    assert bool(call.history.snapshot().earlier) is (max_messages == 6)
    assert await call.say("What was my first question?") == "You asked: I would like to know when you are open."
    assert await call.say("What is my name?") == "Your name is Anna."
    assert await call.say("Goodbye.") == "Goodbye, Anna, and thank you for calling."


async def test_facts_of_an_hours_first_minute_are_used_in_its_last(receptionist: Receptionist) -> None:
    call = Call(receptionist, History(""))
    await call.say("Hello, my name is Anna. When are you open?")
    for number in range(600):
        call.history.caller_said(f"How much are {number} cleanings?")
        call.history.agent_said("That depends.", interrupted=False)
    assert await call.say("What was my first question?") == "You asked: When are you open?"
    assert await call.say("What is my name?") == "Your name is Anna."


async def test_a_caller_is_known_from_the_last_call(receptionist: Receptionist) -> None:
    history = History("")
    history.memory = Recollection("Anna", (Exchange("When are you open?", "At eight."), Exchange("Where can I park?")))
    call = Call(receptionist, history)
    assert await call.say("What is my name?") == "Your name is Anna."
    assert await call.say("What did I ask last time?") == "Last time you asked: Where can I park?"
    await call.say("How much is a cleaning?")
    assert await call.say("What did I ask when I called last time?") == "Last time you asked: Where can I park?"
    assert await call.say("What did I ask before?") == "You asked: How much is a cleaning?"


async def test_without_a_memory_it_says_so(receptionist: Receptionist) -> None:
    call = Call(receptionist, History(""))
    assert await call.say("What did I ask last time?") == "I do not remember an earlier call of yours."
    assert call.history.memory == NOTHING


async def test_who_asks_to_be_forgotten_is_not_offered_to_leave_a_message(receptionist: Receptionist) -> None:
    assert await Call(receptionist, History("")).say("Please delete my data.") == "All right."
