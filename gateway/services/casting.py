# SPDX-License-Identifier: GPL-3.0-or-later
"""Who plays which role: what agents name, and what the chains among it are made of."""

from collections.abc import Iterator, Mapping

from agent.config import AgentConfig
from gateway.config import Config
from gateway.service_config import ServiceConfig
from gateway.services.kinds import CHAIN, LOCAL, ROLES, Role


def named_by(agent: AgentConfig) -> dict[Role, str]:
    """The services that an agent names. One with `realtime` uses no other."""
    if agent.realtime != "off":
        return {"realtime": agent.realtime}
    return {role: name for role in ROLES[:3] if (name := getattr(agent, role)) != LOCAL}


def members(services: Mapping[str, ServiceConfig], name: str) -> tuple[str, ...]:
    """The services behind a name, each once, in the order in which they are asked: itself, unless it is a chain; the
    members of chains inside it, too. `local` is one of them; what is not configured is left out."""
    found: dict[str, None] = {}
    seen: set[str] = set()

    def follow(one: str) -> None:
        if one in seen:
            return
        seen.add(one)
        service = services.get(one)
        if one == LOCAL or (service is not None and service.kind != CHAIN):
            found[one] = None
        elif service is not None:
            for member in service.of:
                follow(member)

    follow(name)
    return tuple(found)


def circle(services: Mapping[str, ServiceConfig], name: str) -> tuple[str, ...]:
    """The names by which a chain comes back to itself; empty: it does not."""

    def walk(path: tuple[str, ...]) -> tuple[str, ...]:
        service = services.get(path[-1])
        for member in service.of if service is not None else ():
            if member == name:
                return (*path, member)
            if member not in path and (found := walk((*path, member))):
                return found
        return ()

    return walk((name,))


def cast(config: Config) -> Iterator[tuple[str, Role]]:
    """Every service (no chain, not `local`) with a role that it plays for some agent, each pair once."""
    seen: set[tuple[str, Role]] = set()
    for agent in config.agents.values():
        for role, name in named_by(agent).items():
            for member in members(config.services, name):
                if member != LOCAL and (member, role) not in seen:
                    seen.add((member, role))
                    yield member, role
