# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of the knowledge are fetched through the guard."""

import asyncio

import pytest

from agent.errors import KnowledgeError
from gateway.guard import OutboundGuard
from gateway.knowledge import page_fetch


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: "1"\r\nContent-Length: 5\r\n\r\nhello')
    await writer.drain()
    writer.close()


async def test_a_private_address_is_refused_unless_it_is_allowed() -> None:
    async with await asyncio.start_server(_serve, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/page"
        with pytest.raises(KnowledgeError, match="loopback"):
            await page_fetch(OutboundGuard())(url, {}, 100)
        page = await page_fetch(OutboundGuard(["127.0.0.0/8"]))(url, {}, 100)
        assert (page.status, page.body, page.etag) == (200, b"hello", '"1"')
        with pytest.raises(KnowledgeError, match="more than 4 bytes"):
            await page_fetch(OutboundGuard(["127.0.0.0/8"]))(url, {}, 4)
