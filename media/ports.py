# SPDX-License-Identifier: GPL-3.0-or-later
"""The door between asyncio and the native audio of calls (media/native): frames in batches, no task per frame.

Threads. The native clock reads and writes the calls' RTP streams every frame and never touches Python. It wakes the
event loop through one file descriptor for all calls; `PcmHub` then fetches everything that is ready in one call and
hands each `CallAudio` its frames. Where each method belongs:

- `start_clock`, `stop_clock`: the SIP endpoint's thread, after `libStart` and before `libDestroy`. pjsua2's own objects
  (the `pj.MediaCall` whose `pcmPort()` is given to `CallAudio`) are also created and freed only there.
- everything else: the event loop's thread. Nothing in it enters PJSIP, so that thread need not be registered with it,
  and nothing in it waits: the longest lock is held for one copy of the samples.

The native port lives as long as its `CallAudio`; after the call's end it takes and gives nothing more, harmlessly.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

import pjsua2 as pj
import structlog

from media.errors import MediaMisuse
from media.frames import FrameFlags, PcmFrame
from media.keys import KEY_GAP_MS, KEY_MS, KEYS, KeyHeard, KeyMethod, KeyPressed, KeyReleased, ToneDetection
from media.native_port import NativePort
from media.playout import Cleared, Heard, PlayoutEvent, UtteranceFinished, UtteranceStarted

_log = structlog.get_logger(__name__)


class LineTrack(IntEnum):
    """Which of a call's two directions a line takes along."""

    HEARD = 0
    """The far end's voice, decoded and in order."""
    SPOKEN = 1
    """What we say to it: playout, announcements, keys; nothing that lines bring there."""


class LineEnd(IntEnum):
    """Where a line ends."""

    SENT = 0
    """In what is sent to the far end."""
    EAR = 1
    """In what `on_frames` is given, and nobody else hears."""


@dataclass(frozen=True, slots=True)
class LineCounters:
    """Of the lines that bring audio to a call, together."""

    shortages: int
    """Times that a line ran dry: its source fell silent, or was later than ever."""
    cuts: int
    """Times that a queue was longer than needed, and was shortened."""
    dropped: int
    """Parts of frames that the call did not fetch in time."""
    queued_ms: float


@dataclass(frozen=True, slots=True)
class AudioCounters:
    """Since the call began, in frames where nothing else is said."""

    frames_in: int
    frames_concealed: int
    """Made up for the most part: lost, late, or the caller was silent (comfort noise too)."""
    frames_dropped: int
    """Fetched too late by the event loop: beyond 64 frames the oldest give way."""
    frames_skipped: int
    """Lost to a machine that stood still."""
    frames_out: int
    underruns: int
    """Gaps within an utterance."""
    events_lost: int
    samples_refused: int
    """Offered to `play` beyond what the queue holds."""
    packets_in: int
    """RTP packets of the peer, of any kind."""
    packets_late: int
    """Their place had been filled when they came."""
    packets_recovered: int
    """Brought by redundancy or forward error correction."""
    packets_duplicate: int
    packets_reordered: int
    """Overtaken, but still in time."""
    packets_undecodable: int
    skew_corrections: int
    """Frames left out or put in, because the peer's clock is not ours."""
    ssrc_changes: int
    resets: int
    """The peer's clock jumped, or the network stood still: what followed was placed anew."""
    wait_ms: float
    """How long a missing packet is waited for, as of now."""


@dataclass(frozen=True, slots=True)
class HubStats:
    """The clock's and the hub's counters, for /metrics."""

    calls: int
    wakeups: int
    ticks: int
    """Frames handled by the clock, and its own beats."""
    bursts: int
    late_bursts: int
    """More than 5 ms after their time."""
    skipped_bursts: int
    max_late_us: int
    max_burst_us: int
    late_histogram: tuple[int, ...]
    """Bursts by lateness: below 0.1, 0.5, 1, 2, 5, 10, 20 ms, and beyond."""
    scheduling: str
    """What the system granted the clock: "fifo", "nice", "normal"; "stopped" when there is none."""


