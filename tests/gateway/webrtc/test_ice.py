# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a browser, with aioice as the browser: strangers are not heard, and a lost way is replaced."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aioice import Candidate, Connection, stun

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


# Attacks


async def test_strangers_packets_that_begin_as_stun_does_raise_nothing_and_wait_nowhere(path: IcePath) -> None:
    """Before the browser is there, nobody reads what would wait."""
    way = await path.open()
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: raised.append(context))
    check = bytes(check_for(way, "theirs"))
    bodies = [check[20:cut] for cut in range(20, len(check))]
    bodies += [struct.pack("!HH", attribute, 0) for attribute in (*range(0x30), 0x8022, 0x8029, 0x802A)]
    broken = [check[:2] + struct.pack("!H", len(body)) + check[4:20] + body for body in bodies]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for packet in (b"\x00junk", b"\x03" * 1400, *broken):
            stranger.sendto(packet, address_of(way))
            await asyncio.sleep(0)
        await until_heard(way, stranger)
    assert raised == []
    assert way._queue.empty()
    assert way.strangers > 2
    browser = await browser_for(way)
    await asyncio.gather(path.take(way), browser.connect())
    await browser.close()


async def test_who_knows_the_password_is_remembered_at_so_many_addresses_only(path: IcePath) -> None:
    """Each one that is remembered is sent checks of ours."""
    way = await path.open()
    way.know(IceCredentials("theirs", "p" * 22))
    taking = asyncio.create_task(path.take(way))
    await asyncio.sleep(0)
    with contextlib.ExitStack() as sockets:
        checking = send_checks(way, sockets)
        await until_heard(way, checking[0])
    assert len(way.remote_candidates) == 32
    assert not taking.done()
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)


async def test_of_checks_before_the_candidates_are_known_so_many_wait(path: IcePath) -> None:
    way = await path.open()
    with contextlib.ExitStack() as sockets:
        send_checks(way, sockets)
        async with asyncio.timeout(5):
            while len(way._early_checks) < 32:  # noqa: ASYNC110 aioice sets no event
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    assert len(way._early_checks) == 32
    way.know(IceCredentials("theirs", "p" * 22))
    taking = asyncio.create_task(path.take(way))
    await asyncio.sleep(0.05)
    assert 0 < len(way.remote_candidates) < 32
    assert not taking.done()
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)


async def test_more_candidates_than_a_browser_has_are_not_taken(path: IcePath) -> None:
    way = await path.open()
    for port in range(1, 1000):
        await way.add_remote_candidate(Candidate("1", 1, "udp", 1, "192.0.2.1", port, "host"))
    assert len(way.remote_candidates) == 64


def send_checks(way: Way, sockets: contextlib.ExitStack) -> list[socket.socket]:
    """From 100 addresses, with and without the attribute that a check has to have (RFC 8445 section 7.1.1)."""
    opened = [sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(100)]
    for one in opened:
        one.sendto(bytes(check_for(way, "theirs", priority=False)), address_of(way))
        one.sendto(bytes(check_for(way, "theirs")), address_of(way))
    return opened


def check_for(way: Way, ufrag: str, *, priority: bool = True) -> stun.Message:
    """A browser's check, signed."""
    check = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    check.attributes["USERNAME"] = f"{way.credentials.ufrag}:{ufrag}"
    if priority:
        check.attributes["PRIORITY"] = 1
    check.attributes["ICE-CONTROLLING"] = 1
    check.add_message_integrity(way.credentials.password.encode())
    return check


def address_of(way: Way) -> tuple[str, int]:
    ours = next(one for one in way.local_candidates if ":" not in one.host)
    return ours.host, ours.port


async def until_heard(way: Way, client: socket.socket) -> None:
    """Everything sent before has been read: a check, which comes after it, is answered."""
    client.setblocking(False)
    check = check_for(way, "theirs")
    client.sendto(bytes(check), address_of(way))
    async with asyncio.timeout(5):
        while check.transaction_id not in await asyncio.get_running_loop().sock_recv(client, 2048):
            pass
