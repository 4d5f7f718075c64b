# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley edge follow`: beside Kamailio, tells it which nodes take calls, and Prometheus how the edge fares.

every look_s:  Redis > Roster > destinations > what differs from Kamailio's list > orders, and the file
every tell_s:  Kamailio's counts, the relays' statistics > metrics
"""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from gateway.cluster.roll import Roll, RollUnreadable, open_roll
from gateway.config import Config
from gateway.edge.config import RelayConfig
from gateway.edge.dispatcher import Destination, changes, destinations, list_file
from gateway.edge.kamailio_rpc import KamailioRpc, KamailioSilent, Listed
from gateway.edge.relay_statistics import RelayStatistics, call_ids, qualities
from gateway.edge.roster import Roster
from gateway.edge.rtpengine_ng import RtpengineNg, RtpengineSilent
from gateway.errors import ConfigError, Fault
from gateway.telemetry.edge import EdgeMetrics
from gateway.trunks.selection import host_and_port

_LOOK_S = 0.25
_TELL_S = 2.0
_COMPARE_S = 1.0
"""How often Kamailio's list is read although nothing has changed: it may have been started anew."""
_NG_PORT = 2223
_MOST_CALLS = 20
"""Of a relay, that are looked at each time: they stand for the others."""

log = structlog.get_logger(__name__)


class Follower:
    """One for each Kamailio."""

    def __init__(self, config: Config, roll: Roll, rpc: KamailioRpc, metrics: EdgeMetrics) -> None:
        self._list = config.edge.node_list
        self._roll = roll
        self._rpc = rpc
        self._metrics = metrics
        self._roster = Roster(2 * config.cluster.dead_after_s)
        self._wanted: tuple[Destination, ...] | None = None
        """What Kamailio has been told; None: nothing since it was last seen."""
        self._compared_at = 0.0
        self._says_deserted = False
        self._says_redis_lost = False
        self._is_kamailio_there = True

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            begun = time.monotonic()
            await self.look(begun)
            await asyncio.sleep(max(0.01, _LOOK_S - (time.monotonic() - begun)))

    async def look(self, now: float) -> None:
        """Once."""
        try:
            self._roster.receive(await self._roll.call(), now)
        except RollUnreadable as fault:
            self._lose(str(fault))
        else:
            self._find()
        nodes = self._roster.nodes
        wanted = destinations(nodes)
        if wanted == self._wanted and now - self._compared_at < _COMPARE_S:
            return
        self._compared_at = now
        if wanted and (wanted != self._wanted or not self._list.exists()):
            write_atomically(self._list, list_file(wanted))
        self._wanted = await self._tell_kamailio(wanted)
        open_nodes = sum(node.is_open for node in nodes)
        self._metrics.tell_nodes(open=open_nodes, closed=len(nodes) - open_nodes, dead=self._roster.dead)

    async def _tell_kamailio(self, wanted: tuple[Destination, ...]) -> tuple[Destination, ...] | None:
        """What it knows then; None: it is not there."""
        try:
            listed = await self._rpc.nodes()
            there = {uri: one.destination for uri, one in listed.items()}
            # Never to nothing: its own pings know better.
            to_do = tuple(changes(wanted, there)) if wanted else ()
            for change in to_do:
                await self._rpc.carry_out(change)
                log.info("edge_node", change=change.what, destination=change.destination.duid)
            self._metrics.tell_destinations(_by_node(await self._rpc.nodes() if to_do else listed))
        except KamailioSilent as fault:
            if self._is_kamailio_there:
                log.error("edge_kamailio_lost", cause=str(fault), effect="its list of nodes stays as it is")
            self._is_kamailio_there = False
            self._metrics.kamailio_up.set(0)
            return None
        if not self._is_kamailio_there:
            log.info("edge_kamailio_back")
        self._is_kamailio_there = True
        self._metrics.kamailio_up.set(1)
        return wanted

    def _lose(self, cause: str) -> None:
        if not self._says_redis_lost:
            log.error("edge_redis_lost", cause=cause, effect="calls go to the nodes that were there last")
        self._roster.lose()
        self._says_redis_lost = True
        self._metrics.redis_up.set(0)

    def _find(self) -> None:
        if self._says_redis_lost:
            log.info("edge_redis_back")
        self._says_redis_lost = False
        self._metrics.redis_up.set(1)
        if self._roster.is_deserted and not self._says_deserted:
            log.error("edge_no_node", dead=self._roster.dead, effect="calls go to the nodes that were there last")
        self._says_deserted = self._roster.is_deserted


