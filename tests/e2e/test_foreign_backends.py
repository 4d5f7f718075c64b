# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends as written for other platforms, on calls of ours: over their sockets, and by REST where they use it."""

import asyncio
import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle, pairwise, repeat
from typing import Self

import httpx
import numpy as np

from gateway.streams.audiosocket import call_uuid
from gateway.streams.twilio import twilio_signature
from media.frames import PcmSamples
from media.tones import has_tone, tone
from tests.e2e.conftest import TWILIO_TOKEN, Voice
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.mulaw import from_mu_law, mu_law
from tests.simulators.audiosocket_backend import AudioSocketBackend
from tests.simulators.text_backend import Message, TextBackend

_FRAMES = [bytes([number]) * 160 for number in range(100)]
"""Each says its number; no codec would leave them as they are."""


class Bot:
    """Plays a short tone and a long one, each with a mark; key 1 clears, key 9 ends the call by Twilio's REST API."""

    def __init__(self, http_address: str) -> None:
        self._rest = f"http://{http_address}/2010-04-01/Accounts"
        self.status = 0

    def __call__(self, backend: TextBackend, message: Message) -> None:
        sid = {"streamSid": message.get("streamSid", "")}
        match message["event"]:
            case "start":
                for hz, seconds in ((440, 1), (660, 20)):
                    payload = base64.b64encode(mu_law(tone([hz], 1000 * seconds, 8000))).decode()
                    backend.send({"event": "media", **sid, "media": {"payload": payload}})
                    backend.send({"event": "mark", **sid, "mark": {"name": f"{hz} Hz"}})
                backend.send("this is no JSON")
            case "dtmf" if message["dtmf"]["digit"] == "1":
                backend.send({"event": "clear", **sid})
            case "dtmf":
                start = backend.all("event", "start")[0]["start"]
                url = f"{self._rest}/{start['accountSid']}/Calls/{start['callSid']}.json"
                auth = (start["accountSid"], TWILIO_TOKEN)
                self.status = httpx.post(url, auth=auth, data={"Status": "completed"}).status_code
            case _:
                pass


class FlowServer:
    """`with` answers each call with a stream to this URL, 16 kHz in chunks of 100 ms."""

    def __init__(self, ws_url: str) -> None:
        self.asked: list[Message] = []
        asked = self.asked
        action = {"action": "stream", "ws_url": ws_url, "chunk_size": 100, "sample_rate": "16k", "record": False}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                body = json.dumps(action).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/flow"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def served(backend: AudioSocketBackend) -> Iterator[AudioSocketBackend]:
    """The backend in a thread of its own."""
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with backend:
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    ready.wait(10)
    yield backend
    over.set()
    thread.join(10)


class Line:
    """The caller's: speaks the numbered frames in real time, and hears."""

    def __init__(self, caller: RawCaller) -> None:
        self._caller = caller
        self._frames: Iterator[bytes] = cycle(_FRAMES)
        self._speech: deque[bytes] = deque()
        self._next = time.monotonic()
        self._heard = b""

    def until(self, look: Callable[[], object], timeout_s: float = 8.0) -> PcmSamples:
        """Until something is true; what was heard meanwhile."""
        self._heard = b""
        deadline = time.monotonic() + timeout_s
        while not look():
            assert time.monotonic() < deadline, "it did not come"
            self._tick()
        return from_mu_law(self._heard)

    def until_heard_out(self) -> PcmSamples:
        """Until somebody has spoken, and been silent for half a second."""
        parts = [self.until(lambda: np.abs(from_mu_law(self._heard[-160:])).max(initial=0) > 1_000)]
        while len(parts) < 26 or np.abs(np.concatenate(parts[-25:]).astype(np.int32)).max() > 500:
            parts.append(self.listen(1))
        return np.concatenate(parts)

    def listen(self, frames: int) -> PcmSamples:
        self._heard = b""
        for _ in range(frames):
            self._tick()
        return from_mu_law(self._heard)

    def say(self, samples: PcmSamples) -> None:
        """This next, in place of the numbered frames; then silence."""
        payload = mu_law(samples)
        self._speech.extend(payload[begin : begin + 160] for begin in range(0, len(payload) - 159, 160))
        self._frames = repeat(SILENCE)

    def press(self, key: str) -> None:
        self._caller.sequence += 1
        self._caller.send("INFO", "echo", f"Signal={key}\r\nDuration=100\r\n", content_type="application/dtmf-relay")

    def _tick(self) -> None:
        self._caller.speak(self._speech.popleft() if self._speech else next(self._frames))
        self._next += 0.02
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._heard += b"".join(payload for _, payload in self._caller.hear())


