# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent is told of the call it is on."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CallFacts:
    """One call, as it is when the agent takes it."""

    call_id: str = ""
    caller: str = ""
    """Who is on the other end: on placed calls, whom we called."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_placed: bool = False
    """We called, and find out who answered."""
    elapsed_s: float = 0.0
    """Since the call began."""
