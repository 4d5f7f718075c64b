# SPDX-License-Identifier: GPL-3.0-or-later
"""Kamailio as registrar and proxy between Parley and the world."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e import nursery
from tests.e2e.baresip import Baresip
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.kamailio import PASSWORD, USER, Kamailio


@pytest.fixture(scope="module", params=["udp", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def telephone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Baresip]:
    """Where calls to the number `outside` go; it answers at once."""
    with Baresip(tmp_path_factory.mktemp("telephone"), ";answermode=auto") as telephone:
        yield telephone


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, telephone: Baresip) -> Iterator[Kamailio]:
    with Kamailio(tmp_path_factory.mktemp("kamailio"), outside=telephone.uri) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, proxy: Kamailio, transport: str) -> Iterator[GatewayProcess]:
    """A gateway that has registered with the proxy."""
    settings = f"""
[[trunk]]
name = "kamailio"
host = "127.0.0.1:{proxy.port}"
transport = "{transport}"
username = "{USER}"
password = "{PASSWORD}"
register = true
[[route]]
action = "echo"
"""
    with GatewayProcess(tmp_path_factory.mktemp("registered"), settings, record=False) as gateway:
        wait_for(lambda: '"registered": true' in gateway.log.read_text(), "the registration")
        yield gateway


def test_a_call_from_the_world_comes_through_the_proxy(registered: GatewayProcess, proxy: Kamailio) -> None:
    uri = f"sip:4711@127.0.0.1:{proxy.port}"
    done = nursery.run(["softphone", uri, "--json", "--bind", "127.0.0.1", "--duration", "2"], 60)
    report = json.loads(done.stdout)
    assert report["answered"]
    session = registered.newest_session()
    assert (session["to"], session["direction"]) == ("4711", "inbound")
    assert session["metadata"]["trunk"] == "kamailio"
    assert session["end_reason"] == "caller_hung_up"  # the BYE, too, found its way
    assert session["quality"]["rx_packets"] > 50


def test_a_call_to_the_world_goes_through_the_proxy_with_our_password(
    registered: GatewayProcess, telephone: Baresip
) -> None:
    placed = registered.post("/calls", {"to": "outside", "agent": "receptionist", "from": USER})
    call_id = placed.json()["call_id"]
    wait_for(lambda: registered.get(f"/calls/{call_id}")["state"] == "active", "the answer")
    for action, state in (("hold", "held"), ("resume", "active")):
        assert registered.post(f"/calls/{call_id}/{action}").status_code == 200
        wait_for(lambda: registered.get(f"/calls/{call_id}")["state"] == state, state)  # noqa: B023 (waited for at once)
    wait_for(lambda: registered.get(f"/calls/{call_id}")["quality"]["rx_packets"] > 20, "audio")
    telephone.command("hangup")
    session = registered.newest_session(lambda session: session["call_id"] == call_id)
    assert session["end_reason"] == "callee_hung_up"
    assert [step["summary"] for step in session["sip"] if "INVITE" in step["summary"]][:4] == [
        "INVITE",
        "407 Proxy Authentication Required (INVITE)",
        "INVITE",
        "100 trying -- your call is important to us (INVITE)",
    ]
