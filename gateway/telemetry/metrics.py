# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Prometheus metric of Parley, in one registry of its own. Names begin with `parley_`, times are in seconds.

Label values come from small fixed sets: no call ids, numbers or texts, which would grow without end and be personal.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

if TYPE_CHECKING:
    from media.ports import AudioCounters


class CallQuality(Protocol):
    """`gateway.store.Quality`, as far as it is measured here; null is unknown."""

    @property
    def mos(self) -> float | None: ...
    @property
    def mos_peer(self) -> float | None: ...
    @property
    def mos_scale(self) -> str | None: ...
    @property
    def rx_loss_percent(self) -> float | None: ...
    @property
    def rx_jitter_ms(self) -> float | None: ...
    @property
    def tx_loss_percent(self) -> float | None: ...
    @property
    def tx_jitter_ms(self) -> float | None: ...
    @property
    def concealed_ms(self) -> int | None: ...


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_RESPONSE_BUCKETS_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.3, 1.6, 2.0, 3.0, 5.0)
_SEGMENT_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0)
_TOOL_BUCKETS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_MOS_BUCKETS = (1.5, 2.0, 2.5, 3.0, 3.2, 3.4, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4, 4.5)
_LOSS_BUCKETS = (0.0, 0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
_JITTER_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2)
_CONCEALED_BUCKETS_S = (0.0, 0.02, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Metrics:
    """The metrics as attributes; use them directly, or the methods below where several belong together."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(namespace="parley", registry=registry)
        self.calls_active = Gauge("parley_calls_active", "Calls that are not ended.", ["direction"], registry=registry)
        self.calls = Counter("parley_calls", "Calls ended, by how.", ["direction", "end"], registry=registry)
        self.calls_max = Gauge("parley_calls_max", "Calls that are taken at most: sip.max_calls.", registry=registry)
        self.trunk_up = Gauge(
            "parley_trunk_up",
            "1 while a trunk is there: 0 is tried only when no other is.",
            ["trunk"],
            registry=registry,
        )
        self.trunk_registered = Gauge(
            "parley_trunk_registered", "1 while its registrar has us.", ["trunk"], registry=registry
        )
        self.trunk_calls = Gauge("parley_trunk_calls", "Calls of a trunk, both ways.", ["trunk"], registry=registry)
        self.trunk_minutes = Gauge(
            "parley_trunk_minutes_today",
            "Minutes of its outgoing calls since midnight UTC.",
            ["trunk"],
            registry=registry,
        )
        self.trunk_failures = Counter(
            "parley_trunk_failures",
            "INVITEs that reached no server of a trunk, or one that could not take them.",
            ["trunk", "sip_code"],
            registry=registry,
        )
        self.trunk_barred = Counter(
            "parley_trunk_barred",
            "Calls that a trunk was not allowed: destination, calls, rate, minutes.",
            ["trunk", "bar"],
            registry=registry,
        )
        self.trunk_options = Histogram(
            "parley_trunk_options_seconds",
            "How long a trunk's servers take to answer OPTIONS.",
            ["trunk"],
            buckets=_TOOL_BUCKETS_S,
            registry=registry,
        )
        self.trunk_alarm = Gauge(
            "parley_trunk_alarm", "1: too much of this on the trunk's calls.", ["trunk", "symptom"], registry=registry
        )
        self.turn_response = Histogram(
            "parley_turn_response_seconds",
            "End of the caller's speech to the first audible packet of the answer.",
            buckets=_RESPONSE_BUCKETS_S,
            registry=registry,
        )
        self.turn_segment = Histogram(
            "parley_turn_segment_seconds",
            "The parts of a response, which sum to it (latency ledger).",
            ["segment"],
            buckets=_SEGMENT_BUCKETS_S,
            registry=registry,
        )
        self.turn_own = Histogram(
            "parley_turn_own_seconds",
            "Parley's own share of a response: neither waiting for a service nor for the endpointing decision.",
            buckets=_SEGMENT_BUCKETS_S,
            registry=registry,
        )
        self.speculations = Counter(
            "parley_speculations",
            "Answers begun before the turn was over; each was then used, or wasted with all that it cost.",
            ["state"],
            registry=registry,
        )
        for state in ("begun", "used", "wasted"):
            self.speculations.labels(state)
        self.inference_queue_depth = Gauge(
            "parley_inference_queue_depth", "Inferences that wait for a worker.", ["engine"], registry=registry
        )
        self.llm_tokens = Counter(
            "parley_llm_tokens", "Tokens that language models counted.", ["service", "kind"], registry=registry
        )
        self.service_requests = Counter(
            "parley_service_requests",
            "What was asked of services, by how it ended: ok, failed (worth another try), rejected, cancelled by us.",
            ["service", "role", "outcome"],
            registry=registry,
        )
        self.service_first = Histogram(
            "parley_service_first_seconds",
            "Question to first news: a transcript, a token, a sound.",
            ["service", "role"],
            buckets=_RESPONSE_BUCKETS_S,
            registry=registry,
        )
        self.service_failures = Counter(
            "parley_service_failures",
            "Services that were not used: late, unavailable, rejected, full (our limits), resting (failed too often).",
            ["service", "role", "cause"],
            registry=registry,
        )
        self.service_resting = Gauge(
            "parley_service_resting",
            "1 while a service that has failed too often is left alone.",
            ["service", "role"],
            registry=registry,
        )
        self.chain_fallbacks = Counter(
            "parley_chain_fallbacks",
            "Times that a service of a chain stood in for one that had failed.",
            ["chain", "role", "service"],
            registry=registry,
        )
        self.chain_hedges = Counter(
            "parley_chain_hedges",
            "Times that the next service of a chain was asked because one was late, by whether it answered first.",
            ["chain", "role", "service", "outcome"],
            registry=registry,
        )
        self.service_opened = Histogram(
            "parley_service_open_seconds",
            "How long it took to open a stream of speech recognition.",
            ["service"],
            buckets=_SEGMENT_BUCKETS_S,
            registry=registry,
        )
        self.service_audio = Counter(
            "parley_service_audio_seconds", "Audio that speech recognition was given.", ["service"], registry=registry
        )
        self.service_characters = Counter(
            "parley_service_characters", "Characters that speech synthesis was given.", ["service"], registry=registry
        )
        self.answers = Counter(
            "parley_answers_cache",
            "Questions whose answer may be used again, by whether one was there.",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("hit", "miss"):
            self.answers.labels(outcome)
        self.tool_seconds = Histogram(
            "parley_tool_seconds",
            "How long tools took, by how they ended.",
            ["outcome"],
            buckets=_TOOL_BUCKETS_S,
            registry=registry,
        )
        self.uplink_dropped_frames = Counter(
            "parley_uplink_dropped_frames",
            "Frames of callers' audio that were thrown away because nobody read them in time.",
            registry=registry,
        )
        self.clock_skipped_frames = Counter(
            "parley_clock_skipped_frames",
            "Frames of calls that were neither read nor sent because the machine stood still.",
            registry=registry,
        )
        self.playout_refused_samples = Counter(
            "parley_playout_refused_samples",
            "Samples for callers that were not taken: the queue was full, or their utterance had been ended.",
            registry=registry,
        )
        self.playout_underruns = Counter(
            "parley_playout_underruns", "Times that playout ran dry inside an utterance.", registry=registry
        )
        self.sip_requests_refused = Counter(
            "parley_sip_requests_refused",
            "SIP requests from outside of calls that were not taken, by why; banned, overload: without a look; "
            "connections: TCP and TLS ones beyond what an address may have.",
            ["reason"],
            registry=registry,
        )
        self.sip_sources_banned = Gauge(
            "parley_sip_sources_banned", "Addresses whose SIP requests are dropped.", registry=registry
        )
        self.call_mos = Histogram(
            "parley_call_mos",
            "Estimated mean opinion score of calls that ended (ITU-T G.107, G.107.1).",
            ["heard_by", "scale"],
            buckets=_MOS_BUCKETS,
            registry=registry,
        )
        self.call_loss = Histogram(
            "parley_call_loss_ratio",
            "Share of a call's RTP packets that the network lost, 0 to 1.",
            ["heard_by"],
            buckets=_LOSS_BUCKETS,
            registry=registry,
        )
        self.call_jitter = Histogram(
            "parley_call_jitter_seconds",
            "Mean interarrival jitter of a call (RFC 3550).",
            ["heard_by"],
            buckets=_JITTER_BUCKETS_S,
            registry=registry,
        )
        self.call_concealed = Histogram(
            "parley_call_concealed_seconds",
            "Caller's audio that was made up in a call, comfort noise included.",
            buckets=_CONCEALED_BUCKETS_S,
            registry=registry,
        )
        self.rtp_strangers = Counter(
            "parley_rtp_strangers",
            "RTP packets that were thrown away because they came from somewhere else than the call's far end.",
            registry=registry,
        )
        self.redundant_packets = Counter(
            "parley_redundant_packets",
            "RTP packets sent that also carried what was sent before them, because the peer reported loss.",
            registry=registry,
        )
        self.clock_late_ticks = Counter(
            "parley_clock_late_ticks", "Ticks of the media clock that came too late.", registry=registry
        )
        self.clock_bursts = Counter(
            "parley_clock_bursts",
            "Bursts of RTP frames, by their lateness: below so many milliseconds, and not below the label before.",
            ["below_ms"],
            registry=registry,
        )
        self.event_loop_lag = Histogram(
            "parley_event_loop_lag_seconds",
            "How late the event loop runs what is due.",
            buckets=_LAG_BUCKETS_S,
            registry=registry,
        )
        self.cluster_nodes = Gauge(
            "parley_cluster_nodes", "Living nodes of the cluster, this one among them.", ["state"], registry=registry
        )
        self.cluster_redis_up = Gauge(
            "parley_cluster_redis_up", "0 while the Redis of the cluster does not answer.", registry=registry
        )
        self.cluster_redis_up.set(1)
        self.calls_adopted = Counter(
            "parley_calls_adopted",
            "Calls of other nodes that this one has taken over, or tried to.",
            ["result"],
            registry=registry,
        )
        self.store_queue_depth = Gauge(
            "parley_store_queue_depth", "Records that wait to be written to the database.", registry=registry
        )
        self.store_up = Gauge("parley_store_up", "1 while the database answers.", registry=registry)
        self.store_failed_writes = Counter(
            "parley_store_failed_writes", "Records lost because the database refused them.", registry=registry
        )
        self.events = Counter("parley_events", "Events of calls.", ["kind"], registry=registry)
        self.retention_erased = Counter(
            "parley_retention_erased",
            "Parts of sessions that had been kept long enough, by which: audio, transcripts, sessions.",
            ["part"],
            registry=registry,
        )
        self.campaign_attempts = Counter(
            "parley_campaign_attempts",
            "Attempts of campaigns at contacts that are over, by how.",
            ["outcome"],
            registry=registry,
        )
        self.event_feeds = Gauge("parley_event_feeds", "WebSockets that follow the events.", registry=registry)
        self.webhook_queue = Gauge(
            "parley_webhook_queue_events",
            "Events in memory that a webhook has still to get; with 2,000, more may wait in the database.",
            ["webhook"],
            registry=registry,
        )
        self.webhook_deliveries = Counter(
            "parley_webhook_deliveries",
            "Attempts to deliver an event, by outcome: delivered, refused, unreachable, given_up (for good).",
            ["webhook", "outcome"],
            registry=registry,
        )
        self.recordings_active = Gauge("parley_recordings_active", "Calls that are being recorded.", registry=registry)
        self.recording_queue = Gauge(
            "parley_recording_queue_seconds",
            "Audio that waits for the disk, of the recording that waits for longest; 10 is all that is kept.",
            registry=registry,
        )
        self.recordings_stopped = Counter(
            "parley_recordings_stopped", "Recordings that ended early because the disk refused.", registry=registry
        )
        self.recording_dropped_samples = Counter(
            "parley_recording_dropped_samples", "Samples lost because the disk was too slow.", registry=registry
        )
        self.streams_active = Gauge(
            "parley_streams_active", "Media streams that have not ended.", ["protocol"], registry=registry
        )
        self.streams = Counter("parley_streams", "Media streams ended, by how.", ["protocol", "end"], registry=registry)
        self.stream_disconnects = Counter(
            "parley_stream_disconnects", "Connections to backends that were lost.", ["protocol"], registry=registry
        )
        self.stream_dropped_messages = Counter(
            "parley_stream_dropped_messages",
            "Audio messages left out because the backend read too slowly.",
            registry=registry,
        )
        self.stream_refused = Counter(
            "parley_stream_refused_seconds",
            "Audio of backends that was refused because the playout queue was full.",
            registry=registry,
        )
        self.stream_gaps = Counter(
            "parley_stream_gaps",
            "Times that a backend's audio came late: within 200 ms of its playout queue running dry.",
            registry=registry,
        )
        self.stream_faults = Counter(
            "parley_stream_faults", "Messages of backends that were not understood, or not possible.", registry=registry
        )
        self.log_dropped_lines = Counter(
            "parley_log_dropped_lines", "Log lines lost because standard error did not take them.", registry=registry
        )

    def call_began(self, direction: str) -> None:
        self.calls_active.labels(direction).inc()

    def call_ended(self, direction: str, end: str) -> None:
        """`end` is an end reason of the session record: one of a fixed set."""
        self.calls_active.labels(direction).dec()
        self.calls.labels(direction, end).inc()

    def stream_began(self, protocol: str) -> None:
        self.streams_active.labels(protocol).inc()

    def stream_ended(self, protocol: str, end: str) -> None:
        """`end` is one of a fixed set (`gateway.streams.stream.Ending`)."""
        self.streams_active.labels(protocol).dec()
        self.streams.labels(protocol, end).inc()

    def stream_disconnected(self, protocol: str) -> None:
        self.stream_disconnects.labels(protocol).inc()

    def stream_counted(self, dropped_messages: int, refused_ms: float, gaps: int, faults: int) -> None:
        """What a stream that ended has counted."""
        self.stream_dropped_messages.inc(dropped_messages)
        self.stream_refused.inc(refused_ms / 1e3)
        self.stream_gaps.inc(gaps)
        self.stream_faults.inc(faults)

    def turn_measured(self, response_ms: float, segments_ms: Mapping[str, float], own_ms: float) -> None:
        """A turn's ledger: whole and parts."""
        self.turn_response.observe(response_ms / 1e3)
        self.turn_own.observe(own_ms / 1e3)
        for segment, duration_ms in segments_ms.items():
            self.turn_segment.labels(segment).observe(duration_ms / 1e3)

    def leg_counted(self, leg: "AudioCounters") -> None:
        """What the audio of a call that ended has counted."""
        self.uplink_dropped_frames.inc(leg.frames_dropped)
        self.clock_skipped_frames.inc(leg.frames_skipped)
        self.playout_underruns.inc(leg.underruns)
        self.playout_refused_samples.inc(leg.samples_refused)

    def call_rated(self, quality: CallQuality) -> None:
        """How an ended call sounded on both ends, as far as that is known."""
        ends = (
            ("us", quality.mos, quality.rx_loss_percent, quality.rx_jitter_ms),
            ("peer", quality.mos_peer, quality.tx_loss_percent, quality.tx_jitter_ms),
        )
        for heard_by, mos, loss_percent, jitter_ms in ends:
            if mos is None or loss_percent is None or jitter_ms is None:
                continue
            self.call_mos.labels(heard_by, quality.mos_scale or "narrowband").observe(mos)
            self.call_loss.labels(heard_by).observe(loss_percent / 100)
            self.call_jitter.labels(heard_by).observe(jitter_ms / 1e3)
        if quality.mos is not None and quality.concealed_ms is not None:
            self.call_concealed.observe(quality.concealed_ms / 1e3)

    def render(self) -> bytes:
        """Prometheus text exposition format, version 0.0.4 (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)
