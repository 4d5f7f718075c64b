# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: exit codes, messages, and `parley call` against a gateway's real HTTP port."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import gateway.commands.call
from gateway import cli
from gateway.api import CallInfo, bind_http, serving
from gateway.config import Config
from gateway.errors import ConfigError, Fault, NoSuchTrunk, StartupError
from gateway.store import TranscriptEntry
from media.sealed import Sealer
from media.wav import UNKNOWN_BYTES, wav_header
from tests.gateway.test_api_calls import KEY, STARTED, Api, running_api
from tests.gateway.test_store import NOON, session
from tests.media.decoder import KEY as SEALED_WITH

PARLEY = [sys.executable, "-m", "gateway"]


def run_parley(*arguments: str, folder: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", **environ}
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); "]
    command[-1] += "from gateway.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, cwd=folder, env=environ, timeout=60, check=False
    )


def test_help_and_version_work_and_a_wrong_command_is_exit_code_2(tmp_path: Path) -> None:
    helped = run_parley("--help", folder=tmp_path)
    assert helped.returncode == 0
    for command in ("serve", "call", "doctor", "softphone", "recording"):
        assert command in helped.stdout
        with pytest.raises(SystemExit, match="0"):
            cli.main([command, "--help"])
    assert run_parley("--version", folder=tmp_path).stdout.startswith("parley ")
    assert run_parley("dance", folder=tmp_path).returncode == 2
    assert run_parley(folder=tmp_path).returncode == 2


def test_help_needs_neither_pjsua2_nor_models() -> None:
    script = "import sys, gateway.cli; print([name for name in sys.modules if name in %r])"
    heavy = (
        "pjsua2",
        "uvicorn",
        "fastapi",
        "sqlalchemy",
        "onnxruntime",
        "ctranslate2",
        "piper",
        "scipy",
        "gateway.app",
    )
    loaded = subprocess.run([sys.executable, "-c", script % (heavy,)], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_a_broken_configuration_is_one_line_per_fault_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("[sip]\nport = 70000\nprot = 1\n")
    done = run_parley("serve", folder=tmp_path, PARLEY_CLUSTER__DEAD_AFTER_S="never")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0] == "parley: parley.toml: sip.port: must be less than or equal to 65535, not 70000"
    assert lines[2] == (
        "parley: PARLEY_CLUSTER__DEAD_AFTER_S: must be a valid number, unable to parse string as a number, not 'never'"
    )


@pytest.mark.parametrize(
    "raised",
    [
        StartupError("SIP port 5060 is taken"),
        ExceptionGroup("tasks", [ExceptionGroup("inner", [StartupError("SIP port 5060 is taken")])]),
        ConfigError((Fault("", "SIP port 5060 is taken"),)),
    ],
)
def test_what_prevents_the_start_is_one_message_and_exit_code_2(
    raised: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(options: object) -> int:
        raise raised

    monkeypatch.setattr(cli, "_serve", refuse)
    assert cli.main(["serve"]) == 2
    captured = capsys.readouterr()
    assert captured.err.replace("parley: : ", "parley: ") == "parley: SIP port 5060 is taken\n"
    assert captured.out == ""


def test_a_bug_is_not_dressed_up_as_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(options: object) -> int:
        raise ExceptionGroup("tasks", [StartupError("x"), RuntimeError("bug")])

    monkeypatch.setattr(cli, "_serve", stumble)
    with pytest.raises(ExceptionGroup):
        cli.main(["serve"])


# parley call


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


Command = Callable[..., "asyncio.Future[tuple[int, str, str]]"]


@pytest.fixture
async def parley_call(
    api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., object]]:
    """Runs `parley call ARGUMENTS` on a thread, against the application on a real port."""
    listener = bind_http("127.0.0.1", 0)
    monkeypatch.setenv("PARLEY_HTTP__PORT", str(listener.getsockname()[1]))
    monkeypatch.setenv("PARLEY_HTTP__API_KEYS", KEY)
    monkeypatch.setattr(gateway.commands.call, "_POLL_S", 0.01)

    async def run(*arguments: str) -> tuple[int, str, str]:
        def call() -> int:
            try:
                return cli.main(["call", *arguments])
            except SystemExit as leaving:
                return int(str(leaving.code))

        code = await asyncio.to_thread(call)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    async with serving(api.app, listener):
        yield run


