# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.sip.public_address import AddressChanged, PublicAddress
from tests.e2e.gateway_process import wait_for
from tests.simulators.stun import StunServer, success

FIRST, SECOND = "203.0.113.5", "198.51.100.9"
WAITS_S = (0.05, 0.1)


@contextlib.asynccontextmanager
async def followed(public: PublicAddress) -> AsyncIterator["asyncio.Queue[AddressChanged]"]:
    """What is told, while it is followed."""
    told: asyncio.Queue[AddressChanged] = asyncio.Queue()
    following = asyncio.create_task(public.follow(told.put))
    yield told
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


async def test_an_address_is_learned_and_a_new_one_told_of() -> None:
    with StunServer(FIRST) as server:
        public = PublicAddress(f"localhost:{server.port}", "127.0.0.1", period_s=0.01)
        assert await public.learn()
        assert public.address == FIRST
        async with followed(public) as told:
            asked = server.asked
            await asyncio.to_thread(wait_for, lambda: server.asked >= asked + 3, "three questions")
            assert told.empty(), "the same is no news"
            server.address = SECOND
            assert await asyncio.wait_for(told.get(), 10) == AddressChanged(SECOND, previous=FIRST)


async def test_a_hint_is_followed_at_once() -> None:
    with StunServer(FIRST) as server:
        public = PublicAddress(f"127.0.0.1:{server.port}", "127.0.0.1", period_s=3600)
        async with followed(public) as told:
            public.ask_soon()
            assert await asyncio.wait_for(told.get(), 10) == AddressChanged(FIRST, previous="")


async def test_forged_and_broken_answers_are_passed_over() -> None:
    with StunServer(FIRST) as server:
        server.before = [b"noise", success(b"x" * 12, "192.0.2.66"), success(b"y" * 12, "192.0.2.66")[:30]]
        public = PublicAddress(f"127.0.0.1:{server.port}", "0.0.0.0", period_s=30)
        assert await public.learn()
        assert public.address == FIRST


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "it does not answer"),
        (b"noise", "5 bytes are no STUN message"),
        (success(b"x" * 12, SECOND), "it answers another question"),
    ],
)
async def test_a_server_without_a_right_answer_changes_nothing_and_is_named_once(
    answer: bytes | None, problem: str
) -> None:
    with StunServer(FIRST) as server:
        public = PublicAddress(f"127.0.0.1:{server.port}", "127.0.0.1", period_s=30, waits_s=WAITS_S)
        public.address = FIRST
        server.address, server.before = "", [] if answer is None else [answer]
        with capture_logs() as said:
            assert not await public.learn()
            assert not await public.learn()
    assert public.address == FIRST
    name = f"127.0.0.1:{server.port}"
    assert said == [
        {"event": "stun_failed", "log_level": "warning", "server": name, "problem": problem, "kept": FIRST},
    ]


async def test_an_answer_from_elsewhere_is_none() -> None:
    with StunServer(SECOND) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        server.by = other
        public = PublicAddress(f"127.0.0.1:{server.port}", "127.0.0.1", period_s=30, waits_s=WAITS_S)
        assert not await public.learn()
    assert server.asked
    assert public.address == ""


async def test_a_server_that_also_has_an_ipv6_address_is_asked_by_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(host: str, port: int, family: int = 0, *more: Any, **named: Any) -> list[tuple[Any, ...]]:
        found = ((socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port)))
        return [(kind, socket.SOCK_DGRAM, 17, "", where) for kind, where in found if family in (0, kind)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with StunServer(FIRST) as server:
        public = PublicAddress(f"stun.test:{server.port}", "0.0.0.0", period_s=30)
        assert await public.learn()


async def test_a_name_that_nobody_knows_is_no_end_of_everything() -> None:
    public = PublicAddress("stun.invalid", "127.0.0.1", period_s=30)
    assert not await public.learn()
    assert public.address == ""
