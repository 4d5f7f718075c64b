# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway is killed amid a campaign: what it says of its calls is the truth (at length: scripts/bench/campaign)."""

from itertools import repeat
from pathlib import Path

from gateway.campaigns.outcome import Outcome
from tests.campaign_audit import read_truth
from tests.campaign_run import CampaignRun, Nodes, numbers
from tests.postgresql_server import PostgreSqlServer
from tests.simulators.sip_trunk import in_thread as trunk_in_thread
from tests.simulators.sip_trunk_behaviour import Behaviour, Numbers, parse_mix
from tests.simulators.sip_trunk_script import Manner
from tests.simulators.sip_trunk_sounds import load_trunk_sounds
from tests.simulators.stack import in_thread

_PEOPLE = 5
"""They come first: to talk takes longer than everything else."""
_MIX = "busy_plain=40,dead_plain=25,rejected=15,congestion=20"


def test_a_gateway_that_is_killed_amid_a_campaign_calls_nobody_twice_and_loses_nobody(tmp_path: Path) -> None:
    run_with_a_kill(tmp_path, 1)


def test_nor_do_two_with_data_folders_of_their_own_on_postgresql(tmp_path: Path) -> None:
    with PostgreSqlServer() as server:
        run_with_a_kill(tmp_path, 2, server.create("parley"))


def run_with_a_kill(tmp_path: Path, gateways: int, database: str | None = None) -> None:
    listed = numbers(40)
    people = dict(zip(listed[:_PEOPLE], repeat([Behaviour.PERSON_HASTY])))
    who = Numbers(1, parse_mix(_MIX), people)
    line = trunk_in_thread(who, manner=Manner(ring_s=(0.1, 0.4)), sounds=load_trunk_sounds(voices=1))
    retried = {"max": 2, "busy": {"after_s": [0.5]}, "failed": {"after_s": [0.5]}}
    with (
        line as trunk,
        in_thread() as services,
        Nodes(tmp_path, trunk.address, gateways, services.toml, database) as nodes,
    ):
        run = CampaignRun(nodes, listed, agent="openai", concurrency=12, cps=20, ring_s=5, attempts=retried)
        *_, last = run.run(kills=1, seed=1, limit_s=90, dawdle_s=0.3)
        found = run.audit(read_truth(trunk.truth.lines))
    assert found.is_clean, found
    assert len(nodes.killed_at) == 1
    assert last["progress"]["outcomes"].get(Outcome.INVALID_NUMBER.value, 0) > 0
    assert found.invites > 40 - found.unknown_not_sent, "nobody was tried again"
