# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller may do in its dialog with us, as the RFCs have it: SIPp plays each of them, all at the same time."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.sipp_script import PCMU, SippRun, SippScript, sdp

G729 = "RTP/AVP 18\na=rtpmap:18 G729/8000"


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller's way, and how we call the end of its call; None: it never became one."""

    play: Callable[[], SippScript]
    end_reason: str | None


_CALLERS: dict[str, Caller] = {}


def _caller(end_reason: str | None = "caller_hung_up") -> Callable[[Callable[[], SippScript]], None]:
    def remember(play: Callable[[], SippScript]) -> None:
        _CALLERS[play.__name__] = Caller(play, end_reason)

    return remember


def _answered(*headers: str, user: str = "echo") -> SippScript:
    caller = SippScript(user)
    caller.request("INVITE", *headers, sdp=sdp())
    caller.receive(100, 180, optional=True)
    caller.receive(200)
    caller.ack()
    caller.pause(200)
    return caller


def _ringing(*headers: str) -> SippScript:
    """The route `manual` rings until the API answers."""
    caller = SippScript("manual")
    caller.request("INVITE", *headers, sdp=sdp())
    caller.receive(100, optional=True)
    caller.receive(180)
    return caller


def _reoffer(
    caller: SippScript, offer: str, code: int = 200, has: tuple[str, ...] = (), lacks: tuple[str, ...] = ()
) -> None:
    caller.request("INVITE", sdp=offer)
    caller.receive(100, optional=True)
    caller.receive(code, has=has, lacks=lacks)
    caller.ack(refused=code >= 300)
    caller.pause(200)


def _bye(caller: SippScript, *headers: str) -> SippScript:
    caller.request("BYE", *headers)
    caller.receive(200)
    return caller


def _cancelled(caller: SippScript, *headers: str) -> SippScript:
    caller.cancel(*headers)
    caller.receive(200)
    caller.receive(487)
    caller.ack(refused=True)
    return caller


# Session timers (RFC 4028)


@_caller()
def refreshes_the_session_by_update() -> SippScript:
    timer = ("Supported: timer", "Session-Expires: 90;refresher=uac")
    caller = SippScript("echo")
    caller.request("INVITE", *timer, "Min-SE: 90", sdp=sdp())
    caller.receive(100, 180, optional=True)
    caller.receive(200, has=["Session-Expires: *90;refresher=uac", "Require:.*timer"])
    caller.ack()
    caller.request("UPDATE", *timer)
    caller.receive(200, has=["Session-Expires: *90;refresher=uac"])
    return _bye(caller)


@_caller()
def refreshes_the_session_by_reinvite() -> SippScript:
    timer = ("Supported: timer", "Session-Expires: 90;refresher=uac")
    caller = _answered(*timer)
    caller.request("INVITE", *timer, sdp=sdp())
    caller.receive(100, optional=True)
    caller.receive(200, has=["Session-Expires: *90;refresher=uac", "a=sendrecv"])
    caller.ack()
    return _bye(caller)


@_caller(None)
def wants_a_session_interval_that_is_too_short() -> SippScript:
    caller = SippScript("echo")
    caller.request("INVITE", "Supported: timer", "Session-Expires: 60", sdp=sdp())
    caller.receive(100, optional=True)
    caller.receive(422, has=["Min-SE: *90"])
    caller.ack(refused=True)
    return caller


# Reliable provisional responses (RFC 3262) and UPDATE (RFC 3311)


@_caller("sip_487")
def demands_100rel_and_acknowledges_the_ringing() -> SippScript:
    caller = SippScript("manual")
    caller.request("INVITE", "Supported: 100rel", "Require: 100rel", sdp=sdp())
    caller.receive(100, optional=True)
    caller.receive(180, has=["RSeq: *[0-9]", "Require:.*100rel"], keep={"rseq": "RSeq"})
    caller.request("PRACK", "RAck:[$rseq] 1 INVITE")
    caller.receive(200)
    caller.request("UPDATE")
    caller.receive(200)
    return _cancelled(caller)


@_caller("sip_487")
def updates_while_it_rings() -> SippScript:
    caller = _ringing()
    caller.request("UPDATE")
    caller.receive(200)
    return _cancelled(caller)


@_caller()
def updates_its_media() -> SippScript:
    caller = _answered()
    caller.request("UPDATE", sdp=sdp(PCMU, "a=sendonly", version=2))
    caller.receive(200, has=["a=recvonly"])
    caller.request("UPDATE", sdp=sdp(G729, version=3))
    caller.receive(488)
    caller.request("UPDATE", sdp=sdp(version=4))
    caller.receive(200, has=["a=sendrecv"])
    return _bye(caller)


# Offers and answers (RFC 3264)


@_caller()
def lets_us_offer_and_changes_the_codec_later() -> SippScript:
    caller = SippScript("echo")
    caller.request("INVITE")
    caller.receive(100, 180, optional=True)
    caller.receive(200, has=["m=audio [1-9]", "PCMU", "PCMA"])
    caller.ack(sdp=sdp())
    caller.pause(200)
    _reoffer(caller, sdp("RTP/AVP 8\na=rtpmap:8 PCMA/8000", version=2), has=("PCMA",), lacks=("PCMU",))
    return _bye(caller)


