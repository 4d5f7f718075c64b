# SPDX-License-Identifier: GPL-3.0-or-later
"""Bent messages in numbers, against a gateway."""

import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.e2e.sip_line import Dialog, SipLine
from tests.sip_mutations import SipMutations

_ANSWERS_KEPT = 1000


@dataclass(slots=True)
class SipStorm:
    """Bent messages out of dialogs and in them."""

    line: SipLine
    seed: int
    contact: str = "sip:fuzz@127.0.0.1:9"
    """Where the gateway's requests in these calls go."""
    codes: dict[int, int] = field(default_factory=dict)
    """How often which status was answered."""
    recent: deque[bytes] = field(default_factory=lambda: deque(maxlen=200))
    """What was sent last: when the gateway has ended, it is one of them."""
    _mutations: SipMutations = field(init=False)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._mutations = SipMutations(self.seed, self.contact)
        self._random = random.Random(self.seed)
        self.line.before_bye = self._in_dialog

    def blow(self, messages: int, rate: float) -> None:
        """Send so many, at most `rate` a second."""
        begun = time.monotonic()
        for sent in range(messages):
            self.line.pump(max(0.0, begun + sent / rate - time.monotonic()))
            if self._random.random() < 0.2:
                self._send(self._mutations.offer(self.line.via()))
            else:
                self._send(self._mutations.message(self.line.via()))
            if len(self.line.answers) > _ANSWERS_KEPT:
                self.tally()

    def _in_dialog(self, dialog: Dialog) -> list[bytes]:
        """Up to two bent requests in every call that is answered, with the right tags before they are bent."""
        messages = []
        for step in range(self._random.randrange(3)):
            method = self._random.choice(("INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "PRACK", "OPTIONS", "X"))
            proper = dialog.request(
                method,
                self.line.via(),
                dialog.sequence + step + 1,
                headers=f"Contact: <{self.contact}>\r\nContent-Type: application/sdp\r\n",
                body=self._mutations.session_description(),
            )
            messages.append(self._mutations.bent(proper))
        self.recent += messages
        return messages

    def _send(self, message: bytes) -> None:
        self.recent.append(message)
        self.line.send(message)

    def tally(self) -> None:
        """Count the answers that have come, and forget them."""
        for answer in self.line.answers:
            self.codes[answer.code] = self.codes.get(answer.code, 0) + 1
        self.line.answers.clear()


class Pinging:
    """Asks for OPTIONS by UDP all the time, and keeps how long each answer took."""

    def __init__(self, port: int, period_s: float = 0.02) -> None:
        self.times_s: list[float] = []
        self.unanswered = 0
        self._period_s = period_s
        self._line = SipLine(port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pinging", daemon=True)

    def __enter__(self) -> Self:
        self._line.connect()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._line.close()

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.times_s)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            begun = time.monotonic()
            try:
                self._line.answer_to(self._line.request("OPTIONS", "ping"), 5)
            except TimeoutError:
                self.unanswered += 1
            else:
                self.times_s.append(time.monotonic() - begun)
            self._line.answers.clear()
