# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools on a call: the model asks, the caller waits, hears of it, breaks in."""

import asyncio

import pytest

from agent.config import AgentConfig
from agent.errors import ToolFailed
from agent.events import HangUpRequested, ReplyFinished, ReplyInterrupted, ReplyStarted, ToolUsed, TurnReopened
from agent.services.llm import Message, ToolCall
from agent.tools.config import ToolUseConfig
from agent.tools.tool import ToolTraits
from tests.fakes.scene import QUICK, Scene
from tests.fakes.services import ScriptedLlm, Step
from tests.fakes.tools import ScriptedTool
from tests.fakes.virtual_time import in_virtual_time

FILLER = "One moment, let me check."
CONFIG = AgentConfig(
    greeting="",
    turn=QUICK,
    tools=("hang_up", "transfer", "send_dtmf", "collect_digits", "crm.*"),
    transfers={"front desk": "sip:200@pbx.example"},
)
ASK = ToolCall("crm_get_order", {"id": 7}, "c1")
ANSWER: list[Step] = [0.2, "Your order has left."]


def scene_with(tool: ScriptedTool, *scripts: list[Step], config: AgentConfig = CONFIG) -> Scene:
    return Scene(config=config, llm=ScriptedLlm(*scripts), tools=[tool])


def tool_messages(scene: Scene) -> list[str]:
    return [message.text for message in scene.llm.asked[-1].messages if message.role == "tool"]


@in_virtual_time
async def test_the_model_gets_the_result_and_goes_on() -> None:
    tool = ScriptedTool()
    async with scene_with(tool, [0.2, ASK], ANSWER) as scene:
        await scene.leg.speak("where is my order")
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == "Your order has left."
        assert tool.given == [{"id": 7}]
        assert scene.history == (
            Message("user", "where is my order"),
            Message("assistant", "", tool_calls=(ASK,)),
            Message("tool", "shipped", tool_call_id="c1"),
        )
        assert {spec.name for spec in scene.llm.asked[0].tools} >= {"hang_up", "transfer", "crm_get_order"}


@in_virtual_time
async def test_a_tool_that_takes_its_time_is_announced_and_one_that_does_not_is_not() -> None:
    async with scene_with(ScriptedTool(takes_s=0.5), [0.2, ASK], ANSWER) as scene:
        await scene.leg.speak("where is my order")
        assert (await scene.wait_for(ReplyFinished)).text == "Your order has left."
    async with scene_with(ScriptedTool(takes_s=3.0), [0.2, ASK], ANSWER) as scene:
        ended_at = await scene.leg.speak("where is my order")
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == f"{FILLER} Your order has left."
        # 0.28 s until the turn is over, 0.2 s for the model, 0.6 s of waiting, 0.1 s for the voice.
        assert scene.first_sound_after(ended_at) - ended_at == pytest.approx(1.18, abs=0.06)


@in_virtual_time
async def test_who_said_already_what_he_is_doing_needs_no_filler() -> None:
    async with scene_with(ScriptedTool(takes_s=3.0), [0.2, "Let me look", ASK], ANSWER) as scene:
        await scene.leg.speak("where is my order")
        started = await scene.wait_for(ReplyStarted)
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == "Let me look Your order has left."
        assert finished.ended_at - started.started_at > 3.0  # what he said was not held back until then


@in_virtual_time
async def test_a_second_filler_follows_when_it_takes_very_long() -> None:
    async with scene_with(ScriptedTool(takes_s=9.0), [ASK], ANSWER) as scene:
        await scene.leg.speak("where is my order")
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == f"{FILLER} I am still looking, one moment please. Your order has left."


@pytest.mark.parametrize(
    ("tool", "call", "outcome", "told"),
    [
        (ScriptedTool(fault=ToolFailed("no such order")), ASK, "failed", "Error: no such order"),
        (ScriptedTool(fault=KeyError("x")), ASK, "failed", "Error: it does not work at the moment."),
        (ScriptedTool(takes_s=99.0), ASK, "timeout", "Error: it did not answer within 10 seconds."),
        (
            ScriptedTool(),
            ToolCall("crm_get_order", {"id": "seven"}, "c1"),
            "failed",
            "Error: the arguments do not fit (id): 'seven' is not of type 'integer'",
        ),
        (ScriptedTool(), ToolCall("crm_get_order", {}, "c1", "the arguments are no JSON"), "failed", "Error: the arg"),
    ],
)
@in_virtual_time
async def test_the_model_is_told_what_went_wrong(tool: ScriptedTool, call: ToolCall, outcome: str, told: str) -> None:
    async with scene_with(tool, [call], ["I could not find it."]) as scene:
        await scene.leg.speak("where is my order")
        assert (await scene.wait_for(ReplyFinished)).text.endswith("I could not find it.")
        assert tool_messages(scene)[-1].startswith(told)
        assert [(used.tool, used.outcome) for used in scene.all(ToolUsed)] == [("crm.get_order", outcome)]


