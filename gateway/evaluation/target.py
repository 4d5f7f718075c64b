# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom to call, and whom to ask about it: a gateway that runs, or one that is started for the evaluation."""

import asyncio
import contextlib
import os
import re
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.errors import StartupError

_READY = re.compile(r"parley ready sip=([\d.]+:\d+) http=([\d.]+:\d+)")
_READY_WAIT_S = 120.0
_STOP_WAIT_S = 10.0
_RECORD_WAIT_S = 5.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Target:
    """An agent that can be called."""

    uri: str
    """`sip:HOST:PORT` of a gateway of ours, to which a scenario adds whom it dials; else a whole address."""
    api: str = ""
    key: str = ""

    def address(self, dial: str) -> str:
        """Where a scenario calls."""
        scheme, _, rest = self.uri.partition(":")
        return self.uri if "@" in rest else f"{scheme}:{dial}@{rest}"

    async def record(self, caller: str) -> Mapping[str, Any] | None:
        """The session record of the call from `caller` (a user part), complete; None without an API.

        Raises `StartupError` when the API cannot be asked.
        """
        if not self.api:
            return None
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            async with httpx.AsyncClient(base_url=f"{self.api.rstrip('/')}/api/v1", headers=headers) as client:
                return await _record(client, caller)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StartupError(f"{self.api} does not tell what happened: {error}") from error


async def _record(client: httpx.AsyncClient, caller: str) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = None
    for _ in range(round(_RECORD_WAIT_S / _POLL_S)):
        listed = (await client.get("/sessions", params={"limit": 20})).raise_for_status().json()["sessions"]
        for one in listed:
            if caller in str(one["from"]):
                found = (await client.get(f"/sessions/{one['call_id']}")).raise_for_status().json()
        if found is not None and found["ended_at"]:
            return found
        await asyncio.sleep(_POLL_S)
    return found


@contextlib.asynccontextmanager
async def started(config: Path | None) -> AsyncIterator[Target]:
    """A gateway of our own with this configuration (none: the default), its own ports and a data folder that goes.

    Raises `StartupError` with what it said when it does not start.
    """
    key = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="parley-eval-") as name:
        folder = Path(name)
        environment = {
            **os.environ,
            "PARLEY_SIP__BIND": "127.0.0.1",
            "PARLEY_SIP__PORT": "0",
            "PARLEY_SIP__TRANSPORTS": "udp",
            "PARLEY_HTTP__HOST": "127.0.0.1",
            "PARLEY_HTTP__PORT": "0",
            "PARLEY_HTTP__API_KEYS": key,
            "PARLEY_STORE__DATA_DIR": str(folder / "data"),
        }
        command = [sys.executable, "-m", "gateway", "serve"]
        command += [] if config is None else ["--config", str(config)]
        log = folder / "gateway.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=environment,
                cwd=None if config is not None else folder,
            )
        try:
            sip, http = await _ready(process, log)
            drained = asyncio.create_task(_drain(process), name="gateway-output")
            try:
                yield Target(f"sip:{sip}", f"http://{http}", key)
            finally:
                drained.cancel()
        finally:
            await _stop(process)


async def _ready(process: asyncio.subprocess.Process, log: Path) -> tuple[str, str]:
    assert process.stdout is not None, "it is a pipe"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_WAIT_S):
            while line := await process.stdout.readline():
                if found := _READY.match(line.decode(errors="replace")):
                    return found[1], found[2]
    said = (await asyncio.to_thread(log.read_text, errors="replace")).strip().splitlines()
    raise StartupError("the gateway did not start: " + " | ".join(said[-5:]))


async def _drain(process: asyncio.subprocess.Process) -> None:
    """What it prints would fill the pipe."""
    assert process.stdout is not None, "it is a pipe"
    while await process.stdout.readline():
        pass


async def _stop(process: asyncio.subprocess.Process) -> None:
    for _ in range(2):  # the second signal does not wait for calls
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _STOP_WAIT_S)
    if process.returncode is None:
        process.kill()
        await process.wait()
