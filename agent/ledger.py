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
"""

from dataclasses import dataclass, field
from enum import Enum


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


@dataclass(slots=True)
class LedgerMarks:
    """Collects the marks of one turn."""

    spoken_at: float
    """When the last speech sample was spoken into the line, monotonic seconds."""
    speculative: bool = False
    """The answer was begun before the turn was over."""
    _at: dict[Stage, float] = field(default_factory=dict)

    def merge_ahead(self, ahead: "LedgerMarks") -> None:
        """Add what an answer that was begun ahead has behind it."""
        self.speculative = True
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
        return TurnLedger(turn_index, segments, (passed_us - first_us) / 1e3, interrupted, self.speculative)