@in_virtual_time
async def test_a_tool_that_does_not_exist_is_told_as_such() -> None:
    async with scene_with(ScriptedTool(), [ToolCall("drop_tables", {}, "c1")], ANSWER) as scene:
        await scene.leg.speak("where is my order")
        await scene.wait_for(ReplyFinished)
        assert tool_messages(scene) == ["Error: there is no tool 'drop_tables'."]


@in_virtual_time
async def test_a_tool_that_the_agent_was_not_given_does_not_exist() -> None:
    tool = ScriptedTool()
    config = CONFIG.model_copy(update={"tools": ("hang_up",)})
    async with scene_with(tool, [ASK], ANSWER, config=config) as scene:
        await scene.leg.speak("where is my order")
        await scene.wait_for(ReplyFinished)
        assert tool.began == 0
        assert [spec.name for spec in scene.llm.asked[0].tools] == ["hang_up"]


@in_virtual_time
async def test_long_results_are_cut() -> None:
    config = CONFIG.model_copy(update={"tool_use": ToolUseConfig(max_result_chars=100)})
    async with scene_with(ScriptedTool(result="x" * 250), [ASK], ANSWER, config=config) as scene:
        await scene.leg.speak("where is my order")
        await scene.wait_for(ReplyFinished)
        assert tool_messages(scene) == ["x" * 100 + " [... 150 more characters]"]


@in_virtual_time
async def test_a_model_that_only_wants_tools_is_made_to_answer() -> None:
    tool = ScriptedTool()
    config = CONFIG.model_copy(update={"tool_use": ToolUseConfig(max_rounds=2)})
    async with scene_with(tool, [ASK], [ASK], ["Well.", ASK], config=config) as scene:
        await scene.leg.speak("where is my order")
        assert (await scene.wait_for(ReplyFinished)).text == "Well."
        assert tool.began == 2
        assert scene.llm.asked[-1].tools == ()
        assert "No more tools" in tool_messages(scene)[-1]


@in_virtual_time
async def test_several_tools_run_side_by_side() -> None:
    tool = ScriptedTool(takes_s=0.5)
    async with scene_with(tool, [ASK, ToolCall("crm_get_order", {"id": 8}, "c2")], ANSWER) as scene:
        await scene.leg.speak("where are my orders")
        assert (await scene.wait_for(ReplyFinished)).text == "Your order has left."
        first, second = scene.all(ToolUsed)
        assert second.ended_at - first.started_at < 0.7


@in_virtual_time
async def test_an_interrupted_tool_finishes_and_the_next_turn_knows_its_result() -> None:
    tool = ScriptedTool(takes_s=4.0)
    async with scene_with(tool, [ASK], ["It has left."]) as scene:
        await scene.leg.speak("where is my order")
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("and hurry up please would you")
        await scene.wait_for(ReplyInterrupted)
        await scene.wait_for(ReplyFinished)
        assert tool_messages(scene) == ["(It is still running; its result will stand here.)"]
        await scene.wait_for(ToolUsed)
        assert tool.cancelled == 0
        await scene.leg.speak("so where is it")
        await scene.wait_for(ReplyFinished, 2)
        assert tool_messages(scene) == ["shipped"]


@in_virtual_time
async def test_a_tool_may_be_cancelled_by_an_interruption() -> None:
    tool = ScriptedTool(takes_s=4.0, traits=ToolTraits(on_interruption="cancel"))
    async with scene_with(tool, [ASK], ["It has left."]) as scene:
        await scene.leg.speak("where is my order")
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("no forget about it")
        await scene.wait_for(ReplyFinished)
        assert tool.cancelled == 1
        assert scene.all(ToolUsed)[0].outcome == "cancelled"
        assert tool_messages(scene)[0].startswith("Cancelled")


@in_virtual_time
async def test_a_caller_who_goes_on_before_anything_is_heard_is_answered_with_the_result() -> None:
    tool = ScriptedTool(takes_s=0.3)
    async with scene_with(tool, [ASK], ["It has left."]) as scene:
        await scene.leg.speak("where is my order")
        while not tool.began:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.01)
        await scene.leg.speak("number seven")
        await scene.wait_for(ReplyFinished)
        assert scene.all(TurnReopened)
        assert tool.began == 1
        assert scene.history == (
            Message("assistant", "", tool_calls=(ASK,)),
            Message("tool", "shipped", tool_call_id="c1"),
            Message("user", "where is my order number seven"),
        )


@in_virtual_time
async def test_hanging_up_ends_the_tool() -> None:
    tool = ScriptedTool(takes_s=9.0)
    async with scene_with(tool, [ASK], ANSWER) as scene:
        await scene.leg.speak("where is my order")
        await scene.wait_for(ReplyStarted)
    assert tool.cancelled == 1


@in_virtual_time
async def test_the_caller_is_put_through_once_he_has_heard_so() -> None:
    transfer = ToolCall("transfer", {"target": "front desk"}, "t1")
    async with scene_with(ScriptedTool(), ["I put you through.", transfer]) as scene:
        await scene.leg.speak("a person please")
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == "I put you through."
        assert scene.control.done == [("transfer", "sip:200@pbx.example")]
        assert len(scene.llm.asked) == 1
        heard_s = len("I put you through.") / 20
        used = scene.all(ToolUsed)[0]
        assert used.ended_at - used.started_at == pytest.approx(heard_s + 0.1 + 2.0, abs=0.3)