@_caller()
def asks_for_our_offer_inside_the_call() -> SippScript:
    caller = _answered()
    caller.request("INVITE")
    caller.receive(100, optional=True)
    caller.receive(200, has=["m=audio [1-9]", "a=sendrecv"])
    caller.ack(sdp=sdp(version=2))
    return _bye(caller)


@_caller("no_codec")
def answers_our_offer_with_a_codec_we_lack() -> SippScript:
    caller = SippScript("echo")
    caller.request("INVITE")
    caller.receive(100, 180, optional=True)
    caller.receive(200)
    caller.ack(sdp=sdp(G729))
    caller.receive("BYE", has=["Reason: *SIP"])
    caller.respond(200, to="BYE")
    return caller


@_caller(None)
def offers_a_codec_we_lack() -> SippScript:
    caller = SippScript("echo")
    caller.request("INVITE", sdp=sdp(G729))
    caller.receive(100, optional=True)
    caller.receive(488)
    caller.ack(refused=True)
    return caller


@_caller()
def reoffers_a_codec_we_lack_and_goes_on_as_before() -> SippScript:
    caller = _answered()
    _reoffer(caller, sdp(G729, version=2), 488)
    _reoffer(caller, sdp(version=3), has=("PCMU",))
    return _bye(caller)


@_caller()
def holds_by_sendonly_inactive_and_address() -> SippScript:
    caller = _answered()
    _reoffer(caller, sdp(PCMU, "a=sendonly", version=2), has=("a=recvonly",))
    _reoffer(caller, sdp(PCMU, "a=inactive", version=3), has=("a=inactive",))
    _reoffer(caller, sdp(version=4), has=("a=sendrecv",))
    _reoffer(caller, sdp(version=5, address="0.0.0.0"), has=("a=recvonly", "m=audio [1-9]"))
    _reoffer(caller, sdp(version=6), has=("a=sendrecv",))
    _reoffer(caller, sdp(PCMU, "a=recvonly", version=7), has=("a=sendonly",))
    return _bye(caller)


@_caller()
def updates_while_its_answer_is_awaited() -> SippScript:
    caller = _answered()
    caller.request("INVITE")
    caller.receive(100, optional=True)
    caller.receive(200)
    reinvite = caller.invite
    caller.request("UPDATE", sdp=sdp(version=3))
    caller.receive(491)
    caller.invite = reinvite
    caller.ack(sdp=sdp(version=2))
    return _bye(caller)


# Ends


@_caller("answered_elsewhere")
def cancels_since_somebody_else_has_answered() -> SippScript:
    return _cancelled(_ringing(), 'Reason: SIP;cause=200;text="Call completed elsewhere"')


@_caller()
def cancels_what_is_answered_already() -> SippScript:
    caller = SippScript("echo")
    caller.request("INVITE", sdp=sdp())
    caller.receive(100, 180, optional=True)
    caller.receive(200)
    caller.cancel()
    caller.receive(200)
    caller.ack()
    return _bye(caller)


@_caller()
def hangs_up_while_it_rings() -> SippScript:
    caller = _ringing()
    caller.request("BYE")
    caller.receive(200)
    caller.receive(487)
    caller.ack(refused=True)
    return caller


@_caller("q850_38")
def hangs_up_since_its_network_is_out_of_order() -> SippScript:
    return _bye(_answered(), "Reason: Q.850;cause=38")


@_caller()
def hangs_up_as_usual_and_says_so() -> SippScript:
    return _bye(_answered(), 'Reason: Q.850 ;cause=16 ;text="Terminated"')


@_caller()
def asks_by_options_whether_the_call_stands() -> SippScript:
    caller = _answered()
    caller.request("OPTIONS")
    caller.receive(200, has=["Allow:.*UPDATE", "Supported:.*timer"])
    return _bye(caller)


@_caller(None)
def requires_what_nobody_knows() -> SippScript:
    caller = SippScript("echo")
    caller.request("INVITE", "Require: nothing-of-the-sort", sdp=sdp())
    caller.receive(100, optional=True)
    caller.receive(420, has=["Unsupported:.*nothing-of-the-sort"])
    caller.ack(refused=True)
    return caller


@pytest.fixture(scope="module")
def runs(gateway: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SippRun]:
    """All callers at once; each is looked at by a test of its own."""
    folder = tmp_path_factory.mktemp("callers")
    return {name: caller.play().start(folder, gateway.sip_port) for name, caller in _CALLERS.items()}


@pytest.mark.parametrize("name", _CALLERS)
def test_a_caller_is_treated_by_the_book_who(name: str, runs: dict[str, SippRun], gateway: GatewayProcess) -> None:
    runs[name].check()
    wanted = _CALLERS[name].end_reason
    if wanted is not None:
        session = wait_for(lambda: _session_of(gateway, runs[name]), "the end of its session")
        assert session["end_reason"] == wanted


def _session_of(gateway: GatewayProcess, run: SippRun) -> dict[str, object] | None:
    ended = (session for session in gateway.sessions() if session["ended_at"])
    return next((session for session in ended if run.call_id in session["metadata"].get("sip_call_id", "")), None)
