# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents that are edited: in force with the next call, taken back, refused with a cause, and there after a restart."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.local.engines import OfflineEngines
from gateway.agent_desk import AgentDesk, edited_agents
from gateway.agents import Staff
from gateway.api.agents import agents_router
from gateway.config import Config
from gateway.guard import OutboundGuard
from gateway.knowledge import open_knowledge
from gateway.services import Services
from gateway.store import open_store
from gateway.telemetry import Metrics
from gateway.tools import open_tools
from gateway.work import WorkBoard
from tests.agent.local.conftest import engines, model_folder
from tests.gateway.test_api_calls import Api, running_api

__all__ = ["engines", "model_folder"]

SAUNA = "# House\n## Where is the sauna?\nThe sauna is on the roof.\n"


class Desk:
    """The addresses of one agent, `clerk`."""

    def __init__(self, api: Api, desk: AgentDesk, audits: list[tuple[str, str]]) -> None:
        self.api = api
        self.desk = desk
        self.audits = audits

    async def get(self, path: str = "") -> dict[str, Any]:
        answer = await self.api.client.get(f"/api/v1/agents/clerk{path}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def put(self, order: Mapping[str, object], status: int = 200) -> dict[str, Any]:
        answer = await self.api.client.put("/api/v1/agents/clerk", json=order)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def restore(self, version: int, status: int = 200) -> dict[str, Any]:
        answer = await self.api.client.post(f"/api/v1/agents/clerk/versions/{version}/restore")
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def knows(self, question: str) -> str:
        """The best answer of its knowledge."""
        (match,) = await self.desk.knowledge("clerk").search(question)
        return match.entry.answer


@asynccontextmanager
async def opened(engines: OfflineEngines, folder: Path, config: AgentConfig) -> AsyncIterator[Desk]:
    """As `parley serve` puts it together."""
    board, configs = WorkBoard(), {"clerk": config}
    whole = Config(agents=configs)
    url = f"sqlite+aiosqlite:///{folder}/parley.db"
    async with open_store(url, folder, Metrics()) as store, open_tools({}, OutboundGuard()) as tools:
        edited = await edited_agents(configs, store.agent_versions, folder)
        knowledge = await open_knowledge(configs, engines, OutboundGuard(), folder, board)
        metrics = Metrics()
        staff = Staff(configs, engines, Services(whole, metrics), board)
        agents = await staff.assemble(whole.media, tools, knowledge, metrics, {})
        desk = AgentDesk(configs, edited, agents, knowledge, store.agent_versions, folder)
        audits: list[tuple[str, str]] = []
        router = agents_router(desk, lambda action, subject: audits.append((action, subject)))
        async with running_api(folder / "api", routers=lambda store, journal: (router,)) as api:
            yield Desk(api, desk, audits)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "hours.md").write_text("# Hours\n## When are you open?\nWe are open from nine to five.\n")
    return tmp_path


@pytest.fixture
def config(folder: Path) -> AgentConfig:
    return AgentConfig.model_validate({"greeting": "Hello.", "knowledge": {"sources": [str(folder / "pages")]}})


@pytest.fixture
async def desk(engines: OfflineEngines, folder: Path, config: AgentConfig) -> AsyncIterator[Desk]:
    async with opened(engines, folder, config) as running:
        yield running


async def test_an_agent_is_what_the_configuration_says_until_it_is_edited(desk: Desk) -> None:
    agent = await desk.get()
    assert (agent["version"], agent["greeting"], agent["notes"], agent["edited_at"]) == (0, "Hello.", {}, None)
    assert agent["documents"] == ["hours.md"]
    (version,) = (await desk.get("/versions"))["versions"]
    assert (version["version"], version["at"]) == (0, None)
    (one,) = (await desk.api.client.get("/api/v1/agents")).json()["agents"]
    assert (one["name"], one["stt"], one["realtime"]) == ("clerk", "local", "off")


