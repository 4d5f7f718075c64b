# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to URLs from outside: over real sockets, with names and redirects that lead astray."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from gateway.errors import UrlRefused, UrlUnreachable
from gateway.guard import PLAY_URL, WEBHOOK_URL, OutboundGuard
from gateway.outbound import fetch, http_client
from tests.fakes.certificate import make_certificate
from tests.gateway.test_guard import Names

LOOPBACK = ["127.0.0.0/8"]


@dataclass
class Server:
    """Answers every request with what stands under its path."""

    answers: dict[str, bytes] = field(default_factory=dict)
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(request)
                writer.write(self.answers[request.split()[1].decode()])
                await writer.drain()


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    ours = Server()
    listener = await asyncio.start_server(ours.serve, "127.0.0.1", 0)
    ours.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield ours


async def test_a_request_arrives_under_the_name_it_was_sent_to(server: Server) -> None:
    server.answers["/hook"] = answer("200 OK", b"fine")
    guard = OutboundGuard(LOOPBACK, Names(hooks_example=["127.0.0.1"]))
    async with http_client(guard, WEBHOOK_URL) as client:
        got = await client.post(f"http://hooks.example:{server.port}/hook", content=b"{}")
    assert got.text == "fine"
    assert f"host: hooks.example:{server.port}".encode() in server.requests[0].lower()


async def test_a_client_does_not_reach_what_is_not_allowed(server: Server) -> None:
    names = Names(hooks_example=["127.0.0.1"])
    async with http_client(OutboundGuard(resolve=names), WEBHOOK_URL) as client:
        for url in (f"http://127.0.0.1:{server.port}/", f"http://hooks.example:{server.port}/", "ftp://hooks.example/"):
            with pytest.raises(UrlRefused, match=r"^webhook\.url: "):
                await client.post(url, content=b"{}")
    assert server.requests == []


async def test_a_webhook_follows_no_redirect(server: Server) -> None:
    server.answers["/hook"] = answer("302 Found", Location="http://169.254.169.254/")
    async with http_client(OutboundGuard(LOOPBACK), WEBHOOK_URL) as client:
        assert (await client.post(f"http://127.0.0.1:{server.port}/hook")).status_code == 302


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/meta-data/", "https://[::1]/", "http://inner.example/", "file:///etc/passwd"],
)
async def test_a_redirect_does_not_lead_inside(server: Server, location: str) -> None:
    server.answers["/a.wav"] = answer("302 Found", Location=location)
    names = Names(
        **{"sound_example": ["127.0.0.1"], "inner_example": ["10.0.0.1"], "169_254_169_254": ["169.254.169.254"]}
    )
    guard = OutboundGuard(LOOPBACK, names if "example" in location else None)
    host = "sound.example" if "example" in location else "127.0.0.1"
    with pytest.raises((UrlRefused, UrlUnreachable)) as caught:
        await fetch(guard, f"http://{host}:{server.port}/a.wav", PLAY_URL, max_bytes=100, timeout_s=20)
    assert isinstance(caught.value, UrlRefused) or location.startswith("file:")
    assert len(server.requests) == 1


async def test_a_redirect_to_an_allowed_place_is_followed_a_few_times(server: Server) -> None:
    server.answers["/a"] = answer("302 Found", Location="/b")
    server.answers["/b"] = answer("301 Moved Permanently", Location=f"http://127.0.0.1:{server.port}/c")
    server.answers["/c"] = answer("200 OK", b"sound")
    server.answers["/round"] = answer("302 Found", Location="/round")
    guard = OutboundGuard(LOOPBACK)
    base = f"http://127.0.0.1:{server.port}"
    assert await fetch(guard, f"{base}/a", PLAY_URL, max_bytes=5, timeout_s=20) == b"sound"
    with pytest.raises(UrlUnreachable, match="TooManyRedirects"):
        await fetch(guard, f"{base}/round", PLAY_URL, max_bytes=5, timeout_s=20)
    assert len(server.requests) == 3 + 4


async def test_what_is_fetched_is_bounded_in_size_and_time(server: Server) -> None:
    server.answers["/large"] = answer("200 OK", b"x" * 1001)
    server.answers["/silent"] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    server.answers["/gone"] = answer("404 Not Found")
    guard = OutboundGuard(LOOPBACK)
    base = f"http://127.0.0.1:{server.port}"
    with pytest.raises(UrlRefused, match="url: leads to more than 1000 bytes"):
        await fetch(guard, f"{base}/large", PLAY_URL, max_bytes=1000, timeout_s=20)
    with pytest.raises(UrlUnreachable, match=r"is not there after 0\.3 s|ReadTimeout"):
        await fetch(guard, f"{base}/silent", PLAY_URL, max_bytes=1000, timeout_s=0.3)
    with pytest.raises(UrlUnreachable, match="the server answers 404"):
        await fetch(guard, f"{base}/gone", PLAY_URL, max_bytes=1000, timeout_s=20)


async def test_a_name_that_changes_its_mind_between_check_and_connection_gains_nothing(server: Server) -> None:
    names = Names(rebind_example=["93.184.215.14", "127.0.0.1"])
    with pytest.raises(UrlRefused, match="loopback"):
        await fetch(
            OutboundGuard(resolve=names), f"https://rebind.example:{server.port}/", PLAY_URL, max_bytes=1, timeout_s=20
        )
    assert server.requests == []


async def test_certificates_are_verified_under_the_name_that_was_asked_for(tmp_path: Path) -> None:
    file = make_certificate(tmp_path, "hooks.example")
    ours = Server({"/hook": answer("200 OK", b"fine")})
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    guard = OutboundGuard(LOOPBACK, Names(hooks_example=["127.0.0.1"], other_example=["127.0.0.1"]))
    async with await asyncio.start_server(ours.serve, "127.0.0.1", 0, ssl=context) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with http_client(guard, WEBHOOK_URL, verify=ssl.create_default_context(cafile=file)) as client:
            assert (await client.post(f"https://hooks.example:{port}/hook")).text == "fine"
            with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
                await client.post(f"https://other.example:{port}/hook")
        async with http_client(guard, WEBHOOK_URL) as client:
            with pytest.raises(httpx.ConnectError, match="self-signed certificate"):
                await client.post(f"https://hooks.example:{port}/hook")
    assert len(ours.requests) == 1
