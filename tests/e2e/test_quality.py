# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway says of a call's quality, against what the relay did to it."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.peers import softphone
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.network.impairment import Network
from tests.network.relay import Plan, Relay

_PACKETS = 150


def _call(gateway: GatewayProcess, uplink: Network) -> tuple[dict[str, Any], dict[str, Any], Relay]:
    """The quality of a call of three seconds, before its end and in its record, and the relay it went through."""
    with Relay(gateway.sip_port, {"*": Plan(uplink=uplink)}) as relay, RawCaller(relay.sip_port) as caller:
        assert caller.invite("echo").code == 200
        begun = time.monotonic()
        for packet in range(_PACKETS):
            caller.speak(SILENCE)
            time.sleep(max(0.0, begun + 0.02 * (packet + 1) - time.monotonic()))
        (call,) = gateway.get("/calls")["calls"]
        live: dict[str, Any] = gateway.get(f"/calls/{call['call_id']}")["quality"]
        assert caller.bye("echo").code == 200
    return live, gateway.newest_session()["quality"], relay


def test_a_clean_call_scores_well_while_it_runs_and_in_its_record(gateway: GatewayProcess) -> None:
    live, record, _ = _call(gateway, Network())
    for quality in (live, record):
        assert quality["rx_lost"] == 0
        assert quality["mos"] > 4.2
        assert quality["mos_scale"] == "narrowband"
    assert record["rx_packets"] == _PACKETS
    assert record["mos_peer"] is None  # this caller sends no RTCP


def test_losses_are_counted_as_the_relay_made_them(gateway: GatewayProcess) -> None:
    _, record, relay = _call(gateway, Network(loss=0.2))
    tally = relay.tallies["echo"][0]
    assert tally.lost > 15
    assert record["rx_lost"] == pytest.approx(tally.lost, abs=3)  # of the first and the last, nobody knows
    assert record["rx_loss_percent"] == pytest.approx(100 * tally.lost / _PACKETS, abs=3)
    assert record["mos"] < 3.6
    assert 'parley_call_mos_count{heard_by="us",scale="narrowband"}' in gateway.page("/metrics")


def test_duplicates_are_counted_as_the_relay_made_them(gateway: GatewayProcess) -> None:
    _, record, relay = _call(gateway, Network(duplicate=0.2))
    assert record["duplicates"] == relay.tallies["echo"][0].duplicated > 15
    assert record["rx_lost"] == 0


def test_a_line_without_jitter_is_told_to_have_little(gateway: GatewayProcess, question: Path) -> None:
    """2.17 counts Opus on the wrong clock, and finds 40 ms (media/native/rtcp_clock.patch)."""
    report = softphone(gateway, "agent", "--codec", "opus", "--play", str(question))
    assert report["exit"] == 0, report
    record = gateway.newest_session()["quality"]
    assert record["rx_jitter_ms"] < 25
    assert record["tx_jitter_ms"] < 25
    assert record["mos"] > 4
    assert record["mos_peer"] > 4
