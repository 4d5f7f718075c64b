# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of chains, and what is heard of them, in virtual time."""

import asyncio
import random
from typing import TypeVar

from agent.chains.events import ChainEvent, Role
from agent.chains.member import Member
from agent.clients.backoff import Backoff
from agent.clients.limits import Limits
from agent.errors import ServiceUnavailable

Service = TypeVar("Service")

NAMES = ("first", "second", "third")


def members(
    role: Role, *services: Service, events: list[ChainEvent] | None = None, limits: Limits | None = None
) -> list[Member[Service]]:
    """One for each; `limits` are the first one's."""
    events = [] if events is None else events
    return [
        Member(
            name,
            role,
            service,
            limits=limits if name == "first" else None,
            backoff=Backoff(2.0, chance=random.Random(1)),
            on_event=events.append,
            clock=asyncio.get_running_loop().time,
        )
        for name, service in zip(NAMES, services, strict=False)
    ]


def gone(service: str = "first") -> ServiceUnavailable:
    return ServiceUnavailable(service, "the connection failed")
