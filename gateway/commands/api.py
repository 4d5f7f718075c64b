# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from a command to the gateway that runs: its address and key, and its answers."""

import argparse
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from gateway.commands.complaint import failed
from gateway.config import Config
from gateway.environment import default_config_file, load_config

_TIMEOUT_S = 30.0
Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `ArgumentParser.add_subparsers` gives; argparse has no public name for it."""


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config`: where the settings are."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration (default: parley.toml here, if there is one)"
    )


def add_gateway(parser: argparse.ArgumentParser) -> None:
    """`--url` and `--config`: which gateway is meant."""
    parser.add_argument("--url", help="where the gateway's API is (default: as configured)")
    add_config(parser)


def add_json(parser: argparse.ArgumentParser, help_text: str = "print one JSON object") -> None:
    """`--json`: for programs."""
    parser.add_argument("--json", action="store_true", help=help_text)


def config_of(options: argparse.Namespace) -> Config:
    """The settings. Raises `ConfigError`."""
    return load_config(options.config or default_config_file(Path()), os.environ)


def address_and_key(options: argparse.Namespace) -> tuple[str, str]:
    """Of the gateway that is meant; the key is empty when none is to be found. Raises `ConfigError`."""
    from gateway.api.auth import known_api_key

    config = config_of(options)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.http.host, config.http.host)
    address = (options.url or f"http://{host}:{config.http.port}").rstrip("/")
    return address, os.environ.get("PARLEY_API_KEY") or known_api_key(config) or ""


def no_gateway(address: str, cause: object) -> str:
    """What to say when nobody answers there."""
    return f"no gateway answers at {address} ({cause}); start one with parley serve, or name it with --url"


@contextlib.contextmanager
def calling_api(options: argparse.Namespace) -> Iterator[httpx.Client]:
    """A client of the API. Ends the command when nobody answers."""
    address, key = address_and_key(options)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=_TIMEOUT_S) as client:
            yield client
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        failed(no_gateway(address, error))


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """The object that was answered. Ends the command when it is a refusal."""
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
    failed(f"the gateway refused ({response.status_code}): {said}")
