# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong between settings that are each right: found before anything starts, all of it at once."""

from collections.abc import Iterator
from pathlib import Path

from agent.config import is_url
from gateway.calls.route import RouteConfig
from gateway.config import Config, StoreConfig
from gateway.errors import BadStreamOrder
from gateway.services import service_faults
from gateway.sip.tls_files import problem_with
from gateway.streams.order import Fallback
from gateway.streams.protocols import check_options, chosen_format, chosen_tracks, protocol_kind
from gateway.tools import tool_faults
from gateway.trunks.config import TrunkConfig
from gateway.trunks.profiles import field_contradictions

ConfigPath = tuple[str | int, ...]
"""Where in the tree of settings: ("route", 2, "agent")."""


def contradictions(config: Config) -> Iterator[tuple[ConfigPath, str]]:
    """What is wrong between settings that are each right, as (path, problem)."""
    yield from _not_yet(config)
    if config.store.url is not None and (problem := _database_fault(config.store.url)) is not None:
        yield ("store", "url"), problem
    yield from _port_conflicts(config)
    if "tls" in config.sip.transports:
        for key in ("tls_cert", "tls_key"):
            if getattr(config.sip, key) is None:
                yield ("sip", key), "is missing: sip.transports has tls"
        if config.sip.tls_cert is not None and config.sip.tls_key is not None:
            problem = problem_with(config.sip.tls_cert, config.sip.tls_key, config.sip.tls_ca)
            if problem is not None:
                yield ("sip", "tls_cert"), problem
        if config.sip.tls_client_certs and config.sip.tls_ca is None:
            yield ("sip", "tls_client_certs"), "needs tls_ca: who signs the certificates of callers"
    if config.sip.stun is not None and config.sip.public_address is not None:
        yield ("sip", "stun"), "finds out what sip.public_address says: leave one of them out"
    yield from _key_faults(config.store)
    if config.media.noise_suppression != "off" and not _can_suppress_noise():
        yield (
            ("media", "noise_suppression"),
            "needs the extra noise: .venv/bin/pip install -e '.[noise]'",
        )
    seen: set[str] = set()
    for index, trunk in enumerate(config.trunk):
        if trunk.name in seen:
            yield ("trunk", index, "name"), f"there is another trunk named {trunk.name!r}"
        seen.add(trunk.name)
        for key, problem in _trunk_faults(config, trunk):
            yield ("trunk", index, key), problem
    users: set[str] = set()
    for index, user in enumerate(config.user):
        if user.name in users:
            yield ("user", index, "name"), f"there is another user named {user.name!r}"
        if not user.password.get_secret_value():
            yield ("user", index, "password"), "must not be empty"
        users.add(user.name)
    labels: set[str] = set()
    for index, webhook in enumerate(config.webhook):
        if webhook.label in labels:
            yield ("webhook", index, "name"), f"there is another webhook {webhook.label!r}: give each a name"
        labels.add(webhook.label)
    for name, agent in config.agents.items():
        for source in agent.knowledge.sources if agent.knowledge else ():
            if not is_url(source) and not Path(source).exists():
                yield ("agents", name, "knowledge"), f"there is no folder or file {source}"
        if agent.lookup is not None and agent.llm == "local":
            yield ("agents", name, "lookup"), "needs an llm of [services]: the offline one does not read notes"
    for index, agent_name in enumerate(config.webrtc.public_agents or ()):
        if agent_name not in config.agents:
            yield ("webrtc", "public_agents", index), f"there is no agent {agent_name!r}"
    yield from _cluster_faults(config)
    yield from _retention_faults(config)
    yield from _edge_faults(config)
    yield from service_faults(config)
    yield from tool_faults(config)
    if not config.route and len(config.agents) > 1:
        yield ("route",), "there are several agents and no [[route]] that says which number reaches which"
    for index, route in enumerate(config.route):
        yield from _stream_faults(config, index, route)
        if route.action == "agent" and route.agent is None and len(config.agents) > 1:
            yield ("route", index, "agent"), f"is missing: one of {', '.join(config.agents)}"
        if route.action == "bridge" and route.answer != "auto":
            yield ("route", index, "answer"), 'a bridge is answered when the other side answers: "auto"'


