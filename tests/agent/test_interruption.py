# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller speaks while the agent speaks: what becomes of the playout."""

import pytest

from agent.config import InterruptionConfig
from agent.interruption import BargeIn, BrokenIn, Duck, Restore

CONFIG = InterruptionConfig(confirm_ms=160)


def audible(config: InterruptionConfig = CONFIG) -> BargeIn:
    engine = BargeIn(config)
    engine.receive_audible(1.0)
    assert engine.events() == []
    return engine


def test_a_suspicion_ducks_and_its_dismissal_restores() -> None:
    engine = audible()
    engine.receive_suspicion(2.0)
    assert engine.events() == [Duck()]
    engine.receive_silence(2.1)
    assert engine.events() == [Restore()]


def test_speech_interrupts_when_it_is_long_enough() -> None:
    engine = audible()
    engine.receive_suspicion(2.0)
    engine.receive_speech(1.97, 2.1)
    assert engine.events() == [Duck()]
    assert engine.next_timeout() == pytest.approx(2.13)
    engine.handle_timeout(2.12)
    assert engine.events() == []
    engine.handle_timeout(2.131)
    assert engine.events() == [BrokenIn(), Restore()]


def test_speech_that_was_recognised_late_interrupts_at_once() -> None:
    engine = audible()
    engine.receive_suspicion(2.0)
    engine.receive_speech(1.9, 2.1)
    assert engine.events() == [Duck(), BrokenIn(), Restore()]


def test_speech_that_ends_before_it_is_long_enough_only_ducks() -> None:
    engine = audible()
    engine.receive_suspicion(2.0)
    engine.receive_speech(1.97, 2.1)
    engine.receive_silence(2.12)
    engine.handle_timeout(3.0)
    assert engine.events() == [Duck(), Restore()]
    assert engine.next_timeout() is None


def test_nothing_happens_while_the_agent_is_silent() -> None:
    engine = BargeIn(CONFIG)
    engine.receive_suspicion(2.0)
    engine.receive_speech(1.5, 2.1)
    engine.handle_timeout(3.0)
    assert (engine.events(), engine.next_timeout()) == ([], None)


def test_a_sound_that_began_before_the_agent_was_audible_counts_from_its_own_beginning() -> None:
    engine = BargeIn(CONFIG)
    engine.receive_suspicion(0.9)
    engine.receive_audible(1.0)
    assert engine.events() == [Duck()]
    engine.receive_speech(0.88, 1.05)
    assert engine.events() == [BrokenIn(), Restore()]


def test_an_agent_that_finishes_meanwhile_is_as_loud_as_ever_the_next_time() -> None:
    engine = audible()
    engine.receive_suspicion(2.0)
    engine.receive_inaudible(2.05)
    assert engine.events() == [Duck(), Restore()]
    engine.receive_silence(2.1)
    assert engine.events() == []


def test_a_reply_is_interrupted_only_once() -> None:
    engine = audible()
    engine.receive_speech(1.5, 2.0)
    engine.handle_timeout(2.5)
    assert engine.events() == [BrokenIn()]


def test_a_policy_without_interruptions_does_not_even_duck() -> None:
    engine = audible(InterruptionConfig(enabled=False))
    engine.receive_suspicion(2.0)
    engine.receive_speech(1.5, 2.1)
    engine.handle_timeout(3.0)
    assert (engine.events(), engine.next_timeout()) == ([], None)


def test_without_ducking_confirmed_speech_still_interrupts() -> None:
    engine = audible(InterruptionConfig(at_onset="none"))
    engine.receive_suspicion(2.0)
    assert engine.events() == []
    engine.receive_speech(1.5, 2.1)
    assert engine.events() == [BrokenIn()]
