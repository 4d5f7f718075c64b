# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a silent caller is waited for, and how long a call may last."""

from agent.config import SilenceConfig
from agent.silence import CallEndsSoon, CallHygiene, CutOff, Farewell, HygieneEvent, Reprompt

CONFIG = SilenceConfig(reprompt_after_s=10, max_reprompts=2, phrases=("Hello?", "Are you there?"), goodbye="Bye.")
LONG = SilenceConfig(reprompt_after_s=0, max_call_s=600, warn_before_s=60, call_ends_soon="Soon.", call_over="Over.")


class Patience:
    """The engine, with a shell that says what it is told to in two seconds."""

    def __init__(self, config: SilenceConfig = CONFIG) -> None:
        self.engine = CallHygiene(config, 100.0)
        self.now = 100.0
        self.engine.receive_quiet(True, self.now)

    def until(self, now: float) -> list[tuple[float, HygieneEvent]]:
        """What happens by then, and when."""
        happened: list[tuple[float, HygieneEvent]] = []
        while (due := self.engine.next_timeout()) is not None and due <= now:
            self.now = due
            self.engine.handle_timeout(due)
            for event in self.engine.events():
                happened.append((due, event))
                self.engine.receive_quiet(False, due)
                self.engine.receive_quiet(True, due + 2)
        self.now = now
        return happened


def test_a_silent_caller_is_asked_twice_and_then_taken_leave_of() -> None:
    assert Patience().until(140) == [
        (110, Reprompt(1, "Hello?")),
        (122, Reprompt(2, "Are you there?")),
        (134, Farewell("Bye.", "silence")),
    ]


def test_a_turn_begins_the_prompts_anew() -> None:
    patience = Patience()
    assert len(patience.until(123)) == 2
    patience.engine.receive_turn("I am here")
    assert patience.until(135) == [(134, Reprompt(1, "Hello?"))]


def test_a_noise_begins_the_wait_anew_but_not_the_prompts() -> None:
    patience = Patience()
    patience.until(111)
    patience.engine.receive_quiet(False, 115)
    patience.engine.receive_quiet(True, 116)
    assert patience.until(127) == [(126, Reprompt(2, "Are you there?"))]


def test_while_there_is_no_quiet_nobody_is_asked() -> None:
    patience = Patience()
    patience.engine.receive_quiet(False, 109)
    assert patience.until(900) == []
    patience.engine.receive_quiet(True, 900)
    assert patience.until(911) == [(910, Reprompt(1, "Hello?"))]


def test_more_prompts_than_phrases_repeat_the_last_one() -> None:
    patience = Patience(CONFIG.model_copy(update={"max_reprompts": 3}))
    assert [event for _, event in patience.until(135)][2] == Reprompt(3, "Are you there?")


def test_who_asks_for_a_moment_gets_it() -> None:
    patience = Patience()
    patience.engine.receive_turn("One moment, please.")
    assert patience.until(159) == []
    assert patience.until(161) == [(160, Reprompt(1, "Hello?"))]
    assert patience.until(173) == [(172, Reprompt(2, "Are you there?"))]


def test_nobody_is_asked_when_the_wait_is_nought() -> None:
    assert Patience(SilenceConfig(reprompt_after_s=0, max_call_s=0)).until(100_000) == []


def test_without_prompts_the_first_silence_ends_the_call() -> None:
    patience = Patience(CONFIG.model_copy(update={"max_reprompts": 0}))
    assert patience.until(111) == [(110, Farewell("Bye.", "silence"))]


def test_a_long_call_is_warned_and_ended_politely() -> None:
    assert Patience(LONG).until(701) == [(640, CallEndsSoon("Soon.")), (700, Farewell("Over.", "max_call"))]


def test_a_caller_who_cannot_be_told_that_the_call_is_over_is_cut_off() -> None:
    happened = Patience(LONG).until(10_000)
    assert happened[-1] == (730, CutOff("max_call"))
    assert len(happened) == 3


def test_a_call_may_be_ended_without_a_warning() -> None:
    patience = Patience(LONG.model_copy(update={"warn_before_s": 0}))
    assert patience.until(701) == [(700, Farewell("Over.", "max_call"))]


def test_what_lasted_before_the_agent_came_counts() -> None:
    engine = CallHygiene(LONG, began_at=-500.0)
    assert engine.next_timeout() == 40
