# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a browser, with aioice as the browser: strangers are not heard, and a lost way is replaced."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aioice import Connection

from gateway.webrtc.ice import IcePath, IceSettings, Way
from gateway.webrtc.offer import IceCredentials

MEDIA, DTLS = b"\x80media", b"\x16hello"


async def browser_for(way: Way) -> Connection:
    """The other side, whose checks know our password."""
    browser = Connection(ice_controlling=True)
    await browser.gather_candidates()
    browser.remote_username, browser.remote_password = way.credentials.ufrag, way.credentials.password
    for candidate in way.local_candidates:
        await browser.add_remote_candidate(candidate)
    await browser.add_remote_candidate(None)
    way.know(IceCredentials(browser.local_username, browser.local_password))
    return browser


@pytest.fixture
async def heard() -> "asyncio.Queue[bytes]":
    return asyncio.Queue()


@pytest.fixture
async def path(heard: "asyncio.Queue[bytes]") -> AsyncIterator[IcePath]:
    path = IcePath(IceSettings, heard.put_nowait)
    yield path
    await path.close()


async def test_media_and_dtls_go_their_ways_and_a_browser_without_candidates_is_found(
    path: IcePath, heard: "asyncio.Queue[bytes]"
) -> None:
    way = await path.open()
    browser = await browser_for(way)
    await asyncio.gather(path.take(way), browser.connect())
    await browser.send(MEDIA)
    assert await heard.get() == MEDIA
    await browser.send(DTLS)
    assert await path._recv() == DTLS
    path.transmit(b"\x80back")
    assert await browser.recv() == b"\x80back"
    await browser.close()


async def test_a_stranger_is_not_heard(path: IcePath, heard: "asyncio.Queue[bytes]") -> None:
    way = await path.open()
    browser = await browser_for(way)
    await asyncio.gather(path.take(way), browser.connect())
    ours = next(one for one in way.local_candidates if ":" not in one.host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(1000):
            stranger.sendto(DTLS, (ours.host, ours.port))
            stranger.sendto(MEDIA, (ours.host, ours.port))
            await asyncio.sleep(0)
    await browser.send(DTLS + b" of the browser")
    assert await path._recv() == DTLS + b" of the browser"
    assert heard.empty()
    assert way.strangers > 0
    await browser.close()


async def test_another_way_takes_the_place_of_the_lost_one(path: IcePath, heard: "asyncio.Queue[bytes]") -> None:
    told: list[bool] = []
    path.on_lost = told.append
    first = await path.open()
    browser = await browser_for(first)
    await asyncio.gather(path.take(first), browser.connect())
    receiving = asyncio.create_task(path._recv())
    await asyncio.sleep(0)
    await first.close()
    await browser.close()
    second = await path.open()
    moved = await browser_for(second)
    await asyncio.gather(path.take(second), moved.connect())
    await moved.send(DTLS)
    assert await receiving == DTLS
    assert told == [True, False]
    await moved.close()


async def test_a_way_that_stays_lost_is_the_end(path: IcePath) -> None:
    path.reconnect_s = 0.05
    way = await path.open()
    browser = await browser_for(way)
    await asyncio.gather(path.take(way), browser.connect())
    await browser.close()
    await way.close()
    with pytest.raises(ConnectionError, match="lost"):
        await path._recv()


async def test_ports_are_those_of_the_range(heard: "asyncio.Queue[bytes]") -> None:
    path = IcePath(lambda: IceSettings(ports=range(44999, 45003), public_address="203.0.113.9"), heard.put_nowait)
    way = await path.open()
    hosts = [one for one in way.local_candidates if one.type == "host"]
    outside = [one for one in way.local_candidates if one.type == "srflx"]
    assert all(44999 <= one.port < 45003 for one in hosts)
    assert {(one.host, one.port) for one in outside} == {
        ("203.0.113.9", one.port) for one in hosts if ":" not in one.host
    }
    await path.close()
