# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP beyond the plain call: refusals, malformed messages, capacity, registration, hold, keys."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from media.frames import PcmSamples
from media.tones import has_tone, tone
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.peers import run_sipp, softphone, start_sipp
from tests.e2e.raw_caller import RawCaller
from tests.mulaw import from_mu_law, mu_law


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """With SRTP for whoever offers it, a trunk that nobody here belongs to, and little patience with the silent."""
    settings = """
[[trunk]]
name = "provider"
host = "192.0.2.1"
username = "me"
password = "secret"
[[route]]
match = "members"
trunk = "provider"
action = "echo"
[[route]]
match = "members"
action = "reject"
code = 403
[[route]]
action = "echo"
"""
    media = 'srtp = "optional"\ntimeout_s = 5'
    with GatewayProcess(tmp_path_factory.mktemp("other"), settings, record=False, media=media) as gateway:
        yield gateway


def _calls_active(gateway: GatewayProcess) -> float:
    found = re.findall(r"^parley_calls_active\{[^}]*\} (\S+)$", gateway.page("/metrics"), re.MULTILINE)
    return sum(float(one) for one in found)


@pytest.mark.parametrize(
    ("offer", "code"),
    [
        ("RTP/AVP 18\r\na=rtpmap:18 G729/8000", 488),
        ("RTP/AVP 96\r\na=rtpmap:96 telephone-event/8000", 488),
        ("RTP/SAVP 0\r\na=rtpmap:0 PCMU/8000", 488),
    ],
)
def test_an_offer_without_a_codec_of_ours_is_488(gateway: GatewayProcess, offer: str, code: int) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo", offer).code == code
    wait_for(lambda: _calls_active(gateway) == 0, "the end of the call")


