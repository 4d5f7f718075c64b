# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley serve`: opens everything in order, says when it is ready, drains on SIGTERM, closes in reverse order."""

import asyncio
import contextlib
import ctypes
import gc
import signal
import ssl
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING

import structlog
import uvloop

from agent.local.engines import OfflineEngines
from agent.local.inference import Priority
from gateway.agent_desk import AgentDesk, edited_agents
from gateway.agents import Staff
from gateway.api.agents import agents_router
from gateway.api.app import BASE_PATH, create_app
from gateway.api.attach import attach_router
from gateway.api.audit import audit_router
from gateway.api.auth import api_keys
from gateway.api.campaigns import campaigns_router, do_not_call_router
from gateway.api.erasures import erasures_router
from gateway.api.keyring import KeyRing
from gateway.api.latency import latency_router
from gateway.api.meter import meter_router
from gateway.api.retention import retention_router
from gateway.api.server import address_of, bind_http, serving
from gateway.api.services import services_router
from gateway.api.settings import settings_router
from gateway.api.trunks import trunks_router
from gateway.api.webrtc import browser_events_router, webrtc_router
from gateway.api.work import work_router
from gateway.calls.browsers import BrowserCalls
from gateway.calls.call import Call
from gateway.calls.campaign_line import SwitchboardLine
from gateway.calls.control import SwitchboardControl
from gateway.calls.exchange import Exchange
from gateway.calls.hands import CallHands
from gateway.calls.journal import Journal
from gateway.calls.memory import CallerMemories
from gateway.calls.meter import Meters
from gateway.calls.prompts import FETCH_S, MAX_URL_BYTES, Fetch, Prompts
from gateway.calls.refusal import bar
from gateway.calls.switchboard import Switchboard
from gateway.calls.toll_audit import TollAudit
from gateway.calls.voices import Voices
from gateway.campaigns.control import Campaigns
from gateway.campaigns.extraction import Extraction, LlmExtraction, RuleExtraction
from gateway.campaigns.runner import Runner
from gateway.cluster.adoption import Adoptions
from gateway.cluster.failover import open_failover
from gateway.cluster.membership import node_id_of, open_membership
from gateway.cluster.reach import open_reach
from gateway.config import Config, HttpConfig, SipConfig
from gateway.desk import service_infos, trunk_infos
from gateway.errors import StoreError, WrongCallState
from gateway.events import EventBus
from gateway.feeds import event_retention, open_events, sending_webhooks
from gateway.guard import PLAY_URL, OutboundGuard
from gateway.knowledge import open_knowledge
from gateway.lookup import CallLookup
from gateway.outbound import fetch
from gateway.rates import Rate
from gateway.retention import Retention
from gateway.services import open_services
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.guard import GuardedTrunk, GuardSettings
from gateway.sip.public_address import AddressChanged, PublicAddress
from gateway.sip.settings import EndpointSettings, MediaSettings, TlsSettings, TrunkSettings
from gateway.sip.sip_thread import new_handle
from gateway.sip.tls_files import TlsFiles
from gateway.store import SessionStore, open_store
from gateway.store.erasure import erase_caller
from gateway.streams.opening import open_streams
from gateway.streams.reception import Reception
from gateway.streams.tokens import StreamTokens
from gateway.telemetry import Metrics, configure_logging, watch_event_loop
from gateway.telemetry.turns import RecentTurns
from gateway.tools import open_tools
from gateway.trunks.config import TrunkConfig
from gateway.trunks.dns import Family
from gateway.trunks.names import Names
from gateway.trunks.nameserver import SystemNameserver
from gateway.trunks.selection import host_and_port
from gateway.webrtc.legs import BrowserLegs
from gateway.webrtc.tokens import PageTokens
from gateway.work import WorkBoard
from gateway.work_display import WorkDisplay
from media.ports import JitterPolicy, PcmHub

if TYPE_CHECKING:
    from gateway.mcp.endpoint import McpEndpoint

log = structlog.get_logger(__name__)

