# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers who speak over the agent and do not want the floor."""

from tests.e2e.conftest import Voice
from tests.e2e.echo_caller import session_named
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.overlap_caller import OverlapCaller
from tests.e2e.overlap_sounds import levelled

ANSWER_END = "right beside the public library."
QUESTION = "What street are you on?"


def test_an_okay_over_the_answer_lets_the_agent_go_on(gateway: GatewayProcess, voice: Voice) -> None:
    with OverlapCaller(gateway) as caller:
        caller.line.until_heard()
        caller.line.until_quiet()
        assert caller.ask(voice.say(QUESTION, 8000))
        caller.line.listen(0.5)
        caller.line.speak(levelled(voice.say("Okay.", 8000)))
        caller.line.until_quiet()
    session = session_named(gateway, caller.call_id)
    # On a machine that stalls it may have stopped and gone on; the caller notices no more than a pause.
    assert [entry["text"] for entry in session["transcript"] if entry["role"] == "user"] == [QUESTION], session[
        "transcript"
    ]
    heard = " ".join(entry["heard_text"] for entry in session["transcript"] if entry["role"] == "assistant")
    assert heard.endswith(ANSWER_END), session["transcript"]
