# SPDX-License-Identifier: GPL-3.0-or-later
"""The `[agents.NAME]` table."""

import pytest
from pydantic import ValidationError

from agent.config import AgentConfig


def test_an_empty_table_is_a_working_agent() -> None:
    config = AgentConfig.model_validate({})
    assert (config.stt, config.llm, config.tts) == ("local", "local", "local")
    assert config.greeting


def test_an_unknown_key_is_a_fault_with_its_place() -> None:
    with pytest.raises(ValidationError) as raised:
        AgentConfig.model_validate({"turn": {"max_wait": 700}, "vioce": "joe"})
    assert {error["loc"] for error in raised.value.errors()} == {("turn", "max_wait"), ("vioce",)}


@pytest.mark.parametrize(
    "table",
    [
        {"turn": {"over_probability": 1.1}},
        {"turn": {"ask_after_ms": -1}},
        {"interruption": {"at_onset": "shout"}},
        {"interruption": {"duck_gain_db": 3}},
        {"speculation": "on"},
        {"phrases": {"max_failures": 0}},
    ],
)
def test_values_out_of_range_are_faults(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AgentConfig.model_validate(table)


def test_waits_that_do_not_grow_are_a_fault() -> None:
    with pytest.raises(ValidationError, match="waits must not decrease"):
        AgentConfig.model_validate({"turn": {"short_wait_ms": 1_800}})
