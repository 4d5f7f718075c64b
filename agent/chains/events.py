# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens between the members of a chain, for metrics: no texts, and names of services only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agent.clients.breaker import BreakerState
from agent.errors import ServiceError, ServiceLate, ServiceUnavailable

Role = Literal["stt", "llm", "tts"]
Cause = Literal["late", "unavailable", "rejected", "full", "resting"]
"""`full`: our own limits; `resting`: its breaker is open. Both were not asked."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A service did not do what it was asked, or could not be asked."""

    service: str
    role: Role
    cause: Cause


@dataclass(frozen=True, slots=True)
class FellBack:
    """The next service was asked because the one before had failed."""

    chain: str
    role: Role
    service: str
    """That was asked instead."""


@dataclass(frozen=True, slots=True)
class Hedged:
    """The next service was asked because the one before was late; it answered first (`won`), or did not."""

    chain: str
    role: Role
    service: str
    won: bool


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    service: str
    role: Role
    state: BreakerState


ChainEvent = Failed | FellBack | Hedged | BreakerChanged
OnChainEvent = Callable[[ChainEvent], None]


def cause_of(error: ServiceError) -> Cause:
    """What kind of failure it is."""
    match error:
        case ServiceLate():
            return "late"
        case ServiceUnavailable():
            return "unavailable"
        case _:
            return "rejected"