_LEAVE_S = 5.0
"""For campaigns to write down how their last calls ended."""
_SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_COUNTERS_PERIOD_S = 1.0
_GC_THRESHOLDS = (20_000, 10, 10)
"""A batch of frames of 300 calls is a thousand objects, which soon go by themselves: with Python's own 700 each of them
was searched for cycles (measured: a tenth of the time with 300 streams)."""
_LATENESS_MS = ("0.1", "0.5", "1", "2", "5", "10", "20", "inf")
"""Bounds of `HubStats.late_histogram`."""
_M_ARENA_MAX = -8
"""malloc.h"""


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises `StartupError`."""
    _keep_one_heap()
    uvloop.run(_serve(config))
    return 0


def _node(config: Config) -> str | None:
    """By what the store knows this gateway; None: there is no cluster to name it."""
    return None if config.cluster.redis_url is None else node_id_of(config)


def _keep_one_heap() -> None:
    """Let all threads share malloc's one arena: measured to cost no time here, and to save a third of the memory."""
    with contextlib.suppress(OSError, AttributeError):  # a libc without mallopt keeps its own way
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


async def _serve(config: Config) -> None:
    begun = time.monotonic()
    metrics = Metrics()
    metrics.calls_max.set(config.sip.max_calls)
    writer = configure_logging(config.log.level, config.log.format, metrics=metrics)
    board = WorkBoard()
    board.follow(WorkDisplay(board, writer).receive)
    stop = _StopSignals()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(bind_http(config.http.host, config.http.port)))
        store = await stack.enter_async_context(
            open_store(config.store.database_url, config.store.data_dir, metrics, config.store.key, node=_node(config))
        )
        with board.working("engines", "offline", "models"):
            engines = await OfflineEngines.load(config.models.folder, workers=config.models.workers)
        stack.push_async_callback(engines.aclose)
        services = await stack.enter_async_context(open_services(config, metrics))
        tools = await stack.enter_async_context(open_tools(config.tools, OutboundGuard(config.outbound.allow)))
        guard = OutboundGuard(config.outbound.allow)
        edited = await edited_agents(config.agents, store.agent_versions, config.store.data_dir)
        knowledge = await open_knowledge(config.agents, engines, guard, config.store.data_dir, board)
        lookups = {
            name: await stack.enter_async_context(CallLookup(agent.lookup, guard))
            for name, agent in config.agents.items()
            if agent.lookup is not None
        }
        staff = Staff(config.agents, engines, services, board)
        agents = await staff.assemble(config.media, tools, knowledge, metrics, lookups, config.redaction)
        hub = stack.enter_context(contextlib.closing(PcmHub()))
        hub.start(asyncio.get_running_loop())
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        journal = Journal(store, metrics)
        tasks.create_task(journal.write_until_closed(), name="journal")
        stack.push_async_callback(journal.close)
        agents.memories = memories = CallerMemories(store.memories, journal)
        desk = AgentDesk(config.agents, edited, agents, knowledge, store.agent_versions, config.store.data_dir)
        events = await open_events(config, store, journal, metrics)
        board.follow(lambda work: events.bus.publish("work.progress", "", asdict(work.facts)))
        await stack.enter_async_context(sending_webhooks(config, store, journal, events, metrics))
        reception = Reception()
        streams = await stack.enter_async_context(open_streams(config, agents, events.bus, metrics, reception))
        names = await stack.enter_async_context(_names(config))
        exchange = Exchange(config.trunk, names, metrics, events.bus)
        exchange.restore(await store.trunk_minutes(_midnight()))
        toll_audit, loop = TollAudit(journal.audited), asyncio.get_running_loop()
        exchange.on_barred = lambda trunk, bar, way: loop.call_soon_threadsafe(toll_audit.receive, trunk, bar, way)
        public_address = _public_address(config.sip)
        if public_address is not None:
            await public_address.learn()
        settings = endpoint_settings(config, public_address)
        switchboard = Switchboard(config, settings, hub, agents, journal, metrics, events.bus, streams, exchange)
        agents.control_of = partial(CallHands, switchboard)

        def refused(call: Call, numbers: Sequence[str]) -> None:
            journal.audited("do_not_call_added", "all")
            written = bar(numbers, store.do_not_call.add, datetime.now(UTC), call.call_id)
            tasks.create_task(written, name=f"{call.call_id}:do-not-call")

        switchboard.on_do_not_call = refused
        if public_address is not None:
            switchboard.registration_failed = public_address.ask_soon
        await stack.enter_async_context(switchboard)
        where = (switchboard.endpoint.address, address_of(listener))
        cluster = await stack.enter_async_context(
            open_membership(config, *where, lambda: len(switchboard.calls), events.bus, metrics)
        )
        retention = Retention(config.retention_in_force, store, metrics)
        switchboard.events.follow(retention.receive)
        adoptions = await stack.enter_async_context(
            open_failover(cluster, switchboard, store, metrics, config.cluster.dead_after_s)
        )
        reach = await stack.enter_async_context(
            open_reach(cluster, switchboard, store, events, config.cluster.dead_after_s)
        )
        background = [
            tasks.create_task(switchboard.endpoint.watch(), name="sip-watch"),
            tasks.create_task(switchboard.watch_media(), name="media-watch"),
            tasks.create_task(exchange.watch(switchboard.endpoint), name="trunk-watch"),
            tasks.create_task(switchboard.watch_quality(), name="quality-watch"),
            tasks.create_task(switchboard.tracing.run(), name="tracing"),
            tasks.create_task(event_retention(config, store, events, metrics).run(), name="event-retention"),
            tasks.create_task(retention.run(), name="retention"),
            tasks.create_task(store.audit_log.run(), name="audit-chain"),
            tasks.create_task(memories.expire(), name="memory-expiry"),
            tasks.create_task(staff.render_ahead(), name="render-ahead"),
            tasks.create_task(desk.render_ahead(), name="render-greetings"),
            *(tasks.create_task(one.follow(), name="knowledge") for one in dict.fromkeys(knowledge.values())),
            tasks.create_task(watch_event_loop(metrics), name="event-loop-lag"),
            tasks.create_task(_publish_counters(hub, engines, switchboard, metrics), name="counters"),
        ]
        if public_address is not None:
            follow = public_address.follow(partial(_move, switchboard.endpoint, events.bus))
            background.append(tasks.create_task(follow, name="public-address"))
        if (tls_files := _tls_files(config.sip, switchboard.endpoint)) is not None:
            background.append(tasks.create_task(tls_files.follow(), name="tls-files"))
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGHUP, lambda: background.append(tasks.create_task(tls_files.renew(), name="tls-renewal"))
            )
        stack.callback(lambda: [task.cancel() for task in background])
        tokens = StreamTokens()
        switchboard.events.follow(
            lambda event: tokens.forget_call(event.call_id) if event.kind == "call.ended" else None
        )
        pages = PageTokens()
        browser_legs = BrowserLegs(
            config.webrtc,
            switchboard.endpoint,
            switchboard.receive,
            lambda: config.sip.public_address or ("" if public_address is None else public_address.address),
            fec=config.media.fec is not False,
        )
        recent_turns = RecentTurns()
        switchboard.events.follow(recent_turns.receive)
        browsers = BrowserCalls(config, switchboard, browser_legs)
        prompts = Prompts(config.media.prompts_dir or config.store.data_dir / "prompts", _prompt_source(config))
        streams.find = prompts.from_url
        keys = KeyRing(await asyncio.to_thread(api_keys, config), await store.api_keys())
        mcp = await _mcp_endpoint(keys) if config.http.mcp else None
        voices = Voices(engines.tts, engines.tts.voice, "en")
        campaigns = Campaigns(store, config.store.database_url, board)
        extraction = Extraction(
            store,
            {name: LlmExtraction(model) for name, model in staff.models.items()},
            RuleExtraction(lambda texts: engines.queries.of(*texts, priority=Priority.PARTIAL)),
        )
        share = (lambda: 1.0) if reach is None else reach.routing.share
        runner = Runner(store, SwitchboardLine(switchboard, voices), events.bus, extraction, new_handle, share)
        background.append(tasks.create_task(runner.run(), name="campaigns"))
        app = create_app(
            SwitchboardControl(switchboard, prompts, voices, None if reach is None else reach.routing.me),
            store,
            metrics,
            events,
            keys=keys,
            tokens=tokens,
            campaigns=(campaigns_router(campaigns, runner), do_not_call_router(campaigns)),
            pages=pages,
            more=(
                meter_router(Meters(switchboard.call)),
                latency_router(recent_turns),
                trunks_router(lambda: trunk_infos(config, exchange, switchboard.trunk_watch)),
                services_router(lambda: service_infos(config, services)),
                settings_router(config),
                agents_router(desk, journal.audited),
                work_router(board),
                retention_router(store, retention.due),
                audit_router(store),
                erasures_router(partial(erase_caller, store)),
                webrtc_router(browsers, pages, config.webrtc, config.public_agents),
                browser_events_router(events, metrics, browsers, pages),
            ),
            origins=config.webrtc.origins,
            agents=tuple(config.agents),
            rate=_rate(config.http),
            attach=attach_router(streams, reception, tokens, switchboard.call),
            ready=lambda: ["draining"] if switchboard.is_draining else [],  # HTTP answers once all is open
            twilio_auth_token=config.twilio.token,
            mcp=mcp,
            live_signalling=switchboard.tracing.of_call,
            routing=None if reach is None else reach.routing,
            told=None if reach is None else reach.events,
        )
        if mcp is not None:
            await stack.enter_async_context(mcp.running(app))
        await stack.enter_async_context(serving(app, listener))
        if reach is not None:
            reach.answering(partial(_renew_keys, keys, store))
        # What is loaded stays: a full collection over all of it was measured to hold the event loop up for 50 ms.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        _announce(config, switchboard.endpoint.address, address_of(listener), time.monotonic() - begun)
        await stop.wait()
        log.info("draining", calls=len(switchboard.calls), limit_s=config.cluster.drain_s)
        if cluster is not None:
            cluster.drain()
        runner.stop_claiming()
        drain = tasks.create_task(_drain(switchboard, adoptions, config.cluster.drain_s), name="drain")
        again = tasks.create_task(stop.wait(), name="second-signal")
        await asyncio.wait((drain, again), return_when=asyncio.FIRST_COMPLETED)
        drain.cancel()
        again.cancel()
        await switchboard.drain(0)  # after a second signal
        await runner.leave(_LEAVE_S)


