# SPDX-License-Identifier: GPL-3.0-or-later
"""How finished an utterance looks by its words, in the light of what was expected. Pure functions on a transcript.

The sound may seem finished where the words are not ("my number is five five five"), and the other way round ("yes").
And a plain statement seldom tells: "I got a letter from you" is a sentence, and the caller has not said what he wants.
"""

import re
from enum import Enum

from agent.cues import (
    asks_for_presence,
    asks_to_repeat,
    asks_to_wait,
    is_backchannel,
    is_goodbye,
    is_greeting,
    is_thanks,
    trails_off,
    yes_or_no,
)
from agent.expectation import FREE, Expectation


class Completeness(Enum):
    """From "more must come" to "nothing more can come"."""

    OPEN = "open"
    """It cannot end here: "and", "my name is", "um", three digits of a number."""
    LONE = "lone"
    """It could end here, but more follows as a rule: "thank you" (goodbye), "hello" (a question), "okay"."""
    DOUBTFUL = "doubtful"
    """Words do not tell."""
    CLEAR = "clear"
    """A request, or what was asked for: most often nothing more comes."""
    QUESTION = "question"
    """One that is complete."""
    WHOLE = "whole"
    """A turn by its form: "goodbye", "yes" where that was asked, the digits of a phone number."""
    WORDLESS = "wordless"
    """No words at all: it was noise, or is not recognised."""


