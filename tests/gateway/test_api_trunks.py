# SPDX-License-Identifier: GPL-3.0-or-later
"""What `GET /trunks` is told, by those who carry the calls."""

from pathlib import Path
from typing import cast

from gateway.calls.exchange import Exchange
from gateway.calls.facts import CallFacts
from gateway.calls.trunk_watch import TrunkWatch
from gateway.desk import trunk_infos
from gateway.environment import load_config
from gateway.events import EventBus
from gateway.telemetry import Metrics
from gateway.trunks.dns import Target
from gateway.trunks.names import Names

FILE = """
[[trunk]]
name = "acme"
host = "192.0.2.1"
username = "us"
password = "secret"
register = true
max_calls = 3
[[trunk]]
name = "pbx"
host = "192.0.2.2"
"""


def test_a_trunk_shows_its_registration_its_servers_its_calls_and_its_alarms(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text(FILE)
    config = load_config(tmp_path / "parley.toml", {"HOME": str(tmp_path)})
    metrics, bus = Metrics(), EventBus()
    exchange = Exchange(config.trunk, cast(Names, None), metrics, bus)
    watch = TrunkWatch(config.alarms.limits, metrics, bus)
    fresh, _ = trunk_infos(config, exchange, watch)
    assert (fresh.registers, fresh.registered, fresh.is_up, fresh.calls, fresh.max_calls) == (True, None, True, 0, 3)
    exchange.registered("acme", True)
    exchange.health.receive_servers("acme", ("udp:192.0.2.1:5060", "udp:192.0.2.9:5060"))
    exchange.missed("acme", Target("udp", "192.0.2.9", 5060), 408)
    assert exchange.admit_inbound("call_1", "acme")
    for number in range(5):
        watch.ended(CallFacts(f"call_{number}", "inbound", "a", "b", trunk="acme", end_reason="sip_503"), None)
    acme, pbx = trunk_infos(config, exchange, watch)
    assert (acme.registered, acme.is_up, acme.calls, acme.alarms) == (True, True, 1, ["failed_percent"])
    assert {one.address: one.is_up for one in acme.servers} == {"udp:192.0.2.1:5060": True, "udp:192.0.2.9:5060": False}
    assert (pbx.registers, pbx.registered, pbx.calls, pbx.max_calls, pbx.alarms) == (False, None, 0, 0, [])
