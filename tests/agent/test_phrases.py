# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech rendered ahead."""

import pytest

from agent.errors import ServiceUnavailable
from agent.phrases import Phrases
from tests.fakes.services import STALL, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time


@in_virtual_time
async def test_phrases_are_rendered_once_clause_by_clause() -> None:
    tts = ScriptedTts()
    phrases = Phrases(tts)
    await phrases.prepare(["Good morning to you, how can I help? We are open.", "We are open."])
    assert len(tts.spoken) == 3
    for clause in ("Good morning to you,", "how can I help?", "We are open."):
        assert phrases.get(clause) is not None
    assert phrases.get("We are closed.") is None


@in_virtual_time
async def test_a_voice_that_fails_keeps_what_was_rendered_before() -> None:
    phrases = Phrases(ScriptedTts(failing_clauses={"Two.": [STALL]}), timeout_ms=1_000)
    with pytest.raises(ServiceUnavailable):
        await phrases.prepare(["One.", "Two."])
    assert phrases.get("One.") is not None
    assert phrases.get("Two.") is None


@in_virtual_time
async def test_what_one_call_says_is_not_kept_for_all() -> None:
    tts = ScriptedTts()
    phrases = Phrases(tts)
    await phrases.prepare(["Good morning."])
    own = phrases.of_call()
    await own.prepare(["Good morning.", "This is for Jane."])
    assert tts.spoken == ["Good morning.", "This is for Jane."]
    assert own.get("This is for Jane.") is not None
    assert own.get("Good morning.") is not None
    assert phrases.get("This is for Jane.") is None
