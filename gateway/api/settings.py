# SPDX-License-Identifier: GPL-3.0-or-later
"""`GET /settings`: the configuration in force, with secrets hidden."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, SecretStr

from gateway.api.problems import problem_responses
from gateway.config import Config

_SECRET_NAMES = re.compile(r"(password|secret|token|api_key|api_keys|encryption_key)s?$")
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")
_SECRET_IN_QUERY = re.compile(
    r"(?<=[?&])([^=&#\s]*(?:key|token|secret|password|sig|signature|auth)[^=&#\s]*)=[^&#\s]*", re.I
)
_HIDDEN = "***"


class Setting(BaseModel):
    """One key of the configuration."""

    key: str
    """`sip.port`, `trunk.0.host`."""
    value: Any
    """Null for secrets, and for what is not set."""
    source: Literal["default", "file", "environment"]
    is_secret: bool
    is_set: bool
    """There is a value, also a secret one."""
    doc: str
    """What it means."""


class Settings(BaseModel):
    settings: list[Setting]


def settings_router(config: Config) -> APIRouter:
    """The route over this configuration."""
    router = APIRouter(prefix="/settings", tags=["console"], responses=problem_responses(401))

    @router.get("")
    async def list_settings() -> Settings:
        """Every key with its value in force and where it comes from. Needs the scope `admin`."""
        return Settings(settings=list(_settings(config, config, ())))

    return router


def _settings(config: Config, section: BaseModel, path: tuple[str | int, ...]) -> Iterator[Setting]:
    for name, field in type(section).model_fields.items():
        yield from _setting(config, getattr(section, name), (*path, name), field.description or "")


def _setting(config: Config, value: object, path: tuple[str | int, ...], doc: str) -> Iterator[Setting]:
    if isinstance(value, BaseModel):
        yield from _settings(config, value, path)
    elif isinstance(value, dict) and value and not _is_secret(value, path):
        for name, one in value.items():
            yield from _setting(config, one, (*path, str(name)), doc)
    elif isinstance(value, tuple | list) and any(isinstance(one, BaseModel) for one in value):
        for index, one in enumerate(value):
            yield from _setting(config, one, (*path, index), doc)
    else:
        is_secret = _is_secret(value, path)
        yield Setting(
            key=".".join(map(str, path)),
            value=None if is_secret else _plain(value),
            source=config.source_of(*path),
            is_secret=is_secret,
            is_set=bool(value.get_secret_value()) if isinstance(value, SecretStr) else value not in (None, (), {}, ""),
            doc=doc,
        )


def _is_secret(value: object, path: tuple[str | int, ...]) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else (value,)
    return any(isinstance(one, SecretStr) for one in inside) or bool(_SECRET_NAMES.search(str(path[-1])))


def _plain(value: object) -> Any:
    """As JSON has it; URLs without a password."""
    match value:
        case None | bool() | int() | float():
            return value
        case tuple() | list() | frozenset() | set():
            return [_plain(one) for one in value]
        case dict():
            return {str(name): _plain(one) for name, one in value.items()}
        case str() | Path():
            return _SECRET_IN_QUERY.sub(rf"\1={_HIDDEN}", _PASSWORD_IN_URL.sub(f"{_HIDDEN}@", str(value)))
    return str(value)
