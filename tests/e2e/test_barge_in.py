# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers who speak over the agent and do not want the floor."""

from typing import Any

from tests.e2e.conftest import Voice
from tests.e2e.echo_caller import said_by_caller, session_named
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.overlap_caller import OverlapCaller
from tests.e2e.overlap_sounds import levelled

ANSWER_END = "right beside the public library."
QUESTION = "What street are you on?"


def test_an_okay_over_the_answer_lets_the_agent_go_on(gateway: GatewayProcess, voice: Voice) -> None:
    session = say_okay_over_the_answer(gateway, voice)
    if not has_gone_on(session):  # a machine that stalls in the middle of the word sends two sounds
        session = say_okay_over_the_answer(gateway, voice)
    assert has_gone_on(session), session["transcript"]


def say_okay_over_the_answer(gateway: GatewayProcess, voice: Voice) -> dict[str, Any]:
    """The session of such a call."""
    with OverlapCaller(gateway) as caller:
        caller.line.until_heard()
        caller.line.until_quiet(quiet_s=0.6)
        assert caller.ask(voice.say(QUESTION, 8000)[2400:-3200])
        caller.line.listen(0.5)
        caller.line.speak(levelled(voice.say("Okay.", 8000)))
        caller.line.until_quiet()
    return session_named(gateway, caller.call_id)


def has_gone_on(session: dict[str, Any]) -> bool:
    """The answer was heard to its end, maybe with a pause in it, and the "okay" was no turn."""
    heard = " ".join(entry["heard_text"] for entry in session["transcript"] if entry["role"] == "assistant")
    return said_by_caller(session) == [QUESTION] and heard.endswith(ANSWER_END)
