# SPDX-License-Identifier: GPL-3.0-or-later
"""The example campaigns: their policies are valid, their lists fit them, their gateways have the agents they name."""

from pathlib import Path

import pytest

from agent.knowledge.reading import Document, read_document
from gateway.campaigns.lists import Contact, ListProblem, read_list
from gateway.campaigns.policy import Policy
from gateway.environment import load_config

EXAMPLES = Path(__file__).parents[2] / "scripts/examples/campaigns"
NAMES = sorted(folder.name for folder in EXAMPLES.iterdir())


def policy_of(name: str) -> Policy:
    return Policy.from_toml((EXAMPLES / name / "campaign.toml").read_text(), name)


def test_there_are_the_three_that_people_ask_for() -> None:
    assert NAMES == ["appointment", "screening", "verification"]


@pytest.mark.parametrize("name", NAMES)
def test_everybody_on_the_list_can_be_called_but_for_who_has_not_agreed(name: str) -> None:
    rows = list(read_list([(EXAMPLES / name / "list.csv").read_bytes()], "csv", policy_of(name)))
    problems = [row for row in rows if isinstance(row, ListProblem)]
    contacts = [row for row in rows if isinstance(row, Contact)]
    assert [problem.is_consent for problem in problems] == ([True] if name == "screening" else [])
    assert len(contacts) >= 3
    assert len({contact.number for contact in contacts}) == len(contacts)
    assert all("name" in contact.metadata for contact in contacts)


@pytest.mark.parametrize("name", NAMES)
def test_the_gateway_beside_it_has_its_agent_a_trunk_and_knowledge(name: str) -> None:
    config = load_config(EXAMPLES / name / "parley.toml", {})
    agent = config.agents[policy_of(name).agent or ""]
    assert (agent.stt, agent.llm, agent.tts) == ("local", "local", "local")
    assert agent.greeting
    assert [trunk.name for trunk in config.trunk] == ["provider"]
    assert agent.knowledge is not None
    (source,) = agent.knowledge.sources
    assert len(read_document(Document(source, "knowledge.md", ".md"))) >= 3