_MOST_CHARACTERS = 300
"""Of a longer turn only the end is judged; it also bounds what the patterns can cost."""
_DIGIT_WORDS = frozenset(("zero", "oh", "o", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
_PHONE_DIGITS = (10, 11)
_FEWEST_DICTATED = 3
_DICTATED = re.compile(r"(?:[\s,.\-()]*(?:\d|\b(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)\b)){3,}\W*$")
_YEAR_OR_AMOUNT = re.compile(r"(?:\b(?:19|20)\d\d|[$:/.]\d+|\b\d00)\W*$")
_BREAKS_OFF = ("...", "\N{HORIZONTAL ELLIPSIS}", ",", "-", "\N{EM DASH}")
_ONLY_CLAUSE = re.compile(
    r"(?:(?:and|but|so|well|yes|no|okay|um|uh) )*(?:if|when|because|before|after|since|while|although|unless|until|once"
    r"|whenever|in case|as soon as|to (?!be honest)\w+ )\b.*"
)
_ONLY_FILLERS = re.compile(
    r"(?:(?:so|well|um|uh|er|hmm|and|but|because|like|i mean|you know|the thing is|yes|no|hi|hello) ?)+"
)
# A recogniser may leave out the question mark.
_ASKS = re.compile(
    r"(?:(?:hi|hello|hey|yes|no|and|but|so|well|okay|oh|um|uh|sorry|excuse me|please) )*"
    r"(?:(?:what|which|where|who|whose|why|how)\b(?! (?:i|we|he|she|it|they)\b)"
    r"|(?:when |until when )?(?:is|are|am|was|were|do|does|did|have|has|can|could|will|would|should|shall|may)"
    r" (?:i|you|we|he|she|it|they|there|the|my|your|our|this|that|these|those|any|some)\b)(?: [\w'-]+)+"
)
# Verbs that are nothing without what comes after them, unless the question is for just that ("what do you need?").
_NEEDS_MORE = re.compile(
    r"(?!.*\b(?:who|whom|what|which|where|how|all|as)\b).*\b(?:tell (?:me|you|us)|know|ask(?: you)?|bring|prefer|wants?"
    r"|needs?|likes?|says?|said|give(?: me)?|have|has|get|got|takes?|make|find|buy|send(?: me)?|possible|able|wondering"
    r"|told|speak|talk|called|named|about|calling|think|thought|hope|mean|heard|wish|try|trying|going|looking)"
)
_NO_QUESTION = re.compile(
    r"(?!.*\b(?:who|whom|what|which|where)\b).*\b(?:to|on|for|at|with|of|about|from|and|or|the|an?)"
)
_REQUEST = re.compile(
    r".*\b(?:i(?:'d| would) like(?: to)?|i (?:want|need|have) to|i(?:'d| would) love to|i was (?:hoping|wondering)|"
    r"(?:could|can|would|will) (?:you|i|we)|please (?:connect|transfer|put|call|tell|send|cancel|book|give)|let me)\b"
    r"(?: [\w'-]+){2,}"
)
_OPENERS = re.compile(r"(?:(?:hi|hello|yes|oh|um|uh) )*(?:excuse me|sorry|pardon(?: me)?|listen|look)")
_BYE = re.compile(r"\b(?:good ?bye|bye)\b")
_POLITE = re.compile(r"\b(?:yes|yeah|yep|sure|no|nope)\b.*\b(?:thanks|thank you|please)$")
_LETTER = re.compile(r"\b[a-z]\b")
_EMAIL = re.compile(r"(?:@|\bat\b).*(?:\.|\bdot\b)\s*(?:[a-z]{2,}|[a-z](?:[\s.,-]+[a-z]){1,4})\W*$")
_SPELLS_EMAIL = re.compile(r"@|\b(?:at|dot|underscore|dash)\b|\w\.\w")
_MONTH = re.compile(r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b")
_DAY = re.compile(
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|\b(?:today|tomorrow|tonight|week(?:end)?|month|noon|morning|"
    r"afternoon|evening|o'?clock|a\.?m|p\.?m)\b|\d+(?:st|nd|rd|th)\b|\b\d+[/.:]\d+|\b\w+(?:st|nd|rd|th)\b"
)
_YEAR = re.compile(r"\b(?:19|20)\d\d\b|\bnineteen\b|\btwo thousand\b|\btwenty \w+|\d[/.]\d+[/.]\d+")


def judge(text: str, expectation: Expectation = FREE) -> Completeness:
    """How finished it looks; for an expectation that the words do not meet, as free speech."""
    if len(text) > _MOST_CHARACTERS:
        text = text[-_MOST_CHARACTERS:].partition(" ")[2]
    if not _plain(text):
        return Completeness.WORDLESS
    if is_goodbye(text) and yes_or_no(text) is None:
        return Completeness.WHOLE if _BYE.search(text.lower()) else Completeness.CLEAR
    match expectation.kind:
        case "digits":
            expected = _digits(text, expectation)
        case "email":
            expected = _email(text)
        case "spelling":
            expected = _spelling(text, expectation)
        case "yes_no":
            expected = Completeness.WHOLE if yes_or_no(text) is not None and not is_thanks(text) else None
        case "date":
            expected = _date(text, expectation)
        case "free":
            expected = None
    return expected or _free(text)


def digit_count(text: str) -> int:
    """Digits spoken in it: "5-5", "five five", "double five" are two."""
    count = 0
    times = 1
    for word in re.findall(r"\d|[a-z]+", text.lower()):
        if word in ("double", "triple"):
            times = 2 if word == "double" else 3
        elif word.isdigit() or word in _DIGIT_WORDS:
            count += times
            times = 1
        else:
            times = 1
    return count


def _free(text: str) -> Completeness:
    plain = _plain(text)
    is_question = text.rstrip().endswith("?") or bool(_ASKS.fullmatch(plain))
    if _OPENERS.fullmatch(plain) and not text.rstrip().endswith("?"):
        return Completeness.LONE
    if asks_to_repeat(text) or asks_for_presence(text):
        return Completeness.WHOLE
    if _is_open(text, plain, is_question):
        return Completeness.OPEN
    if yes_or_no(text) is not None and _POLITE.search(plain):
        return Completeness.CLEAR
    if is_thanks(text) or is_greeting(text) or is_backchannel(text) or yes_or_no(text) is not None:
        return Completeness.LONE
    if is_question:
        return Completeness.QUESTION
    if _DICTATED.search(text.lower()) and not _YEAR_OR_AMOUNT.search(text):
        return Completeness.WHOLE if digit_count(text) in _PHONE_DIGITS else Completeness.OPEN
    return Completeness.CLEAR if _REQUEST.fullmatch(plain) else Completeness.DOUBTFUL


def _is_open(text: str, plain: str, is_question: bool) -> bool:
    if _NEEDS_MORE.fullmatch(plain) and len(plain.split()) > 1 and yes_or_no(text) is None:
        return True
    if is_question and text.rstrip().endswith("?"):
        return bool(_NO_QUESTION.fullmatch(plain))
    if trails_off(text) or asks_to_wait(text) or text.rstrip().endswith(_BREAKS_OFF):
        return True
    if _ONLY_FILLERS.fullmatch(plain) and yes_or_no(text) is None and not is_greeting(text):
        return True
    if is_question:
        return False
    # "If I come at five": the clause that says what then is missing. With a comma it may be there.
    return "," not in text and bool(_ONLY_CLAUSE.fullmatch(plain))


def _digits(text: str, expectation: Expectation) -> Completeness | None:
    count = digit_count(text)
    last = _plain(text).split()[-1]
    if expectation.terminator and count and last == expectation.terminator:
        return Completeness.WHOLE
    if not count:
        return None
    if expectation.length:
        return Completeness.WHOLE if count >= expectation.length else Completeness.OPEN
    if text.rstrip().endswith(","):
        return Completeness.OPEN
    return Completeness.WHOLE if count in _PHONE_DIGITS and not expectation.terminator else Completeness.OPEN


def _email(text: str) -> Completeness | None:
    lower = text.lower().strip()
    if _EMAIL.search(lower):
        return Completeness.CLEAR
    is_spelled = bool(_SPELLS_EMAIL.search(lower) or _LETTER.search(lower.replace("i ", "")))
    return Completeness.OPEN if is_spelled or len(lower.split()) <= _FEWEST_DICTATED else None


def _spelling(text: str, expectation: Expectation) -> Completeness | None:
    letters = len(_LETTER.findall(text.lower().replace("-", " ")))
    if expectation.length and letters >= expectation.length:
        return Completeness.WHOLE
    return Completeness.OPEN if letters or len(text.split()) <= _FEWEST_DICTATED else None


def _date(text: str, expectation: Expectation) -> Completeness | None:
    plain = _plain(text)
    if _is_open(text, plain, is_question=text.rstrip().endswith("?")):
        return Completeness.OPEN
    has_year = bool(_YEAR.search(plain))
    if _DAY.search(plain) or _MONTH.search(plain) or has_year:
        return Completeness.CLEAR if has_year or expectation.length is None else Completeness.OPEN
    return Completeness.OPEN if len(plain.split()) <= _FEWEST_DICTATED and yes_or_no(text) is None else None


def _plain(text: str) -> str:
    """Lower case, words and apostrophes only."""
    return " ".join(re.sub(r"[^\w' ]+", " ", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()).split())
