# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools that every agent can be given: what can be done to the call itself."""

from collections.abc import Mapping
from typing import get_args

from agent.errors import ToolFailed
from agent.expectation import ExpectedKind
from agent.services.llm import ToolSpec
from agent.tools.tool import FunctionTool, OnCall, Tool, ToolFunction, ToolTraits

_AT_ONCE = ToolTraits(timeout_ms=5_000, fills=False)
_TRANSFER = ToolTraits(timeout_ms=90_000, fills=False, ends_reply=True, on_interruption="cancel")
"""It rings at the target's. Who says no before he was put through is not."""
_EXPECTED: tuple[ExpectedKind, ...] = get_args(ExpectedKind)

BUILTIN = ("hang_up", "transfer", "send_dtmf", "hold", "resume", "expect", "collect_digits", "do_not_call")


def builtin_tools(transfers: Mapping[str, str]) -> tuple[Tool, ...]:
    """All of them. `transfers`: who a caller may be put through to, name to address; without any, nobody can be."""
    tools: list[Tool] = [
        _tool(
            "hang_up",
            "End the call. Say goodbye in the same answer; it is ended when the caller has heard that.",
            {},
            _hang_up,
            _AT_ONCE,
        ),
        _tool(
            "send_dtmf",
            "Press telephone keys towards the other side, for example in its menu.",
            {"keys": {"type": "string", "pattern": "^[0-9A-D*#]{1,32}$", "description": "0-9, *, #, A-D"}},
            _send_dtmf,
            _AT_ONCE,
        ),
        _tool("hold", "Put the other side on hold. Nothing can be heard or said until resume.", {}, _hold, _AT_ONCE),
        _tool("resume", "Take the other side back from hold.", {}, _resume, _AT_ONCE),
        _tool(
            "expect",
            "Tell what kind of answer you are asking for, so that the caller is not cut short. Ask in the same answer.",
            {"kind": {"enum": list(_EXPECTED)}, "length": {"type": "integer", "minimum": 1, "maximum": 64}},
            _expect,
            _AT_ONCE,
            optional=("length",),
        ),
        _tool(
            "collect_digits",
            "Have the caller press keys: ask for them in the same answer. They come as the caller's next message;"
            " secret ones (PINs, card numbers) as *, and can only be checked by another tool.",
            {
                "length": {"type": "integer", "minimum": 1, "maximum": 64, "description": "how many; else until #"},
                "secret": {"type": "boolean"},
            },
            _collect_digits,
            _AT_ONCE,
            optional=("length", "secret"),
        ),
        _tool(
            "do_not_call",
            "Put the other side on the do-not-call list, for good. Only when they ask not to be called any more; not"
            " when it merely suits them badly now. Then confirm it in a few words, say goodbye and end the call.",
            {},
            _do_not_call,
            _AT_ONCE,
        ),
    ]
    if transfers:
        tools.append(_transfer(dict(transfers)))
    return tuple(tools)


def _transfer(targets: Mapping[str, str]) -> Tool:
    async def run(arguments: Mapping[str, object], call: OnCall) -> str:
        target = targets.get(str(arguments["target"]))
        if target is None:
            raise ToolFailed(f"nobody can be put through to that: only to {', '.join(targets)}")
        await call.talk.until_heard()
        await call.control.transfer(target)
        return "They are talking."

    return _tool(
        "transfer",
        "Put the caller through to somebody. Say so in the same answer; if it fails, you have the caller again.",
        {"target": {"enum": list(targets)}},
        run,
        _TRANSFER,
    )


async def _hang_up(arguments: Mapping[str, object], call: OnCall) -> str:
    raise AssertionError("agent.thinking hands this one on")


async def _send_dtmf(arguments: Mapping[str, object], call: OnCall) -> str:
    await call.talk.until_heard()
    await call.control.send_keys(str(arguments["keys"]))
    return "The keys are being pressed."


async def _hold(arguments: Mapping[str, object], call: OnCall) -> str:
    await call.talk.until_heard()
    await call.control.hold()
    return "On hold."


async def _resume(arguments: Mapping[str, object], call: OnCall) -> str:
    await call.control.resume()
    return "The other side hears you again."


async def _expect(arguments: Mapping[str, object], call: OnCall) -> str:
    kind = next(kind for kind in _EXPECTED if kind == arguments["kind"])  # the schema allows no other
    call.talk.expect_answer(kind, _length(arguments))
    return "Ask now."


async def _collect_digits(arguments: Mapping[str, object], call: OnCall) -> str:
    call.talk.take_secret_keys()  # what was pressed before is not what is asked for
    call.talk.keep_keys_secret(arguments.get("secret") is True, _length(arguments))
    call.talk.expect_answer("digits", _length(arguments))
    return "Ask for the keys now; they will be the caller's next message."


async def _do_not_call(arguments: Mapping[str, object], call: OnCall) -> str:
    call.control.do_not_call()
    return "They will not be called again. Say so in a few words, say goodbye and end the call."


def _length(arguments: Mapping[str, object]) -> int | None:
    length = arguments.get("length")
    return length if isinstance(length, int) else None


def _tool(
    name: str,
    description: str,
    properties: Mapping[str, object],
    function: ToolFunction,
    traits: ToolTraits,
    optional: tuple[str, ...] = (),
) -> FunctionTool:
    required = [key for key in properties if key not in optional]
    schema = {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}
    return FunctionTool(name, ToolSpec(name, description, schema), function, traits)
