# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a caller can be read and erased, by who may."""

from datetime import UTC, datetime, timedelta

from agent.recollection import Exchange, Recollection
from gateway.api.scopes import scope_needed
from tests.gateway.test_api_calls import Api, api
from tests.gateway.test_store import session

__all__ = ["api"]

ANNA = "sip:anna@192.0.2.7"


async def remember(api: Api) -> None:
    now = datetime.now(UTC)
    await api.store.begin(session("c9"))
    await api.store.memories.began("c9", ANNA, "desk", now, None)
    what = Recollection("Anna", (Exchange("where can I park", "behind the house"),))
    await api.store.memories.remember("c9", "desk", what, now + timedelta(days=1))
    await api.store.memories.consent(ANNA, "desk", True, now, now + timedelta(days=1))


async def test_what_is_remembered_is_shown_and_erased(api: Api) -> None:
    await remember(api)
    shown = (await api.client.get("/api/v1/memories", params={"caller": "anna@192.0.2.7"})).json()
    (memory,), (consent,) = shown["memories"], shown["consents"]
    assert (memory["call_id"], memory["agent"], memory["caller_name"]) == ("c9", "desk", "Anna")
    assert memory["exchanges"] == [{"asked": "where can I park", "answered": "behind the house"}]
    assert (consent["agent"], consent["given"]) == ("desk", True)
    assert (await api.client.delete("/api/v1/memories", params={"caller": ANNA})).status_code == 204
    assert (await api.client.get("/api/v1/memories", params={"caller": ANNA})).json() == {
        "memories": [],
        "consents": [],
    }


async def test_of_nobody_nothing_is_remembered(api: Api) -> None:
    await remember(api)
    for caller in ("sip:ben@192.0.2.7", "anonymous", "nonsense@@"):
        answer = await api.client.get("/api/v1/memories", params={"caller": caller})
        assert (answer.status_code, answer.json()) == (200, {"memories": [], "consents": []})
        assert (await api.client.delete("/api/v1/memories", params={"caller": caller})).status_code == 204
    assert (await api.client.get("/api/v1/memories", params={"caller": ANNA})).json()["memories"]


async def test_a_caller_must_be_named(api: Api) -> None:
    assert (await api.client.get("/api/v1/memories")).status_code == 422
    assert (await api.client.delete("/api/v1/memories", params={"caller": ""})).status_code == 422


def test_reading_and_erasing_need_the_scopes_of_sessions() -> None:
    assert scope_needed("GET", "/memories") == "sessions:read"
    assert scope_needed("DELETE", "/memories") == "sessions:erase"
