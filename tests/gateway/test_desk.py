# SPDX-License-Identifier: GPL-3.0-or-later
"""What the console shows: costs, settings without secrets, percentiles of turns, levels; each by itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from gateway.api.settings import settings_router
from gateway.calls.meter import STEP_MS, _Side
from gateway.desk import cost_of
from gateway.environment import load_config
from gateway.events.event import Event, EventKind
from gateway.service_config import PriceConfig
from gateway.telemetry.turns import RecentTurns, percentiles
from media.frames import FrameFlags, PcmFrame

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_a_cost_is_the_sum_of_what_was_used_at_its_price_and_none_without_prices() -> None:
    price = PriceConfig(
        prompt_per_million=2.0,
        cached_per_million=1.0,
        completion_per_million=10.0,
        audio_per_minute=0.6,
        characters_per_million=30.0,
    )
    assert cost_of(price, {"prompt": 500_000, "cached": 1_000_000, "completion": 100_000}) == 3.0
    assert cost_of(price, {"audio_s": 90}) == 0.9
    assert cost_of(price, {"characters": 1000}) == 0.03
    assert cost_of(PriceConfig(), {"prompt": 1_000_000}) is None


async def test_settings_name_their_source_and_keep_their_secrets(tmp_path: Path) -> None:
    file = tmp_path / "parley.toml"
    file.write_text(
        """
[http]
api_keys = ["a-secret-key"]
[store]
url = "sqlite+aiosqlite:///parley.db"
[agents.desk]
llm = "gpt"
[services.gpt]
kind = "openai"
url = "http://user:hidden@127.0.0.1:9/v1"
api_key = "another-secret"
model = "m"
headers = { "X-Key" = "a-third-secret" }
[[trunk]]
name = "carrier"
host = "203.0.113.1"
password = "a-fourth-secret"
[[route]]
action = "agent"
"""
    )
    config = load_config(file, {"PARLEY_SIP__PORT": "5070"})
    app = FastAPI()
    app.include_router(settings_router(config))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/settings")
    for secret in ("a-secret", "another-secret", "a-third", "a-fourth", "hidden"):
        assert secret not in answer.text
    settings = {one["key"]: one for one in answer.json()["settings"]}
    assert (settings["sip.port"]["value"], settings["sip.port"]["source"]) == (5070, "environment")
    assert (settings["trunk.0.host"]["value"], settings["trunk.0.host"]["source"]) == ("203.0.113.1", "file")
    assert settings["media.jitter"]["source"] == "default"
    assert settings["services.gpt.url"]["value"] == "http://***@127.0.0.1:9/v1"
    assert [settings["http.api_keys"][name] for name in ("value", "is_secret", "is_set")] == [None, True, True]
    assert settings["trunk.0.password"]["is_set"]
    assert "Address to listen on" in settings["sip.bind"]["doc"]


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("", ("receptionist",)),
        ('[http]\nhost = "0.0.0.0"\n', ()),
        ("[agents.desk]\n", ()),
        ('[agents.desk]\n[webrtc]\npublic_agents = ["desk"]\n', ("desk",)),
        ("[webrtc]\npublic_agents = []\n", ()),
    ],
)
def test_only_the_embedded_default_on_this_machine_is_open_by_itself(
    tmp_path: Path, text: str, public: tuple[str, ...]
) -> None:
    file = tmp_path / "parley.toml"
    file.write_text(text)
    assert load_config(file, {}).public_agents == public


def event(kind: EventKind, call_id: str, at: datetime = NOW, **data: Any) -> Event:
    return Event(1, kind, call_id, at, data)


def test_turns_are_found_by_time_and_agent() -> None:
    turns = RecentTurns()
    measured: dict[str, Any] = {
        "response_ms": 400.0,
        "own_ms": 9.0,
        "segments_ms": {"a": 1.0},
        "speculative": True,
        "interrupted": False,
    }
    turns.receive(event("call.activity", "one", agent="desk", activity="agent"))
    turns.receive(event("turn.measured", "one", NOW - timedelta(hours=2), **measured))
    turns.receive(event("turn.measured", "one", NOW, **measured))
    turns.receive(event("turn.measured", "another", NOW, **{**measured, "response_ms": 800.0}))
    turns.receive(event("call.ended", "one"))
    turns.receive(event("turn.measured", "one", NOW, **{**measured, "response_ms": 900.0}))
    since = NOW - timedelta(hours=1)
    assert [one.response_ms for one in turns.since(since)] == [400.0, 800.0, 900.0]
    assert [one.response_ms for one in turns.since(since, "desk")] == [400.0]


def test_percentiles_of_nothing_are_nothing() -> None:
    assert percentiles([], (50, 95)) == {"p50": None, "p95": None}
    assert percentiles([100.0, 200.0, 300.0], (50,)) == {"p50": 200.0}


@pytest.mark.parametrize("frame_ms", [10, 20, 60])
def test_levels_come_in_steps_whatever_the_frames_are(frame_ms: int) -> None:
    side = _Side()
    samples = np.full(16 * frame_ms, 16384, "<i2")
    frames = [PcmFrame(samples.tobytes(), 16000, index * len(samples), 0.0, FrameFlags.NONE) for index in range(12)]
    side.receive(frames)
    levels = side.take()
    assert len(levels) == 12 * frame_ms // max(STEP_MS, frame_ms)
    assert set(levels) == {-6.0}
    assert side.take() == []
