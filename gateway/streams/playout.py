# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend's audio on its way to the caller: sync and clockless, the time is an argument.

    payload > backlog, as it came, up to 60 s > decoded and converted a fifth of a second at a time > the leg's queue

A payload may have any length. What is short and finds the backlog empty goes on at once; of a burst the leg's queue
gets two seconds ahead, and the rest as that is played, so that neither decoding half a minute holds up the event loop
nor `clear` has much to throw away. Everything between two marks is one utterance of the leg, whose end is told at the
RTP frame.

When full (60 s): what exceeds it is refused, counted, and told once per overflow. `xoff` is told at 45 s, `xon` at 30.

A backend that talks in real time has nothing in hand: a message that comes a little after the leg's clock has taken its
frame leaves a gap. So the first message of a spurt is put one frame later when it would otherwise have come less than
`SLACK_S` before that clock's tick. The clock's phase is known from the start of what was played before. What comes late
all the same makes the queue longer; when for half a second there was always more in it than `SLACK_S` asks for, quiet
messages of that length are left out. Of a queue of more than `REAL_TIME_S` nothing is: that backend talks ahead.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from gateway.streams.messages import BackendFault, FlowControl, MarkReached, PlayoutCleared, StreamFormat
from gateway.streams.transcoder import Decoder, Payload, bytes_per_ms, payload_ms
from media.playout import Cleared, PlayoutEvent, UtteranceStarted

CAPACITY_MS = 60_000.0
XOFF_MS = 45_000.0
XON_MS = 30_000.0
AHEAD_S = 2.0
"""So much is kept in the leg's queue."""
REFILL_S = 1.0
"""Below this it is filled up again."""
SLICE_MS = 200.0
"""Converted in one go."""
SLACK_S = 0.01
"""How much later than usual a message of a spurt in real time may come without leaving a gap."""
REAL_TIME_S = 0.1
GAP_S = 0.2
"""Silence of this length is a pause of the backend's own; a shorter one in the middle of its audio is a gap."""
QUIET = 100
"""Mean of the samples' absolute values, some -50 dBov."""
MAX_UTTERANCES = 48
"""In the leg's queue, which has room for 63: marks may come faster than they are played."""
MAX_CHUNK_ID_CHARACTERS = 128
MAX_MARKS = 1000
"""That are not reached yet; one more is refused."""
_SYNC_S = 0.5
"""How often the leg is asked how much it really holds: in between that follows from what was written and the time."""
_POLL_S = 0.25
"""How soon to look again at a leg that is not playing: on hold, paused, or sending keys."""
_FRAME_S = 0.02
_PROBE_BYTES = 16
"""Eight samples of silence: the event that they were sent tells the clock's phase."""

PlayoutTold = MarkReached | PlayoutCleared | FlowControl | BackendFault


class Line(Protocol):
    """A leg's way out: `media.ports.CallAudio`, as far as it is used here."""

    @property
    def utterance_ids(self) -> Iterator[int]: ...
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def queued_ms(self) -> float: ...
    def play(self, utterance_id: int, pcm: bytes | bytearray | memoryview, sample_rate_hz: int = 0) -> int: ...
    def end_utterance(self, utterance_id: int) -> None: ...
    def clear(self) -> Cleared: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@dataclass(slots=True)
class _Utterance:
    """What is in the leg's queue under one id."""

    utterance_id: int
    ms: float = 0.0
    lead_ms: float = 0.0
    """Silence of ours before it."""
    marks: list[str] = field(default_factory=list)
    """Reached when it ends."""
    chunk_id: str = ""
    payload: bytearray = field(default_factory=bytearray)
    """What was written. Kept only where chunks have names."""


@dataclass(slots=True)
class _Waiting:
    """A payload of the backlog, or a mark."""

    payload: Payload
    chunk_id: str = ""
    mark: str | None = None


@dataclass(slots=True)
class PlayoutCounters:
    """Since the stream began."""

    refused_ms: float = 0.0
    refused_marks: int = 0
    skipped_ms: float = 0.0
    """Quiet messages left out, because the queue of a backend in real time had grown."""
    gaps: int = 0
    """Times that audio came late: less than `GAP_S` after the queue had run dry. What comes later is another reply."""


