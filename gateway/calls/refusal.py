# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks not to be called any more: under which numbers lists may have them, and how that reaches the database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import structlog

from gateway.calls.facts import CallFacts
from gateway.campaigns.numbers import normalised
from gateway.errors import BadAddress, StoreError
from gateway.sip.uri import SipUri, UriError

log = structlog.get_logger(__name__)

_PAUSE_S = 1.0
_MOST_TRIES = 60
"""A minute: the database may be moving, and the gateway may be about to end."""
Bar = Callable[[str, datetime, str], Awaitable[None]]
"""`gateway.store.do_not_call.DoNotCallRows.add`."""


def numbers_of(facts: CallFacts) -> tuple[str, ...]:
    """The far end's, as lists have them: the number, and, of a SIP URI with a number as its user, both. Trunks that
    tell who calls often leave the plus away. Raises `BadAddress`: nothing that could be called."""
    far_end = facts.to if facts.direction == "outbound" else facts.from_
    written: list[str] = []
    for address in (far_end, facts.peer):
        try:
            user = SipUri.parse(address).user
        except UriError:
            written.append(address)
        else:
            written += [user, address] if user not in ("", "anonymous") else []
    found: dict[str, None] = {}
    for one in written:
        number = _number(one) or (_number(f"+{one}") if one[:1].isdigit() and not one.startswith("0") else None)
        if number is not None:
            found[number] = None
    if not found:
        raise BadAddress("it is not known by which number they are called")
    return tuple(found)


def _number(text: str) -> str | None:
    try:
        return normalised(text, None)
    except BadAddress:
        return None


async def bar(numbers: Sequence[str], add: Bar, now: datetime, call_id: str) -> None:
    """Have them on the list, for all campaigns, as soon as the database takes them."""
    for number in numbers:
        for tries_left in reversed(range(_MOST_TRIES)):
            try:
                await add(number, now, "asked")
                break
            except StoreError as fault:
                log.error("do_not_call_not_written", call_id=call_id, tries_left=tries_left, cause=str(fault))
                if tries_left:
                    await asyncio.sleep(_PAUSE_S)
