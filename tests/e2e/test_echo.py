# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers whose line returns the agent's voice: it never interrupts itself. The full set is scripts/bench/echo."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from media.wav import read_wav
from tests.e2e.conftest import Voice
from tests.e2e.echo_caller import converse, interrupted, said_by_caller, session_of
from tests.e2e.gateway_process import GatewayProcess
from tests.wer import load_prompts

_DELAYS_MS = (40, 120, 200, 300)
_QUESTIONS = ("What are your opening hours?", "Can I pay by credit card?")


def test_the_agent_does_not_interrupt_itself_when_its_voice_comes_back(gateway: GatewayProcess, voice: Voice) -> None:
    questions = [voice.say(text, 8000) for text in _QUESTIONS]
    with ThreadPoolExecutor(len(_DELAYS_MS)) as callers:
        calls = list(callers.map(lambda delay: converse(gateway, questions, delay_ms=delay), _DELAYS_MS))
    for delay_ms, call in zip(_DELAYS_MS, calls, strict=True):
        session = session_of(gateway, call)
        assert interrupted(session) == 0, session["transcript"]
        assert len(said_by_caller(session)) == len(_QUESTIONS), session["transcript"]
        levels = session["quality"]["levels"]
        assert levels["echo"]["delay_ms"] == pytest.approx(delay_ms, abs=60)  # the packets' own time comes on top
        assert levels["echo"]["loss_db"] == pytest.approx(20, abs=8)
        assert levels["agent"]["speech_dbov"] == pytest.approx(-20, abs=8)


def test_a_caller_still_breaks_in_through_the_echo(gateway: GatewayProcess, voice: Voice) -> None:
    question = voice.say(_QUESTIONS[0], 8000)
    sentence, _ = read_wav(load_prompts()["conf-invalid"][0])
    call = converse(gateway, [question], delay_ms=200, interruptions=[sentence])
    # Once at least: the prompt is two sentences, and the second may meet the answer to the first.
    assert interrupted(session_of(gateway, call)) >= 1
    (stop_ms,) = call.stop_ms
    assert stop_ms < 2500  # the agent's answer is longer; how fast, scripts/bench/echo measures