async def a_call_that_ended(api: Api, *, answered: bool = True) -> None:
    """What the switchboard would have left behind by the time the first question after it comes."""
    await api.store.begin(session("call_1"))
    if answered:
        await api.store.answered("call_1", NOON, "PCMU")
        entry = TranscriptEntry(
            role="assistant", text="Hello there", started_ms=0, ended_ms=9, interrupted=True, heard_text="Hello"
        )
        await api.store.add_transcript("call_1", entry)
    await api.store.finish("call_1", NOON, "caller_hung_up" if answered else "timeout")
    place = api.calls.place

    async def place_and_end(*arguments: object, **keywords: object) -> CallInfo:
        call = await place(*arguments, **keywords)  # type: ignore[arg-type]
        api.calls.live.clear()
        return call

    api.calls.place = place_and_end  # type: ignore[method-assign]


async def test_an_answered_call_prints_what_was_said_and_exits_0(api: Api, parley_call: Command) -> None:
    await a_call_that_ended(api)
    code, out, _ = await parley_call("sip:ann@example.com", "--agent", "desk", "--profile", "acme", "--timeout", "9")
    assert code == 0
    assert out.splitlines() == ["call_1: answered, ended: caller_hung_up", "  assistant: Hello [interrupted]"]
    (order,) = api.calls.orders
    assert (order.to, order.agent, order.profile, order.timeout_s) == (
        "sip:ann@example.com",
        "desk",
        "acme",
        9.0,
    )


@pytest.mark.parametrize(
    ("arguments", "purpose"),
    [
        (("--stream", "wss://a.example/"), ("wss://a.example/", "parley", None, None)),
        (("--stream", "wss://a.example/", "--protocol", "twilio"), ("wss://a.example/", "twilio", None, None)),
        (("--play", "hello.wav"), (None, None, "hello.wav", None)),
        (("--play", "https://a.example/hello.wav"), (None, None, None, "https://a.example/hello.wav")),
    ],
)
async def test_a_stream_or_a_recording_may_have_the_call_in_place_of_an_agent(
    api: Api, parley_call: Command, arguments: tuple[str, ...], purpose: tuple[str | None, ...]
) -> None:
    await a_call_that_ended(api)
    assert (await parley_call("100", *arguments))[0] == 0
    (order,) = api.calls.orders
    stream, play = order.stream, order.play
    url, protocol = (stream.stream_url, stream.protocol) if stream is not None else (None, None)
    assert (url, protocol, play and play.file, play and play.url) == purpose
    assert order.agent is None


@pytest.mark.parametrize(
    "arguments", [("--agent", "desk", "--play", "a.wav"), ("--protocol", "twilio"), ("--protocol", "morse")]
)
async def test_what_a_call_cannot_be_for_is_bad_usage(api: Api, parley_call: Command, arguments: tuple[str]) -> None:
    code, _, err = await parley_call("100", *arguments)
    assert (code, api.calls.orders) == (2, [])
    assert "--p" in err


async def test_json_is_the_session_and_a_call_nobody_answered_exits_1(api: Api, parley_call: Command) -> None:
    await a_call_that_ended(api, answered=False)
    code, out, _ = await parley_call("100", "--json")
    assert code == 1
    printed = json.loads(out)
    assert (printed["call_id"], printed["end_reason"], printed["answered_at"]) == ("call_1", "timeout", None)


async def test_the_command_waits_until_the_call_is_over_and_its_record_complete(api: Api, parley_call: Command) -> None:
    await api.store.begin(session("call_1"))
    states = iter(["dialing", "active", "held", "ended"])

    finishing: list[asyncio.Future[None]] = []

    async def finish() -> None:
        await api.store.finish("call_1", NOON, "timeout")

    async def get(call_id: str) -> CallInfo:
        api.calls.asked.append(("get", call_id))
        if len(api.calls.asked) == 4:
            asyncio.get_running_loop().call_later(0.1, lambda: finishing.append(asyncio.ensure_future(finish())))
        return CallInfo.model_validate(
            {
                "call_id": call_id,
                "direction": "outbound",
                "from_": "a",
                "to": "b",
                "state": next(states),
                "started_at": STARTED,
            }
        )

    api.calls.get = get  # type: ignore[method-assign]
    code, out, _ = await parley_call("100")
    assert api.calls.asked == [("get", "call_1")] * 4
    assert (code, out) == (1, "call_1: not answered, ended: timeout\n")


