# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever changes, removes, reorders or cuts off what was noted is found out."""

from pathlib import Path

import pytest

from gateway.store import SessionStore
from media.encryption import EncryptionKey
from tests.gateway.test_store_campaigns import opened
from tests.store_databases import place, query

pytestmark = pytest.mark.usefixtures("each_database")

KEY = EncryptionKey.parse("b2xk" * 10 + "b2w=")


async def note(store: SessionStore, *actions: str) -> None:
    for action in actions:
        await store.audit(action, "subject")
    await store.flush()


def tamper(folder: Path, table: str, statement: str) -> None:
    """As somebody does who has the database: the triggers are no obstacle to them."""
    if place.server is not None:
        query(
            folder, f"ALTER TABLE {table} DISABLE TRIGGER USER", statement, f"ALTER TABLE {table} ENABLE TRIGGER USER"
        )
    else:
        query(folder, f"DROP TRIGGER {table}_no_update", f"DROP TRIGGER {table}_no_delete", statement)


@pytest.mark.parametrize("key", [None, KEY])
async def test_what_is_noted_is_chained_in_order_and_verified(tmp_path: Path, key: EncryptionKey | None) -> None:
    async with opened(tmp_path, key) as store:
        await note(store, "a", "b")
        assert (await store.audit_log.verify()).waiting == 2
        assert await store.audit_log.chain() == 2
        first = await store.audit_log.verify()
        await note(store, "c")
        assert await store.audit_log.chain() == 1
        assert await store.audit_log.chain() == 0
        whole = await store.audit_log.verify(first.head)
        assert (whole.lines, whole.waiting, whole.problems) == (3, 0, ())
        lines = await store.audit_log.lines(0, 10)
        assert [(line.action, line.position) for line in lines] == [("a", 1), ("b", 2), ("c", 3)]
        assert [line.action for line in await store.audit_log.lines(lines[0].audit_id, 1)] == ["b"]


async def test_two_gateways_make_one_chain(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        for _ in range(3):
            await note(one, "one")
            await note(other, "other")
            await one.audit_log.chain()
            await other.audit_log.chain()
        verified = await other.audit_log.verify()
        assert (verified.lines, verified.problems) == (6, ())


@pytest.mark.parametrize(
    ("table", "statement", "problem"),
    [
        ("audit", "UPDATE audit SET action = 'x' WHERE action = 'b'", "line 2 (id 2) has been changed"),
        ("audit", "DELETE FROM audit WHERE action = 'b'", "line 2 has been removed from the log"),
        ("audit_chain", "DELETE FROM audit_chain WHERE position = 2", "lines 2 to 2 are missing"),
        (
            "audit_chain",
            "UPDATE audit_chain SET audit_id = -audit_id",
            "line 1 has been removed from the log",
        ),
    ],
)
async def test_what_was_done_to_the_log_is_found_out(tmp_path: Path, table: str, statement: str, problem: str) -> None:
    async with opened(tmp_path) as store:
        await note(store, "a", "b", "c")
        await store.audit_log.chain()
    tamper(tmp_path, table, statement)
    async with opened(tmp_path) as store:
        problems = (await store.audit_log.verify()).problems
        assert any(problem in one for one in problems), problems


async def test_an_end_that_was_cut_off_is_found_out_by_a_head_that_was_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await note(store, "a", "b", "c")
        await store.audit_log.chain()
        head = (await store.audit_log.verify()).head
    tamper(tmp_path, "audit", "DELETE FROM audit WHERE action = 'c'")
    tamper(tmp_path, "audit_chain", "DELETE FROM audit_chain WHERE position = 3")
    async with opened(tmp_path) as store:
        assert (await store.audit_log.verify()).problems == ()
        problems = (await store.audit_log.verify(head)).problems
        assert any("cut off" in one for one in problems)


async def test_who_has_the_database_and_not_the_key_can_make_no_line_that_holds(tmp_path: Path) -> None:
    async with opened(tmp_path, KEY) as store:
        await note(store, "a", "b")
        await store.audit_log.chain()
    async with opened(tmp_path / "elsewhere") as forger:
        await note(forger, "a", "b")
        await forger.audit_log.chain()
        forged = [line.hash for line in await forger.audit_log.lines(0, 10)]
    tamper(tmp_path, "audit_chain", f"UPDATE audit_chain SET hash = '{forged[1]}' WHERE position = 2")
    async with opened(tmp_path, KEY) as store:
        assert (await store.audit_log.verify()).problems


async def test_after_a_change_of_the_key_the_old_lines_are_still_verified(tmp_path: Path) -> None:
    async with opened(tmp_path, KEY) as store:
        await note(store, "a")
        await store.audit_log.chain()
    newer = EncryptionKey(bytes(range(32)), (KEY,))
    async with opened(tmp_path, newer) as store:
        await note(store, "b")
        await store.audit_log.chain()
        assert (await store.audit_log.verify()).problems == ()
