# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS itself, on loopback."""

import asyncio
import time

import pytest

from gateway.trunks.dns import Naptr, Question, Srv
from gateway.trunks.nameserver import SystemNameserver, Unanswered
from tests.e2e.dns_server import DnsServer

_ZONE = {
    ("NAPTR", "carrier.test."): ['10 20 "s" "SIP+D2U" "" _sip._udp.carrier.test.'],
    ("SRV", "_sip._udp.carrier.test."): ["1 2 5062 a.carrier.test."],
    ("A", "a.carrier.test."): ["192.0.2.1", "192.0.2.2"],
}


def test_records_are_read_with_the_time_they_hold() -> None:
    async def ask_all(server: SystemNameserver) -> None:
        naptr = await server.ask(Question("carrier.test", "NAPTR"))
        assert naptr.records == (Naptr(10, 20, "s", "SIP+D2U", "_sip._udp.carrier.test"),)
        assert naptr.ttl_s == 77
        srv = await server.ask(Question("_sip._udp.carrier.test", "SRV"))
        assert srv.records == (Srv(1, 2, 5062, "a.carrier.test"),)
        assert set((await server.ask(Question("a.carrier.test", "A"))).records) == {"192.0.2.1", "192.0.2.2"}
        assert (await server.ask(Question("a.carrier.test", "AAAA"))).records == ()
        assert (await server.ask(Question("nobody.test", "A"))).records == ()

    with DnsServer(_ZONE, ttl_s=77) as dns:
        asyncio.run(ask_all(SystemNameserver([("127.0.0.1", dns.port)])))


def test_a_server_that_says_nothing_is_given_up() -> None:
    with DnsServer({}) as dns:
        dns.is_silent = True
        began = time.monotonic()
        with pytest.raises(Unanswered):
            asyncio.run(SystemNameserver([("127.0.0.1", dns.port)], timeout_s=0.3).ask(Question("a.test", "A")))
        assert time.monotonic() - began < 5
