# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API takes and gives. Written by scripts/generate_client_models from its description: change it there."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class Model(BaseModel):
    """A value that does not change. What a later gateway adds is left out."""

    model_config = ConfigDict(frozen=True)


class AgentOrder(Model):
    """Who is to have the call."""

    agent: str | None = None
    """May be left out when there is only one."""


class KeyLimits(Model):
    """What a key sees and touches, and nothing else; empty: it is not limited in this respect."""

    agents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """Of `metadata.tag`, separated by commas: one of them is enough."""
    trunks: tuple[str, ...] = ()


class ApiKeyRecord(Model):
    """A key of the API, without the key."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    """Scopes, and roles, which stand for several."""
    only: KeyLimits | None = None
    """Null: it is limited to nothing."""
    created_at: datetime | None = None
    """Null: it stands in the configuration."""
    expires_at: datetime | None = None


Outcome = Literal[
    "talked",
    "machine",
    "message_left",
    "busy",
    "no_answer",
    "rejected",
    "invalid_number",
    "fax",
    "failed",
    "abandoned",
    "do_not_call",
    "cancelled",
    "not_called",
    "unknown",
]
"""The value is the name in the store, in events and in results."""


class AttemptInfo(Model):
    """An attempt at a contact."""

    attempt_id: str
    line: int
    number: str
    metadata: dict[str, str]
    index: int
    outcome: Outcome | None
    call_id: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    far_end: str | None
    far_end_confidence: float | None
    sip_code: int | None
    end_reason: str | None
    disposition: dict[str, str | float | bool | None]
    response_ms: tuple[float, ...]
    cost: float


class AttemptPage(Model):
    """Attempts, newest first."""

    attempts: tuple[AttemptInfo, ...]
    next: str | None = None


class Backoff(Model):
    """After one outcome."""

    after_s: tuple[float, ...]
    """How long to wait before the next attempt, after the first, second... such outcome; the last one repeats."""
    max: int = 100
    """Attempts that may end so; after them the contact is done."""


class Attempts(Model):
    """How often somebody is called. An outcome without a table here is not tried again."""

    max: int = 3
    """Of each contact, in all."""
    max_per_day: int = 2
    """Of the contact's own day."""
    busy: Backoff | None = Backoff.model_validate({"after_s": [600.0, 1800.0], "max": 100})
    no_answer: Backoff | None = Backoff.model_validate({"after_s": [14400.0], "max": 100})
    failed: Backoff | None = Backoff.model_validate({"after_s": [300.0, 1800.0], "max": 100})
    machine: Backoff | None = Backoff.model_validate({"after_s": [14400.0], "max": 100})
    """Only when a machine gets no message (`machine.action = "retry"`)."""
    abandoned: Backoff | None = None
    """They were called, and found nobody: by default not again (in the USA not within 30 days without an agent)."""


class BarNumber(Model):
    """A number that is not to be called."""

    number: str
    """With its country code, or a SIP URI."""
    campaign_id: str | None = None
    """By this campaign only; null: by none."""


class BarredNumber(Model):
    """A number that is not called."""

    number: str
    campaign_id: str | None
    added_at: datetime | None = None
    cause: Literal["api", "asked"]


class BarredPage(Model):
    """Numbers, oldest first."""

    numbers: tuple[BarredNumber, ...]
    next: int | None = None


class BridgeInfo(Model):
    """Two calls."""

    call_id: str
    other_call_id: str
    bridged: bool
    """They hear each other; if not, the other one is being dialled: `call.bridged` tells, or its `call.ended`."""


class InterpretOrder(Model):
    """An interpreter between the two."""

    agent: str | None = None
    """Whose speech recognition, language model and voices it uses; may be left out when there is one agent."""
    language: str
    """What this call's far end speaks."""
    other_language: str
    """What the other one speaks."""


