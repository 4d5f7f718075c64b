# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that were not let out, in the audit log: for whoever looks for fraud long after the log file is gone."""

import time
from collections.abc import Callable

from gateway.trunks.tolls import Bar

_EVERY_S = 60.0
"""The audit log is never shortened: who tries a thousand times a second gets a row a minute."""


class TollAudit:
    """One for all trunks. Its memory has one entry for each trunk, bar and way, of which there are few."""

    def __init__(self, note: Callable[[str, str], None]) -> None:
        """`note` writes a row: action, subject."""
        self._note = note
        self._noted_at: dict[str, float] = {}

    def receive(self, trunk: str, bar: Bar, way: str) -> None:
        """A call was barred. Event loop only."""
        subject, now = f"trunk={trunk or '-'} bar={bar} way={way}", time.monotonic()
        if now - self._noted_at.get(subject, -_EVERY_S) >= _EVERY_S:
            self._noted_at[subject] = now
            self._note("call_barred", subject)