class RelayWatch:
    """Asks one rtpengine how it fares."""

    def __init__(self, relay: RelayConfig, metrics: EdgeMetrics) -> None:
        self._relay = relay
        self._metrics = metrics
        host, port = host_and_port(relay.ng)
        self._engine = RtpengineNg(host, port or _NG_PORT)
        self._is_there = True

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except RtpengineSilent as fault:
                if self._is_there:
                    log.error("edge_relay_lost", relay=self._relay.name, cause=str(fault))
                self._is_there = False
                self._metrics.lose_relay(self._relay.name, self._relay.region)
            else:
                if not self._is_there:
                    log.info("edge_relay_back", relay=self._relay.name)
                self._is_there = True
            await asyncio.sleep(_TELL_S)

    async def _look(self) -> None:
        relay = self._relay
        told = RelayStatistics.parse(await self._engine.ask("statistics"))
        self._metrics.tell_relay(relay.name, relay.region, told)
        has_inside = relay.inside not in (None, relay.outside)
        for call_id in call_ids(await self._engine.ask("list", limit=_MOST_CALLS)):
            try:
                answer = await self._engine.ask("query", call_id=call_id)
            except RtpengineSilent:  # it is over
                continue
            for quality in qualities(answer):
                if not has_inside or quality.local_address == relay.outside:
                    self._metrics.tell_quality(relay.region, quality)


async def follow(config: Config) -> None:
    """Until cancelled. Raises `ConfigError`, `StartupError`."""
    redis_url = config.cluster.redis_url
    if redis_url is None:
        raise ConfigError((Fault("cluster.redis_url", "is missing: the nodes are found there"),))
    metrics = EdgeMetrics()
    host, port = host_and_port(config.edge.metrics)
    rpc = KamailioRpc(config.edge.rpc_socket)
    with metrics.served(host, port):
        try:
            async with open_roll(redis_url.get_secret_value()) as roll, asyncio.TaskGroup() as tasks:
                follower = Follower(config, roll, rpc, metrics)
                tasks.create_task(follower.follow(), name="edge-nodes")
                for relay in config.edge.relay:
                    tasks.create_task(RelayWatch(relay, metrics).watch(), name=f"edge-relay:{relay.name}")
                print(f"parley edge ready metrics=http://{config.edge.metrics}/metrics", flush=True)
        finally:
            rpc.close()


def write_atomically(file: Path, text: str) -> None:
    """Whoever reads it sees the old text or the new one. A disk that is full is told, and the old text stays."""
    new = file.with_suffix(f".{os.getpid()}")
    try:
        new.write_text(text)
        new.replace(file)
    except OSError as fault:
        log.error("edge_list_not_written", cause=fault.strerror)
        with suppress(OSError):
            new.unlink()


def _by_node(listed: Mapping[str, Listed]) -> Mapping[str, Listed]:
    """All shares of a node in one, by its id."""
    found: dict[str, Listed] = {}
    for one in listed.values():
        node_id = one.destination.duid.rsplit("-", 2)[0]
        before = found.get(node_id)
        if before is not None:
            one = Listed(one.destination, one.is_reached and before.is_reached, one.calls + before.calls, one.ping_ms)
        found[node_id] = one
    return found
