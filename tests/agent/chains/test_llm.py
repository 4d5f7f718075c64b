# SPDX-License-Identifier: GPL-3.0-or-later
"""Language models behind each other."""

import asyncio
from contextlib import aclosing

import pytest

from agent.chains.events import BreakerChanged, ChainEvent, Failed, FellBack, Hedged
from agent.chains.llm import LanguageModelChain
from agent.chains.member import Member
from agent.clients.limits import Limits
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.llm import Conversation, LanguageModel, Message, Pause, ReplyEvent, Silence, TextDelta, ToolCall
from tests.agent.chains.chain import gone, members
from tests.fakes.services import STALL, ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time

ASKED = Conversation((Message("system", "Be kind."), Message("user", "When are you open?")))


def chain(
    *models: LanguageModel,
    events: list[ChainEvent] | None = None,
    hedge_after_ms: int = 0,
    limits: Limits | None = None,
) -> LanguageModelChain:
    events = [] if events is None else events
    made = members("llm", *models, events=events, limits=limits)
    return LanguageModelChain("brains", made, hedge_after_ms=hedge_after_ms, on_event=events.append)


async def answer(model: LanguageModel) -> list[ReplyEvent]:
    return [event async for event in model.reply(ASKED)]


def text_of(events: list[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@in_virtual_time
async def test_the_first_answers_and_the_second_is_not_asked() -> None:
    first, second = ScriptedLlm([0.2, "From nine ", 0.1, "to five."]), ScriptedLlm()
    events: list[ChainEvent] = []
    assert text_of(await answer(chain(first, second, events=events))) == "From nine to five."
    assert first.asked == [ASKED]
    assert second.asked == []
    assert events == []


@in_virtual_time
async def test_the_second_answers_the_same_when_the_first_fails_before_a_word() -> None:
    first, second = ScriptedLlm([0.1, gone()]), ScriptedLlm(["From nine to five."])
    events: list[ChainEvent] = []
    assert text_of(await answer(chain(first, second, events=events))) == "From nine to five."
    assert second.asked == [ASKED]
    assert events == [Failed("first", "llm", "unavailable"), FellBack("brains", "llm", "second")]


@in_virtual_time
async def test_the_second_is_told_what_was_said_and_goes_on_from_there() -> None:
    first = ScriptedLlm(["We are open", " from nine", " to fi", 0.1, gone()])
    second = ScriptedLlm([0.1, "five", " o'clock."])
    assert text_of(await answer(chain(first, second))) == "We are open from nine to five o'clock."
    (told,) = second.asked
    assert told.messages[:2] == ASKED.messages
    assert told.messages[2] == Message("assistant", "We are open from nine to")
    assert told.messages[3].role == "user"
    assert "do not repeat" in told.messages[3].text


@in_virtual_time
async def test_a_second_that_begins_again_is_heard_from_where_the_first_fell_silent() -> None:
    first = ScriptedLlm(["We are open. ", "Come by ", 0.1, gone()])
    second = ScriptedLlm([0.1, "We are open. Come ", "by at nine."])
    assert text_of(await answer(chain(first, second))) == "We are open. Come by at nine."


@in_virtual_time
async def test_a_brain_that_cannot_go_on_begins_a_sentence_of_its_own() -> None:
    first, second = ScriptedLlm(["We are open ", gone()]), ScriptedLlm(["The hours are nine to five."])
    clock = asyncio.get_running_loop().time
    made: list[Member[LanguageModel]] = [
        Member("first", "llm", first, clock=clock),
        Member("second", "llm", second, continues=False, clock=clock),
    ]
    events = await answer(LanguageModelChain("brains", made))
    assert text_of(events) == "We are open The hours are nine to five."
    assert events[:2] == [TextDelta("We are open "), Pause()]
    assert second.asked == [ASKED]


@in_virtual_time
async def test_three_go_on_one_after_the_other() -> None:
    first, second = ScriptedLlm(["One, ", gone()]), ScriptedLlm(["two, ", gone("second")])
    third = ScriptedLlm(["three."])
    assert text_of(await answer(chain(first, second, third))) == "One, two, three."
    assert third.asked[0].messages[2].text == "One, two,"


@in_virtual_time
async def test_what_the_first_wanted_done_before_it_failed_is_wanted_by_the_second_alone() -> None:
    book = ToolCall("book", {"day": "Monday"}, "call-1")
    again = ToolCall("book", {"day": "Monday"}, "call-2")
    first, second = ScriptedLlm(["I book that. ", book, gone()]), ScriptedLlm([again])
    events = await answer(chain(first, second))
    assert [event for event in events if isinstance(event, ToolCall)] == [again]


@in_virtual_time
async def test_a_hedge_never_brings_two_tool_calls_for_one() -> None:
    first = ScriptedLlm([0.6, ToolCall("book", {}, "a")])
    second = ScriptedLlm([0.15, ToolCall("book", {}, "b")])
    events = await answer(chain(first, second, hedge_after_ms=500))
    assert events == [ToolCall("book", {}, "a")]


@in_virtual_time
async def test_when_the_first_is_late_the_second_is_asked_as_well_and_the_first_to_answer_counts() -> None:
    first, second = ScriptedLlm([STALL]), ScriptedLlm([0.2, "From nine."])
    events: list[ChainEvent] = []
    began_at = asyncio.get_running_loop().time()
    assert text_of(await answer(chain(first, second, events=events, hedge_after_ms=400))) == "From nine."
    assert asyncio.get_running_loop().time() - began_at == pytest.approx(0.6)
    assert first.cancelled == 1
    assert Hedged("brains", "llm", "second", won=True) in events
    assert Failed("first", "llm", "late") in events


@in_virtual_time
async def test_a_first_that_was_late_and_still_faster_counts_and_the_second_is_cancelled() -> None:
    first, second = ScriptedLlm([0.5, "Nine ", "to five."]), ScriptedLlm([0.5, "From nine."])
    events: list[ChainEvent] = []
    assert text_of(await answer(chain(first, second, events=events, hedge_after_ms=400))) == "Nine to five."
    assert second.cancelled == 1
    assert events == [Hedged("brains", "llm", "second", won=False)]


@in_virtual_time
async def test_a_first_that_stalls_in_mid_sentence_is_overtaken_there() -> None:
    first, second = ScriptedLlm(["We are open ", STALL]), ScriptedLlm([0.2, "from nine."])
    began_at = asyncio.get_running_loop().time()
    assert text_of(await answer(chain(first, second, hedge_after_ms=400))) == "We are open from nine."
    assert asyncio.get_running_loop().time() - began_at == pytest.approx(0.6)


@in_virtual_time
async def test_a_second_that_lost_once_may_be_asked_again_later_in_the_answer() -> None:
    first = ScriptedLlm([0.5, "We are open ", STALL])
    second = ScriptedLlm([0.5, "From nine."], [0.1, "from nine."])
    assert text_of(await answer(chain(first, second, hedge_after_ms=400))) == "We are open from nine."
    assert len(second.asked) == 2


@in_virtual_time
async def test_without_a_time_to_hedge_a_stall_is_noticed_all_the_same() -> None:
    began_at = asyncio.get_running_loop().time()
    assert text_of(await answer(chain(ScriptedLlm([STALL]), ScriptedLlm(["Nine."])))) == "Nine."
    assert asyncio.get_running_loop().time() - began_at == pytest.approx(2.0)


@in_virtual_time
async def test_a_reader_who_takes_his_time_makes_nobody_late() -> None:
    first, second = ScriptedLlm(["One. ", "Two. ", 0.1, "Three."]), ScriptedLlm()
    heard = ""
    async with aclosing(chain(first, second, hedge_after_ms=300).reply(ASKED)) as events:
        async for event in events:
            heard += event.text if isinstance(event, TextDelta) else ""
            await asyncio.sleep(5)
    assert heard == "One. Two. Three."
    assert second.asked == []


@in_virtual_time
async def test_an_answer_without_anything_is_the_next_ones_to_give() -> None:
    assert text_of(await answer(chain(ScriptedLlm([0.1]), ScriptedLlm(["Nine."])))) == "Nine."


@in_virtual_time
async def test_silence_is_an_answer() -> None:
    second = ScriptedLlm()
    assert await answer(chain(ScriptedLlm([Silence()]), second)) == [Silence()]
    assert second.asked == []


@in_virtual_time
async def test_when_nobody_is_left_the_failure_is_told() -> None:
    with pytest.raises(ServiceUnavailable, match="first: the connection failed"):
        await answer(chain(ScriptedLlm([gone()]), ScriptedLlm([ServiceRejected("second", "answers 401")])))


@in_virtual_time
async def test_what_a_client_did_not_map_is_its_services_failure() -> None:
    class Broken:
        async def reply(self, conversation: Conversation) -> "object":
            raise KeyError("x")
            yield

        async def aclose(self) -> None: ...

    assert text_of(await answer(chain(Broken(), ScriptedLlm(["Nine."])))) == "Nine."  # type: ignore[arg-type]


@in_virtual_time
async def test_a_service_that_has_failed_three_times_is_not_asked_until_it_has_rested() -> None:
    first = ScriptedLlm([gone()], [gone()], [gone()], ["I am back."])
    second = ScriptedLlm(["Nine."])
    events: list[ChainEvent] = []
    tested = chain(first, second, events=events)
    for _ in range(5):
        assert text_of(await answer(tested)) == "Nine."
    assert len(first.asked) == 3
    assert events.count(Failed("first", "llm", "resting")) == 2
    await asyncio.sleep(2.0)
    assert text_of(await answer(tested)) == "I am back."
    changes = [event.state.value for event in events if isinstance(event, BreakerChanged)]
    assert changes == ["open", "probing", "closed"]


@in_virtual_time
async def test_one_that_is_always_overtaken_is_not_asked_for_a_while_either() -> None:
    first, second = ScriptedLlm([STALL]), ScriptedLlm(["Nine."])
    tested = chain(first, second, hedge_after_ms=300)
    for _ in range(5):
        await answer(tested)
    assert len(first.asked) == 3


@in_virtual_time
async def test_refusals_are_no_reason_to_leave_a_service_alone() -> None:
    first = ScriptedLlm([ServiceRejected("first", "withholds its answer")])
    tested = chain(first, ScriptedLlm(["Nine."]))
    for _ in range(5):
        assert text_of(await answer(tested)) == "Nine."
    assert len(first.asked) == 5


@in_virtual_time
async def test_a_full_service_is_passed_over_at_once_and_its_place_given_back() -> None:
    first, second = ScriptedLlm([0.5, "I am first."]), ScriptedLlm(["Nine."])
    limits = Limits(max_concurrent=1)
    events: list[ChainEvent] = []
    tested = chain(first, second, events=events, limits=limits)
    both = await asyncio.gather(answer(tested), answer(tested))
    assert [text_of(one) for one in both] == ["I am first.", "Nine."]
    assert Failed("first", "llm", "full") in events
    assert limits.concurrent == 0


@in_virtual_time
async def test_who_stops_listening_cancels_everybody_and_frees_their_places() -> None:
    first, second = ScriptedLlm([1.0, "x"]), ScriptedLlm([1.0, "y"])
    limits = Limits(max_concurrent=1)
    tested = chain(first, second, hedge_after_ms=300, limits=limits)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await answer(tested)
    assert (first.cancelled, second.cancelled, limits.concurrent) == (1, 1, 0)


@in_virtual_time
async def test_a_chain_of_one_is_that_service() -> None:
    assert text_of(await answer(chain(ScriptedLlm(["Nine ", 3.0, "to five."])))) == "Nine to five."
    with pytest.raises(ServiceError):
        await answer(chain(ScriptedLlm([gone()])))


@in_virtual_time
async def test_one_that_was_overtaken_may_overtake_in_its_turn() -> None:
    first, second = ScriptedLlm([STALL], [0.1, "to five."]), ScriptedLlm(["From nine ", STALL])
    assert text_of(await answer(chain(first, second, hedge_after_ms=400))) == "From nine to five."


@in_virtual_time
async def test_whoever_lost_is_cancelled_at_once_and_not_at_the_end() -> None:
    first, second = ScriptedLlm([STALL]), ScriptedLlm([0.1, "From ", 0.2, "nine ", 0.2, "to five."])
    async with aclosing(chain(first, second, hedge_after_ms=300).reply(ASKED)) as events:
        await anext(events)
        await anext(events)
        assert first.cancelled == 1


@in_virtual_time
async def test_a_long_answer_that_was_read_slowly_is_not_late_when_it_goes_on() -> None:
    first = ScriptedLlm([*(f"word {number} " for number in range(100)), 0.2, "end."])
    second = ScriptedLlm()
    async with aclosing(chain(first, second, hedge_after_ms=300).reply(ASKED)) as events:
        await anext(events)
        await asyncio.sleep(5)  # it has read ahead as much as it may, and waits for us
        heard = [event async for event in events]
    assert text_of(heard).endswith("word 99 end.")
    assert second.asked == []


@in_virtual_time
async def test_a_caller_who_breaks_in_during_the_probe_leaves_it_for_the_next_or_ends_the_rest() -> None:
    first = ScriptedLlm([gone()], [gone()], [gone()], [STALL], ["I am ", STALL], ["Back."])
    tested = chain(first)
    for _ in range(3):
        with pytest.raises(ServiceError):
            await answer(tested)
    await asyncio.sleep(2.0)
    for _ in range(2):  # nothing was heard of it the first time, something the second
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await answer(tested)
    assert text_of(await answer(tested)) == "Back."