async def test_an_edit_is_the_newest_version_and_leaves_out_what_it_does_not_name(desk: Desk) -> None:
    edited = await desk.put({"base_version": 0, "greeting": "Good day.", "note": "friendlier"})
    assert (edited["version"], edited["greeting"], edited["note"]) == (1, "Good day.", "friendlier")
    edited = await desk.put({"base_version": 1, "prompt": "Be brief.", "notes": {"house.md": SAUNA}})
    assert (edited["version"], edited["greeting"], edited["prompt"]) == (2, "Good day.", "Be brief.")
    assert edited["documents"] == ["hours.md", "house.md"]
    assert await desk.knows("Where can I find the sauna?") == "The sauna is on the roof."
    first = await desk.get("/versions/1")
    assert (first["greeting"], first["prompt"], first["notes"]) == ("Good day.", AgentConfig().prompt, {})
    assert [one["version"] for one in (await desk.get("/versions"))["versions"]] == [2, 1, 0]
    assert desk.audits == [("agent_edited", "clerk 1"), ("agent_edited", "clerk 2")]


async def test_a_note_goes_when_it_is_null_and_the_agent_forgets_it(desk: Desk) -> None:
    await desk.put({"base_version": 0, "notes": {"house.md": SAUNA}})
    edited = await desk.put({"base_version": 1, "notes": {"house.md": None}})
    assert (edited["notes"], edited["documents"]) == ({}, ["hours.md"])
    assert await desk.knows("Where can I find the sauna?") == "We are open from nine to five."


async def test_who_has_not_seen_the_newest_version_is_told_and_changes_nothing(desk: Desk) -> None:
    await desk.put({"base_version": 0, "greeting": "First."})
    problem = await desk.put({"base_version": 0, "greeting": "Second."}, status=409)
    assert problem["type"] == "urn:parley:problem:stale-version"
    assert (await desk.get())["greeting"] == "First."


async def test_of_two_at_the_same_time_one_is_told(desk: Desk) -> None:
    orders = [{"base_version": 0, "greeting": f"{number}."} for number in range(4)]
    url = "/api/v1/agents/clerk"
    answers = await asyncio.gather(*(desk.api.client.put(url, json=order) for order in orders))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    (won,) = (answer.json()["greeting"] for answer in answers if answer.status_code == 200)
    assert (await desk.get())["greeting"] == won


@pytest.mark.parametrize(
    ("notes", "cause"),
    [
        ({"house.md": "The sauna is on the roof."}, "house.md:1: text before the first heading"),
        ({"house.md": "# House\n## Where is it?\n"}, "house.md:2: no answer below the heading"),
        ({"house.md": ""}, "house.md:1: no heading with a text below it"),
        ({"../house.md": SAUNA}, "is no name of a note"),
        ({"house.txt": SAUNA}, "is no name of a note"),
        ({".house.md": SAUNA}, "is no name of a note"),
        ({f"{number}.md": SAUNA for number in range(51)}, None),
    ],
)
async def test_a_note_that_cannot_be_knowledge_is_refused_and_the_version_before_stays_in_force(
    desk: Desk, notes: dict[str, str], cause: str | None
) -> None:
    await desk.put({"base_version": 0, "greeting": "First.", "notes": {"pool.md": "# Pool\nIn the cellar.\n"}})
    problem = await desk.put({"base_version": 1, "greeting": "Second.", "notes": notes}, status=422)
    assert cause is None or cause in problem["detail"]
    agent = await desk.get()
    assert (agent["version"], agent["greeting"], list(agent["notes"])) == (1, "First.", ["pool.md"])
    assert await desk.knows("Where is the pool?") == "In the cellar."
    assert (await desk.put({"base_version": 1, "greeting": "Second."}))["version"] == 2


