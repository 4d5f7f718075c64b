# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against the real application, over scripted calls."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

import gateway.client.client
from gateway.client import (
    ApiError,
    BadAnswer,
    Conflict,
    FarEndRefused,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotReachable,
    ParleyClient,
    PlayOrder,
    StreamOrder,
    TooManyRequests,
    Unavailable,
)
from gateway.errors import CallRefused, NoSuchAgent, TooManyCalls, WrongCallState
from tests.gateway.client.api_models import client_models
from tests.gateway.test_api_calls import KEY, Api, running_api

MODELS = Path(gateway.client.client.__file__).with_name("models.py")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def parley(api: Api) -> AsyncIterator[ParleyClient]:
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    async with ParleyClient("http://parley", KEY, transport=transport) as client:
        yield client


async def test_a_call_is_placed_found_and_ended(api: Api, parley: ParleyClient) -> None:
    placed = await parley.place(
        "sip:ann@example.com",
        from_="sip:desk@example.org",
        stream=StreamOrder(stream_url="wss://bot.example.com", codec="pcmu"),
        play=PlayOrder(file="hello.wav"),
        metadata={"order": "7"},
        timeout_s=20,
    )
    assert (placed.call_id, placed.from_, placed.state) == ("call_1", "sip:desk@example.org", "dialing")
    assert placed.metadata == {"order": "7"}
    assert await parley.call("call_1") == placed
    assert await parley.calls() == (placed,)
    await parley.hangup("call_1", code=486)
    assert api.calls.asked[-1][:2] == ("hangup", "call_1")


async def test_the_same_key_places_one_call(api: Api, parley: ParleyClient) -> None:
    first = await parley.place("100", idempotency_key="k1")
    assert await parley.place("100", idempotency_key="k1") == first
    assert (await parley.place("100")).call_id != first.call_id
    assert len(api.calls.live) == 2


async def test_a_connection_that_breaks_while_a_call_is_placed_is_tried_again_with_the_same_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway.client.client, "_PLACE_PAUSES_S", (0.0, 0.0))
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        raise httpx.ReadError("broken")

    async with ParleyClient("http://parley", KEY, transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(NotReachable) as failure:
            await client.place("100")
    assert failure.value.retryable
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_the_wrong_key_is_not_allowed(api: Api) -> None:
    async with ParleyClient("http://parley", "wrong", transport=httpx.ASGITransport(api.app)) as stranger:
        with pytest.raises(NotAllowed) as refusal:
            await stranger.calls()
    assert (refusal.value.status, refusal.value.retryable) == (401, False)


@pytest.mark.parametrize(
    ("fault", "kind", "type_", "retryable", "retry_after_s"),
    [
        (NoSuchAgent("nobody"), InvalidRequest, "urn:parley:problem:no-such-agent", False, None),
        (WrongCallState("no"), Conflict, "urn:parley:problem:wrong-call-state", False, None),
        (CallRefused(486, "Busy Here"), FarEndRefused, "urn:parley:problem:call-refused", False, None),
        (TooManyCalls("full"), Unavailable, "urn:parley:problem:too-many-calls", True, 5.0),
        (RuntimeError("bug"), Unavailable, "about:blank", False, None),
    ],
)
async def test_problems_become_errors(
    api: Api,
    parley: ParleyClient,
    fault: Exception,
    kind: type[ApiError],
    type_: str,
    retryable: bool,
    retry_after_s: float | None,
) -> None:
    api.calls.refuse_with = fault
    with pytest.raises(ApiError) as refusal:
        await parley.hold("call_1")
    error = refusal.value
    assert (type(error), error.type, error.retryable, error.retry_after_s) == (kind, type_, retryable, retry_after_s)


async def test_a_wrong_field_is_named(parley: ParleyClient) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await parley.dtmf("call_1", "12x")
    assert list(refusal.value.fields) == ["body.digits"]
    assert str(refusal.value).startswith("422 body.digits: ")


async def test_what_is_not_there_is_not_found(parley: ParleyClient) -> None:
    for look in (parley.call("no/such?call"), parley.session("none"), parley.erase_session("none")):
        with pytest.raises(NotFound):
            await look


async def test_a_recording_that_is_not_there_leaves_no_file(parley: ParleyClient, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await parley.save_recording("none", tmp_path / "none.wav")
    assert not (tmp_path / "none.wav").exists()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(429, headers={"Retry-After": "3"}), TooManyRequests),
        (httpx.Response(504, text="<html>a proxy's page"), Unavailable),
        (httpx.Response(405, json=["no", "object"]), InvalidRequest),
        (httpx.Response(200, text="<html>hello"), BadAnswer),
        (httpx.Response(200, json={"calls": [{"call_id": "1"}]}), BadAnswer),
    ],
)
async def test_whatever_answers_there_is_one_kind_of_error(answer: httpx.Response, kind: type[Exception]) -> None:
    async with ParleyClient("http://parley", KEY, transport=httpx.MockTransport(lambda _: answer)) as client:
        with pytest.raises(kind) as refusal:
            await client.calls()
    assert getattr(refusal.value, "retry_after_s", None) == (3.0 if kind is TooManyRequests else None)


