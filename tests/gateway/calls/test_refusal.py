# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks not to be called any more: the numbers that are barred, and how they reach the database."""

from datetime import UTC, datetime

import pytest

from gateway.calls.facts import CallFacts
from gateway.calls.refusal import bar, numbers_of
from gateway.errors import BadAddress, StoreError
from tests.fakes.virtual_time import in_virtual_time

NOW = datetime(2026, 11, 23, tzinfo=UTC)
NUMBER = "+493023125000"


@pytest.mark.parametrize(
    ("facts", "numbers"),
    [
        (CallFacts("c", "outbound", "parley", NUMBER), (NUMBER,)),
        (CallFacts("c", "outbound", "parley", "+49 30 23125000"), (NUMBER,)),
        (CallFacts("c", "outbound", "parley", f"sip:{NUMBER}@trunk"), (NUMBER, f"sip:{NUMBER}@trunk")),
        (CallFacts("c", "outbound", "parley", "sip:bob@host"), ("sip:bob@host",)),
        (CallFacts("c", "inbound", NUMBER, "100", peer=f"sip:{NUMBER}@h"), (NUMBER, f"sip:{NUMBER}@h")),
        (CallFacts("c", "inbound", "493023125000", "100"), (NUMBER,)),
        (CallFacts("c", "inbound", "alice", "100", peer="sip:alice@host"), ("sip:alice@host",)),
    ],
)
def test_the_far_end_is_known_by_its_number_or_its_address(facts: CallFacts, numbers: tuple[str, ...]) -> None:
    assert numbers_of(facts) == numbers


@pytest.mark.parametrize("from_", ["anonymous", "sip:anonymous@anonymous.invalid", "030123", ""])
def test_who_hides_cannot_be_barred(from_: str) -> None:
    with pytest.raises(BadAddress):
        numbers_of(CallFacts("c", "inbound", from_, "100", peer="sip:anonymous@anonymous.invalid"))


class _Database:
    """Refuses so many times."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.added: list[tuple[str, datetime, str]] = []

    async def add(self, number: str, now: datetime, cause: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreError("the disk is full")
        self.added.append((number, now, cause))


@in_virtual_time
async def test_a_database_that_is_away_for_a_moment_gets_it_later() -> None:
    database = _Database(refusals=3)
    await bar([NUMBER, "sip:bob@host"], database.add, NOW, "call_1")
    assert database.added == [(NUMBER, NOW, "asked"), ("sip:bob@host", NOW, "asked")]


@in_virtual_time
async def test_a_database_that_stays_away_does_not_hold_the_gateway_up_for_ever() -> None:
    database = _Database(refusals=1_000)
    await bar([NUMBER], database.add, NOW, "call_1")
    assert not database.added
