# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool calls of one answer, which come in pieces and are handed on whole at its end."""

import re
import uuid
from collections.abc import Hashable
from dataclasses import dataclass

from agent.clients import wire_json
from agent.services.llm import ToolCall

_MAX_CALLS = 16
"""Of one answer; further ones are dropped."""
_MAX_ARGUMENT_CHARACTERS = 64 << 10
_MAX_NAME_CHARACTERS = 256
_MAX_SIGNATURE_CHARACTERS = 64 << 10
_MADE_UP = re.compile(r"call_p_[0-9a-f]{32}")


def signature_of(call: ToolCall, signer: str) -> str:
    """What this vendor has signed the call with; empty: nothing, or it comes from another one."""
    by, _, signature = call.signature.partition(":")
    return signature if by == signer else ""


def is_made_up(call_id: str) -> bool:
    """Whether the service named no such call: we did."""
    return _MADE_UP.fullmatch(call_id) is not None


@dataclass(slots=True)
class _Pieces:
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str = ""


class PendingCalls:
    """Keys tell the calls apart, as the vendor does; the order is that in which they began."""

    def __init__(self, signer: str = "") -> None:
        """`signer`: whose signatures these are (`signature_of`)."""
        self._signer = signer
        self._calls: dict[Hashable, _Pieces] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def add(
        self,
        key: Hashable,
        *,
        call_id: object = None,
        name: object = None,
        arguments: object = None,
        signature: object = None,
    ) -> None:
        """Some more of a call, as it stands in the message. The first id and the first signature count."""
        if key not in self._calls and len(self._calls) >= _MAX_CALLS:
            return
        pieces = self._calls.setdefault(key, _Pieces())
        pieces.call_id = pieces.call_id or wire_json.text(call_id)[:_MAX_NAME_CHARACTERS]
        pieces.signature = pieces.signature or wire_json.text(signature)[:_MAX_SIGNATURE_CHARACTERS]
        more = wire_json.text(name)
        if not pieces.name.endswith(more):  # some repeat it with every piece
            pieces.name = (pieces.name + more)[:_MAX_NAME_CHARACTERS]
        # Not made whole yet: the halves of a character may come in two pieces.
        if isinstance(arguments, str):
            pieces.arguments += arguments[: _MAX_ARGUMENT_CHARACTERS - len(pieces.arguments)]

    def has_arguments(self, key: Hashable) -> bool:
        return bool(self._calls.get(key, _Pieces()).arguments)

    def whole(self) -> list[ToolCall]:
        """All of them. One without an id gets one, which is the only one of its kind in the conversation."""
        calls = []
        for pieces in self._calls.values():
            arguments, problem = wire_json.arguments(pieces.arguments)
            call_id = pieces.call_id or f"call_p_{uuid.uuid4().hex}"
            signature = f"{self._signer}:{pieces.signature}" if pieces.signature else ""
            calls.append(ToolCall(pieces.name, arguments, call_id, problem, signature))
        return calls
