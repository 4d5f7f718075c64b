# SPDX-License-Identifier: GPL-3.0-or-later
"""Between what is said on a call and what is kept and told of it: personal data is taken out, if the agent says so."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from agent.recollection import Recollection
from agent.redaction import Kind, RedactionWindow, Redactor, Utterance
from gateway.calls.call import Call
from gateway.store.records import TranscriptEntry

Tell = Callable[[TranscriptEntry], None]


def told_of(call: Call) -> Tell:
    """Into the call's record, and to whoever follows it."""

    def tell(entry: TranscriptEntry) -> None:
        call.journal.said(call.call_id, entry)
        if entry.role != "tool":
            call.publish("transcript.final", **entry.model_dump())

    return tell


class Redaction:
    """Of one call, or of an agent's part in it. An entry may be told later than it comes: after the next ones, or by
    `flush`, when it ends with what may go on (`RedactionWindow`)."""

    def __init__(self, kinds: Collection[Kind], tell: Tell, known_names: Sequence[str] = ()) -> None:
        """No kinds: everything is told at once, as it is."""
        self._tell = tell
        self._window: RedactionWindow[TranscriptEntry] | None = None
        self._keeps_names = "names" not in kinds
        if kinds:
            self._window = RedactionWindow(Redactor(kinds), known_names)

    def know_name(self, name: str) -> None:
        """Of somebody that the call is about."""
        if self._window is not None:
            self._window.know_name(name)

    def receive(self, entry: TranscriptEntry) -> None:
        """Something was said, or done."""
        if self._window is None:
            self._tell(entry)
            return
        said = Utterance(entry.role == "user", entry.text, entry.heard_text)
        for one, redacted in self._window.receive(entry, said):
            self._tell(one.model_copy(update={"text": redacted.text, "heard_text": redacted.heard_text}))

    def flush(self) -> None:
        """Nothing more comes."""
        if self._window is not None:
            for one, redacted in self._window.flush():
                self._tell(one.model_copy(update={"text": redacted.text, "heard_text": redacted.heard_text}))

    def partial(self, text: str) -> str:
        """What the caller is saying."""
        return text if self._window is None else self._window.partial(text)

    def plain(self, text: str) -> str:
        """What is told besides."""
        return text if self._window is None else self._window.plain(text)

    def recollection(self, what: Recollection) -> Recollection:
        """What is remembered of a caller. Without names nobody is greeted by one."""
        if self._window is None:
            return what
        self.know_name(what.caller_name)
        return Recollection(
            what.caller_name if self._keeps_names else "",
            tuple(
                replace(one, asked=self.plain(one.asked), answered=self.plain(one.answered)) for one in what.exchanges
            ),
            tuple(map(self.plain, what.left)),
            self.plain(what.summary),
        )


def redacted_transcript(entries: Sequence[TranscriptEntry], kinds: Collection[Kind]) -> tuple[TranscriptEntry, ...]:
    """Of a call that was kept as it was said."""
    told: list[TranscriptEntry] = []
    redaction = Redaction(kinds, told.append)
    for entry in entries:
        redaction.receive(entry)
    redaction.flush()
    return tuple(told)
