# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools that do what a script says, and a call on which they do it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.errors import AgentError, ToolFailed
from agent.expectation import ExpectedKind
from agent.services.llm import ToolSpec
from agent.tools.tool import OnCall, ToolTraits


@dataclass
class ScriptedControl:
    """What tools did to the call."""

    done: list[tuple[str, str]] = field(default_factory=list)
    transfer_s: float = 2.0
    refuses: str = ""
    """Why it does nothing."""

    async def transfer(self, to: str) -> None:
        await asyncio.sleep(self.transfer_s)
        self._do("transfer", to)

    async def send_keys(self, keys: str) -> None:
        self._do("send_keys", keys)

    async def hold(self) -> None:
        self._do("hold", "")

    async def resume(self) -> None:
        self._do("resume", "")

    def do_not_call(self) -> None:
        self._do("do_not_call", "")

    def _do(self, what: str, to: str) -> None:
        if self.refuses:
            raise ToolFailed(self.refuses)
        self.done.append((what, to))


@dataclass
class ScriptedTool:
    """Takes `takes_s` and says `result`, or fails."""

    key: str = "crm.get_order"
    takes_s: float = 0.1
    result: str = "shipped"
    fault: AgentError | Exception | None = None
    traits: ToolTraits = field(default_factory=ToolTraits)
    began: int = 0
    cancelled: int = 0
    given: list[Mapping[str, object]] = field(default_factory=list)

    @property
    def spec(self) -> ToolSpec:
        schema = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
        return ToolSpec(self.key.replace(".", "_"), "Finds an order.", schema)

    async def run(self, arguments: Mapping[str, object], call: OnCall) -> str:
        self.began += 1
        self.given.append(arguments)
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fault is not None:
            raise self.fault
        return self.result


@dataclass
class ScriptedTalk:
    """A conversation that is quiet, and in which keys were pressed."""

    secret_keys: str = ""
    expected: list[tuple[str, int | None]] = field(default_factory=list)

    async def until_heard(self) -> None: ...

    def take_secret_keys(self) -> str:
        keys, self.secret_keys = self.secret_keys, ""
        return keys

    def keep_keys_secret(self, are_secret: bool, length: int | None) -> None: ...

    def expect_answer(self, kind: ExpectedKind, length: int | None) -> None:
        self.expected.append((kind, length))


def on_call(caller: str = "sip:+15550100@example.com", secret_keys: str = "") -> OnCall:
    """A call to use a tool on."""
    return OnCall("call-1", caller, {"customer": "c 7"}, ScriptedControl(), ScriptedTalk(secret_keys))