def _trunk_faults(config: Config, trunk: TrunkConfig) -> Iterator[tuple[str, str]]:
    if not trunk.host:
        yield "host", f"is missing: {trunk.host_form or 'where its calls go'}"
    if trunk.register_account and not trunk.username:
        yield "register", "registering needs a username"
    elif trunk.auth in ("register", "digest") and not trunk.username:
        yield "username", f'is missing: auth is "{trunk.auth}"'
    if trunk.auth in ("ip", "digest") and trunk.register_account:
        yield "auth", f'is "{trunk.auth}", and register is set'
    if trunk.outbound_proxy is None and trunk.transport not in config.sip.transports:
        yield "transport", f"{trunk.transport} is not among sip.transports"
    yield from field_contradictions(trunk).items()


def _stream_faults(config: Config, index: int, route: RouteConfig) -> Iterator[tuple[ConfigPath, str]]:
    if route.answer == "backend" and route.action != "stream":
        yield ("route", index, "answer"), '"backend" is for action "stream"'
    if route.action != "stream":
        return
    if route.direction == "inbound":
        yield ("route", index, "direction"), '"inbound" only listens: start such a stream beside another action'
    if route.stream_url is None and route.protocol == "audiosocket":
        yield ("route", index, "stream_url"), "is missing: backends of protocol audiosocket do not come to us"
    try:
        chosen_format(route.protocol or "parley", route.codec, route.sample_rate)
    except BadStreamOrder as fault:
        yield ("route", index, "codec"), str(fault)
    try:
        chosen_tracks(route.protocol or "parley", route.track)
    except BadStreamOrder as fault:
        yield ("route", index, "track"), str(fault)
    try:
        check_options(route.protocol or "parley", route.options)
    except BadStreamOrder as fault:
        yield ("route", index, "options"), str(fault)
    if route.options.get("agent", next(iter(config.agents))) not in config.agents:
        yield ("route", index, "options"), f"there is no agent {route.options['agent']!r}"
    if route.answer == "backend" and not protocol_kind(route.protocol or "parley").answers:
        yield ("route", index, "answer"), f"a backend cannot answer a call by protocol {route.protocol}"
    fallback = Fallback.parse(route.fallback)
    if fallback.kind == "agent" and (fallback.name or next(iter(config.agents))) not in config.agents:
        yield ("route", index, "fallback"), f"there is no agent {fallback.name!r}"


def _retention_faults(config: Config) -> Iterator[tuple[ConfigPath, str]]:
    for index, rule in enumerate(config.retention.rule):
        if rule.agent is not None and rule.agent not in config.agents:
            yield ("retention", "rule", index, "agent"), f"there is no agent {rule.agent!r}"
        if rule.agent is None and rule.tag is None:
            yield ("retention", "rule", index), "is for all calls: say so in [retention], or name an agent or a tag"


def _cluster_faults(config: Config) -> Iterator[tuple[ConfigPath, str]]:
    cluster = config.cluster
    if cluster.redis_url is None:
        for key in sorted(cluster.model_fields_set - {"redis_url", "drain_s"}):
            yield ("cluster", key), "means nothing without cluster.redis_url"
        return
    if not cluster.redis_url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        yield ("cluster", "redis_url"), "must begin with redis://, rediss:// or unix://"
    if cluster.dead_after_s < 3 * cluster.heartbeat_s:
        yield ("cluster", "dead_after_s"), f"must be at least three heartbeats of {cluster.heartbeat_s:g} s"
    if cluster.sip_address is None and config.sip.public_address is None and config.sip.bind == "0.0.0.0":
        yield ("cluster", "sip_address"), "is missing: sip.bind is every interface, and the others need one address"