async def _drain(switchboard: Switchboard, adoptions: Adoptions | None, limit_s: float) -> None:
    """Let calls end, hand over those that do not, hang up those that cannot be handed over."""
    await switchboard.empty(limit_s)
    if adoptions is not None:
        await adoptions.hand_over_all()
    await switchboard.drain(0)


async def _renew_keys(keys: KeyRing, store: SessionStore) -> None:
    try:
        keys.renew(await store.api_keys())
    except StoreError as fault:
        log.error("keys_not_renewed", cause=str(fault))


def _midnight() -> datetime:
    """When today began, as `max_minutes_per_day` counts: UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def _mcp_endpoint(keys: KeyRing) -> "McpEndpoint":
    """Here, since the SDK takes half a second and 23 MB to import."""
    from gateway.mcp.endpoint import McpEndpoint

    return McpEndpoint(keys, BASE_PATH)


def _rate(http: HttpConfig) -> Rate | None:
    """What one key may ask of the API."""
    return None if http.rate_per_s == 0 else Rate(http.rate_per_s, burst=max(1, round(2 * http.rate_per_s)))


def _prompt_source(config: Config) -> Fetch:
    guard = OutboundGuard(config.outbound.allow)
    return lambda url: fetch(guard, url, PLAY_URL, max_bytes=MAX_URL_BYTES, timeout_s=FETCH_S)


def _names(config: Config) -> Names:
    nameserver = SystemNameserver([host_and_port(one) for one in config.sip.nameservers])
    families: tuple[Family, ...] = (4,) if config.sip.bind6 is None else (4, 6)
    return Names(nameserver, transports=config.sip.transports, families=families)


def _public_address(sip: SipConfig) -> PublicAddress | None:
    """Who finds it out; None: nobody."""
    return None if sip.stun is None else PublicAddress(sip.stun, sip.bind, sip.stun_s)


async def _move(endpoint: SipEndpoint, events: EventBus, change: AddressChanged) -> None:
    try:
        await endpoint.move(change.address)
    except WrongCallState as fault:  # the endpoint is closing, or PJSIP will not: calls go on as they are
        log.error("public_address_not_taken_up", address=change.address, problem=str(fault))
        return
    events.publish("address.changed", "", asdict(change))


def endpoint_settings(config: Config, found: PublicAddress | None = None) -> EndpointSettings:
    """The SIP endpoint's share of the configuration; `found`: our address outside, unless it is configured."""
    sip, media = config.sip, config.media
    public_address = sip.public_address or ("" if found is None else found.address)
    return EndpointSettings(
        bind=sip.bind,
        port=sip.port,
        transports=sip.transports,
        media=MediaSettings(
            rtp_port_min=media.rtp_port_min,
            rtp_port_max=media.rtp_port_max,
            # An IPv4 address is no place for the RTP of an IPv6 call.
            bind="" if sip.bind == "0.0.0.0" or sip.bind6 else sip.bind,
            public_address=public_address,
            srtp=media.srtp,
            fec=media.fec,
            jitter=JitterPolicy[media.jitter.upper()],
        ),
        codecs=media.codecs,
        max_calls=sip.max_calls,
        user_agent=sip.user_agent,
        trace=config.trace.keep or config.trace.hep is not None,
        public_address=public_address,
        trusts_registrars=sip.public_address is None and sip.stun is None,
        tls_port=sip.tls_port,
        bind6=sip.bind6 or "",
        tls=_tls_settings(sip),
        connections_per_address=sip.connections_per_address,
        trunks=tuple(_trunk_settings(trunk) for trunk in config.trunk),
        guard=_guard_settings(config),
    )


