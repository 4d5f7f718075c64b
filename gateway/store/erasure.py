# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything of one person goes: the right to erasure (GDPR, article 17).

sessions, both ways, with recordings, words, events and SIP messages     gone (`SessionStore.erase`), unless held
what agents remember, consents                                           gone
contacts of campaigns                                                    number and columns gone; the sums stay
the do-not-call list                                                     stays: it is there so that nobody calls them
the audit log                                                            gets a line with the person's keyed digest
"""

import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, or_, select, update

from gateway.campaigns.outcome import ContactState, Outcome
from gateway.errors import SessionHeld
from gateway.sip.identity import named_caller
from gateway.store.campaign_tables import AttemptRow, ContactRow
from gateway.store.campaigns import SEALED_METADATA, SEALED_NUMBER, locked_campaign
from gateway.store.number_keys import NumberKeys
from gateway.store.repository import SessionStore
from gateway.store.tables import CallerRow, EventRow, SessionRow

_GONE = "erased:"
"""Begins what is in the place of a contact's digest: no number has one like it."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was found, and what became of it."""

    digest: str
    """Keyed digest of the person, as the audit log has it."""
    at: datetime
    sessions: int
    recordings: int
    """Of those sessions."""
    contacts: int
    """Of campaigns."""
    held: tuple[str, ...]
    """Sessions that must be kept (legal hold)."""
    standing: tuple[str, ...]
    """Calls that go on: to be erased once they are over."""


async def erase_caller(store: SessionStore, caller: str) -> Erasure:
    """`caller`: a number or an address, as of `/memories`. Asking again is safe. Raises `StoreError`."""
    await store.flush()
    identities, number = named_caller(caller)
    names = {caller.strip(), number, caller.strip().removeprefix("sip:")} - {""}
    sessions = recordings = 0
    held: list[str] = []
    standing: list[str] = []
    for call_id, is_over, has_recording in await _sessions(store, identities, names):
        if not is_over:
            standing.append(call_id)
            continue
        try:
            sessions += await store.erase(call_id)
        except SessionHeld:
            held.append(call_id)
        else:
            recordings += has_recording
    await store.memories.forget(identities, number, wait=True)
    contacts = await _forget_contacts(store, names)
    digest = NumberKeys(store.key, "parley callers 1").of(number or caller.strip())
    await store.audit("caller_erased", digest)
    await store.flush()
    await store.forget_freed_pages()
    return Erasure(digest, datetime.now(UTC), sessions, recordings, contacts, tuple(held), tuple(standing))


async def _sessions(
    store: SessionStore, identities: Collection[str], names: Collection[str]
) -> list[tuple[str, bool, bool]]:
    """Id of each, whether it is over, and whether it has a recording."""
    digests = NumberKeys(store.key, "parley callers 1")
    hashes = [digest for identity in identities for digest in digests.all_of(identity)]
    keys = _keys(store, names)
    of_contact = select(AttemptRow.call_id).join(ContactRow, ContactRow.contact_id == AttemptRow.contact_id)
    theirs = or_(
        SessionRow.from_.in_(names),
        SessionRow.to.in_(names),
        SessionRow.call_id.in_(select(CallerRow.call_id).where(CallerRow.caller.in_(hashes))),
        SessionRow.call_id.in_(of_contact.where(ContactRow.number_key.in_(keys))),
    )
    query = select(SessionRow.call_id, SessionRow.ended_at, SessionRow.recording).where(theirs)
    async with store.database.reading() as connection:
        rows: Sequence[Any] = (await connection.execute(query)).all()
    return [(row[0], row[1] is not None, row[2] is not None) for row in rows]


def _keys(store: SessionStore, names: Collection[str]) -> list[str]:
    numbers = NumberKeys(store.key)
    return [key for name in names for key in numbers.all_of(name)]


async def _forget_contacts(store: SessionStore, names: Collection[str]) -> int:
    """Take number, columns and results out of the contacts of all campaigns; who waits is not called any more."""
    query = select(ContactRow.contact_id, ContactRow.campaign_id).where(
        ContactRow.number_key.in_(_keys(store, names)), ContactRow.state != ContactState.DIALING.value
    )
    async with store.database.reading() as connection:
        found: Sequence[Any] = (await connection.execute(query)).all()
    for contact_id, campaign_id in found:
        async with store.database.lasting() as connection:
            await locked_campaign(connection, campaign_id)
            state = await connection.scalar(select(ContactRow.state).where(ContactRow.contact_id == contact_id))
            if state == ContactState.WAITING.value:
                await store.campaigns.settle(connection, campaign_id, [(contact_id, Outcome.NOT_CALLED)])
            elif state == ContactState.DIALING.value:
                continue
            blank = {
                "number": store.sealer.seal("", SEALED_NUMBER),
                "number_key": f"{_GONE}{secrets.token_hex(16)}",
                "contact_metadata": store.sealer.seal("{}", SEALED_METADATA),
            }
            of_contact = update(ContactRow).where(ContactRow.contact_id == contact_id)
            await connection.execute(of_contact.values(blank))
            of_attempts = update(AttemptRow).where(AttemptRow.contact_id == contact_id)
            await connection.execute(of_attempts.values(disposition=None))
    await _forget_outcomes(store, names)
    return len(found)


async def _forget_outcomes(store: SessionStore, names: Collection[str]) -> None:
    """Events of attempts that became no call: those of calls have gone with their sessions."""
    query = select(EventRow.cursor, EventRow.data).where(
        EventRow.kind == "campaign.outcome", EventRow.call_id.is_(None)
    )
    async with store.database.reading() as connection:
        rows: Sequence[Any] = (await connection.execute(query)).all()
    theirs = [
        cursor for cursor, data in rows if json.loads(store.sealer.open(data, "events.data")).get("number") in names
    ]
    if theirs:
        async with store.database.lasting() as connection:
            await connection.execute(delete(EventRow).where(EventRow.cursor.in_(theirs)))
