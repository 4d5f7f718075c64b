# SPDX-License-Identifier: GPL-3.0-or-later
"""What every language model's client does, whoever the vendor: against the vendor's simulator, over a real socket.

class TestContract(LlmContract):
    vendor = Vendor(...)
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from agent.clients.hosted_llm import HostedLlm
from agent.clients.llm_dialect import Usage
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.llm import ContextNote, Conversation, Message, ReplyEvent, TextDelta, ToolCall, ToolSpec
from tests.simulators.answer_server import (
    Answer,
    AnswerServer,
    Call,
    Disconnect,
    EndOfBody,
    Fault,
    Finish,
    Ping,
    Raw,
    Refuse,
    Say,
    Step,
    Think,
    Wait,
    event,
    script,
)

HELLO = Conversation((Message("system", "Be brief."), Message("user", "Hello?")))
ORDER = ToolSpec("get_order", "Finds an order.", {"type": "object", "properties": {"id": {"type": "integer"}}})
HANG_UP = ToolSpec("hang_up", "Ends the call.", {"type": "object", "properties": {}})
TALK = Conversation(
    (
        Message("system", "Be brief."),
        Message("assistant", "Good morning, what can I do for you?"),
        Message("user", "Where is my order?"),
        Message("assistant", "I will look."),
        Message("assistant", "", tool_calls=(ToolCall("get_order", {"id": 7}, "call.1"),)),
        Message("tool", "shipped on Monday", tool_call_id="call.1"),
        Message("assistant", "It was", interrupted=True),
        Message("user", "And the other one?"),
    ),
    notes=(ContextNote("orders.md:3", "Orders ship within two days."),),
    tools=(ORDER, HANG_UP),
)


@dataclass(frozen=True)
class Vendor:
    """What the suite has to know of one."""

    client: Callable[..., HostedLlm]
    """(settings, on_usage=...)"""
    server: type[AnswerServer]
    says: Callable[[str], object]
    """The event by which these words come."""
    withheld: str
    """How its answers end that are withheld."""
    cut_short: str
    """And those that are longer than allowed."""
    has_pieces: bool = True
    """Tool calls come in pieces, whose text may be anything."""
    prompt_tokens: int = 100
    """That its simulator counts; 64 of them cached."""
    has_done: bool = True
    """The end of an answer is an event of its own."""


class LlmContract:
    vendor: ClassVar[Vendor]

    def client(self, server: AnswerServer, **settings: Any) -> HostedLlm:
        return self.vendor.client(ServiceSettings(**{"name": "brain", "model": "tiny", "url": server.url, **settings}))

    @asynccontextmanager
    async def serving(
        self, answer: Answer | None = None, *, split: int = 0, usage: bool = True, api_key: str = "", **settings: Any
    ) -> AsyncGenerator[tuple[AnswerServer, HostedLlm]]:
        async with AsyncExitStack() as stack:
            server = self.vendor.server(answer, split=split, usage=usage, api_key=api_key)
            await stack.enter_async_context(server)
            llm = self.client(server, **settings)
            stack.push_async_callback(llm.aclose)
            yield server, llm

    async def asked(self, *steps: Step, split: int = 0, **settings: Any) -> list[ReplyEvent]:
        async with self.serving(script(steps), split=split, **settings) as (_, llm):
            return await answer_of(llm)

    async def test_words_come_one_after_the_other(self) -> None:
        events = await self.asked(Say("We are open from nine to five."))
        assert len(events) > 3
        assert text_of(events) == "We are open from nine to five."

    async def test_the_first_word_does_not_wait_for_the_second(self) -> None:
        async with (
            self.serving(script([Say("Well, yes.", every_s=60)])) as (_, llm),
            asyncio.timeout(10),
            aclosing(llm.reply(HELLO)) as events,
        ):
            assert await anext(events) == TextDelta("Well,")

    @pytest.mark.parametrize("split", [1, 3, 17])
    async def test_the_answer_is_the_same_however_the_bytes_are_cut(self, split: int) -> None:
        events = await self.asked(Say("Größe: 42 €, 😀."), Call("get_order", {"id": 7, "note": "ü"}, "c1"), split=split)
        assert text_of(events) == "Größe: 42 €, 😀."
        assert calls_of(events) == [("get_order", {"id": 7, "note": "ü"}, "c1", "")]

    async def test_several_tool_calls_are_handed_on_whole_and_in_order_behind_the_words(self) -> None:
        events = await self.asked(
            Say("One moment."), Call("get_order", {"id": 1}, "a", piece=1), Call("get_order", {"id": 2}, "b"), Ping()
        )
        assert [type(one) for one in events] == [TextDelta, TextDelta, ToolCall, ToolCall]
        assert calls_of(events) == [("get_order", {"id": 1}, "a", ""), ("get_order", {"id": 2}, "b", "")]

    @pytest.mark.parametrize("arguments", ["", "{}"])
    async def test_a_tool_may_be_called_without_arguments(self, arguments: str) -> None:
        assert calls_of(await self.asked(Call("hang_up", arguments, "b"))) == [("hang_up", {}, "b", "")]

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ("[1]", "no JSON object"),
            ('{"a":' * 400 + "1" + "}" * 400, "nested too deeply"),
            ('{"a": NaN}', "no JSON"),
            ('{"a": -Infinity}', "no JSON"),
            ('{"id": 1', "no JSON"),
            ("[" * 60_000, "no JSON"),
        ],
        ids=["list", "deep", "not a number", "infinite", "unfinished", "endless"],
    )
    async def test_arguments_that_could_not_be_sent_on_are_a_problem_of_the_tool(
        self, arguments: str, problem: str
    ) -> None:
        if not self.vendor.has_pieces and not arguments.endswith(("]", "}")):
            with pytest.raises(ServiceUnavailable, match="no JSON"):  # the arguments are part of the event
                await self.asked(Call("get_order", arguments))
            return
        ((_, found, _, told),) = calls_of(await self.asked(Call("get_order", arguments, "a", piece=10_000)))
        assert problem in told
        assert found == {}

    async def test_half_characters_are_neither_heard_nor_passed_on(self) -> None:
        half = json.dumps(self.vendor.says("a\ud83d b"))  # as an escape: it can be sent
        events = await self.asked(Raw(f"data: {half}\n\n".encode()), Call("get_order", '{"id": "\\ud83d"}', "c"))
        assert text_of(events) == "a? b"
        assert calls_of(events) == [("get_order", {"id": "?"}, "c", "")]

    async def test_half_characters_are_not_sent(self) -> None:
        conversation = Conversation((Message("user", "Hello?"),), notes=(ContextNote("crm", "half: \ud83d"),))
        async with self.serving() as (server, llm):
            assert text_of(await answer_of(llm, conversation)) == "Certainly."
            assert "half: ?" in texts_in(server.requests[0].body)[-1]

    async def test_what_was_thought_is_not_said(self) -> None:
        assert text_of(await self.asked(Think("Who is that?"), Say("Good morning."))) == "Good morning."

    async def test_signs_of_life_and_what_nobody_knows_yet_mean_nothing(self) -> None:
        unknown = event({"type": "news_of_next_year", "brings": [{"type": 7}]}, "news_of_next_year")
        steps: list[Step] = [Ping(), Raw(unknown), Say("Good"), Raw(b": comment\n\n"), Ping(), Say(" morning.")]
        assert text_of(await self.asked(*steps)) == "Good morning."

    async def test_usage_is_told(self) -> None:
        told: list[Usage] = []
        async with self.vendor.server(script([Say("One two three.")])) as server:
            llm = self.vendor.client(ServiceSettings("brain", "tiny", server.url), on_usage=told.append)
            await answer_of(llm)
            await llm.aclose()
        assert told == [Usage(self.vendor.prompt_tokens, 3, 64)]

    async def test_an_answer_without_usage_is_one(self) -> None:
        async with self.serving(usage=False) as (_, llm):
            assert text_of(await answer_of(llm)) == "Certainly."

    async def test_an_answer_without_words_is_no_failure(self) -> None:
        assert await self.asked() == []

    async def test_an_answer_that_was_cut_short_is_heard_as_far_as_it_goes(self) -> None:
        assert text_of(await self.asked(Say("We are open"), Finish(self.vendor.cut_short))) == "We are open"

    async def test_an_answer_that_is_withheld_is_a_rejection(self) -> None:
        with pytest.raises(ServiceRejected, match=f"withholds its answer \\({self.vendor.withheld}\\)"):
            await self.asked(Say("Well,"), Finish(self.vendor.withheld))

    async def test_the_key_is_sent(self) -> None:
        async with self.serving(api_key="k3y") as (server, llm):
            with pytest.raises(ServiceRejected, match="answers 401"):
                await answer_of(llm)
            good = self.client(server, api_key="k3y", headers={"X-Team": "red"})
            assert text_of(await answer_of(good)) == "Certainly."
            assert server.requests[0].headers["x-team"] == "red"
            await good.aclose()

    async def test_a_bad_key_does_not_disturb_the_warming(self) -> None:
        async with self.serving(api_key="k3y") as (_, llm):
            await llm.warm()

    @pytest.mark.parametrize(
        ("status", "fault"),
        [
            (400, ServiceRejected),
            (403, ServiceRejected),
            (404, ServiceRejected),
            (408, ServiceUnavailable),
            (429, ServiceUnavailable),
            (500, ServiceUnavailable),
            (503, ServiceUnavailable),
            (529, ServiceUnavailable),
        ],
    )
    async def test_a_refusal_says_whether_to_ask_again(self, status: int, fault: type[ServiceError]) -> None:
        with pytest.raises(fault) as caught:
            await self.asked(Refuse(status))
        assert caught.value.detail.startswith(f"answers {status}")
        assert "no, and here is why" not in caught.value.detail
        assert caught.value.service == "brain"

    async def test_a_service_that_wants_to_be_left_alone_says_how_long(self) -> None:
        with pytest.raises(ServiceUnavailable) as caught:
            await self.asked(Refuse(429, headers={"Retry-After": "7"}))
        assert caught.value.retry_after_s == 7
        with pytest.raises(ServiceUnavailable) as caught:
            await self.asked(Refuse(503, headers={"Retry-After": "soon"}))
        assert caught.value.retry_after_s is None

    @pytest.mark.parametrize(
        ("step", "detail"),
        [
            (Fault(), "broke off"),
            (Raw(b"data: <html>\n\n"), "sent something that is no JSON"),
            (Raw(b"data: " + b"[" * 100_000 + b"\n\n"), "sent something that is no JSON"),
            (Raw(b"data: 7\n\n"), "sent something that is no chunk of an answer"),
            (Disconnect(), "the connection failed"),
            (EndOfBody(), "broke off in the middle"),
        ],
        ids=["error", "html", "nested", "number", "disconnect", "end"],
    )
    async def test_what_goes_wrong_in_the_middle_is_worth_another_try(self, step: Step, detail: str) -> None:
        async with self.serving(script([Say("Well,"), step])) as (server, llm):
            with pytest.raises(ServiceUnavailable) as caught:
                await answer_of(llm)
            assert caught.value.detail.startswith(detail)
            assert len(server.requests) == 1, "what was said would be said twice"

    @pytest.mark.parametrize("end", [Disconnect(), EndOfBody()], ids=["disconnect", "end"])
    async def test_closed_at_any_point_it_fails_unless_all_was_said(self, end: Disconnect | EndOfBody) -> None:
        steps = script([Say("Well, yes."), Call("get_order", {"id": 7}, "c1")])
        failed = whole = 0
        async with self.serving(steps) as (server, llm):
            everything = await answer_of(llm)
            for pieces in range(40):
                server.cut = (pieces, end)
                try:
                    assert await answer_of(llm) == everything
                    whole += 1
                except ServiceUnavailable:
                    failed += 1
        assert failed > 3
        assert whole > 3

    async def test_silence_longer_than_the_timeout_is_a_failure(self) -> None:
        with pytest.raises(ServiceUnavailable, match="took too long"):
            await self.asked(Say("Well,"), Wait(30), timeout_s=0.2)

    async def test_nobody_listening_is_a_failure_worth_another_try(self) -> None:
        llm = self.vendor.client(ServiceSettings("brain", "tiny", "http://127.0.0.1:9"))
        with pytest.raises(ServiceUnavailable):
            await answer_of(llm)
        await llm.warm()
        await llm.aclose()

    async def test_closing_the_iterator_closes_the_connection(self) -> None:
        async with self.serving(script([Say("Well,"), Wait(60)])) as (server, llm):
            async with aclosing(llm.reply(HELLO)) as events:
                assert await anext(events) == TextDelta("Well,")
            await until(lambda: server.cancelled)

    async def test_cancelling_while_nothing_came_closes_the_connection_too(self) -> None:
        async with self.serving(script([Wait(60)])) as (server, llm):
            asking = asyncio.create_task(answer_of(llm))
            await until(lambda: server.requests)
            asking.cancel()
            await until(lambda: server.cancelled)

    async def test_connections_are_kept_and_warmed(self) -> None:
        async with self.serving() as (server, llm):
            await llm.warm()
            await llm.warm()
            for _ in range(3):
                await answer_of(llm)
            assert server.requests[0].connection == 1, "the one that was warm"
            assert server.connections <= 2, "and one to spare"
            assert len(server.others) == server.connections

    async def test_a_connection_that_was_closed_meanwhile_is_replaced_unnoticed(self) -> None:
        async with self.serving() as (server, llm):
            await answer_of(llm)
            server.drop_connections()
            assert text_of(await answer_of(llm)) == "Certainly."

    async def test_a_connection_that_is_lost_before_a_word_came_is_replaced_once(self) -> None:
        async with self.serving(script([Disconnect()], [Say("Certainly.")], [Disconnect()])) as (server, llm):
            assert text_of(await answer_of(llm)) == "Certainly."
            assert len(server.requests) == 2
            with pytest.raises(ServiceUnavailable, match="the connection failed"):
                await answer_of(llm)
            assert len(server.requests) == 4

    async def test_answers_at_the_same_time_do_not_mix(self) -> None:
        def echo(request: Any) -> list[Step]:
            return [Say(texts_in(request.body)[-1])]

        said = [f"This is number {number}." for number in range(20)]
        async with self.serving(echo) as (_, llm):
            conversations = [Conversation((Message("user", text),)) for text in said]
            answers = await asyncio.gather(*(answer_of(llm, one) for one in conversations))
        assert [text_of(events) for events in answers] == said

    async def test_a_conversation_with_everything_in_it_is_accepted_and_complete(self) -> None:
        async with self.serving() as (server, llm):
            assert text_of(await answer_of(llm, TALK)) == "Certainly."
            sent = server.requests[0].body
        told = "\n".join(texts_in(sent))
        expected = [
            "Good morning, what",
            "Where is my order?",
            "I will look.",
            "shipped on Monday",
            "It was —",
            "And the",
        ]
        places = [told.index(text) for text in (*expected, "(orders.md:3) Orders ship within two days.")]
        assert places == sorted(places)
        assert "Be brief." in told
        assert "get_order" in json.dumps(sent)

    async def test_an_answer_may_be_wanted_behind_our_own_words(self) -> None:
        """Those that fill the time of a tool, which stand behind its result."""
        waited = Conversation((*TALK.messages[1:6], Message("assistant", "One moment, please.")), tools=(ORDER,))
        async with self.serving() as (_, llm):
            assert text_of(await answer_of(llm, waited)) == "Certainly."

    async def test_half_of_a_tool_call_is_left_out(self) -> None:
        orphans = Conversation(
            (
                Message("tool", "old result", tool_call_id="gone"),
                Message("user", "Hello?"),
                Message("assistant", "", tool_calls=(ToolCall("get_order", {"id": 12345}, "never"),)),
            )
        )
        async with self.serving() as (server, llm):
            assert text_of(await answer_of(llm, orphans)) == "Certainly."
            sent = json.dumps(server.requests[0].body)
        assert "old result" not in sent
        assert "12345" not in sent

    async def test_settings_reach_the_service_and_extra_comes_last(self) -> None:
        async with self.serving(temperature=0.25, max_tokens=99, extra={"seed": 1, "model": "large"}) as (server, llm):
            await answer_of(llm)
            sent = server.requests[0].body
        assert {"seed": 1, "model": "large"}.items() <= sent.items()
        assert 0.25 in numbers_in(sent)
        assert 99 in numbers_in(sent)


async def answer_of(llm: HostedLlm, conversation: Conversation = HELLO) -> list[ReplyEvent]:
    return [one async for one in llm.reply(conversation)]


def text_of(events: Sequence[ReplyEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, TextDelta))


def calls_of(events: Sequence[ReplyEvent]) -> list[tuple[str, Mapping[str, object], str, str]]:
    """Name, arguments, id and problem of each."""
    return [(one.name, one.arguments, one.call_id, one.problem) for one in events if isinstance(one, ToolCall)]


def texts_in(value: object) -> list[str]:
    """Every text of a request that is content, in order."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in texts_in(one)]
    keys = ("systemInstruction", "instructions", "system", "contents", "messages", "input", "parts", "content")
    more = ("functionResponse", "response", "result", "output", "text")
    return [text for key in (*keys, *more) if isinstance(value, dict) and key in value for text in texts_in(value[key])]


def numbers_in(value: object) -> set[float]:
    if isinstance(value, dict | list):
        return {one for part in (value.values() if isinstance(value, dict) else value) for one in numbers_in(part)}
    return {value} if isinstance(value, int | float) else set()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
