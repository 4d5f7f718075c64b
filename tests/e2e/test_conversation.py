# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller notices of an agent: it answers, remembers, stops when spoken over, says goodbye; and what stays."""

import signal
from pathlib import Path

from tests.e2e.conftest import Voice
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.peers import softphone
from tests.e2e.raw_caller import RawCaller
from tests.e2e.spoken_line import Line

_FRAME = 160


def test_the_agent_answers_remembers_and_says_goodbye(gateway: GatewayProcess) -> None:
    lines = ("My name is Anna.", "Is there a place where I can park?", "What is my name?", "Thank you, goodbye.")
    report = softphone(gateway, "agent", *[option for line in lines for option in ("--say", line)])
    assert report["answered"]
    heard = [turn["heard"].lower() for turn in report["turns"]]
    assert "park" in heard[1]
    assert "anna" in heard[2] or "ana" in heard[2]
    assert "bye" in heard[3]  # "You", the begun answer to "thank you", may run into it
    assert report["end"]["by"] == "peer"
    session = gateway.newest_session()
    assert session["end_reason"] == "goodbye"
    for turn in session["turns"]:
        assert abs(sum(turn["segments_ms"].values()) - turn["response_ms"]) <= 1.0
    assert "parley_turn_response_seconds_count" in gateway.page("/metrics")


def test_what_is_off_topic_is_not_known(gateway: GatewayProcess) -> None:
    report = softphone(gateway, "agent", "--say", "Who won the football game last night?", "--expect", "not know that")
    assert report["exit"] == 0, report


def test_the_agent_stops_when_spoken_over_and_knows_what_was_heard(gateway: GatewayProcess, voice: Voice) -> None:
    question = voice.say("What are your opening hours?", 8000)
    interruption = voice.say("Stop, how much does a cleaning cost?", 8000)
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("agent").code == 200
        line = Line(caller)
        line.listen(3.5)
        line.speak(question)
        answer_at = line.until_heard(4.0)
        line.listen(1.5)
        spoke_at = line.speak(interruption, listen_s=1.0)
        assert caller.bye("agent").code == 200
    # It was still speaking and soon fell silent. How fast is a benchmark's question, on a machine that does not stall.
    during = [loud for at, loud in line.heard if answer_at + 1.0 < at < spoke_at]
    assert any(during)
    after = [(at, loud) for at, loud in line.heard if at >= spoke_at]
    quiet_at = [after[i][0] for i in range(len(after) - 15) if not any(loud for _, loud in after[i : i + 15])]
    assert quiet_at
    assert quiet_at[0] - spoke_at < 1.5
    session = gateway.newest_session()
    interrupted = [entry for entry in session["transcript"] if entry["interrupted"]]
    assert interrupted
    assert len(interrupted[0]["heard_text"]) < len(interrupted[0]["text"])


def test_a_call_survives_kill_minus_9_and_a_redial_goes_on_where_it_was(tmp_path: Path, voice: Voice) -> None:
    gateway = GatewayProcess(tmp_path)
    with gateway, RawCaller(gateway.sip_port) as caller:
        caller.from_header = '"Anna" <sip:parley@127.0.0.1:5999>'  # the softphone's, from another port
        assert caller.invite("agent").code == 200
        line = Line(caller)
        line.listen(3.5)
        line.speak(voice.say("My name is Anna. What are your opening hours?", 8000))
        # The turn is over with its answer; the log says so, and nobody asks the API, which would flush.
        while "turn_measured" not in gateway.log.read_text():
            line.listen(0.5)
            assert gateway.process.poll() is None
        line.listen(0.5)
        call_id = gateway.get("/calls")["calls"][0]["call_id"]
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait(10)
    with GatewayProcess(tmp_path) as again:
        session = again.get(f"/sessions/{call_id}")
        softphone(again, "agent", "--say", "What is my name?", "--say", "What did I ask before?")
        redial = [entry["text"] for entry in again.newest_session()["transcript"]]
    assert session["end_reason"] == "gateway_restarted"
    assert len(session["turns"]) == 1
    assert [entry["role"] for entry in session["transcript"]] == ["assistant", "user", "assistant"]
    assert redial[0] == "Welcome back, we were interrupted. Please go on."
    assert "anna" in redial[2].lower() or "ana" in redial[2].lower()
    assert "opening hours" in redial[4]
