# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley doctor --services`: what it tells of services that work, that refuse, that are not there."""

import json
from pathlib import Path

import pytest

from gateway.cli import main
from tests.simulators.aside import aside
from tests.simulators.gemini_live import LiveModel
from tests.simulators.openai_chat import OpenAiChatServer, Refuse, Script, script
from tests.simulators.realtime import RealtimeModel
from tests.simulators.stack import in_thread

_BRAIN = """
[services.brain]
kind = "openai"
model = "m"
url = "{url}"
[agents.clerk]
llm = "brain"
"""


def told(folder: Path, toml: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Exit code and standard output."""
    file = folder / "parley.toml"
    file.write_text(toml)
    code = main(["doctor", "--services", "--config", str(file), *options])
    return code, capsys.readouterr().out


def test_a_service_that_answers_is_fine_and_its_times_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAiChatServer.in_thread() as server:
        code, out = told(tmp_path, _BRAIN.format(url=server.url), capsys, "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["ok"] is True
    (probe,) = answer["services"]
    assert (probe["service"], probe["kind"], probe["role"], probe["status"]) == ("brain", "openai", "llm", "ok")
    assert 0 < probe["first_ms"] <= probe["total_ms"]
    assert probe["connect_ms"] > 0
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "detail", "fix"),
    [
        ([Refuse(401, code="invalid_api_key")], "answers 401", "check the key, the model and the voice"),
        ([Refuse(503)], "answers 503", "check services.brain.url and the way there"),
        ([], "", ""),
    ],
)
def test_a_service_that_refuses_fails_with_what_it_said_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: Script, detail: str, fix: str
) -> None:
    if not answer:
        code, out = told(tmp_path, _BRAIN.format(url="http://127.0.0.1:9/v1"), capsys)
        detail, fix = "the connection failed", "check services.brain.url"
    else:
        with OpenAiChatServer.in_thread(script(answer)) as server:
            code, out = told(tmp_path, _BRAIN.format(url=server.url), capsys)
    assert code == 1
    assert out.splitlines()[1].startswith("fail  brain")
    assert detail in out
    assert f"fix: {fix}" in out


def test_a_service_that_nobody_names_is_tried_when_there_is_no_doubt_what_it_is_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = '[services.many]\nkind = "openai"\nmodel = "m"\nurl = "http://127.0.0.1:9"\n'
    toml += '[services.one]\nkind = "gemini"\nmodel = "m"\nurl = "http://127.0.0.1:9"\n'
    code, out = told(tmp_path, toml, capsys, "--json")
    assert code == 1
    assert [(one["service"], one["role"], one["status"]) for one in json.loads(out)["services"]] == [
        ("many", "", "unused"),
        ("one", "llm", "fail"),
    ]


def test_ears_brains_and_voices_of_every_vendor_are_tried_in_their_protocols(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_thread() as stack:
        code, out = told(tmp_path, stack.toml, capsys, "--json")
    probes = json.loads(out)["services"]
    assert code == 0, out
    assert {probe["role"] for probe in probes} >= {"stt", "llm", "tts"}
    assert len(probes) == len(stack.services)
    heard = [probe["detail"] for probe in probes if probe["role"] == "stt"]
    assert all("of 8 words" in detail for detail in heard)


def test_speech_to_speech_services_are_made_to_speak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with aside(RealtimeModel(answer_ms=300).running()) as openai, aside(LiveModel(answer_ms=300).running()) as gemini:
        kinds = {"openai_realtime": openai.partition("/realtime")[0], "gemini_live": gemini}
        services = (
            f'[services.{kind}]\nkind = "{kind}"\nurl = "{url}"\napi_key = "test-key"\n' for kind, url in kinds.items()
        )
        agents = (f'[agents.{kind}]\nrealtime = "{kind}"\n' for kind in kinds)
        routes = '[[route]]\naction = "agent"\nagent = "gemini_live"\n'
        code, out = told(tmp_path, "".join((*services, *agents, routes)), capsys, "--json")
    assert code == 0, out
    probes = json.loads(out)["services"]
    assert sorted(probe["service"] for probe in probes) == sorted(kinds)
    assert {(probe["role"], probe["detail"]) for probe in probes} == {("realtime", "0.3 s of speech")}


def test_without_services_there_is_nothing_to_try(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = told(tmp_path, "", capsys)
    assert code == 0
    assert "no services are configured" in out


def test_a_configuration_with_faults_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(tmp_path, '[services.brain]\nkind = "depgram"', capsys) == (2, "")
