# SPDX-License-Identifier: GPL-3.0-or-later
"""How an attempt at a contact ended, and in what state campaigns and contacts are: the words of API, store and results.

contact:   listed > waiting <──(retry)── dialing > done
campaign:  draft > running <> paused > done
                      └──────────┴───> draining > done;  cancelled, from anywhere but done
"""

from enum import Enum


class Outcome(Enum):
    """The value is the name in the store, in events and in results."""

    TALKED = "talked"
    """A person answered and the agent talked to them."""
    MACHINE = "machine"
    """A machine answered, and no message was left."""
    MESSAGE_LEFT = "message_left"
    BUSY = "busy"
    """486, 600, or the tone."""
    NO_ANSWER = "no_answer"
    """It rang, and nobody took it (408, 480, 487 after our patience)."""
    REJECTED = "rejected"
    """603, 607, 608, 403: they do not want it, or may not have it."""
    INVALID_NUMBER = "invalid_number"
    """404, 410, 484, 604, or information tones: there is no such number."""
    FAX = "fax"
    FAILED = "failed"
    """The network, the trunk or we: any other final response, or no audio."""
    ABANDONED = "abandoned"
    """A person answered, and no agent slot was free."""
    DO_NOT_CALL = "do_not_call"
    """On the list when their turn came: not called."""
    CANCELLED = "cancelled"
    """The campaign was cancelled before they were reached."""
    NOT_CALLED = "not_called"
    """The campaign ended (budget, `until`) before their turn came."""
    UNKNOWN = "unknown"
    """Our process died between the note that we dial and the end of the call: they may have been called, so they are
    not called again."""


class CampaignState(Enum):
    """The value is the name in the store, in events and in the API."""

    DRAFT = "draft"
    """Contacts may be added; nobody is called."""
    RUNNING = "running"
    PAUSED = "paused"
    """No new calls; those that stand go on."""
    DRAINING = "draining"
    """No new calls, ever; it is over when those that stand are."""
    DONE = "done"
    CANCELLED = "cancelled"


class ContactState(Enum):
    """The value is the name in the store and in the API."""

    LISTED = "listed"
    """On a list that is being read: not the campaign's yet."""
    WAITING = "waiting"
    DIALING = "dialing"
    """An attempt has been written down and is not over."""
    DONE = "done"


DIALLED = frozenset(Outcome) - {Outcome.DO_NOT_CALL, Outcome.CANCELLED, Outcome.NOT_CALLED}
"""Outcomes of attempts; the others befall contacts that are not dialled."""
