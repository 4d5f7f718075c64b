# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a digest of a caller may be of: the addresses that are kept, in clear or sealed, with the calls that have it."""

import json
import re

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import StoreError
from gateway.sip.identity import named_caller
from gateway.store.sealing import ColumnSealer
from gateway.store.tables import CallerRow, SessionRow, SignallingRow

_MOST_CALLS = 3
_ADDRESSES = re.compile(
    r"^(?:From|f|To|t|P-Asserted-Identity|Remote-Party-ID|Contact|m)[ \t]*:[^\n<]*<?([^\s>;,]+)|^[A-Z]+ (\S+) SIP/2.0",
    re.I | re.M,
)


async def addresses_of(connection: AsyncConnection, sealer: ColumnSealer, digest: str) -> list[str]:
    """Each once, the likeliest first; none may be right."""
    calls = (
        select(SessionRow.from_, SessionRow.to, SignallingRow.messages)
        .join(CallerRow, CallerRow.call_id == SessionRow.call_id)
        .outerjoin(SignallingRow, SignallingRow.call_id == SessionRow.call_id)
        .where(CallerRow.caller == digest)
        .limit(_MOST_CALLS)
    )
    named: dict[str, None] = {}
    for from_, to, messages in await connection.execute(calls):
        named |= dict.fromkeys((from_, to))
        if messages is not None:
            try:
                texts = [str(one["text"]) for one in json.loads(sealer.open(messages, "signalling.messages"))]
            except (StoreError, ValueError, KeyError):
                continue
            for text in texts:
                named |= dict.fromkeys(one[1] or one[2] for one in _ADDRESSES.finditer(text))
    return list(dict.fromkeys(known for name in named for known in sorted(named_caller(name)[0])))
