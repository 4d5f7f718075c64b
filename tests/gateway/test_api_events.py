# SPDX-License-Identifier: GPL-3.0-or-later
"""`/events`: pages, and the WebSocket on a real socket with a client that is not ours."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.api import address_of, bind_http, connections, serving
from gateway.errors import StoreError
from gateway.events import EventKind
from gateway.events import log as log_module
from tests.gateway.events.test_webhooks import until
from tests.gateway.test_api_calls import KEY, Api, running_api
from tests.gateway.test_store import session


@dataclass
class Feeds:
    """An API on a socket, with sessions c1 and c2."""

    api: Api
    address: str

    def publish(self, *numbers: int, kind: EventKind = "call.held", call_id: str = "c1") -> None:
        for number in numbers:
            self.api.events.bus.publish(kind, call_id, {"number": number})

    async def settled(self) -> int:
        """The cursor of what was published last, once it is told."""
        await self.api.events.wait(self.api.events.bus.end - 1)
        return self.api.events.end

    def open(self, query: str = "", key: str = KEY, **options: Any) -> connect:
        headers = {"Authorization": f"Bearer {key}"}
        return connect(f"ws://{self.address}/api/v1/events{query}", additional_headers=headers, **options)


@asynccontextmanager
async def feeds_in(folder: Path) -> AsyncIterator[Feeds]:
    listener = bind_http("127.0.0.1", 0)
    async with running_api(folder) as api, serving(api.app, listener):
        if await api.store.get("c1") is None:
            await api.store.begin(session("c1"))
            await api.store.begin(session("c2"))
        yield Feeds(api, address_of(listener))


@pytest.fixture
async def feeds(tmp_path: Path) -> AsyncIterator[Feeds]:
    async with feeds_in(tmp_path) as running:
        yield running


async def started(feed: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await feed.recv())
    assert message["kind"] == "feed.started"
    return message


async def events(feed: ClientConnection, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        return [json.loads(await feed.recv()) for _ in range(count)]


def numbers(found: list[dict[str, Any]]) -> list[int]:
    return [event["data"]["number"] for event in found]


async def test_a_feed_without_a_cursor_begins_now(feeds: Feeds) -> None:
    feeds.publish(1)
    end = await feeds.settled()
    async with feeds.open() as feed:
        assert await started(feed) == {"kind": "feed.started", "cursor": end, "complete": True}
        feeds.publish(2)
        (event,) = await events(feed, 1)
        assert event["cursor"] == end + 1
        assert (event["kind"], event["call_id"], event["data"]) == ("call.held", "c1", {"number": 2})
        assert event["at"].endswith("Z")


async def test_a_feed_first_tells_what_was_missed_and_then_what_happens(feeds: Feeds) -> None:
    feeds.publish(1, 2, 3)
    end = await feeds.settled()
    async with feeds.open(f"?after={end - 2}") as feed:
        assert (await started(feed))["cursor"] == end - 2
        feeds.publish(4)
        assert numbers(await events(feed, 3)) == [2, 3, 4]


async def test_a_feed_resumes_over_a_restart_without_gap_or_repeat(tmp_path: Path) -> None:
    async with feeds_in(tmp_path) as feeds:
        feeds.publish(*range(10))
        async with feeds.open("?after=0") as feed:
            await started(feed)
            seen = await events(feed, 4)
        await feeds.settled()
    async with feeds_in(tmp_path) as feeds:
        feeds.publish(10)
        async with feeds.open(f"?after={seen[-1]['cursor']}") as feed:
            assert (await started(feed))["complete"]
            seen += await events(feed, 7)
        cursors = [event["cursor"] for event in seen]
        assert numbers(seen) == list(range(11))
        assert cursors == sorted(set(cursors))


async def test_a_feed_tells_of_the_calls_and_kinds_it_is_asked_for(feeds: Feeds) -> None:
    async with feeds.open("?call_id=c2") as one_call, feeds.open("?kinds=call.resumed,dtmf.*") as some_kinds:
        await started(one_call)
        await started(some_kinds)
        feeds.publish(1)
        feeds.publish(2, call_id="c2")
        feeds.publish(3, kind="dtmf.received")
        feeds.publish(4, kind="call.resumed", call_id="c2")
        assert numbers(await events(one_call, 2)) == [2, 4]
        assert numbers(await events(some_kinds, 2)) == [3, 4]


async def test_what_is_not_kept_is_told_to_feeds_only(feeds: Feeds) -> None:
    assert not feeds.api.events.bus.is_watched
    async with feeds.open() as feed:
        await started(feed)
        assert feeds.api.events.bus.is_watched
        feeds.publish(1, kind="transcript.partial")
        feeds.publish(2)
        assert numbers(await events(feed, 2)) == [1, 2]
        for query, expected in (("", [2]), ("?kinds=transcript.*,call.held", [2]), ("?kinds=transcript.partial", [])):
            page = (await feeds.api.client.get(f"/api/v1/events{query}")).json()
            assert numbers(page["events"]) == expected
    await until(lambda: not feeds.api.events.bus.is_watched)


async def test_a_reader_that_does_not_read_is_cut_off_and_misses_nothing_when_it_comes_again(
    feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_WEBSOCKET_READER_S", 0.2)
    monkeypatch.setattr(log_module, "_RECENT_EVENTS", 50)
    long = "x" * 20_000
    seen = list[int]()
    async with feeds.open(max_queue=1, close_timeout=0.1) as feed:
        await started(feed)
        begin = feeds.api.events.end
        for number in range(600):
            feeds.api.events.bus.publish("call.held", "c1", {"number": number, "text": long})
        await feeds.settled()
        gauge = feeds.api.metrics.registry.get_sample_value
        await until(lambda: gauge("parley_event_feeds") == 0)
        with contextlib.suppress(ConnectionClosed):
            async for message in feed:
                seen.append(json.loads(message)["cursor"])
    assert len(seen) < 600
    async with feeds.open(f"?after={seen[-1] if seen else begin}") as feed:
        await started(feed)
        seen += [event["cursor"] for event in await events(feed, 600 - len(seen))]
    assert seen == list(range(begin + 1, begin + 601))


async def test_a_database_that_does_not_answer_ends_a_feed_with_the_cursor_to_go_on_from(
    feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreError("the database cannot be read: it is a test")

    monkeypatch.setattr(feeds.api.store.events, "read", fail)
    async with feeds.open("?after=7") as feed:
        await started(feed)
        with pytest.raises(ConnectionClosed) as closed:
            await feed.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
    assert json.loads(closed.value.rcvd.reason) == {"cursor": 7}


@pytest.mark.parametrize("query", ["?after=x", "?after=-1", "?kinds=nothing", "?kinds=*", f"?call_id={'x' * 200}"])
async def test_a_faulty_question_is_a_problem_before_the_socket_opens(feeds: Feeds, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with feeds.open(query):
            pass
    assert refused.value.response.status_code == 422
    assert refused.value.response.headers["content-type"] == "application/problem+json"
    assert (await feeds.api.client.get(f"/api/v1/events{query}")).status_code == 422


async def test_nobody_follows_without_a_key(feeds: Feeds) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with feeds.open(key="wrong"):
            pass
    assert refused.value.response.status_code == 401
    assert (await feeds.api.stranger.get("/api/v1/events")).status_code == 401


async def test_pages_lead_on_to_the_end(feeds: Feeds) -> None:
    feeds.publish(*range(5))
    end = await feeds.settled()
    found, after = [], 0
    while True:
        page = (await feeds.api.client.get(f"/api/v1/events?after={after}&limit=2")).json()
        assert page["complete"]
        found += page["events"]
        if not page["events"]:
            break
        after = page["cursor"]
    assert numbers(found) == list(range(5))
    assert after == end


async def test_whoever_was_away_for_too_long_is_told_so(feeds: Feeds) -> None:
    feeds.publish(*range(5))
    end = await feeds.settled()
    feeds.api.events.kept_after = end - 3
    assert not (await feeds.api.client.get(f"/api/v1/events?after={end - 4}")).json()["complete"]
    assert (await feeds.api.client.get(f"/api/v1/events?after={end - 3}")).json()["complete"]
    async with feeds.open(f"?after={end - 4}") as feed:
        assert not (await started(feed))["complete"]


async def test_an_erased_session_is_in_no_page_and_no_feed(feeds: Feeds) -> None:
    feeds.api.store.on_erased = feeds.api.events.forget
    feeds.publish(1, call_id="c2")
    feeds.publish(2)
    await feeds.settled()
    await feeds.api.store.erase("c2")
    assert numbers((await feeds.api.client.get("/api/v1/events")).json()["events"]) == [2]
    async with feeds.open("?after=0") as feed:
        await started(feed)
        assert numbers(await events(feed, 1)) == [2]
