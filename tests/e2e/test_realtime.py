# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of an agent that is one speech-to-speech service, by its real protocol, heard in RTP packets."""

from pathlib import Path

import numpy as np

from media.tones import silence
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller
from tests.e2e.spoken_line import Line
from tests.simulators.aside import aside
from tests.simulators.realtime import RealtimeModel

SETTINGS = """
[[route]]
match = "agent"
action = "agent"
agent = "talker"
[agents.talker]
realtime = "voice"
prompt = "Be brief."
greeting = "Green Lane Garage, how can I help?"
[services.voice]
kind = "{kind}"
url = "{url}"
api_key = "test-key"
"""


def question(ms: int) -> "np.typing.NDArray[np.int16]":
    return (4000 * np.random.default_rng(6).standard_normal(8 * ms)).clip(-20_000, 20_000).astype(np.int16)


def test_who_breaks_in_is_answered_and_the_service_knows_what_was_heard(tmp_path: Path) -> None:
    model = RealtimeModel(answer_ms=2500, answer_text="We open at nine.", caller_text="When do you open?")
    with aside(model.running()) as url:
        settings = SETTINGS.format(kind="openai_realtime", url=url.partition("/realtime")[0])
        with GatewayProcess(tmp_path, settings, record=False) as gateway, RawCaller(gateway.sip_port) as caller:
            assert caller.invite("agent").code == 200
            line = Line(caller)
            line.until_heard(5.0)
            line.listen(0.7)
            line.speak(question(500))
            wait_for(lambda: model.truncations, "truncation")
            greeting_ms = 20 * sum(loud for _, loud in line.heard)
            line.speak(silence(1000, 8000))
            line.until_heard(5.0)
            line.listen(3.5)
            assert caller.bye("agent").code == 200
            session = gateway.newest_session(lambda session: len(session["transcript"]) >= 3)
    assert not model.errors
    assert abs(model.truncations[0].audio_end_ms - greeting_ms) <= 20
    assert model.connections == 1, "the connection that was opened while the call rang is the one that is used"
    said = [(entry["role"], entry["text"], entry["interrupted"]) for entry in session["transcript"]]
    assert said == [
        ("assistant", "Green Lane Garage, how can I help?", True),
        ("user", "When do you open?", False),
        ("assistant", "We open at nine.", False),
    ]
    (measured,) = session["turns"]
    assert abs(sum(measured["segments_ms"].values()) - measured["response_ms"]) <= 1
