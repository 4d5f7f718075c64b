# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of events says what the code publishes, and the documentation what the catalogue says."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from agent.events import CallerProsody
from gateway.api.control import TransferInfo
from gateway.calls.facts import CallFacts, ended, parties
from gateway.campaigns import telling
from gateway.campaigns.attempt import AttemptRecord
from gateway.campaigns.outcome import CampaignState, Outcome
from gateway.cluster.membership import NodeChanged
from gateway.events import CATALOGUE, KEPT_KINDS, EventKind, kinds_matching
from gateway.events.catalogue import catalogue_table
from gateway.sip.public_address import AddressChanged
from gateway.store import TranscriptEntry, TurnRecord
from gateway.store.campaign_records import CampaignLoad, CampaignRecord, RecentCalls, Sums
from gateway.trunks.alarms import AlarmChanged
from gateway.trunks.health import TrunkChanged
from gateway.work import WorkFacts

ROOT = Path(__file__).parents[3]
FACTS = CallFacts("c1", "inbound", "ann", "desk")
CAMPAIGN = CampaignRecord("c", "C", CampaignState.DONE, "{}", datetime.now(UTC))
ATTEMPT = AttemptRecord("c", 1, 1, "+49", "UTC", {}, Outcome.BUSY, 1)
WHOLE: dict[str, set[str]] = {
    "call.offered": set(parties(FACTS)),
    "call.dialing": set(parties(FACTS)),
    "call.ended": set(ended(FACTS, None)),
    "transcript.final": set(TranscriptEntry.model_fields),
    "turn.measured": set(TurnRecord.model_fields),
    "call.transfer": set(TransferInfo.model_fields),
    "trunk.alarm": {field.name for field in fields(AlarmChanged)},
    "trunk.state": {field.name for field in fields(TrunkChanged)},
    "address.changed": {field.name for field in fields(AddressChanged)},
    "cluster.node": {field.name for field in fields(NodeChanged)},
    "caller.prosody": {field.name for field in fields(CallerProsody)},
    "campaign.started": set(telling.named(CAMPAIGN)),
    "campaign.paused": set(telling.named(CAMPAIGN)),
    "campaign.resumed": set(telling.named(CAMPAIGN)),
    "campaign.ended": set(telling.ended(CAMPAIGN)),
    "campaign.outcome": set(telling.attempted(ATTEMPT)),
    "work.progress": {field.name for field in fields(WorkFacts)},
    "campaign.progress": set(telling.progressed("c", CampaignLoad(Sums(), 0, 0, RecentCalls()), {})),
}
"""Kinds whose data is a whole record."""
RARE = {"stream.stopped": {"handoff_data"}}
"""Fields that some publications of a kind have."""
DOCUMENTED: dict[str, set[str]] = {str(kind): set(facts.data) for kind, facts in CATALOGUE.items()}


def publications() -> Iterator[tuple[str, str, set[str | None]]]:
    """Where the code calls `publish` with a kind: the place, the kind, the data's fields (None: `**fields`)."""
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "publish":
                names = {keyword.arg for keyword in node.keywords}
                for kind in _kinds(node.args[0]) if node.args else ():
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", kind, names


def _kinds(argument: ast.expr) -> list[str]:
    texts = (node.value for node in ast.walk(argument) if isinstance(node, ast.Constant))
    return [text for text in texts if isinstance(text, str) and "." in text]


def test_every_kind_is_in_the_catalogue() -> None:
    assert list(CATALOGUE) == list(get_args(EventKind))


def test_the_documentation_shows_the_catalogue() -> None:
    shown = (ROOT / "docs" / "events.md").read_text()
    assert catalogue_table() in shown, f"put this into docs/events.md:\n{catalogue_table()}"


@pytest.mark.parametrize(("place", "kind", "names"), [pytest.param(*one, id=one[0]) for one in publications()])
def test_what_is_published_has_no_field_that_the_catalogue_lacks(place: str, kind: str, names: set[str | None]) -> None:
    assert kind in DOCUMENTED, f"{place}: gateway/events/catalogue.py lacks {kind}"
    if None in names:
        assert kind in WHOLE, f"{place}: say in this test what the record of {kind} is"
        names = {*WHOLE[kind], *names} - {None}
    assert names <= DOCUMENTED[kind], f"{place}: gateway/events/catalogue.py lacks a field"


def test_every_field_of_the_catalogue_is_published_somewhere() -> None:
    published = {kind: {*names} for kind, names in WHOLE.items()}
    for _, kind, names in publications():
        published.setdefault(kind, set()).update(name for name in names if name is not None)
    for kind in published:
        assert DOCUMENTED[kind] - published[kind] <= RARE.get(kind, set()), kind


def test_a_pattern_names_a_kind_or_a_family() -> None:
    assert kinds_matching(["call.ended", "transcript.*"]) == {"call.ended", "transcript.partial", "transcript.final"}
    assert kinds_matching([]) == set(CATALOGUE)
    assert "transcript.partial" not in KEPT_KINDS


@pytest.mark.parametrize("pattern", ["call", "call.*.x", "*", "", "call.finished", "dtmf*"])
def test_a_pattern_that_names_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no kind of event"):
        kinds_matching([pattern])
