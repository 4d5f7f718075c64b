# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus reads."""

from gateway.store.records import Quality
from gateway.telemetry import Metrics


def test_every_name_begins_with_parley() -> None:
    metrics = Metrics()
    metrics.call_began("inbound")
    metrics.turn_measured(400.0, {"arrival": 20.0}, 15.0)
    names = [line.split()[2] for line in metrics.render().decode().splitlines() if line.startswith("# TYPE")]
    assert len(names) > 10
    assert [name for name in names if not name.startswith("parley_")] == []


def test_calls_are_counted_by_direction_and_end() -> None:
    metrics = Metrics()
    metrics.call_began("inbound")
    metrics.call_began("inbound")
    metrics.call_ended("inbound", "caller_hung_up")
    value = metrics.registry.get_sample_value
    assert value("parley_calls_active", {"direction": "inbound"}) == 1
    assert value("parley_calls_total", {"direction": "inbound", "end": "caller_hung_up"}) == 1


def test_a_turn_is_observed_in_seconds_as_a_whole_and_in_parts() -> None:
    metrics = Metrics()
    metrics.turn_measured(420.0, {"arrival": 20.0, "stt_final": 400.0}, 15.0)
    value = metrics.registry.get_sample_value
    assert value("parley_turn_response_seconds_sum") == 0.42
    assert value("parley_turn_response_seconds_bucket", {"le": "0.5"}) == 1
    assert value("parley_turn_response_seconds_bucket", {"le": "0.4"}) == 0
    assert value("parley_turn_segment_seconds_sum", {"segment": "stt_final"}) == 0.4


def test_two_sets_of_metrics_do_not_meet() -> None:
    first, second = Metrics(), Metrics()
    first.playout_underruns.inc()
    assert second.registry.get_sample_value("parley_playout_underruns_total") == 0


def test_a_rated_call_is_observed_for_each_end_that_is_known() -> None:
    metrics = Metrics()
    metrics.call_rated(Quality(mos=4.2, mos_scale="wideband", rx_loss_percent=2.0, rx_jitter_ms=12.0, concealed_ms=400))
    value = metrics.registry.get_sample_value
    assert value("parley_call_mos_sum", {"heard_by": "us", "scale": "wideband"}) == 4.2
    assert value("parley_call_loss_ratio_sum", {"heard_by": "us"}) == 0.02
    assert value("parley_call_jitter_seconds_sum", {"heard_by": "us"}) == 0.012
    assert value("parley_call_concealed_seconds_sum") == 0.4
    assert value("parley_call_loss_ratio_count", {"heard_by": "peer"}) is None
