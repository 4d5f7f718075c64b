# SPDX-License-Identifier: GPL-3.0-or-later
"""What `GET /services` is told, by those who count: how a service does, what it was used for and what that costs."""

import asyncio
from pathlib import Path

import pytest

from agent.errors import ServiceUnavailable
from agent.services.tts import TextToSpeech
from gateway.api.services import ServiceInfo
from gateway.config import Config
from gateway.desk import service_infos
from gateway.environment import load_config
from gateway.services import Services
from gateway.telemetry import Metrics
from tests.fakes.services import ScriptedTts

FILE = """
[[route]]
action = "agent"
agent = "clerk"
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
