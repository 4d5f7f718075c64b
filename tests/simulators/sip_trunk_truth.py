# SPDX-License-Identifier: GPL-3.0-or-later
"""What really happened at the far ends: a JSON line when an INVITE comes, another when its call has ended.

    {"event": "invite", "at", "number", "call_id", "attempt", "behaviour", "from"}
    {"event": "end", the same, "ended_at", "ended_by", "code", "answered_at", ...}

Times are wall time, seconds. Lines are on the disk one by one, written by a thread of their own: the calls go on.
"""

import json
import os
import queue
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.simulators.sip_trunk_call import TrunkCall

_MOST_WAITING = 10_000
"""Lines; when so many wait for the disk, whoever adds one waits, too: no line is lost."""


class Truth:
    """A file; None: none. Also counts."""

    def __init__(self, path: Path | None) -> None:
        self.lines: list[dict[str, Any]] = []
        """Everything that was told, for tests."""
        self._path = path
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="truth", daemon=True)
        # Monotonic to wall time, once: steps of the wall clock do not reorder what happened.
        self._offset = time.time() - time.monotonic()

    def __enter__(self) -> Self:
        if self._path is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is not None:
            self._waiting.put(None)
            self._thread.join()

    def tell_invite(self, call: TrunkCall) -> None:
        self._tell({"event": "invite", **self._about(call)})

    def tell_end(self, call: TrunkCall) -> None:
        self._tell({"event": "end", **self._about(call), **self._course(call)})

    def _about(self, call: TrunkCall) -> dict[str, Any]:
        return {
            "at": self._wall(call.times["invited"]),
            "number": call.course.number,
            "call_id": call.call_id,
            "attempt": call.course.attempt,
            "behaviour": call.course.behaviour,
            "from": call.caller,
        }

    def _course(self, call: TrunkCall) -> dict[str, Any]:
        facts: dict[str, Any] = {
            f"{name}_at": self._wall(call.times.get(name))
            for name in ("answered", "acknowledged", "cancelled", "ended")
        }
        facts |= {"ended_by": call.ended_by.value if call.ended_by else None, "code": call.code}
        facts |= {"played": call.played, "rtp": dict(call.packets)}
        facts["heard"] = [[self._wall(said.begun_at), self._wall(said.ended_at)] for said in call.heard]
        hello, beep = call.marks.get("hello"), call.marks.get("beep")
        if hello is not None:
            after = [said.begun_at for said in call.heard if said.ended_at > hello.ended_at]
            facts["first_words_ms"] = round(1000 * (after[0] - hello.ended_at)) if after else None
        if beep is not None:
            said_after = [said for said in call.heard if said.ended_at > beep.ended_at]
            begun = said_after[0].begun_at - beep.ended_at if said_after else None
            facts["message_after_beep_ms"] = None if begun is None else round(1000 * begun)
            spoken = sum(said.ended_at - max(said.begun_at, beep.ended_at) for said in said_after)
            facts["message_ms"] = round(1000 * spoken)
        return facts

    def _wall(self, at: float | None) -> float | None:
        return None if at is None else round(at + self._offset, 4)

    def _tell(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        if self._path is not None:
            self._waiting.put(json.dumps(line).encode() + b"\n")

    def _write(self) -> None:
        assert self._path is not None
        with self._path.open("ab", buffering=0) as file:
            while (line := self._waiting.get()) is not None:
                file.write(line)
                os.fsync(file.fileno())