def _guard_settings(config: Config) -> GuardSettings:
    sip = config.sip
    return GuardSettings(
        strangers=sip.strangers,
        trunks=tuple(
            GuardedTrunk(trunk.name, tuple(ip_network(network) for network in trunk.allow), trunk.max_calls)
            for trunk in config.trunk
        ),
        users={user.name: user.password.get_secret_value() for user in config.user},
        max_calls_per_source=sip.max_calls_per_source,
        requests_per_s=sip.requests_per_s,
        tries=sip.tries,
        ban_s=sip.ban_s,
        has_ipv6=sip.bind6 is not None,
        exempt=tuple(ip_network(network) for network in sip.exempt),
        edges=tuple(ip_network(network) for network in sip.edges),
    )


def _tls_settings(sip: SipConfig) -> TlsSettings:
    authorities = sip.tls_ca or ssl.get_default_verify_paths().cafile or _SYSTEM_AUTHORITIES
    return TlsSettings(
        certificate=str(sip.tls_cert or ""),
        key=str(sip.tls_key or ""),
        authorities=str(authorities),
        verify_servers=sip.tls_verify,
        ask_clients=sip.tls_client_certs,
    )


def _tls_files(sip: SipConfig, endpoint: SipEndpoint) -> TlsFiles | None:
    """Those to follow; None: there is no TLS."""
    if "tls" not in sip.transports or sip.tls_cert is None or sip.tls_key is None:
        return None
    return TlsFiles(sip.tls_cert, sip.tls_key, sip.tls_ca, endpoint.reload_tls)


