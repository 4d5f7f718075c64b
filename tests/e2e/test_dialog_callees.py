# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever we call may do in the dialog with us, as the RFCs have it: SIPp plays each of them, all at once."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.sipp_script import PCMU, SippRun, SippScript, sdp

_HELD = sdp(PCMU, "a=recvonly", version=2)


@dataclass(frozen=True, slots=True)
class Callee:
    """One callee's way; what we do once it has answered or rings, and what we say of the call."""

    play: Callable[[], SippScript]
    end_reason: str
    action: str
    """Of the API: `hold`, `hangup` or nothing."""
    kinds: tuple[str, ...]
    """Events that must be among the call's."""


_CALLEES: dict[str, Callee] = {}


def _callee(
    end_reason: str = "callee_hung_up", action: str = "", kinds: tuple[str, ...] = ("call.answered",)
) -> Callable[[Callable[[], SippScript]], None]:
    def remember(play: Callable[[], SippScript]) -> None:
        _CALLEES[play.__name__] = Callee(play, end_reason, action, kinds)

    return remember


def _ringing(code: int = 180, *headers: str, offer: str = "") -> SippScript:
    callee = SippScript()
    callee.receive("INVITE")
    callee.respond(100, to="INVITE")
    callee.respond(code, *headers, to="INVITE", sdp=offer)
    return callee


def _answered(callee: SippScript | None = None, offer: str | None = None) -> SippScript:
    callee = callee or _ringing()
    callee.respond(200, to="INVITE", sdp=sdp() if offer is None else offer, retrans=True)
    callee.receive("ACK")
    return callee


def _bye(callee: SippScript, *headers: str) -> SippScript:
    callee.pause(300)
    callee.request("BYE", *headers)
    callee.receive(200)
    return callee


def _accept_hold(callee: SippScript) -> SippScript:
    callee.receive("INVITE", has=["a=sendonly"])
    callee.respond(200, to="INVITE", sdp=_HELD, retrans=True)
    callee.receive("ACK")
    return callee


# Reliable provisional responses (RFC 3262)


@_callee()
def rings_reliably() -> SippScript:
    callee = _ringing(180, "Require: 100rel", "RSeq: 7")
    callee.receive("PRACK", has=["RAck: *7 [0-9]+ INVITE"])
    callee.respond(200, to="PRACK")
    return _bye(_answered(callee))


@_callee(kinds=("call.progress 183 early", "call.answered"))
def answers_our_offer_reliably_before_it_picks_up() -> SippScript:
    callee = _ringing(183, "Require: 100rel", "RSeq: 7", offer=sdp())
    callee.receive("PRACK", has=["RAck: *7 [0-9]+ INVITE"])
    callee.respond(200, to="PRACK")
    callee.request("UPDATE", sdp=sdp(version=2))
    callee.receive(200, has=["m=audio [1-9]"])
    return _bye(_answered(callee, ""))


@_callee(kinds=("call.progress 183 early", "call.answered"))
def sends_early_media() -> SippScript:
    return _bye(_answered(_ringing(183, offer=sdp())))


# Forks (RFC 3261 section 13.2.2.4)


@_callee(kinds=("call.progress 183 early", "call.answered"))
def is_two_of_whom_the_second_answers() -> SippScript:
    callee = SippScript()
    callee.receive("INVITE")
    callee.respond(100, to="INVITE")
    callee.respond(183, to="INVITE", sdp=sdp(), tag="one")
    callee.respond(183, to="INVITE", sdp=sdp(), tag="two")
    callee.pause(200)
    callee.respond(200, to="INVITE", sdp=sdp(), retrans=True, tag="two")
    callee.receive("ACK", has=["tag=two"])
    callee.tag = "two"
    return _bye(callee)


@_callee()
def is_two_who_both_answer() -> SippScript:
    callee = SippScript()
    callee.receive("INVITE")
    callee.respond(100, to="INVITE")
    callee.respond(180, to="INVITE", tag="one")
    callee.respond(180, to="INVITE", tag="two")
    callee.pause(200)
    callee.respond(200, to="INVITE", sdp=sdp(), tag="one")
    callee.receive("ACK", has=["tag=one"])
    callee.respond(200, to="INVITE", sdp=sdp(), tag="two")
    callee.receive("ACK", has=["tag=two"])
    callee.receive("BYE", has=["tag=two"])
    callee.respond(200, to="BYE")
    callee.tag = "one"
    return _bye(callee)


# Session timers (RFC 4028)


@_callee()
def wants_a_longer_session_interval() -> SippScript:
    callee = SippScript()
    callee.receive("INVITE", has=["Supported:.*timer", "Session-Expires: *1800"])
    callee.respond(422, "Min-SE: 3600", to="INVITE", reason="Session Interval Too Small")
    callee.receive("ACK")
    callee.has_dialog = False
    callee.receive("INVITE", has=["Session-Expires: *3600", "Min-SE: *3600"])
    callee.respond(200, "Session-Expires: 3600;refresher=uac", "Require: timer", to="INVITE", sdp=sdp(), retrans=True)
    callee.receive("ACK")
    return _bye(callee)


# Offers and answers (RFC 3264)


@_callee()
def asks_for_our_offer_inside_the_call() -> SippScript:
    callee = _answered()
    callee.request("INVITE")
    callee.receive(100, optional=True)
    callee.receive(200, has=["a=sendrecv"])
    callee.ack(sdp=sdp(version=2))
    return _bye(callee)


