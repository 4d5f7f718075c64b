# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `parley`: arguments in, exit codes out (0 it worked, 1 it did not, 2 bad usage or settings).

What a command does lies elsewhere: `gateway.app`, `gateway.softphone`, `gateway.doctor`, the HTTP API of a gateway that
runs. Those are imported when the command needs them, so that `--help` is quick and works without pjsua2.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args
from urllib.parse import quote

import httpx

from agent.errors import KnowledgeError, ModelError
from agent.local.models import default_model_folder
from gateway.config import VERSION, Config
from gateway.conformance.arguments import DESCRIPTION as CONFORMANCE
from gateway.conformance.arguments import add_arguments as add_conformance_arguments
from gateway.environment import default_config_file, load_config
from gateway.errors import ConfigError, StartupError
from gateway.evaluation.arguments import DESCRIPTION as EVALUATION
from gateway.evaluation.arguments import add_arguments as add_evaluation_arguments
from gateway.sip.ladder import ladder, texts
from gateway.softphone.arguments import add_arguments as add_softphone_arguments
from gateway.streams.messages import ProtocolName
from gateway.telemetry.logs import configure_logging
from media.errors import AudioFileError

_POLL_S = 0.5
_RECORD_S = 5.0

_CANNOT_START = (ConfigError, StartupError, ModelError, KnowledgeError, AudioFileError)
"""What stands between the operator and a running gateway: said in one line each, exit code 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except _CANNOT_START as error:
        _complain([error])
    except BaseExceptionGroup as group:
        # A start that failed inside a TaskGroup comes wrapped.
        expected, others = group.split(_CANNOT_START)
        if expected is None or others is not None:
            raise
        _complain(_leaves(expected))
    except KeyboardInterrupt:
        return 1
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="parley", description="A self-hosted voice gateway with an embedded agent.")
    parser.add_argument("--version", action="version", version=f"parley {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the gateway", description="Run the gateway until SIGTERM.")
    _add_config(serve)
    serve.set_defaults(run=_serve)

    call = commands.add_parser("call", help="place a call through the gateway that runs", description=_call.__doc__)
    call.add_argument("to", metavar="TO", help="SIP URI, or a number for the trunk")
    who = call.add_mutually_exclusive_group()
    who.add_argument("--agent", metavar="NAME", help="who talks (default: the only agent)")
    who.add_argument("--stream", metavar="URL", help="a backend in place of an agent: wss://...")
    who.add_argument("--play", metavar="FILE", help="a recording alone: in the gateway's media.prompts_dir, or a URL")
    call.add_argument("--protocol", choices=get_args(ProtocolName), help="that the backend speaks (default: parley)")
    call.add_argument("--profile", metavar="TRUNK", help="name of the trunk to go through")
    call.add_argument("--from", dest="from_", metavar="ADDRESS", help="our address as the far end sees it")
    call.add_argument("--timeout", type=float, default=60.0, metavar="S", help="how long it may ring (default 60)")
    call.add_argument("--url", help="where the gateway's API is (default: as configured)")
    call.add_argument("--json", action="store_true", help="print the session as JSON")
    _add_config(call)
    call.set_defaults(run=_call)

    trace = commands.add_parser("trace", help="the SIP messages of a call, as a ladder", description=_trace.__doc__)
    trace.add_argument("call", metavar="CALL", help="its id, or `last`")
    trace.add_argument("--full", action="store_true", help="the messages, whole")
    trace.add_argument("--pcap", type=Path, metavar="FILE", help="write them as a capture for Wireshark or sngrep")
    trace.add_argument("--url", help="where the gateway's API is (default: as configured)")
    trace.add_argument("--json", action="store_true", help="print the messages as JSON")
    _add_config(trace)
    trace.set_defaults(run=_trace)

    token = commands.add_parser("token", help="a token with which a backend attaches to a call, once")
    token.add_argument("--scope", choices=("stream", "listen"), required=True, help="what the backend may do")
    token.add_argument(
        "--ttl", type=int, default=60, metavar="S", help="seconds until it is worth nothing (default 60)"
    )
    token.add_argument("--call", metavar="CALL_ID", help="the only call it is good for (default: any one call)")
    token.set_defaults(run=_token)

    keys = commands.add_parser("keys", help="API keys with scopes, in the gateway that runs")
    verbs = keys.add_subparsers(required=True, metavar="COMMAND")
    add = verbs.add_parser("add", help="make a key and print it, this once")
    add.add_argument("name", metavar="NAME", help="what it is for")
    add.add_argument("--scopes", required=True, metavar="LIST", help="calls:read,calls:write,streams,... or admin")
    add.add_argument("--days", type=int, metavar="N", help="how long it is good (default: until it is revoked)")
    add.set_defaults(run=_add_key)
    listing = verbs.add_parser("list", help="the keys, without what opens")
    listing.set_defaults(run=_list_keys)
    revoke = verbs.add_parser("revoke", help="a key opens nothing from now on")
    revoke.add_argument("key_id", metavar="KEY_ID")
    revoke.set_defaults(run=_revoke_key)
    for command in (token, add, listing, revoke):
        command.add_argument("--url", help="where the gateway's API is (default: as configured)")
        command.add_argument("--json", action="store_true", help="print one JSON object")
        _add_config(command)

    mcp = commands.add_parser("mcp", help="offer the gateway that runs to a kit that speaks MCP over stdio")
    mcp.add_argument("--url", help="where the gateway's API is (default: as configured)")
    _add_config(mcp)
    mcp.set_defaults(run=_mcp)

    profiles = commands.add_parser("profiles", help="what Parley knows of providers and PBXs (docs/trunks.md)")
    profiles.add_argument("names", nargs="*", metavar="[check] [NAME]", help="check: look for faults; NAME: show one")
    profiles.add_argument("--json", action="store_true", help="print one JSON object")
    profiles.set_defaults(run=_profiles)

    doctor = commands.add_parser("doctor", help="check this machine, and say how to fix it")
    doctor.add_argument("--services", action="store_true", help="try every configured service instead, and time it")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    _add_config(doctor)
    doctor.set_defaults(run=_doctor)

    recording = commands.add_parser("recording", help="read recordings that are encrypted at rest")
    recordings = recording.add_subparsers(required=True, metavar="COMMAND")
    decrypt = recordings.add_parser("decrypt", help="write a recording in clear", description=_decrypt.__doc__)
    decrypt.add_argument("file", type=Path, metavar="FILE", help="CALL_ID.wav.enc or CALL_ID.ogg.enc")
    decrypt.add_argument("-o", "--out", type=Path, metavar="OUT", help="where to (default: FILE without .enc)")
    _add_config(decrypt)
    decrypt.set_defaults(run=_decrypt)

    conformance = commands.add_parser("conformance", help="test a streaming backend", description=CONFORMANCE)
    add_conformance_arguments(conformance)
    conformance.set_defaults(run=_conformance)

    evaluation = commands.add_parser("eval", help="call an agent as a scenario has it", description=EVALUATION)
    add_evaluation_arguments(evaluation)
    _add_config(evaluation)
    evaluation.set_defaults(run=_evaluate)

    softphone = commands.add_parser("softphone", help="call a SIP address, speak to it and measure its answers")
    add_softphone_arguments(softphone)
    softphone.set_defaults(run=_softphone)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration (default: parley.toml here, if there is one)"
    )


def _config(options: argparse.Namespace) -> Config:
    return load_config(options.config or default_config_file(Path()), os.environ)


# Commands


def _serve(options: argparse.Namespace) -> int:
    config = _config(options)
    _allow_open_files(config.open_files)
    from gateway.app import run

    return run(config)


def _softphone(options: argparse.Namespace) -> int:
    configure_logging("warning")
    options.models = options.models or default_model_folder(os.environ)
    from gateway.softphone.main import main as softphone

    return softphone(options)


def _evaluate(options: argparse.Namespace) -> int:
    configure_logging("error")
    options.models = options.models or default_model_folder(os.environ)
    if options.target is None:
        options.config = options.config or default_config_file(Path())
    from gateway.evaluation.main import main as evaluation

    return evaluation(options)


def _conformance(options: argparse.Namespace) -> int:
    from gateway.conformance.main import main as conformance

    return conformance(options)


def _doctor(options: argparse.Namespace) -> int:
    config = _config(options)
    configure_logging("error")
    if options.services:
        return _try_services(config, as_json=options.json)
    from gateway.doctor import examine

    findings = examine(config)
    failed = any(finding.status == "fail" for finding in findings)
    if options.json:
        checks = [
            {"check": one.check, "status": one.status, "detail": one.detail, "fix": one.fix or None} for one in findings
        ]
        print(json.dumps({"ok": not failed, "checks": checks}))
        return int(failed)
    for finding in findings:
        print(f"{finding.status:4}  {finding.check}: {finding.detail}")
        if finding.fix:
            print(f"      fix: {finding.fix}")
    return int(failed)


def _profiles(options: argparse.Namespace) -> int:
    from gateway.trunks import listing

    checks = options.names[:1] == ["check"]
    names = options.names[1:] if checks else options.names
    return listing.check(names, as_json=options.json) if checks else listing.show(names, as_json=options.json)


def _try_services(config: Config, *, as_json: bool) -> int:
    from gateway.services.probes import probe_services

    try:
        probes = asyncio.run(probe_services(config))
    except ModelError as error:
        _fail(str(error))
    failed = any(probe.status == "fail" for probe in probes)
    if as_json:
        print(json.dumps({"ok": not failed, "services": [probe.as_json() for probe in probes]}))
        return int(failed)
    if not probes:
        print("no services are configured ([services.NAME] in parley.toml, see docs/services.md)")
        return 0
    rows: list[tuple[str, ...]] = [("", "service", "kind", "role", "connect ms", "first ms", "all ms", "")]
    for probe in probes:
        times = (probe.connect_ms, probe.first_ms, probe.total_ms)
        shown = ("-" if time_ms is None else f"{time_ms:.0f}" for time_ms in times)
        rows.append((probe.status, probe.service, probe.kind, probe.role, *shown, probe.detail))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for index, row in enumerate(rows):
        left = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(row[4:7], widths[4:], strict=False)]
        print("  ".join((*left, *right, row[7])).rstrip())
        if index and (fix := probes[index - 1].fix):
            print(f"      fix: {fix}")
    return int(failed)


def _call(options: argparse.Namespace) -> int:
    """Place a call through the gateway that runs, wait for its end and print what was said. Exit code 0 when it was
    answered. Interrupting (Ctrl-C) hangs up."""
    config = _config(options)
    with _api(config, options.url) as api:
        order = {
            "to": options.to,
            "from": options.from_,
            "profile": options.profile,
            **_purpose(options),
            "timeout_s": options.timeout,
        }
        placed = api.post("/calls", json={key: value for key, value in order.items() if value is not None})
        call_id = str(_answer(placed)["call_id"])
        try:
            _wait_until_over(api, call_id)
        except KeyboardInterrupt:
            api.post(f"/calls/{call_id}/hangup")
            _wait_until_over(api, call_id)
        session = _ended_session(api, call_id)
    print(json.dumps(session) if options.json else _told(session))
    return 0 if session["answered_at"] else 1


def _purpose(options: argparse.Namespace) -> dict[str, Any]:
    """What the call is for, as `POST /calls` takes it."""
    if options.protocol is not None and options.stream is None:
        _misused("--protocol is for --stream")
    if options.stream is not None:
        return {"stream": {"stream_url": options.stream, "protocol": options.protocol or "parley"}}
    if options.play is not None:
        source = "url" if options.play.startswith(("https://", "http://")) else "file"
        return {"play": {source: options.play}}
    return {"agent": options.agent}


def _trace(options: argparse.Namespace) -> int:
    """Show what passed between the gateway and a peer on a call, also while it runs. Exit code 1 when nothing was kept
    (trace.keep)."""
    with _api(_config(options), options.url) as api:
        call_id = str(options.call)
        if call_id == "last":
            sessions = _answer(api.get("/sessions", params={"limit": 1}))["sessions"]
            if not sessions:
                _misused("there was no call yet")
            call_id = str(sessions[0]["call_id"])
        messages = _answer(api.get(f"/sessions/{call_id}/signalling"))["messages"]
        if options.pcap is not None:
            capture = api.get(f"/sessions/{call_id}/signalling.pcap")
            options.pcap.write_bytes(capture.raise_for_status().content)
    if options.json:
        print(json.dumps(messages))
    elif options.pcap is not None:
        print(f"{options.pcap}: {len(messages)} messages of {call_id}")
    else:
        print(f"{call_id}\n{texts(messages) if options.full else ladder(messages)}")
    return 0 if messages else 1


def _token(options: argparse.Namespace) -> int:
    order = {"scope": options.scope, "ttl_s": options.ttl, "call_id": options.call}
    with _api(_config(options), options.url) as api:
        issued = _answer(api.post("/tokens", json=order))
    print(json.dumps(issued) if options.json else issued["token"])
    return 0


def _add_key(options: argparse.Namespace) -> int:
    scopes = [scope for scope in options.scopes.split(",") if scope]
    with _api(_config(options), options.url) as api:
        created = _answer(api.post("/keys", json={"name": options.name, "scopes": scopes, "ttl_days": options.days}))
    print(json.dumps(created) if options.json else f"{created['key']}\n{created['key_id']}: shown this once")
    return 0


def _list_keys(options: argparse.Namespace) -> int:
    with _api(_config(options), options.url) as api:
        listed = _answer(api.get("/keys"))
    if options.json:
        print(json.dumps(listed))
    else:
        for key in listed["keys"]:
            until = f", until {key['expires_at']}" if key["expires_at"] else ""
            print(f"{key['key_id']}  {key['name']}: {', '.join(key['scopes'])}{until}")
    return 0


def _revoke_key(options: argparse.Namespace) -> int:
    with _api(_config(options), options.url) as api:
        _answer(api.delete(f"/keys/{quote(options.key_id, safe='')}"))
    return 0


def _decrypt(options: argparse.Namespace) -> int:
    """Write an encrypted recording in clear, with the key of the configuration (PARLEY_STORE__ENCRYPTION_KEY). Nothing
    is overwritten. Exit code 0, also for a recording that breaks off, which is said; 1 when it cannot be read."""
    from media.errors import MediaError
    from media.recording_source import RecordingSource
    from media.sealed import SEALED_SUFFIX

    if not options.file.name.endswith(SEALED_SUFFIX):
        _fail(f"{options.file.name} is not encrypted (its name does not end with {SEALED_SUFFIX}): play it as it is")
    out: Path = options.out or options.file.with_suffix("")
    try:
        with RecordingSource(options.file, _config(options).store.key) as source:
            target = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(target, "wb") as file:
                    for block in source.read():
                        file.write(block)
            except BaseException:
                out.unlink()  # half a recording would look like a whole one
                raise
            if source.is_truncated:
                print(f"parley: {options.file.name} breaks off: its end was never written, or is cut", file=sys.stderr)
    except MediaError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or out}: {error.strerror}")
    print(out)
    return 0


# The API of a gateway that runs


def _address_and_key(config: Config, url: str | None) -> tuple[str, str]:
    from gateway.api.auth import known_api_key

    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.http.host, config.http.host)
    address = (url or f"http://{host}:{config.http.port}").rstrip("/")
    return address, os.environ.get("PARLEY_API_KEY") or known_api_key(config) or ""


def _mcp(options: argparse.Namespace) -> int:
    """Serve MCP on standard input and output until it ends."""
    from gateway.mcp.stdio import serve_stdio

    asyncio.run(serve_stdio(*_address_and_key(_config(options), options.url)))
    return 0


@contextlib.contextmanager
def _api(config: Config, url: str | None) -> Iterator[httpx.Client]:
    address, key = _address_and_key(config, url)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=30.0) as client:
            yield client
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _fail(f"no gateway answers at {address} ({error}); start one with parley serve, or name it with --url")


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except json.JSONDecodeError:
        content = {}
    if not isinstance(content, dict):
        content = {}
    if response.is_success:
        return content
    fields = "; ".join(f"{one['field']}: {one['detail']}" for one in content.get("errors") or ())
    said = fields or content.get("detail") or content.get("title") or response.reason_phrase
    _fail(f"the gateway refused ({response.status_code}): {said}")


def _wait_until_over(api: httpx.Client, call_id: str) -> None:
    while True:
        response = api.get(f"/calls/{call_id}")
        if response.status_code == httpx.codes.NOT_FOUND or _answer(response)["state"] == "ended":
            return
        time.sleep(_POLL_S)


def _ended_session(api: httpx.Client, call_id: str) -> dict[str, Any]:
    """The record: it is complete a moment after the call is over."""
    deadline = time.monotonic() + _RECORD_S
    while True:
        session = _answer(api.get(f"/sessions/{call_id}"))
        if session["ended_at"] or time.monotonic() > deadline:
            return session
        time.sleep(_POLL_S)


def _told(session: dict[str, Any]) -> str:
    answered = "answered" if session["answered_at"] else "not answered"
    lines = [f"{session['call_id']}: {answered}, ended: {session['end_reason']}"]
    for entry in session["transcript"]:
        text = entry["text"] if entry["heard_text"] is None else entry["heard_text"]
        lines.append(f"  {entry['role']}: {text}{' [interrupted]' if entry['interrupted'] else ''}")
    if session["recording"]:
        lines.append(f"  recording: {session['recording']}")
    return "\n".join(lines)


# Plumbing


def _allow_open_files(needed: int) -> None:
    """Raise the soft limit as far as is needed and allowed; `parley doctor` tells when that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _complain(errors: Sequence[BaseException]) -> None:
    for error in errors:
        lines = [str(fault) for fault in error.faults] if isinstance(error, ConfigError) else [str(error)]
        for line in lines:
            print(f"parley: {line}", file=sys.stderr)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


def _misused(message: str) -> NoReturn:
    print(f"parley: {message}", file=sys.stderr)
    raise SystemExit(2)


def _fail(message: str) -> NoReturn:
    print(f"parley: {message}", file=sys.stderr)
    raise SystemExit(1)