@in_virtual_time
async def test_nobody_else_can_be_put_through_to() -> None:
    transfer = ToolCall("transfer", {"target": "sip:evil@example.net"}, "t1")
    async with scene_with(ScriptedTool(), [transfer], ["I cannot do that."]) as scene:
        await scene.leg.speak("a person please")
        assert (await scene.wait_for(ReplyFinished)).text == "I cannot do that."
        assert scene.control.done == []


@in_virtual_time
async def test_a_transfer_that_fails_is_told_to_the_model() -> None:
    transfer = ToolCall("transfer", {"target": "front desk"}, "t1")
    async with scene_with(ScriptedTool(), ["I put you through.", transfer], ["Nobody answers."]) as scene:
        scene.control.refuses = "nobody answered"
        await scene.leg.speak("a person please")
        assert (await scene.wait_for(ReplyFinished)).text == "I put you through. Nobody answers."


@in_virtual_time
async def test_hanging_up_waits_for_the_other_tools_and_for_the_last_word() -> None:
    tool = ScriptedTool(takes_s=1.0)
    async with scene_with(tool, ["Noted. Goodbye.", ASK, ToolCall("hang_up", {}, "h1")]) as scene:
        await scene.leg.speak("that is all")
        assert (await scene.wait_for(HangUpRequested)).reason == "goodbye"
        assert [used.outcome for used in scene.all(ToolUsed)] == ["ok"]
        assert len(scene.llm.asked) == 1


@in_virtual_time
async def test_when_another_tool_fails_the_call_is_not_ended() -> None:
    tool = ScriptedTool(fault=ToolFailed("the calendar is full"))
    async with scene_with(tool, [ASK, ToolCall("hang_up", {}, "h1")], ["There is no room."]) as scene:
        await scene.leg.speak("book it and goodbye")
        assert (await scene.wait_for(ReplyFinished)).text == "There is no room."
        assert scene.end_reason is None
        assert tool_messages(scene)[-1].startswith("Not done")


@in_virtual_time
async def test_the_next_keys_are_secret_and_only_those() -> None:
    collect = ToolCall("collect_digits", {"secret": True, "length": 4}, "k1")
    async with scene_with(ScriptedTool(), [collect], ["Your PIN please."], ["Thank you."]) as scene:
        await scene.leg.speak("let me in")
        await scene.wait_for(ReplyFinished)
        for digit in "1234":  # as many as were asked for: nothing more is waited for
            scene.session.dtmf(digit)
        await scene.wait_for(ReplyFinished, 2)
        assert scene.history[-1] == Message("user", "[pressed ****]")
        assert scene.session.take_secret_keys() == "1234"
        scene.session.dtmf("5")
        scene.session.dtmf("#")
        await scene.wait_for(ReplyFinished, 3)
        assert scene.history[-1] == Message("user", "[pressed 5]")


@in_virtual_time
async def test_secret_keys_stay_secret_when_the_caller_talks_or_hesitates_in_between() -> None:
    collect = ToolCall("collect_digits", {"secret": True, "length": 4}, "k1")
    scripts: list[list[Step]] = [[collect], ["Your PIN please."], ["Take your time."], ["Go on."], ["Thank you."]]
    async with scene_with(ScriptedTool(), *scripts) as scene:
        await scene.leg.speak("let me in")
        await scene.wait_for(ReplyFinished)
        await scene.leg.speak("just a second please")
        await scene.wait_for(ReplyFinished, 2)
        assert scene.session.keeps_keys_secret
        for digit in "12":
            scene.session.dtmf(digit)
        await scene.wait_for(ReplyFinished, 3)
        assert scene.session.keeps_keys_secret
        for digit in "34":
            scene.session.dtmf(digit)
        await scene.wait_for(ReplyFinished, 4)
        assert not scene.session.keeps_keys_secret
        assert scene.session.take_secret_keys() == "1234"
        assert "1" not in str([message.text for message in scene.history if message.role == "user"])


@in_virtual_time
async def test_keys_that_are_collected_openly_are_not_secret_any_more() -> None:
    secretly = ToolCall("collect_digits", {"secret": True, "length": 4}, "k1")
    openly = ToolCall("collect_digits", {"length": 1}, "k2")
    async with scene_with(ScriptedTool(), [secretly], ["PIN."], [openly], ["Press one."], ["Good."]) as scene:
        await scene.leg.speak("let me in")
        await scene.wait_for(ReplyFinished)
        await scene.leg.speak("i have none can i press one")
        await scene.wait_for(ReplyFinished, 2)
        scene.session.dtmf("1")
        await scene.wait_for(ReplyFinished, 3)
        assert scene.history[-2] == Message("user", "[pressed 1]") or scene.history[-1].text == "[pressed 1]"
