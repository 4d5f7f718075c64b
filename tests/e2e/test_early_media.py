# SPDX-License-Identifier: GPL-3.0-or-later
"""What is heard before a call is answered: our recordings by who calls us, theirs by whom they are bridged with."""

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.talker import Talker

_PROMPT_HZ = 1000


def _ring(caller: Talker, user: str) -> None:
    """Call, and take the media of the 183 that comes, after a 180 or at once."""
    caller.send("INVITE", user, caller.offer(caller.media))
    while (answer := caller.provisional()).code != 183:
        assert answer.code == 180, answer.text
    caller.take_media(answer)


def test_who_is_refused_hears_why_before(gateway: GatewayProcess) -> None:
    with Talker(gateway.sip_port, 400) as caller:
        _ring(caller, "gone")
        wait_for(lambda: caller.hears(_PROMPT_HZ), "the recording")
        assert caller.final("INVITE").code == 404
    session = gateway.newest_session()
    assert (session["end_reason"], session["answered_at"]) == ("rejected", None)


def test_who_waits_hears_a_recording_until_somebody_answers(gateway: GatewayProcess) -> None:
    with Talker(gateway.sip_port, 400) as caller:
        _ring(caller, "waiting")
        wait_for(lambda: caller.hears(_PROMPT_HZ), "the recording")
        assert caller.is_deaf_to(400)
        call_id = next(call["call_id"] for call in gateway.get("/calls")["calls"] if call["to"] == "waiting")
        assert gateway.post(f"/calls/{call_id}/answer").status_code < 300
        assert caller.acknowledge("waiting").code == 200
        wait_for(lambda: caller.hears(400) and caller.is_deaf_to(_PROMPT_HZ), "the echo alone")
        assert caller.bye("waiting").code == 200


def test_who_gives_up_waiting_leaves_nothing(gateway: GatewayProcess) -> None:
    with Talker(gateway.sip_port, 400) as caller:
        _ring(caller, "waiting")
        caller.send("CANCEL", "waiting")
        assert caller.final("INVITE").code == 487
    assert gateway.newest_session()["end_reason"] == "sip_487"


def test_a_route_passes_the_others_early_media_on(gateway: GatewayProcess, friend_port: int) -> None:
    with Talker(gateway.sip_port, 400) as ann, Talker(gateway.sip_port, 700, sip_port=friend_port) as bob:
        ann.send("INVITE", "friend", ann.offer(ann.media))
        invite = bob.request("INVITE")
        bob.answer(invite, 183, "Session Progress", bob.media)
        while (answer := ann.provisional()).code != 183:
            assert answer.code == 180, answer.text
        ann.take_media(answer)
        wait_for(lambda: ann.hears(700), "what they send before they answer")
        assert bob.is_deaf_to(400)
        bob.accept(invite, bob.media)
        assert ann.acknowledge("friend").code == 200
        wait_for(lambda: ann.hears(700) and bob.hears(400), "the other's voice")
        assert ann.bye("friend").code == 200
        bob.respond(bob.request("BYE"), 200)
