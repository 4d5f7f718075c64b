# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import contextlib

from gateway.sip.public_address import PublicAddress
from tests.e2e.gateway_process import wait_for
from tests.simulators.stun import StunServer, success


async def test_an_address_is_learned_and_a_new_one_told_of() -> None:
    with StunServer("203.0.113.5") as server:
        public = PublicAddress(f"localhost:{server.port}", "127.0.0.1", period_s=0.01)
        assert await public.learn()
        assert public.address == "203.0.113.5"
        told: asyncio.Queue[str] = asyncio.Queue()
        following = asyncio.create_task(public.follow(told.put))
        asked = server.asked
        await asyncio.to_thread(wait_for, lambda: server.asked >= asked + 3, "three questions")
        assert told.empty(), "the same is no news"
        server.address = "198.51.100.9"
        assert await asyncio.wait_for(told.get(), 10) == "198.51.100.9"
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def test_forged_and_broken_answers_are_passed_over() -> None:
    with StunServer("203.0.113.5") as server:
        server.before = [b"noise", success(b"x" * 12, "192.0.2.66"), success(b"y" * 12, "192.0.2.66")[:30]]
        public = PublicAddress(f"127.0.0.1:{server.port}", "0.0.0.0", period_s=30)
        assert await public.learn()
        assert public.address == "203.0.113.5"


async def test_a_server_that_is_gone_changes_nothing() -> None:
    with StunServer("203.0.113.5") as server:
        public = PublicAddress(f"127.0.0.1:{server.port}", "127.0.0.1", period_s=30)
        assert await public.learn()
    assert not await public.learn()
    assert public.address == "203.0.113.5"


async def test_a_name_that_nobody_knows_is_no_end_of_everything() -> None:
    public = PublicAddress("stun.invalid", "127.0.0.1", period_s=30)
    assert not await public.learn()
    assert public.address == ""
