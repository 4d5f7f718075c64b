# SPDX-License-Identifier: GPL-3.0-or-later
"""How the default knowledge is found by what callers say."""

import asyncio

import pytest

from agent.knowledge.index import THRESHOLD
from agent.knowledge.library import Knowledge
from agent.knowledge.reading import DEFAULT_FOLDER
from agent.knowledge.sources import Files
from agent.local.engines import OfflineEngines


@pytest.fixture(scope="module")
def knowledge(engines: OfflineEngines) -> Knowledge:
    return asyncio.run(engines.knowledge([Files(DEFAULT_FOLDER)]))


# No phrasing of the default knowledge; written before its first measurement, not tuned after it.
PARAPHRASES = [
    ("When are you open?", "what time can i come on saturday"),
    ("When are you open?", "are you still open at six in the evening"),
    ("When are you open?", "which days are you open"),
    ("When are you open?", "are you open on holidays"),
    ("Where are you?", "tell me where you are located"),
    ("Where are you?", "what's the street address"),
    ("Where can I park?", "can i park there"),
    ("Where can I park?", "how much is parking"),
    ("How do I book an appointment?", "i want an appointment tomorrow morning"),
    ("How do I book an appointment?", "how can i get an appointment"),
    ("How do I book an appointment?", "please schedule me a cleaning"),
    ("How do I cancel or move my appointment?", "something came up and i can't come on thursday"),
    ("How do I cancel or move my appointment?", "i'd like to postpone my visit"),
    ("Do you take new patients?", "i just moved here and i'm looking for a dentist"),
    ("Do you see children?", "is my two year old too young"),
    ("Do you see children?", "do you have a kids dentist"),
    ("How much is a cleaning?", "how much would a cleaning be"),
    ("Do you whiten teeth?", "my teeth are yellow can you do something"),
    ("Which insurance do you take?", "do you accept delta dental"),
    ("Which insurance do you take?", "i have blue cross"),
    ("How can I pay?", "do you take american express"),
    ("How can I pay?", "can i pay by check"),
    ("What do I do in an emergency?", "my face is swollen and it really hurts"),
    ("What do I do in an emergency?", "what's your emergency number"),
    ("Do you do other treatments?", "how much do braces cost"),
    ("Do you do other treatments?", "can you do an implant"),
    ("Are you a robot?", "am i talking to a robot"),
    ("What can you do?", "what are you able to do"),
    ("Who are you?", "what's your name"),
    ("Is the building accessible by wheelchair?", "is there an elevator"),
]
FROM_ELSEWHERE = [
    "what's your favorite color",
    "do you know a good joke",
    "i'd like two cheeseburgers",
    "how do i get to the airport",
    "is the post office open",
    "where can i buy stamps",
    "my car won't start",
    "how many people live in china",
    "translate hello into french",
    "do you like music",
    "when was the moon landing",
    "can you call me a taxi",
    "set an alarm for seven",
    "how do i bake a cake",
    "who wrote hamlet",
    "what channel is the game on",
    "i want a refund for my phone",
    "do you deliver",
    "i lost my wallet",
    "how much is a flight to miami",
    "what did you have for breakfast",
    "my dog is sick",
    "where can i get a haircut",
    "open the garage door",
]


async def test_of_thirty_paraphrases_most_find_their_answer(knowledge: Knowledge) -> None:
    matches = await knowledge.search(*(question for _, question in PARAPHRASES))
    right = sum(
        match.entry.heading == heading and match.score >= THRESHOLD
        for match, (heading, _) in zip(matches, PARAPHRASES, strict=True)
    )
    assert right >= 21


async def test_hardly_any_question_from_elsewhere_is_answered(knowledge: Knowledge) -> None:
    matches = await knowledge.search(*FROM_ELSEWHERE)
    assert sum(match.score >= THRESHOLD for match in matches) <= 1


async def test_a_phrasing_finds_its_entry_with_certainty(knowledge: Knowledge) -> None:
    for entry in knowledge.entries:
        for phrasing in entry.phrasings:
            (match,) = await knowledge.search(phrasing)
            assert match.entry is entry, phrasing
            assert match.score > 0.99
