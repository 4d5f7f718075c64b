# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend that comes to the gateway, against `parley serve`: token, WebSocket, audio both ways, coming again."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller

TONE = bytes((0x20, 0xA0) * 80)
"""20 ms of something loud in mu-law."""


@contextmanager
def talking(caller: RawCaller) -> Iterator[None]:
    """A caller who sends loud RTP in the background, as a telephone would."""
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.02):
            caller.speak(TONE)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def call_of(gateway: GatewayProcess) -> str:
    def standing() -> list[str]:
        return [call["call_id"] for call in gateway.get("/calls")["calls"] if call["state"] == "active"]

    (call_id,) = wait_for(standing, "the call")
    return str(call_id)


def attach(gateway: GatewayProcess, call_id: str, token: str) -> Connection:
    address = f"ws://{gateway.http_address}/api/v1/calls/{call_id}/stream?token={token}"
    return connect(address, subprotocols=["parley.v1"], compression=None, close_timeout=2)  # type: ignore[list-item]


def token_for(gateway: GatewayProcess, call_id: str, scope: str = "stream") -> str:
    answer = gateway.post("/tokens", {"scope": scope, "call_id": call_id, "ttl_s": 30})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def states(gateway: GatewayProcess, call_id: str) -> list[str]:
    return [stream["state"] for stream in gateway.get(f"/calls/{call_id}/streams")["streams"]]


def next_text(backend: Connection, kind: str) -> dict[str, Any]:
    while True:
        message = backend.recv(timeout=10)
        if isinstance(message, str) and (said := json.loads(message))["type"] == kind:
            return dict(said)


def until_loud(backend: Connection) -> None:
    """The caller's audio reaches the backend."""
    while True:
        message = backend.recv(timeout=10)
        if isinstance(message, bytes) and any(byte in message for byte in (0x20, 0xA0)):
            return


def hears(caller: RawCaller, payload: bytes) -> bool:
    return any(payload[:40] in heard for _, heard in caller.hear())


def test_a_backend_comes_talks_is_lost_comes_again_and_hangs_up(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("attend").code == 200
        with talking(caller):
            call_id = call_of(gateway)
            token = token_for(gateway, call_id)
            with attach(gateway, call_id, token) as backend:
                assert backend.subprotocol == "parley.v1"
                start = next_text(backend, "start")
                assert (start["call_id"], start["reconnected"]) == (call_id, False)
                assert start["format"] == {"encoding": "pcmu", "sample_rate": 8000}
                until_loud(backend)
                backend.send(TONE * 50)
                wait_for(lambda: hears(caller, TONE), "the backend's audio at the caller")
                backend.socket.shutdown(socket.SHUT_RDWR)  # lost: nobody says goodbye
            with pytest.raises(InvalidStatus) as replay:
                attach(gateway, call_id, token)
            assert replay.value.response.status_code == 403
            wait_for(lambda: states(gateway, call_id) == ["reconnecting"], "the loss")
            with attach(gateway, call_id, token_for(gateway, call_id)) as backend:
                assert next_text(backend, "start")["reconnected"] is True
                until_loud(backend)
                backend.send('{"type":"hangup"}')
                assert caller.request("BYE")
                assert next_text(backend, "stop")
    dead = gateway.post("/tokens", {"scope": "stream", "call_id": call_id})
    assert dead.status_code == 404


def test_a_listener_hears_a_call_beside_whoever_talks_and_may_not_speak(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        with talking(caller):
            call_id = call_of(gateway)
            with attach(gateway, call_id, token_for(gateway, call_id, "listen")) as backend:
                assert next_text(backend, "start")["direction"] == "inbound"
                wait_for(lambda: len(backend.recv(timeout=10)) > 100, "audio")
                backend.send('{"type":"hangup"}')
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        backend.recv(timeout=10)
                assert backend.protocol.close_code == 1008
            assert gateway.get(f"/calls/{call_id}")["state"] == "active"
        assert caller.bye("echo").code == 200
