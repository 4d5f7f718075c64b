# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets that look on, in hostile numbers, sizes and manners."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.api import events as events_module
from gateway.api.onlookers import Onlookers
from gateway.errors import TooManyOnlookers
from tests.gateway.test_api_events import Feeds, feeds_in, numbers, started

_MOST = 5


@pytest.fixture
async def feeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Feeds]:
    monkeypatch.setattr(events_module, "_MOST_FEEDS", _MOST)
    async with feeds_in(tmp_path) as running:
        yield running


def test_at_one_call_there_are_fewer_places_than_at_all() -> None:
    onlookers = Onlookers(3, 2)
    with onlookers.place("a"), onlookers.place("a"):
        with pytest.raises(TooManyOnlookers), onlookers.place("a"):
            pass
        with onlookers.place("b"), pytest.raises(TooManyOnlookers), onlookers.place("c"):
            pass
    with onlookers.place("a"), onlookers.place("b"), onlookers.place("c"):
        pass


async def test_more_feeds_than_allowed_are_turned_away_and_places_come_free(feeds: Feeds) -> None:
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(feeds.open()) for _ in range(_MOST)]
        tries = await asyncio.gather(*(status_of(feeds.open()) for _ in range(20)))
        assert tries == [503] * 20
        assert (await feeds.api.client.get("/api/v1/events")).status_code == 200
        feeds.publish(1)
        for one in held:
            await started(one)
            assert numbers([json.loads(await one.recv())]) == [1]
    async with asyncio.timeout(5):
        while await status_of(feeds.open()) != 101:  # noqa: ASYNC110 (a place tells nobody when it is free)
            await asyncio.sleep(0.02)


async def test_connections_that_come_and_go_leave_no_place_taken(feeds: Feeds) -> None:
    for _ in range(10 * _MOST):
        feed = await feeds.open()
        feed.transport.abort()
    gauge = feeds.api.metrics.registry.get_sample_value
    async with asyncio.timeout(5):
        while gauge("parley_event_feeds") != 0 or feeds.api.events.bus.is_watched:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    async with AsyncExitStack() as stack:
        for _ in range(_MOST):
            await started(await stack.enter_async_context(feeds.open()))


@pytest.mark.parametrize(
    "query",
    [
        "?kinds=" + "call.held," * 5000,
        "?call_id=" + "x" * 50_000,
        "?" + "&".join(f"a{n}=1" for n in range(9000)) + "&after=x",
    ],
    ids=["kinds", "call", "fields"],
)
async def test_a_huge_question_is_refused_at_once(feeds: Feeds, query: str) -> None:
    async with asyncio.timeout(2):
        assert await status_of(feeds.open(query)) in (400, 414, 422)


@pytest.mark.parametrize("query", ["?batch_ms=-1", "?batch_ms=5001", "?batch_ms=often"])
async def test_a_batch_is_of_five_seconds_at_most(feeds: Feeds, query: str) -> None:
    assert await status_of(feeds.open(query)) == 422


async def test_a_batch_holds_what_has_happened_meanwhile(feeds: Feeds) -> None:
    async with feeds.open("?batch_ms=200") as feed, asyncio.timeout(5):
        await started(feed)
        feeds.publish(0)
        found = numbers(json.loads(await feed.recv()))
        feeds.publish(*range(1, 250))
        sizes = []
        while len(found) < 250:
            batch = json.loads(await feed.recv())
            sizes.append(len(batch))
            found += numbers(batch)
    assert found == list(range(250))
    assert max(sizes) == 100


@pytest.mark.parametrize("path", ["/events", "/events?batch_ms=250", "/calls/c1/meter", "/webrtc/calls/c1/events"])
async def test_a_key_without_the_scope_opens_nothing(feeds: Feeds, path: str) -> None:
    answer = await feeds.api.client.post("/api/v1/keys", json={"name": "lists", "scopes": ["campaigns"]})
    headers = {"Authorization": f"Bearer {answer.json()['key']}"}
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{feeds.address}/api/v1{path}", additional_headers=headers)
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["type"] == "urn:parley:problem:scope-missing"


async def status_of(opening: connect) -> int:
    try:
        async with opening:
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code