def test_a_backend_for_twilio_hears_speaks_falls_silent_and_hangs_up(gateway: GatewayProcess) -> None:
    bot = Bot(gateway.http_address)
    with TextBackend(bot) as backend, RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        call_id = _start(gateway, caller, backend.url, "twilio", metadata={"tenant": "7"})
        line = Line(caller)
        greeting = line.until(lambda: backend.all("event", "mark"))
        assert has_tone(greeting, 440, 8000)
        assert has_tone(line.listen(25), 660, 8000)
        line.press("1")
        line.until(lambda: len(backend.all("event", "mark")) == 2)
        line.listen(25)
        assert np.abs(line.listen(10).astype(np.int32)).max() < 100
        line.press("9")
        line.until(lambda: bot.status)
        caller.request("BYE")
        line.until(lambda: backend.closes)
    assert bot.status == 200
    assert backend.headers[0]["x-twilio-signature"] == twilio_signature(TWILIO_TOKEN, backend.url)
    _check_protocol(backend.heard)
    assert _end_reason(gateway, call_id) == "api"


def test_a_text_backend_greets_answers_hears_keys_and_ends_the_call(gateway: GatewayProcess, voice: Voice) -> None:
    def talk(backend: TextBackend, message: Message) -> None:
        match message["type"]:
            case "setup":
                backend.send({"type": "text", "token": "Welcome to the ", "last": False})
                backend.send({"type": "text", "token": "harbour office.", "last": True})
            case "prompt":
                backend.send({"type": "text", "token": "We open at nine o'clock.", "last": True})
            case "dtmf":
                backend.send({"type": "end", "handoffData": "done"})
            case _:
                pass

    with TextBackend(talk) as backend, RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        call_id = _start(gateway, caller, backend.url, "conversationrelay")
        line = Line(caller)
        line.say(np.zeros(0, np.int16))
        greeting = line.until_heard_out()
        line.say(voice.say("When do you open?", 8000))
        line.until(lambda: backend.all("type", "prompt"))
        answer = line.until_heard_out()
        line.press("5")
        caller.request("BYE")
    assert _end_reason(gateway, call_id) == "stream_ended"
    setup, prompt, key = backend.heard
    assert (setup["type"], setup["from"], setup["to"]) == ("setup", "raw", "echo")
    assert (prompt["last"], "open" in prompt["voicePrompt"].lower()) == (True, True)
    assert (key["type"], key["digit"]) == ("dtmf", "5")
    assert "welcome" in voice.hear(greeting, 8000).lower()
    assert "nine" in voice.hear(answer, 8000).lower() or "9" in voice.hear(answer, 8000)
    said = [entry["text"] for entry in gateway.get(f"/sessions/{call_id}")["transcript"]]
    assert said[0] == "Welcome to the harbour office."
    assert said[-1] == "We open at nine o'clock."


def test_an_audiosocket_server_gets_a_call_and_ends_it(gateway: GatewayProcess) -> None:
    with served(AudioSocketBackend()) as backend, RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        call_id = _start(gateway, caller, backend.url, "audiosocket")
        line = Line(caller)
        line.until(lambda: len(backend.heard) > 16_000)
        assert np.abs(line.listen(25).astype(np.int32)).max() > 1_000, "the backend's echo is heard"
        line.press("#")
        caller.request("BYE")
    assert _end_reason(gateway, call_id) == "backend_hung_up"
    assert (backend.uuids, backend.keys) == ([call_uuid(call_id)], "#")


