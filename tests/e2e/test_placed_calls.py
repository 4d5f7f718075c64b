# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent calls, and a machine answers: Asterisk's voicemail, as it sounds."""

import time

import numpy as np

from media.frames import PcmSamples
from media.wav import read_wav
from tests.e2e.conftest import Voice
from tests.e2e.echo_caller import EchoLine
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import RawCaller
from tests.wer import SOUNDS_FOLDER

_RECORDS_S = 20.0


def _prompt(name: str) -> PcmSamples:
    samples, sample_rate_hz = read_wav(SOUNDS_FOLDER / f"{name}.wav")
    assert sample_rate_hz == 8000
    return samples


def _is_hung_up(callee: RawCaller) -> str | None:
    callee.sip.setblocking(False)
    try:
        text = callee.sip.recv(65536).decode(errors="replace")
    except BlockingIOError:
        return None
    finally:
        callee.sip.setblocking(True)
    return text if text.startswith("BYE ") else None


def test_a_voicemail_hears_the_message_after_its_beep(gateway: GatewayProcess, voice: Voice) -> None:
    greeting = np.concatenate([_prompt("vm-intro"), np.zeros(1_600, np.int16), _prompt("beep")])
    with RawCaller(gateway.sip_port) as callee:
        address = f"sip:raw@127.0.0.1:{callee.sip.getsockname()[1]}"
        placed = gateway.post("/calls", {"to": address, "agent": "receptionist"})
        assert placed.status_code == 201
        callee.accept(callee.request("INVITE"))
        line = EchoLine(callee, None)
        line.speak(greeting)
        recorded_from, bye = line.position, None
        deadline = time.monotonic() + _RECORDS_S
        while bye is None and time.monotonic() < deadline:
            line.listen(0.02)
            bye = _is_hung_up(callee)
        assert bye is not None, "the agent did not hang up"
        callee.respond(bye, 200)
    assert gateway.newest_session()["end_reason"] == "voicemail_message"
    assert "holiday" in voice.hear(line.heard[recorded_from:], 8000).lower()
    kinds = [event["data"]["far_end"] for event in gateway.get("/events?kinds=far_end.recognized&after=0")["events"]]
    assert "voicemail" in kinds
