# SPDX-License-Identifier: GPL-3.0-or-later
"""What a campaign wants of one call."""

import pytest

from agent.config import AgentConfig, FarEndConfig, SilenceConfig
from gateway.calls.campaign_order import CampaignOrder
from gateway.errors import GatewayMisuse

AGENT = AgentConfig(
    greeting="Good morning.", far_end=FarEndConfig(voicemail="message", message="Call us back.", max_hold_s=77)
)


def test_the_campaigns_message_takes_the_place_of_the_agents_own() -> None:
    config = CampaignOrder("message", "This is for Jane.").applied_to(AGENT)
    assert (config.far_end.voicemail, config.far_end.message) == ("message", "This is for Jane.")
    assert (config.far_end.max_hold_s, config.greeting) == (77, "Good morning.")


@pytest.mark.parametrize("action", ["hang_up", "retry"])
def test_a_machine_that_is_to_get_nothing_gets_nothing(action: str) -> None:
    config = CampaignOrder("retry" if action == "retry" else "hang_up").applied_to(AGENT)
    assert (config.far_end.voicemail, config.far_end.message) == ("hang_up", "")


def test_who_does_not_want_machines_told_from_people_talks_to_all() -> None:
    assert not CampaignOrder(detect=False).applied_to(AGENT).far_end.recognize


@pytest.mark.parametrize(
    ("longest_s", "agent_ends_after_s"), [(600.0, 585.0), (20.0, 15.0), (None, 7_200.0), (9_000.0, 7_200.0)]
)
def test_the_agent_takes_leave_before_the_call_is_cut_off(longest_s: float | None, agent_ends_after_s: float) -> None:
    assert CampaignOrder(max_duration_s=longest_s).applied_to(AGENT).silence.max_call_s == agent_ends_after_s


def test_an_agent_without_a_limit_of_its_own_has_the_campaigns() -> None:
    endless = AGENT.model_copy(update={"silence": SilenceConfig(max_call_s=0)})
    assert CampaignOrder(max_duration_s=100.0).applied_to(endless).silence.max_call_s == 85.0


def test_a_message_without_the_action_and_the_action_without_a_message_are_refused() -> None:
    with pytest.raises(GatewayMisuse):
        CampaignOrder("message")
    with pytest.raises(GatewayMisuse):
        CampaignOrder("hang_up", "Hello")
    with pytest.raises(GatewayMisuse):
        CampaignOrder(max_duration_s=0)


def test_what_the_list_says_is_in_the_prompt_and_in_the_places_that_the_greeting_has_for_it() -> None:
    agent = AgentConfig(prompt="You call for {practice}.", greeting="Hello {name}, this is {practice}. {unknown}")
    about = {"name": "Ann", "practice": "Green Lane", "note": ""}
    config = CampaignOrder(about=about).applied_to(agent)
    assert config.greeting == "Hello Ann, this is Green Lane. {unknown}"
    assert config.prompt.startswith("You call for Green Lane.\n")
    assert config.prompt.endswith("\n- name: Ann\n- practice: Green Lane")
    assert CampaignOrder().applied_to(agent).prompt == "You call for {practice}."
