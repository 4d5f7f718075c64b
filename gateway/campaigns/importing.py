# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a list into a campaign in a process of its own: a million rows must not be heard in any call.

standard input: the order, one line of JSON; then the list's bytes, as they come
standard output: `{"rows": 20000}` now and then; at last `{"report": {...}}` or `{"unreadable": "..."}`, in lines
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from gateway.campaigns.lists import Contact, ListKind, ListProblem, read_list
from gateway.campaigns.policy import Policy
from gateway.errors import CampaignError, StoreError
from gateway.store.campaigns import CampaignRows
from gateway.store.opening import open_campaigns
from media.encryption import EncryptionKey

_BATCH = 2_000
_TOLD_ROWS = 20_000
_MOST_PROBLEMS = 1_000
_PIECE_BYTES = 1 << 16
_NICENESS = 10


class ImportOrder(BaseModel):
    """What is to be read where."""

    model_config = ConfigDict(hide_input_in_errors=True)

    database_url: str
    key: str | None = Field(repr=False)
    """As `EncryptionKey.from_text` takes it."""
    campaign_id: str
    kind: ListKind
    policy: Policy


class RowProblem(BaseModel):
    """Why a row is not called."""

    line: int
    column: str = ""
    """Empty: the whole row."""
    problem: str


class ListReport(BaseModel):
    """What became of a list."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    rows: int = 0
    """Without the first line of a CSV file, and empty ones."""
    accepted: int = 0
    invalid: int = 0
    """Rows that cannot be called."""
    duplicates: int = 0
    """Numbers that stand further above, or were in the campaign."""
    do_not_call: int = 0
    """On the do-not-call list."""
    no_consent: int = 0
    """The consent column does not say yes."""
    problems: list[RowProblem] = []
    """The first 1,000, each with its line."""
    more_problems: int = 0
    """What is not among them."""

    def complain(self, line: int, column: str, problem: str) -> None:
        """One more."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(RowProblem(line=line, column=column, problem=problem))
        else:
            self.more_problems += 1


async def add_list(
    rows: Iterator[Contact | ListProblem], campaign_id: str, policy: Policy, campaigns: CampaignRows
) -> ListReport:
    """Add the contacts of a list that was read, all or, when it turns out unreadable, none. Raises `ListUnreadable`,
    `NoSuchCampaign`, `WrongCampaignState`, `StoreError`."""
    report = ListReport()
    await _discard(campaign_id, campaigns)  # what a process that died has left
    try:
        while batch := list(itertools.islice(rows, _BATCH)):
            await _add(batch, campaign_id, policy, campaigns, report)
            if report.rows % _TOLD_ROWS < len(batch):
                print(json.dumps({"rows": report.rows}), flush=True)
        while await campaigns.release(campaign_id):
            pass
    except CampaignError:
        await _discard(campaign_id, campaigns)
        raise
    return report


async def _add(
    batch: list[Contact | ListProblem], campaign_id: str, policy: Policy, campaigns: CampaignRows, report: ListReport
) -> None:
    contacts = [one for one in batch if isinstance(one, Contact)]
    report.rows += len(batch)
    for one in batch:
        if isinstance(one, ListProblem):
            if one.is_consent:
                report.no_consent += 1
            else:
                report.invalid += 1
            report.complain(one.line, one.column, one.problem)
    duplicates, barred = await campaigns.add_contacts(campaign_id, contacts, datetime.now(UTC))
    for line in duplicates:
        report.complain(line, policy.number_column, "is there already: in this list further above, or in the campaign")
    for line in barred:
        report.complain(line, policy.number_column, "is on the do-not-call list")
    report.duplicates += len(duplicates)
    report.do_not_call += len(barred)
    report.accepted += len(contacts) - len(duplicates) - len(barred)


async def _discard(campaign_id: str, campaigns: CampaignRows) -> None:
    while await campaigns.discard(campaign_id):
        pass


async def _import(order: ImportOrder, body: BinaryIO) -> dict[str, object]:
    key = None if order.key is None else EncryptionKey.from_text(order.key)
    pieces = iter(lambda: body.read1(_PIECE_BYTES), b"")  # type: ignore[attr-defined]
    async with open_campaigns(order.database_url, key) as campaigns:
        try:
            rows = read_list(pieces, order.kind, order.policy)
            report = await add_list(rows, order.campaign_id, order.policy, campaigns)
        except CampaignError as fault:
            return {"unreadable": str(fault), "kind": type(fault).__name__}
        except StoreError as fault:
            return {"failed": str(fault)}
    report.problems.sort(key=lambda one: one.line)
    return {"report": report.model_dump()}


def main() -> None:
    """The process."""
    os.nice(_NICENESS)
    order = ImportOrder.model_validate_json(sys.stdin.buffer.readline())
    print(json.dumps(asyncio.run(_import(order, sys.stdin.buffer))), flush=True)


if __name__ == "__main__":
    main()
