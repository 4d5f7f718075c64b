# SPDX-License-Identifier: GPL-3.0-or-later
"""Every setting of Parley: its type, unit, default and meaning. `gateway.environment` loads it, nothing else does.

Relative paths are relative to the configuration file's folder (to the working directory when there is no file).
Settings that a later version will understand have their shape here already, and are a fault when used: nothing is
ignored in silence (see `gateway.contradictions`).
"""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from agent.config import AgentConfig
from agent.redaction.kinds import Kind
from agent.tools.config import ToolConfig
from gateway.calls.route import RouteConfig
from gateway.edge.config import EdgeConfig
from gateway.events.catalogue import KEPT_KINDS, kinds_matching
from gateway.events.event import EventKind
from gateway.retention_config import RetentionConfig
from gateway.service_config import ServiceConfig
from gateway.setting_types import (
    BearerKey,
    EncryptionKeyText,
    ExistingFile,
    FolderPath,
    HeaderText,
    HostAndPort,
    Ipv4Address,
    Ipv6Address,
    Name,
    Network,
    NodeId,
    Port,
    Section,
    SigningSecretText,
    WebUrl,
)
from gateway.streams.twilio import ACCOUNT_SID
from gateway.trunks.alarms import AlarmLimits
from gateway.trunks.config import TrunkConfig
from gateway.trunks.profile import Codec, Transport
from gateway.webrtc.config import WebRtcConfig
from media.encryption import EncryptionKey

MAX_CALLS = 2000
"""What scripts/build_pjsua2 compiles PJSIP for (media/native/config_site.h)."""


def _software_version() -> str:
    try:
        return version("parley-gateway")
    except PackageNotFoundError:  # a checkout that was never installed
        return "0"


VERSION = _software_version()


SettingSource = Literal["default", "file", "environment"]
"""Where a setting comes from."""


class SipConfig(Section):
    """`[sip]`: the SIP user agent."""

    bind: Ipv4Address = "0.0.0.0"
    """Address to listen on; 0.0.0.0 is every IPv4 interface."""
    port: Port = 5060
    """UDP and TCP port; 0 picks a free one."""
    transports: Annotated[tuple[Transport, ...], Field(min_length=1)] = ("udp", "tcp")
    """Any of udp, tcp, tls. TLS listens on `tls_port` and needs `tls_cert` and `tls_key`."""
    tls_port: Port = 5061
    tls_cert: ExistingFile | None = None
    """PEM certificate chain. When the file changes (and by SIGHUP) it is read again; calls go on."""
    tls_key: ExistingFile | None = None
    """PEM private key."""
    tls_ca: ExistingFile | None = None
    """PEM certificate authorities of trunks and callers, in place of the system's."""
    tls_verify: bool = True
    """Dial by TLS only whose certificate is good for the name. False: anybody, for a laboratory."""
    tls_client_certs: bool = False
    """Let in by TLS only who shows a certificate that `tls_ca` has signed."""
    bind6: Ipv6Address | None = None
    """IPv6 address to listen on as well; `::` is every interface."""
    connections_per_address: Annotated[int, Field(ge=1, le=2000)] = 64
    """TCP and TLS connections that one address may have open; trunks that need more are rare."""
    public_address: Ipv4Address | None = None
    """Address that peers outside reach us at, when a router translates ours (NAT)."""
    stun: HostAndPort | None = None
    """A STUN server (`stun.example.com`, port 3478 unless named) that is asked for this address instead, at the start,
    again and again, and when a registration failed: for a router whose address changes. Calls that stand are told of a
    new one."""
    stun_s: Annotated[float, Field(ge=1)] = 30.0
    """Seconds between two questions to `stun`."""
    max_calls: Annotated[int, Field(ge=1, le=MAX_CALLS)] = 1000
    """Calls at the same time; one more is answered 503."""
    strangers: Literal["private", "everyone", "nobody"] = "private"
    """Whose calls are taken that come through no trunk (`allow`) and from no `[[user]]`: those from loopback and
    private networks, everybody's, or nobody's."""
    nameservers: tuple[HostAndPort, ...] = ()
    """DNS servers that know the hosts of trunks and SIP addresses (`192.0.2.53`, `127.0.0.1:5353`). None: the system's,
    after /etc/hosts."""
    max_calls_per_source: Annotated[int, Field(ge=0)] = 30
    """Calls at the same time of one address that is no trunk's; one more is answered 503. 0: no limit."""
    requests_per_s: Annotated[float, Field(gt=0)] = 20.0
    """New calls and other requests of one address that is no trunk's, in the long run; twice as many at once."""
    tries: Annotated[int, Field(ge=1)] = 10
    """So many refused requests in a minute, wrong passwords among them, ban the address they come from."""
    ban_s: Annotated[float, Field(ge=1)] = 600.0
    """For how long: its requests are dropped without an answer."""
    exempt: tuple[Network, ...] = ("127.0.0.1/32", "::1/128")
    """Networks that are neither limited nor banned: this machine, one's own proxies. Trunks' `allow` never are."""
    edges: tuple[Network, ...] = ()
    """Where Kamailios set up by `parley edge config` send from: they say where a call really comes from, and
    their relays have its media. Nobody else may be there."""
    user_agent: HeaderText = "Parley"
    """User-Agent and Server header. Without a version, which would tell attackers what to try."""


