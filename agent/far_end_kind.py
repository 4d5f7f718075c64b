# SPDX-License-Identifier: GPL-3.0-or-later
"""The words for who took a call that we placed, in events and in records."""

from enum import Enum


class Verdict(Enum):
    """What a campaign wants to know first."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"


class FarEndKind(Enum):
    """The value is the name in events and records."""

    UNKNOWN = "unknown"
    PERSON = "person"
    MACHINE = "machine"
    """A recording, of which it is not known yet what it wants: most often a voicemail."""
    VOICEMAIL = "voicemail"
    MENU = "menu"
    """An automatic menu, "IVR", or one that screens calls: it wants keys or words."""
    HOLD = "hold"
    """A queue, or music: nobody listens."""
    FAX = "fax"
    FAILED = "failed"
    """Information tones, or words to the same effect: the number is not in service."""
    UNREACHABLE = "unreachable"
    """A phone that is switched off, a network that is overloaded: told by a recording, or by the congestion tone."""
    BUSY = "busy"
    """The busy tone."""

    @property
    def verdict(self) -> Verdict:
        match self:
            case FarEndKind.UNKNOWN:
                return Verdict.UNKNOWN
            case FarEndKind.PERSON:
                return Verdict.HUMAN
            case _:
                return Verdict.MACHINE