def _edge_faults(config: Config) -> Iterator[tuple[ConfigPath, str]]:
    for path, problem in config.edge.faults():
        yield ("edge", *path), problem
    if config.sip.edges and config.media.srtp == "required":
        yield ("media", "srtp"), "keys end at the edge, and what it sends here is plain: require them by edge.srtp"
    for index, trunk in enumerate(config.trunk):
        if trunk.outbound_proxy is None:
            continue
        if trunk.registers:
            yield ("trunk", index, "outbound_proxy"), "a trunk that is registered with knows this node's own address"
        if trunk.media_allow:
            yield ("trunk", index, "media_allow"), "with outbound_proxy its RTP comes from the edge's relays"


def _not_yet(config: Config) -> Iterator[tuple[ConfigPath, str]]:
    """Settings whose feature this version lacks. Whoever builds the feature deletes its line."""
    later = "is not supported in this version"
    for index, trunk in enumerate(config.trunk):
        if trunk.srtp_keying == "dtls":  # PJSIP is built without, and offers plain RTP where it is required
            yield ("trunk", index, "srtp_keying"), f"{later}: only sdes is"
    for name, agent in config.agents.items():
        if agent.turn.detector in config.services:
            yield ("agents", name, "turn", "detector"), f"{later}: only local and none are"


def _database_fault(url: str) -> str | None:
    """Without anything of the URL but its first word: there may be a password in it."""
    scheme, _, rest = url.partition("://")
    match scheme:
        case "sqlite+aiosqlite":
            return None if len(rest) > 1 and rest.startswith("/") else "names no file: sqlite+aiosqlite:///FILE"
        case "postgresql+asyncpg":
            named = rest.partition("?")[0].rpartition("@")[2].partition("/")[2]
            return None if named else "names no database: postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE"
        case "postgresql" | "postgres" | "sqlite":
            return "names no driver: postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE or sqlite+aiosqlite:///FILE"
        case _:
            return "is no database of ours: only postgresql+asyncpg://... and sqlite+aiosqlite:///FILE are"


def _port_conflicts(config: Config) -> Iterator[tuple[ConfigPath, str]]:
    sip, http, media = config.sip, config.http, config.media
    rtp = range(media.rtp_port_min, media.rtp_port_max + 1)
    if not rtp:
        yield ("media", "rtp_port_max"), f"is below media.rtp_port_min ({media.rtp_port_min})"
    elif len(rtp) // 2 < sip.max_calls:
        room = f"ports {rtp[0]} to {rtp[-1]} are enough for {len(rtp) // 2} calls, two each"
        yield ("media", "rtp_port_max"), f"{room}; sip.max_calls is {sip.max_calls}"
    if "udp" in sip.transports and sip.port in rtp:
        yield ("sip", "port"), f"{sip.port} is inside the RTP range {rtp[0]} to {rtp[-1]}"
    tcp_ports: dict[int, str] = {}
    if "tcp" in sip.transports:
        tcp_ports[sip.port] = "sip.port"
    if "tls" in sip.transports:
        if sip.tls_port and sip.tls_port in tcp_ports:
            yield ("sip", "tls_port"), f"{sip.tls_port} is sip.port too"
        tcp_ports[sip.tls_port] = "sip.tls_port"
    if http.port and http.port in tcp_ports and _share_an_interface(sip.bind, http.host):
        yield ("http", "port"), f"{http.port} is {tcp_ports[http.port]} too"


def _key_faults(store: StoreConfig) -> Iterator[tuple[ConfigPath, str]]:
    if store.key is None:
        if store.old_encryption_keys:
            yield ("store", "encryption_key"), "is missing: store.old_encryption_keys says that there was one"
        return
    seen = {store.key.key_id}
    for index, key in enumerate(store.key.older):
        if key.key_id in seen:
            yield ("store", "old_encryption_keys", index), "is store.encryption_key, or stands there twice"
        seen.add(key.key_id)


def _share_an_interface(bind: str, host: str) -> bool:
    everything = ("0.0.0.0", "::", "")
    return bind in everything or host in everything or bind == host


def _can_suppress_noise() -> bool:
    """Only whoever wants it waits a second and more for SciPy; `parley --help` does not."""
    from media import noise

    return noise.is_installed()
