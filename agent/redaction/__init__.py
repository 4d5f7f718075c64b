# SPDX-License-Identifier: GPL-3.0-or-later
"""Personal data in what people said, found and replaced by what it was: `[card]`, `[number]`, `[name]`...

    text > spoken signs ("double four", "dot") > recognisers: cards, numbers, iban, emails, birthdates, names
         > spans > Redactor.redact
    a call's entries, one after the other > RedactionWindow: what is read out in two breaths, names once told

Rules and checksums, no model: the same text gives the same result, and nothing leaves the process. What is no pattern
(an address, an illness) is not found.
"""

from agent.redaction.kinds import ALL_KINDS, Kind
from agent.redaction.redactor import Redactor
from agent.redaction.window import RedactionWindow, Utterance

__all__ = ["ALL_KINDS", "Kind", "RedactionWindow", "Redactor", "Utterance"]
