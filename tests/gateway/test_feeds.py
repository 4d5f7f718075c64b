# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus has of events."""

from gateway.campaigns.outcome import DIALLED
from gateway.events import EventBus
from gateway.feeds import count_events
from gateway.telemetry import Metrics


def attempts(metrics: Metrics) -> dict[str, float]:
    (family,) = [one for one in metrics.registry.collect() if one.name == "parley_campaign_attempts"]
    return {one.labels["outcome"]: one.value for one in family.samples if one.name.endswith("_total")}


def test_attempts_of_campaigns_are_counted_by_outcome_from_zero() -> None:
    bus, metrics = EventBus(), Metrics()
    count_events(bus, metrics)
    assert attempts(metrics) == {outcome.value: 0 for outcome in DIALLED}
    for outcome in ("talked", "abandoned", "talked"):
        bus.publish("campaign.outcome", "", {"outcome": outcome})
    bus.publish("campaign.ended", "", {"reason": "completed"})
    assert {outcome: count for outcome, count in attempts(metrics).items() if count} == {"talked": 2, "abandoned": 1}
    assert metrics.registry.get_sample_value("parley_events_total", {"kind": "campaign.outcome"}) == 3
    assert metrics.registry.get_sample_value("parley_events_total", {"kind": "campaign.ended"}) == 1


def test_an_outcome_that_is_of_no_attempt_makes_no_series() -> None:
    bus, metrics = EventBus(), Metrics()
    count_events(bus, metrics)
    for outcome in (None, "cancelled", "+14155550100"):
        bus.publish("campaign.outcome", "", {"outcome": outcome})
    assert set(attempts(metrics)) == {outcome.value for outcome in DIALLED}
    assert set(attempts(metrics).values()) == {0.0}
