# SPDX-License-Identifier: GPL-3.0-or-later
"""One stream, whatever its protocol and connection: sync and clockless. `Stream` is the shell around it.

    caller's frames  > Encoder > WireProtocol.audio   > Outbox > connection
    what happens     >           WireProtocol.tell    > Outbox > connection
    connection > WireProtocol.receive > audio, marks, clear > StreamPlayout > leg
                                      > hang up, transfer, dial... > `ask`

It outlives its connections: every one begins with a protocol of its own, and a start message.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.rates import Rate, TokenBucket
from gateway.streams.comfort import ComfortAudio, ComfortSound
from gateway.streams.connection import Connection
from gateway.streams.messages import (
    Answer,
    Audio,
    BackendFault,
    Clear,
    ClearChunk,
    HangUp,
    KeyPressed,
    Malformed,
    Mark,
    Mute,
    Pause,
    Record,
    Reject,
    Resume,
    SendKeys,
    SpeechChanged,
    StreamEvent,
    StreamFormat,
    StreamStarted,
    Track,
    Transfer,
    WireMessage,
    WireProtocol,
)
from gateway.streams.outbox import Outbox
from gateway.streams.playout import Line, StreamPlayout
from gateway.streams.transcoder import Encoder, payload_ms
from media.frames import PcmFrame
from media.playout import PlayoutEvent
from media.vad import SpeechEnded, VadGate, WebRtcVad, mark_speech

CallRequest = SendKeys | HangUp | Transfer | Mute | Record | Answer | Reject
"""What a backend wants of the call."""
MESSAGE_RATE = Rate(per_s=500, burst=5000)
"""Messages of one connection; then it is ended. 20 ms of audio each are 50 a second, and 100 s of them may come at
once."""
MAX_FAULTS = 1000
"""Messages of one connection that are not understood; then it is ended."""
_SPEECH_START_MS = 60
_SPEECH_END_MS = 300


@dataclass(slots=True)
class SessionCounters:
    """Since the stream began."""

    messages_in: int = 0
    """Raw audio aside."""
    faults: int = 0
    """Messages that were not understood, or not possible."""


class StreamSession:
    """An engine. Whoever drives it looks at `next_timeout` and `is_abusive` after every call."""

    def __init__(
        self,
        started: StreamStarted,
        protocol: Callable[[], WireProtocol],
        ask: Callable[[CallRequest], None],
        sound: ComfortSound,
        *,
        wants_speech: bool = False,
        raw_audio: bool = False,
    ) -> None:
        """`started`: the call's facts, of which every connection is told what has changed since. `raw_audio`: the
        protocol's binary messages are payloads and nothing else, both ways; then they need not pass it.
        """
        self._raw_audio = raw_audio
        self.counters = SessionCounters()
        self.outbox = Outbox()
        self.playout: StreamPlayout | None = None
        self._started = started
        self._make_protocol = protocol
        self._protocol = protocol()
        self._tell_audio = self._protocol.audio
        self._ask = ask
        self._sound = sound
        self._comfort: ComfortAudio | None = None
        self._tracks: dict[Track, _Track] = {track: _Track(started.format) for track in started.tracks}
        self._speech = _SpeechWatch() if wants_speech else None
        self._was_connected = False
        self._faults_before = 0
        self._is_opus = started.format.encoding == "opus"
        self._bucket = TokenBucket(MESSAGE_RATE, 0.0)
        self._is_flooded = False
        self._dropped_before = 0

    @property
    def subprotocol(self) -> str | None:
        return self._protocol.subprotocol

    @property
    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called; monotonic seconds."""
        playout, comfort = self.playout, self._comfort
        if playout is None:
            return None
        if comfort is None or comfort.next_timeout is None:
            return playout.next_timeout
        if playout.next_timeout is None:
            return comfort.next_timeout
        return min(playout.next_timeout, comfort.next_timeout)

    @property
    def is_abusive(self) -> bool:
        """The connection has brought too much nonsense, or takes nothing: it is to be ended."""
        too_many_faults = self.counters.faults - self._faults_before > MAX_FAULTS
        return too_many_faults or self._is_flooded or self.outbox.is_overrun

    def speak_on(self, line: Line, now: float) -> None:
        """From now on the backend's audio goes to this leg."""
        self.playout = StreamPlayout(line, self._started.format, self.tell)
        self.playout.begin(now)
        self._comfort = ComfortAudio(line, self._sound)
        if not self.outbox.is_open:
            self._comfort.start(now)

    def fall_silent(self) -> None:
        """From now on the leg is somebody else's: the sound that stands for the backend ends now, and not later."""
        if self._comfort is not None:
            self._comfort.stop()

    def answered(self) -> None:
        """The call, which rang, has been answered: later connections begin with that."""
        self._started = replace(self._started, answered=True)

    # The connection

    def connected(self, connection: Connection, now: float) -> None:
        """There is a connection, the first or another."""
        if self._was_connected:
            self._protocol = self._make_protocol()
            self._tell_audio = self._protocol.audio
        self._faults_before = self.counters.faults
        self._bucket, self._is_flooded = TokenBucket(MESSAGE_RATE, now), False
        self.outbox.open(connection)
        if self._comfort is not None:
            self._comfort.stop()
        self.tell(replace(self._started, reconnected=self._was_connected))
        self._was_connected = True

    def disconnected(self, now: float, *, is_over: bool = False) -> None:
        """The connection is gone; unless the stream is over, the caller hears that the line is alive."""
        self.outbox.close()
        if self.playout is not None:
            self.playout.resume()  # nobody else would
        if self._comfort is None:
            return
        if is_over:
            self._comfort.stop()
        else:
            self._comfort.start(now)

    def congested(self, is_congested: bool, now: float) -> None:
        """The backend reads too slowly, or again fast enough: then it learns what it has missed."""
        if is_congested:
            self.outbox.congest(now)
            return
        self.outbox.relieve()
        missed = self.outbox.dropped_messages - self._dropped_before
        if missed:
            self._dropped_before = self.outbox.dropped_messages
            self.tell(BackendFault("audio lost", f"you read too slowly: {missed} messages with audio were left out"))

    def tell(self, event: StreamEvent) -> None:
        """Let the backend know."""
        if self.outbox.is_open:
            for message in self._protocol.tell(event):
                self.outbox.send(message)

    def key_pressed(self, digit: str, *, secret: bool) -> None:
        """How long it is pressed is not known yet: 0."""
        self.tell(KeyPressed("*" if secret else digit, 0))

    # The call's audio

    def receive_frames(self, frames: list[PcmFrame], track: Track) -> None:
        """Frames of one of the stream's tracks."""
        way, tell_audio, send = self._tracks[track], self._tell_audio, self.outbox.send_audio
        if self._raw_audio and self._speech is None:
            for frame in frames:
                for payload in way.encoder.encode(frame.pcm, frame.sample_rate_hz):
                    send(payload)
            return
        for frame in frames:
            position_ms = way.position_ms(frame)
            for payload in way.encoder.encode(frame.pcm, frame.sample_rate_hz):
                message = tell_audio(payload, position_ms, track)
                if message is not None:
                    send(message)
            if self._speech is not None and track == "inbound":
                for speaking, at_ms in self._speech.receive(frame):
                    self.tell(SpeechChanged(speaking, way.since_start_ms(at_ms)))

    def receive_playout(self, event: PlayoutEvent, now: float) -> None:
        if self.playout is not None:
            self.playout.receive_playout(event, now)

    # The backend's words

    def receive(self, message: WireMessage, now: float) -> bool:
        """A message of the backend. Never raises for what is in it.

        False: it was audio that went on at once, and neither `next_timeout` nor `is_abusive` has changed.
        """
        playout = self.playout
        if self._raw_audio and playout is not None and message.__class__ is bytes and message:
            playout.receive_audio(message, "", now)
            return playout.next_timeout is not None
        self._receive(message, now)
        return True

    def _receive(self, message: WireMessage, now: float) -> None:
        self.counters.messages_in += 1
        if self._bucket.take(now) > 0:
            self._is_flooded = True
            return
        for said in self._protocol.receive(message):
            match said:
                case Audio(payload) if self._is_opus and not payload_ms(self._started.format, payload):
                    self.refuse("malformed message", "not a packet of Opus (RFC 6716 section 3)")
                case Audio(payload, chunk_id) if self.playout is not None:
                    self.playout.receive_audio(payload, chunk_id, now)
                case Malformed(detail):
                    self.refuse("malformed message", detail)
                case HangUp() | SendKeys() | Transfer() | Mute() | Record() | Answer() | Reject():
                    self._ask(said)
                case _ if self.playout is None:
                    self.refuse("not now", "this stream does not talk, or the call is not answered yet")
                case Mark(name):
                    self.playout.receive_mark(name, now)
                case Clear():
                    self.playout.clear(now)
                case ClearChunk(chunk_id):
                    self.playout.clear_chunk(chunk_id, now)
                case Pause():
                    self.playout.pause()
                case Resume():
                    self.playout.resume()

    def refuse(self, title: str, detail: str) -> None:
        """What the backend said cannot be."""
        self.counters.faults += 1
        self.tell(BackendFault(title, detail))

    def handle_timeout(self, now: float) -> None:
        playout, comfort = self.playout, self._comfort
        if playout is not None and playout.next_timeout is not None and playout.next_timeout <= now:
            playout.handle_timeout(now)
        if comfort is not None and comfort.next_timeout is not None and comfort.next_timeout <= now:
            comfort.handle_timeout(now)


