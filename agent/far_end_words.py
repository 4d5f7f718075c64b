# SPDX-License-Identifier: GPL-3.0-or-later
"""What the far end's words say of it: machines name themselves. Pure functions on an English transcript.

Partial transcripts do, too: what a machine says is known by its first words as a rule ("you have reached").
"""

import re
from dataclasses import dataclass

from agent.far_end_kind import FarEndKind

_MOST_CHARACTERS = 600
"""Of a longer turn only the end is looked at; it also bounds what the patterns can cost."""

_FAILED = re.compile(
    r"\b(?:not in service|(?:been |is |was )disconnected|(?:can ?not|can't|could not) be completed"
    r"|not a (?:working|valid)|no longer in (?:service|use)|(?:number|extension)\b.{0,40}(?:does not exist"
    r"|has (?:been )?changed|is (?:invalid|"
    r"incorrect|unallocated|not (?:assigned|allocated|in use|recognized))|is not in)|check the number|invalid number)\b"
)
_UNREACHABLE = re.compile(
    r"\b(?:(?:switched|turned|powered) off|not reachable|unreachable|(?:outside|out of) (?:of )?(?:the |our )?coverage"
    r"|all circuits are|network is (?:currently )?busy|cannot be reached|(?:can't|can not) be reached)\b"
)
_SCREENING = re.compile(
    r"\b(?:(?:state|say|record|give) your name and|screening (?:service|calls)|call assist"
    r"|why you(?:'re| are) calling)\b"
)
_VOICEMAIL = re.compile(
    r"\b(?:leave (?:me |us )?(?:a|your|the) (?:\w+ )?(?:message|name|number)"
    r"|(?:after|at) the (?:tone|beep|signal|beat|beef|peep|piece)"
    r"|(?:record|leave) (?:your|a) (?:\w+ )?message|voice ?mail(?:box)?|mail ?box|answering (?:machine|service)"
    r"|your name and (?:\w+ )?number|name,? (?:and )?number and|forwarded to (?:an?|voice|the)"
    r"|(?:please )?leave (?:it|one) (?:after|at)|(?:start|begin) (?:recording|speaking)|you know what to do"
    r"|(?:person|customer|party|subscriber|user) (?:that )?you\b.{0,40} (?:not available|unavailable))\b"
)
_RECORDED = re.compile(
    r"\b(?:you(?:'ve|'re| have| are)? reach(?:ed)?|you have (?:called|dialed)|your call|welcome to"
    r"|(?:no ?one|nobody) (?:is|can)|sorry (?:that )?(?:i|we) (?:missed|can)|the (?:mobile|wireless|cellular)"
    r"|(?:person|customer|party|subscriber|number|user) (?:that )?you(?:'re| are|'ve| have)? (?:call|try|dial|reach)\w*"
    r"|we(?:'re| are) sorry[,.]? (?:but )?(?:the|your|you)"
    r"|this is (?:an? (?:automated|recorded)|the (?:voice|automated))"
    r"|(?:our|business|office) hours are|and (?:i|we)(?:'ll| will) (?:call|ring|text|get) |return your call"
    r"|missed your call|(?:office|we|store|shop|clinic) (?:is|are) (?:currently |now )?closed)\b"
)
_ABSENT = re.compile(
    r"\b(?:(?:get|be) back (?:to|with) you|can(?:not|'t| not)(?: \w+)? (?:take|answer|come to|get to|pick up)"
    r"|(?:unable|not able|aren't able|isn't able) to (?:take|answer|come to|get to|pick)"
    r"|(?:is|am|are|'m|'re) (?:currently )?(?:not available|unavailable)|not (?:here|home|in) right now"
    r"|away from (?:my|the|our) (?:desk|phone)|out of (?:the|my) office|as soon as (?:i|we|possible))\b"
)
"""So speak voicemails, and those who answer for somebody else ("he is not available, may I take a message?")."""
_MENU = re.compile(
    r"\b(?:(?:press|dial|push|enter) (?!nine one one|9[- ]?1[- ]?1)(?:\w+ )?"
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|star|pound|hash|\d)"
    r"|for (?:sales|service|support|billing|english|spanish)\b.*\bpress|main menu|(?:following|these) options"
    r"|menu options|say or (?:press|enter)|in a few words|enter your|dial your party|listen (?:closely|carefully)"
    r"|options have changed|know your party|you wish to (?:call|dial|reach))\b"
)
_HOLD = re.compile(
    r"\b(?:please (?:stay|remain) on the line|(?:please )?(?:continue to )?hold(?: the line)?,? (?:please|while)"
    r"|please hold|hold for the|your call is (?:very )?important|next available|you are (?:caller |customer )?number"
    r"|(?:all|our) (?:of our )?(?:\w+ )?(?:agents|representatives|operators|lines|associates) are|in the queue"
    r"|estimated wait|call (?:will be|may be) (?:answered|recorded|monitored))\b"
)
_BY_WORDS: tuple[tuple[FarEndKind, float, re.Pattern[str]], ...] = (
    (FarEndKind.FAILED, 0.95, _FAILED),
    (FarEndKind.UNREACHABLE, 0.95, _UNREACHABLE),
    (FarEndKind.MENU, 0.95, _SCREENING),
    (FarEndKind.VOICEMAIL, 0.95, _VOICEMAIL),
    (FarEndKind.MENU, 0.95, _MENU),
    (FarEndKind.HOLD, 0.95, _HOLD),
    (FarEndKind.MACHINE, 0.85, _RECORDED),
    (FarEndKind.MACHINE, 0.75, _ABSENT),
)
_ASKED_BY_PEOPLE = re.compile(
    r"\b(?:(?:how|what) (?:can|may|could) (?:i|we) (?:help|do|assist|direct)|may i help|can i help"
    r"|who(?:'s| is) (?:this|that|calling|there|it|speaking)|who am i|are you there|can you hear|what do you want"
    r"|(?:may|can|could|shall) i (?:take|ask|tell|have your|give)|(?:can|could|would|will) you (?:please )?hold"
    r"|(?<!start )(?<!begin )(?<!are )speaking(?! with| to| after)|what(?:'s| is) (?:this|it) about"
    r"|where are you|what's up)\b"
)
_SAID_BY_PEOPLE = re.compile(
    r"\b(?:here|residence)[?.!]?$|\bfor calling\b.* (?:this is|it's|my name is) [\w'-]+[.!?]?$"
    r"|\b(?:just a|one) (?:second|moment|minute)\b|\bhold on\b|\bis (?:this|that)\b"
)
_INTRODUCTION = re.compile(
    r"(?:(?:hello|hi|hey|good \w+|yes)\b[\s,.!?-]*)*(?:this is|it'?s|it is|my name is|i'm|i am)(?: [\w'-]+){1,4}[.!?]?"
    r"|.*\bfor calling\b(?: [\w'-]+){0,4}[.!?]?"
)
_ALONE = re.compile(
    r"(?:(?:hello|hi|hey|yes|yeah|yep|ja|hallo|good (?:morning|afternoon|evening|day)|what|who is it|speaking|ok(?:ay)?"
    r"|sure|um|uh|oh|sorry|(?:this is )?(?:he|she|him|her)|there|who|is|it|this|i'm here)\b[\s,.!?-]*)+"
)


@dataclass(frozen=True, slots=True)
class SaidByMachine:
    """Words that name the machine."""

    kind: FarEndKind
    confidence: float


def said_by_machine(text: str) -> SaidByMachine | None:
    """What kind of machine says this, or said it so far; None: no machine's words."""
    plain = _plain(text)
    return next(
        (SaidByMachine(kind, confidence) for kind, confidence, pattern in _BY_WORDS if pattern.search(plain)), None
    )


def is_persons(text: str) -> bool:
    """Whether people say this when they answer and then wait, or ask it; a recording may still begin like that."""
    plain = _plain(text)
    return bool(_SAID_BY_PEOPLE.search(plain) or _ALONE.fullmatch(plain) or _ASKED_BY_PEOPLE.search(plain))


def is_introduction(text: str) -> bool:
    """Whether it is a name, or thanks for calling, and no more: voicemails begin like that, and so do people."""
    return bool(_INTRODUCTION.fullmatch(_plain(text)))


def is_asked(text: str) -> bool:
    """Whether it asks what no recording asks: who calls, and how one can help."""
    return bool(_ASKED_BY_PEOPLE.search(_plain(text)))


def _plain(text: str) -> str:
    lower = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return " ".join(lower.split())[-_MOST_CHARACTERS:]
