# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers who speak over the agent and do not want the floor."""

from tests.e2e.conftest import Voice
from tests.e2e.echo_caller import session_named
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.overlap_caller import OverlapCaller
from tests.e2e.overlap_sounds import levelled


def test_an_okay_over_the_answer_lets_the_agent_go_on(gateway: GatewayProcess, voice: Voice) -> None:
    with OverlapCaller(gateway) as caller:
        caller.line.until_heard()
        caller.line.until_quiet()
        assert caller.ask(voice.say("What are your opening hours?", 8000))
        caller.line.listen(1.0)
        caller.line.speak(levelled(voice.say("Okay.", 8000)))
        caller.line.until_quiet()
    session = session_named(gateway, caller.call_id)
    assert [entry["role"] for entry in session["transcript"]] == ["assistant", "user", "assistant"]
    answer = session["transcript"][-1]
    assert not answer["interrupted"], session["transcript"]
    assert answer["heard_text"] == answer["text"]