class StreamPlayout:
    """One stream's. `tell` takes what the backend is to hear of it."""

    def __init__(self, line: Line, format: StreamFormat, tell: Callable[[PlayoutTold], None]) -> None:
        self.counters = PlayoutCounters()
        self.next_timeout: float | None = None
        """When `handle_timeout` wants to be called."""
        self._line = line
        self._play = line.play
        self._format = format
        self._decoder = Decoder(format)
        self._tell = tell
        self._backlog: deque[_Waiting] = deque()
        self._backlog_ms = 0.0
        self._utterances: deque[_Utterance] = deque()
        """Not known to be over; the last one is open if `_is_open`."""
        self._is_open = False
        self._mark_count = 0
        self._names_chunks = False
        self._has_spoken = False
        """Since the beginning or the last clear: only then can there be a gap."""
        self._empty_at = 0.0
        """When the leg's queue will run dry if nothing more comes."""
        self._sync_at = 0.0
        self._least_ahead_s = math.inf
        """The shortest that the queue was when more came, since `_sync`."""
        self._surplus_s = 0.0
        """So much of a stream in real time can be left out."""
        self._tick_at: float | None = None
        """A moment at which the leg's clock took a frame."""
        self._played_ms = 0.0
        """Of utterances that are over, since the queue was last empty."""
        self._is_filling = False
        self._is_off = False
        self._is_paused = False
        self._is_refusing = False

    def queued_ms(self, now: float) -> float:
        """Audio that is waiting to be heard."""
        self._sync(now)
        return self._backlog_ms + max(0.0, self._empty_at - now) * 1000

    def begin(self, now: float) -> None:
        """Before the first audio: find out where the leg's clock stands."""
        if self._tick_at is None:
            utterance_id = next(self._line.utterance_ids)
            self._play(utterance_id, bytes(_PROBE_BYTES))
            self._line.end_utterance(utterance_id)
            self._sync(now)

    @property
    def is_idle(self) -> bool:
        """Nothing is waiting, as of the last call."""
        return not self._backlog and not self._utterances

    def receive_audio(self, payload: bytes, chunk_id: str, now: float) -> None:
        """Play this after what is queued."""
        if now >= self._sync_at:
            self._sync(now)
        length_ms = payload_ms(self._format, payload)
        ahead_s = self._empty_at - now
        if not self._backlog and not chunk_id and length_ms <= SLICE_MS and ahead_s < AHEAD_S:
            if ahead_s <= 0.0:
                self._begin_spurt(length_ms, now)
            elif ahead_s < self._least_ahead_s:
                self._least_ahead_s = ahead_s
            self._write(payload, length_ms, now)
            return
        if chunk_id:
            self._names_chunks = True
        room_ms = CAPACITY_MS - self._backlog_ms - max(0.0, ahead_s) * 1000
        accepted = self._accept(payload, length_ms, room_ms)
        if not len(accepted):
            return
        if self._backlog_ms == 0.0 and ahead_s <= 0.0:
            self._begin_spurt(length_ms, now)
        for piece in self._slices(accepted):
            self._append(piece, chunk_id[:MAX_CHUNK_ID_CHARACTERS])
        self._pump(now)
        self._maybe_xoff(now)

    def receive_mark(self, name: str, now: float) -> None:
        """Tell when all before it has been heard."""
        if self._mark_count >= MAX_MARKS:
            self.counters.refused_marks += 1
            self._tell(BackendFault("mark refused", f"{MAX_MARKS} marks are waiting already"))
            return
        self._mark_count += 1
        if self._backlog:
            self._backlog.append(_Waiting(memoryview(b""), mark=name))
        else:
            self._mark(name)

    def clear(self, now: float) -> None:
        """Fall silent, drop everything, say what was heard; ends a pause."""
        cut = {heard.utterance_id: heard for heard in self._line.clear().utterances}
        rate_hz = self._line.sample_rate_hz
        played_ms, discarded_ms, cleared = self._played_ms, self._backlog_ms, []
        for utterance in self._utterances:
            heard = cut.get(utterance.utterance_id)
            if heard is None:  # sent whole; the event that says so is on its way
                played_ms += utterance.ms
                self._reach(utterance, played=True)
                continue
            lead_ms = min(utterance.lead_ms, heard.heard_samples * 1000 / rate_hz)
            played_ms += heard.heard_samples * 1000 / rate_hz - lead_ms
            discarded_ms += heard.discarded_samples * 1000 / rate_hz - (utterance.lead_ms - lead_ms)
            is_whole = heard.discarded_samples == 0
            if not is_whole:
                cleared += utterance.marks
            self._reach(utterance, played=is_whole)
        for waiting in self._backlog:
            if waiting.mark is not None:
                cleared.append(waiting.mark)
                self._mark_count -= 1
                self._tell(MarkReached(waiting.mark, played=False))
        self._backlog.clear()
        self._utterances.clear()
        self._backlog_ms = self._played_ms = 0.0
        self._is_open = self._has_spoken = False
        self._empty_at = now
        self._decoder.reset()
        self.next_timeout = None
        self.resume()
        self._tell(PlayoutCleared(round(played_ms), max(0, round(discarded_ms)), tuple(cleared)))
        self._maybe_xon(now)

    def clear_chunk(self, chunk_id: str, now: float) -> None:
        """Drop the chunk of this name, or what is left of it."""
        if any(utterance.chunk_id == chunk_id for utterance in self._utterances):
            self._take_back(now)
        kept = [waiting for waiting in self._backlog if waiting.chunk_id != chunk_id or waiting.mark is not None]
        self._backlog = deque(kept)
        self._backlog_ms = sum((payload_ms(self._format, waiting.payload) for waiting in kept), 0.0)
        self._pump(now)

    def pause(self) -> None:
        """Fall silent, keep what is queued."""
        self._is_paused = True
        self._line.pause()

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._line.resume()
            self._sync_at = 0.0

    def receive_playout(self, event: PlayoutEvent, now: float) -> None:
        """What the leg tells of what it sent."""
        if isinstance(event, UtteranceStarted):
            self._tick_at = event.sent_at
            return
        # In order, and none is passed over: an event that was lost is told with the next.
        while self._utterances and self._utterances[0].utterance_id <= event.utterance_id:
            if self._is_open and len(self._utterances) == 1:
                break
            over = self._utterances.popleft()
            self._played_ms += over.ms
            self._reach(over, played=True)
        if self._backlog:
            self._pump(now)

    def handle_timeout(self, now: float) -> None:
        """Go on with the backlog."""
        self._sync(now)
        self._pump(now)

    # The leg's queue

    def _sync(self, now: float) -> None:
        if now >= self._sync_at:
            is_real_time = self._least_ahead_s < REAL_TIME_S
            self._surplus_s = self._least_ahead_s - SLACK_S if is_real_time else 0.0
            self._least_ahead_s = math.inf
        self._sync_at = now + _SYNC_S
        queued_s = self._line.queued_ms / 1000
        self._empty_at = now + queued_s + self._until_tick_s(now) if queued_s else min(now, self._empty_at)

    def _until_tick_s(self, now: float) -> float:
        """Until the leg's clock takes its next frame; the worst while its phase is unknown."""
        return 0.0 if self._tick_at is None else _FRAME_S - (now - self._tick_at) % _FRAME_S

    def _begin_spurt(self, length_ms: float, now: float) -> None:
        """The queue seems empty: begin to count anew, and come in time for the leg's clock."""
        dry_at = self._empty_at
        self._sync(now)
        if self._empty_at > now:
            return
        if self._has_spoken and now - dry_at < GAP_S:
            self.counters.gaps += 1
        self._has_spoken = True
        self._close()
        for over in self._utterances:
            self._reach(over, played=True)
        self._utterances.clear()
        self._played_ms = self._surplus_s = 0.0
        self._least_ahead_s = math.inf
        until_tick_s = self._until_tick_s(now)
        self._empty_at = now + until_tick_s
        self._open("")
        if length_ms <= 3 * _FRAME_S * 1000 and until_tick_s < SLACK_S:
            self._write_silence(_FRAME_S, now)

    def _write_silence(self, seconds: float, now: float) -> None:
        utterance = self._utterances[-1]
        rate_hz = self._line.sample_rate_hz
        taken = self._play(utterance.utterance_id, bytes(2 * round(seconds * rate_hz)), rate_hz)
        utterance.lead_ms = taken * 1000 / rate_hz
        self._empty_at += seconds

    def _write(self, payload: Payload, length_ms: float, now: float) -> None:
        rate_hz = self._line.sample_rate_hz
        pcm = self._decoder.decode(payload, rate_hz)
        if not len(pcm):
            return
        if length_ms <= self._surplus_s * 1000 and _is_quiet(pcm):
            self._surplus_s -= length_ms / 1000
            self.counters.skipped_ms += length_ms
            return
        if not self._is_open:
            self._open("")
        utterance = self._utterances[-1]
        taken = self._play(utterance.utterance_id, pcm, rate_hz)
        if taken * 2 < len(pcm):
            taken = self._write_again(utterance, pcm, taken, rate_hz)
            utterance = self._utterances[-1]
        length_ms = taken * 1000 / rate_hz
        utterance.ms += length_ms
        self._empty_at = max(self._empty_at, now) + length_ms / 1000

    def _write_again(self, utterance: _Utterance, pcm: Payload, taken: int, rate_hz: int) -> int:
        """Somebody else cleared the leg (its id takes nothing more), or there is no room: then it is lost."""
        if taken == 0:
            self._close()
            self._open(utterance.chunk_id)
            taken = self._play(self._utterances[-1].utterance_id, pcm, rate_hz)
        self.counters.refused_ms += (len(pcm) // 2 - taken) * 1000 / rate_hz
        return taken

    def _open(self, chunk_id: str) -> None:
        self._utterances.append(_Utterance(next(self._line.utterance_ids), chunk_id=chunk_id))
        self._is_open = True

    def _close(self) -> None:
        """The open utterance gets no more: its end will be told, if it was ever begun."""
        if not self._is_open:
            return
        self._is_open = False
        last = self._utterances[-1]
        if last.ms or last.lead_ms:
            self._line.end_utterance(last.utterance_id)
        else:
            self._utterances.pop()

    def _mark(self, name: str) -> None:
        if self._is_open and not self._utterances[-1].ms:
            self._close()
        if self._is_open:
            self._utterances[-1].marks.append(name)
            self._close()
        elif self._utterances:
            self._utterances[-1].marks.append(name)
        else:
            self._mark_count -= 1
            self._tell(MarkReached(name, played=True))

    def _reach(self, utterance: _Utterance, *, played: bool) -> None:
        for name in utterance.marks:
            self._mark_count -= 1
            self._tell(MarkReached(name, played))

    # The backlog

    def _accept(self, payload: bytes, length_ms: float, room_ms: float) -> memoryview:
        view = memoryview(payload)
        if length_ms <= room_ms:
            self._is_refusing = False
            return view
        if self._format.encoding == "opus" or room_ms <= 0.0:
            accepted = view[:0]
        else:
            # A copy: a view would keep all of a payload of which a little is taken.
            accepted = memoryview(bytes(view[: int(room_ms * bytes_per_ms(self._format)) & ~1]))
        refused_ms = length_ms - (payload_ms(self._format, accepted) if len(accepted) else 0.0)
        self.counters.refused_ms += refused_ms
        if not self._is_refusing:
            self._is_refusing = True
            detail = f"{refused_ms:.0f} ms refused: {CAPACITY_MS / 1000:.0f} s is all that is kept"
            self._tell(BackendFault("playout queue full", detail))
        return accepted

    def _slices(self, payload: memoryview) -> Iterator[memoryview]:
        if self._format.encoding == "opus":
            yield payload
            return
        size = int(SLICE_MS * bytes_per_ms(self._format))
        for begin in range(0, len(payload), size):
            yield payload[begin : begin + size]

    def _append(self, piece: memoryview, chunk_id: str) -> None:
        """Small pieces are put together: a backend that sends single bytes costs no more memory than another."""
        self._backlog_ms += payload_ms(self._format, piece)
        last = self._backlog[-1] if self._backlog else None
        if last is None or last.mark is not None or last.chunk_id != chunk_id or self._format.encoding == "opus":
            self._backlog.append(_Waiting(piece, chunk_id))
        elif len(last.payload) + len(piece) <= SLICE_MS * bytes_per_ms(self._format):
            joined = last.payload if isinstance(last.payload, bytearray) else bytearray(last.payload)
            joined += piece
            last.payload = joined
        else:
            self._backlog.append(_Waiting(piece, chunk_id))

    def _pump(self, now: float) -> None:
        """Give the leg the next slice of the backlog, if it wants it, and say when to come again."""
        has_room = len(self._utterances) < MAX_UTTERANCES
        if self._backlog and has_room and (self._is_filling or self._empty_at - now < REFILL_S):
            self._step(now)
            self._is_filling = self._empty_at - now < AHEAD_S
        while self._backlog and self._backlog[0].mark is not None:
            self._step(now)
        if not self._backlog:
            self._backlog_ms, self._is_filling, self.next_timeout = 0.0, False, None
        elif not has_room:
            self.next_timeout = now + _POLL_S  # or when the leg tells that one is over
        elif self._is_filling:
            self.next_timeout = now
        else:
            self.next_timeout = now + max(_POLL_S, self._empty_at - now - REFILL_S)
        self._maybe_xon(now)

    def _step(self, now: float) -> None:
        waiting = self._backlog.popleft()
        if waiting.mark is not None:
            self._mark(waiting.mark)
            return
        length_ms = payload_ms(self._format, waiting.payload)
        self._backlog_ms -= length_ms
        if self._names_chunks:
            if self._is_open and self._utterances[-1].chunk_id != waiting.chunk_id:
                self._close()
            if not self._is_open:
                self._open(waiting.chunk_id)
            self._utterances[-1].payload += waiting.payload
        self._write(waiting.payload, length_ms, now)

    def _take_back(self, now: float) -> None:
        """Fetch what the leg has not sent yet into the backlog again."""
        cut = {heard.utterance_id: heard for heard in self._line.clear().utterances}
        rate_hz = self._line.sample_rate_hz
        returned: list[_Waiting] = []
        for utterance in self._utterances:
            heard = cut.get(utterance.utterance_id)
            heard_ms = utterance.ms if heard is None else heard.heard_samples * 1000 / rate_hz - utterance.lead_ms
            self._played_ms += max(0.0, heard_ms)
            if heard is None or heard.discarded_samples == 0:
                self._reach(utterance, played=True)
                continue
            begin = int(max(0.0, heard_ms) * bytes_per_ms(self._format)) & ~1
            rest = memoryview(bytes(utterance.payload[begin:]))
            returned += [_Waiting(piece, utterance.chunk_id) for piece in self._slices(rest)]
            returned += [_Waiting(memoryview(b""), mark=name) for name in utterance.marks]
        self._utterances.clear()
        self._is_open = False
        self._empty_at = now
        self._backlog.extendleft(reversed(returned))

    def _maybe_xoff(self, now: float) -> None:
        queued_ms = self._backlog_ms + max(0.0, self._empty_at - now) * 1000
        if not self._is_off and queued_ms >= XOFF_MS:
            self._is_off = True
            self._tell(FlowControl(xoff=True, queued_ms=round(queued_ms)))

    def _maybe_xon(self, now: float) -> None:
        if not self._is_off:
            return
        queued_ms = self._backlog_ms + max(0.0, self._empty_at - now) * 1000
        if queued_ms <= XON_MS:
            self._is_off = False
            self._tell(FlowControl(xoff=False, queued_ms=round(queued_ms)))


def _is_quiet(pcm: Payload) -> bool:
    return float(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)).mean()) < QUIET