def _trunk_settings(trunk: TrunkConfig) -> TrunkSettings:
    return TrunkSettings(
        name=trunk.name,
        host=trunk.host,
        domain=trunk.domain,
        username=trunk.username,
        password=trunk.password.get_secret_value(),
        register=trunk.registers,
        transport="udp" if trunk.outbound_proxy is not None else trunk.transport,
        realm=trunk.realm,
        register_s=trunk.register_s,
        srtp="off" if trunk.outbound_proxy is not None else trunk.srtp,
        srtp_keying=trunk.srtp_keying,
        srtp_suites=trunk.srtp_suites,
        rtcp_mux=trunk.rtcp_mux,
        media_allow=tuple(str(network) for network in trunk.media_allow),
        codecs=trunk.codecs,
        session_timers=trunk.session_timers,
        session_expires_s=trunk.session_expires_s,
        min_se_s=trunk.min_se_s,
        prack=trunk.prack,
        delayed_offer=trunk.delayed_offer,
    )


async def _publish_counters(hub: PcmHub, engines: OfflineEngines, switchboard: Switchboard, metrics: Metrics) -> None:
    """Carry what native clock, inference pool, recorder and SIP gate count over into the metrics, once a second."""
    before, recorded_before = hub.stats(), switchboard.recordings.stats()
    refused_before: dict[str, int] = {}
    while True:
        await asyncio.sleep(_COUNTERS_PERIOD_S)
        now = hub.stats()
        metrics.clock_late_ticks.inc(now.late_bursts - before.late_bursts)
        for bound, late, late_before in zip(_LATENESS_MS, now.late_histogram, before.late_histogram, strict=True):
            metrics.clock_bursts.labels(bound).inc(late - late_before)
        metrics.inference_queue_depth.labels("offline").set(engines.pool.queued)
        before = now
        recorded = switchboard.recordings.stats()
        metrics.recordings_active.set(recorded.active)
        metrics.recording_queue.set(recorded.queued_s)
        metrics.recordings_stopped.inc(recorded.stopped - recorded_before.stopped)
        metrics.recording_dropped_samples.inc(recorded.dropped_samples - recorded_before.dropped_samples)
        recorded_before = recorded
        gate = switchboard.endpoint.gate_counts()
        for reason, count in gate.refused.items():
            metrics.sip_requests_refused.labels(reason).inc(count - refused_before.get(reason, 0))
        refused_before = gate.refused
        metrics.sip_sources_banned.set(gate.bans)


