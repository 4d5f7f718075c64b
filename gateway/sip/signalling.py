# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP messages as they passed the wire, and which of them belong to a call. What opens doors is taken out first.

native tap > SIP thread > SipMessage > Signalling (one dialog after the other) > the call's session
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

_SECRETS = (
    # Who sees a digest response can try passwords on it at leisure (RFC 7616 section 5.3). The header may be folded.
    (
        re.compile(r"^(?:Proxy-)?Authorization\s*:(?:[^\n]|\n[ \t])*", re.I | re.M),
        re.compile(r'(\bresponse\s*=\s*)(?:"[^"]*"|[^",\s]+)', re.I),
        r'\1"..."',
    ),
    # Keys of SRTP (RFC 4568 section 6.1), of which a line may have several, and of what came before it.
    (re.compile(r"^a=crypto:.*", re.I | re.M), re.compile(r"(inline:\s*)[^|\s;]+", re.I), r"\1..."),
    (re.compile(r"^(?:k|a=key-mgmt)[=:].*", re.I | re.M), re.compile(r"([=:])[^=:\s].*"), r"\1..."),
    # Keys pressed, which may be a card's number (INFO).
    (re.compile(r"(?:^|\r)[ \t]*Signal[ \t]*[=:].*", re.I | re.M), re.compile(r"([=:][ \t]*)[^\s=:]\S*"), r"\1*"),
)
"""Where there are some, what they are there, and what stands in their place."""
_KEY_BODY = re.compile(r"^(?:Content-Type|c)\s*:\s*application\s*/\s*dtmf(?![\w-])", re.I | re.M)
"""What follows it after a blank line is a key, be it all of the message or a part."""
_BLANK_LINE = re.compile(r"\n\r?\n")
_CSEQ = re.compile(r"^CSeq[ \t]*:[ \t]*\d+[ \t]+(\S+)", re.I | re.M)

MOST_MESSAGES = 200
"""Of one dialog; of more, those in the middle are left out."""
_MOST_DIALOGS = 4096
"""Of no call of ours, or not yet; the oldest is forgotten first."""
_STRAGGLERS_S = 3.0
"""How long after a call's end its last messages (the answer to a BYE, an ACK) are waited for."""


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One message, as it was on the wire."""

    at_us: int
    """Wall clock, microseconds since 1970."""
    sent: bool
    """By us."""
    transport: str
    """`UDP`, `TCP` or `TLS`."""
    local: str
    """`address:port`; `[...]` around IPv6."""
    peer: str
    sip_call_id: str
    text: str = field(repr=False)
    """Without digest responses, SRTP keys and pressed keys."""

    @classmethod
    def of_wire(
        cls, at_us: int, sent: bool, transport: str, local: str, peer: str, sip_call_id: str, text: bytes
    ) -> "SipMessage":
        """From what the native tap gives."""
        return cls(at_us, sent, transport, local, peer, sip_call_id, without_secrets(text.decode("utf-8", "replace")))

    @property
    def summary(self) -> str:
        """`INVITE`, or `180 Ringing (INVITE)`; for a ladder."""
        first = self.text.partition("\n")[0].strip()
        if not first.startswith("SIP/2.0 "):
            return first.split(" ", 1)[0]
        method = _CSEQ.search(self.text)
        return f"{first[8:]} ({method[1]})" if method else first[8:]


def without_secrets(text: str) -> str:
    """A message without what would let its reader in, decrypt the audio or know what was typed."""
    for place, secret, instead in _SECRETS:
        text = place.sub(partial(_hide, secret, instead), text)
    if (header := _KEY_BODY.search(text)) and (blank := _BLANK_LINE.search(text, header.end())):
        return text[: blank.end()] + "*" if text[blank.end() :] else text
    return text


def _hide(secret: re.Pattern[str], instead: str, found: re.Match[str]) -> str:
    return secret.sub(instead, found[0])


@dataclass(slots=True)
class _Dialog:
    messages: list[SipMessage] = field(default_factory=list)
    left_out: int = 0
    call_id: str | None = None

    def add(self, message: SipMessage) -> None:
        self.messages.append(message)
        if len(self.messages) > MOST_MESSAGES:
            del self.messages[MOST_MESSAGES // 2]
            self.left_out += 1


class Signalling:
    """Engine: which messages belong to which call. `receive` takes messages, `bind` says whose a Call-ID is."""

    def __init__(self) -> None:
        self._dialogs: OrderedDict[str, _Dialog] = OrderedDict()
        """By Call-ID; those of no call are kept only while there is room."""
        self._of_call: dict[str, list[str]] = {}
        self._ended: OrderedDict[str, float] = OrderedDict()

    def receive(self, messages: Iterable[SipMessage]) -> None:
        """Messages in the order in which they passed."""
        for message in messages:
            dialog = self._dialogs.get(message.sip_call_id)
            if dialog is None:
                dialog = self._dialogs[message.sip_call_id] = _Dialog()
                self._make_room()
            dialog.add(message)

    def bind(self, sip_call_id: str, call_id: str) -> None:
        """This Call-ID is that of a call; a call that is dialled again has several.

        Callers who write the same one share its messages until the first of them is forgotten.
        """
        self._dialogs.setdefault(sip_call_id, _Dialog()).call_id = call_id
        self._of_call.setdefault(call_id, []).append(sip_call_id)

    def of_call(self, call_id: str) -> tuple[SipMessage, ...]:
        """What there is so far of a call that has not been forgotten, in order of time."""
        dialogs = [self._dialogs[name] for name in self._of_call.get(call_id, ()) if name in self._dialogs]
        found = [message for dialog in dialogs for message in dialog.messages]
        return tuple(sorted(found, key=lambda message: message.at_us))

    def end(self, call_id: str, now: float) -> None:
        """The call is over; its last messages may still be on their way."""
        self._ended[call_id] = now + _STRAGGLERS_S

    def forget(self, call_id: str) -> None:
        """Somebody else tells of this call."""
        for name in self._of_call.pop(call_id, ()):
            self._dialogs.pop(name, None)

    def due(self, now: float) -> Sequence[tuple[str, tuple[SipMessage, ...]]]:
        """Calls that are complete, with their messages; they are forgotten here."""
        found = []
        while self._ended and next(iter(self._ended.values())) <= now:
            call_id, _ = self._ended.popitem(last=False)
            messages = self.of_call(call_id)
            for name in self._of_call.pop(call_id, ()):
                self._dialogs.pop(name, None)
            if messages:
                found.append((call_id, messages))
        return found

    def _make_room(self) -> None:
        """Registrations, OPTIONS and refused strangers have no call."""
        if len(self._dialogs) - sum(map(len, self._of_call.values())) <= _MOST_DIALOGS:
            return
        oldest = next((name for name, dialog in self._dialogs.items() if dialog.call_id is None), None)
        if oldest is not None:
            del self._dialogs[oldest]