def test_audio_over_ipv6_is_refused_and_told_of_where_there_is_none(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo", body=caller.offer().replace("c=IN IP4 127.0.0.1", "c=IN IP6 ::1")).code == 488
    wait_for(lambda: '"reason": "ipv6"' in gateway.log.read_text(), "the line in the log")


@pytest.mark.parametrize(
    "body",
    [
        "this is no SDP\r\n",
        "v=0\r\nm=audio\r\n",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio x RTP/AVP 0\r\n",
    ],
)
def test_a_body_that_is_no_sdp_is_refused(gateway: GatewayProcess, body: str) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert 400 <= caller.invite("echo", body=body).code < 500
    wait_for(lambda: _calls_active(gateway) == 0, "the end of the call")


def test_a_rejecting_route_answers_with_its_code(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("closed").code == 480


def test_malformed_messages_are_logged_and_harm_nobody(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        for message in (
            b"\x00" * 200,
            b"INVITE\r\n\r\n",
            b"INVITE sip:echo@127.0.0.1 SIP/2.0\r\nVia: nonsense\r\nContent-Length: -5\r\n\r\n",
            b"OPTIONS sip:x SIP/9.9\r\nCSeq: 99999999999999999999 OPTIONS\r\n\r\n",
            b"INVITE sip:echo@127.0.0.1 SIP/2.0\r\n" + b"X: " + b"y" * 7000 + b"\r\n\r\n",
        ):
            caller.send_bytes(message)
        assert caller.invite("echo").code == 200
        assert caller.bye("echo").code == 200
    assert "pjsip" in gateway.log.read_text()
    wait_for(lambda: _calls_active(gateway) == 0, "the end of the call")


def test_a_call_beyond_capacity_gets_503_with_retry_after(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, '[[route]]\naction = "echo"\n', record=False, max_calls=2) as gateway:
        callers = [RawCaller(gateway.sip_port) for _ in range(3)]
        answers = [caller.invite("echo") for caller in callers]
        assert [answer.code for answer in answers] == [200, 200, 503]
        assert int(answers[2].header("Retry-After")) > 0
        assert callers[0].bye("echo").code == 200
        callers[2] = RawCaller(gateway.sip_port)
        assert callers[2].invite("echo").code == 200
        for caller in callers[1:]:
            caller.bye("echo")


def test_a_call_cancelled_while_it_is_being_answered_leaves_nothing(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        caller.send("INVITE", "echo", caller.offer())
        caller.send("CANCEL", "echo")
        # Answered or cancelled, whichever was first.
        if caller.acknowledge("echo").code == 200:
            caller.bye("echo")
    wait_for(lambda: _calls_active(gateway) == 0, "the end of the call")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_both_transports_carry_a_call(gateway: GatewayProcess, transport: str) -> None:
    report = softphone(gateway, "echo", "--transport", transport, "--duration", "2")
    assert report["answered"], report
    assert report["rtp"]["rx_packets"] > 50


def test_srtp_is_refused_where_it_is_off_and_works_where_it_is_optional(
    gateway: GatewayProcess, other: GatewayProcess
) -> None:
    assert softphone(gateway, "play", "--srtp")["end"]["code"] == 488
    report = softphone(other, "echo", "--srtp", "--duration", "2")  # that it is understood is shown by test_srtp.py
    assert report["srtp"] is True
    assert report["rtp"]["rx_packets"] > 50


def test_the_peer_may_hold_and_resume(gateway: GatewayProcess, tmp_path: Path) -> None:
    done = run_sipp(gateway, "holder.xml", "echo", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    session = gateway.newest_session()
    lines = [line for line in gateway.log.read_text().splitlines() if session["call_id"] in line]
    states = [entry["new"] for line in lines if (entry := json.loads(line))["event"] == "call_state"]
    assert states == ["active", "held", "active", "ended"]
    events = gateway.get(f"/events?call_id={session['call_id']}&kinds=call.*")["events"]
    told = [event["kind"].removeprefix("call.") for event in events if event["kind"] != "call.activity"]
    assert told == ["offered", "answered", "held", "resumed", "ended"]
    assert next(event["data"] for event in events if event["kind"] == "call.held") == {"by": "peer"}


def test_we_may_hold_resume_mute_and_hang_up(gateway: GatewayProcess, tmp_path: Path) -> None:
    sipp = start_sipp(gateway, "patient.xml", "echo", folder=tmp_path)
    call_id = _active_call(gateway)
    for action, state in (("hold", "held"), ("resume", "active")):
        assert gateway.post(f"/calls/{call_id}/{action}").status_code == 200
        wait_for(lambda: gateway.get(f"/calls/{call_id}")["state"] == state, state)  # noqa: B023 (waited for at once)
    assert gateway.post(f"/calls/{call_id}/mute").json()["muted"] is True
    assert gateway.post(f"/calls/{call_id}/unmute").json()["muted"] is False
    assert gateway.post(f"/calls/{call_id}/hangup").status_code == 204
    assert sipp.wait(20) == 0
    assert gateway.newest_session()["end_reason"] == "api"


def test_keys_pressed_reach_the_agent(gateway: GatewayProcess) -> None:
    report = softphone(gateway, "agent", "--dtmf", "42#")
    assert report["answered"]
    said = [entry["text"] for entry in gateway.newest_session()["transcript"] if entry["role"] == "user"]
    assert any("42" in text for text in said), said


def test_keys_we_send_reach_the_peer(gateway: GatewayProcess) -> None:
    with ThreadPoolExecutor(1) as background:
        report = background.submit(softphone, gateway, "echo", "--duration", "6")
        call_id = _active_call(gateway)
        assert gateway.post(f"/calls/{call_id}/dtmf", {"digits": "159#"}).status_code == 204
        assert report.result()["digits"] == "159#"


def test_a_trunk_registers_with_digest(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scenario = Path(__file__).parent / "sipp" / "registrar.xml"
    registrar = subprocess.Popen(
        ["sipp", "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-m", "1", "-nostdin", "-timeout", "20s"],
        stdout=subprocess.DEVNULL,
    )
    trunk = (
        f'[[trunk]]\nname = "test"\nhost = "127.0.0.1:{port}"\nusername = "parley"\npassword = "right horse"\n'
        'register = true\n[[route]]\naction = "echo"\n'
    )
    with GatewayProcess(tmp_path, trunk, record=False) as gateway:
        assert registrar.wait(30) == 0
        wait_for(lambda: '"registered": true' in gateway.log.read_text(), "the registration")


def test_what_the_caller_says_comes_back_on_time(gateway: GatewayProcess) -> None:
    line = tone((440.0,), 2000, 8000, level_dbov=-15.0)
    heard = bytearray()
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        start = time.monotonic()
        for index in range(len(line) // 160):
            time.sleep(max(0.0, start + index * 0.02 - time.monotonic()))
            caller.speak(mu_law(line[index * 160 : (index + 1) * 160]))
            heard += b"".join(payload for _, payload in caller.hear())
        assert caller.bye("echo").code == 200
    # One packet each 20 ms. Machines that stall lose some and break the wave, so each packet is judged by itself.
    assert 70 <= len(heard) // 160 <= 130
    assert _share_of_frames_with_tone(from_mu_law(bytes(heard[-8000:])), 8000) > 0.7


def test_what_the_caller_says_comes_back_after_another_codec_was_agreed(gateway: GatewayProcess) -> None:
    narrow, wide = tone((440.0,), 500, 8000, level_dbov=-15.0), tone((440.0,), 1000, 16000, level_dbov=-15.0)
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        for index in range(25):
            caller.speak(mu_law(narrow[index * 160 : (index + 1) * 160]))
            time.sleep(0.02)
        caller.sequence += 1
        assert caller.invite("echo", "RTP/AVP 96\r\na=rtpmap:96 L16/16000").code == 200
        caller.hear()
        heard = bytearray()
        for index in range(50):
            caller.speak(wide[index * 320 : (index + 1) * 320].astype(">i2").tobytes(), 96, 320)
            time.sleep(0.02)
            heard += b"".join(payload for _, payload in caller.hear())
        assert caller.bye("echo").code == 200
    samples = np.frombuffer(bytes(heard), ">i2").astype(np.int16)
    assert _share_of_frames_with_tone(samples[-8000:], 16000) > 0.7


def _share_of_frames_with_tone(samples: PcmSamples, sample_rate_hz: int) -> float:
    """How many of the frames of 20 ms carry 440 Hz, 0 to 1."""
    size = sample_rate_hz // 50
    begins = range(0, len(samples) - size + 1, size)
    return float(np.mean([has_tone(samples[begin : begin + size], 440.0, sample_rate_hz) for begin in begins]))


def test_bytes_that_are_no_text_do_not_reach_the_records(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        caller.call_id = f"raw-\udcff-{caller.call_id}"
        caller.from_header = '"\udcff" <sip:127.0.0.1>'
        assert caller.invite("echo").code == 200
        assert gateway.get("/calls")["calls"]
        assert caller.bye("echo").code == 200
    session = gateway.newest_session()
    assert "\ufffd" in session["metadata"]["sip_call_id"]


def test_a_user_part_with_percent_escapes_is_the_same_user(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("%63losed").code == 480


def test_a_to_header_alone_makes_nobody_a_trunk(other: GatewayProcess) -> None:
    with RawCaller(other.sip_port) as caller:
        caller.to_header = "<sip:anything@192.0.2.1>"
        assert caller.invite("members").code == 403


def test_refer_is_declined_and_dials_nobody(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.1", 0))
        victim.settimeout(1.0)
        assert caller.invite("echo").code == 200
        caller.sequence += 1
        caller.send("REFER", "echo", headers=f"Refer-To: <sip:fraud@127.0.0.1:{victim.getsockname()[1]}>\r\n")
        assert caller.final("REFER").code == 403
        with pytest.raises(TimeoutError):
            victim.recv(65536)
        assert caller.bye("echo").code == 200
    assert gateway.page("/healthz")


def test_replaces_of_a_live_call_is_declined(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as first, RawCaller(gateway.sip_port) as second:
        answer = first.invite("echo")
        tag = answer.header("To").partition("tag=")[2]
        second.send(
            "INVITE",
            "echo",
            second.offer(),
            headers=f"Replaces: {first.call_id};to-tag={tag};from-tag=raw\r\nRequire: replaces\r\n",
        )
        assert second.acknowledge("echo").code == 403
        assert first.bye("echo").code == 200
    assert gateway.page("/healthz")


def test_a_stranger_is_given_no_digest_of_a_trunk(other: GatewayProcess) -> None:
    with RawCaller(other.sip_port) as caller:
        caller.to_header = "<sip:anything@192.0.2.1>"
        assert caller.invite("echo").code == 200
        assert other.post(f"/calls/{_active_call(other)}/hangup").status_code == 204
        caller.challenge("BYE")
        with pytest.raises(TimeoutError):
            assert "Authorization" not in caller.request("BYE", timeout_s=2.0)


def test_an_audio_line_that_is_off_does_not_hide_the_next_one(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        body = caller.offer().replace("m=audio", "m=audio 0 RTP/AVP 8\r\nm=audio")
        assert caller.invite("echo", body=body).code == 200
        wait_for(lambda: [call for call in gateway.get("/calls")["calls"] if call["codec"] == "PCMU"], "its audio")
        assert caller.bye("echo").code == 200


def test_a_caller_who_is_gone_without_a_word_is_hung_up_on(other: GatewayProcess) -> None:
    with RawCaller(other.sip_port) as caller:
        assert caller.invite("echo").code == 200
        assert "BYE" in caller.request("BYE", timeout_s=15)
    wait_for(lambda: other.sessions()[0]["end_reason"] == "media_timeout", "the end of the call", 40)


def _active_call(gateway: GatewayProcess) -> str:
    calls = wait_for(
        lambda: [call for call in gateway.get("/calls")["calls"] if call["state"] == "active"], "a call", 20
    )
    call_id: str = calls[0]["call_id"]
    return call_id