class UserConfig(Section):
    """`[[user]]`: somebody with a softphone who may call from anywhere, by password (digest, RFC 7616)."""

    name: Name
    password: SecretStr


class HttpConfig(Section):
    """`[http]`: the HTTP API."""

    host: str = "127.0.0.1"
    """Name or address to listen on. There is no TLS here: put a reverse proxy before it to leave the machine."""
    port: Port = 8080
    """TCP port; 0 picks a free one."""
    api_keys: tuple[BearerKey, ...] = ()
    """Bearer keys of the API, with every scope; `sha256:` and its SHA-256 in hex stands for a key that is not written
    here. None: one is made at the first start and kept in the data folder, file `api_key`."""
    rate_per_s: Annotated[float, Field(ge=0)] = 200.0
    """Requests of one key per second in the long run, twice as many at once; more are answered 429. 0: no limit."""
    mcp: bool = False
    """Offer the tools of docs/tools.md at `/mcp` to kits that speak MCP, under the same keys. Costs 23 MB."""


class OutboundConfig(Section):
    """`[outbound]`: where URLs that come from outside (streams, webhooks, flows, audio to play) may lead."""

    allow: tuple[Network, ...] = ()
    """Networks that may be reached although they are not public (`127.0.0.0/8`, `10.1.0.0/16`), there also without
    encryption and on any port. Everywhere else only public addresses are, by wss and https."""


class MediaConfig(Section):
    """`[media]`: RTP and what is done to the audio."""

    rtp_port_min: Annotated[int, Field(ge=1024, le=65534, multiple_of=2)] = 10000
    """First UDP port for RTP, even; a call takes two (RTP, RTCP)."""
    rtp_port_max: Annotated[int, Field(ge=1025, le=65535)] = 19999
    """Last UDP port for RTP."""
    codecs: Annotated[tuple[Codec, ...], Field(min_length=1)] = ("opus", "g722", "pcmu", "pcma", "l16")
    """What we offer and accept, most wanted first; a codec that is not named is refused."""
    jitter: Literal["low_latency", "balanced", "robust"] = "balanced"
    """How long to wait for late packets: as long as the network has shown to need, but at most 20, 60 or 200 ms."""
    inband_dtmf: Literal["auto", "always", "off"] = "auto"
    """Look for keys in the audio: when the far end negotiated no telephone-event, always, or never."""
    fec: bool | Literal["always"] = True
    """Send redundancy when the peer reports loss: RFC 2198 with PCMU, PCMA, G722 and L16, Opus in-band. `always`: also
    before it does. False: neither offered nor accepted."""
    srtp: Literal["off", "optional", "required"] = "off"
    """Encrypted media: never, when the peer offers it, or nothing else."""
    timeout_s: Annotated[float, Field(ge=5, le=3600)] = 60.0
    """A call that is not on hold and whose peer sends no RTP for so many seconds is hung up: the peer is gone."""
    echo_gate: bool = True
    """Keep our own voice, when a speakerphone or a hybrid returns it, from counting as the caller's."""
    noise_suppression: Literal["off", "low", "medium", "high"] = "off"
    """Take noise from what agents hear; needs the extra `noise`. README has its measured effect on recognition."""
    record: bool = False
    """Record every call to the data folder, in stereo: caller left, we right. The API can start it on any call."""
    prompts_dir: FolderPath | None = None
    """Folder with the files that the API may play, WAV, MP3 or Ogg. None: `prompts` in the data folder."""
    record_format: Literal["wav", "opus"] = "wav"
    """`wav`: 16-bit PCM at the call's rate (32 kB/s at 8 kHz). `opus`: Ogg Opus, 4 kB/s, for more CPU."""