async def test_knowledge_that_grows_too_large_leaves_the_version_before_in_force(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.knowledge.library._MOST_KEYS", 10)
    many = "\n".join(f"## How many are {number}?\nThey are {number}." for number in range(20))
    problem = await desk.put({"base_version": 0, "notes": {"many.md": f"# Many\n{many}"}}, status=422)
    assert "too large" in problem["detail"]
    agent = await desk.get()
    assert (agent["version"], agent["notes"], agent["documents"]) == (0, {}, ["hours.md"])
    assert (await desk.put({"base_version": 0, "notes": {"house.md": SAUNA}}))["version"] == 1


async def test_an_old_version_comes_back_as_a_new_one_and_so_does_the_configuration(desk: Desk) -> None:
    await desk.put({"base_version": 0, "greeting": "First.", "notes": {"house.md": SAUNA}})
    await desk.put({"base_version": 1, "greeting": "Second.", "notes": {"house.md": None}})
    restored = await desk.restore(1)
    assert (restored["version"], restored["greeting"], list(restored["notes"])) == (3, "First.", ["house.md"])
    assert await desk.knows("Where can I find the sauna?") == "The sauna is on the roof."
    restored = await desk.restore(0)
    assert (restored["version"], restored["greeting"], restored["notes"]) == (4, "Hello.", {})
    assert (await desk.restore(7, status=404))["type"] == "urn:parley:problem:no-such-version"


async def test_after_a_restart_the_newest_version_is_in_force_and_a_new_configuration_is_told(
    engines: OfflineEngines, folder: Path, config: AgentConfig
) -> None:
    async with opened(engines, folder, config) as desk:
        await desk.put({"base_version": 0, "greeting": "First.", "notes": {"house.md": SAUNA}})
        assert not (await desk.get())["configured_anew"]
    async with opened(engines, folder, config) as desk:
        agent = await desk.get()
        assert (agent["version"], agent["greeting"], agent["configured_anew"]) == (1, "First.", False)
        assert await desk.knows("Where can I find the sauna?") == "The sauna is on the roof."
    async with opened(engines, folder, config.model_copy(update={"greeting": "From the file."})) as desk:
        agent = await desk.get()
        assert (agent["greeting"], agent["configured_anew"]) == ("First.", True)
        agent = await desk.restore(0)
        assert (agent["greeting"], agent["configured_anew"]) == ("From the file.", False)


async def test_what_lies_in_the_folder_of_notes_without_a_version_is_nobodys(
    engines: OfflineEngines, folder: Path, config: AgentConfig
) -> None:
    async with opened(engines, folder, config) as desk:
        await desk.put({"base_version": 0, "notes": {"house.md": SAUNA}})
    notes = folder / "knowledge" / "notes" / "clerk"
    (notes / "house.md").write_text("torn")
    (notes / "foreign.md").write_text("torn, too")
    async with opened(engines, folder, config) as desk:
        assert (await desk.get())["documents"] == ["hours.md", "house.md"]
    assert (notes / "house.md").read_text() == SAUNA
    assert not (notes / "foreign.md").exists()


async def test_an_agent_that_is_not_there_has_no_versions(desk: Desk) -> None:
    for method, path in (("GET", ""), ("GET", "/versions"), ("GET", "/versions/1"), ("POST", "/versions/1/restore")):
        answer = await desk.api.client.request(method, f"/api/v1/agents/nobody{path}")
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:parley:problem:no-such-agent")


async def test_who_may_look_may_not_edit(desk: Desk) -> None:
    made = await desk.api.client.post("/api/v1/keys", json={"name": "viewer", "scopes": ["calls:read"]})
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    stranger, url = desk.api.stranger, "/api/v1/agents/clerk"
    assert (await stranger.get(url, headers=headers)).status_code == 200
    assert (await stranger.put(url, json={"base_version": 0}, headers=headers)).status_code == 403
    assert (await stranger.post(f"{url}/versions/0/restore", headers=headers)).status_code == 403
