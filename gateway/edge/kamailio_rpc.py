# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders to Kamailio: JSON-RPC over a datagram socket in its folder, that only its user may use."""

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from gateway.edge.dispatcher import DISABLED, SET, Change, Destination
from gateway.errors import GatewayError

_WAIT_S = 2.0
_MOST_BYTES = 1 << 18
_NO_SETS = "No Destination Sets"


class KamailioSilent(GatewayError):
    """Kamailio is not there, or does not do as it is told."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A destination as Kamailio has it."""

    destination: Destination
    is_reached: bool
    """It answers Kamailio's pings, or has not been asked yet."""
    calls: int
    ping_ms: float


class KamailioRpc:
    """One order after the other."""

    def __init__(self, path: Path) -> None:
        """`path`: Kamailio's socket. Ours is made beside it."""
        self._path = path
        self._ours = path.with_name(f"follow-{os.getpid()}.rpc")
        self._numbers = count(1)
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._ours.unlink(missing_ok=True)

    async def nodes(self) -> Mapping[str, Listed]:
        """The list in force, by address. Raises `KamailioSilent`."""
        try:
            answer = await self._ask("dispatcher.list")
        except KamailioSilent as fault:
            if _NO_SETS in str(fault):
                return {}
            raise
        try:
            records = _List.model_validate(answer).RECORDS
        except ValidationError as fault:
            raise KamailioSilent("its list of nodes is not as expected") from fault
        listed = (target.DEST for record in records if record.SET.ID == SET for target in record.SET.TARGETS)
        return {one.URI: one.listed() for one in listed}

    async def carry_out(self, change: Change) -> None:
        """Change the list. Raises `KamailioSilent`."""
        one = change.destination
        match change.what:
            case "add":
                flags = 0 if one.is_open else DISABLED
                await self._ask("dispatcher.add", SET, one.uri, flags, one.priority, one.attributes)
            case "remove":
                await self._ask("dispatcher.remove", SET, one.uri)
            case "open" | "close":
                await self._ask("dispatcher.set_state", "a" if change.what == "open" else "d", SET, one.uri)

    async def _ask(self, method: str, *parameters: str | int) -> Any:
        number = next(self._numbers)
        question = json.dumps({"jsonrpc": "2.0", "method": method, "params": parameters, "id": number})
        loop = asyncio.get_running_loop()
        try:
            if self._socket is None:
                self._socket = self._opened()
            await loop.sock_sendto(self._socket, question.encode(), str(self._path))
            async with asyncio.timeout(_WAIT_S):
                while True:
                    answer = json.loads(await loop.sock_recv(self._socket, _MOST_BYTES))
                    if answer.get("id") == number:
                        break
        except (OSError, ValueError) as fault:  # TimeoutError is an OSError
            self.close()
            raise KamailioSilent(f"it does not answer at {self._path}") from fault
        if "error" in answer:
            raise KamailioSilent(f"{method}: {answer['error'].get('message', 'refused')}")
        return answer.get("result")

    def _opened(self) -> socket.socket:
        self._ours.unlink(missing_ok=True)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.bind(str(self._ours))
            self._ours.chmod(0o660)
        except OSError:
            opened.close()
            raise
        return opened


# The answer to dispatcher.list


class _Attributes(BaseModel):
    DUID: str = ""
    MAXLOAD: int = 0


class _Latency(BaseModel):
    EST: float = 0.0


class _Runtime(BaseModel):
    DLGLOAD: int = 0


class _Destination(BaseModel):
    URI: str
    FLAGS: str
    ATTRS: _Attributes = _Attributes()
    LATENCY: _Latency = _Latency()
    RUNTIME: _Runtime = _Runtime()

    def listed(self) -> Listed:
        state = self.FLAGS[:1]
        destination = Destination(self.URI, self.ATTRS.DUID, self.ATTRS.MAXLOAD, state != "D")
        return Listed(destination, state in "AD", self.RUNTIME.DLGLOAD, self.LATENCY.EST)


class _Target(BaseModel):
    DEST: _Destination


class _Set(BaseModel):
    ID: int
    TARGETS: list[_Target] = Field(default_factory=list)


class _Record(BaseModel):
    SET: _Set


class _List(BaseModel):
    RECORDS: list[_Record] = Field(default_factory=list)
