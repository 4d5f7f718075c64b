# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway is killed amid a campaign: what it says of its calls is the truth (at length: scripts/bench/campaign)."""

from pathlib import Path

from gateway.campaigns.outcome import Outcome
from tests.campaign_audit import read_truth
from tests.campaign_run import CampaignRun, Nodes, numbers
from tests.simulators.sip_trunk import in_thread as trunk_in_thread
from tests.simulators.sip_trunk_behaviour import Numbers, parse_mix
from tests.simulators.sip_trunk_script import Manner
from tests.simulators.sip_trunk_sounds import load_trunk_sounds
from tests.simulators.stack import in_thread

_MIX = "person_hasty=20,busy_plain=30,dead_plain=25,rejected=15,congestion=10"


def test_a_gateway_that_is_killed_amid_a_campaign_calls_nobody_twice_and_loses_nobody(tmp_path: Path) -> None:
    line = trunk_in_thread(Numbers(1, parse_mix(_MIX)), None, Manner(ring_s=(0.1, 0.4)), load_trunk_sounds(voices=1))
    retried = {"max": 2, "busy": {"after_s": [0.5]}, "failed": {"after_s": [0.5]}}
    with line as trunk, in_thread() as services, Nodes(tmp_path, trunk.address, 1, services.toml) as nodes:
        run = CampaignRun(nodes, numbers(40), agent="openai", concurrency=12, cps=20, ring_s=5, attempts=retried)
        *_, last = run.run(kills=1, seed=1, limit_s=60)
        found = run.audit(read_truth(trunk.truth.lines))
    assert found.is_clean, found
    assert len(nodes.killed_at) == 1
    assert last["progress"]["outcomes"].get(Outcome.INVALID_NUMBER.value, 0) > 0
    assert found.invites > 40 - found.unknown_not_sent, "nobody was tried again"
