# SPDX-License-Identifier: GPL-3.0-or-later
"""What the caller heard and when: sounds, the answer to an utterance, when the agent fell silent for it. Pure.

Times are seconds on whatever clock the frames and utterances have (monotonic, in calls).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gateway.evaluation.mouth import Utterance
from gateway.softphone.spurts import audible_windows, last_audible_sample
from media.frames import PcmFrame, PcmSamples

_WINDOW_S = 0.005
_CLICK_S = 0.025
"""Less sound is no speech."""
_WORDS_GAP_S = 0.2
"""A longer silence separates two sounds."""
STOP_GAP_S = 0.5
"""A shorter silence is a pause that the agent makes while it finds out whether it was interrupted."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A stretch of what was heard with no silence of `_WORDS_GAP_S` in it."""

    began_at: float
    ended_at: float


class Heard:
    """All that came in on one call, in order, at one rate."""

    def __init__(self, frames: Sequence[PcmFrame]) -> None:
        rate_hz = frames[-1].sample_rate_hz if frames else 8000
        self._frames = [frame for frame in frames if frame.sample_rate_hz == rate_hz]
        self.sample_rate_hz = rate_hz
        self.sounds = _sounds(self._frames)

    def between(self, began_at: float, ended_at: float) -> PcmSamples:
        """What was heard in that time, int16, shape (n,)."""
        parts = [frame.samples for frame in self._frames if began_at <= frame.arrived_at < ended_at]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def answer_to(self, utterance: Utterance, until: float) -> float | None:
        """When the first sound began after that utterance had: the answer, if one came until then."""
        assert utterance.began_at is not None, "it was said"
        began = (one.began_at for one in self.sounds if utterance.began_at < one.began_at < until)
        return next(began, None)

    def fell_silent_after(self, utterance: Utterance) -> float | None:
        """When the agent, speaking as this was said into its speech, stopped for it; None: it went on, or was silent.

        It counts as stopping for it until `STOP_GAP_S` after the utterance.
        """
        assert utterance.began_at is not None, "it was said"
        ended_at = speech_ended_at(utterance)
        ending = None
        for sound, following in pairwise([*self.sounds, Sound(float("inf"), float("inf"))]):
            if sound.ended_at < utterance.began_at:
                continue
            if ending is None and sound.began_at > utterance.began_at:
                return None
            ending = sound.ended_at
            if following.began_at - sound.ended_at >= STOP_GAP_S:
                return ending if ending <= ended_at + STOP_GAP_S else None
        return None


def speech_ended_at(utterance: Utterance) -> float:
    """When the last audible sample of it left the mouth."""
    assert utterance.began_at is not None, "it was said"
    rate_hz = utterance.sample_rate_hz
    return utterance.began_at + last_audible_sample(utterance.samples, rate_hz) / rate_hz


def _sounds(frames: Sequence[PcmFrame]) -> list[Sound]:
    spans: list[tuple[float, float]] = []
    for frame in frames:
        for index, audible in enumerate(audible_windows(frame.samples, frame.sample_rate_hz)):
            # A frame arrives when its last sample was spoken; ears hear it from then on, as `SpurtDetector` has it.
            at = frame.arrived_at + index * _WINDOW_S
            if not audible:
                continue
            if spans and at - spans[-1][1] < _WORDS_GAP_S:
                spans[-1] = (spans[-1][0], max(spans[-1][1], at + _WINDOW_S))
            else:
                spans.append((at, at + _WINDOW_S))
    return [Sound(*span) for span in spans if span[1] - span[0] >= _CLICK_S]
