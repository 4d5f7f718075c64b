# SPDX-License-Identifier: GPL-3.0-or-later
"""Two tracks on one timeline: every sample in its place, whatever comes late, early, or not at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.frames import PcmSamples
from media.level import dbov
from media.stereo import LEAD_S, MAX_GAP_S, StereoSamples, StereoTimeline, Track, TrackConverter
from tests.media.sound import sine

RATE_HZ = 8000


def ones(count: int, value: int = 1) -> PcmSamples:
    return np.full(count, value, np.int16)


def everything(timeline: StereoTimeline) -> StereoSamples:
    blocks = [*timeline.take(), *timeline.finish()]
    return np.concatenate(blocks) if blocks else np.empty((0, 2), np.int16)


def test_the_caller_is_left_and_the_agent_right() -> None:
    timeline = StereoTimeline(RATE_HZ)
    timeline.put(Track.CALLER, 0, ones(3, 10))
    timeline.put(Track.AGENT, 0, ones(3, 20))
    assert everything(timeline).tolist() == [[10, 20]] * 3


def test_gaps_and_the_shorter_track_are_silence() -> None:
    timeline = StereoTimeline(RATE_HZ)
    timeline.put(Track.CALLER, 0, ones(2))
    timeline.put(Track.CALLER, 4, ones(2))
    timeline.put(Track.AGENT, 1, ones(1, 2))
    assert everything(timeline).tolist() == [[1, 0], [1, 2], [0, 0], [0, 0], [1, 0], [1, 0]]


def test_the_output_begins_with_the_first_piece_wherever_the_call_is_by_then() -> None:
    timeline = StereoTimeline(RATE_HZ)
    timeline.put(Track.AGENT, 80000, ones(4))
    timeline.put(Track.CALLER, 79998, ones(4, 2))
    assert timeline.start_position_samples == 80000
    assert everything(timeline).tolist() == [[2, 1], [2, 1], [0, 1], [0, 1]]
    assert timeline.late_samples == 2


def test_only_what_both_tracks_have_is_given_out_at_once() -> None:
    timeline = StereoTimeline(RATE_HZ)
    timeline.put(Track.CALLER, 0, ones(320))
    assert not list(timeline.take())
    timeline.put(Track.AGENT, 0, ones(160))
    assert [len(block) for block in timeline.take()] == [160]
    timeline.put(Track.AGENT, 160, ones(160))
    assert [len(block) for block in timeline.take()] == [160]


def test_a_track_that_never_speaks_does_not_hold_up_the_other_for_longer_than_the_lead() -> None:
    timeline = StereoTimeline(RATE_HZ)
    timeline.put(Track.CALLER, 0, ones(RATE_HZ * LEAD_S + 400))
    assert sum(len(block) for block in timeline.take()) == 400
    timeline.put(Track.AGENT, 300, ones(200, 2))
    assert timeline.late_samples == 100
    rest = everything(timeline)
    assert len(rest) == RATE_HZ * LEAD_S
    assert rest[:101, 1].tolist() == [2] * 100 + [0]


def test_what_comes_twice_is_taken_once() -> None:
    timeline = StereoTimeline(RATE_HZ)
    timeline.put(Track.CALLER, 0, ones(4, 1))
    timeline.put(Track.CALLER, 2, ones(4, 2))
    timeline.put(Track.CALLER, 1, ones(2, 3))
    assert everything(timeline)[:, 0].tolist() == [1, 1, 1, 1, 2, 2]
    assert timeline.late_samples == 4


def test_a_long_gap_comes_out_in_short_blocks() -> None:
    timeline = StereoTimeline(RATE_HZ)
    timeline.put(Track.CALLER, 0, ones(1))
    timeline.put(Track.CALLER, 60 * RATE_HZ, ones(1))
    lengths = [len(block) for block in timeline.finish()]
    assert sum(lengths) == 60 * RATE_HZ + 1
    assert max(lengths) == RATE_HZ


def test_a_timestamp_gone_mad_is_a_gap_of_bounded_length_and_the_tracks_stay_together() -> None:
    timeline = StereoTimeline(RATE_HZ)
    timeline.put(Track.CALLER, 0, ones(1))
    timeline.put(Track.CALLER, 1 << 40, ones(4, 5))
    timeline.put(Track.AGENT, (1 << 40) + 1, ones(4, 6))
    lengths = 0
    for block in timeline.finish():
        lengths += len(block)
        last = block
    assert lengths == 1 + MAX_GAP_S * RATE_HZ + 5
    assert last[-5:].tolist() == [[5, 0], [5, 6], [5, 6], [5, 6], [0, 6]]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(Track)), st.integers(0, 30), st.integers(0, 40), st.booleans()), max_size=40
    )
)
def test_however_it_is_taken_every_sample_is_in_its_place(steps: list[tuple[Track, int, int, bool]]) -> None:
    rate_hz = 20  # a lead of 20 samples, blocks of 20
    timeline = StereoTimeline(rate_hz)
    wanted = np.zeros((2000, 2), np.int16)
    ends = {track: 0 for track in Track}
    timeline.put(Track.CALLER, 0, ones(0))
    taken: list[StereoSamples] = []
    in_time = True
    for track, gap, count, take in steps:
        start = ends[track] + gap
        ends[track] = start + count
        samples = np.arange(start + 1, start + count + 1, dtype=np.int16)
        timeline.put(track, start, samples)
        wanted[start : start + count, track] = samples
        in_time = in_time and not timeline.late_samples
        if take:
            taken += timeline.take()
    taken += timeline.finish()
    heard = np.concatenate(taken) if taken else np.empty((0, 2), np.int16)
    if in_time:
        assert np.array_equal(heard, wanted[: len(heard)])
        assert not wanted[len(heard) :].any()
    else:  # what came too late is missing, and nothing else is wrong
        assert ((heard == wanted[: len(heard)]) | (heard == 0)).all()
        assert (heard != wanted[: len(heard)]).sum() <= timeline.late_samples


def converted(converter: TrackConverter, pieces: list[tuple[int, PcmSamples, int]]) -> StereoTimeline:
    timeline = StereoTimeline(16000)
    timeline.put(Track.CALLER, 0, ones(0))
    for piece in pieces:
        for position, samples in converter.convert(*piece):
            timeline.put(Track.CALLER, position, samples)
    for position, samples in converter.finish():
        timeline.put(Track.CALLER, position, samples)
    return timeline


def test_a_leg_that_changes_its_rate_stays_in_place_and_in_tune() -> None:
    low, high = sine(1000, 3.0, 8000), sine(1000, 3.0, 16000)
    pieces = [(at, high[at : at + 320], 16000) for at in range(0, 16000, 320)]
    pieces += [(at, low[at : at + 160], 8000) for at in range(8000, 16000, 160)]
    pieces += [(at, high[at : at + 320], 16000) for at in range(32000, 48000, 320)]
    timeline = converted(TrackConverter(16000), pieces)
    heard = everything(timeline)[:, 0]
    assert len(heard) == 48000
    assert timeline.late_samples == 0
    for second in range(3):
        inside = slice(second * 16000 + 400, (second + 1) * 16000 - 400)
        assert dbov(heard[inside] - high[inside]) < dbov(high) - 60


def test_a_gap_in_a_converted_track_is_silence_of_the_right_length() -> None:
    low = sine(1000, 1.0, 8000)
    timeline = converted(TrackConverter(16000), [(0, low, 8000), (16000, low, 8000)])
    heard = everything(timeline)[:, 0]
    assert len(heard) == 48000
    assert not heard[16000:32000].any()
    assert dbov(heard[32400:47600] - sine(1000, 3.0, 16000)[32400:47600]) < -70


@pytest.mark.parametrize("from_hz", [8000, 24000, 48000])
def test_many_small_pieces_convert_as_one(from_hz: int) -> None:
    samples = sine(440, 0.5, from_hz)
    count = from_hz // 50
    small = [(at, samples[at : at + count], from_hz) for at in range(0, len(samples), count)]
    whole = everything(converted(TrackConverter(16000), [(0, samples, from_hz)]))
    assert np.array_equal(everything(converted(TrackConverter(16000), small)), whole)
