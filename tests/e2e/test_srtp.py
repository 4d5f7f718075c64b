# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted media: keys by SDP (RFC 4568) and by DTLS (RFC 5763), and no way back to plain RTP where it is required."""

import asyncio
import random
import re
import statistics
import time
from collections.abc import Iterator
from functools import partial

import pytest

from gateway.sip.settings import DEFAULT_SUITES
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.e2e.rtp_senders import SecureSender, hello_flood, run
from tests.e2e.trunk_phone import TrunkPhone
from tests.srtp import SrtpKey

_MU_LAW = "\r\na=rtpmap:0 PCMU/8000"
_PLAIN = f"RTP/AVP 0{_MU_LAW}"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    echo = '[[route]]\nmatch = "echo"\naction = "echo"\n'
    folder = tmp_path_factory.mktemp("srtp")
    with GatewayProcess(folder, echo, record=False, media='srtp = "required"') as gateway:
        yield gateway


def _secured(key: SrtpKey) -> str:
    return f"RTP/SAVP 0{_MU_LAW}\r\n{key.line()}"


def _call(raw: RawCaller, more: str = "") -> tuple[SecureSender, tuple[str, int], str]:
    """An encrypted call to `echo`: our end of its media, its address, the answer."""
    key = SrtpKey.random()
    answer = raw.invite("echo", _secured(key) + more)
    assert answer.code == 200, answer.text
    assert re.search(r"m=audio \d+ RTP/SAVP 0", answer.text)
    found = re.search(r"a=crypto:(.*)", answer.text)
    assert found is not None
    assert raw.remote_rtp is not None
    sender = SecureSender(SILENCE, 0.02, port=raw.rtp, ours=key, theirs=SrtpKey.parse(found[1]))
    sender.clock.sequence = random.randrange(1000)  # no rollover in a short call
    return sender, raw.remote_rtp, answer.text


def _heard(sender: SecureSender) -> int:
    """Packets that were what we sent, and nothing but such."""
    assert all(payload == SILENCE for _, payload in sender.got)
    return len(sender.got)


def test_plain_rtp_is_refused_where_srtp_is_required(secure: GatewayProcess) -> None:
    with RawCaller(secure.sip_port) as raw:
        assert raw.invite("echo", _PLAIN).code == 488
    with RawCaller(secure.sip_port) as raw:  # nor a suite that nobody should use
        weak = "a=crypto:1 NULL_HMAC_SHA1_80 inline:" + "A" * 40
        assert raw.invite("echo", f"RTP/SAVP 0{_MU_LAW}\r\n{weak}").code in (406, 488)


def test_bad_packets_do_not_disturb_a_call(secure: GatewayProcess) -> None:
    with RawCaller(secure.sip_port) as raw:
        sender, target, _ = _call(raw)
        run(target, 0.3, sender)
        sender.got.clear()
        noise = random.Random(7)
        began = time.monotonic()
        while time.monotonic() - began < 1.5:  # from the caller's own address: forged, or with another key
            sender.port.setblocking(True)
            for _ in range(30):
                sender.port.sendto(sender.clock.packet(noise.randbytes(170)), target)
                sender.clock.sequence = (sender.clock.sequence - 1) & 0xFFFF
            sender.port.setblocking(False)
            sender.due = time.monotonic()
            sender.work(target, sender.due)
            time.sleep(0.02)
        assert _heard(sender) >= 55
        assert raw.bye("echo").code == 200


def test_a_call_that_is_encrypted_stays_so(secure: GatewayProcess) -> None:
    with RawCaller(secure.sip_port) as raw:
        sender, target, _ = _call(raw)
        run(target, 0.3, sender)
        sender.got.clear()
        raw.sequence += 1
        raw.send("INVITE", "echo", raw.offer(_PLAIN))
        assert raw.final("INVITE").code == 488
        run(target, 0.5, sender)
        assert _heard(sender) >= 20  # as before, and nothing in the clear
        assert raw.bye("echo").code == 200


def test_rtp_and_rtcp_share_a_port_when_asked(secure: GatewayProcess) -> None:
    with RawCaller(secure.sip_port) as raw:
        sender, target, answer = _call(raw, "\r\na=rtcp-mux")
        assert "a=rtcp-mux" in answer
        run(target, 0.5, sender)
        raw.bye("echo")
        assert any(payload == b"" for _, payload in sender.got)  # RTCP, which is no SRTP
        assert sum(payload == SILENCE for _, payload in sender.got) >= 20


