# SPDX-License-Identifier: GPL-3.0-or-later
"""What is PostgreSQL's own: several gateways on one database, how it may be misconfigured, what it does not store."""

import asyncio
import itertools
from pathlib import Path

import pytest

from gateway.errors import StaleVersion, StartupError
from gateway.store import TranscriptEntry, open_store
from gateway.store import schema as schemas
from gateway.store.agent_versions import AgentVersion, AgentWords
from gateway.telemetry import Metrics
from tests.gateway.test_store import NOON, session
from tests.gateway.test_store_campaigns import campaign, claim
from tests.postgresql_server import PASSWORD, USER, PostgreSqlServer
from tests.store_databases import query, url_of

pytestmark = pytest.mark.usefixtures("on_postgresql")


async def test_a_gateway_that_starts_ends_its_own_sessions_while_others_live(tmp_path: Path) -> None:
    url, metrics = url_of(tmp_path), Metrics()
    async with open_store(url, tmp_path / "a", metrics, node="a") as a:
        await a.begin(session("of a"))
        await a.flush()
        async with open_store(url, tmp_path / "b", metrics, node="b") as b:
            assert (a.was_alone, b.was_alone) == (True, False)
            await b.begin(session("of b"))
            await b.begin(session("adopted"))
            await b.flush()
            await a.adopted("adopted")
            await a.flush()
        async with open_store(url, tmp_path / "b", metrics, node="b") as b:
            assert b.left_open == ("of b",)
            ends = {one.call_id: one.end_reason for one in await b.recent(10)}
    assert ends == {"of a": None, "adopted": None, "of b": "gateway_restarted"}
    async with open_store(url, tmp_path / "c", metrics, node="c") as c:
        assert c.was_alone
        assert sorted(c.left_open) == ["adopted", "of a"], "nobody else is there who could have them"


async def test_gateways_with_other_folders_and_no_names_leave_each_other_alone(tmp_path: Path) -> None:
    url, metrics = url_of(tmp_path), Metrics()
    async with open_store(url, tmp_path / "a", metrics) as a:
        await a.begin(session("of a"))
        await a.flush()
        async with open_store(url, tmp_path / "b", metrics) as b:
            assert b.left_open == ()
            assert [one.ended_at for one in await b.recent(10)] == [None]


async def test_sessions_of_a_node_that_died_can_be_ended_by_another(tmp_path: Path) -> None:
    async with open_store(url_of(tmp_path), tmp_path, Metrics(), node="a") as a:
        await a.begin(session("mine"))
        await a.flush()
        query(tmp_path, "UPDATE sessions SET node = 'dead'")
        assert await a.end_sessions_of("dead", "node_died") == ("mine",)
        assert await a.end_sessions_of("dead", "node_died") == ()


async def test_of_many_gateways_that_claim_at_once_no_two_get_the_same_contact(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    async with (
        open_store(url, tmp_path / "a", Metrics()) as a,
        open_store(url, tmp_path / "b", Metrics()) as b,
        open_store(url, tmp_path / "c", Metrics()) as c,
    ):
        await campaign(a, contacts=60)
        claims = await asyncio.gather(
            *(claim(store, 40, node=f"n{n}", gap_s=0.01, horizon_s=10) for n, store in enumerate((a, b, c) * 4))
        )
        got = [attempt for one in claims for attempt in one.attempts]
        assert len({one.contact_id for one in got}) == len(got) == 40, "40 may stand at once, whoever asks"
        slots = sorted(one.slot_at for one in got)
        assert all(later - earlier > 0.009 for earlier, later in itertools.pairwise(slots))


async def test_a_number_barred_and_an_agent_edited_by_two_at_once(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    async with open_store(url, tmp_path / "a", Metrics()) as a, open_store(url, tmp_path / "b", Metrics()) as b:
        await asyncio.gather(*(one.do_not_call.add("+493012345678", NOON, "api") for one in (a, b) * 10))
        assert len(await a.do_not_call.listed()) == 1
        words = AgentWords("be kind", "hello")
        versions = [AgentVersion("desk", 1, NOON, "key", "", words, words) for _ in range(6)]
        found = await asyncio.gather(
            *(one.agent_versions.add(v) for one, v in zip((a, b) * 3, versions, strict=True)), return_exceptions=True
        )
        assert [one for one in found if one is None] == [None]
        assert sum(isinstance(one, StaleVersion) for one in found) == 5


async def test_text_that_postgresql_does_not_take_is_kept_all_the_same(tmp_path: Path) -> None:
    odd = "a\0b \ud83d c \N{GRINNING FACE}"
    async with open_store(url_of(tmp_path), tmp_path, Metrics()) as store:
        await store.begin(session("c1").model_copy(update={"metadata": {"odd": odd}}))
        await store.add_transcript("c1", TranscriptEntry(role="user", text=odd, started_ms=0, ended_ms=1))
        record = await store.get("c1")
        assert await store.get("no\0such") is None
    assert record is not None
    assert record.transcript[0].text == "a\N{REPLACEMENT CHARACTER}b ? c \N{GRINNING FACE}"
    assert record.metadata["odd"].startswith("a\0b")


def wrong(server: PostgreSqlServer, what: str, tmp_path: Path) -> tuple[str, str]:
    """A URL with this wrong, and what is said of it."""
    url = url_of(tmp_path)
    match what:
        case "password":
            return url.replace(PASSWORD, "hunter2secret"), f'password authentication failed for user "{USER}"'
        case "database":
            return server.url("nowhere"), 'database "nowhere" does not exist'
        case "port":
            return url.replace(f":{server.port}/", ":1/"), "onnect"
        case "host":
            return url.replace("127.0.0.1", "no-such-host.invalid"), "database postgresql"
        case "encoding":
            server.execute("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
            return server.url("latin"), "its encoding is LATIN1"
        case _:
            server.execute("postgres", "CREATE ROLE guest LOGIN PASSWORD 'swordfish'")
            return server.create("foreign").replace(f"//{USER}:", "//guest:"), "permission denied for schema public"


@pytest.mark.parametrize("what", ["password", "database", "port", "host", "encoding", "rights"])
async def test_what_is_wrong_with_the_url_or_the_server_is_said_without_the_password(
    on_postgresql: PostgreSqlServer, tmp_path: Path, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    url, said = wrong(on_postgresql, what, tmp_path)
    with pytest.raises(StartupError) as caught:
        async with open_store(url, tmp_path, Metrics()):
            pass
    assert said in str(caught.value)
    everything = str(caught.value) + repr(caught.value.__cause__) + "".join(capfd.readouterr())
    assert PASSWORD not in everything
    assert "hunter2secret" not in everything


async def test_a_server_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "OLDEST_SERVER", 990_000)
    with pytest.raises(StartupError, match=r"the server is PostgreSQL \d+; at least 99 is needed"):
        async with open_store(url_of(tmp_path), tmp_path, Metrics()):
            pass