async def test_a_refused_call_says_why_and_exits_1(api: Api, parley_call: Command) -> None:
    api.calls.refuse_with = NoSuchTrunk("there is no trunk for outgoing calls")
    code, out, err = await parley_call("100")
    assert (code, out) == (1, "")
    assert err == "parley: the gateway refused (422): there is no trunk for outgoing calls\n"


async def test_a_faulty_argument_is_named_as_the_gateway_names_it(parley_call: Command) -> None:
    code, _, err = await parley_call("100", "--timeout", "0.5")
    assert code == 1
    assert "body.timeout_s: Input should be greater than or equal to 1" in err


def test_without_a_gateway_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    done = run_parley("call", "100", "--url", "http://127.0.0.1:9", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("parley: no gateway answers at http://127.0.0.1:9 ")
    assert "parley serve" in done.stderr


def test_open_files_are_allowed_as_far_as_calls_need_them(tmp_path: Path) -> None:
    script = (
        "import resource; from gateway import cli; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1000)); cli._allow_open_files(700); "
        "first = resource.getrlimit(resource.RLIMIT_NOFILE); cli._allow_open_files(5000); "
        "print(first, resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(700, 1000) (1000, 1000)"
    assert Config().open_files == 5024


KEY_TEXT = base64.b64encode(bytes(range(32))).decode()


def sealed_recording(path: Path, *, ended: bool = True) -> bytes:
    clear = wav_header(8000, 2, UNKNOWN_BYTES) + bytes(800)
    sealer = Sealer(SEALED_WITH, ".wav", "call_1")
    path.write_bytes(sealer.header + sealer.seal(clear) + (sealer.seal(b"", last=True) if ended else b""))
    return wav_header(8000, 2, 800) + bytes(800)


def test_a_recording_is_decrypted_beside_the_encrypted_one_and_nothing_is_overwritten(tmp_path: Path) -> None:
    clear = sealed_recording(tmp_path / "call_1.wav.enc")
    done = run_parley("recording", "decrypt", "call_1.wav.enc", folder=tmp_path, PARLEY_STORE__ENCRYPTION_KEY=KEY_TEXT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "call_1.wav\n", "")
    assert (tmp_path / "call_1.wav").read_bytes() == clear
    assert (tmp_path / "call_1.wav").stat().st_mode & 0o777 == 0o600
    again = run_parley("recording", "decrypt", "call_1.wav.enc", folder=tmp_path, PARLEY_STORE__ENCRYPTION_KEY=KEY_TEXT)
    assert (again.returncode, again.stderr) == (1, "parley: call_1.wav: File exists\n")


def test_a_recording_that_breaks_off_is_decrypted_and_said_to(tmp_path: Path) -> None:
    clear = sealed_recording(tmp_path / "call_1.wav.enc", ended=False)
    arguments = ("recording", "decrypt", "call_1.wav.enc", "-o", "out.wav")
    done = run_parley(*arguments, folder=tmp_path, PARLEY_STORE__ENCRYPTION_KEY=KEY_TEXT)
    assert done.returncode == 0
    assert "breaks off" in done.stderr
    assert (tmp_path / "out.wav").read_bytes() == clear


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("call_1.wav.enc", "", "call_1.wav.enc is encrypted: set store.encryption_key"),
        ("call_1.wav.enc", base64.b64encode(bytes(32)).decode(), "was encrypted with another key"),
        ("call_2.wav.enc", KEY_TEXT, "call_2.wav.enc: No such file or directory"),
        ("damaged.wav.enc", KEY_TEXT, "damaged.wav.enc is damaged 0 bytes in"),
        ("call_1.wav", KEY_TEXT, "is not encrypted"),
    ],
)
def test_what_cannot_be_decrypted_is_one_line_and_leaves_no_file(
    tmp_path: Path, name: str, key: str, said: str
) -> None:
    sealed_recording(tmp_path / "call_1.wav.enc")
    content = bytearray((tmp_path / "call_1.wav.enc").read_bytes())
    content[-200] ^= 1
    (tmp_path / "damaged.wav.enc").write_bytes(content)
    environ = {"PARLEY_STORE__ENCRYPTION_KEY": key} if key else {}
    done = run_parley("recording", "decrypt", name, folder=tmp_path, **environ)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*.wav"))
