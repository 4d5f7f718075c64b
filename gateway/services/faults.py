# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the services of the configuration, each with where and how to cure it: found before anything
starts. Names that lead nowhere are found by `gateway.environment`, by its raw tables."""

import importlib.util
from collections.abc import Iterator

from agent.config import AgentConfig
from gateway.config import Config
from gateway.service_config import ServiceConfig
from gateway.services.casting import cast, circle, members, named_by
from gateway.services.kinds import CHAIN, KINDS, LOCAL, OFFERS, Needs, Role, roles_of

Fault = tuple[tuple[str | int, ...], str]
"""(path, problem)"""


def service_faults(config: Config) -> Iterator[Fault]:
    """All of it."""
    roles: dict[str, list[Role]] = {}
    for name, role in cast(config):
        roles.setdefault(name, []).append(role)
    for name, service in config.services.items():
        if service.kind == CHAIN:
            if path := circle(config.services, name):
                yield ("services", name, "of"), f"leads in a circle: {' > '.join(path)}"
        elif service.kind not in KINDS:
            yield ("services", name, "kind"), f"there is no kind {service.kind!r}: one of {CHAIN}, {', '.join(KINDS)}"
        else:
            yield from _what_is_missing(name, service, roles.get(name, []))
    for name, agent in config.agents.items():
        for role, service_name in named_by(agent).items():
            yield from _role_faults(config, name, role, service_name)
        if agent.realtime == "off":
            yield from _voice_faults(config, name, agent)
            yield from _language_faults(config, name, agent)


def _what_is_missing(name: str, service: ServiceConfig, roles: list[Role]) -> Iterator[Fault]:
    offers = [OFFERS[role][service.kind] for role in roles if service.kind in OFFERS[role]]
    needs = [offer.needs for offer in offers] or _needs_in_any_role(service.kind)
    if any(need.model for need in needs) and not service.model:
        yield ("services", name, "model"), "is missing: which model is it to be"
    if any(need.region for need in needs) and service.region is None and service.url is None:
        yield ("services", name, "region"), "is missing: where the key belongs to, like westeurope"
    needs_key = service.url is None and any(need.key for need in needs)
    if needs_key and service.api_key is None and service.api_key_env is None:
        cure = "name the environment variable that has the key, or set url to a server that takes none"
        yield ("services", name, "api_key_env"), f"is missing: {cure}"
    if service.http2 and importlib.util.find_spec("h2") is None:
        yield ("services", name, "http2"), "needs the extra http2: .venv/bin/pip install -e '.[http2]'"


def _needs_in_any_role(kind: str) -> list[Needs]:
    """Of a service that nobody uses yet, what it cannot be used without."""
    every = [OFFERS[role][kind].needs for role in roles_of(kind)]
    return [
        Needs(
            model=all(need.model for need in every),
            region=all(need.region for need in every),
            key=all(need.key for need in every),
        )
    ]


def _role_faults(config: Config, agent: str, role: Role, name: str) -> Iterator[Fault]:
    path = ("agents", agent, role)
    for member in members(config.services, name):
        of_chain = "" if member == name else f", a member of {name},"
        if member == LOCAL:
            if role == "realtime":
                yield path, "local is no speech-to-speech service, and is a member of the chain"
            continue
        kind = config.services[member].kind
        if kind in KINDS and role not in roles_of(kind):
            able = ", ".join(sorted(OFFERS[role])) or "none in this version"
            can = ", ".join(roles_of(kind))
            yield path, f"{member}{of_chain} is of kind {kind}, which can be {can}. Kinds for {role}: {able}"
    if role == "realtime" and config.services.get(name, _NONE).kind == CHAIN:
        yield path, "cannot be a chain: name one service"


_NONE = ServiceConfig(kind="")


def _voice_faults(config: Config, name: str, agent: AgentConfig) -> Iterator[Fault]:
    """Voices are the vendor's: the offline engine has one. An agent's is the first member's of a chain."""
    first, *others = members(config.services, agent.tts) or (LOCAL,)
    for key in ("voice", "voices"):
        if getattr(agent, key) and first == LOCAL:
            yield ("agents", name, key), "there is one offline voice: leave it out, or name a tts of [services]"
    for member in (first, *others):
        service = config.services.get(member)
        offer = OFFERS["tts"].get(service.kind) if service is not None else None
        voice = service.voice or (agent.voice if member == first else None) if service is not None else None
        if offer is not None and offer.needs.voice and not voice:
            yield ("services", member, "voice"), f"is missing: which of its voices is to speak (agent {name})"


def _language_faults(config: Config, name: str, agent: AgentConfig) -> Iterator[Fault]:
    if agent.language == "en":
        return
    local = [role for role in ("stt", "llm", "tts") if LOCAL in members(config.services, getattr(agent, role))]
    if local:
        cure = f"name services that know {agent.language} as {', '.join(local)}"
        yield ("agents", name, "language"), f"the offline engines know en only: {cure}"