@_callee(action="hold", kinds=("call.held",))
def is_held_and_holds_too() -> SippScript:
    callee = _accept_hold(_answered())
    callee.request("INVITE", sdp=sdp(PCMU, "a=inactive", version=3))
    callee.receive(100, optional=True)
    callee.receive(200, has=["a=inactive"])
    callee.ack()
    return _bye(callee)


@_callee(action="hold", kinds=("call.answered",))
def refuses_to_be_held() -> SippScript:
    callee = _answered()
    callee.receive("INVITE", has=["a=sendonly"])
    callee.respond(488, to="INVITE")
    callee.receive("ACK")
    return _bye(callee)


@_callee(action="hold", kinds=("call.held",))
def is_held_at_the_second_try_since_it_was_busy_with_an_offer() -> SippScript:
    callee = _answered()
    callee.receive("INVITE", has=["a=sendonly"])
    callee.respond(491, to="INVITE")
    callee.receive("ACK")
    return _bye(_accept_hold(callee))


@_callee(action="hold", kinds=("call.held",))
def offers_at_the_same_time_as_we_do() -> SippScript:
    callee = _answered()
    callee.receive("INVITE", has=["a=sendonly"])
    callee.request("INVITE", sdp=sdp(version=2))
    callee.receive(100, optional=True)
    callee.receive(491)
    callee.ack(refused=True)
    callee.respond(491, to="INVITE")
    callee.receive("ACK")
    return _bye(_accept_hold(callee))


@_callee("sip_406", kinds=("call.progress 180",))
def answers_without_media() -> SippScript:
    callee = _answered(offer="")
    callee.receive("BYE")
    callee.respond(200, to="BYE")
    return callee


# Ends


@_callee("sip_486", kinds=("call.progress 180",))
def is_busy() -> SippScript:
    callee = _ringing()
    callee.respond(486, "Reason: Q.850;cause=17", to="INVITE")
    callee.receive("ACK")
    return callee


@_callee("q850_41")
def hangs_up_for_a_fault() -> SippScript:
    return _bye(_answered(), 'Reason: Q.850;cause=41;text="Temporary failure"')


@_callee("api", "hangup", kinds=("call.progress 180",))
def is_cancelled() -> SippScript:
    callee = _ringing()
    callee.receive("CANCEL", has=["Reason: Q.850;cause=16"])
    callee.respond(200, to="CANCEL")
    callee.respond(487, to="INVITE")
    callee.receive("ACK")
    return callee


@_callee("api", "hangup", kinds=("call.progress 180",))
def answers_while_our_cancel_is_on_its_way() -> SippScript:
    callee = _ringing()
    callee.receive("CANCEL")
    callee.respond(200, to="INVITE", sdp=sdp(), retrans=True)
    callee.receive("ACK")
    callee.respond(200, to="CANCEL")
    callee.receive("BYE")
    callee.respond(200, to="BYE")
    return callee


@_callee("api", "hangup", kinds=())
def is_cancelled_before_it_said_a_word() -> SippScript:
    """A CANCEL must wait for a provisional response (RFC 3261 section 9.1)."""
    callee = SippScript()
    callee.receive("INVITE")
    callee.pause(1500)
    callee.respond(180, to="INVITE")
    callee.receive("CANCEL")
    callee.respond(200, to="CANCEL")
    callee.respond(487, to="INVITE")
    callee.receive("ACK")
    return callee


@dataclass(frozen=True, slots=True)
class Run:
    """A callee at work, and our name for its call."""

    sipp: SippRun
    call_id: str


@pytest.fixture(scope="module")
def runs(gateway: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """All callees at once; each is looked at by a test of its own."""
    folder = tmp_path_factory.mktemp("callees")
    sipps = {name: callee.play().start(folder, gateway.sip_port) for name, callee in _CALLEES.items()}
    runs: dict[str, Run] = {}
    for name, sipp in sipps.items():
        sipp.wait_for_its_socket()
        order = {"to": sipp.uri, "play": {"file": "tone.wav", "loop": 0}}
        runs[name] = Run(sipp, gateway.post("/calls", order).json()["call_id"])
    for name, run in runs.items():
        _act(gateway, run.call_id, _CALLEES[name])
    return runs


def _act(gateway: GatewayProcess, call_id: str, callee: Callee) -> None:
    if callee.action:
        awaited = next(iter(callee.kinds[-1:]), "call.dialing") if callee.action == "hangup" else "call.answered"
        wait_for(lambda: awaited in _kinds(gateway, call_id), awaited)
        assert gateway.post(f"/calls/{call_id}/{callee.action}").status_code < 300


def _kinds(gateway: GatewayProcess, call_id: str) -> list[str]:
    """The kinds of its events; progress with its status, and whether they are heard already."""
    told = []
    for event in gateway.get(f"/events?call_id={call_id}&kinds=call.*")["events"]:
        progress = f" {event['data']['sip_code']}" if event["kind"] == "call.progress" else ""
        told.append(event["kind"] + progress + (" early" if event["data"].get("early_media") else ""))
    return told


@pytest.mark.parametrize("name", _CALLEES)
def test_a_callee_is_treated_by_the_book_who(name: str, runs: dict[str, Run], gateway: GatewayProcess) -> None:
    callee, run = _CALLEES[name], runs[name]
    run.sipp.check()
    session = wait_for(lambda: _ended(gateway, run.call_id), "the end of its session")
    assert session["end_reason"] == callee.end_reason
    kinds = _kinds(gateway, run.call_id)
    assert set(callee.kinds) <= set(kinds), kinds


def _ended(gateway: GatewayProcess, call_id: str) -> dict[str, object] | None:
    session: dict[str, object] = gateway.get(f"/sessions/{call_id}")
    return session if session["ended_at"] else None
