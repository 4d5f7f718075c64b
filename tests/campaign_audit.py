# SPDX-License-Identifier: GPL-3.0-or-later
"""A campaign's own account laid beside the truth of the simulated trunk: nobody lost, nobody called twice, every
outcome what really happened.

truth (INVITEs by number) + attempts and results (by the API) + when gateways were killed > Audit
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from gateway.campaigns.outcome import DIALLED, Outcome
from tests.simulators.sip_trunk_behaviour import Behaviour

_CLOCK_S = 0.5
"""Between a moment here and the same moment there: an INVITE's way, a busy process."""
_WRITTEN_S = 2.0
"""From a call's end to its outcome in the database."""
_ACCEPTED: Mapping[str, frozenset[Outcome]] = {
    "person": frozenset({Outcome.TALKED, Outcome.ABANDONED}),
    "machine": frozenset({Outcome.MACHINE, Outcome.MESSAGE_LEFT}),
    "busy": frozenset({Outcome.BUSY}),
    "no_answer": frozenset({Outcome.NO_ANSWER}),
    "fax": frozenset({Outcome.FAX}),
    "dead": frozenset({Outcome.INVALID_NUMBER}),
    "congestion": frozenset({Outcome.FAILED}),
    "rejected": frozenset({Outcome.REJECTED}),
}
"""By the kind of behaviour."""


@dataclass(frozen=True, slots=True)
class Invite:
    """What the trunk says of one call. Times are seconds since the epoch."""

    number: str
    call_id: str
    at: float
    behaviour: Behaviour
    ended_at: float | None = None
    """None: it was not over when the trunk went."""
    cancelled_at: float | None = None
    message_ms: int = 0
    """That a machine has recorded."""

    @classmethod
    def parse(cls, line: Mapping[str, Any]) -> Self:
        """A line of the truth."""
        return cls(
            number=line["number"],
            call_id=line["call_id"],
            at=line["at"],
            behaviour=Behaviour(line["behaviour"]),
            ended_at=line.get("ended_at"),
            cancelled_at=line.get("cancelled_at"),
            message_ms=line.get("message_ms") or 0,
        )

    def accepts(self, outcome: Outcome) -> bool:
        """Whether the outcome is what happened."""
        if outcome is Outcome.MESSAGE_LEFT and not self.message_ms:
            return False
        return outcome in _ACCEPTED[self.behaviour.kind]


def read_truth(lines: Iterable[Mapping[str, Any]]) -> list[Invite]:
    """In order of their coming; what is told of a call's end replaces what was told of its beginning."""
    found: dict[tuple[str, float], Invite] = {}
    for line in lines:
        invite = Invite.parse(line)
        found[invite.call_id, invite.at] = invite
    return sorted(found.values(), key=lambda invite: invite.at)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the campaign says of one call."""

    number: str
    index: int
    outcome: Outcome | None
    started_at: float
    ended_at: float | None
    cause: str = ""
    """What else the campaign says of its end: reason and far end."""

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Self:
        """An attempt of the API."""
        return cls(
            number=record["number"],
            index=record["index"],
            outcome=None if record["outcome"] is None else Outcome(record["outcome"]),
            started_at=_seconds(record["started_at"]),
            ended_at=None if record["ended_at"] is None else _seconds(record["ended_at"]),
            cause=f" ({record['end_reason']}, {record['far_end']})",
        )


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@dataclass(slots=True)
class Audit:
    """What came of it."""

    contacts: int
    attempts: int
    invites: int
    unknown: int = 0
    """Attempts of which the campaign rightly says that it does not know."""
    unknown_not_sent: int = 0
    """Those of them whose INVITE never left."""
    called_twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """INVITEs without an attempt, contacts without an outcome, attempts without an INVITE."""
    wrong: list[str] = field(default_factory=list)
    """Outcomes that are not what happened."""
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Attempts by the far end's behaviour and their outcome."""

    @property
    def is_clean(self) -> bool:
        return not (self.called_twice or self.lost or self.wrong)


