# SPDX-License-Identifier: GPL-3.0-or-later
"""What the console is told of trunks and services, from those who carry and count."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from agent.errors import ServiceUnavailable
from agent.services.tts import TextToSpeech
from gateway.api.services import ServiceInfo
from gateway.calls.exchange import Exchange
from gateway.calls.facts import CallFacts
from gateway.calls.trunk_watch import TrunkWatch
from gateway.config import Config
from gateway.desk import cost_of, service_infos, trunk_infos
from gateway.environment import load_config
from gateway.events import EventBus
from gateway.service_config import PriceConfig
from gateway.services import Services
from gateway.telemetry import Metrics
from gateway.trunks.dns import Target
from gateway.trunks.names import Names
from tests.fakes.services import ScriptedTts

FILE = """
[[route]]
action = "agent"
agent = "clerk"
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
[services.mouth]
kind = "openai"
url = "http://127.0.0.1:9/v1"
price = {characters_per_million = 30}
[services.spare]
kind = "chain"
of = ["mouth", "local"]
[agents.clerk]
tts = "spare"
[agents.other]
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "parley.toml").write_text(FILE)
    return load_config(tmp_path / "parley.toml", {"HOME": str(tmp_path)})


def test_a_trunk_shows_its_registration_its_servers_its_calls_and_its_alarms(config: Config) -> None:
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


def named(found: list[ServiceInfo], name: str, role: str) -> ServiceInfo:
    (one,) = (one for one in found if (one.name, one.role) == (name, role))
    return one


async def say(voice: TextToSpeech, text: str) -> None:
    async for _ in voice.synthesize(text):
        pass


async def test_a_service_shows_how_it_does_what_it_was_used_for_and_what_that_costs(config: Config) -> None:
    services = Services(config, Metrics())
    chain = services.tts("spare", ScriptedTts())
    offline = services.local_tts(ScriptedTts())
    before = list(service_infos(config, services))
    assert named(before, "mouth", "tts").state == "idle"
    assert named(before, "mouth", "tts").latency_ms.p50 is None
    for _ in range(3):
        await say(chain, "Hello there.")  # nobody is at the address of the first member
    await say(offline, "Hello.")
    found = list(service_infos(config, services))
    mouth, local = named(found, "mouth", "tts"), named(found, "local", "tts")
    assert mouth.state in ("failing", "resting")
    assert mouth.requests == mouth.failures > 0
    assert mouth.used_by == ["clerk"]
    assert mouth.usage["characters"] == mouth.requests * len("Hello there.")
    assert mouth.cost == pytest.approx(mouth.usage["characters"] * 30 / 1e6)
    assert (local.kind, local.state, local.requests, local.failures) == ("local", "ok", 4, 0)
    assert local.cost is None
    assert local.used_by == ["clerk", "other"]
    assert local.latency_ms.p95 is not None
    for client in services.clients.values():
        await client.aclose()


async def test_a_service_that_does_well_again_is_well_however_often_it_had_failed(config: Config) -> None:
    services = Services(config, Metrics())
    voice = ScriptedTts(failing_clauses={"Hello.": [ServiceUnavailable("mouth", "is away")] * 40})
    offline = services.local_tts(voice)
    for _ in range(40):
        with pytest.raises(ServiceUnavailable):
            await say(offline, "Hello.")
    assert named(list(service_infos(config, services)), "local", "tts").state == "failing"
    await asyncio.gather(*(say(offline, "Goodbye.") for _ in range(50)))
    local = named(list(service_infos(config, services)), "local", "tts")
    assert (local.state, local.requests, local.failures) == ("ok", 90, 40)


@pytest.mark.parametrize(
    ("price", "usage", "cost"),
    [
        ({}, {"prompt": 5.0}, None),
        ({"prompt_per_million": 2}, {"prompt": 500_000.0}, 1.0),
        ({"cached_per_million": 1}, {"prompt": 500_000.0, "cached": 250_000.0}, 0.25),
        ({"completion_per_million": 8}, {"completion": 1_000.0}, 0.008),
        ({"audio_per_minute": 0.006}, {"audio_s": 90.0}, 0.009),
        ({"characters_per_million": 15}, {"characters": 2_000.0}, 0.03),
    ],
)
def test_a_price_is_of_what_its_name_says(price: dict[str, float], usage: dict[str, float], cost: float | None) -> None:
    assert cost_of(PriceConfig.model_validate(price), usage) == (None if cost is None else pytest.approx(cost))
