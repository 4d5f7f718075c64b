# SPDX-License-Identifier: GPL-3.0-or-later
"""Session timers (RFC 4028) past two intervals: the gateway's clock goes thirty times as fast, SIPp's does not.

An interval is 90 s, the shortest that section 5 allows: 3 s here. Who refreshes does so at its half.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from media.wav import write_wav
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.sipp_script import SippRun, SippScript, sdp

_SPEED = 30
_HALF_AN_INTERVAL_MS = 45_000 // _SPEED
_REFRESHES = 5
"""Each half an interval after the one before: the fifth is past two intervals."""
_LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
_TIMER = ("Supported: timer", "Min-SE: 90")
_BY_THEM = "Session-Expires: 90;refresher=uac"


def _invite(*headers: str) -> SippScript:
    caller = SippScript("echo")
    caller.request("INVITE", *_TIMER, *headers, sdp=sdp())
    caller.receive(100, optional=True)
    caller.receive(200, has=["Session-Expires: *90;refresher=ua[cs]"])
    caller.ack()
    return caller


def _bye(caller: SippScript) -> SippScript:
    caller.request("BYE")
    caller.receive(200)
    return caller


def we_refresh_by_update() -> SippScript:
    caller = _invite("Allow: INVITE, ACK, BYE, CANCEL, UPDATE", "Session-Expires: 90;refresher=uas")
    for _ in range(_REFRESHES):
        caller.receive("UPDATE", has=["Session-Expires: *90;refresher=uac"])
        caller.respond(200, _BY_THEM, "Require: timer", to="UPDATE")
    return _bye(caller)


def we_refresh_by_reinvite() -> SippScript:
    caller = _invite("Allow: INVITE, ACK, BYE, CANCEL", "Session-Expires: 90;refresher=uas")
    for version in range(2, 2 + _REFRESHES):
        caller.receive("INVITE", has=["Session-Expires: *90;refresher=uac", "a=sendrecv"])
        caller.respond(200, _BY_THEM, "Require: timer", to="INVITE", sdp=sdp(version=version), retrans=True)
        caller.receive("ACK")
    return _bye(caller)


def they_refresh() -> SippScript:
    caller = _invite(_BY_THEM)
    for _ in range(_REFRESHES):
        caller.pause(_HALF_AN_INTERVAL_MS)
        caller.request("UPDATE", *_TIMER, _BY_THEM)
        caller.receive(200, has=["Session-Expires: *90;refresher=uac"])
    return _bye(caller)


def they_refresh_no_more() -> SippScript:
    caller = _invite(_BY_THEM)
    caller.receive("BYE", has=["Reason: *SIP *;cause=408"])
    caller.respond(200, to="BYE")
    return caller


def we_called_and_refresh() -> SippScript:
    callee = SippScript()
    callee.receive("INVITE", has=["Supported:.*timer", "Session-Expires: *1800"])
    callee.respond(200, _BY_THEM, "Require: timer", "Allow: UPDATE", to="INVITE", sdp=sdp(), retrans=True)
    callee.receive("ACK")
    for _ in range(_REFRESHES):
        callee.receive("UPDATE", has=["Session-Expires: *90;refresher=uac"])
        callee.respond(200, _BY_THEM, "Require: timer", to="UPDATE")
    return _bye(callee)


_CALLERS = {
    we_refresh_by_update: "caller_hung_up",
    we_refresh_by_reinvite: "caller_hung_up",
    they_refresh: "caller_hung_up",
    they_refresh_no_more: "session_expired",
}


@pytest.fixture(scope="module")
def hasty_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Its seconds are a thirtieth of ours."""
    folder = tmp_path_factory.mktemp("hasty")
    (folder / "data" / "prompts").mkdir(parents=True)
    (folder / "data").chmod(0o700)
    write_wav(folder / "data" / "prompts" / "silence.wav", np.zeros(16000, np.int16), 16000)
    gateway = GatewayProcess(folder, '[[route]]\naction = "echo"\n', record=False, media="timeout_s = 3600")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LD_PRELOAD", _LIBRARY)
        environment.setenv("FAKETIME", f"+0 x{_SPEED}")
        gateway.__enter__()
    yield gateway
    gateway.__exit__(None, None, None)
    assert gateway.process.returncode == 0, gateway.log.read_text()[-3000:]


@pytest.fixture(scope="module")
def runs(hasty_gateway: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SippRun]:
    """All at once."""
    folder = tmp_path_factory.mktemp("timers")
    called = we_called_and_refresh().start(folder, hasty_gateway.sip_port)
    called.wait_for_its_socket()
    order = {"to": called.uri, "play": {"file": "silence.wav", "loop": 0}}
    assert hasty_gateway.post("/calls", order).status_code == 201
    runs = {play.__name__: play().start(folder, hasty_gateway.sip_port) for play in _CALLERS}
    return {we_called_and_refresh.__name__: called, **runs}


@pytest.mark.parametrize("play", _CALLERS)
def test_a_session_lasts_as_long_as_it_is_refreshed_when(
    play: Callable[[], SippScript], runs: dict[str, SippRun], hasty_gateway: GatewayProcess
) -> None:
    run = runs[play.__name__]
    run.check()
    session = wait_for(lambda: run.session(hasty_gateway), "the end of its session")
    assert session["end_reason"] == _CALLERS[play]
    events = hasty_gateway.get(f"/events?call_id={session['call_id']}&kinds=call.*")["events"]
    told = [event["kind"] for event in events if event["kind"] != "call.activity"]
    assert told == ["call.offered", "call.answered", "call.ended"]


def test_a_session_that_we_began_is_refreshed_by_us(runs: dict[str, SippRun]) -> None:
    runs[we_called_and_refresh.__name__].check()