def _announce(config: Config, sip: str, http: str, seconds: float) -> None:
    """The first line is for programs (INTERFACES), the rest for whoever sits before the terminal."""
    print(f"parley ready sip={sip} http={http}", flush=True)
    routes = "\n".join(
        f"  dial {route.match:<24} {route.action}{f' {route.agent}' if route.agent else ''}" for route in config.routes
    )
    print(
        f"""
Parley is ready after {seconds:.1f} s.
  call it             {_how_to_call(config, sip)}
  softphone settings  server {sip}, {_softphone_login(config)}
{routes}
  in a browser        http://{http}/call to talk, http://{http}/ to look on
  HTTP API            http://{http}/docs
  API key             {config.store.data_dir / "api_key" if not config.http.api_keys else "as configured"}
  data                {config.store.data_dir}
  stop                Ctrl-C (calls may finish), twice to hang up at once
""",
        flush=True,
    )


def _softphone_login(config: Config) -> str:
    if config.sip.strangers == "nobody":
        return "name and password of a [[user]]"
    return "any user name, no password, no registration"


def _how_to_call(config: Config, sip: str) -> str:
    """An address that the routes lead to an agent, or the fact that there is none."""
    route = config.route_for("agent", "127.0.0.1")
    if route is None or route.action != "agent":
        return "dial what a route below matches; none of them leads to an agent for `agent`"
    example = config.agents[route.agent or ""].knowledge is None
    question = "What are your opening hours?" if example else "Hello?"
    return f'''sip:agent@{sip} (UDP or TCP) with any softphone, or
                      scripts/softphone sip:agent@{sip} --say "{question}"'''


class _StopSignals:
    """SIGTERM and SIGINT, one wait each."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._arrived.put_nowait, None)

    async def wait(self) -> None:
        """Until the next signal."""
        await self._arrived.get()
