# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of sip_profiles: found by name, read, and checked for what their reader has to be able to rely on.

A profile is laid under its `[[trunk]]` before anything is validated (`gateway.environment`): what the trunk sets, wins.
"""

import ipaddress
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from gateway.errors import ConfigError, Fault
from gateway.trunks.profile import TrunkProfile

FOLDER = Path(__file__).resolve().parents[2] / "sip_profiles"
"""Beside our packages, in a checkout and in the wheel."""
_STALE_DAYS = 365
"""Providers move their networks; an address list as old as that is not to be believed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said about a profile."""

    profile: str
    status: Literal["fail", "warn"]
    detail: str


def profile_names(folder: Path = FOLDER) -> list[str]:
    """The profiles that come with Parley."""
    return sorted(file.stem for file in folder.glob("*.toml"))


def profile_file(name: str, folder: Path, shipped: Path = FOLDER) -> Path:
    """The file that a trunk's `profile` means: `twilio`, or `mine.toml` in the configuration's folder."""
    return folder / Path(name).expanduser() if name.endswith(".toml") else shipped / f"{name}.toml"


def read_profile(file: Path) -> dict[str, Any]:
    """What stands in the file, which is valid. Raises `ConfigError` with every fault."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError((Fault(str(file), "there is no such file"),)) from error
    except OSError as error:
        raise ConfigError((Fault(str(file), f"cannot be read: {error.strerror}"),)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError((Fault(str(file), f"is not valid TOML: {error}"),)) from error
    try:
        TrunkProfile.model_validate(table)
    except ValidationError as error:
        raise ConfigError(tuple(_faults(file, error))) from error
    return table


def _faults(file: Path, error: ValidationError) -> Iterator[Fault]:
    for detail in error.errors(include_url=False):
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in detail["loc"])
        problem = detail["msg"].removeprefix("Value error, ").replace("Input should ", "must ")
        if detail["type"] == "extra_forbidden":
            problem = "there is no such key"
        yield Fault(f"{file}: {key}", problem)


def load_profile(name: str, folder: Path, shipped: Path = FOLDER) -> dict[str, Any]:
    """The profile that a trunk names, from the configuration's folder. Raises `ConfigError`."""
    if not name.endswith(".toml") and name not in profile_names(shipped):
        known = ", ".join(profile_names(shipped))
        raise ConfigError((Fault(name, f"there is no profile {name!r}: one of {known}, or a file (mine.toml)"),))
    return read_profile(profile_file(name, folder, shipped))


def examine(name: str, profile: TrunkProfile, today: date) -> Iterator[Finding]:
    """What a valid profile still lacks, or has wrong."""
    facts = {
        "title": profile.title,
        "source": profile.source,
        "last_verified": profile.last_verified,
        "notes": profile.notes,
    }
    for key, value in facts.items():
        if not value:
            yield Finding(name, "fail", f"{key} is missing")
    if profile.last_verified is not None:
        age_days = (today - profile.last_verified).days
        if age_days < 0:
            yield Finding(name, "fail", f"last_verified is {-age_days} days from now")
        elif age_days > _STALE_DAYS and (profile.allow or profile.media_allow):
            yield Finding(name, "warn", f"nobody has compared its addresses for {age_days} days: see {profile.source}")
    if profile.host is not None and profile.host_form:
        yield Finding(name, "fail", "host and host_form: it is either the same for everybody or not")
    for key in ("allow", "media_allow"):
        for network in map(ipaddress.ip_network, getattr(profile, key)):
            if not network.is_global:
                yield Finding(name, "fail", f"{key} has {network}, which is no public network")
            elif network.version == 4 and network.prefixlen < 16:
                yield Finding(name, "fail", f"{key} has {network}: half the world could call")
    if profile.media_ports is not None and profile.media_ports[0] > profile.media_ports[1]:
        yield Finding(name, "fail", "media_ports ends before it begins")
    for key, problem in field_contradictions(profile).items():
        yield Finding(name, "fail", f"{key} {problem}")


def field_contradictions(profile: TrunkProfile) -> Mapping[str, str]:
    """What is wrong between fields that are each right, by the field to change."""
    found = {}
    if not profile.country_code and "national" in (profile.number_format, profile.numbers_in):
        found["country_code"] = "is missing: whose national numbers are meant (44)?"
    if profile.session_timers != "off" and profile.session_expires_s < profile.min_se_s:
        found["session_expires_s"] = f"is below min_se_s ({profile.min_se_s})"
    return found
