# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: checks one after the other, a table, an exit code."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal
from urllib.parse import urlsplit

from websockets.exceptions import InvalidHandshake, InvalidStatus

from gateway.conformance.caller import Target
from gateway.conformance.checks import CHECKS, Check, Failed, Skipped
from gateway.signing import SigningSecret
from gateway.streams.messages import StreamFormat

_CHECK_S = 30.0

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check came to."""

    check: str
    status: Status
    proves: str
    remark: str


def main(options: argparse.Namespace) -> int:
    """Run the checks; the exit code."""
    try:
        target, checks = _target(options), _chosen(options.only)
    except ValueError as error:
        print(f"parley: {error}", file=sys.stderr)
        return 2
    outcomes = asyncio.run(examine(target, checks))
    failed = any(outcome.status == "failed" for outcome in outcomes)
    if options.json:
        print(json.dumps({"ok": not failed, "url": options.url, "checks": [asdict(one) for one in outcomes]}))
    else:
        print(_table(outcomes))
    return int(failed)


async def examine(target: Target, checks: Sequence[Check] = CHECKS) -> list[Outcome]:
    """Every check on a connection of its own. When the first cannot connect, the others are not tried."""
    outcomes: list[Outcome] = []
    for check in checks:
        outcome, reached = await _examine(target, check)
        outcomes.append(outcome)
        if not reached:
            break
    return outcomes


async def _examine(target: Target, check: Check) -> tuple[Outcome, bool]:
    """The outcome, and whether there is somebody to go on with."""
    proves = (check.__doc__ or "").strip()
    status: Status = "failed"
    reached = True
    try:
        async with asyncio.timeout(_CHECK_S):
            remark = await check(target)
        status = "passed"
    except Failed as failure:
        remark = str(failure)
    except Skipped as skipped:
        status, remark = "skipped", str(skipped)
    except InvalidStatus as refusal:
        reached, remark = False, f"the upgrade was answered with HTTP {refusal.response.status_code}"
    except (OSError, TimeoutError, InvalidHandshake) as error:
        reached, remark = False, f"no connection: {error or type(error).__name__}"
    return Outcome(check.__name__, status, proves, remark), reached


def _target(options: argparse.Namespace) -> Target:
    """Raises `ValueError`."""
    parts = urlsplit(options.url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{options.url!r} is no WebSocket URL: ws://HOST[:PORT]/PATH or wss://...")
    rate_hz = options.sample_rate or 8000
    if options.codec != "l16" and rate_hz != 8000:
        raise ValueError(f"{options.codec} has 8000 Hz")
    secrets = tuple(SigningSecret.parse(secret) for secret in options.secret)
    return Target(options.url, StreamFormat(options.codec, rate_hz), secrets, options.token)


def _chosen(names: Sequence[str]) -> Sequence[Check]:
    """Raises `ValueError`."""
    known = {check.__name__: check for check in CHECKS}
    for name in names:
        if name not in known:
            raise ValueError(f"there is no check {name!r}: {', '.join(known)}")
    return [known[name] for name in names] or CHECKS


def _table(outcomes: Sequence[Outcome]) -> str:
    width = max(len(outcome.check) for outcome in outcomes)
    lines = []
    for one in outcomes:
        lines.append(f"{one.status:7}  {one.check:{width}}  {one.proves}")
        if one.remark:
            lines.append(f"{'':7}  {'':{width}}    {one.remark}")
    counts = {status: sum(one.status == status for one in outcomes) for status in ("passed", "failed", "skipped")}
    lines.append(", ".join(f"{count} {status}" for status, count in counts.items()))
    return "\n".join(lines)
