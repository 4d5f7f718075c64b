# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a caller is asked over HTTP when the call begins."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from agent.config import LookupConfig
from agent.services.llm import ContextNote, Conversation
from gateway.guard import OutboundGuard
from gateway.lookup import CallLookup


@dataclass
class Crm:
    """A server that knows callers."""

    status: int = 200
    answer: str = '{"name": "Anna", "orders": 2}'
    seen: list[tuple[bytes, Any]] = field(default_factory=list)
    """Head and body of each request."""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(
            next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split()[1]
        )
        self.seen.append((head, json.loads(await reader.readexactly(length))))
        body = self.answer.encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (self.status, len(body)) + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def crm(**how: Any) -> AsyncIterator[Crm]:
    server = Crm(**how)
    async with await asyncio.start_server(server.serve, "127.0.0.1") as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/callers"
        yield server


def lookup(server: Crm, *allowed: str) -> CallLookup:
    config = LookupConfig(url=server.url, headers={"Authorization": SecretStr("Bearer s3cret")})
    return CallLookup(config, OutboundGuard(list(allowed)))


def call(caller: str) -> Conversation:
    return Conversation((), caller, {"sip_call_id": f"{caller}-1"})


async def test_it_is_asked_once_for_a_call_and_told_for_every_turn() -> None:
    async with crm() as server, lookup(server, "127.0.0.0/8") as known:
        known.begin("sip:anna@example.com", {"sip_call_id": "sip:anna@example.com-1"})
        for _ in range(3):
            notes = await known.notes(call("sip:anna@example.com"))
        assert notes == (ContextNote("lookup", 'Known of the caller: {"name": "Anna", "orders": 2}'),)
        ((head, body),) = server.seen
        assert body == {"caller": "sip:anna@example.com", "metadata": {"sip_call_id": "sip:anna@example.com-1"}}
        assert b"authorization: bearer s3cret" in head.lower()
        await known.notes(call("sip:bob@example.com"))
        assert len(server.seen) == 2


@pytest.mark.parametrize(
    "how",
    [
        {"status": 500},
        {"answer": "[]"},
        {"answer": "{}"},
        {"answer": "no JSON"},
        {"answer": json.dumps({"text": "x" * 20_000})},
    ],
    ids=["fails", "no object", "nothing known", "no JSON", "too much"],
)
async def test_what_fails_or_does_not_fit_is_missing(how: dict[str, Any]) -> None:
    async with crm(**how) as server, lookup(server, "127.0.0.0/8") as known:
        assert await known.notes(call("sip:anna@example.com")) == ()
        assert len(server.seen) == 1


async def test_a_private_address_is_asked_only_if_that_is_allowed() -> None:
    async with crm() as server, lookup(server) as known:
        assert await known.notes(call("sip:anna@example.com")) == ()
        assert not server.seen


async def test_what_is_under_way_at_the_end_is_cancelled() -> None:
    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server = Crm()
    listening = await asyncio.start_server(silent, "127.0.0.1")
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    async with asyncio.timeout(10), lookup(server, "127.0.0.0/8") as known:
        known.begin("sip:anna@example.com", {})
        await asyncio.sleep(0.05)
    listening.close()
