# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley profiles`: what is there, one of them, or what is wrong with them. Exit code 0, or 1 when something is."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from gateway.errors import ConfigError
from gateway.trunks.profile import TrunkProfile
from gateway.trunks.profiles import FOLDER, Finding, examine, load_profile, profile_file, profile_names


def show(names: Sequence[str], *, as_json: bool, folder: Path = FOLDER) -> int:
    """Print a table of all profiles, or all that the named ones say."""
    try:
        profiles = {name: _profile(name, folder) for name in names or profile_names(folder)}
    except ConfigError as error:
        for fault in error.faults:
            print(f"parley: {fault}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps({"profiles": {name: one.model_dump(mode="json") for name, one in profiles.items()}}))
    elif names:
        print("\n\n".join(profile_file(name, Path(), folder).read_text(encoding="utf-8").strip() for name in names))
    else:
        _print_table([_row(name, profile) for name, profile in profiles.items()])
        print('\nIn parley.toml: [[trunk]] profile = "NAME". All that one says: parley profiles NAME')
    return 0


def check(names: Sequence[str], *, as_json: bool, folder: Path = FOLDER, today: date | None = None) -> int:
    """Print what is wrong with the named profiles, or with all. Warnings alone are no failure."""
    today = today or datetime.now(UTC).date()
    names = names or profile_names(folder)
    findings = [finding for name in names for finding in _findings(name, folder, today)]
    failed = any(finding.status == "fail" for finding in findings)
    if as_json:
        told = [{"profile": one.profile, "status": one.status, "detail": one.detail} for one in findings]
        print(json.dumps({"ok": not failed, "checked": list(names), "findings": told}))
        return int(failed)
    for finding in findings:
        print(f"{finding.status:4}  {finding.profile}: {finding.detail}")
    print(f"{_count(len(names), 'profile')} checked, {_count(sum(one.status == 'fail' for one in findings), 'fault')}")
    return int(failed)


def _findings(name: str, folder: Path, today: date) -> list[Finding]:
    try:
        return list(examine(name, _profile(name, folder), today))
    except ConfigError as error:
        # A fault begins with its file, which the line that it is printed on does as well.
        return [Finding(name, "fail", str(fault).removeprefix(f"{name}: ")) for fault in error.faults]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _profile(name: str, folder: Path) -> TrunkProfile:
    return TrunkProfile.model_validate(load_profile(name, Path(), folder))


def _row(name: str, profile: TrunkProfile) -> tuple[str, ...]:
    verified = "" if profile.last_verified is None else profile.last_verified.isoformat()
    return (
        name,
        profile.title,
        profile.host or profile.host_form,
        str(len(profile.allow) or "-"),
        " ".join(profile.codecs),
        verified,
    )


def _print_table(rows: list[tuple[str, ...]]) -> None:
    rows.insert(0, ("profile", "for", "host", "networks", "codecs", "verified"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
