# SPDX-License-Identifier: GPL-3.0-or-later
"""`GET /settings`: every key with its value, its source and its meaning; no secret, wherever it stands."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.api.settings import settings_router
from gateway.config import Config
from gateway.environment import load_config
from tests.gateway.test_api_calls import Api, running_api

CANARY = "canary"
FILE = f"""
[sip]
port = 5080
[http]
api_keys = ["{CANARY}-0123456789abcdef"]
[twilio]
auth_token = "{CANARY}-0123456789abcdef"
[trace]
hep = "192.0.2.1:9060"
hep_password = "{CANARY}"
[[trunk]]
name = "acme"
host = "sip.example.com"
username = "us"
password = "{CANARY}"
[[user]]
name = "ann"
password = "{CANARY}"
[[webhook]]
url = "https://hooks.example/in?place=1&token={CANARY}"
secrets = ["whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"]
[services.brain]
kind = "openai"
model = "m"
url = "https://us:{CANARY}@llm.example/v1"
api_key = "{CANARY}"
headers = {{X-Secret = "{CANARY}"}}
[services.brain.extra]
reasoning_effort = "low"
api_key = "{CANARY}"
[services.brain.price]
prompt_per_million = 2.5
[agents.clerk]
llm = "brain"
greeting = "Hello"
lookup = {{url = "https://crm.example/who", headers = {{Authorization = "{CANARY}"}}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "parley.toml"
    path.write_text(FILE)
    return load_config(path, {"HOME": str(tmp_path), "PARLEY_MEDIA__RECORD": "true"})


@pytest.fixture
async def api(config: Config, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path, routers=lambda store, journal: (settings_router(config),)) as running:
        yield running


async def settings(api: Api) -> dict[str, dict[str, Any]]:
    answer = await api.client.get("/api/v1/settings")
    assert answer.status_code == 200, answer.text
    return {one["key"]: one for one in answer.json()["settings"]}


async def test_a_setting_says_where_its_value_comes_from(api: Api) -> None:
    found = await settings(api)
    assert {key: (found[key]["value"], found[key]["source"]) for key in SOURCES} == SOURCES


SOURCES = {
    "sip.port": (5080, "file"),
    "sip.tls_port": (5061, "default"),
    "media.record": (True, "environment"),
    "trunk.0.host": ("sip.example.com", "file"),
    "agents.clerk.llm": ("brain", "file"),
    "agents.clerk.stt": ("local", "default"),
    "services.brain.price.prompt_per_million": (2.5, "file"),
    "services.brain.extra.reasoning_effort": ("low", "file"),
}


async def test_no_secret_is_in_the_answer_wherever_it_stands_and_it_is_known_that_there_is_one(api: Api) -> None:
    answer = await api.client.get("/api/v1/settings")
    assert CANARY not in answer.text
    assert "Y2FuYXJ5" not in answer.text
    found = await settings(api)
    hidden = {key for key, one in found.items() if one["is_secret"] and one["is_set"]}
    assert hidden == {
        *("http.api_keys", "twilio.auth_token", "trace.hep_password", "trunk.0.password", "user.0.password"),
        *("webhook.0.secrets", "services.brain.api_key", "services.brain.headers", "services.brain.extra.api_key"),
        "agents.clerk.lookup.headers",
    }
    assert all(found[key]["value"] is None for key in hidden)
    assert not found["store.encryption_key"]["is_set"]
    assert found["services.brain.url"]["value"] == "https://***@llm.example/v1"
    assert found["webhook.0.url"]["value"] == "https://hooks.example/in?place=1&token=***"


async def test_what_a_setting_means_is_told(api: Api) -> None:
    found = await settings(api)
    assert found["sip.port"]["doc"].startswith("UDP and TCP port")
    told = sum(bool(one["doc"]) for one in found.values())
    assert told > 0.6 * len(found)


async def test_settings_are_for_administrators(api: Api) -> None:
    made = await api.client.post("/api/v1/keys", json={"name": "viewer", "scopes": ["calls:read"]})
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    assert (await api.stranger.get("/api/v1/settings", headers=headers)).status_code == 403
