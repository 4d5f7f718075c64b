# SPDX-License-Identifier: GPL-3.0-or-later
"""What was really sent: the value types in which the playout side of a leg tells its truth.

Samples are counted at the leg's rate; an utterance is whatever its writer tagged with one id.
Times are our clock (monotonic seconds).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heard:
    """How far one utterance got."""

    utterance_id: int
    heard_samples: int
    """Handed to the codec for sending, to the frame."""
    discarded_samples: int = 0
    """Written but never sent."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What `clear()` threw away; utterances that had been sent whole before are not in it."""

    utterances: tuple[Heard, ...] = ()
    """In the order in which they were queued; the first may have been heard in part."""


@dataclass(frozen=True, slots=True)
class UtteranceStarted:
    """The first sample of an utterance went out."""

    utterance_id: int
    sent_at: float


@dataclass(frozen=True, slots=True)
class UtteranceFinished:
    """The last sample of an ended utterance (`end_utterance`) went out."""

    utterance_id: int
    heard_samples: int
    sent_at: float
    """When that last packet went out."""


PlayoutEvent = UtteranceStarted | UtteranceFinished
