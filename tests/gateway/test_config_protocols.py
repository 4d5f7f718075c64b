# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes to backends that speak other platforms' protocols."""

from pathlib import Path

import pytest

from gateway.streams.messages import StreamFormat
from gateway.streams.request import order_of_route
from tests.gateway.test_config import faults_of, loaded

STREAM = '[[route]]\naction = "stream"\nstream_url = "wss://a.example/"\n'


def test_a_route_may_follow_a_flow(tmp_path: Path) -> None:
    route = loaded(tmp_path, '[[route]]\naction = "flow"\nflow_url = "https://a.example/flow"').routes[0]
    assert route.flow_url == "https://a.example/flow"
    assert faults_of(tmp_path, '[[route]]\naction = "flow"') == ['route#1: action "flow" needs the key flow_url']


def test_a_routes_protocol_chooses_its_format_and_heeds_its_options(tmp_path: Path) -> None:
    route = loaded(tmp_path, f'{STREAM}protocol = "teler"\noptions = {{ chunk_ms = "60" }}').routes[0]
    order = order_of_route(route)
    assert (order.format, order.options) == (StreamFormat("l16", 8000), {"chunk_ms": "60"})


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ('protocol = "twilio"\ncodec = "opus"', "route#1.codec: protocol twilio carries pcmu at 8000 Hz only"),
        ('options = { chunk_ms = "60" }', "route#1.options: protocol parley has no option chunk_ms: none"),
        (
            'protocol = "teler"\noptions = { chunk_ms = "50" }',
            "route#1.options: protocol teler, option chunk_ms: this cannot be its value",
        ),
        (
            'protocol = "conversationrelay"\noptions = { agent = "nobody" }',
            "route#1.options: there is no agent 'nobody'",
        ),
        ('track = "both"', "route#1.track: protocol parley cannot tell two tracks apart: start one stream for each"),
        (
            'protocol = "twilio"\nanswer = "backend"',
            "route#1.answer: a backend cannot answer a call by protocol twilio",
        ),
    ],
)
def test_what_a_protocol_cannot_be_asked_is_a_fault(tmp_path: Path, keys: str, fault: str) -> None:
    assert faults_of(tmp_path, STREAM + keys) == [fault]


def test_twilios_account_and_token_are_settings_and_the_token_is_told_nobody(tmp_path: Path) -> None:
    config = loaded(tmp_path, f'[twilio]\naccount_sid = "AC{"0" * 32}"\nauth_token = "sesame"')
    assert (config.twilio.account_sid, config.twilio.token) == ("AC" + "0" * 32, "sesame")
    assert "sesame" not in repr(config)
    assert loaded(tmp_path, "").twilio.token is None
    (fault,) = faults_of(tmp_path, '[twilio]\naccount_sid = "7"')
    assert fault.startswith("twilio.account_sid")
