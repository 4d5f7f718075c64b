# SPDX-License-Identifier: GPL-3.0-or-later
"""One tool, as the agent sees it, and what it may know of the call and do to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from agent.expectation import ExpectedKind
from agent.services.llm import ToolSpec

OnInterruption = Literal["finish", "cancel"]


class CallControl(Protocol):
    """The call, for tools; the gateway has one for each. Everything raises `ToolFailed`."""

    async def transfer(self, to: str) -> None:
        """Give the caller to somebody else; return when they talk, which ends our call."""
        ...

    async def send_keys(self, keys: str) -> None:
        """Press telephone keys: 0-9, *, #, A-D."""
        ...

    async def hold(self) -> None: ...

    async def resume(self) -> None: ...

    def do_not_call(self) -> None:
        """Never call the far end again, from this call on."""
        ...


class CallTalk(Protocol):
    """The conversation, for tools: the session."""

    async def until_heard(self) -> None:
        """Return when what was said so far has been sent."""
        ...

    def take_secret_keys(self) -> str:
        """The secret keys since this was last asked."""
        ...

    def keep_keys_secret(self, are_secret: bool, length: int | None) -> None:
        """Whether the keys of the next entry are secret, which has so many."""
        ...

    def expect_answer(self, kind: ExpectedKind, length: int | None) -> None:
        """What kind of answer the caller's next turn will be."""
        ...


@dataclass(frozen=True, slots=True)
class OnCall:
    """The call on which a tool is used."""

    call_id: str
    caller: str
    """Address or number."""
    metadata: Mapping[str, str]
    control: CallControl
    talk: CallTalk


@dataclass(frozen=True, slots=True)
class ToolTraits:
    """How a tool is used."""

    timeout_ms: int | None = None
    """None: as long as `tool_use.timeout_ms` says."""
    fills: bool = True
    """While it runs, the caller is told to wait. False: it is done at once, or there is nobody to tell."""
    ends_reply: bool = False
    """When it has worked, there is nothing more to say."""
    on_interruption: OnInterruption | None = None
    """None: as `tool_use.on_interruption` says."""


class Tool(Protocol):
    """Something that can be done; one for all calls."""

    @property
    def key(self) -> str:
        """What `tools = [...]` calls it: `hang_up`, `crm.get_order`."""
        ...

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        ...

    @property
    def traits(self) -> ToolTraits: ...

    async def run(self, arguments: Mapping[str, object], call: OnCall) -> str:
        """Do it, with arguments that fit the schema; the result, for the model. Cancelling cancels. Raises
        `ToolFailed`, whose message is for the model too."""
        ...


class ToolSource(Protocol):
    """A server whose tools may change."""

    def tools(self) -> Sequence[Tool]:
        """Those of now."""
        ...


ToolFunction = Callable[[Mapping[str, object], OnCall], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A tool that is a function."""

    key: str
    spec: ToolSpec
    function: ToolFunction
    traits: ToolTraits = field(default_factory=ToolTraits)

    async def run(self, arguments: Mapping[str, object], call: OnCall) -> str:
        return await self.function(arguments, call)