class BridgeOrder(Model):
    """Whom to talk to: a call of ours that stands, or somebody to be dialled first."""

    call_id: str | None = None
    to: str | None = None
    """SIP URI, or a number for the trunk."""
    from_: str | None = Field(None, validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    """Our address as the one who is dialled sees it, a number, or `anonymous`. None: the trunk's number."""
    profile: str | None = None
    """Name of the trunk to go through."""
    timeout_s: float = 60.0
    """How long it may ring."""
    metadata: dict[str, str] | None = None
    """Of the call that is placed."""
    on_end: Literal["return", "hangup"] = "return"
    """When the two part (`unbridge`, or one hangs up), a call that stands gets back what it was for, its agent with
    the conversation it had; or is hung up. One that was dialled for the bridge is hung up always."""
    interpret: InterpretOrder | None = None
    """Each hears what the other says in his own language, and the original quietly. None: they hear each other."""


class Budget(Model):
    """What may be spent: no call begins that could pass a cap, however long it lasted."""

    max_minutes: float | None = None
    """From answer to end, of all calls."""
    max_cost: float | None = None
    """In whatever currency the next two are in."""
    cost_per_minute: float = 0.0
    """Of answered calls, by the second."""
    cost_per_call: float = 0.0
    """Of each answered call, besides."""


class TransferInfo(Model):
    """How a transfer goes, as the far end reports (RFC 3515 section 2.4.5)."""

    to: str
    """Where to: a SIP URI, or the id of our other call."""
    mode: Literal["blind", "attended"]
    status: Literal["trying", "ringing", "completed", "failed"]
    sip_code: int | None = None
    """What the far end told last; None: nothing yet, or it fell silent."""


class SpeechLevel(Model):
    """How loud one side spoke."""

    speech_dbov: float | None = None
    """Active speech level after ITU-T P.56."""
    noise_dbov: float | None = None
    """What lies beneath."""
    peak_dbov: float | None = None
    """The loudest 20 ms."""


class EchoOfUs(Model):
    """What the line returned of our voice."""

    delay_ms: float | None = None
    """Null: no echo was found."""
    loss_db: float | None = None
    """How much quieter than sent it came back."""
    gated_ms: int = 0
    """What would have counted as the caller's speech."""


class Levels(Model):
    """How loud the call was; caller before gain control, agent as sent."""

    caller: SpeechLevel
    agent: SpeechLevel
    echo: EchoOfUs | None = None
    """Null: the echo gate was off."""


class Quality(Model):
    """How the call sounded: what we counted of the caller (rx), and what the peer reported of us (tx, RTCP).
    `tx_...` and `mos_peer` are null when the peer sent no report."""

    rx_packets: int | None = None
    rx_lost: int | None = None
    """By the network, before redundancy; as RFC 3550 counts, so that a duplicate makes up for a loss."""
    rx_loss_percent: float | None = None
    rx_jitter_ms: float | None = None
    """RFC 3550 section 6.4.1, mean."""
    late: int | None = None
    """Packets that came when their place had been filled."""
    recovered: int | None = None
    """Packets that redundancy or forward error correction brought back."""
    duplicates: int | None = None
    concealed_ms: int | None = None
    """Of the caller's audio, made up: lost or late packets, and comfort noise while he sent nothing."""
    tx_packets: int | None = None
    tx_lost: int | None = None
    tx_loss_percent: float | None = None
    tx_jitter_ms: float | None = None
    tx_redundant: int | None = None
    """Packets of ours that also carried what was sent before them."""
    rtt_ms: float | None = None
    mos: float | None = None
    """What we heard: mean opinion score, 1 to 4.5, estimated by the E-model; null when no packet came."""
    mos_peer: float | None = None
    """What the peer heard of us, by its reports."""
    mos_scale: Literal["narrowband", "wideband"] | None = None
    """ITU-T G.107 or G.107.1: scores of one scale cannot be compared with those of the other."""
    levels: Levels | None = None
    """Null when nobody listened: only calls with an agent are measured."""


class CallInfo(Model):
    """A call as it is now."""

    call_id: str
    direction: Literal["inbound", "outbound"]
    from_: str = Field(validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    to: str
    state: Literal["offered", "dialing", "active", "held", "ended"]
    """offered: ringing here; dialing: ringing there; held: by us, the peer or both."""
    ringing: bool = False
    """The far end's telephone rings; or ours does, and waits for `answer` or `hangup`."""
    activity: Literal["agent", "stream", "echo", "play", "bridge", "supervise", "desk"] | Literal["none"] = "none"
    """What the call is for at this moment; none: it is not answered, or just over."""
    started_at: datetime
    answered_at: datetime | None = None
    codec: str | None = None
    """None until audio is negotiated."""
    agent: str | None = None
    trunk: str | None = None
    """Name of the trunk that carries it."""
    muted: bool = False
    """We send silence."""
    muted_theirs: bool = False
    """Nobody hears the far end."""
    transfer: TransferInfo | None = None
    """The last one that was asked for."""
    recording: Literal["off", "on", "paused", "ended"] = "off"
    """paused: silence is recorded; ended: a call is recorded once."""
    keys_secret: bool = False
    """Keys that the far end presses are shown as `*`."""
    metadata: dict[str, str] = {}
    quality: Quality | None = None
    """How it sounds so far; only when one call is asked for, and once it has audio."""
    node: str | None = None
    """Which node of the cluster has it; None: there is no cluster."""


class CallList(Model):
    """The calls that are not over, oldest first."""

    calls: tuple[CallInfo, ...]
    unreachable: tuple[str, ...] = ()


class RememberedExchange(Model):
    """A question, and what the caller heard as an answer."""

    asked: str
    answered: str


class MemoryRecord(Model):
    """What an agent remembers of one call of a caller."""

    call_id: str
    agent: str
    at: datetime
    """When that call began."""
    expires_at: datetime
    caller_name: str
    exchanges: tuple[RememberedExchange, ...]
    """What was asked, oldest first: the first question and the newest."""
    left: tuple[str, ...]
    """Messages that the caller left."""
    summary: str
    """In a language model's words; empty: none wrote one."""


class ConsentRecord(Model):
    """What a caller has answered to being remembered."""

    agent: str
    given: bool
    at: datetime
    expires_at: datetime


class CallerMemory(Model):
    """What agents remember of one caller."""

    memories: tuple[MemoryRecord, ...]
    """One for each call, newest first."""
    consents: tuple[ConsentRecord, ...]
    """What the caller has answered to being remembered; none: they were not asked, or gave no answer."""


CampaignState = Literal["draft", "running", "paused", "draining", "done", "cancelled"]
"""The value is the name in the store, in events and in the API."""


class Window(Model):
    """When people may be called, by their own clocks."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = (
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
    )
    from_: str = Field(validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    to: str
    """`"24:00"`: the day's end. Before `from`: of the next day."""


class Pacing(Model):
    """How many calls are made for how many conversations."""

    mode: Literal["fixed", "progressive", "predictive"] = "fixed"
    """fixed: as many as `concurrency` and `cps` allow. progressive: one for each free slot of `agents`. predictive:
    more than that, by how many people answer, as long as the share that find nobody stays under the cap."""
    agents: int | None = None
    """Conversations that can be held at once. None: as many as `concurrency`."""
    abandonment_cap: float = 0.03
    """Of the calls that people answer. 3 % is the law in the USA (47 CFR 64.1200(a)(7)) and the United Kingdom."""
    abandon_message: str = "Sorry, nobody is free to talk to you now. Goodbye."
    """What those hear for whom no slot is free."""


class Machine(Model):
    """What to do about answering machines."""

    detect: bool = True
    """Tell machines from people. False: the agent talks to whatever answers."""
    action: Literal["hang_up", "message", "retry"] = "hang_up"
    """message: say `message` after the beep. hang_up: the contact is done. retry: call again, as `attempts.machine`
    says."""
    message: str = ""


class ExtractField(Model):
    """Something to be learnt from each conversation: a column of the results."""

    name: str
    type: Literal["text", "number", "boolean", "choice"] = "text"
    question: str
    """What is to be found out, as one would ask it: `Did they confirm the appointment?`"""
    choices: dict[str, tuple[str, ...]] = {}
    """Of a choice: each label, with examples of what people say who mean it."""


class Policy(Model):
    """One campaign's."""

    agent: str | None = None
    """Who talks; None: the only agent of the configuration."""
    trunk: str | None = None
    """None: as the configuration chooses for each number."""
    concurrency: int = 5
    """Calls at once, those that ring among them."""
    cps: float = 1.0
    """Calls begun in any second, of all gateways together."""
    ring_s: float = 30.0
    """How long it rings before we give up."""
    max_duration_s: float = 600.0
    """Of a conversation."""
    caller_ids: tuple[str, ...] = ()
    """Our numbers, one of which each call shows; none: the trunk's."""
    caller_id_rotation: Literal["attempt", "contact"] = "contact"
    """attempt: another one for each attempt at the same contact. contact: always the same for the same contact."""
    local_presence: bool = False
    """Of the caller ids prefer those that share the longest beginning with the number."""
    windows: tuple[Window, ...] = (
        Window.model_validate({"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00:00", "to": "20:00:00"}),
        Window.model_validate({"days": ["sat"], "from": "10:00:00", "to": "18:00:00"}),
    )
    """When people may be called, by their own clocks. By default within what the USA (8 to 21, 47 CFR
    64.1200(c)(1)) and most of Europe allow; France is stricter still (10 to 13, 14 to 20, Monday to Friday:
    décret 2022-1313)."""
    zone: str | None = None
    """Of contacts for which neither column nor number tells one. None: those are invalid."""
    region: str | None = None
    """Country of numbers that are written without one."""
    holidays: tuple[str, ...] = ()
    """Days on which nobody is called."""
    until: datetime | None = None
    """When the campaign ends, whoever has not been reached; with an offset from UTC."""
    attempts: Attempts = Attempts.model_validate(
        {
            "max": 3,
            "max_per_day": 2,
            "busy": {"after_s": [600.0, 1800.0], "max": 100},
            "no_answer": {"after_s": [14400.0], "max": 100},
            "failed": {"after_s": [300.0, 1800.0], "max": 100},
            "machine": {"after_s": [14400.0], "max": 100},
        }
    )
    budget: Budget = Budget.model_validate({"cost_per_minute": 0.0, "cost_per_call": 0.0})
    pacing: Pacing = Pacing.model_validate(
        {
            "mode": "fixed",
            "abandonment_cap": 0.03,
            "abandon_message": "Sorry, nobody is free to talk to you now. Goodbye.",
        }
    )
    machine: Machine = Machine.model_validate({"detect": True, "action": "hang_up", "message": ""})
    number_column: str = "number"
    zone_column: str | None = None
    """Column with a time zone (`Europe/Berlin`); empty there: by the number."""
    consent_column: str | None = None
    """Column that must say yes; others are not called."""
    metadata: dict[str, str] = {}
    """For the agent, besides the columns of the list, which win."""
    extract: tuple[ExtractField, ...] = ()


class CampaignProgress(Model):
    """How far a campaign is."""

    contacts: int
    waiting: int
    dialing: int
    """Calls that are not answered yet."""
    talking: int
    """Calls that are."""
    done: int
    outcomes: dict[str, int]
    """Contacts that are done, by outcome."""
    attempts: int
    answered: int
    """Attempts that anything answered."""
    people: int
    """Attempts that a person answered."""
    abandoned: int
    answer_rate: float | None
    """Share of the attempts that anything answered; null: there were none."""
    contact_rate: float | None
    """Share of the attempts that a person answered."""
    talked_s: float
    cost: float
    eta_s: float | None
    """Seconds left, at the pace so far; null: nobody can tell."""
    next_at: datetime | None
    """When the first of those who wait is due; null: nobody waits."""


class CampaignInfo(Model):
    """A campaign."""

    campaign_id: str
    name: str
    state: CampaignState
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    policy: Policy
    progress: CampaignProgress


class CampaignList(Model):
    """Campaigns, newest first."""

    campaigns: tuple[CampaignInfo, ...]


class CancelCampaign(Model):
    """How to end a campaign."""

    hang_up: bool = False
    """Hang up on those who talk, too."""


class CreateCampaign(Model):
    """A campaign to make, as a draft."""

    name: str
    policy: Policy = Policy.model_validate(
        {
            "concurrency": 5,
            "cps": 1.0,
            "ring_s": 30.0,
            "max_duration_s": 600.0,
            "caller_ids": [],
            "caller_id_rotation": "contact",
            "local_presence": False,
            "windows": [
                {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00:00", "to": "20:00:00"},
                {"days": ["sat"], "from": "10:00:00", "to": "18:00:00"},
            ],
            "holidays": [],
            "attempts": {
                "busy": {"after_s": [600.0, 1800.0], "max": 100},
                "failed": {"after_s": [300.0, 1800.0], "max": 100},
                "machine": {"after_s": [14400.0], "max": 100},
                "max": 3,
                "max_per_day": 2,
                "no_answer": {"after_s": [14400.0], "max": 100},
            },
            "budget": {"cost_per_call": 0.0, "cost_per_minute": 0.0},
            "pacing": {
                "abandon_message": "Sorry, nobody is free to talk to you now. Goodbye.",
                "abandonment_cap": 0.03,
                "mode": "fixed",
            },
            "machine": {"action": "hang_up", "detect": True, "message": ""},
            "number_column": "number",
            "metadata": {},
            "extract": [],
        }
    )


class CreateKey(Model):
    """A key to make."""

    name: str
    """What it is for, for people."""
    scopes: tuple[
        Literal[
            "calls:read",
            "calls:write",
            "streams",
            "sessions:read",
            "sessions:erase",
            "events",
            "campaigns",
            "audit",
            "admin",
        ]
        | Literal["viewer", "operator", "supervisor", "campaigner", "auditor"],
        ...,
    ]
    """What it may do: scopes, or roles that stand for several."""
    only_agents: tuple[str, ...] = ()
    """See and touch calls, sessions, campaigns and events of these agents only; none: of all."""
    only_tags: tuple[str, ...] = ()
    """Likewise, of calls with one of these tags (`metadata.tag`)."""
    only_trunks: tuple[str, ...] = ()
    """Likewise, of calls through these trunks."""
    ttl_days: int | None = None
    """How long it is good; null: until it is revoked."""


class CreatedKey(Model):
    """A new key. This is the only time that it is shown."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    """Scopes, and roles, which stand for several."""
    only: KeyLimits | None = None
    """Null: it is limited to nothing."""
    created_at: datetime | None = None
    """Null: it stands in the configuration."""
    expires_at: datetime | None = None
    key: str


class DtmfOrder(Model):
    """Digits to send."""

    digits: str
    """0-9 * # A-D; a comma waits 2 s, a w half a second."""
    method: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    """auto: as the call's trunk wants it (`dtmf`); without one, or with rfc4733, RFC 4733 events if the far end
    takes them, tones in the audio if not."""
    duration_ms: int = 120
    """How long each key is pressed."""
    secret: bool = False
    """Tones of them are left out of the recording. Digits that we send are kept nowhere else."""


class EventInfo(Model):
    """Something that happened on a call, or to a trunk."""

    cursor: int
    """Grows with every event, and never repeats; some numbers are left out."""
    kind: Literal[
        "call.offered",
        "call.dialing",
        "call.progress",
        "call.answered",
        "call.held",
        "call.resumed",
        "call.ended",
        "call.activity",
        "call.transfer",
        "call.succeeded",
        "call.bridged",
        "call.unbridged",
        "call.quality",
        "call.do_not_call",
        "transcript.partial",
        "transcript.final",
        "turn.measured",
        "silence.prompted",
        "intent.recognized",
        "knowledge.used",
        "tool.called",
        "caller.prosody",
        "language.detected",
        "far_end.recognized",
        "dtmf.received",
        "recording.changed",
        "playback.finished",
        "trunk.alarm",
        "trunk.state",
        "address.changed",
        "stream.connected",
        "stream.disconnected",
        "stream.stopped",
        "campaign.started",
        "campaign.paused",
        "campaign.resumed",
        "campaign.ended",
        "campaign.outcome",
        "campaign.progress",
        "work.progress",
        "cluster.node",
        "cluster.redis_lost",
        "cluster.redis_back",
        "store.lost",
        "store.back",
        "call.adopted",
    ]
    call_id: str
    """Empty: it is of no call."""
    at: datetime
    data: dict[str, Any]
    """See docs/events.md."""
    node: str | None = None
    """Of a cluster: where it arose."""
    position: str | None = None
    """Of a cluster: to go on from here at any node."""


class EventPage(Model):
    """Events that are kept, oldest first."""

    events: tuple[EventInfo, ...]
    cursor: int
    position: str | None = None
    complete: bool


class FlowOrder(Model):
    """A Teler call flow: when the call is answered, the URL is asked what to do with it."""

    flow_url: str


class HangUpOrder(Model):
    """How to refuse an inbound call that rings."""

    code: int | None = None
    """SIP status to answer with; only while it rings. None: 603, and a call that stands is ended."""
    reason: str = ""
    """Reason phrase beside the code."""


class IssueToken(Model):
    """A token to make."""

    scope: Literal["stream", "listen"] | Literal["call"]
    """stream: the backend hears, speaks and acts. listen: it hears, and nothing else. call: a page in a browser
    opens calls to an agent, one at a time (docs/browser.md); the key needs the scope `calls:write`, too."""
    agent: str | None = None
    """Scope call: which; may be left out when there is only one."""
    origins: tuple[str, ...] = ()
    """Scope call: origins of pages besides our own that may use it, `https://shop.example`."""
    metadata: dict[str, str] | None = None
    """Scope call: of the calls that it opens."""
    call_id: str | None = None
    """The only call it is good for; null: any one call, also one that does not exist yet."""
    ttl_s: int = 60
    """Seconds until it is worth nothing."""


class IssuedToken(Model):
    """A new token. This is the only time that it is shown."""

    token: str
    scope: Literal["stream", "listen"] | Literal["call"]
    call_id: str | None
    expires_in_s: int


class KeyList(Model):
    """The keys that were made here, oldest first; those of the configuration are not among them."""

    keys: tuple[ApiKeyRecord, ...]


class KeysOrder(Model):
    """What happens to keys that the far end presses."""

    secret: bool
    """They are shown as `*`, to the language model and in the record."""


class RowProblem(Model):
    """Why a row is not called."""

    line: int
    column: str = ""
    problem: str


class ListReport(Model):
    """What became of a list."""

    rows: int = 0
    """Without the first line of a CSV file, and empty ones."""
    accepted: int = 0
    invalid: int = 0
    """Rows that cannot be called."""
    duplicates: int = 0
    """Numbers that stand further above, or were in the campaign."""
    do_not_call: int = 0
    """On the do-not-call list."""
    no_consent: int = 0
    """The consent column does not say yes."""
    problems: tuple[RowProblem, ...] = ()
    """The first 1,000, each with its line."""
    more_problems: int = 0
    """What is not among them."""


class MuteOrder(Model):
    """Who is not to be heard."""

    side: Literal["ours", "theirs"] = "ours"
    """ours: silence is sent in place of what we say. theirs: nobody, neither agent, stream nor recording, hears the
    far end; its keys are heard."""


class NodeInfo(Model):
    """A gateway."""

    node_id: str
    state: Literal["up", "draining", "dead"]
    """draining: it takes no new calls. dead: its heart has stopped, and it has not been cleared away yet."""
    is_here: bool
    """It is the one that answers you."""
    region: str = ""
    sip: str = ""
    """`host:port` of its SIP."""
    http: str = ""
    """Address of its HTTP."""
    calls: int = 0
    capacity: int = 0
    weight: int = 0
    started_at: datetime | None = None
    version: str = ""
    heartbeat_age_ms: int | None = None
    """Since its last sign of life; null: there is none, or Redis does not answer."""


class NodeList(Model):
    """The nodes, by name; none: this gateway is alone."""

    nodes: tuple[NodeInfo, ...]


class StreamOrder(Model):
    """A media stream to a backend (INTERFACES, "Media streaming")."""

    stream_url: str | None = None
    """Where the backend listens: wss://, ws:// on allowed networks; audiosocket://HOST:PORT for audiosocket. None:
    it comes to us, by `/api/v1/calls/{id}/stream`."""
    protocol: Literal["parley", "twilio", "teler", "conversationrelay", "audiosocket"] = "parley"
    codec: Literal["l16", "pcmu", "pcma", "g722", "opus"] | None = None
    """None: the protocol's own; of `parley` l16."""
    sample_rate: Literal[8000, 16000, 24000, 48000] | None = None
    """In Hz, for l16 and opus; None: what the codec usually has."""
    direction: Literal["inbound", "outbound", "bidirectional"] = "bidirectional"
    """inbound: the caller's audio to the backend; outbound: the backend's to the caller."""
    track: Literal["inbound", "outbound", "both"] = "inbound"
    """Whose audio the backend gets: the caller's, what we send, or both, which only protocol twilio tells apart: of
    the others start one stream for each."""
    metadata: dict[str, str] = {}
    """Told to the backend at its start."""
    token: str | None = None
    """Sent to the backend as `Authorization: Bearer`."""
    fallback: str = "hangup"
    """What the caller gets when the backend stays away: `hangup` or `agent NAME`."""
    options: dict[str, str] = {}
    """What one protocol alone has. teler: `chunk_ms`, 20 to 2000. conversationrelay: `agent`, whose voice, ears and
    greeting it gets; `partial_prompts`, true or false. twilio: `account_sid`."""
    events: tuple[Literal["speech"], ...] = ()
    """What is told only on demand: when the caller speaks."""
    on_end: Literal["hangup", "return"] | None = None
    """When the stream that talks ends: hang up, or give the call back to the agent it was taken from. None: the
    second if there is such an agent."""


class PlayOrder(Model):
    """A recording to play: a file or a URL."""

    file: str | None = None
    """WAV, MP3 or Ogg file in the folder `media.prompts_dir`, by its path there."""
    url: str | None = None
    """The same behind https:// (http:// on allowed networks)."""
    loop: int = 1
    """How often; 0: until it is stopped."""
    gain: float = 1.0
    """Factor of the amplitude."""


class PlaceCall(Model):
    """A call to place, and who has it when it is answered: an agent, a stream, a flow, or a recording alone."""

    to: str
    """SIP URI, or a number for the trunk."""
    from_: str | None = Field(None, validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    """Our address as the far end sees it, a number, or `anonymous`. None: the trunk's number."""
    profile: str | None = None
    """Name of the trunk to go through; by default the first that takes outgoing calls, for a number."""
    agent: str | None = None
    """Who talks when it is answered; may be left out when there is only one agent."""
    stream: StreamOrder | None = None
    """In place of an agent: a backend."""
    flow: FlowOrder | None = None
    """In place of an agent: what this URL says."""
    play: PlayOrder | None = None
    """Played first. With no agent, stream or flow named the call ends after it."""
    metadata: dict[str, str] = {}
    """Yours; comes back in the call and its session."""
    headers: dict[str, Any] = {}
    """More headers for the INVITE: X-... and User-to-User."""
    timeout_s: float = 60.0
    """How long it may ring."""
    region: str | None = None
    """In a cluster: a node of this region (`cluster.region`) is to place it, if one has room."""


class Playback(Model):
    """An announcement that was taken on."""

    playback_id: str
    """Names it in the event `playback.finished`, and for `stop`."""
    ahead: int
    """Announcements of this call that come before it."""


class RecordOrder(Model):
    """What to do with the recording of a call."""

    state: Literal["start", "pause", "resume", "stop"]
    """start: also when `media.record` is off. pause: silence is recorded from now on, for card numbers. resume:
    sound again. stop: for good, a call has one recording."""


class RecordingFacts(Model):
    """What there is to know of a call's recording besides its sound."""

    format: Literal["wav", "opus"]
    """`wav`: 16-bit stereo PCM. `opus`: stereo Opus in Ogg. The caller is left, we are right."""
    encrypted: bool
    """At rest: the API gives it in clear."""
    started_ms: int
    """Where the file begins, in milliseconds since the call was answered: add it to a time in the file, and it is
    on the transcript's axis."""
    duration_ms: int
    complete: bool
    """False: it ended early, or has holes, because the disk was full or too slow."""
    paused_ms: tuple[tuple[int, int], ...] = ()
    """The stretches, from and to, in the file's time, that are silent because the recording was paused."""


class SayOrder(Model):
    """Words to speak, with the offline voice."""

    text: str
    """Plain text, as a person would write it."""
    voice: str | None = None
    """None: the usual one."""
    language: str | None = None
    """None: the voice's; now `en`."""


class SessionSummary(Model):
    """One call, without what was said."""

    call_id: str
    direction: Literal["inbound", "outbound"]
    from_: str = Field(validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    to: str
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    codec: str | None = None
    agent: str | None = None
    """Name of the agent that had the call."""
    trunk: str | None = None
    """Name of the trunk that carried it, of several the last one; null: none."""
    metadata: dict[str, str] = {}
    quality: Quality | None = None
    recording: str | None = None
    """From the store: the file, relative to the data folder. In the API: the address to fetch it from."""
    recording_facts: RecordingFacts | None = None
    """Null: there is none, it goes on, or the gateway was killed meanwhile (the file is there, then)."""
    recording_erased_at: datetime | None = None
    """When `[retention]` had the recording erased."""
    transcript_erased_at: datetime | None = None
    """Likewise what was said: transcript, turns, events, SIP messages."""
    far_end: (
        Literal["unknown", "person", "machine", "voicemail", "menu", "hold", "fax", "failed", "unreachable", "busy"]
        | None
    ) = None
    """Who or what took the call that we placed: a person, a recording, a machine that records or one that wants
    keys, a queue, a fax, or a tone or announcement: `failed` (there is no such number), `unreachable`, `busy`.
    Null: we did not place it, it goes on, or nobody listened for that."""
    far_end_confidence: float | None = None
    """How sure that is, 0 to 1."""
    message_left: bool = False
    """A machine has recorded all of the message that was to be left."""


class SessionPage(Model):
    """Sessions, newest first."""

    sessions: tuple[SessionSummary, ...]
    next: str | None = None


class TranscriptEntry(Model):
    """Something that was said."""

    role: Literal["user", "assistant", "system", "tool"]
    """`user` is the caller, `assistant` the agent."""
    text: str
    started_ms: int
    """Milliseconds since the call was answered."""
    ended_ms: int
    interrupted: bool = False
    """Agent only: the caller broke in."""
    heard_text: str | None = None
    """Agent only: what of `text` was really sent, when that is less than all."""
    sources: tuple[str, ...] = ()
    """Agent only: what the answer rests on, the best first: `hours.md:12`, `prices.csv:3`, `handbook.pdf:7` (page)."""


class TurnRecord(Model):
    """One answered turn with its latency ledger."""

    index: int
    segments_ms: dict[str, float]
    """Contiguous parts of the response time; they sum to `response_ms`."""
    response_ms: float
    """End of the caller's speech to our first audible packet."""
    speculative: bool = False
    interrupted: bool = False


class SipStep(Model):
    """One SIP message of a call, in short."""

    at: datetime
    sent: bool
    """By us."""
    transport: str
    """`UDP`, `TCP` or `TLS`."""
    peer: str
    """`address:port`."""
    summary: str
    """`INVITE`, or `180 Ringing (INVITE)`."""


class SessionRecord(Model):
    """One call with everything that was said."""

    call_id: str
    direction: Literal["inbound", "outbound"]
    from_: str = Field(validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    to: str
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    codec: str | None = None
    agent: str | None = None
    """Name of the agent that had the call."""
    trunk: str | None = None
    """Name of the trunk that carried it, of several the last one; null: none."""
    metadata: dict[str, str] = {}
    quality: Quality | None = None
    recording: str | None = None
    """From the store: the file, relative to the data folder. In the API: the address to fetch it from."""
    recording_facts: RecordingFacts | None = None
    """Null: there is none, it goes on, or the gateway was killed meanwhile (the file is there, then)."""
    recording_erased_at: datetime | None = None
    """When `[retention]` had the recording erased."""
    transcript_erased_at: datetime | None = None
    """Likewise what was said: transcript, turns, events, SIP messages."""
    far_end: (
        Literal["unknown", "person", "machine", "voicemail", "menu", "hold", "fax", "failed", "unreachable", "busy"]
        | None
    ) = None
    """Who or what took the call that we placed: a person, a recording, a machine that records or one that wants
    keys, a queue, a fax, or a tone or announcement: `failed` (there is no such number), `unreachable`, `busy`.
    Null: we did not place it, it goes on, or nobody listened for that."""
    far_end_confidence: float | None = None
    """How sure that is, 0 to 1."""
    message_left: bool = False
    """A machine has recorded all of the message that was to be left."""
    transcript: tuple[TranscriptEntry, ...] = ()
    turns: tuple[TurnRecord, ...] = ()
    sip: tuple[SipStep, ...] = ()
    """The ladder: each SIP message of the call, in its order. `GET /sessions/{id}/signalling` has them whole."""


class SipMessageRecord(Model):
    """One SIP message of a call, whole, but for digest responses, SRTP keys and pressed keys."""

    at: datetime
    sent: bool
    """By us."""
    transport: str
    """`UDP`, `TCP` or `TLS`."""
    peer: str
    """`address:port`."""
    summary: str
    """`INVITE`, or `180 Ringing (INVITE)`."""
    local: str
    sip_call_id: str
    text: str


class SessionSignalling(Model):
    """The SIP messages of a call, in their order."""

    messages: tuple[SipMessageRecord, ...]


class StartStream(Model):
    """A stream on a call that stands. One that talks takes the call over; others hear it beside whoever talks."""

    stream_url: str | None = None
    """Where the backend listens: wss://, ws:// on allowed networks; audiosocket://HOST:PORT for audiosocket. None:
    it comes to us, by `/api/v1/calls/{id}/stream`."""
    protocol: Literal["parley", "twilio", "teler", "conversationrelay", "audiosocket"] = "parley"
    codec: Literal["l16", "pcmu", "pcma", "g722", "opus"] | None = None
    """None: the protocol's own; of `parley` l16."""
    sample_rate: Literal[8000, 16000, 24000, 48000] | None = None
    """In Hz, for l16 and opus; None: what the codec usually has."""
    direction: Literal["inbound", "outbound", "bidirectional"] = "bidirectional"
    """inbound: the caller's audio to the backend; outbound: the backend's to the caller."""
    track: Literal["inbound", "outbound", "both"] = "inbound"
    """Whose audio the backend gets: the caller's, what we send, or both, which only protocol twilio tells apart: of
    the others start one stream for each."""
    metadata: dict[str, str] = {}
    """Told to the backend at its start."""
    token: str | None = None
    """Sent to the backend as `Authorization: Bearer`."""
    fallback: str = "hangup"
    """What the caller gets when the backend stays away: `hangup` or `agent NAME`."""
    options: dict[str, str] = {}
    """What one protocol alone has. teler: `chunk_ms`, 20 to 2000. conversationrelay: `agent`, whose voice, ears and
    greeting it gets; `partial_prompts`, true or false. twilio: `account_sid`."""
    events: tuple[Literal["speech"], ...] = ()
    """What is told only on demand: when the caller speaks."""
    on_end: Literal["hangup", "return"] | None = None
    """When the stream that talks ends: hang up, or give the call back to the agent it was taken from. None: the
    second if there is such an agent."""
    call_id: str


class StopOrder(Model):
    """What to stop."""

    playback_id: str | None = None
    """One announcement; None: that which plays, and all that wait."""


class StopStream(Model):
    """A stream to end."""

    stream_id: str


class StoppedPlayback(Model):
    """One that was stopped."""

    playback_id: str
    played_ms: int
    """What was really sent; 0: it was waiting for its turn."""


class Stopped(Model):
    """What `stop` ended; nothing, when nothing played."""

    played_ms: int
    """Of all of them."""
    playbacks: tuple[StoppedPlayback, ...] = ()


class StreamInfo(Model):
    """A stream as it is now."""

    stream_id: str
    call_id: str
    stream_url: str
    """Empty: the backend came to us."""
    protocol: Literal["parley", "twilio", "teler", "conversationrelay", "audiosocket"]
    codec: Literal["l16", "pcmu", "pcma", "g722", "opus"]
    sample_rate: int
    direction: Literal["inbound", "outbound", "bidirectional"]
    tracks: tuple[Literal["inbound", "outbound"], ...]
    state: Literal["connecting", "connected", "reconnecting", "ended"]
    metadata: dict[str, str] = {}


class StreamList(Model):
    """A call's streams that have not ended, oldest first."""

    streams: tuple[StreamInfo, ...]


class SuperviseOrder(Model):
    """Who supervises the call, and how."""

    supervisor: str
    """A call of ours that stands: its far end hears this call's far end, what is said to it, and the one it is
    bridged with. When it is over, that call gets back what it was for."""
    mode: Literal["listen", "whisper", "barge", "off"] = "listen"
    """whisper: be heard by this call's far end when it is bridged, else by its agent or stream alone. barge: by
    everybody. off: end it."""


class TransferOrder(Model):
    """Where to send the far end."""

    to: str | None = None
    """Blind: SIP URI, or a number for the trunk."""
    mode: Literal["blind", "attended"] = "blind"
    """attended: to the far end of `call_id`, which must be a call of ours that stands."""
    call_id: str | None = None
    headers: dict[str, Any] = {}
    """More headers for the REFER: X-... and User-to-User."""
    timeout_s: float = 60.0
    """How long the far end may take to say how it went."""


class WorkInfo(Model):
    """Something that takes a while."""

    id: str
    kind: Literal["knowledge", "campaign_list", "phrases", "engines"]
    """knowledge: an agent's documents are indexed. campaign_list: a list is read into a campaign. phrases: what an
    agent says is rendered ahead. engines: the offline models are loaded."""
    name: str
    """Of the agent, or the campaign's id."""
    done: int
    total: int | None
    """Null: nobody can tell, or not yet."""
    unit: str
    """What is counted: `passages`, `bytes`, `sentences` or `models`."""
    state: Literal["running", "done", "failed"]
    detail: str
    """More in words; of what has failed, why."""


class WorkList(Model):
    """Work that is under way, then the last twenty that ended."""

    work: tuple[WorkInfo, ...]
