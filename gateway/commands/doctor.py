# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley doctor`: this machine and the configured services, looked over."""

import argparse
import asyncio
import json

from agent.errors import ModelError
from gateway.commands.api import Subcommands, add_config, add_json, config_of
from gateway.commands.complaint import failed as ended
from gateway.config import Config
from gateway.telemetry.logs import configure_logging


def add_commands(commands: Subcommands) -> None:
    """To those of `parley`."""
    doctor = commands.add_parser("doctor", help="check this machine, and say how to fix it")
    doctor.add_argument("--services", action="store_true", help="try every configured service instead, and time it")
    add_json(doctor)
    add_config(doctor)
    doctor.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    config = config_of(options)
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


def _try_services(config: Config, *, as_json: bool) -> int:
    from gateway.services.probes import probe_services

    try:
        probes = asyncio.run(probe_services(config))
    except ModelError as error:
        ended(str(error))
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