def silence_library() -> None:
    """Before PJSIP starts: what it says of itself meanwhile would otherwise go to standard output. SIP thread."""
    pj.silence_pjlib()


def open_media_gate(resting_pairs: int) -> None:
    """From here on a stranger's RTP ends before it reaches a call (media/native/media_gate.hpp), and the ports of calls
    that are over rest, at most so many pairs. SIP thread, after `libInit`."""
    pj.install_media_gate(resting_pairs)


def set_media_sources(account: int, networks: tuple[str, ...], *, trusted: bool) -> None:
    """Where the media of this PJSIP account's calls comes from and goes to; none: wherever the signalling makes it
    likely. `trusted`: its calls may name any address for their media. SIP thread."""
    pj.set_media_sources(account, " ".join(networks), trusted)


def start_clock() -> None:
    """Start the native clock, which also drives PJSUA's bridge. SIP thread, after `libStart`."""
    pj.start_media_clock()


def stop_clock() -> None:
    """Stop it; returns when no stream is being touched any more. SIP thread, before `libDestroy`."""
    pj.stop_media_clock()
    pj.remove_media_gate()


class JitterPolicy(IntEnum):
    """How long a leg waits for late packets (media/native/network_delay.cpp has the milliseconds)."""

    LOW_LATENCY = 0
    """A packet that is missing: at most 20 ms, as far as this network reorders. Nothing comes at all: 30 to 80 ms."""
    BALANCED = 1
    """60 ms; 60 to 160 ms."""
    ROBUST = 2
    """20 to 200 ms; 100 to 400 ms."""


class PcmHub:
    """The event loop's end of the native hub. One per process; several calls to `start` need a `close` between them."""

    def __init__(self) -> None:
        self._calls: dict[int, CallAudio] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            raise MediaMisuse("the hub is already watched by an event loop")
        self._loop = loop
        # Native code fills the dataclass's slots itself, and looks the flags up by its own bits.
        pj.pcm_hub_frame_type(PcmFrame, _FLAGS)
        loop.add_reader(pj.pcm_hub_fd(), self._on_ready)

    def close(self) -> None:
        """Stop watching. Calls that are still open keep their queues but hear nothing more."""
        if self._loop is not None:
            self._loop.remove_reader(pj.pcm_hub_fd())
            self._loop = None
        self._calls.clear()

    def stats(self) -> HubStats:
        clock = pj.media_clock_stats()
        return HubStats(
            calls=len(self._calls),
            wakeups=pj.pcm_hub_wakeups(),
            ticks=clock["ticks"],
            bursts=clock["bursts"],
            late_bursts=clock["late"],
            skipped_bursts=clock["skipped_bursts"],
            max_late_us=clock["max_late_us"],
            max_burst_us=clock["max_burst_us"],
            late_histogram=clock["late_histogram"],
            scheduling=clock["scheduling"],
        )

    def add(self, call: "CallAudio") -> None:
        self._calls[call.port_id] = call

    def remove(self, call: "CallAudio") -> None:
        self._calls.pop(call.port_id, None)

    def _on_ready(self) -> None:
        for port_id, heard, sent, events in pj.pcm_hub_drain():
            call = self._calls.get(port_id)
            if call is not None:
                call.receive(heard, sent, events)


_FLAGS = (FrameFlags.NONE, FrameFlags.CONCEALED, FrameFlags.DTMF, FrameFlags.CONCEALED | FrameFlags.DTMF)
"""By native bits (media/native/uplink_ring.hpp)."""
_STARTED, _FINISHED, _ATTACHED, _KEY_PRESSED, _KEY_RELEASED = 0, 1, 3, 5, 6
_ANNOUNCEMENT_STARTED, _ANNOUNCEMENT_FINISHED = 7, 8
"""Native event kinds (media/native/pcm_port.hpp) that somebody waits for; starving is counted, not told."""
_TONE = 256
"""Added to the key that was heard as a tone."""
_DIAL_METHODS = {None: 0, KeyMethod.RFC4733: 1, KeyMethod.INBAND: 2}


