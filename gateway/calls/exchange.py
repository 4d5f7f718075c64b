# SPDX-License-Identifier: GPL-3.0-or-later
"""All trunks together: what they may cost, which are there, and where their servers are."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

import structlog

from gateway.calls.dialplan import Destination, is_uri, number_of, uri_of, via
from gateway.errors import DestinationBarred, GatewayError, NoSuchTrunk, TooManyCalls
from gateway.events import EventBus
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.uri import SipUri
from gateway.telemetry import Metrics
from gateway.trunks.config import TrunkConfig
from gateway.trunks.destinations import Way, is_allowed
from gateway.trunks.dns import Target
from gateway.trunks.health import TrunkHealth
from gateway.trunks.names import Names
from gateway.trunks.profile import Transport
from gateway.trunks.selection import candidates, host_and_port, hosts, next_hop
from gateway.trunks.tolls import Bar, Tolls

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
"""How often it is seen to what is due."""
_MOST_SERVERS = 4
"""Of one host, in one call and in probing."""
_USUAL_PORTS = frozenset({0, 5060, 5061})
_REQUEST_TIMEOUT = 408
_BAD_GATEWAY = 502
_BARS: dict[Bar, str] = {
    "destination": "the trunk may not dial this number (allow_destinations, deny_destinations)",
    "calls": "the trunk has all the calls it may have (max_calls)",
    "rate": "the trunk may begin no more calls this second (max_cps)",
    "minutes": "the trunk has talked all it may today (max_minutes_per_day)",
}


class Exchange:
    """Whoever wants to call out asks here. Event loop only."""

    def __init__(self, trunks: tuple[TrunkConfig, ...], names: Names, metrics: Metrics, events: EventBus) -> None:
        self.trunks = {trunk.name: trunk for trunk in trunks}
        self.tolls = Tolls(self.trunks)
        self.health = TrunkHealth(self.trunks, time.monotonic())
        self.names = names
        self._metrics = metrics
        self._events = events
        self.on_barred: Callable[[str, Bar, str], object] = lambda trunk, bar, way: None
        """Told trunk, bar and way of each call that was not let out. On any thread."""
        self._probing: set[str] = set()
        for name in self.trunks:
            metrics.trunk_up.labels(name).set(1)
            for bar in _BARS:  # from zero: Prometheus sees no growth from nothing to one
                metrics.trunk_barred.labels(name, bar)

    # Who carries a call

    def routes(self, number: str, trunk: str | None, way: Way) -> tuple[TrunkConfig, ...]:
        """The trunks that may carry a call to this number, in the order to try them; `trunk`: this one, or none.

        Raises `NoSuchTrunk`, `DestinationBarred`.
        """
        now = time.monotonic()
        named = [one for one in self.trunks.values() if one.outbound and trunk in (None, one.name)]
        if not named:
            wanted = "trunk" if trunk is None else f"trunk {trunk!r}"
            raise NoSuchTrunk(f"there is no {wanted} for outgoing calls: see [[trunk]] in the configuration")
        # Who is asked for by name need not match.
        fitting = tuple(named) if trunk else candidates(named, number, lambda name: self.health.is_up(name, now))
        if not fitting:
            raise NoSuchTrunk("no trunk is for such a number: see `match` of [[trunk]] in the configuration")
        allowed = tuple(one for one in fitting if self.tolls.bar(one.name, number, way) is None)
        if not allowed:
            self.tell_bar(fitting[0].name, "destination", way)
            raise DestinationBarred(_BARS["destination"])
        return allowed

    def carriers(self, to: str, trunk: str | None, way: Way) -> tuple[TrunkConfig, ...]:
        """The same for an address; none: it is a SIP URI of somebody else's, which is dialled as it is.

        Raises `BadAddress`, too.
        """
        if not is_uri(to):
            return self.routes(number_of(to), trunk, way)
        uri = uri_of(to)
        of_host = self.of_uri(uri)
        name = trunk or (of_host.name if of_host else None)
        return () if name is None else self.routes(uri.user, name, way)

    def permit(self, to: str, trunk: str | None, way: Way) -> Destination:
        """Where somebody may be sent, or may send us: nowhere that costs, unless a trunk allows it by name.

        Raises as `carriers` does.
        """
        carriers = self.carriers(to, trunk, way)
        if carriers:
            return via(carriers[0], to, carriers[0].host)
        uri = uri_of(to)
        if way in ("refer", "redirect") or not is_allowed(uri.user, (), (), way):
            self.tell_bar("", "destination", way)
            raise DestinationBarred(_BARS["destination"])
        return Destination(str(uri), "", uri.host)

    def may_be_sent(self, trunk: str, to: str) -> bool:
        """Whether the far end of a trunk's call may send us there (REFER), by the configuration alone: any thread may
        ask. `permit` asks again, and finds who carries the call."""
        rules = self.trunks.get(trunk)
        if rules is None or not rules.refer_in:
            return False
        try:
            of_host = self.of_uri(uri_of(to)) if is_uri(to) else None
            number = uri_of(to).user if is_uri(to) else number_of(to)
        except GatewayError:
            return False
        if is_uri(to):
            ways: tuple[TrunkConfig, ...] = () if of_host is None else (of_host,)
        else:
            ways = candidates([one for one in self.trunks.values() if one.outbound], number, lambda name: True)
        if any(self.tolls.bar(one.name, number, "refer") is None for one in ways):
            return True
        self.tell_bar(trunk, "destination", "refer")
        return False

    def takes_refer(self, trunk: str) -> bool:
        """Whether the far end of a trunk's call, or of no trunk's (empty), does as our REFER says."""
        rules = self.trunks.get(trunk)
        return rules is None or rules.refer_out

    def of_uri(self, uri: SipUri) -> TrunkConfig | None:
        """The trunk whose server a SIP URI names: it carries the call, and is paid for it."""
        for trunk in self.trunks.values():
            for host, port in map(host_and_port, hosts(trunk)):
                if trunk.outbound and uri.host.strip("[]") == host.lower() and _is_same_port(uri.port or 0, port):
                    return trunk
        return None

    async def trunk_at(self, server: Target) -> TrunkConfig | None:
        """The trunk whose server this is: under another name, or by its address, it costs what it costs."""
        looked_up = [
            (trunk, self.names.targets(*host_and_port(host), trunk.transport))
            for trunk in self.trunks.values()
            for host in hosts(trunk)
            if trunk.outbound
        ]
        found = await asyncio.gather(*(targets for _, targets in looked_up))
        for (trunk, _), targets in zip(looked_up, found, strict=True):
            if any(one.address == server.address and _is_same_port(one.port, server.port) for one in targets):
                return trunk
        return None

    async def servers(self, host: str, transport: Transport | None) -> tuple[Target, ...]:
        """Of `host:port`, in the order of DNS, by which they are to be tried. None: nobody knows the host."""
        name, port = host_and_port(host)
        return (await self.names.targets(name, port, transport))[:_MOST_SERVERS]

    def is_well(self, trunk: str, target: Target) -> bool:
        """Whether nothing speaks against this server."""
        return self.health.is_well(trunk, server(target), time.monotonic())

    async def addresses(self, trunk: str) -> tuple[str, ...]:
        """Of all its servers."""
        one = self.trunks[trunk]
        found = [await self.names.targets(*host_and_port(host), one.transport) for host in hosts(one)]
        return tuple(sorted({target.address for targets in found for target in targets}))

    # What calls tell

    def admit(self, call_id: str, trunk: str) -> Bar | None:
        """Count an outgoing call of a trunk, or say why there may not be one now."""
        bar = self.tolls.admit(call_id, trunk, time.monotonic(), time.time())
        if bar is not None:
            self.tell_bar(trunk, bar, "order")
        self._count(trunk)
        return bar

    def admit_inbound(self, call_id: str, trunk: str) -> bool:
        """Count a call that came in through a trunk, if it may have one more."""
        bar = self.tolls.admit_inbound(call_id, trunk)
        if bar is not None:
            self.tell_bar(trunk, bar, "inbound")
        self._count(trunk)
        return bar is None

    def answered(self, call_id: str, trunk: str) -> None:
        """An outgoing call costs from now on."""
        self.tolls.answered(call_id, trunk, time.time())

    def ended(self, call_id: str, trunk: str) -> None:
        """A call is over, or goes on elsewhere."""
        if trunk in self.trunks:
            self.tolls.ended(call_id, trunk, time.time())
            self._count(trunk)

    def reached(self, trunk: str, target: Target) -> None:
        """A server has responded to a call."""
        self.health.receive_success(trunk, server(target), time.monotonic())
        self._tell_changes()

    def missed(self, trunk: str, target: Target, code: int) -> None:
        """It has not, or said that it cannot."""
        now = time.monotonic()
        self._metrics.trunk_failures.labels(trunk, str(code)).inc()
        self.health.receive_failure(trunk, server(target), now)
        self.health.hurry(trunk, now)
        self._tell_changes()

    def registered(self, trunk: str, registered: bool) -> None:
        """What its registrar says."""
        if trunk in self.trunks:
            self._metrics.trunk_registered.labels(trunk).set(registered)
            self.health.receive_registration(trunk, registered, time.monotonic())
            self._tell_changes()

    def restore(self, minutes: Mapping[str, float]) -> None:
        """What trunks have talked today before this process began; those that are no more are left out."""
        for name in minutes.keys() & self.trunks.keys():
            self.tolls.restore(name, minutes[name], time.time())

    def tell_bar(self, trunk: str, bar: Bar, way: Way | str) -> None:
        """A call that was not let out, for whoever looks for fraud."""
        self._metrics.trunk_barred.labels(trunk, bar).inc()
        log.warning("call_barred", trunk=trunk, bar=bar, way=way)
        self.on_barred(trunk, bar, way)

    # OPTIONS

    async def watch(self, endpoint: SipEndpoint) -> None:
        """Ask the servers of trunks whether they are there; runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = time.monotonic()
                self.health.handle_timeout(now)
                self._tell_changes()
                self._publish(time.time())
                for name in self.health.due(now):
                    if name not in self._probing:  # which DNS can hold up
                        self._probing.add(name)
                        tasks.create_task(self._probe(endpoint, self.trunks[name]), name=f"options:{name}")
                await asyncio.sleep(_LOOK_S)

    async def _probe(self, endpoint: SipEndpoint, trunk: TrunkConfig) -> None:
        try:
            found = [(host, one) for host in hosts(trunk) for one in await self.servers(*next_hop(trunk, host))]
            self.health.receive_servers(trunk.name, tuple(server(one) for _, one in found) or (trunk.host,))
            if not found:
                self.health.receive_probe(trunk.name, trunk.host, _BAD_GATEWAY, time.monotonic())
            await asyncio.gather(*(self._ask(endpoint, trunk, host, one) for host, one in found))
        finally:
            self._probing.discard(trunk.name)
        self._tell_changes()

    async def _ask(self, endpoint: SipEndpoint, trunk: TrunkConfig, host: str, target: Target) -> None:
        asked_at, code = time.monotonic(), _REQUEST_TIMEOUT
        with contextlib.suppress(TimeoutError, GatewayError):  # the endpoint is closing
            code = await asyncio.wait_for(endpoint.options(target, host), self.health.probe_wait_s(trunk.name))
        now = time.monotonic()
        if code != _REQUEST_TIMEOUT:
            self._metrics.trunk_options.labels(trunk.name).observe(now - asked_at)
        self.health.receive_probe(trunk.name, server(target), code, now)

    def _tell_changes(self) -> None:
        for change in self.health.changes():
            (log.info if change.is_up else log.warning)(
                "trunk_up" if change.is_up else "trunk_down", trunk=change.trunk, cause=change.cause
            )
            self._metrics.trunk_up.labels(change.trunk).set(change.is_up)
            self._events.publish("trunk.state", "", asdict(change))

    def _publish(self, wall_time: float) -> None:
        for name in self.trunks:
            self._metrics.trunk_minutes.labels(name).set(self.tolls.minutes_today(name, wall_time))

    def _count(self, trunk: str) -> None:
        self._metrics.trunk_calls.labels(trunk).set(self.tolls.calls(trunk))


def _is_same_port(one: int, other: int) -> bool:
    return one == other or {one, other} <= _USUAL_PORTS


def too_many(bar: Bar) -> GatewayError:
    """The error for a call that may not go out now."""
    return DestinationBarred(_BARS[bar]) if bar == "destination" else TooManyCalls(_BARS[bar])


def server(target: Target) -> str:
    """What a server is known by."""
    return f"{target.transport}:{target.address}:{target.port}"
