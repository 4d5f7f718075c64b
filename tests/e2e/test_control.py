# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that the REST API controls, seen from the wire: answering, announcements, transfers, idempotency."""

import functools
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from media.frames import PcmSamples
from media.tones import has_tone, tone
from media.wav import write_wav
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.mulaw import from_mu_law, mu_law

_RINGING = 180


def call_of(gateway: GatewayProcess, caller: RawCaller) -> dict[str, Any]:
    """The call as the API shows it."""

    def look() -> dict[str, Any] | None:
        calls = gateway.get("/calls")["calls"]
        return next((one for one in calls if one["metadata"].get("sip_call_id") == caller.call_id), None)

    found: dict[str, Any] = wait_for(look, "the call in the list")
    return found


@contextmanager
def standing_call(gateway: GatewayProcess, user: str = "echo") -> Iterator[tuple[RawCaller, str]]:
    """An answered call and its id."""
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite(user).code == 200
        call_id: str = call_of(gateway, caller)["call_id"]
        wait_for(lambda: gateway.get(f"/calls/{call_id}")["activity"] != "none", "the call's activity")
        yield caller, call_id


def heard(caller: RawCaller, until_quiet_s: float = 0.3, at_most_s: float = 8.0) -> PcmSamples:
    """What the caller is sent, from the first sound to the last: listens until it has been silent for that long."""
    payloads: list[bytes] = []
    deadline = time.monotonic() + at_most_s
    last_loud: float | None = None
    while time.monotonic() < deadline and (last_loud is None or time.monotonic() < last_loud + until_quiet_s):
        time.sleep(0.02)
        for _, payload in caller.hear():
            payloads.append(payload)
            if np.abs(from_mu_law(payload)).max() > 200:
                last_loud = time.monotonic()
    samples = from_mu_law(b"".join(payloads))
    loud = np.flatnonzero(np.abs(samples) > 200)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def test_a_call_rings_until_the_api_answers_it(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        caller.send("INVITE", "manual", caller.offer())
        assert caller.provisional().code == _RINGING
        call = call_of(gateway, caller)
        assert (call["state"], call["ringing"], call["activity"]) == ("offered", True, "none")
        assert gateway.post(f"/calls/{call['call_id']}/mute").status_code == 409
        assert gateway.post(f"/calls/{call['call_id']}/answer").status_code == 200
        assert caller.acknowledge("manual").code == 200
        again = gateway.post(f"/calls/{call['call_id']}/answer")
        assert (again.status_code, again.json()["type"]) == (409, "urn:parley:problem:wrong-call-state")
        wait_for(lambda: gateway.get(f"/calls/{call['call_id']}")["activity"] == "echo", "the echo")
        assert caller.bye("manual").code == 200


def test_the_api_refuses_a_call_that_rings_with_a_code_and_a_reason(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        caller.send("INVITE", "manual", caller.offer())
        assert caller.provisional().code == _RINGING
        call_id = call_of(gateway, caller)["call_id"]
        assert gateway.post(f"/calls/{call_id}/hangup", {"code": 486, "reason": "In a meeting"}).status_code == 204
        refused = caller.acknowledge("manual")
        assert refused.text.startswith("SIP/2.0 486 In a meeting\r\n")
    assert gateway.newest_session()["end_reason"] == "rejected"


def test_an_announcement_is_heard_in_full_and_a_stopped_one_as_far_as_is_said(gateway: GatewayProcess) -> None:
    with standing_call(gateway) as (caller, call_id):
        caller.speak(SILENCE)
        first = gateway.post(f"/calls/{call_id}/play", {"file": "tone.wav"}).json()
        assert first["ahead"] == 0
        sound = heard(caller)
        assert abs(len(sound) / 8 - 2000) <= 20
        assert has_tone(sound, 1000, 8000)
        looped = gateway.post(f"/calls/{call_id}/play", {"file": "tone.wav", "loop": 0, "gain": 0.25}).json()
        waiting = gateway.post(f"/calls/{call_id}/play", {"file": "tone.wav"}).json()
        assert waiting["ahead"] == 1
        time.sleep(2.5)
        stopped = gateway.post(f"/calls/{call_id}/stop").json()
        sound = heard(caller)
        assert abs(len(sound) / 8 - stopped["played_ms"]) <= 20
        assert [one["playback_id"] for one in stopped["playbacks"]] == [looped["playback_id"], waiting["playback_id"]]
        assert stopped["playbacks"][1]["played_ms"] == 0
        assert gateway.post(f"/calls/{call_id}/stop").json() == {"played_ms": 0, "playbacks": []}
        caller.bye("echo")


def test_a_stopped_announcement_makes_room_for_the_next_and_no_other_file_is_played(gateway: GatewayProcess) -> None:
    with standing_call(gateway) as (caller, call_id):
        caller.speak(SILENCE)
        first = gateway.post(f"/calls/{call_id}/play", {"file": "tone.wav", "loop": 0}).json()
        said = gateway.post(f"/calls/{call_id}/say", {"text": "Thank you for waiting."})
        assert (said.status_code, said.json()["ahead"]) == (202, 1)
        time.sleep(0.5)
        stopped = gateway.post(f"/calls/{call_id}/stop", {"playback_id": first["playback_id"]}).json()
        assert [one["playback_id"] for one in stopped["playbacks"]] == [first["playback_id"]]
        sound = heard(caller, until_quiet_s=0.6)
        tail = sound[round(stopped["played_ms"] * 8) + 400 :]
        assert len(tail) > 4000
        assert not has_tone(tail, 1000, 8000)
        for body in ({"file": "../parley.db"}, {"file": "/etc/hostname"}, {"file": "none.wav"}):
            refused = gateway.post(f"/calls/{call_id}/play", body)
            assert (refused.status_code, refused.json()["type"]) == (422, "urn:parley:problem:bad-prompt")
        refused = gateway.post(f"/calls/{call_id}/play", {"url": "https://10.1.2.3/tone.wav"})
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:parley:problem:url-refused")
        refused = gateway.post(f"/calls/{call_id}/say", {"text": "Bonjour.", "language": "fr"})
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:parley:problem:no-such-voice")
        caller.bye("echo")


def test_a_recording_behind_a_url_is_played(gateway: GatewayProcess, tmp_path: Path) -> None:
    write_wav(tmp_path / "short.wav", tone([1000], 400, 8000), 8000)
    serve = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server, standing_call(gateway) as (caller, call_id):
        threading.Thread(target=server.serve_forever).start()
        try:
            caller.speak(SILENCE)
            address = f"http://127.0.0.1:{server.server_address[1]}"
            assert gateway.post(f"/calls/{call_id}/play", {"url": f"{address}/short.wav"}).status_code == 202
            assert abs(len(heard(caller)) / 8 - 400) <= 20
            missing = gateway.post(f"/calls/{call_id}/play", {"url": f"{address}/none.wav"})
            assert (missing.status_code, missing.json()["type"]) == (502, "urn:parley:problem:url-unreachable")
        finally:
            server.shutdown()
        caller.bye("echo")


def exchanged(caller: RawCaller, tone_hz: int, seconds: float) -> PcmSamples:
    """What comes while we send a tone; the first 300 ms of it are left out."""
    payload = mu_law(tone([tone_hz], 1000, 8000))
    begun = time.monotonic()
    payloads: list[bytes] = []
    for packet in range(round(seconds * 50)):
        time.sleep(max(0.0, begun + packet * 0.02 - time.monotonic()))
        at = packet % 50 * 160
        caller.speak(payload[at : at + 160])
        came = [payload for _, payload in caller.hear()]
        payloads += came if packet >= 15 else []
    return from_mu_law(b"".join(payloads))


def test_a_call_nobody_answers_is_refused_in_time(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        begun = time.monotonic()
        assert caller.invite("brief").code == 480
        assert time.monotonic() - begun >= 0.9


def test_nobody_hears_a_far_end_that_is_muted_and_an_agent_takes_the_call(gateway: GatewayProcess) -> None:
    with standing_call(gateway) as (caller, call_id):
        assert has_tone(exchanged(caller, 700, 0.8), 700, 8000)
        assert gateway.post(f"/calls/{call_id}/mute", {"side": "theirs"}).json()["muted_theirs"] is True
        assert np.abs(exchanged(caller, 700, 0.8)).max() < 200
        assert gateway.post(f"/calls/{call_id}/unmute", {"side": "theirs"}).json()["muted_theirs"] is False
        assert has_tone(exchanged(caller, 700, 0.8), 700, 8000)
        assert gateway.post(f"/calls/{call_id}/agent", {"agent": "nobody"}).status_code == 422
        assert gateway.post(f"/calls/{call_id}/agent").status_code == 200
        wait_for(lambda: gateway.get(f"/calls/{call_id}")["activity"] == "agent", "the agent")
        caller.hear()
        assert len(heard(caller, at_most_s=3.0)) > 4000  # its greeting
        assert gateway.get(f"/calls/{call_id}")["agent"] == "receptionist"
        wait_for(lambda: gateway.get(f"/sessions/{call_id}")["agent"] == "receptionist", "the agent in the record")
        caller.bye("echo")


def test_what_is_asked_of_a_call_that_is_just_being_answered_waits_for_it(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller, ThreadPoolExecutor() as pool:
        caller.send("INVITE", "manual", caller.offer())
        assert caller.provisional().code == _RINGING
        call_id = call_of(gateway, caller)["call_id"]
        assert gateway.post(f"/calls/{call_id}/say", {"text": "Hello."}).status_code == 409
        assert gateway.post(f"/calls/{call_id}/answer").status_code == 200
        said = pool.submit(gateway.post, f"/calls/{call_id}/say", {"text": "Hello."})
        handed = pool.submit(gateway.post, f"/calls/{call_id}/agent")
        time.sleep(0.3)  # they are there before our ACK is
        assert caller.acknowledge("manual").code == 200
        assert (said.result().status_code, handed.result().status_code) == (202, 200)
        assert caller.bye("manual").code == 200


def test_a_call_is_placed_that_plays_a_recording_and_ends(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as callee:
        address = f"sip:raw@127.0.0.1:{callee.sip.getsockname()[1]}"
        missing = gateway.post("/calls", {"to": address, "play": {"file": "none.wav"}})
        assert (missing.status_code, missing.json()["type"]) == (422, "urn:parley:problem:bad-prompt")
        placed = gateway.post("/calls", {"to": address, "play": {"file": "tone.wav"}})
        assert (placed.status_code, placed.json()["agent"]) == (201, None)
        callee.accept(callee.request("INVITE"))
        callee.speak(SILENCE)
        sound = heard(callee)
        assert abs(len(sound) / 8 - 2000) <= 20
        callee.respond(callee.request("BYE"), 200)
    assert gateway.newest_session()["end_reason"] == "completed"


def test_a_blind_transfer_ends_the_call_when_the_far_end_has_made_its_own(gateway: GatewayProcess) -> None:
    with standing_call(gateway) as (caller, call_id):
        order = {"to": "sip:ann@192.0.2.7:5080;transport=tcp", "headers": {"X-Ticket": "7"}}
        accepted = gateway.post(f"/calls/{call_id}/transfer", order)
        assert (accepted.status_code, accepted.json()["transfer"]["status"]) == (202, "trying")
        refer = caller.request("REFER")
        assert re.search(r"(?im)^Refer-To: <sip:ann@192\.0\.2\.7:5080;transport=tcp>\r$", refer)
        assert re.search(r"(?im)^Referred-By: <sip:echo@", refer)
        assert re.search(r"(?im)^X-Ticket: 7\r$", refer)
        assert gateway.post(f"/calls/{call_id}/transfer", order).status_code == 409
        caller.respond(refer, 202, "Accepted")
        for status, state in (("100 Trying", "trying"), ("180 Ringing", "ringing")):
            assert caller.notify("echo", status).code == 200
            wait_for(lambda state=state: transfer_of(gateway, call_id)["status"] == state, state)  # type: ignore[misc]
        assert caller.notify("echo", "200 OK", "terminated;reason=noresource").code == 200
        caller.respond(caller.request("BYE"), 200)
    session = gateway.newest_session()
    assert (session["call_id"], session["end_reason"]) == (call_id, "transferred")


def test_a_transfer_that_fails_leaves_the_call_as_it_was(gateway: GatewayProcess) -> None:
    with standing_call(gateway) as (caller, call_id):
        gateway.post(f"/calls/{call_id}/transfer", {"to": "sip:ann@192.0.2.7"})
        caller.respond(caller.request("REFER"), 202, "Accepted")
        assert caller.notify("echo", "486 Busy Here", "terminated;reason=noresource").code == 200
        wait_for(lambda: transfer_of(gateway, call_id)["status"] == "failed", "the failure")
        assert transfer_of(gateway, call_id)["sip_code"] == 486
        gateway.post(f"/calls/{call_id}/transfer", {"to": "sip:bob@192.0.2.7"})
        caller.respond(caller.request("REFER"), 603, "Decline")
        wait_for(lambda: transfer_of(gateway, call_id)["status"] == "failed", "the refusal")
        assert transfer_of(gateway, call_id) == {
            "to": "sip:bob@192.0.2.7",
            "mode": "blind",
            "status": "failed",
            "sip_code": 603,
        }
        call = gateway.get(f"/calls/{call_id}")
        assert (call["state"], call["activity"]) == ("active", "echo")
        assert caller.bye("echo").code == 200
    assert gateway.newest_session()["end_reason"] == "caller_hung_up"


def test_an_attended_transfer_names_the_dialog_to_replace(gateway: GatewayProcess) -> None:
    with standing_call(gateway) as (caller, call_id), standing_call(gateway) as (target, target_id):
        order = {"mode": "attended", "call_id": target_id}
        assert gateway.post(f"/calls/{call_id}/transfer", order).status_code == 202
        refer = caller.request("REFER")
        found = re.search(r"(?im)^Refer-To: <sip:raw@127\.0\.0\.1:(\d+)\?(.*)>\r$", refer)
        assert found is not None, refer
        assert int(found[1]) == target.sip.getsockname()[1]
        fields = dict(field.split("=", 1) for field in found[2].split("&"))
        replaced, *tags = unquote(fields["Replaces"]).split(";")
        assert replaced == target.call_id
        # RFC 3891 section 3: to-tag is the tag of who gets the INVITE, from-tag ours.
        our_tag = re.search(r"tag=([^;\s]+)", target.peer)
        assert our_tag is not None
        assert sorted(tags) == sorted(["to-tag=raw", f"from-tag={our_tag[1]}"])
        caller.respond(refer, 202, "Accepted")
        target.sequence += 1
        target.send("BYE", "echo")  # as who is called in our place does
        assert target.final("BYE").code == 200
        assert caller.notify("echo", "200 OK", "terminated;reason=noresource").code == 200
        caller.respond(caller.request("BYE"), 200)
    for one in (call_id, target_id):
        ended = wait_for(lambda one=one: gateway.get(f"/sessions/{one}")["end_reason"], "the end")  # type: ignore[misc]
        assert ended == "transferred"


def transfer_of(gateway: GatewayProcess, call_id: str) -> dict[str, Any]:
    transfer: dict[str, Any] = gateway.get(f"/calls/{call_id}")["transfer"]
    return transfer


def test_many_requests_with_one_key_place_one_call(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as callee, ThreadPoolExecutor(8) as clients:
        order = {"to": f"sip:raw@127.0.0.1:{callee.sip.getsockname()[1]}", "metadata": {"batch": "9"}}
        key = f"key-{callee.call_id}"
        answers = list(clients.map(lambda _: gateway.post("/calls", order, {"Idempotency-Key": key}), range(16)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        assert sum("idempotency-replayed" in answer.headers for answer in answers) == 15
        other = gateway.post("/calls", {**order, "metadata": {}}, {"Idempotency-Key": key})
        assert (other.status_code, other.json()["type"]) == (422, "urn:parley:problem:idempotency-conflict")
        invite = callee.request("INVITE")
        callee.respond(invite, 486, "Busy Here")
        calls = [call for call in gateway.get("/calls")["calls"] if call["metadata"] == {"batch": "9"}]
        assert len(calls) <= 1
        ended = [one for one in gateway.sessions() if one["metadata"] == {"batch": "9"}]
        assert len(ended) == 1
