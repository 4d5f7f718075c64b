# SPDX-License-Identifier: GPL-3.0-or-later
"""What the console shows of trunks and services, gathered from who knows it."""

import time
from collections.abc import Sequence

from agent.config import AgentConfig
from gateway.api.services import FirstNews, ServiceInfo
from gateway.api.trunks import TrunkInfo, TrunkServer
from gateway.calls.exchange import Exchange
from gateway.calls.trunk_watch import TrunkWatch
from gateway.config import Config
from gateway.service_config import PriceConfig
from gateway.services import Services, casting
from gateway.services.kinds import LOCAL, Role
from gateway.services.metering import ServiceRecord
from gateway.telemetry.turns import percentiles

_FAILING = 0.1
"""Share of the last requests that failed."""


def trunk_infos(config: Config, exchange: Exchange, watch: TrunkWatch) -> Sequence[TrunkInfo]:
    """All of `[[trunk]]`."""
    now, wall_time = time.monotonic(), time.time()
    found = []
    for trunk in config.trunk:
        state = exchange.health.state(trunk.name, now)
        found.append(
            TrunkInfo(
                name=trunk.name,
                profile=trunk.profile,
                host=trunk.host,
                registers=trunk.registers,
                registered=state.registered,
                is_up=state.is_up,
                servers=[TrunkServer(address=name, is_up=is_up) for name, is_up in state.servers.items()],
                calls=exchange.tolls.calls(trunk.name),
                max_calls=trunk.max_calls,
                minutes_today=round(exchange.tolls.minutes_today(trunk.name, wall_time), 1),
                alarms=list(watch.raised(trunk.name)),
            )
        )
    return found


def service_infos(config: Config, services: Services) -> Sequence[ServiceInfo]:
    """All that agents use, by name and role."""
    roles: dict[tuple[str, Role], None] = dict.fromkeys((*services.clients, *services.records))
    return [_service_info(config, services, name, role) for name, role in roles]


def _service_info(config: Config, services: Services, name: str, role: Role) -> ServiceInfo:
    record = services.records.get((name, role), ServiceRecord())
    requests = sum(record.outcomes.values())
    failures = record.outcomes["failed"] + record.outcomes["rejected"]
    usage = {unit: round(amount, 1) for unit, amount in record.usage.items()}
    first = percentiles(record.first_ms, (50, 95))
    lately = record.last.count("failed") + record.last.count("rejected")
    is_failing = lately > _FAILING * len(record.last)
    return ServiceInfo(
        name=name,
        kind=LOCAL if name == LOCAL else config.services[name].kind,
        role=role,
        state="resting" if record.is_resting else "failing" if is_failing else "ok" if requests else "idle",
        requests=requests,
        failures=failures,
        latency_ms=FirstNews.model_validate(first),
        usage=usage,
        cost=None if name == LOCAL else cost_of(config.services[name].price, usage),
        used_by=[agent for agent, one in config.agents.items() if _uses(config, one, name, role)],
    )


def _uses(config: Config, agent: AgentConfig, name: str, role: Role) -> bool:
    named = casting.named_by(agent).get(role)
    if named is None:
        return name == LOCAL and role != "realtime" and agent.realtime == "off"
    return name in casting.members(config.services, named)


def cost_of(price: PriceConfig, usage: dict[str, float]) -> float | None:
    """What this usage costs; None when nothing has a price."""
    if price == PriceConfig():
        return None
    return round(
        (
            usage.get("prompt", 0) * price.prompt_per_million
            + usage.get("cached", 0) * price.cached_per_million
            + usage.get("completion", 0) * price.completion_per_million
            + usage.get("characters", 0) * price.characters_per_million
        )
        / 1e6
        + usage.get("audio_s", 0) / 60 * price.audio_per_minute,
        6,
    )
