# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation that is opened while the call rings."""

import asyncio
from dataclasses import replace

from agent.early_talk import EarlyTalk
from agent.errors import ServiceUnavailable
from agent.services.realtime import AnswerBegun, AnswerEnded, TalkLost, TalkNews, TalkOrder
from tests.fakes.talk import ScriptedTalk
from tests.fakes.virtual_time import in_virtual_time

ORDER = TalkOrder(8000, "Be brief.", opening="Hello.")


async def never() -> None:
    await asyncio.Event().wait()


@in_virtual_time
async def test_whoever_opens_the_same_gets_it_with_what_was_said_in_it() -> None:
    talk, news = ScriptedTalk(), list[TalkNews]()
    early = EarlyTalk(talk, ORDER)
    holding = asyncio.ensure_future(early.hold(never))
    await asyncio.sleep(1)
    talk.news(AnswerBegun("a1"))
    stream = await early.open(ORDER, news.append)
    assert news == [], "he has the stream before its news"
    talk.news(AnswerEnded("a1"))
    await holding
    assert stream is talk
    assert news == [AnswerBegun("a1"), AnswerEnded("a1")]
    assert (talk.said, len(talk.orders), talk.is_closed) == (["Hello."], 1, False)


@in_virtual_time
async def test_whoever_wants_another_one_opens_it_and_the_early_one_is_closed() -> None:
    talk = ScriptedTalk()
    early = EarlyTalk(talk, ORDER)
    holding = asyncio.ensure_future(early.hold(never))
    await asyncio.sleep(1)
    other = replace(ORDER, sample_rate_hz=16_000)
    await early.open(other, lambda _: None)
    await holding
    assert talk.orders == [ORDER, other]
    assert talk.is_closed


@in_virtual_time
async def test_one_that_was_lost_meanwhile_is_not_taken() -> None:
    talk = ScriptedTalk()
    early = EarlyTalk(talk, ORDER)
    holding = asyncio.ensure_future(early.hold(never))
    await asyncio.sleep(1)
    talk.news(TalkLost(ServiceUnavailable("voice", "was lost")))
    await early.open(ORDER, lambda _: None)
    await holding
    assert len(talk.orders) == 2


@in_virtual_time
async def test_it_is_closed_when_the_call_is_over() -> None:
    talk = ScriptedTalk()
    over = asyncio.Event()
    holding = asyncio.ensure_future(EarlyTalk(talk, ORDER).hold(over.wait))
    await asyncio.sleep(1)
    over.set()
    await holding
    assert talk.is_closed


@in_virtual_time
async def test_a_service_that_is_not_there_is_asked_again_by_whoever_needs_it() -> None:
    talk = ScriptedTalk(fails=ServiceUnavailable("voice", "is down"))
    early = EarlyTalk(talk, ORDER)
    await early.hold(never)
    talk.fails = None
    await early.open(ORDER, lambda _: None)
    assert talk.orders == [ORDER]
