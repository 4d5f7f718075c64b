# SPDX-License-Identifier: GPL-3.0-or-later
"""What agents always say, rendered by a voice that is away at first."""

import asyncio

from agent.errors import ServiceUnavailable
from agent.phrases import Phrases
from gateway.agents import render_until_there
from gateway.work import WorkBoard
from tests.fakes.services import ScriptedTts
from tests.fakes.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_voice_that_is_away_is_asked_again_until_all_is_there_and_what_is_there_is_not_rendered_twice() -> None:
    away = {"One moment.": [ServiceUnavailable("mouth", "is away")]}
    tts = ScriptedTts(failing_clauses={**away})
    phrases = Phrases(tts)
    said = ("Hello.", "One moment.", "Goodbye.")
    work = WorkBoard().begin("phrases", "clerk", "sentences")
    rendering = asyncio.create_task(render_until_there("clerk", phrases, said, work))
    await asyncio.sleep(6.0)
    assert phrases.get("Hello.") is not None
    assert phrases.get("Goodbye.") is None
    assert (work.facts.done, work.facts.total, work.facts.detail) == (1, 3, "mouth: is away")
    tts.failing_clauses.clear()
    await asyncio.wait_for(rendering, 60)
    assert all(phrases.get(text) is not None for text in said)
    assert tts.spoken.count("Hello.") == 1
    assert tts.spoken.count("One moment.") == 4  # at once, after 1 s, after 2 s more, after 5 s more
    assert (work.facts.done, work.facts.detail) == (3, "")
