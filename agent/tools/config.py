# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of tools: `[agents.NAME.tool_use]` and `[tools.NAME]`, with units and defaults."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from agent.tools.tool import OnInterruption

_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ToolUseConfig(_Table):
    """How an agent uses its tools (agent/tools/running.py)."""

    timeout_ms: Annotated[int, Field(ge=100, le=120_000)] = 10_000
    """A tool that takes longer has failed; the model is told so."""
    filler: tuple[str, ...] = ("One moment, let me check.", "I am still looking, one moment please.")
    """Said while a tool runs, one after the other; rendered ahead. None: silence."""
    filler_after_ms: Annotated[int, Field(ge=0, le=60_000)] = 600
    """The first is said when a tool takes longer, unless the model said something before it used the tool."""
    filler_again_ms: Annotated[int, Field(ge=1_000, le=60_000)] = 6_000
    """Then the next."""
    max_rounds: Annotated[int, Field(ge=1, le=20)] = 5
    """How often the model may go on to use tools within one answer; then it must answer with what it has."""
    max_result_chars: Annotated[int, Field(ge=100, le=100_000)] = 4_000
    """What is longer is cut, and says so."""
    on_interruption: OnInterruption = "finish"
    """What becomes of a tool while which the caller speaks: it finishes, and the model knows its result in the next
    turn, or it is cancelled."""


def _schema_fits(parameters: dict[str, Any]) -> dict[str, Any]:
    for name, schema in parameters.items():
        if not _PARAMETER.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a parameter: letters, digits and _")
        if not isinstance(schema, (str, dict)):
            raise ValueError(f"{name} must be a description or a JSON Schema")
    return parameters


Parameters = Annotated[dict[str, Any], AfterValidator(_schema_fits)]
"""Name to description (then it is a text) or to JSON Schema."""


class ToolConfig(_Table):
    """`[tools.NAME]`: something that agents may use, or a server that has several.

    Which keys a tool may have depends on its `kind`; those of other kinds are faults.
    """

    kind: Literal["webhook", "sms", "openapi", "mcp"]
    description: str = ""
    """webhook, sms: what the model is told it is for."""
    url: str | None = None
    """webhook, sms: where the request goes, `{parameter}` filled in. openapi: the API's base, when not the document's
    first `servers`. mcp: the server's endpoint (streamable HTTP)."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    """webhook, sms."""
    headers: dict[str, SecretStr] = {}
    """Sent with each request."""
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    token_env: str | None = None
    """The environment variable that has it."""
    parameters: Parameters = {}
    """webhook: what the model must give. A description, or a JSON Schema."""
    optional: tuple[str, ...] = ()
    """webhook: those that it may leave out."""
    body: dict[str, Any] | None = None
    """webhook, sms: JSON with `{parameter}`, and `{caller}`, `{call_id}`, `{metadata.KEY}`, `{secret_keys}` filled in.
    None: of a webhook all parameters, of an SMS `{"to": ..., "text": ...}`."""
    allow_to: tuple[str, ...] = ()
    """sms: regular expressions of numbers that may be written to besides the caller's."""
    sender: str = ""
    """sms: `{sender}` in the body."""
    openapi: str | None = None
    """openapi: a file (JSON), or the document itself."""
    operations: tuple[str, ...] = ("*",)
    """openapi, mcp: which of them there are at all, by name, with `*`."""
    command: tuple[str, ...] = ()
    """mcp: the server's program and arguments, which is then spoken to over its standard input and output."""
    env: dict[str, SecretStr] = {}
    """mcp: environment of that program, besides the safe part of our own (`PATH`, `HOME`...)."""
    cwd: Path | None = None
    """mcp: folder to run it in."""
    timeout_ms: Annotated[int, Field(ge=100, le=120_000)] | None = None
    """None: the agent's `tool_use.timeout_ms`."""
    on_interruption: OnInterruption | None = None
    """None: the agent's `tool_use.on_interruption`."""

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> "ToolConfig":
        foreign = sorted(self.model_fields_set - _KEYS[self.kind] - _SHARED)
        if foreign:
            raise ValueError(f'kind "{self.kind}" has no key {", ".join(foreign)}')
        if self.kind in ("webhook", "sms") and self.url is None:
            raise ValueError(f'kind "{self.kind}" needs the key url')
        if self.kind == "webhook" and not self.description:
            raise ValueError('kind "webhook" needs the key description: the model must know what it is for')
        if self.kind == "openapi" and self.openapi is None:
            raise ValueError('kind "openapi" needs the key openapi')
        if self.kind == "mcp" and (self.url is None) == (not self.command):
            raise ValueError('kind "mcp" needs the key url or the key command, not both')
        unknown = sorted(set(self.optional) - self.parameters.keys())
        if unknown:
            raise ValueError(f"optional names no parameter: {', '.join(unknown)}")
        for pattern in self.allow_to:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"allow_to: {pattern!r} is no regular expression: {error}") from None
        return self


_SHARED = frozenset({"kind", "timeout_ms", "on_interruption", "url", "headers", "token", "token_env"})
_KEYS = {
    "webhook": frozenset({"description", "method", "parameters", "optional", "body"}),
    "sms": frozenset({"description", "method", "body", "allow_to", "sender"}),
    "openapi": frozenset({"openapi", "operations"}),
    "mcp": frozenset({"operations", "command", "env", "cwd"}),
}