class StoreConfig(Section):
    """`[store]`: sessions, transcripts and recordings."""

    url: str | None = None
    """Database as an SQLAlchemy URL: `postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE` (docs/postgresql.md), best
    given as PARLEY_STORE__URL, or `sqlite+aiosqlite:///FILE`. None: SQLite, file `parley.db` in the data folder."""
    data_dir: FolderPath = Path("parley-data")
    """Folder for the database, recordings and the API key. Default: $XDG_DATA_HOME/parley, or ~/.local/share/parley."""
    encryption_key: EncryptionKeyText | None = None
    """32 random bytes in base64 (`openssl rand -base64 32`): recordings, transcripts and metadata are encrypted with
    it at rest. Best given as PARLEY_STORE__ENCRYPTION_KEY. Whoever loses it loses what it encrypted."""
    old_encryption_keys: tuple[EncryptionKeyText, ...] = ()
    """Keys that it took the place of, PARLEY_STORE__OLD_ENCRYPTION_KEYS=key,key: what they encrypted stays readable,
    until `parley keys rotate` has encrypted it anew and they can be left out."""
    retention: Annotated[int, Field(ge=0)] | None = None
    """Days after which recordings and transcripts are erased: short for `audio_days` and `transcripts_days` of
    `[retention]`, where those are not set."""

    @property
    def key(self) -> EncryptionKey | None:
        """The encryption key, with the old ones; None: nothing is encrypted."""
        if self.encryption_key is None:
            return None
        older = tuple(EncryptionKey.parse(one.get_secret_value()) for one in self.old_encryption_keys)
        return EncryptionKey.parse(self.encryption_key.get_secret_value(), older)

    @property
    def database_url(self) -> str:
        """The database, as an SQLAlchemy URL with an asyncio driver."""
        return self.url or f"sqlite+aiosqlite:///{self.data_dir / 'parley.db'}"

    @property
    def recordings_dir(self) -> Path:
        """Where recordings lie; the store's `recording` fields are relative to `data_dir`."""
        return self.data_dir / "recordings"


class RedactionConfig(Section):
    """`[redaction]`: personal data in what was said (agent/redaction). Off unless something is named here or at an
    agent: it cannot be undone, and takes out too much at times. The sound of a recording is not touched."""

    redact: tuple[Kind, ...] = ()
    """For agents without a `redact` of their own, and for calls of text backends: `cards`, `iban`, `emails`,
    `birthdates`, `numbers`, `names`. Out of transcripts, events, webhooks, memories, and results made of those."""
    streams: bool = False
    """Text backends (`conversationrelay`) get it redacted, too."""


class ModelsConfig(Section):
    """`[models]`: the offline speech models."""

    folder: FolderPath = Path("parley-data/models")
    """Folder with the model files. Default: $XDG_CACHE_HOME/parley/models, or ~/.cache/parley/models."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Inferences at the same time, one thread each; more calls than that wait in a queue (a metric)."""


class LogConfig(Section):
    """`[log]`: what is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for people when standard error is a terminal, JSON lines when not."""


class ClusterConfig(Section):
    """`[cluster]`: several nodes. They share Redis, the database and `store.encryption_key` (docs/cluster.md)."""

    redis_url: Annotated[SecretStr, Field(min_length=1)] | None = None
    """`redis://[:PASSWORD@]HOST:PORT/DATABASE`, or `rediss://` for TLS. None: this node is alone."""
    node_id: NodeId | None = None
    """Its name in the cluster, the same after a restart. None: the host's name and the SIP port."""
    region: Annotated[str, Field(max_length=64)] = ""
    """Where it stands; calls out are placed in the region that was asked."""
    sip_address: HostAndPort | None = None
    """Where others, and Kamailio, reach our SIP over UDP. None: `sip.public_address`, or `sip.bind`, and the port."""
    http_url: str | None = None
    """Where the others reach our HTTP. None: from `http.host` and `http.port`."""
    weight: Annotated[int, Field(ge=1, le=100)] = 50
    """Of nodes that are alike full, the heavier gets the call."""
    heartbeat_s: Annotated[float, Field(ge=0.05, le=10)] = 0.25
    """Between two signs of life."""
    dead_after_s: Annotated[float, Field(ge=0.2, le=60)] = 1.5
    """Without a heartbeat for so long, a node is dead, and the others take its calls. At least three heartbeats."""
    drain_s: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    """How long calls may go on after SIGTERM. What stands then is handed over to another node, or hung up."""


