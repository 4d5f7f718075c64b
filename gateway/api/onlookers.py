# SPDX-License-Identifier: GPL-3.0-or-later
"""How many WebSockets may look on at once: who opens thousands must not take the descriptors that calls need."""

import contextlib
from collections import Counter
from collections.abc import Iterator

from gateway.errors import TooManyOnlookers


class Onlookers:
    """Of one kind of WebSocket."""

    def __init__(self, most: int, most_of_call: int | None = None) -> None:
        """`most_of_call`: at one call; None: as many as there may be at all."""
        self._most = most
        self._most_of_call = most if most_of_call is None else most_of_call
        self._of_call = Counter[str]()

    @contextlib.contextmanager
    def place(self, call_id: str = "") -> Iterator[None]:
        """Taken for as long as one looks on, at this call if at one. Raises `TooManyOnlookers`."""
        if self._of_call.total() >= self._most or self._of_call[call_id] >= self._most_of_call:
            raise TooManyOnlookers("too many WebSockets look on already: try again later")
        self._of_call[call_id] += 1
        try:
            yield
        finally:
            self._of_call[call_id] -= 1
            if not self._of_call[call_id]:
                del self._of_call[call_id]
