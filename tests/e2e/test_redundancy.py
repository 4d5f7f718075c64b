# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 2198: who knows it gets it, who does not never notices, and what arrives is what was sent."""

import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.peers import softphone
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.e2e.sanitizer import sanitized_gateway
from tests.redundancy import Rtp, pack, unpack

_ROUTES = """
[[route]]
match = "echo"
action = "echo"
[[route]]
action = "agent"
"""
_PCMU = "RTP/AVP 0\r\na=rtpmap:0 PCMU/8000"
_PCMU_WITH_RED = "RTP/AVP 0 97\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:97 red/8000\r\na=fmtp:97 0/0/0"
_FRAME_S = 0.02
_CALLEE_PORT = 29000 + os.getpid() % 400 * 2


@pytest.fixture(scope="module")
def without_fec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("without"), _ROUTES, media="fec = false") as process:
        yield process


@pytest.fixture(scope="module")
def always(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    media = 'fec = "always"\nsrtp = "optional"'
    with GatewayProcess(tmp_path_factory.mktemp("always"), _ROUTES, media=media) as process:
        yield process


def _answer(gateway: GatewayProcess, media: str) -> list[str]:
    """Lines of the answer's audio section, without what is another one in each call."""
    with RawCaller(gateway.sip_port) as caller:
        answer = caller.invite("echo", media)
        assert answer.code == 200, answer.text
        assert caller.bye("echo").code == 200
    audio = answer.text.partition("m=audio")[2].strip().split("\r\n")
    return [re.sub(r"^\d+ ", "", line) for line in audio if not line.startswith(("a=ssrc:", "a=rtcp:"))]


@pytest.mark.parametrize(
    ("offer", "redundancy"),
    [
        (_PCMU_WITH_RED, ["a=rtpmap:97 red/8000", "a=fmtp:97 0/0/0"]),
        ("RTP/AVP 97 8\r\na=rtpmap:97 RED/8000/1\r\na=fmtp:97 8/8/8/8", ["a=rtpmap:97 red/8000", "a=fmtp:97 8/8/8"]),
        ("RTP/AVP 9 99\r\na=rtpmap:99 red/8000\r\na=fmtp:99 9/9", ["a=rtpmap:99 red/8000", "a=fmtp:99 9/9"]),
        (
            "RTP/AVP 110 111 112\r\na=rtpmap:110 L16/16000\r\na=rtpmap:111 red/8000\r\na=fmtp:111 0/0\r\n"
            "a=rtpmap:112 red/16000\r\na=fmtp:112 110/110",
            ["a=rtpmap:112 red/16000", "a=fmtp:112 110/110"],
        ),
        (
            "RTP/AVP 104 105\r\na=rtpmap:104 L16/8000\r\na=rtpmap:105 red/8000\r\na=fmtp:105 104/104",
            ["a=rtpmap:105 red/8000", "a=fmtp:105 104/104"],
        ),
    ],
    ids=["PCMU", "PCMA, redundancy first", "G722", "L16/16000 and another's", "L16/8000"],
)
def test_the_answer_has_redundancy_of_the_chosen_codec(
    gateway: GatewayProcess, offer: str, redundancy: list[str]
) -> None:
    answer = _answer(gateway, offer)
    assert [line for line in answer if "red" in line or line.startswith(f"a=fmtp:{redundancy[1][7:10]}")] == redundancy


@pytest.mark.parametrize(
    "offer",
    [
        _PCMU,
        "RTP/AVP 0 97\r\na=rtpmap:97 red/8000\r\na=fmtp:97 8/8",
        "RTP/AVP 0 97\r\na=rtpmap:97 red/8000\r\na=fmtp:97 0/5",
        "RTP/AVP 0 97\r\na=rtpmap:97 red/8000",
        "RTP/AVP 0 97\r\na=rtpmap:97 red/16000\r\na=fmtp:97 0/0",
        "RTP/AVP 0 97\r\na=rtpmap:97 red/8000\r\na=fmtp:97 /",
    ],
    ids=["none", "of another codec", "of two codecs", "of nothing", "at another rate", "nonsense"],
)
def test_an_offer_without_redundancy_of_the_chosen_codec_is_answered_as_if_we_had_none(
    gateway: GatewayProcess, without_fec: GatewayProcess, offer: str
) -> None:
    assert _answer(gateway, offer) == _answer(without_fec, offer)
    assert "red" not in "".join(_answer(gateway, offer))


_MANY = range(97, 127)


@pytest.mark.timeout(600)  # the first use may build
def test_offers_that_anybody_on_the_network_may_make_do_no_harm(tmp_path: Path) -> None:
    """PJMEDIA 2.17 as released counts formats that are not there when an offer has two of `red`."""
    offers = [
        "RTP/AVP 0 " + " ".join(map(str, _MANY)) + "".join(f"\r\na=rtpmap:{pt} red/8000" for pt in _MANY),
        "RTP/AVP 0 97 98\r\na=rtpmap:97 red/8000\r\na=fmtp:97 0/0\r\na=rtpmap:98 red/8000\r\na=fmtp:98 0/0",
        "RTP/AVP 97 0\r\na=rtpmap:97 red/8000\r\na=fmtp:97 97/97",
        "RTP/AVP 97\r\na=rtpmap:97 red/8000\r\na=fmtp:97 0/0",
        "RTP/AVP 97 97\r\na=rtpmap:97 L16/16000\r\na=rtpmap:97 red/16000\r\na=fmtp:97 97/97",
        "RTP/AVP 0 97\r\na=rtpmap:97 red/8000\r\na=fmtp:97 " + "/".join(["0"] * 900),
        "RTP/AVP 0 97\r\na=rtpmap:97 red/8000\r\na=fmtp:97 ",
        "RTP/AVP 0 97\r\na=rtpmap:97 red/8000\r\na=fmtp:97",
        "RTP/AVP 0 97\r\na=rtpmap:97 red/8000\r\na=fmtp:97 0/0/",
        "RTP/AVP 96 97\r\na=rtpmap:96 L16/16000\r\na=rtpmap:97 red/16000\r\na=fmtp:97 99999999999/99999999999",
    ]
    payloads = [b"", b"\x80", b"\x80\x00\x00", b"\x80\x00\x03\xff", b"\xff" * 40, b"\x00", b"\x61\x61", SILENCE]
    with sanitized_gateway(tmp_path, _ROUTES) as gateway:
        for offer in offers:
            with RawCaller(gateway.sip_port) as caller:
                answer = caller.invite("echo", offer)
                assert answer.code in (200, 400, 488), answer.text
                assert answer.code != 200 or re.search(r"m=audio \d+ \S+ \d", answer.text), answer.text
                if answer.code == 200:
                    for payload in payloads:
                        caller.speak(payload, payload_type=97, samples=160)
                    assert caller.bye("echo").code == 200
        with RawCaller(gateway.sip_port) as caller:
            assert caller.invite("echo", _PCMU_WITH_RED).code == 200
            assert {packet.payload_type for packet in _talk(caller, 1.0, report_lost=0)} == {0}
            assert caller.bye("echo").code == 200


def test_opus_is_chosen_without_redundancy(gateway: GatewayProcess) -> None:
    offer = "RTP/AVP 96 97 0 98\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 red/48000/2\r\na=fmtp:97 96/96\r\n"
    answer = _answer(gateway, offer + "a=rtpmap:98 red/8000\r\na=fmtp:98 0/0")
    assert answer[0] == "RTP/AVP 96"


def test_without_fec_nothing_is_offered_or_accepted(without_fec: GatewayProcess) -> None:
    assert _answer(without_fec, _PCMU_WITH_RED) == _answer(without_fec, _PCMU)
    opus = "RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1"
    assert "useinbandfec" not in "".join(_answer(without_fec, opus))
    with RawCaller(without_fec.sip_port) as callee:
        invite = _call_out(without_fec, callee)
        assert "red/" not in invite
        assert "useinbandfec" not in invite


def test_our_offer_has_redundancy_behind_everything_else_and_fits_a_packet(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as callee:
        invite = _call_out(gateway, callee)
        assert len(invite) < 1472  # an Ethernet frame less IP and UDP
        formats = re.search(r"m=audio \d+ RTP/AVP (.*)\r", invite)
        assert formats is not None
        redundancy = re.findall(r"a=rtpmap:(\d+) red/(\d+)\r\na=fmtp:(\d+) (\S+)\r", invite)
        assert formats[1].split()[-len(redundancy) :] == [payload_type for payload_type, *_ in redundancy]
        assert len({payload_type for payload_type, *_ in redundancy}) == len(redundancy) == 4
        for payload_type, clock_hz, fmtp_type, carried in redundancy:
            primary, *others = carried.split("/")
            assert (fmtp_type, others) == (payload_type, [primary, primary])
            assert {"0": "PCMU", "8": "PCMA", "9": "G722"}.get(primary, "L16") in invite
            assert re.search(rf"a=rtpmap:{primary} \w+/{clock_hz}\r", invite)


def test_a_peer_that_answers_our_offer_without_redundancy_gets_none_whatever_it_reports(always: GatewayProcess) -> None:
    with RawCaller(always.sip_port) as callee:
        callee.accept(_call_out(always, callee), _PCMU)
        sent = _talk(callee, 2.0, report_lost=20)
        assert {packet.payload_type for packet in sent} == {0}
        assert len(sent) > 50


def test_reported_loss_brings_two_generations_and_every_packet_lost_after_that_can_be_had(
    gateway: GatewayProcess,
) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("play", _PCMU_WITH_RED).code == 200
        sent = _talk(caller, 4.0, report_lost=20)
        plain = [packet for packet in sent if packet.payload_type == 0]
        wrapped = [packet for packet in sent if packet.payload_type == 97]
        assert len(plain) >= 40  # before the report
        assert len(wrapped) >= 100
        primaries = {packet.timestamp: packet.payload for packet in plain}
        for packet in wrapped:
            primaries[packet.timestamp] = unpack(packet.payload, packet.timestamp)[-1][2]
        dice = random.Random(1)
        arrived = [packet for packet in wrapped if dice.random() >= 0.1]
        received: dict[int, bytes] = {}
        for packet in arrived:
            blocks = unpack(packet.payload, packet.timestamp)
            assert {payload_type for payload_type, *_ in blocks} == {0}
            for _, timestamp, payload in blocks:
                assert primaries[timestamp] == payload
                received[timestamp] = payload
        assert len(arrived) < 0.95 * len(wrapped)
        times = [packet.timestamp for packet in wrapped if packet.timestamp <= arrived[-1].timestamp]
        assert sum(timestamp in received for timestamp in times) >= len(times) - 1  # three in a row are rare
        assert len(max(primaries.values(), key=lambda payload: len(set(payload)))) == 160  # speech, not silence
        assert len(set(max(primaries.values(), key=lambda payload: len(set(payload))))) > 20
        assert caller.bye("play").code == 200
    session = gateway.newest_session()
    assert session["quality"]["tx_redundant"] == pytest.approx(len(wrapped), abs=20)
    counted = re.search(r"^parley_redundant_packets_total (\S+)", gateway.page("/metrics"), re.MULTILINE)
    assert counted is not None
    assert float(counted[1]) >= len(wrapped)


def test_a_clean_line_gets_no_redundancy(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo", _PCMU_WITH_RED).code == 200
        sent = _talk(caller, 3.0, report_lost=0)
        assert {packet.payload_type for packet in sent} == {0}
        assert caller.bye("echo").code == 200


def test_sipp_and_baresip_take_our_offer_and_talk(gateway: GatewayProcess, tmp_path: Path) -> None:
    for port, command in enumerate(
        (
            ["sipp", "-sn", "uas", "-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin", "-timeout", "60s", "-m", "1"],
            ["baresip", "-f", str(_baresip_that_answers(tmp_path)), "-t", "60"],
        ),
        start=_CALLEE_PORT,
    ):
        options = ["-p", str(port), "-rtp_echo"] if command[0] == "sipp" else []
        callee = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1.0)
            answer = gateway.post("/calls", {"to": f"sip:qa@127.0.0.1:{port}"})
            call_id = answer.json()["call_id"]
            wait_for(lambda: gateway.get(f"/calls/{call_id}")["codec"], command[0])  # noqa: B023 (waited for at once)
            time.sleep(1.0)
            assert gateway.post(f"/calls/{call_id}/hangup").status_code == 204
            session = gateway.newest_session()
            assert session["call_id"] == call_id
            assert session["quality"]["tx_packets"] > 25
            assert session["quality"]["rx_packets"] > 25
            assert session["quality"]["tx_redundant"] == 0
        finally:
            callee.kill()
            callee.wait()


@pytest.mark.parametrize(
    ("generations", "loss", "least", "most"),
    [(0, 0.05, 0.90, 0.97), (1, 0.05, 0.99, 1.0), (2, 0.10, 0.99, 1.0)],
)
def test_what_the_network_loses_of_a_caller_is_had_from_the_packets_after_it(
    gateway: GatewayProcess, generations: int, loss: float, least: float, most: float
) -> None:
    dice = random.Random(3)
    codes = [code for code in range(256) if code != 0x7F]  # a second zero, which comes back as the first
    frames = [bytes(dice.choices(codes, k=160)) for _ in range(300)]
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo", _PCMU_WITH_RED).code == 200
        heard, lost = _speak_over_a_bad_line(caller, frames, generations, loss, dice)
        assert caller.bye("echo").code == 200
    session = gateway.newest_session()
    assert session["quality"]["rx_lost"] == pytest.approx(lost, abs=1)  # RTCP tells the network's loss, not ours
    share = sum(frame in heard for frame in frames) / len(frames)
    assert least <= share <= most, share


@pytest.mark.parametrize("codec", ["pcmu", "g722", "opus"])
def test_both_ways_and_encrypted_speech_is_understood(always: GatewayProcess, question: Path, codec: str) -> None:
    options = ("--codec", codec, "--play", str(question), "--expect", "monday", "--fec", "always", "--srtp")
    report = softphone(always, "agent", *options)
    assert report["exit"] == 0, report
    assert report["srtp"] is True
    if codec != "opus":
        assert report["rtp"]["tx_redundant"] >= 0.9 * report["rtp"]["tx_packets"]
        assert always.newest_session()["quality"]["tx_redundant"] > 100


def _baresip_that_answers(folder: Path) -> Path:
    """baresip's settings folder: it takes every call and returns what it hears."""
    port = _CALLEE_PORT + 1
    (folder / "config").write_text(
        f"""
sip_listen 127.0.0.1:{port}
audio_source aubridge,loop
audio_player aubridge,loop
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
rtp_ports {port + 2}-{port + 12}
module_path /usr/lib/baresip/modules
module g711.so
module aubridge.so
module_app account.so
module_app menu.so
"""
    )
    (folder / "accounts").write_text(f"<sip:qa@127.0.0.1:{port}>;regint=0;answermode=auto;audio_codecs=PCMA/8000/1\n")
    (folder / "contacts").touch()
    return folder


def _speak_over_a_bad_line(
    caller: RawCaller, frames: list[bytes], generations: int, loss: float, dice: random.Random
) -> tuple[bytes, int]:
    """Send these frames with redundancy and lose some; all that came back, and how many were lost."""
    began, heard, lost = time.monotonic(), b"", 0
    for number, frame in enumerate([*frames, *[SILENCE] * 40]):
        before = range(max(0, number - generations), min(number, len(frames)))
        blocks = [*((160 * (number - one), frames[one]) for one in before), (0, frame)]
        if 0 < number < len(frames) and dice.random() < loss:
            caller.clock.packet(frame)
            lost += 1
        elif len(blocks) > 1:
            caller.speak(pack(0, blocks), payload_type=97, samples=160)
        else:
            caller.speak(frame)
        time.sleep(max(0.0, began + (number + 1) * _FRAME_S - time.monotonic()))
        heard += b"".join(payload for _, payload in caller.hear())
    return heard, lost


def _call_out(gateway: GatewayProcess, callee: RawCaller) -> str:
    """Let the gateway call a raw callee; the INVITE."""
    to = f"sip:raw@127.0.0.1:{callee.sip.getsockname()[1]}"
    assert gateway.post("/calls", {"to": to}).status_code == 201
    return callee.request("INVITE")


def _talk(caller: RawCaller, seconds: float, *, report_lost: int) -> list[Rtp]:
    """Say nothing for so long and, a second on, report so many packets lost; what came back."""
    began = time.monotonic()
    received: list[Rtp] = []
    reported = False
    for frame in range(round(seconds / _FRAME_S)):
        caller.speak(SILENCE)
        time.sleep(max(0.0, began + (frame + 1) * _FRAME_S - time.monotonic()))
        received += [Rtp.parse(packet) for _, packet in caller.packets()]
        if not reported and len(received) >= 50:
            reported = True
            caller.report(received[-1].ssrc, report_lost, received[-1].sequence)
    return received
