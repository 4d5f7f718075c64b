# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose RTP a call takes and where its own goes: media/native/media_gate.hpp, rtp_latch.hpp.

Stock PJSIP 2.17 hands the stream to any address that sends ten packets between two of the caller's ("RTP Bleed"), and
sends 50 packets a second to any address that a session description names.
"""

import asyncio
import socket
import struct
import time

import pytest

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.e2e.rtp_senders import NOISE, Sender, run, signalled, stranger, udp_socket
from tests.e2e.trunk_phone import TrunkPhone


def _call(caller: RawCaller, c_line: str = "127.0.0.1") -> tuple[str, int]:
    assert caller.invite("echo", body=caller.offer().replace("c=IN IP4 127.0.0.1", f"c=IN IP4 {c_line}")).code == 200
    assert caller.remote_rtp is not None
    return caller.remote_rtp


@pytest.mark.parametrize("packets_per_second", [50, 2000])
def test_strangers_get_nothing_of_a_running_call_and_are_not_heard(
    gateway: GatewayProcess, packets_per_second: int
) -> None:
    with RawCaller(gateway.sip_port) as raw:
        target = _call(raw)
        caller = signalled(raw)
        run(target, 0.3, caller)
        caller.got.clear()
        neighbour = stranger(packets_per_second, ssrc_of=caller)  # another port of the caller's host
        third = stranger(packets_per_second, "127.0.0.2", ssrc_of=caller)
        run(target, 1.5, caller, neighbour, third)
        assert len(neighbour.got) == len(third.got) == 0
        assert len(caller.got) >= 65
        assert all(payload != NOISE for _, payload in caller.got)
        assert raw.bye("echo").code == 200


@pytest.mark.parametrize("packets_per_second", [50, 2000])
def test_strangers_who_were_first_get_at_most_five_packets(gateway: GatewayProcess, packets_per_second: int) -> None:
    with RawCaller(gateway.sip_port) as raw:
        target = _call(raw)
        caller = signalled(raw)
        neighbour, third = stranger(packets_per_second), stranger(packets_per_second, "127.0.0.2", ssrc_of=caller)
        run(target, 0.3, neighbour, third)
        caller.got.clear()
        began = time.monotonic()
        run(target, 1.0, caller, neighbour, third)
        assert len(neighbour.got) <= 5
        assert len(third.got) == 0
        assert len(caller.got) >= 40
        assert caller.got[0][0] - began < 0.5  # 20 ms, when nothing stalls
        assert sum(payload == NOISE for _, payload in caller.got) <= 5  # what was taken before is still to be played
        assert raw.bye("echo").code == 200


def test_a_caller_behind_a_nat_is_found_and_kept_while_it_speaks(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as raw:
        target = _call(raw, "192.168.77.77")  # its own idea of where it is
        mapped, other = Sender(SILENCE, 0.02), stranger(1000)
        run(target, 0.5, mapped)
        assert len(mapped.got) >= 20
        mapped.got.clear()
        run(target, 1.5, mapped, other)
        assert len(other.got) == 0
        assert len(mapped.got) >= 65
        assert raw.bye("echo").code == 200


def test_a_nat_that_changes_its_mapping_is_followed(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as raw:
        target = _call(raw, "192.168.77.77")
        before, after = Sender(SILENCE, 0.02), Sender(SILENCE, 0.02)
        after.clock = before.clock
        run(target, 0.3, before)
        run(target, 2.0, after)  # after a second of silence
        assert len(after.got) >= 20
        assert raw.bye("echo").code == 200


def test_rtcp_of_strangers_does_not_draw_ours(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as raw:
        host, port = _call(raw)
        caller = signalled(raw)
        run((host, port), 0.3, caller)
        third = udp_socket("127.0.0.2")
        for _ in range(50):  # stock PJSIP switches at the third
            third.sendto(struct.pack("!BBHI", 0x80, 201, 1, 77), (host, port + 1))
        run((host, port), 0.5, caller)
        assert raw.bye("echo").code == 200  # with which goes an RTCP BYE
        time.sleep(0.1)
        third.setblocking(False)
        with pytest.raises(BlockingIOError):
            third.recv(2048)


@pytest.mark.parametrize("named", ["127.0.0.5", "0.0.0.0", "255.255.255.255", "239.1.2.3"])
def test_a_caller_cannot_have_our_packets_sent_to_somebody_else(gateway: GatewayProcess, named: str) -> None:
    with RawCaller(gateway.sip_port) as raw, udp_socket("0.0.0.0" if named != "127.0.0.5" else named) as victim:
        raw.rtp.close()
        raw.rtp = victim
        victim.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        _call(raw, named)
        time.sleep(0.5)
        assert len(raw.packets()) <= 3
        assert raw.bye("echo").code == 200


def test_a_port_rests_when_its_call_is_over(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as first, RawCaller(gateway.sip_port) as second:
        host, port = _call(first)
        assert first.bye("echo").code == 200
        time.sleep(0.1)
        for number in (port, port + 1):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, pytest.raises(OSError, match="in use"):
                probe.bind((host, number))
        late = signalled(first)
        late.payload = NOISE
        target = _call(second)
        assert target[1] not in (port, port + 1)
        caller = signalled(second)
        run((host, port), 0.3, late)
        run(target, 0.3, caller)
        assert all(payload != NOISE for _, payload in caller.got)
        assert second.bye("echo").code == 200


@pytest.mark.parametrize(("networks", "is_heard"), [(("127.0.0.0/30",), True), (("127.0.0.8/29", "::/0"), False)])
async def test_media_of_a_trunk_stays_in_its_networks(networks: tuple[str, ...], is_heard: bool) -> None:
    with RawCaller(0) as raw:
        async with TrunkPhone(raw.sip.getsockname()[1], media_allow=networks) as phone:
            raw.answer_to(phone.endpoint.address)
            handle = await phone.call()
            await asyncio.to_thread(raw.accept, await asyncio.to_thread(raw.request, "INVITE"))
            assert raw.remote_rtp is not None
            caller, far = signalled(raw), stranger(200, "127.0.0.9")
            if is_heard:  # else they would be of the trunk's networks
                await asyncio.to_thread(run, raw.remote_rtp, 0.5, caller, far)
                assert len(far.got) == 0
            else:
                await asyncio.to_thread(run, raw.remote_rtp, 0.5, caller)
            quality = await phone.endpoint.quality(handle)
            assert (quality.rx_packets > 15) is (len(caller.got) > 15) is is_heard
            if not is_heard:
                assert quality.rx_packets == len(caller.got) == 0
                assert quality.rx_strangers > 15
