# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays of a call's quality: counts of both ends, and a score for each."""

from dataclasses import replace

import pytest

from gateway.calls.quality import quality_record
from gateway.sip.events import LegQuality
from media.ports import AudioCounters

CLEAN = LegQuality(
    rx_packets=3000, rx_jitter_ms=1.5, tx_packets=3000, tx_reports=12, tx_jitter_ms=2.0, rtt_ms=40.0, tx_redundant=7
)


def counters(**changes: int | float) -> AudioCounters:
    values = dict.fromkeys(AudioCounters.__slots__, 0)
    return AudioCounters(**{**values, "frames_in": 3000, "wait_ms": 5.0, **changes})  # type: ignore[arg-type]


def test_a_clean_call_is_told_with_all_its_counts() -> None:
    record = quality_record("PCMU", 8000, CLEAN, counters(packets_duplicate=3, frames_concealed=10))
    assert record.model_dump(exclude={"mos", "mos_peer", "levels"}) == {
        "rx_packets": 3000,
        "rx_lost": 0,
        "rx_loss_percent": 0.0,
        "rx_jitter_ms": 1.5,
        "late": 0,
        "recovered": 0,
        "duplicates": 3,
        "concealed_ms": 200,
        "tx_packets": 3000,
        "tx_lost": 0,
        "tx_loss_percent": 0.0,
        "tx_jitter_ms": 2.0,
        "tx_redundant": 7,
        "rtt_ms": 40.0,
        "mos_scale": "narrowband",
    }
    assert record.mos == pytest.approx(4.4, abs=0.05)
    assert record.mos_peer == pytest.approx(4.4, abs=0.05)


def test_each_end_is_scored_by_its_own_losses() -> None:
    deaf = quality_record("PCMU", 8000, replace(CLEAN, rx_packets=2700, rx_lost=300), counters())
    dumb = quality_record("PCMU", 8000, replace(CLEAN, tx_lost=300), counters())
    assert deaf.rx_loss_percent == dumb.tx_loss_percent == 10
    assert deaf.mos == dumb.mos_peer
    assert deaf.mos is not None
    assert deaf.mos < 3.7
    assert deaf.mos_peer == dumb.mos == quality_record("PCMU", 8000, CLEAN, counters()).mos_peer


def test_what_redundancy_brought_back_was_heard_and_what_came_late_was_not() -> None:
    lossy = replace(CLEAN, rx_packets=2850, rx_lost=150)
    lost, recovered, late = (
        quality_record("G722", 16000, leg, counted).mos
        for leg, counted in (
            (lossy, counters()),
            (lossy, counters(packets_recovered=150)),
            (replace(CLEAN, rx_packets=3000), counters(packets_late=150)),
        )
    )
    assert recovered == quality_record("G722", 16000, CLEAN, counters()).mos
    assert lost == late
    assert lost is not None
    assert recovered is not None
    assert lost < recovered - 0.3


def test_losses_in_runs_score_worse_than_scattered_ones() -> None:
    lossy = replace(CLEAN, rx_packets=2400, rx_lost=600)
    scattered, runs = (
        quality_record("PCMU", 8000, replace(lossy, rx_gaps=gaps), counters()).mos for gaps in (480, 100)
    )
    assert scattered is not None
    assert runs is not None
    assert runs < scattered - 0.1


def test_a_peer_that_never_reported_has_no_score_and_no_losses() -> None:
    record = quality_record("PCMU", 8000, replace(CLEAN, tx_reports=0), counters())
    assert (record.mos_peer, record.tx_lost, record.tx_loss_percent, record.tx_jitter_ms) == (None,) * 4
    assert record.mos is not None


def test_a_call_without_a_packet_has_no_score() -> None:
    record = quality_record("OPUS", 16000, LegQuality(), counters(frames_in=0))
    assert record.mos is None
    assert record.mos_scale is None
    assert record.rx_loss_percent == 0


def test_wideband_legs_are_rated_on_their_own_scale() -> None:
    assert quality_record("G722", 16000, CLEAN, counters()).mos_scale == "wideband"
