# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend as written for Twilio's Media Streams, on a call of ours: over its socket and by REST."""

import base64
import time
from collections.abc import Callable, Iterator
from itertools import cycle, pairwise

import httpx
import numpy as np

from gateway.streams.twilio import twilio_signature
from media.frames import PcmSamples
from media.tones import has_tone, tone
from tests.e2e.conftest import TWILIO_TOKEN
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller
from tests.mulaw import from_mu_law, mu_law
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


class Line:
    """The caller's: speaks the numbered frames in real time, and hears."""

    def __init__(self, caller: RawCaller) -> None:
        self._caller = caller
        self._frames: Iterator[bytes] = cycle(_FRAMES)
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

    def listen(self, frames: int) -> PcmSamples:
        self._heard = b""
        for _ in range(frames):
            self._tick()
        return from_mu_law(self._heard)

    def press(self, key: str) -> None:
        self._caller.sequence += 1
        self._caller.send("INFO", "echo", f"Signal={key}\r\nDuration=100\r\n", content_type="application/dtmf-relay")

    def _tick(self) -> None:
        self._caller.speak(next(self._frames))
        self._next += 0.02
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._heard += b"".join(payload for _, payload in self._caller.hear())


def test_a_backend_for_twilio_hears_speaks_falls_silent_and_hangs_up(gateway: GatewayProcess) -> None:
    bot = Bot(gateway.http_address)
    with TextBackend(bot) as backend, RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        call_id = next(
            call["call_id"]
            for call in gateway.get("/calls")["calls"]
            if call["metadata"].get("sip_call_id") == caller.call_id
        )
        order = {"call_id": call_id, "stream_url": backend.url, "protocol": "twilio", "metadata": {"tenant": "7"}}
        answer = gateway.post("/stream/start", {**order, "on_end": "hangup"})
        assert answer.status_code == 201, answer.text
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
    assert wait_for(lambda: gateway.get(f"/sessions/{call_id}")["end_reason"], "the call's record") == "api"


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
