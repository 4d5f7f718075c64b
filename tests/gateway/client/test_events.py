# SPDX-License-Identifier: GPL-3.0-or-later
"""The event feed over real sockets, from a server that breaks off as it is told."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from gateway.client import EventInfo, NotAllowed, NotReachable, ParleyClient

KEY = "test-key"


def event(cursor: int, kind: str = "call.answered") -> dict[str, Any]:
    return {"cursor": cursor, "kind": kind, "call_id": "call_1", "at": "2026-11-22T12:00:00.5Z", "data": {"n": cursor}}


@dataclass
class ScriptedFeed:
    """Every connection gets the next script: what is said, before the connection is broken. The last one stays."""

    scripts: list[list[dict[str, Any]]]
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    refuse_with: list[HTTPStatus] = field(default_factory=list)
    """The next connections are answered so."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ParleyClient]:
        async with (
            serve(self._feed, "127.0.0.1", 0, process_request=self._admit) as server,
            ParleyClient(f"http://127.0.0.1:{_port(server)}", KEY) as client,
        ):
            yield client

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        if self.refuse_with:
            return connection.respond(self.refuse_with.pop(0), '{"title": "no"}')
        return None

    async def _feed(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.asked.append(parse_qs(urlsplit(connection.request.path).query))
        for message in self.scripts.pop(0):
            await connection.send(json.dumps(message))
        if self.scripts:
            connection.transport.abort()
        await connection.wait_closed()


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


def started(cursor: int, *, complete: bool = True) -> dict[str, Any]:
    return {"kind": "feed.started", "cursor": cursor, "complete": complete}


async def take(client: ParleyClient, count: int, **wanted: Any) -> list[EventInfo]:
    events = []
    async for one in client.events(**wanted):
        events.append(one)
        if len(events) == count:
            break
    return events


async def test_after_a_drop_the_feed_goes_on_after_the_last_event() -> None:
    feed = ScriptedFeed([[started(10), event(11), event(12)], [started(12)], [started(12), event(14)]])
    async with feed.running() as client:
        events = await take(client, 3, call_id="call_1", kinds=["call.*", "dtmf.received"])
    assert [one.cursor for one in events] == [11, 12, 14]
    assert events[0].data == {"n": 11}
    wanted = {"call_id": ["call_1"], "kinds": ["call.*,dtmf.received"]}
    assert feed.asked == [wanted, {**wanted, "after": ["12"]}, {**wanted, "after": ["12"]}]


async def test_who_begins_at_a_cursor_says_so_and_hears_when_something_is_missing() -> None:
    feed = ScriptedFeed([[started(7, complete=False), event(8)]])
    async with feed.running() as client:
        following = client.events(after=5)
        async for one in following:
            assert one.cursor == 8
            break
    assert feed.asked == [{"after": ["5"]}]
    assert (following.cursor, following.complete) == (8, False)


async def test_kinds_of_a_later_version_are_left_out_and_still_move_the_cursor() -> None:
    feed = ScriptedFeed([[started(1), event(2, "call.teleported")], [started(2), event(3)]])
    async with feed.running() as client:
        assert [one.cursor for one in await take(client, 1)] == [3]
    assert feed.asked[1] == {"after": ["2"]}


async def test_a_gateway_that_is_full_for_a_moment_is_asked_again() -> None:
    feed = ScriptedFeed([[started(1), event(2)], [started(2), event(3)]])
    async with feed.running() as client:
        following = aiter(client.events())
        assert (await anext(following)).cursor == 2
        feed.refuse_with = [HTTPStatus.SERVICE_UNAVAILABLE]
        assert (await anext(following)).cursor == 3


async def test_a_key_that_was_revoked_ends_the_feed() -> None:
    feed = ScriptedFeed([[started(1), event(2)], []])
    async with feed.running() as client:
        following = aiter(client.events())
        assert (await anext(following)).cursor == 2
        feed.refuse_with = [HTTPStatus.UNAUTHORIZED]
        with pytest.raises(NotAllowed):
            await anext(following)


async def test_the_first_connection_fails_at_once() -> None:
    async with ParleyClient("http://127.0.0.1:1", KEY) as client:
        with pytest.raises(NotReachable):
            await take(client, 1)
