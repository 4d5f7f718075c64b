# SPDX-License-Identifier: GPL-3.0-or-later
"""What services cache of a conversation: its beginning stays the same from turn to turn, to the letter."""

import itertools
from collections.abc import Sequence

from agent.conversation import History
from agent.services.llm import ContextNote, Conversation, Message
from agent.thinking import Thinking
from tests.fakes.services import ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time


class _Clock:
    """A context source that never says the same twice."""

    def __init__(self) -> None:
        self._asked = 0

    async def notes(self, conversation: Conversation) -> Sequence[ContextNote]:
        self._asked += 1
        return [ContextNote("clock", f"It is {self._asked} o'clock.")]


@in_virtual_time
async def test_each_turn_shows_the_model_what_the_last_one_did_and_more_behind_it() -> None:
    history, llm = History("You are the receptionist."), ScriptedLlm(["Certainly."])
    thinking = Thinking(llm, [_Clock()])
    for turn in range(20):
        history.caller_said(f"Question {turn}")
        async for _ in thinking.reply(history.snapshot()):
            pass
        history.agent_said(f"Answer {turn}", interrupted=turn % 3 == 0)
    shown = [asked.messages for asked in llm.asked]
    assert shown[0][0] == Message("system", "You are the receptionist.")
    for earlier, later in itertools.pairwise(shown):
        assert later[: len(earlier)] == earlier
        assert len(later) > len(earlier)


@in_virtual_time
async def test_what_holds_for_one_turn_only_is_not_among_the_messages() -> None:
    history, llm = History("You are the receptionist."), ScriptedLlm(["Certainly."])
    history.caller_said("What time is it?")
    async for _ in Thinking(llm, [_Clock()]).reply(history.snapshot()):
        pass
    assert llm.asked[0].notes == (ContextNote("clock", "It is 1 o'clock."),)
    assert not any("o'clock" in message.text for message in llm.asked[0].messages)