def test_a_call_follows_its_flow_to_a_backend_for_teler(gateway: GatewayProcess) -> None:
    def echo(backend: TextBackend, message: Message) -> None:
        if message["type"] == "audio":
            backend.send(
                {"type": "audio", "audio_b64": message["data"]["audio_b64"], "chunk_id": message["message_id"]}
            )

    with TextBackend(echo) as backend, FlowServer(backend.url) as flow, RawCaller(gateway.sip_port) as callee:
        to = f"sip:raw@127.0.0.1:{callee.sip.getsockname()[1]}"
        placed = gateway.post("/calls", {"to": to, "from": "+15550100", "flow": {"flow_url": flow.url}})
        assert placed.status_code == 201, placed.text
        callee.accept(callee.request("INVITE"))
        line = Line(callee)
        line.until(lambda: len(backend.all("type", "audio")) >= 8)
        assert np.abs(line.listen(25).astype(np.int32)).max() > 1_000, "the backend's echo is heard"
        backend.hang_up()
        callee.request("BYE")
    call_id = placed.json()["call_id"]
    assert _end_reason(gateway, call_id) == "stream_ended"
    assert flow.asked == [
        {"call_id": call_id, "account_id": "acc_parley", "from_number": "+15550100", "to_number": to}
        | {"direction": "outbound"}
    ]
    start, *chunks = backend.heard
    assert (start["call_id"], start["data"]["sample_rate"], start["message_id"]) == (call_id, 16000, 1)
    assert {len(base64.b64decode(chunk["data"]["audio_b64"])) for chunk in chunks} == {16000 * 2 * 100 // 1000}


def _start(gateway: GatewayProcess, caller: RawCaller, url: str, protocol: str, **more: object) -> str:
    """Stream the caller's call; its id."""
    calls = gateway.get("/calls")["calls"]
    call_id: str = next(call["call_id"] for call in calls if call["metadata"].get("sip_call_id") == caller.call_id)
    order = {"call_id": call_id, "stream_url": url, "protocol": protocol, "on_end": "hangup"}
    answer = gateway.post("/stream/start", {**order, **more})
    assert answer.status_code == 201, answer.text
    return call_id


def _end_reason(gateway: GatewayProcess, call_id: str) -> str:
    reason: str = wait_for(lambda: gateway.get(f"/sessions/{call_id}")["end_reason"], "the call's record")
    return reason


def _check_protocol(heard: list[Message]) -> None:
    connected, start, *rest = heard
    assert (connected["event"], connected["protocol"], connected["version"]) == ("connected", "Call", "1.0.0")
    assert start["start"]["tracks"] == ["inbound"]
    assert start["start"]["customParameters"] == {"tenant": "7", "from_number": "raw", "to_number": "echo"}
    assert [message["sequenceNumber"] for message in heard[1:]] == [str(n) for n in range(1, len(heard))]
    assert {message["streamSid"] for message in heard[1:]} == {start["streamSid"]}
    assert (rest[-1]["event"], rest[-1]["stop"]["callSid"]) == ("stop", start["start"]["callSid"])
    names = [(message["mark"]["name"], message["at"] - start["at"]) for message in rest if message["event"] == "mark"]
    assert [name for name, _ in names] == ["440 Hz", "660 Hz"]
    assert names[0][1] > 0.9, "a mark tells of what was heard"
    media = [message["media"] for message in rest if message["event"] == "media"]
    assert [one["chunk"] for one in media] == [str(n) for n in range(1, len(media) + 1)]
    assert all(later > earlier for earlier, later in pairwise(int(one["timestamp"]) for one in media))
    frames = [base64.b64decode(one["payload"]) for one in media]
    spoken = [frame[0] for frame in frames if frame in _FRAMES]
    following = sum((later - earlier) % 100 == 1 for earlier, later in pairwise(spoken))
    assert following > 0.8 * len(media), "what the caller says arrives as it was spoken, byte by byte"