async def test_a_callee_who_answers_in_the_clear_gets_no_call() -> None:
    with RawCaller(0) as raw:
        async with TrunkPhone(raw.sip.getsockname()[1], srtp="required") as phone:
            raw.answer_to(phone.endpoint.address)
            handle = await phone.call()
            invite = await asyncio.to_thread(raw.request, "INVITE")
            assert re.search(r"m=audio \d+ RTP/SAVP ", invite)
            assert re.findall(r"a=crypto:\d (\w+)", invite) == list(DEFAULT_SUITES)
            assert "a=rtcp-mux" in invite
            await asyncio.to_thread(raw.accept, invite, _PLAIN)
            raw.respond(await asyncio.to_thread(raw.request, "BYE"), 200)
            await phone.until(lambda: handle in phone.ended, "the end")
            assert handle not in phone.media
            assert raw.packets() == []


async def test_a_trunk_is_offered_its_suites_and_nothing_else() -> None:
    with RawCaller(0) as raw:
        suites = ("AES_256_CM_HMAC_SHA1_80",)
        async with TrunkPhone(raw.sip.getsockname()[1], srtp="optional", srtp_suites=suites) as phone:
            raw.answer_to(phone.endpoint.address)
            await phone.call()
            invite = await asyncio.to_thread(raw.request, "INVITE")
            assert re.search(r"m=audio \d+ RTP/AVP ", invite)  # optional: crypto lines beside plain RTP
            assert re.findall(r"a=crypto:\d (\w+)", invite) == list(suites)
            assert not re.search("a=ice|a=candidate", invite)


@pytest.mark.parametrize("is_secured", [True, False])
async def test_a_call_whose_keys_came_beside_plain_rtp_is_known_to_be_encrypted(is_secured: bool) -> None:
    keys = f"\r\n{SrtpKey.random().line()}" if is_secured else ""  # RFC 8643
    with RawCaller(0) as raw:
        async with TrunkPhone(raw.sip.getsockname()[1], srtp="optional") as phone:
            raw.answer_to(phone.endpoint.address)
            handle = await phone.call()
            await asyncio.to_thread(raw.accept, await asyncio.to_thread(raw.request, "INVITE"), _PLAIN + keys)
            await phone.until(partial(phone.media.__contains__, handle), "media")
            assert phone.media[handle].srtp is is_secured


def test_our_session_description_does_not_say_what_made_it(secure: GatewayProcess) -> None:
    with RawCaller(secure.sip_port) as raw:
        _, _, answer = _call(raw)
        assert "s=-\r\n" in answer
        assert not re.search(r"(?i)^(?!SIP|Via|Call-ID).*(pjmedia|pjsip|pjsua)", answer, re.MULTILINE)
        raw.bye("echo")


async def test_keys_by_dtls_are_agreed_on_whoever_else_says_hello(secure: GatewayProcess) -> None:
    with hello_flood(secure.rtp_ports):
        async with TrunkPhone(secure.sip_port, srtp="required", srtp_keying="dtls") as phone:
            for _ in range(2):
                handle = await phone.call("echo")
                await phone.until(partial(phone.media.__contains__, handle), "media")
                assert phone.media[handle].srtp
                await phone.hears(handle, 10)  # the first hello may have come before the answer
                await phone.endpoint.hang_up(handle)
                await phone.until(partial(phone.ended.__contains__, handle), "the end")


def test_who_hangs_up_before_keys_are_agreed_on_keeps_nobody_waiting(secure: GatewayProcess) -> None:
    """Without clock_stop.patch all of SIP stands still for up to half a second at the end of each such call."""
    fingerprint = ":".join(["AB"] * 32)
    offer = f"UDP/TLS/RTP/SAVP 0{_MU_LAW}\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:passive"
    waits_s = []
    for _ in range(9):
        with RawCaller(secure.sip_port) as silent, RawCaller(secure.sip_port) as other:
            assert silent.invite("echo", offer).code == 200
            time.sleep(0.05)
            silent.bye("echo")
            begun = time.monotonic()
            assert other.invite("echo", _PLAIN).code == 488
            waits_s.append(time.monotonic() - begun)
    assert statistics.median(waits_s) < 0.06, waits_s
