# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every request: keys, limits, problem documents, the description; and the addresses beside the API."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.streams.parley_messages import parley_schema
from tests.gateway.test_api_calls import KEY, Api, running_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer \xff"],
)
async def test_without_a_key_nothing_under_the_base_path_answers(api: Api, header: str) -> None:
    headers = {b"Authorization": header.encode("latin-1")} if header else {}
    for path in ("/api/v1/calls", "/api/v1/sessions", "/api/v1/no-such-thing", "/api/v1"):
        answer = await api.stranger.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_every_configured_key_is_good_and_the_scheme_has_no_case(api: Api) -> None:
    for value in (f"Bearer {KEY}", "Bearer other-key", f"bearer {KEY}"):
        assert (await api.stranger.get("/api/v1/calls", headers={"Authorization": value})).status_code == 200


async def test_a_stranger_learns_nothing_about_faulty_bodies(api: Api) -> None:
    assert (await api.stranger.post("/api/v1/calls", content=b"{")).status_code == 401
    assert (await api.stranger.post("/api/v1/calls", content=b"x" * 100_000)).status_code == 401


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert isinstance(problem, dict)
    assert problem["status"] == answer.status_code
    assert problem["title"]
    return problem


async def test_errors_are_problem_documents_everywhere(api: Api) -> None:
    nowhere = await api.client.get("/nowhere")
    assert (nowhere.status_code, problem_of(nowhere)["title"]) == (404, "Not Found")
    assert problem_of(await api.client.get("/api/v1/nowhere"))["status"] == 404
    wrong_method = await api.client.delete("/api/v1/calls")
    assert problem_of(wrong_method)["status"] == 405
    assert wrong_method.headers["allow"] == "GET, POST"
    broken = await api.client.post("/api/v1/calls", content=b"{", headers={"Content-Type": "application/json"})
    assert problem_of(broken)["status"] == 422
    assert problem_of(broken)["errors"][0]["field"].startswith("body")


async def test_what_was_sent_is_not_repeated_in_the_problem(api: Api) -> None:
    answer = await api.client.post("/api/v1/calls", json={"to": "1", "timeout_s": "secret-words"})
    assert answer.status_code == 422
    assert "secret-words" not in answer.text


async def test_a_bug_of_ours_is_a_problem_without_its_details(api: Api) -> None:
    api.calls.refuse_with = RuntimeError("inner details")
    answer = await api.client.get("/api/v1/calls/c1")
    assert problem_of(answer)["status"] == 500
    assert "inner details" not in answer.text


async def test_a_body_beyond_the_limit_is_refused_whether_announced_or_not(api: Api) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    json = {"Content-Type": "application/json"}
    whole = b" " * (64 * 1024 - 12) + b'{"to": "10"}'
    just_right = await api.client.post("/api/v1/calls", content=whole, headers=json)
    assert just_right.status_code == 201
    for content in (b" " + whole, in_pieces()):
        answer = await api.client.post("/api/v1/calls", content=content, headers=json)
        assert problem_of(answer)["status"] == 413
    assert len(api.calls.orders) == 1


async def test_health_and_metrics_need_no_key(api: Api) -> None:
    health = await api.stranger.get("/healthz")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    metrics = await api.stranger.get("/metrics")
    assert metrics.status_code == 200
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "parley_calls_active" in metrics.text


async def test_readiness_tells_why_not(api: Api) -> None:
    ready = await api.stranger.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "reasons": []})
    api.not_ready.append("draining")
    not_ready = await api.stranger.get("/readyz")
    assert (not_ready.status_code, not_ready.json()) == (503, {"status": "not ready", "reasons": ["draining"]})


async def test_the_description_lists_every_address_with_its_key_and_its_problems(api: Api) -> None:
    described = (await api.stranger.get("/openapi.json")).json()
    assert set(described["paths"]) == {
        "/api/v1/calls",
        "/api/v1/calls/{call_id}",
        *(
            f"/api/v1/calls/{{call_id}}/{name}"
            for name in (
                *("answer", "hangup", "hold", "resume", "mute", "unmute", "dtmf", "keys", "record"),
                *("agent", "transfer", "play", "say", "stop", "streams", "bridge", "unbridge", "supervise"),
            )
        ),
        "/api/v1/stream/start",
        "/api/v1/stream/stop",
        "/api/v1/sessions",
        "/api/v1/sessions/{call_id}",
        "/api/v1/sessions/{call_id}/recording",
        "/api/v1/sessions/{call_id}/signalling",
        "/api/v1/sessions/{call_id}/signalling.pcap",
        "/api/v1/memories",
        "/api/v1/events",
        "/api/v1/keys",
        "/api/v1/keys/{key_id}",
        "/api/v1/tokens",
        "/api/v1/stream/schema",
        "/api/v1/campaigns",
        "/api/v1/campaigns/{campaign_id}",
        *(
            f"/api/v1/campaigns/{{campaign_id}}/{name}"
            for name in (
                *("contacts", "start", "resume", "pause", "drain", "cancel"),
                *("attempts", "results", "report"),
            )
        ),
        "/api/v1/do-not-call",
        "/api/v1/do-not-call/{number}",
        "/api/v1/work",
        "/api/v1/nodes",
        "/api/v1/nodes/{node_id}/drain",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    schemas = described["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    assert {"Problem", "FieldProblem"} <= set(schemas)
    for path, methods in described["paths"].items():
        for method in methods.values():
            assert ("security" in method) == path.startswith("/api/v1")
            for status, response in method["responses"].items():
                if status.startswith("4"):
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
    places = described["paths"]["/api/v1/calls"]["post"]["responses"]
    assert set(places) == {"201", "400", "401", "403", "413", "422", "429", "502", "503"}
    assert "from" in schemas["CallInfo"]["properties"]
    assert "from" in schemas["PlaceCall"]["properties"]


async def test_the_documentation_page_is_there(api: Api) -> None:
    assert (await api.stranger.get("/docs")).status_code == 200


async def test_the_streaming_protocol_describes_itself(api: Api) -> None:
    answer = await api.client.get("/api/v1/stream/schema")
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json() == parley_schema()
