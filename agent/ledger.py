# SPDX-License-Identifier: GPL-3.0-or-later
"""The latency ledger: where the time between the caller's last word and our first one went.

Every turn collects marks on one clock; a segment is the time from one mark to the next, so the segments cannot but add
up to the whole, and a mark that was passed early (work done ahead) makes a segment of zero, not a gap.

    last speech sample spoken
      > arrival               its frame is here: the network's and the jitter buffer's share
      > endpointing           the decision that the turn is over
      > stt_final             the transcript is there too
      > llm_first_token
      > first_clause          enough words to start speaking
      > tts_first_byte
      > first_sample_written  converted to the leg's rate and queued
      > first_packet_sent     the first audible sample has left

Our own share of it is what is left without waiting: for the endpointing decision, and for services (which includes the
engines in this process, and what is looked up). Left are the network's delay of the last frame (`arrival`), all that
this process does between two waits, and after the last one converting, queueing, and the wait for the next RTP packet
(up to 20 ms).
"""

from dataclasses import dataclass, field
from enum import Enum

_MOST_WAITS = 256


class Stage(Enum):
    """The segments, in order; the value is the name in records and metrics."""

    ARRIVAL = "arrival"
    ENDPOINTING = "endpointing"
    STT_FINAL = "stt_final"
    LLM_FIRST_TOKEN = "llm_first_token"
    FIRST_CLAUSE = "first_clause"
    TTS_FIRST_BYTE = "tts_first_byte"
    FIRST_SAMPLE_WRITTEN = "first_sample_written"
    FIRST_PACKET_SENT = "first_packet_sent"


@dataclass(frozen=True, slots=True)
class TurnLedger:
    """One turn, measured."""

    turn_index: int
    segments_ms: dict[str, float]
    """By `Stage` value, in order; microsecond resolution; they sum to `response_ms`."""
    response_ms: float
    """Last speech sample of the caller to first audible sample of ours."""
    interrupted: bool
    speculative: bool = False
    """The answer was begun before the turn was over."""
    own_ms: float = 0.0
    """Our own share: what of it was neither waiting for a service nor for the endpointing decision."""


@dataclass(slots=True)
class LedgerMarks:
    """Collects the marks of one turn."""

    spoken_at: float
    """When the last speech sample was spoken into the line, monotonic seconds."""
    speculative: bool = False
    """The answer was begun before the turn was over."""
    _at: dict[Stage, float] = field(default_factory=dict)
    _waits: list[tuple[float, float]] = field(default_factory=list)
    """For services, in order of their ends; they may overlap. At most `_MOST_WAITS`: what follows is no wait to a
    caller who hears the answer already."""

    def waited(self, since: float, until: float) -> None:
        """Between these moments a service was waited for."""
        if until > since and len(self._waits) < _MOST_WAITS and Stage.FIRST_PACKET_SENT not in self._at:
            self._waits.append((since, until))

    def merge_ahead(self, ahead: "LedgerMarks") -> None:
        """Add what an answer that was begun ahead has behind it."""
        self.speculative = True
        self._waits = [*ahead._waits, *self._waits]
        for stage, at in ahead._at.items():
            self.mark(stage, at)

    def mark(self, stage: Stage, at: float) -> None:
        """The stage ended at `at`; only the first time counts."""
        self._at.setdefault(stage, at)

    def measure(self, turn_index: int, *, interrupted: bool) -> TurnLedger | None:
        """The ledger, or None when nothing audible was sent."""
        if Stage.FIRST_PACKET_SENT not in self._at:
            return None
        segments: dict[str, float] = {}
        sent_at = self._at[Stage.FIRST_PACKET_SENT]
        # Never beyond the packet that left: what a stage did after it was not waited for.
        passed_us = first_us = round(self.spoken_at * 1e6)
        for stage in Stage:
            at_us = round(min(self._at.get(stage, self.spoken_at), sent_at) * 1e6)
            segments[stage.value] = max(0, at_us - passed_us) / 1e3
            passed_us = max(passed_us, at_us)
        response_ms = (passed_us - first_us) / 1e3
        own_ms = segments[Stage.ARRIVAL.value] + self._unwaited_s(sent_at) * 1e3
        return TurnLedger(turn_index, segments, response_ms, interrupted, self.speculative, min(own_ms, response_ms))

    def _unwaited_s(self, sent_at: float) -> float:
        """How long nothing was waited for between knowing what the turn is and the packet that left."""
        at = max(self._at.get(stage, self.spoken_at) for stage in (Stage.ARRIVAL, Stage.ENDPOINTING, Stage.STT_FINAL))
        unwaited_s = 0.0
        for since, until in sorted(self._waits):
            unwaited_s += max(0.0, min(since, sent_at) - at)
            at = max(at, until)
        return unwaited_s + max(0.0, sent_at - at)