class _Track:
    """One track's way to the backend, and its time."""

    def __init__(self, format: StreamFormat) -> None:
        self.encoder = Encoder(format)
        self._rate_hz = 0
        self._origin_ms = 0
        """What a position on the leg's timeline is ahead of the stream's."""
        self._next_ms = 0

    def position_ms(self, frame: PcmFrame) -> int:
        rate_hz = frame.sample_rate_hz
        at_ms = frame.position_samples * 1000 // rate_hz
        if rate_hz != self._rate_hz:  # the first, or a re-INVITE brought another: the stream's time goes on
            self._rate_hz = rate_hz
            self._origin_ms = at_ms - self._next_ms
        self._next_ms = at_ms - self._origin_ms + frame.sample_count * 1000 // rate_hz
        return at_ms - self._origin_ms

    def since_start_ms(self, at_ms: int) -> int:
        return max(0, at_ms - self._origin_ms)


class _SpeechWatch:
    """When the caller speaks, by WebRTC's detector."""

    def __init__(self) -> None:
        self._detector = WebRtcVad(mode=3)
        self._gate = VadGate(_SPEECH_START_MS, _SPEECH_END_MS)

    def receive(self, frame: PcmFrame) -> list[tuple[bool, int]]:
        """(speaking, milliseconds on the leg's timeline) for what the frame made certain."""
        self._gate.receive_frame(mark_speech(frame, self._detector))
        return [
            (not isinstance(event, SpeechEnded), event.position_samples * 1000 // event.sample_rate_hz)
            for event in self._gate.events()
        ]
