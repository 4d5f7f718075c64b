# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers by name, remembered."""

import asyncio
from pathlib import Path
from random import Random

from gateway.trunks.dns import Question, Srv, Target
from gateway.trunks.names import Names
from gateway.trunks.nameserver import Answer, SystemNameserver, Unanswered, read_hosts
from tests.fakes.virtual_time import in_virtual_time

ONE = Target("udp", "192.0.2.1", 5062)


class Zone:
    """A nameserver that knows one service."""

    def __init__(self, ttl_s: float = 60.0) -> None:
        self.ttl_s = ttl_s
        self.asked: list[Question] = []
        self.is_silent = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        await self.gate.wait()
        if self.is_silent:
            raise Unanswered
        match question.kind:
            case "SRV":
                return Answer((Srv(0, 0, 5062, "a.test"),), self.ttl_s)
            case "A":
                return Answer(("192.0.2.1",), self.ttl_s)
            case _:
                return Answer((), 15.0)


@in_virtual_time
async def test_an_answer_is_kept_for_as_long_as_dns_says() -> None:
    zone = Zone(ttl_s=60)
    async with Names(zone, random=Random(1)) as names:
        assert await names.targets("Trunk.test", 0, "udp") == (ONE,)
        assert len(zone.asked) == 2
        await asyncio.sleep(59)
        assert await names.targets("trunk.test", 0, "udp") == (ONE,)
        assert len(zone.asked) == 2
        await asyncio.sleep(2)
        await names.targets("trunk.test", 0, "udp")
        assert len(zone.asked) == 4


@in_virtual_time
async def test_when_dns_falls_silent_what_it_said_before_holds_for_a_day() -> None:
    zone = Zone(ttl_s=60)
    async with Names(zone) as names:
        await names.targets("trunk.test", 0, "udp")
        zone.is_silent = True
        await asyncio.sleep(3600)
        assert await names.targets("trunk.test", 0, "udp") == (ONE,)
        asked = len(zone.asked)
        assert await names.targets("trunk.test", 0, "udp") == (ONE,)
        assert len(zone.asked) == asked, "a silent server is left alone for a while"
        await asyncio.sleep(86_400)
        assert await names.targets("trunk.test", 0, "udp") == ()


@in_virtual_time
async def test_those_who_ask_at_the_same_time_share_one_lookup_and_one_may_give_up() -> None:
    zone = Zone()
    zone.gate.clear()
    async with Names(zone) as names:
        hasty, patient = (asyncio.ensure_future(names.targets("trunk.test", 0, "udp")) for _ in range(2))
        heard: list[tuple[Target, ...]] = []
        await asyncio.sleep(1)
        names.ask("trunk.test", 0, "udp", heard.append)
        hasty.cancel()
        await asyncio.sleep(0)
        zone.gate.set()
        assert await patient == (ONE,)
        await asyncio.sleep(0)
        assert heard == [(ONE,)]
        assert len(zone.asked) == 2
        names.ask("trunk.test", 0, "udp", heard.append)
        assert heard == [(ONE,)] * 2, "what is known is told at once"


@in_virtual_time
async def test_strangers_cannot_have_any_number_of_names_looked_up() -> None:
    zone = Zone()
    zone.gate.clear()
    async with Names(zone) as names:
        heard: list[tuple[Target, ...]] = []
        for number in range(300):
            names.ask(f"n{number}.test", 5060, "udp", heard.append)
        assert heard == [()] * (300 - 256)
        await asyncio.sleep(1)
        assert len(zone.asked) == 256
        zone.gate.set()
        await asyncio.sleep(1)
        assert len(heard) == 300


@in_virtual_time
async def test_whoever_waits_at_the_end_is_told() -> None:
    zone = Zone()
    zone.gate.clear()
    heard: list[tuple[Target, ...]] = []
    async with Names(zone) as names:
        names.ask("trunk.test", 0, "udp", heard.append)
        await asyncio.sleep(0)
    assert heard == [()]


def test_the_hosts_file_comes_before_dns(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n# 10.0.0.1 no\n192.0.2.7 PBX pbx.lan # ours\n2001:db8::7 pbx\n")
    assert read_hosts(hosts)["pbx"] == ("192.0.2.7", "2001:db8::7")
    assert read_hosts(tmp_path / "none") == {}
    server = SystemNameserver(hosts=hosts)
    answer = asyncio.run(server.ask(Question("pbx", "AAAA")))
    assert answer.records == ("2001:db8::7",)
    assert asyncio.run(server.ask(Question("localhost", "AAAA"))).records == ()