class TraceConfig(Section):
    """`[trace]`: the SIP messages of calls, for `parley trace`. Passwords, SRTP keys and pressed keys are taken out."""

    keep: bool = True
    """With the call's session, encrypted like transcripts."""
    hep: HostAndPort | None = None
    """Where to send every SIP message as well, by HEP version 3 over UDP: a Homer, port 9060 unless named."""
    hep_id: Annotated[int, Field(ge=1, le=2**32 - 1)] = 1
    """Our number at the collector."""
    hep_password: SecretStr = SecretStr("")
    """What the collector asks for, if anything."""


class AlarmsConfig(Section):
    """`[alarms]`: when a trunk's calls are worse than they should be, by its last fifty of a quarter of an hour. An
    alarm is a warning in the log, an event (`trunk.alarm`) and a metric (`parley_trunk_alarm`)."""

    mos: Annotated[float, Field(ge=0, le=5)] = 3.5
    """Mean opinion score that the calls should have, as we hear them. 0: no alarm."""
    loss_percent: Annotated[float, Field(ge=0, le=100)] = 3.0
    """Of packets. 0: no alarm."""
    failed_percent: Annotated[float, Field(ge=0, le=100)] = 20.0
    """Of calls: 408, 5xx, or no audio. 0: no alarm."""
    min_calls: Annotated[int, Field(ge=1, le=50)] = 5
    """Before that nothing is said of a trunk."""

    @property
    def limits(self) -> AlarmLimits:
        return AlarmLimits(self.mos, self.loss_percent, self.failed_percent, self.min_calls)


class StreamConfig(Section):
    """`[stream]`: media streams to backends."""

    secrets: tuple[SigningSecretText, ...] = ()
    """Sign the upgrade requests of our WebSockets (`whsec_...`, Standard Webhooks: over call id, time and URL). Several
    while a secret is being changed."""
    ca_file: ExistingFile | None = None
    """PEM certificate authorities for wss, in place of the system's."""
    connect_s: Annotated[float, Field(ge=1, le=60)] = 10.0
    """How long the first connection may take, attempts included."""
    reconnect_s: Annotated[float, Field(ge=0, le=600)] = 30.0
    """How long a backend that was lost may stay away; the caller hears `comfort` meanwhile."""
    stuck_s: Annotated[float, Field(ge=1, le=120)] = 10.0
    """A connection of which the backend reads nothing for so long is ended and made anew."""
    comfort: Literal["noise"] | ExistingFile = "noise"
    """What the caller hears while the backend is away: noise, or a WAV file, over and over."""
    comfort_dbov: Annotated[float, Field(ge=-70, le=-20)] = -45.0
    """Level of the noise; speech has -20 to -26."""


class TwilioConfig(Section):
    """`[twilio]`: what backends of the stream protocols `twilio` and `conversationrelay` find of Twilio's here."""

    account_sid: Annotated[str, Field(pattern=r"^AC[0-9a-f]{32}$")] = ACCOUNT_SID
    """The account that calls are said to belong to."""
    auth_token: BearerKey | None = None
    """Signs the connections we make to backends (`X-Twilio-Signature`), and is a password of the REST calls by which
    they end a call, as every API key is. None: no such signature."""

    @property
    def token(self) -> str | None:
        return None if self.auth_token is None else self.auth_token.get_secret_value()


class EventsConfig(Section):
    """`[events]`: what happened on calls (docs/events.md), for feeds that resume and webhooks that were away."""

    keep_hours: Annotated[int, Field(ge=1, le=720)] = 24
    """So long events are kept; a webhook that has not taken one by then never gets it."""
    keep_events: Annotated[int, Field(ge=1000)] = 1_000_000
    """No more than that are kept, whatever their age: some 600 bytes each."""


class WebhookConfig(Section):
    """`[[webhook]]`: a receiver of events, by signed POST."""

    url: WebUrl
    """Where to; inside `outbound.allow` when it is not public."""
    name: Name | None = None
    """What logs and metrics call it, and what is left to deliver is kept under. None: the URL's host."""
    secrets: tuple[SigningSecretText, ...] = ()
    """Sign with each of these (Standard Webhooks; `echo whsec_$(openssl rand -base64 32)`). None: unsigned."""
    kinds: tuple[str, ...] = ()
    """`call.ended`, `transcript.*`... None: all that are kept."""

    @property
    def label(self) -> str:
        """The name in force."""
        return self.name or urlsplit(self.url).hostname or ""

    @property
    def wanted(self) -> frozenset[EventKind]:
        """The kinds it gets."""
        return kinds_matching(self.kinds) & KEPT_KINDS

    @model_validator(mode="after")
    def _kinds_exist_and_are_kept(self) -> "WebhookConfig":
        for pattern in self.kinds:
            if not kinds_matching((pattern,)) & KEPT_KINDS:
                raise ValueError(f"{pattern} is told to live feeds only, not to webhooks")
        return self


