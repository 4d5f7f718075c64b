# SPDX-License-Identifier: GPL-3.0-or-later
"""`[edge]`: Kamailio and rtpengine before the nodes. Read by `parley edge`; a node needs `sip.edges` only."""

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.setting_types import ExistingFile, FolderPath, HostAndPort, Ipv4Address, Name, Network, Port, Section
from gateway.trunks.profile import Codec, Transport, Use


class RelayConfig(Section):
    """`[[edge.relay]]`: one rtpengine, and whose media goes through it."""

    name: Name
    region: Name = "default"
    """Relays of one region share its calls."""
    callers: tuple[Network, ...] = ()
    """Who is of the region, by the address that signals: the narrowest network of all relays counts. The region of a
    relay that names none takes everybody else."""
    ng: HostAndPort = "127.0.0.1:2223"
    """Where it takes Kamailio's orders, over UDP. Nobody else should reach it."""
    outside: Ipv4Address
    """Its address towards callers and trunks."""
    public: Ipv4Address | None = None
    """What they have for it, when a router translates. None: `outside`."""
    inside: Ipv4Address | None = None
    """Its address towards the nodes. None: `outside`."""
    rtp_port_min: Annotated[int, Field(ge=1024, le=65534, multiple_of=2)] = 30000
    rtp_port_max: Annotated[int, Field(ge=1025, le=65535)] = 39999
    """A call takes four ports, two on each side."""
    max_sessions: Annotated[int, Field(ge=1)] | None = None
    """Calls at most; more are refused, and go through another relay of the region. None: as many as there are ports."""
    redis: Annotated[str, Field(pattern=r"^([^@\s]+@)?[A-Za-z0-9._-]+:\d{1,5}/\d{1,3}$")] | None = None
    """`[PASSWORD@]HOST:PORT/DATABASE`, a database of its own: there it keeps its calls, and has them again after a
    restart. None: a restart cuts the audio of all of them."""
    core_codec: Codec | Literal["as_offered"] = "as_offered"
    """What the nodes hear and say, whatever the callers have: transcoded here, which costs CPU, sound and
    milliseconds (docs/edge.md). Worth it only where the way from here to the nodes loses packets (`opus`)."""


class EdgeConfig(Section):
    """`[edge]`: Kamailio before the nodes; `parley edge config` writes its files."""

    listen: HostAndPort = "127.0.0.1:5060"
    """Where callers and trunks reach it; an address of this machine, not 0.0.0.0."""
    inside: HostAndPort | None = None
    """Where nodes reach it, over UDP: another address or port. None: the same."""
    public_address: Ipv4Address | None = None
    """Of `listen`, when a router translates it."""
    transports: Annotated[tuple[Transport, ...], Field(min_length=1)] = ("udp", "tcp")
    """Any of udp, tcp, tls, outside. TLS needs `tls_cert`, `tls_key` and Debian's kamailio-tls-modules."""
    tls_port: Port = 5061
    tls_cert: ExistingFile | None = None
    """PEM certificate chain."""
    tls_key: ExistingFile | None = None
    """PEM private key."""
    srtp: Use = "optional"
    """Outside, for all but trunks that say so themselves: `required` refuses plain RTP. Inside it is plain always."""
    nodes: tuple[Network, ...] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8")
    """Where the nodes are: nothing that comes from outside is sent anywhere else."""
    requests_per_s: Annotated[int, Field(ge=1)] = 50
    """Of one address that is no trunk's (`allow`) nor exempt (`sip.exempt`); more are dropped for `ban_s`."""
    ban_s: Annotated[int, Field(ge=1)] = 60
    trying_ms: Annotated[int, Field(ge=100, le=5000)] = 700
    """How long a node may say nothing to a request, before another one gets it."""
    ringing_s: Annotated[int, Field(ge=5, le=600)] = 180
    """How long a call may ring."""
    longest_call_s: Annotated[int, Field(ge=60)] = 14_400
    """After that a call does not count any more when nodes are compared, should its end have been missed."""
    processes: Annotated[int, Field(ge=1, le=64)] = 4
    """Of Kamailio, that take UDP."""
    hide: bool = True
    """Callers and trunks see no address of a node in SIP."""
    mask_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")] | None = None
    """What addresses are masked with; the same on all edges that share calls. None: from `store.encryption_key`."""
    run_dir: FolderPath = Path("/run/parley-edge")
    """Where Kamailio takes orders (a socket that only its user may use) and finds its list of nodes."""
    metrics: HostAndPort = "127.0.0.1:9161"
    """Where `parley edge follow` tells Prometheus."""
    relay: tuple[RelayConfig, ...] = ()
    """None: RTP goes straight between callers and nodes, encrypted or not as they agree."""

    @property
    def inside_listen(self) -> str:
        """The address in force."""
        return self.inside or self.listen

    @property
    def rpc_socket(self) -> Path:
        """Where Kamailio takes orders."""
        return self.run_dir / "kamailio.rpc"

    @property
    def node_list(self) -> Path:
        """Kamailio's list of nodes."""
        return self.run_dir / "dispatcher.list"

    @property
    def regions(self) -> tuple[str, ...]:
        """In the order of their relays."""
        return tuple(dict.fromkeys(relay.region for relay in self.relay))

    @property
    def default_region(self) -> str | None:
        """Whose callers are all that nobody names."""
        named = {relay.region for relay in self.relay if relay.callers}
        return next((region for region in self.regions if region not in named), None)

    def faults(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """What is wrong between settings that are each right, as (path, problem)."""
        if self.listen.startswith("0.0.0.0"):
            yield ("listen",), "must be one address: it is told to callers"
        if "tls" in self.transports:
            for key in ("tls_cert", "tls_key"):
                if getattr(self, key) is None:
                    yield (key,), "is missing: edge.transports has tls"
        if self.relay and self.default_region is None:
            yield ("relay",), "every relay names its callers: one region must take all others"
        seen: set[tuple[str, str]] = set()
        for index, relay in enumerate(self.relay):
            for key in ("name", "ng", "redis"):
                value = getattr(relay, key)
                if value is not None and (key, value) in seen:
                    yield ("relay", index, key), f"there is another relay with {value!r}"
                seen.add((key, value))
            if relay.rtp_port_max < relay.rtp_port_min:
                yield ("relay", index, "rtp_port_max"), f"is below rtp_port_min ({relay.rtp_port_min})"

    def region_of(self, network: str) -> str | None:
        """Of callers in a network; None: there are no relays."""
        wanted = ip_network(network)
        known = [
            (one.prefixlen, relay.region)
            for relay in self.relay
            for one in map(ip_network, relay.callers)
            if one.version == wanted.version and wanted.subnet_of(one)  # type: ignore[arg-type]
        ]
        return max(known)[1] if known else self.default_region