class CallAudio:
    """One call's audio. The owner sets `on_frames` and `on_playout`; both are called on the event loop's thread.

    Playout: utterances follow one another under growing ids. Playing under a new id ends the one before; an id that was
    ended or cleared takes nothing more, so audio of cancelled work that arrives late is refused. The queue holds 60 s
    (`play` says how much it took) and survives hold, re-INVITE and codec changes. Silence is sent when it is empty.
    """

    def __init__(self, hub: PcmHub, port: NativePort) -> None:
        self._hub = hub
        self._port = port
        self._closed = False
        self.port_id = port.id()
        self.utterance_ids: Iterator[int] = count(1)
        """Ids for whoever speaks on this leg: they only grow, whoever it is."""
        self._on_frames: Callable[[list[PcmFrame]], None] | None = None
        self.on_playout: Callable[[PlayoutEvent], None] | None = None
        self.on_announcement: Callable[[PlayoutEvent], None] | None = None
        """Told the same of announcements."""
        self.on_rate: Callable[[int], None] | None = None
        """Told the new sample rate after a re-INVITE changed it, before the first frame that has it."""
        self.on_key: Callable[[KeyHeard], None] | None = None
        """Told the keys that the far end presses: events of RFC 4733, and tones while they are looked for."""
        self.on_fault: Callable[[], None] | None = None
        """Told once when one of these callbacks raised; none of them is called any more."""
        self._lines_in: set[tuple[CallAudio, LineTrack, LineEnd]] = set()
        self._lines_out: set[tuple[CallAudio, LineTrack, LineEnd]] = set()
        self._sent_sinks: tuple[Callable[[list[PcmFrame]], None], ...] = ()
        self._write = port.write
        self._sample_rate_hz = port.sampleRate()
        hub.add(self)

    @property
    def on_frames(self) -> Callable[[list[PcmFrame]], None] | None:
        """Takes the caller's frames, one or more at a time. Frames are kept only from when this is first set."""
        return self._on_frames

    @on_frames.setter
    def on_frames(self, sink: Callable[[list[PcmFrame]], None] | None) -> None:
        self._on_frames = sink
        self._port.listen(sink is not None and not self._closed)

    def tap_sent(self, sink: Callable[[list[PcmFrame]], None]) -> None:
        """From now on give `sink` what is really sent, silence included, on the same timeline as the caller's frames:
        a recorder wants it, and an echo gate. It gets each batch before `on_frames` gets what was heard meanwhile."""
        if not self._closed:
            self._sent_sinks += (sink,)
            self._port.tapSent(True)

    def untap_sent(self, sink: Callable[[list[PcmFrame]], None]) -> None:
        """End that; a sink that is not there is no fault."""
        self._sent_sinks = tuple(one for one in self._sent_sinks if one != sink)
        self._port.tapSent(bool(self._sent_sinks) and not self._closed)

    @property
    def native(self) -> NativePort:
        """For the SIP thread, which may give it another leg's stream."""
        return self._port

    @property
    def attached(self) -> bool:
        """Whether the call has a stream right now."""
        return self._port.attached()

    @property
    def sample_rate_hz(self) -> int:
        """The codec's own rate, 8000 until there is one. It changes only with `on_rate`."""
        return self._sample_rate_hz

    @property
    def frame_samples(self) -> int:
        return self._port.frameSamples()

    def play(self, utterance_id: int, pcm: bytes | bytearray | memoryview, sample_rate_hz: int = 0) -> int:
        """Queue s16le mono; returns how many samples were taken.

        The samples have the call's rate. One who keeps a resampler of his own names the rate it produced: then what is
        under way while a re-INVITE changes the rate is still played at the right pitch.
        """
        return self._write(utterance_id, sample_rate_hz or self._sample_rate_hz, pcm)

    def end_utterance(self, utterance_id: int) -> None:
        """No more samples will come: `UtteranceFinished` follows when the last one is sent."""
        self._port.endUtterance(utterance_id)

    def clear(self) -> Cleared:
        """Fall silent now, with a lead-out of 5 ms, and say what was heard. All ids so far are closed."""
        return Cleared(tuple(Heard(*cut) for cut in self._port.clear()))

    def pause(self) -> None:
        """Fall silent now but keep the queue."""
        self._port.pause()

    def resume(self, repeat_ms: int = 0) -> None:
        """Go on. So much of what was sent last, at most 400 ms and of the utterance that was broken off, is sent again:
        who was spoken over has lost a phoneme. It counts as heard once it has been sent again."""
        self._port.resume(repeat_ms)

    def duck(self, gain: float) -> None:
        """Scale the playout, 0 to 1, over one frame."""
        self._port.duck(gain)

    def announce(self, utterance_id: int, pcm: bytes | bytearray | memoryview, sample_rate_hz: int = 0) -> int:
        """The same as `play` for a second queue over the first (60 s, too): while an announcement is being made, what
        `play` has queued waits, and nothing of it is lost. `clear`, `pause` and `duck` do not touch announcements.

        The turn lasts from the first sample to the end of the last utterance, so each needs `end_announcement` or
        `clear_announcement`. Ids may be shared with `play`.
        """
        return self._port.announce(utterance_id, sample_rate_hz or self._sample_rate_hz, pcm)

    def end_announcement(self, utterance_id: int) -> None:
        """No more samples will come: `UtteranceFinished` goes to `on_announcement` when the last one is sent."""
        self._port.endAnnouncement(utterance_id)

    def clear_announcement(self) -> Cleared:
        """Break off what is being announced and drop what is queued behind it; what waited goes on."""
        return Cleared(tuple(Heard(*cut) for cut in self._port.clearAnnouncement()))

    def announcement_progress(self) -> Heard | None:
        """The announcement being made, or None."""
        heard = self._port.announcementProgress()
        return None if heard is None else Heard(*heard)

    @property
    def announcement_queued_ms(self) -> float:
        return self._port.announcementQueuedSamples() * 1000 / self._sample_rate_hz

    @property
    def takes_events(self) -> bool:
        """Whether the far end negotiated telephone-event (RFC 4733)."""
        return self._port.takesEvents()

    def dial(
        self,
        keys: str,
        method: KeyMethod | None = None,
        *,
        duration_ms: int = KEY_MS,
        gap_ms: int = KEY_GAP_MS,
        secret: bool = False,
    ) -> bool:
        """Queue keys (`media.keys.check_dialled`); what is being said waits meanwhile. False: the queue has no room for
        them (256), and none is sent.

        By default they go as events if the far end takes these, and else as tones, which is decided key by key. Secret
        tones are silence in what `tap_sent` is given.
        """
        return self._port.dial(keys, _DIAL_METHODS[method], duration_ms, gap_ms, secret)

    def detect_tones(self, mode: ToneDetection) -> None:
        """When to look for keys in the far end's audio; off at first."""
        self._port.detectTones(mode.value)

    def mute(self, on: bool) -> None:
        """Send silence while the queue runs on."""
        self._port.mute(on)

    def mix_from(
        self, source: "CallAudio", track: LineTrack = LineTrack.HEARD, end: LineEnd = LineEnd.SENT, gain: float = 1.0
    ) -> None:
        """Have another call's audio mixed in here (gain 0 to 4), natively, on the clock; again: change the gain.

        A line's queue is as long as the source's jitter wants it (media/native/mix_line.hpp). Two tracks of one source
        are two lines. Raises `MediaMisuse` when 16 lines end here, or begin there.
        """
        if self._closed or source._closed:
            return
        if not self._port.mixFrom(source._port, track, end, gain):
            raise MediaMisuse("a call takes 16 lines at most")
        self._lines_in.add((source, track, end))
        source._lines_out.add((self, track, end))

    def unmix(self, source: "CallAudio", track: LineTrack | None = None, end: LineEnd | None = None) -> None:
        """End that, over one frame; without track or end: whatever comes from there. What is not there is no fault."""
        for line in list(self._lines_in):
            if line[0] is source and track in (None, line[1]) and end in (None, line[2]):
                self._port.unmix(source._port, line[1], line[2])
                self._lines_in.discard(line)
                source._lines_out.discard((self, line[1], line[2]))

    def line_counters(self) -> LineCounters:
        counted = self._port.lineCounters()
        queued_ms = counted.pop("queued_samples") * 1000 / self._sample_rate_hz
        return LineCounters(**counted, queued_ms=queued_ms)

    def mute_heard(self, on: bool) -> None:
        """Give silence in place of what the far end says, to `on_frames` and to lines. Keys are heard all the same."""
        self._port.muteHeard(on)

    @property
    def queued_ms(self) -> float:
        return self._port.queuedSamples() * 1000 / self._sample_rate_hz

    def progress(self) -> Heard | None:
        """The utterance being spoken, or None."""
        heard = self._port.progress()
        return None if heard is None else Heard(*heard)

    def counters(self) -> AudioCounters:
        return AudioCounters(**self._port.counters())

    def close(self) -> None:
        """Drop the queue and stop listening."""
        if self._closed:
            return
        self._closed = True
        # The sinks belong to owners who hold this object: without them the port's buffers need no garbage collector.
        self._on_frames = self.on_playout = self.on_announcement = self.on_rate = self.on_key = self.on_fault = None
        self._sent_sinks = ()
        for source, *_ in list(self._lines_in):
            self.unmix(source)
        for sink, *_ in list(self._lines_out):
            sink.unmix(self)
        self._port.listen(False)
        self._port.tapSent(False)
        self._port.clear()
        self._port.clearAnnouncement()
        self._hub.remove(self)

    def receive(
        self,
        heard: list[PcmFrame] | None,
        sent: list[PcmFrame] | None,
        events: list[tuple[int, int, int, float]] | None,
    ) -> None:
        """What the hub fetched for this call. A sink that fails is logged, and neither call nor loop suffers."""
        try:
            if events is not None:
                self._receive_rate(events)
                if self.on_key is not None:
                    self._receive_keys(events, self.on_key)
            if sent is not None:
                for sink in self._sent_sinks:
                    sink(sent)
            if heard is not None and self._on_frames is not None:
                self._on_frames(heard)
            if events is not None:
                self._receive_playout(events)
        except Exception:
            # A fault of one call's owner must not keep the other calls in this batch from their audio.
            _log.exception("audio_sink_failed", port=self.port_id)
            self.on_frames = self.on_playout = self.on_announcement = self.on_rate = self.on_key = None
            self._sent_sinks = ()
            if self.on_fault is not None:
                self.on_fault()

    def _receive_rate(self, events: list[tuple[int, int, int, float]]) -> None:
        for kind, _, rate_hz, _ in events:
            if kind == _ATTACHED and rate_hz != self._sample_rate_hz:
                self._sample_rate_hz = rate_hz
                if self.on_rate is not None:
                    self.on_rate(rate_hz)

    def _receive_keys(self, events: list[tuple[int, int, int, float]], on_key: Callable[[KeyHeard], None]) -> None:
        for kind, key, duration_ms, at in events:
            if kind in (_KEY_PRESSED, _KEY_RELEASED):
                digit = KEYS[key % _TONE]
                method = KeyMethod.INBAND if key >= _TONE else KeyMethod.RFC4733
                heard = KeyReleased(digit, method, duration_ms, at)
                on_key(KeyPressed(digit, method, at) if kind == _KEY_PRESSED else heard)

    def _receive_playout(self, events: list[tuple[int, int, int, float]]) -> None:
        for kind, utterance_id, samples, at in events:
            announced = kind in (_ANNOUNCEMENT_STARTED, _ANNOUNCEMENT_FINISHED)
            sink = self.on_announcement if announced else self.on_playout
            if sink is None:
                continue
            if kind in (_STARTED, _ANNOUNCEMENT_STARTED):
                sink(UtteranceStarted(utterance_id, at))
            elif kind in (_FINISHED, _ANNOUNCEMENT_FINISHED):
                sink(UtteranceFinished(utterance_id, samples, at))
