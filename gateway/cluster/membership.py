# SPDX-License-Identifier: GPL-3.0-or-later
"""This gateway as a node: what it says of itself, and what it tells and counts of the others."""

import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from gateway.cluster.node import Node
from gateway.cluster.registry import Registry, open_registry
from gateway.config import VERSION, Config
from gateway.events import EventBus
from gateway.telemetry import Metrics


def node_id_of(config: Config) -> str:
    """The configured name, or one that stays the same on this host and port."""
    return config.cluster.node_id or f"{socket.gethostname().split('.')[0][:58]}-{config.sip.port}"


@asynccontextmanager
async def open_membership(
    config: Config, sip: str, http: str, calls: Callable[[], int], events: EventBus, metrics: Metrics
) -> AsyncIterator[Registry | None]:
    """A member of the cluster, inside; None: there is none. `sip` and `http` say where we are bound.

    Raises `StartupError`.
    """
    cluster = config.cluster
    if cluster.redis_url is None:
        yield None
        return
    node = Node(
        node_id=node_id_of(config),
        run=secrets.token_hex(8),
        region=cluster.region,
        sip=cluster.sip_address or _outside(sip, config.sip.public_address),
        http=cluster.http_url or f"http://{http}",
        capacity=config.sip.max_calls,
        calls=0,
        weight=cluster.weight,
        state="up",
        started_at=datetime.now(UTC),
        version=VERSION,
    )
    opened = open_registry(
        cluster.redis_url.get_secret_value(),
        lambda: node.model_copy(update={"calls": calls()}),
        heartbeat_s=cluster.heartbeat_s,
        dead_after_s=cluster.dead_after_s,
    )
    async with opened as registry:
        _Telling(registry, events, metrics)
        yield registry


def _outside(bound: str, public_address: str | None) -> str:
    """The same port, at the address that others have for us."""
    return bound if public_address is None else f"{public_address}:{bound.rpartition(':')[2]}"


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """Data of the event `cluster.node`."""

    node: str
    state: str


class _Telling:
    """Passes what happens in the cluster on to who looks: events and metrics."""

    def __init__(self, registry: Registry, events: EventBus, metrics: Metrics) -> None:
        self._registry = registry
        self._events = events
        self._metrics = metrics
        self._states: dict[str, str] = {}
        registry.follow(self._compare)
        registry.on_death(lambda node: self._tell(node.node_id, "dead"))
        registry.on_reachable(self._reach)
        self._compare()

    def _compare(self) -> None:
        nodes: Mapping[str, Node] = self._registry.nodes
        for node_id, node in nodes.items():
            if self._states.get(node_id) != node.state:
                self._states[node_id] = node.state
                self._tell(node_id, node.state)
        for node_id in self._states.keys() - nodes.keys():
            del self._states[node_id]
            self._tell(node_id, "gone")
        for state in ("up", "draining"):
            self._metrics.cluster_nodes.labels(state).set(sum(1 for node in nodes.values() if node.state == state))

    def _tell(self, node_id: str, state: str) -> None:
        self._events.publish("cluster.node", "", asdict(NodeChanged(node_id, state)))

    def _reach(self, is_reachable: bool) -> None:
        self._metrics.cluster_redis_up.set(is_reachable)
        self._events.publish("cluster.redis_back" if is_reachable else "cluster.redis_lost", "", {})
