# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of `parley edge follow`, and the HTTP port that tells them. Names begin with `parley_edge_`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from gateway.errors import StartupError

_ROUND_TRIP_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
_LOSS_BUCKETS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
_JITTER_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2)


class ListedNode(Protocol):
    """`gateway.edge.kamailio_rpc.Listed`, all shares of a node together."""

    @property
    def is_reached(self) -> bool: ...
    @property
    def calls(self) -> int: ...
    @property
    def ping_ms(self) -> float: ...


class Relayed(Protocol):
    """`gateway.edge.relay_statistics.RelayStatistics`."""

    @property
    def sessions(self) -> int: ...
    @property
    def transcoded(self) -> int: ...
    @property
    def packets(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def one_way(self) -> int: ...
    @property
    def timeouts(self) -> int: ...


class Quality(Protocol):
    """`gateway.edge.relay_statistics.StreamQuality`."""

    @property
    def round_trip_s(self) -> float: ...
    @property
    def loss(self) -> float: ...
    @property
    def jitter_s(self) -> float: ...


class EdgeMetrics:
    """In a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(namespace="parley_edge", registry=registry)
        self.redis_up = Gauge("parley_edge_redis_up", "1 while Redis says which nodes there are.", registry=registry)
        self.kamailio_up = Gauge("parley_edge_kamailio_up", "1 while Kamailio takes orders.", registry=registry)
        self._nodes = Gauge(
            "parley_edge_nodes",
            "Nodes: open (take new calls), closed (draining or full), dead (not buried yet).",
            ["state"],
            registry=registry,
        )
        self._node_up = Gauge(
            "parley_edge_node_up", "1 while a node answers Kamailio's pings.", ["node"], registry=registry
        )
        self._node_calls = Gauge(
            "parley_edge_node_calls", "Calls that Kamailio has given a node.", ["node"], registry=registry
        )
        self._node_ping = Gauge(
            "parley_edge_node_ping_seconds", "How long a node takes to answer OPTIONS.", ["node"], registry=registry
        )
        relay = ["relay", "region"]
        self._relay_up = Gauge("parley_edge_relay_up", "1 while an rtpengine answers.", relay, registry=registry)
        self._sessions = Gauge("parley_edge_relay_sessions", "Calls of an rtpengine.", relay, registry=registry)
        self._transcoded = Gauge(
            "parley_edge_relay_transcoded", "Media that it transcodes now.", relay, registry=registry
        )
        self._growing = {
            "packets": Counter("parley_edge_relay_packets", "RTP packets relayed.", relay, registry=registry),
            "errors": Counter(
                "parley_edge_relay_packet_errors", "RTP packets that could not be relayed.", relay, registry=registry
            ),
            "one_way": Counter(
                "parley_edge_relay_one_way", "Calls that had audio from one side only.", relay, registry=registry
            ),
            "timeouts": Counter(
                "parley_edge_relay_timeouts", "Calls that an rtpengine ended for silence.", relay, registry=registry
            ),
        }
        self._known_nodes: set[str] = set()
        self._before: dict[tuple[str, str], int] = {}
        self._round_trip = Histogram(
            "parley_edge_round_trip_seconds",
            "Between relay and callers, by RTCP; one sample of a call every two seconds.",
            ["region"],
            buckets=_ROUND_TRIP_BUCKETS_S,
            registry=registry,
        )
        self._loss = Histogram(
            "parley_edge_loss",
            "Share of packets lost outside, by RTCP.",
            ["region"],
            buckets=_LOSS_BUCKETS,
            registry=registry,
        )
        self._jitter = Histogram(
            "parley_edge_jitter_seconds", "Outside, by RTCP.", ["region"], buckets=_JITTER_BUCKETS_S, registry=registry
        )

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[None]:
        """At `http://HOST:PORT/metrics`, inside. Raises `StartupError`."""
        try:
            server, thread = start_http_server(port, host, registry=self.registry)
        except OSError as fault:
            raise StartupError(f"edge.metrics: {host}:{port}: {fault.strerror}") from fault
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def tell_nodes(self, *, open: int, closed: int, dead: int) -> None:
        """By Redis."""
        for state, number in (("open", open), ("closed", closed), ("dead", dead)):
            self._nodes.labels(state).set(number)

    def tell_destinations(self, nodes: Mapping[str, ListedNode]) -> None:
        """By Kamailio; a node that it does not know any more is gone from here, too."""
        for gone in self._known_nodes - nodes.keys():
            for gauge in (self._node_up, self._node_calls, self._node_ping):
                gauge.remove(gone)
        self._known_nodes = set(nodes)
        for node, listed in nodes.items():
            self._node_up.labels(node).set(listed.is_reached)
            self._node_calls.labels(node).set(listed.calls)
            self._node_ping.labels(node).set(listed.ping_ms / 1000)

    def lose_relay(self, relay: str, region: str) -> None:
        """It does not answer."""
        self._relay_up.labels(relay, region).set(0)

    def tell_relay(self, relay: str, region: str, told: Relayed) -> None:
        """What it says of itself; its counts begin anew when it does."""
        self._relay_up.labels(relay, region).set(1)
        self._sessions.labels(relay, region).set(told.sessions)
        self._transcoded.labels(relay, region).set(told.transcoded)
        counted = {"packets": told.packets, "errors": told.errors, "one_way": told.one_way, "timeouts": told.timeouts}
        for name, now in counted.items():
            before = self._before.get((relay, name), 0)
            self._growing[name].labels(relay, region).inc(now - before if now >= before else now)
            self._before[relay, name] = now

    def tell_quality(self, region: str, quality: Quality) -> None:
        """Of one stream outside."""
        self._round_trip.labels(region).observe(quality.round_trip_s)
        self._loss.labels(region).observe(quality.loss)
        self._jitter.labels(region).observe(quality.jitter_s)
