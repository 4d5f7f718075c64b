# SPDX-License-Identifier: GPL-3.0-or-later
"""A call of an agent that has nothing of its own: ears, brain and voice are services, by their real protocols."""

import re
from pathlib import Path

from tests.e2e.conftest import Voice
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import RawCaller
from tests.e2e.spoken_line import Line
from tests.simulators.stack import in_thread

_ANSWERED = re.compile(r'parley_service_requests_total\{outcome="ok",role="(\w+)",.*\} [1-9]')


def test_a_caller_is_heard_answered_and_spoken_to_by_services(voice: Voice, tmp_path: Path) -> None:
    question = voice.say("What are your opening hours on Saturday?", 8000)
    with in_thread() as stack, GatewayProcess(tmp_path, stack.toml, record=False) as gateway:
        with RawCaller(gateway.sip_port) as caller:
            assert caller.invite("openai").code == 200
            line = Line(caller)
            line.until_heard(5.0)
            line.listen(2.5)
            line.speak(question)
            line.until_heard(8.0)
            line.listen(1.0)
            assert caller.bye("openai").code == 200
        session = gateway.newest_session(lambda session: bool(session["turns"]))
        metrics = gateway.page("/metrics")
    said = [(entry["role"], entry["text"]) for entry in session["transcript"]]
    assert said[1][0] == "user"
    assert said[1][1].startswith("What are your opening")
    assert said[2][0] == "assistant"
    assert "Yes, of course." in said[2][1]  # a filler may be before it
    (measured, *_) = session["turns"]
    assert abs(sum(measured["segments_ms"].values()) - measured["response_ms"]) <= 1.0
    assert set(_ANSWERED.findall(metrics)) == set(stack.agent("openai").keys)
    assert not re.search(r"parley_service_failures_total\{.*\} [1-9]", metrics)
    opened = re.search(r'parley_service_open_seconds_count\{service="deepgram_ears"\} (\S+)', metrics)
    assert opened is not None
    assert float(opened[1]) == 1, "the stream that was opened while the call rang is the one that was used"
