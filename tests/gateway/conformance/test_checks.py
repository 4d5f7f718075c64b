# SPDX-License-Identifier: GPL-3.0-or-later
"""The conformance checks pass backends that are right, and find in others the one thing that is wrong."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.client import DtmfMessage, SpeechMessage, StreamCall, serving
from gateway.conformance import checks
from gateway.conformance.caller import Target
from gateway.conformance.checks import CHECKS
from gateway.conformance.main import Outcome, examine
from gateway.signing import SigningSecret
from gateway.streams.messages import StreamFormat
from tests.gateway.conformance.broken_backend import BrokenBackend, Fault

ECHO = Path(__file__).parents[3] / "scripts/examples/echo_backend.py"


async def all_at_once(target: Target) -> dict[str, Outcome]:
    """Every check, side by side: the command takes them one after the other."""
    outcomes = await asyncio.gather(*(examine(target, [check]) for check in CHECKS))
    return {outcome.check: outcome for (outcome,) in outcomes}


def with_status(outcomes: dict[str, Outcome], status: str) -> set[str]:
    return {name for name, outcome in outcomes.items() if outcome.status == status}


async def test_a_backend_made_with_the_client_passes_everything() -> None:
    async def talkative(call: StreamCall) -> None:
        if not call.start.answered:
            await call.answer()
        playing: asyncio.Task[str] | None = None
        async for item in call:
            match item:
                case bytes():
                    await call.play(item)
                case SpeechMessage(state="started"):
                    await call.clear()
                case SpeechMessage(state="stopped"):
                    playing = asyncio.create_task(call.mark())
                case DtmfMessage():
                    await call.record("pause")
        if playing is not None:
            await asyncio.wait([playing])

    secret = SigningSecret.new()
    async with serving(talkative, secrets=[str(secret)]) as backend:
        outcomes = await all_at_once(Target(backend.url, StreamFormat("l16", 24000), (secret,)))
    assert with_status(outcomes, "passed") == set(outcomes), outcomes
    assert "clears" in outcomes["marks_and_clear"].remark


@pytest.mark.parametrize(
    ("fault", "found_by"),
    [
        ("none", None),
        ("no_subprotocol", checks.upgrade),
        ("closes_at_unknown_types", checks.later_versions),
        ("closes_at_keys", checks.events),
        ("wants_20_ms", checks.odd_chunks),
        ("floods", checks.flow_control),
        ("deaf_after_xoff", checks.flow_control),
        ("refuses_reconnection", checks.reconnection),
        ("closes_ringing_calls", checks.ringing),
        ("talks_to_ringing_calls", checks.ringing),
        ("nonsense", checks.audio),
        ("one_call_only", checks.two_calls),
        ("cannot_clear", checks.marks_and_clear),
    ],
)
async def test_the_one_thing_that_is_wrong_is_found(
    fault: Fault, found_by: checks.Check | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_PATIENCE_S", 1.0)  # what does not come is not waited for as long
    async with BrokenBackend(fault).running() as url:
        if found_by is None:
            assert not with_status(await all_at_once(Target(url)), "failed")
            return
        (outcome,) = await examine(Target(url), [found_by])
    assert outcome.status == "failed", outcome
    assert outcome.remark


async def test_a_backend_that_lets_anybody_in_fails_when_a_secret_was_agreed() -> None:
    async with BrokenBackend("none").running() as url:
        (outcome,) = await examine(Target(url, secrets=(SigningSecret.new(),)), [checks.wrong_signature])
    assert (outcome.status, outcome.remark) == ("failed", "it was let in")


async def test_a_silent_backend_has_the_rest_skipped() -> None:
    async def silent(call: StreamCall) -> None:
        await call.ended.wait()

    async with serving(silent) as backend:
        outcomes = await all_at_once(Target(backend.url))
    assert with_status(outcomes, "skipped") == {"wrong_signature", "marks_and_clear", "flow_control"}
    assert not with_status(outcomes, "failed")


async def test_where_nobody_listens_one_check_fails_and_the_others_are_not_tried() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        (outcome,) = await examine(Target(f"ws://127.0.0.1:{unused.getsockname()[1]}"))
    assert (outcome.check, outcome.status) == ("upgrade", "failed")
    assert "no connection" in outcome.remark


@pytest.fixture
def echo_backend() -> Iterator[str]:
    """The example as its own process; its URL."""
    with subprocess.Popen([sys.executable, str(ECHO), "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def test_the_command_prints_a_table_or_json_and_tells_by_its_exit_code(
    echo_backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["conformance", echo_backend, "--only", "upgrade", "--only", "later_versions"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "passed   upgrade" in shown.out
    assert shown.out.endswith("2 passed, 0 failed, 0 skipped\n")
    secret = str(SigningSecret.new())
    assert main(["conformance", echo_backend, "--only", "wrong_signature", "--secret", secret, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["checks"][0]["status"]) == (False, "failed")


@pytest.mark.parametrize(
    "arguments", [["http://127.0.0.1:1"], ["ws://127.0.0.1:1", "--only", "luck"], ["ws://h", "--secret", "short"]]
)
def test_bad_usage_is_exit_code_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", *arguments]) == 2
    assert capsys.readouterr().err.startswith("parley: ")