async def test_where_nobody_listens_it_says_so() -> None:
    async with ParleyClient("http://127.0.0.1:1", KEY) as client:
        with pytest.raises(NotReachable, match=r"http://127\.0\.0\.1:1"):
            await client.calls()


EVERYTHING: list[Callable[[ParleyClient], Awaitable[object]]] = [
    lambda client: client.place("100"),
    lambda client: client.calls(),
    lambda client: client.call("c"),
    lambda client: client.answer("c"),
    lambda client: client.hangup("c"),
    lambda client: client.hold("c"),
    lambda client: client.resume("c"),
    lambda client: client.mute("c", "theirs"),
    lambda client: client.unmute("c"),
    lambda client: client.dtmf("c", "1"),
    lambda client: client.keys("c", secret=True),
    lambda client: client.play("c", file="a.wav"),
    lambda client: client.say("c", "hello"),
    lambda client: client.stop("c", "p"),
    lambda client: client.record("c", "pause"),
    lambda client: client.transfer("c", "sip:a@192.0.2.1"),
    lambda client: client.agent("c", "receptionist"),
    lambda client: client.bridge("c", to="sip:a@192.0.2.1"),
    lambda client: client.unbridge("c"),
    lambda client: client.supervise("c", "d", "whisper"),
    lambda client: client.start_stream("c", StreamOrder(stream_url="wss://bot.example.com")),
    lambda client: client.stop_stream("s"),
    lambda client: client.streams("c"),
    lambda client: client.create_token("c"),
    lambda client: client.past_events(7, call_id="c", kinds=["call.*"]),
    lambda client: client.create_key("dashboard", ["calls:read"]),
    lambda client: client.api_keys(),
    lambda client: client.revoke_key("key_1"),
    lambda client: client.sessions(before="c"),
    lambda client: client.session("c"),
    lambda client: client.erase_session("c"),
    lambda client: client.memories("+15550100"),
    lambda client: client.forget("+15550100"),
    lambda client: client.save_recording("c", Path("/nonexistent/c.wav")),
    lambda client: client.signalling("c"),
    lambda client: client.work(),
    lambda client: client.nodes(),
    lambda client: client.drain("n"),
    lambda client: client.save_capture("c", Path("/nonexistent/c.pcap")),
    lambda client: client.campaigns.create("winter", {}),
    lambda client: client.campaigns.listed(),
    lambda client: client.campaigns.get("c"),
    lambda client: client.campaigns.add_contacts("c", b"number\n100\n"),
    lambda client: client.campaigns.start("c"),
    lambda client: client.campaigns.pause("c"),
    lambda client: client.campaigns.resume("c"),
    lambda client: client.campaigns.drain("c"),
    lambda client: client.campaigns.cancel("c", hang_up=True),
    lambda client: client.campaigns.remove("c"),
    lambda client: client.campaigns.attempts("c", outcomes=["busy"]),
    lambda client: client.campaigns.results("c", "jsonl", after=7).__aenter__(),
    lambda client: client.campaigns.save_report("c", Path("/nonexistent/c.html")),
    lambda client: anext(client.campaigns.do_not_call()),
    lambda client: client.campaigns.add_do_not_call("+15550100"),
    lambda client: client.campaigns.remove_do_not_call("+15550100", "c"),
]
ELSEWHERE = {("get", "/api/v1/stream/schema")}
"""What needs no method: a document for people and their tools."""


async def test_there_is_a_method_for_everything_the_api_can_do(api: Api) -> None:
    asked: list[tuple[str, str]] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append((request.method.lower(), request.url.path))
        return httpx.Response(500)

    async with ParleyClient("http://parley", KEY, transport=httpx.MockTransport(note)) as client:
        for ask in EVERYTHING:
            with pytest.raises(Unavailable):
                await ask(client)
    described = {
        (method, path)
        for path, methods in api.app.openapi()["paths"].items()
        if path.startswith("/api/v1")
        for method in methods
    }
    covered = {
        (method, path)
        for method, path in described
        for asked_method, asked_path in asked
        if method == asked_method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), asked_path)
    }
    assert described - covered == ELSEWHERE
    assert len(covered) == len(asked)


def test_the_models_are_those_of_the_api(api: Api) -> None:
    source = client_models(api.app.openapi())
    formatted = subprocess.run(
        [Path(sys.executable).parent / "ruff", "format", "-"], input=source, capture_output=True, text=True, check=True
    ).stdout
    assert MODELS.read_text() == formatted, "run scripts/generate_client_models"


def test_it_needs_neither_a_gateway_nor_models() -> None:
    """The modules that a gateway needs beyond the client's own are not even looked for."""
    blocked = (
        "pjsua2 numpy scipy soxr av ctranslate2 onnxruntime piper tokenizers webrtcvad cryptography fastapi starlette "
        "uvicorn uvloop sqlalchemy alembic aiosqlite prometheus_client structlog media agent"
    )
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked.split()!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
import gateway.client
print(len(gateway.client.__all__))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
