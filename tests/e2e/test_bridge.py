# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that hear each other, seen from the wire: bridges, supervisors, a route that leads to somebody else."""

import io
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import numpy as np

from media.frames import PcmSamples
from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.talker import Talker

_RINGING = 180


@contextmanager
def talking(gateway: GatewayProcess, *talkers: tuple[float, int], user: str = "echo") -> Iterator[list[Any]]:
    """Answered calls that hum, each with its frequency and rate; then their ids."""
    with ExitStack() as stack:
        callers = [stack.enter_context(Talker(gateway.sip_port, hz, rate_hz)) for hz, rate_hz in talkers]
        ids = []
        for caller in callers:
            assert caller.invite(user, caller.media).code == 200
            calls = {one["metadata"].get("sip_call_id"): one["call_id"] for one in gateway.get("/calls")["calls"]}
            ids.append(calls[caller.call_id])
        for caller in callers:
            wait_for(lambda caller=caller: caller.hears(caller.hz), "the echo")  # type: ignore[misc]
        yield [*callers, *ids]
        for call_id in ids:
            gateway.post(f"/calls/{call_id}/hangup")


def recording(gateway: GatewayProcess, call_id: str) -> tuple[PcmSamples, PcmSamples]:
    """Left and right: what the call's far end said, and what it was sent."""
    path = wait_for(lambda: gateway.get(f"/sessions/{call_id}")["recording"], "the recording")
    answer = httpx.get(
        f"http://{gateway.http_address}{path}", headers={"Authorization": f"Bearer {API_KEY}"}, timeout=10
    )
    with wave.open(io.BytesIO(answer.content)) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0], both[:, 1]