def audit(
    numbers: Collection[str],
    attempts: Sequence[Attempt],
    results: Sequence[tuple[str, Outcome]],
    invites: Sequence[Invite],
    killed_at: Sequence[float] = (),
) -> Audit:
    """`numbers`: the list. `results`: number and outcome of each row. `killed_at`: of any of the gateways."""
    found = Audit(len(numbers), len(attempts), len(invites))
    of_number: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda attempt: attempt.index):
        of_number[attempt.number].append(attempt)
    sent: dict[str, list[Invite]] = defaultdict(list)
    for invite in invites:
        sent[invite.number].append(invite)
    final: dict[str, list[Outcome]] = defaultdict(list)
    for number, outcome in results:
        final[number].append(outcome)
    for number in {*numbers, *of_number, *sent, *final}:
        if number not in numbers:
            found.called_twice.append(f"{number} is on no list")
            continue
        _audit_number(found, number, of_number[number], sent[number], killed_at)
        _audit_result(found, number, of_number[number], final[number])
    return found


def _audit_number(
    found: Audit, number: str, attempts: Sequence[Attempt], invites: Sequence[Invite], killed_at: Sequence[float]
) -> None:
    waiting = list(invites)
    for position, attempt in enumerate(attempts):
        following = attempts[position + 1].started_at if position + 1 < len(attempts) else float("inf")
        own = [one for one in waiting if attempt.started_at - _CLOCK_S <= one.at < following]
        waiting = [one for one in waiting if one not in own]
        what = f"{number}, attempt {attempt.index}"
        if len(own) > 1:
            found.called_twice.append(f"{what}: {len(own)} INVITEs")
        if attempt.outcome is None:
            found.lost.append(f"{what}: has no outcome")
            continue
        found.outcomes[own[0].behaviour.value if own else "not called", attempt.outcome.value] += 1
        if attempt.outcome is Outcome.UNKNOWN:
            _audit_unknown(found, what, attempt, own, killed_at)
            if following != float("inf"):
                found.called_twice.append(f"{what}: is unknown, and there was another one")
        elif not own:
            found.lost.append(f"{what}: {attempt.outcome.value}, and no INVITE came")
        elif not own[0].accepts(attempt.outcome):
            found.wrong.append(f"{what}: {own[0].behaviour.value} became {attempt.outcome.value}{attempt.cause}")
    found.lost += [f"{number}: an INVITE that no attempt tells of" for _ in waiting]


def _audit_unknown(
    found: Audit, what: str, attempt: Attempt, own: Sequence[Invite], killed_at: Sequence[float]
) -> None:
    found.unknown += 1
    found.unknown_not_sent += not own
    # The attempt's own end is a guess; the call's is known, and written down soon after.
    ended_at = own[0].ended_at if own else None
    until = float("inf") if ended_at is None else ended_at + _WRITTEN_S
    if not any(attempt.started_at - _CLOCK_S <= moment <= until for moment in killed_at):
        found.wrong.append(f"{what}: is unknown, and nobody was killed meanwhile")


def _audit_result(found: Audit, number: str, attempts: Sequence[Attempt], results: Sequence[Outcome]) -> None:
    if len(results) != 1:
        found.lost.append(f"{number}: {len(results)} results")
        return
    last = attempts[-1].outcome if attempts else None
    if results[0] in DIALLED and results[0] is not last:
        found.wrong.append(f"{number}: ended as {results[0].value}, its last attempt as {last and last.value}")


def most_in_any_second(moments: Sequence[float]) -> int:
    """How many of these fall into the fullest second; one that begins when another ends is not in it."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def shortest_span_s(moments: Sequence[float], count: int) -> float:
    """The shortest time in which one more than `count` of these fall: 1.0 or more when there are at most `count` a
    second."""
    ordered = sorted(moments)
    spans = [later - earlier for earlier, later in zip(ordered, ordered[count:], strict=False)]
    return min(spans, default=float("inf"))
