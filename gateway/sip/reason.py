# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a call ended, in the words of the Reason header (RFC 3326): read, written, and named as our end reasons."""

import re
from dataclasses import dataclass

_PARAMETER = r';\s*([a-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;,"\s]+))\s*'
_FIELD = re.compile(rf"\s*([A-Za-z0-9.]+)\s*((?:{_PARAMETER})*)(?:,|$)", re.IGNORECASE)
_ONE = re.compile(_PARAMETER, re.IGNORECASE)
_NORMAL = {("Q.850", 16), ("Q.850", 31), ("SIP", 200)}
_ELSEWHERE = {("SIP", 200), ("Q.850", 26)}
"""RFC 3326 section 3.1; 26 is non-selected user clearing (ITU-T Q.850)."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One Reason field: `Q.850;cause=16;text="Normal call clearing"`."""

    protocol: str
    """`SIP` or `Q.850`, or what else there may be."""
    cause: int
    """A SIP status, or a cause of ITU-T Q.850."""
    text: str = ""

    def __str__(self) -> str:
        return f"{self.protocol};cause={self.cause}" + (f';text="{self.text}"' if self.text else "")


def parse_reasons(text: str) -> tuple[Reason, ...]:
    """The fields of a header, separated by commas. What is malformed or has no cause is left out."""
    found: list[Reason] = []
    at = 0
    while at < len(text) and (field := _FIELD.match(text, at)):
        at = field.end()
        values = {name.lower(): quoted or token for name, quoted, token in _ONE.findall(field[2])}
        cause = values.get("cause", "")
        if cause.isascii() and cause.isdigit() and len(cause) <= 3:
            found.append(Reason(field[1].upper(), int(cause), values.get("text", "")))
    return tuple(found)


def end_reason(reasons: tuple[Reason, ...], *, was_answered: bool) -> str | None:
    """Our name for why the far end hung up or cancelled; None: it gave no reason worth a name."""
    for reason in reasons:
        key = (reason.protocol, reason.cause)
        if not was_answered and key in _ELSEWHERE:
            return "answered_elsewhere"
        if key in _NORMAL or reason.cause == 0:
            continue
        if reason.protocol == "Q.850":
            return f"q850_{reason.cause}"
        if reason.protocol == "SIP" and reason.cause >= 300:
            return f"sip_{reason.cause}"
    return None


_NO_ANSWER = Reason("Q.850", 19, "No answer from user")
_FAILURE = Reason("Q.850", 41, "Temporary failure")
_OURS = {
    "timeout": _NO_ANSWER,
    "answered_elsewhere": Reason("SIP", 200, "Call completed elsewhere"),
    **dict.fromkeys(
        (
            "backend_unreachable",
            "failed",
            "flow_failed",
            "media_timeout",
            "no_audio",
            "service_failure",
            "shutdown",
        ),
        _FAILURE,
    ),
}
_CLEARING = Reason("Q.850", 16, "Normal call clearing")


def reason_of(ended: str) -> Reason:
    """What we tell the far end when we hang up or cancel for this end reason of ours."""
    return _OURS.get(ended, _CLEARING)