def loudest(samples: PcmSamples, hz: float) -> float:
    """Amplitude of a frequency in the loudest 0.1 s."""
    windows = samples[: len(samples) // 800 * 800].reshape(-1, 800)
    return float(2 * np.abs(windows @ np.exp(np.arange(800) * 2j * np.pi * hz / 8000)).max() / 800)


def activity(gateway: GatewayProcess, call_id: str) -> str:
    found: str = gateway.get(f"/calls/{call_id}")["activity"]
    return found


def test_a_bridge_joins_two_codecs_passes_keys_and_gives_both_calls_back(gateway: GatewayProcess) -> None:
    with talking(gateway, (400, 8000), (700, 16000)) as (ann, bob, ann_id, bob_id):
        for one in (ann_id, bob_id):  # so that Python hears none of it
            assert gateway.post(f"/calls/{one}/record", {"state": "stop"}).status_code == 200
        answer = gateway.post(f"/calls/{ann_id}/bridge", {"call_id": bob_id})
        assert answer.json() == {"call_id": ann_id, "other_call_id": bob_id, "bridged": True}
        wait_for(lambda: ann.hears(700) and bob.hears(400), "the other's voice")
        wait_for(lambda: ann.is_deaf_to(400) and bob.is_deaf_to(700), "the end of the echo")
        assert activity(gateway, ann_id) == activity(gateway, bob_id) == "bridge"
        gateway.post(f"/calls/{bob_id}/dtmf", {"digits": "5"})  # tones, for L16 has no events here
        gateway.post(f"/calls/{ann_id}/mute", {"side": "theirs"})
        wait_for(lambda: bob.is_deaf_to(400) and ann.hears(700), "the mute")
        gateway.post(f"/calls/{ann_id}/unmute", {"side": "theirs"})
        wait_for(lambda: bob.hears(400), "the end of the mute")
        gateway.post(f"/calls/{bob_id}/hold")
        bob.agree("recvonly")
        wait_for(lambda: ann.is_deaf_to(700), "the hold")
        gateway.post(f"/calls/{bob_id}/resume")
        bob.agree("sendrecv")
        wait_for(lambda: ann.hears(700) and bob.hears(400), "the end of the hold")
        assert gateway.post(f"/calls/{ann_id}/unbridge").status_code == 204
        wait_for(lambda: ann.hears(400) and bob.hears(700), "the echo")
        assert gateway.post(f"/calls/{ann_id}/unbridge").status_code == 409
        assert gateway.post(f"/calls/{ann_id}/bridge", {"call_id": ann_id}).status_code == 409


def test_when_one_hangs_up_the_other_gets_back_what_it_was_for_or_is_hung_up(gateway: GatewayProcess) -> None:
    with talking(gateway, (400, 8000), (700, 8000), (1100, 8000)) as (ann, bob, _, ann_id, bob_id, third_id):
        gateway.post(f"/calls/{ann_id}/bridge", {"call_id": bob_id})
        wait_for(lambda: ann.hears(700) and bob.hears(400), "the other's voice")
        bob.press(5)
        wait_for(lambda: ann.events >= 3, "the key")
        assert bob.bye("echo").code == 200
        wait_for(lambda: ann.hears(400) and ann.is_deaf_to(700), "the echo")
        gateway.post(f"/calls/{ann_id}/bridge", {"call_id": third_id, "on_end": "hangup"})
        gateway.post(f"/calls/{third_id}/hangup")
        assert "BYE" in ann.request("BYE")
    gateway.newest_session()
    assert {gateway.get(f"/sessions/{one}")["end_reason"] for one in (ann_id, third_id)} == {"bridge_ended", "api"}
    caller, sent = recording(gateway, ann_id)
    assert loudest(caller, 400) > 6000
    assert loudest(sent, 700) > 6000


def test_a_supervisor_hears_both_and_whispers_to_one(gateway: GatewayProcess) -> None:
    people = (400, 8000), (700, 8000), (1100, 8000)
    with talking(gateway, *people) as (ann, bob, boss, ann_id, bob_id, boss_id):
        gateway.post(f"/calls/{ann_id}/bridge", {"call_id": bob_id})
        supervise = f"/calls/{ann_id}/supervise"
        assert gateway.post(supervise, {"supervisor": boss_id}).status_code == 204
        wait_for(lambda: boss.hears(400) and boss.hears(700) and boss.is_deaf_to(1100), "both voices")
        assert ann.is_deaf_to(1100)
        gateway.post(supervise, {"supervisor": boss_id, "mode": "whisper"})
        wait_for(lambda: ann.hears(1100), "the whisper")
        assert bob.is_deaf_to(1100)
        gateway.post(supervise, {"supervisor": boss_id, "mode": "barge"})
        wait_for(lambda: ann.hears(1100) and bob.hears(1100), "the third voice")
        assert ann.hears(700)
        gateway.post(f"/calls/{ann_id}/unbridge")
        wait_for(lambda: boss.is_deaf_to(700) and boss.hears(400) and bob.is_deaf_to(1100), "what is left")
        gateway.post(supervise, {"supervisor": boss_id, "mode": "off"})
        wait_for(lambda: boss.hears(1100) and boss.is_deaf_to(400), "the supervisor's own echo")
        assert gateway.post(supervise, {"supervisor": boss_id, "mode": "off"}).status_code == 409
        wait_for(lambda: ann.is_deaf_to(1100), "silence of the supervisor")


def test_a_route_leads_to_somebody_else_with_their_ringing_their_answer_and_their_end(
    gateway: GatewayProcess, friend_port: int
) -> None:
    with Talker(gateway.sip_port, 400) as ann, Talker(gateway.sip_port, 700, sip_port=friend_port) as bob:
        ann.send("INVITE", "friend", ann.offer(ann.media))
        assert ann.provisional().code == _RINGING
        invite = bob.request("INVITE")
        assert "From: <sip:raw@" in invite or "From: sip:raw@" in invite, invite
        bob.accept(invite, bob.media)
        assert ann.acknowledge("friend").code == 200
        wait_for(lambda: ann.hears(700) and bob.hears(400), "the other's voice")
        assert ann.bye("friend").code == 200
        bob.respond(bob.request("BYE"), 200)


def test_a_route_passes_on_the_refusal_and_the_callers_change_of_mind(
    gateway: GatewayProcess, friend_port: int
) -> None:
    for code, reason in ((486, "Busy Here"), (407, "Proxy Authentication Required")):
        with Talker(gateway.sip_port, 400) as ann, Talker(gateway.sip_port, 700, sip_port=friend_port) as bob:
            ann.send("INVITE", "friend", ann.offer(ann.media))
            bob.respond(bob.request("INVITE"), code, reason, "To: <sip:friend@127.0.0.1>;tag=raw\r\n")
            assert ann.acknowledge("friend").code == (486 if code == 486 else 480)
    with Talker(gateway.sip_port, 400) as ann, Talker(gateway.sip_port, 700, sip_port=friend_port) as bob:
        ann.send("INVITE", "friend", ann.offer(ann.media))
        assert ann.provisional().code == _RINGING
        invite = bob.request("INVITE")
        bob.respond(invite, 180, "Ringing")
        ann.send("CANCEL", "friend")
        cancel = bob.request("CANCEL")
        bob.respond(cancel, 200)
        bob.respond(invite, 487, "Request Terminated")
        assert ann.final("INVITE").code == 487


def test_a_call_is_bridged_with_somebody_who_is_dialled_first(gateway: GatewayProcess, friend_port: int) -> None:
    with (
        talking(gateway, (400, 8000)) as (ann, ann_id),
        Talker(gateway.sip_port, 700, 16000, sip_port=friend_port) as bob,
    ):
        answer = gateway.post(f"/calls/{ann_id}/bridge", {"to": f"sip:bob@127.0.0.1:{friend_port}"})
        assert (answer.status_code, answer.json()["bridged"]) == (200, False)
        invite = bob.request("INVITE")
        assert ann.hears(400)  # meanwhile all is as it was
        bob.accept(invite, bob.media)
        wait_for(lambda: ann.hears(700) and bob.hears(400), "the other's voice")
        gateway.post(f"/calls/{ann_id}/unbridge")
        bob.respond(bob.request("BYE"), 200)
        wait_for(lambda: ann.hears(400), "the echo")
