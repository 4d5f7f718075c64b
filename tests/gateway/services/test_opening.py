# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a gateway that starts: warm before the first call, and no reason not to start."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from agent.services.llm import Conversation, Message
from gateway.errors import StartupError
from gateway.services import open_services, opening
from gateway.telemetry import Metrics
from tests.fakes.services import ScriptedLlm
from tests.gateway.test_config import loaded
from tests.simulators.openai_chat import OpenAiChatServer

_BRAIN = '[services.brain]\nkind = "openai"\nmodel = "m"\nurl = "{}"\n[agents.clerk]\nllm = "brain"\n'


async def test_a_connection_is_there_before_the_first_call_and_serves_it(tmp_path: Path) -> None:
    async with OpenAiChatServer() as server:
        config = loaded(tmp_path, _BRAIN.format(server.url))
        metrics = Metrics()
        async with open_services(config, metrics) as services:
            assert server.connections == 1
            question = Conversation((Message("user", "Are you open?"),))
            assert [event async for event in services.llm("brain", ScriptedLlm()).reply(question)]
            assert server.requests[0].connection == 1
    value = metrics.registry.get_sample_value
    assert value("parley_service_requests_total", {"service": "brain", "role": "llm", "outcome": "ok"}) == 1
    assert value("parley_llm_tokens_total", {"service": "brain", "kind": "cached"}) == 64


async def test_the_gateway_starts_when_a_service_takes_connections_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_FIRST_WARMING_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config = loaded(tmp_path, _BRAIN.format(f"http://127.0.0.1:{mute.getsockname()[1]}"))
        async with asyncio.timeout(10):
            began_at = time.monotonic()
            async with open_services(config, Metrics()):
                assert time.monotonic() - began_at >= 0.2


async def test_without_services_nothing_is_opened(tmp_path: Path) -> None:
    async with open_services(
        loaded(tmp_path, '[services.idle]\nkind = "gemini"\nmodel = "m"\nurl = "http://h"\n'), Metrics()
    ) as services:
        assert not services.clients


async def test_in_a_chain_the_next_one_answers_and_the_offline_one_when_all_others_are_away(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/v1"
    toml = _BRAIN.format(nowhere).replace('llm = "brain"', 'llm = "safe"')
    toml += '[services.safe]\nkind = "chain"\nof = ["brain", "local"]\n'
    metrics = Metrics()
    async with open_services(loaded(tmp_path, toml), metrics) as services:
        model = services.llm("safe", ScriptedLlm())
        question = Conversation((Message("user", "Are you open?"),))
        assert [event async for event in model.reply(question)]
    value = metrics.registry.get_sample_value
    assert value("parley_service_failures_total", {"service": "brain", "role": "llm", "cause": "unavailable"}) == 1
    assert value("parley_chain_fallbacks_total", {"chain": "safe", "role": "llm", "service": "local"}) == 1
    assert value("parley_service_requests_total", {"service": "local", "role": "llm", "outcome": "ok"}) == 1


async def test_a_service_whose_files_cannot_be_used_keeps_the_gateway_from_starting_and_is_named(
    tmp_path: Path,
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    toml = _BRAIN.format("https://127.0.0.1:9").replace('model = "m"', 'model = "m"\nca_file = "ca.pem"')
    with pytest.raises(StartupError, match=r"services\.brain: ca_file"):
        async with open_services(loaded(tmp_path, toml), Metrics()):
            pass