class Config(Section):
    """All settings. Without any, the embedded default: every number reaches an offline agent, `echo` the echo."""

    sip: SipConfig = SipConfig()
    http: HttpConfig = HttpConfig()
    outbound: OutboundConfig = OutboundConfig()
    media: MediaConfig = MediaConfig()
    store: StoreConfig = StoreConfig()
    retention: RetentionConfig = RetentionConfig()
    redaction: RedactionConfig = RedactionConfig()
    models: ModelsConfig = ModelsConfig()
    log: LogConfig = LogConfig()
    cluster: ClusterConfig = ClusterConfig()
    edge: EdgeConfig = EdgeConfig()
    events: EventsConfig = EventsConfig()
    webhook: tuple[WebhookConfig, ...] = ()
    stream: StreamConfig = StreamConfig()
    webrtc: WebRtcConfig = WebRtcConfig()
    trace: TraceConfig = TraceConfig()
    alarms: AlarmsConfig = AlarmsConfig()
    twilio: TwilioConfig = TwilioConfig()
    trunk: tuple[TrunkConfig, ...] = ()
    user: tuple[UserConfig, ...] = ()
    route: tuple[RouteConfig, ...] = ()
    """None: `echo` reaches the echo, every other number the agent."""
    agents: dict[Name, AgentConfig] = Field(default={"receptionist": AgentConfig()}, min_length=1)
    """None: one, `receptionist`, that runs on this machine alone."""
    services: dict[Name, ServiceConfig] = Field(default_factory=dict)
    tools: dict[Name, ToolConfig] = Field(default_factory=dict)
    """What agents may do besides talking, and the servers that do it (docs/tools.md)."""

    _source_of: Callable[[tuple[str | int, ...]], SettingSource] | None = PrivateAttr(default=None)

    def remember_sources(self, source_of: Callable[[tuple[str | int, ...]], SettingSource]) -> None:
        """Who knows where a setting comes from: `file`, `environment` or `default`."""
        self._source_of = source_of

    def source_of(self, *path: str | int) -> SettingSource:
        """Where this setting comes from."""
        return "default" if self._source_of is None else self._source_of(path)

    @property
    def routes(self) -> tuple[RouteConfig, ...]:
        """The routes in force, defaults filled in: an agent route names its agent."""
        routes = self.route or (RouteConfig(match="echo", action="echo"), RouteConfig(action="agent"))
        only_agent = next(iter(self.agents), None)
        return tuple(
            route.model_copy(update={"agent": only_agent}) if route.action == "agent" and route.agent is None else route
            for route in routes
        )

    @property
    def public_agents(self) -> tuple[str, ...]:
        """Agents that pages reach without a key."""
        if self.webrtc.public_agents is not None:
            return self.webrtc.public_agents
        is_embedded = "agents" not in self.model_fields_set
        return tuple(self.agents) if is_embedded and self.http.host in ("127.0.0.1", "::1", "localhost") else ()

    @property
    def open_files(self) -> int:
        """File descriptors for `sip.max_calls` calls (RTP, RTCP, recording, a stream) and everything else: requests,
        and who looks on (`gateway.api.onlookers`)."""
        return self.sip.max_calls * 4 + 1024

    @property
    def retention_in_force(self) -> RetentionConfig:
        """With `store.retention`."""
        days, given = self.store.retention, self.retention
        if days is None:
            return given
        usual = {"audio_days": days, "transcripts_days": days}
        return given.model_copy(update={key: value for key, value in usual.items() if getattr(given, key) is None})

    def trunk_named(self, name: str | None) -> TrunkConfig | None:
        """None when there is none of that name."""
        return next((trunk for trunk in self.trunk if trunk.name == name), None)

    def route_for(self, dialled_user: str, source_address: str, trunk: str | None = None) -> RouteConfig | None:
        """The first route that matches; None when the number leads nowhere."""
        for route in self.routes:
            if route.matches(dialled_user, source_address, trunk):
                return route
        return None
