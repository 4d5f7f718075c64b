# SPDX-License-Identifier: GPL-3.0-or-later
"""Strangers spray the ports of calls that are being set up: all of them connect (aiortc is the browser here)."""

import asyncio
import re
import socket

import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for

_CALLS = 12
_HELLOS = 1000
_CLIENT_HELLO = bytes.fromhex(
    "16feff0000000000000000006c010000600000000000000060fefd" + "00" * 32 + "0000000ac02bc02fc00ac009009c0100002a"
) + bytes(60)
"""DTLS 1.2, well enough formed to reach a handshake that listens to everybody."""


async def call(gateway: GatewayProcess, http: httpx.AsyncClient, ports: set[tuple[str, int]]) -> RTCPeerConnection:
    peer = RTCPeerConnection(RTCConfiguration([]))
    peer.addTrack(AudioStreamTrack())
    await peer.setLocalDescription(await peer.createOffer())
    answer = await http.post("/webrtc/offer", json={"sdp": peer.localDescription.sdp, "to": "echo"})
    assert answer.status_code == 201, answer.text
    sdp = answer.json()["sdp"]
    ports |= {(host, int(port)) for host, port in re.findall(r"udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", sdp)}
    await peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
    return peer


async def spray(ports: set[tuple[str, int]], over: asyncio.Event) -> int:
    """ClientHellos and media of nobody's, from one stranger, to all ports that are known."""
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        while not over.is_set() or sent < _HELLOS:
            for port in list(ports):
                for packet in (_CLIENT_HELLO, b"\x80\x6f" + bytes(170)):
                    try:
                        stranger.sendto(packet, port)
                        sent += 1
                    except OSError:
                        pass
            await asyncio.sleep(0.001)
    return sent


async def test_a_thousand_hellos_of_a_stranger_keep_no_call_from_connecting(gateway: GatewayProcess) -> None:
    ports: set[tuple[str, int]] = set()
    over = asyncio.Event()
    spraying = asyncio.create_task(spray(ports, over))
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=f"http://{gateway.http_address}/api/v1", headers=headers, timeout=20) as http:
        peers = [await call(gateway, http, ports) for _ in range(_CALLS)]
        try:
            async with asyncio.timeout(20):
                while any(peer.connectionState != "connected" for peer in peers):  # noqa: ASYNC110 (aiortc has no event)
                    await asyncio.sleep(0.05)
            calls = [one for one in gateway.get("/calls")["calls"] if one["metadata"].get("transport") == "webrtc"]
            assert len(calls) == _CALLS
        finally:
            over.set()
            assert await spraying >= _HELLOS
            await asyncio.gather(*(peer.close() for peer in peers))
    await asyncio.to_thread(wait_for, lambda: not gateway.get("/calls")["calls"], "the end of all calls", 30)
