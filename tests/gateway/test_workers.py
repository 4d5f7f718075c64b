# SPDX-License-Identifier: GPL-3.0-or-later
"""What each worker has of its own."""

import pytest

from gateway.config import Config
from gateway.errors import StartupError
from gateway.workers import plan_workers


def config(**cluster: object) -> Config:
    return Config.model_validate(
        {
            "sip": {"bind": "127.0.0.1", "port": 5060, "max_calls": 100},
            "http": {"port": 8080},
            "media": {"rtp_port_min": 10000, "rtp_port_max": 10999},
            "cluster": {"redis_url": "redis://127.0.0.1:6379/0", "node_id": "box", **cluster},
        }
    )


def test_ports_do_not_meet_and_shares_are_even() -> None:
    plans = plan_workers(config(), 3)
    assert [plan.node_id for plan in plans] == ["box-1", "box-2", "box-3"]
    assert [plan.environ["PARLEY_SIP__PORT"] for plan in plans] == ["5060", "5062", "5064"]
    assert [plan.environ["PARLEY_SIP__TLS_PORT"] for plan in plans] == ["5061", "5063", "5065"]
    assert [plan.environ["PARLEY_HTTP__PORT"] for plan in plans] == ["8080", "8081", "8082"]
    assert [plan.environ["PARLEY_SIP__MAX_CALLS"] for plan in plans] == ["34", "34", "34"]
    ranges = [
        (int(plan.environ["PARLEY_MEDIA__RTP_PORT_MIN"]), int(plan.environ["PARLEY_MEDIA__RTP_PORT_MAX"]))
        for plan in plans
    ]
    assert ranges == [(10000, 10331), (10332, 10663), (10664, 10995)]


def test_addresses_that_others_use_are_those_of_the_worker() -> None:
    plans = plan_workers(config(sip_address="10.0.0.5:5060", http_url="http://10.0.0.5:8080"), 2)
    assert [plan.environ["PARLEY_CLUSTER__SIP_ADDRESS"] for plan in plans] == ["10.0.0.5:5060", "10.0.0.5:5062"]
    assert plans[1].environ["PARLEY_CLUSTER__HTTP_URL"] == "http://10.0.0.5:8081"


def test_what_cannot_be_shared_out_is_said() -> None:
    with pytest.raises(StartupError, match=r"cluster\.redis_url"):
        plan_workers(Config(), 2)
    with pytest.raises(StartupError, match="rtp_port_min"):
        plan_workers(
            config().model_copy(update={"media": config().media.model_copy(update={"rtp_port_max": 10099})}), 2
        )
