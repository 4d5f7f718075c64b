# SPDX-License-Identifier: GPL-3.0-or-later
"""What short phrases of a caller mean: yes and no, thanks, goodbye, a name. Pure functions on a transcript.

For the receptionist, who acts on them, and for turn-taking: a lone "yes" or "goodbye" is a finished turn although an
end-of-turn model hears a fragment, and "my name is" is not finished although the caller paused.

A cue must explain the whole utterance, fillers and politeness aside: "bye" is one, "should I bring my bite guard" none.
"""

import re
from collections.abc import Callable

Cue = Callable[[str], bool]

_MOST_WORDS = 12
"""Longer utterances are no cues; it also bounds what a pattern with so many alternatives can cost."""

_FILLERS = "|".join(
    (
        "oh|ah|um|uh|er|hmm|well|so|okay|ok|all right|alright|right|just|and|but|actually|sorry|then|now",
        "for (?:now|today)|great|good|nice|perfect|wonderful|excellent|cool|fine|yes|yeah|no|nope|please",
        "(?:many )?thanks(?: a lot| so much| very much)?|thank you(?: so much| very much)?",
        "for (?:all )?(?:your|the|that) (?:help|time|information|info)",
        "have a (?:good|great|nice) (?:one|day|evening|weekend)",
    )
)


def _cue(*phrases: str) -> re.Pattern[str]:
    """Matches an utterance made of these phrases and fillers, with at least one of the phrases."""
    phrase = "|".join(phrases)
    return re.compile(rf"(?:(?:{_FILLERS}) )*(?:{phrase})(?: (?:{phrase}|{_FILLERS}))*")


_YES = _cue(
    "yes|yeah|yep|yup|sure|of course|certainly|absolutely|definitely|exactly|correct|okay|ok|uh huh|mm hmm",
    "that(?:'s| is) right|go ahead|why not|sounds good|i do|i would|i(?:'d| would) like that",
    "(?:let's |please )?do(?: that)?|that would be (?:great|nice|good|fine)",
)
_NO = _cue(
    "no|nope|nah|no thanks|no thank you|not really|not (?:now|today|at the moment)|never ?mind",
    "(?:i )?(?:don't|do not)|that(?:'s not| won't be) necessary|i(?:'m| am) good",
)
_GOODBYE = _cue(
    "good ?bye|bye(?: bye)?|take care|farewell|so long|have a (?:good|great|nice) (?:one|day|evening|weekend)",
    "see (?:you|ya)(?: (?:later|soon|then|tomorrow))?|(?:talk|speak) to you (?:later|soon)",
    "that(?:'s| is| was|'ll be| will be) (?:all|it|everything)(?! right)(?: i (?:need|needed|wanted)(?: to know)?)?",
    "nothing(?: else| more)?|(?:i have )?no (?:more|other|further) questions",
    "i(?:'m| am) (?:all )?(?:done|finished|set)|(?:you can )?hang up|end the call",
    "i have to go|i(?:'ve| have)? got to go|gotta go",
)
_ENDS_WITH_BYE = re.compile(r".*\b(?:good ?bye|bye(?: bye)?)")
_THANKS = _cue(
    "(?:many )?thanks(?: a lot| so much| very much)?|thank you(?: so much| very much)?",
    "that(?:'s| is| was) (?:very |really |so )?(?:helpful|kind|nice|good to know)",
)
_GREETING = _cue("(?:hello|hi|hey)(?: there)?|good (?:morning|afternoon|evening|day)|greetings")
_WELLBEING = _cue(
    "(?:hello |hi |hey )?how (?:are|'re) you(?: (?:doing|today))*|how(?:'s| is) it going|how do you do|what's up"
)
_REPEAT = _cue(
    "(?:(?:could|can|would|will) you )?(?:please )?(?:repeat|say)(?: (?:that|it|this))?(?: again| once more)?",
    "come again|again|once more|one more time|pardon(?: me)?|i beg your pardon|excuse me|sorry|huh",
    "what|what was that|what did you (?:just )?say",
    "i (?:didn't|did not|couldn't|could not|don't|can't) (?:quite )?(?:catch|hear|get|understand)(?: (?:that|you|it))?",
)
_HOLD = _cue(
    "(?:wait|hold on|hang on)(?: (?:a|one) (?:second|sec|minute|moment))?|(?:a|one) (?:second|sec|minute|moment)",
    "let me (?:think|see|check|look)",
)
_PRESENCE = _cue(
    "(?:hello )?(?:(?:are )?you (?:still )?there|(?:can|do) you hear me|is (?:anybody|anyone|somebody) there)"
)
_BACKCHANNEL = _cue("uh huh|mm hmm|mhm|mm|hmm|okay|ok|right|i see|yeah|yes|sure|got it|oh|ah|aha|really|great|good")
_ANSWER = _cue(r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|\d+)(?: [\w']+){0,2}")

_STAFF = (
    "human|person|people|someone|somebody|operator|representative|receptionist|staff|agent|reception|front desk|doctor"
)
_BETWEEN = ".{0,100}"
"""Not `.*`, which in a long text costs the square of its length."""
_PERSON = re.compile(
    rf"\b(?:talk|speak|connect me|transfer me|put me through|get me)\b{_BETWEEN}\b(?:{_STAFF})\b"
    r"|\b(?:operator|representative|real person|human being) please\b"
)
_MESSAGE = re.compile(
    rf"\b(?:leave|take|give)\b{_BETWEEN}\bmessage\b|\b(?:call|ring|phone) me back\b"
    r"|\b(?:have|get) (?:someone|somebody) (?:to )?call\b"
)
_OWN_NAME = re.compile(r"\b(?:what(?:'s| is| was)|remember|know|say) my name\b|\bwho am i\b(?! (?:talking|speaking))")
_EARLIER = re.compile(
    r"\bwhat (?:did|have) i (?:just )?(?:ask|asked|say|said)\b"
    r"|\bwhat (?:was|were|is) my (?:(?:first|last|previous|earlier) )?questions?\b"
)
_FOLLOW_UP = re.compile(
    r"(?:and|also|but|or|what about|how about|what if|then|so)\b"
    r"|.*\b(?:it|that|there|them|this|those|too|as well|instead)$"
)
_TRAILING = re.compile(
    r".*\b(?:and|or|but|because|so|if|when|that|the|a|an|my|your|to|of|for|with|is|are|at|on|in|um|uh|er|like|i"
    r"|my name is|my number is|i want|i need|i'd like|i would like)"
)
_PRESSED = re.compile(r"\[pressed ([0-9*#A-D, ]+)\]", re.IGNORECASE)

_CONFUSED = re.compile(
    r"\bi(?:'m| am) (?:a bit |a little |so |totally |still )?(?:confused|lost|not following|not sure i understand)\b"
    r"|\bi (?:don't|do not|didn't|did not|can't|cannot) (?:really |quite )?(?:understand|follow|get (?:it|that))\b"
    r"|\bwhat (?:do|did) you mean\b|\bwhat does that mean\b|\b(?:doesn't|does not|makes no) (?:make )?sense\b"
    r"|^(?:(?:sorry|wait|um|uh|no) )*(?:what|huh|pardon|come again)$"
)

_WORD = r"[A-Z][\w'-]+"
_NAME = rf"(?P<name>(?:(?:Mr|Mrs|Ms|Miss|Dr|Doctor)\.? )?(?:(?:van|von|de|der|la|di) )*{_WORD}(?: {_WORD}){{0,2}})"
_SAYS_NAME = (
    re.compile(rf"\b(?:[Mm]y name(?:'s| is)|[Tt]he name(?:'s| is)|(?:[Yy]ou (?:can|may) )?[Cc]all me) {_NAME}"),
    re.compile(rf"\b(?:[Tt]his is|[Ii]t's|[Ii]t is) {_NAME}(?= (?:here|speaking|calling|from|and)\b|[,.!?]|$)"),
    re.compile(rf"\b(?:I'm|I am) {_NAME}(?= (?:here|calling|from|and)\b|[,.!?]|$)"),
    re.compile(r"\bmy name(?:'s| is) (?P<name>[a-z][\w'-]+)"),  # a recogniser without capitals
)
_NO_NAMES = frozenset(
    re.findall(
        r"\w+",
        """a an the not in on at to for is it that very just about calling looking from with
        monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
        september october november december english american
        okay ok yes no please thanks sorry fine good great here there what why how""",
    )
)


def _plain(text: str) -> str:
    """Lower case, words and apostrophes only."""
    return " ".join(re.sub(r"[^\w' ]+", " ", _straight(text).lower()).split())


def _straight(text: str) -> str:
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _is(cue: re.Pattern[str], text: str) -> bool:
    plain = _plain(text)
    return plain.count(" ") < _MOST_WORDS and cue.fullmatch(plain) is not None


def yes_or_no(text: str) -> bool | None:
    """True for yes, False for no, None when it is neither, or more than that."""
    if _is(_NO, text):
        return False
    return True if _is(_YES, text) else None


def is_goodbye(text: str) -> bool:
    """The caller takes leave, or has nothing more to ask."""
    return _is(_GOODBYE, text) or _is(_ENDS_WITH_BYE, text)


def is_thanks(text: str) -> bool:
    return _is(_THANKS, text)


def is_greeting(text: str) -> bool:
    return _is(_GREETING, text)


def is_backchannel(text: str) -> bool:
    """ "Uh-huh": the caller listens, and does not want the floor."""
    return _is(_BACKCHANNEL, text)


def is_whole_turn(text: str) -> bool:
    """Short, and nothing more is to be expected: yes, no, hello, thanks, goodbye, a number."""
    cues = (_YES, _NO, _GOODBYE, _THANKS, _GREETING, _REPEAT, _PRESENCE, _ANSWER)
    return any(_is(cue, text) for cue in cues)


def trails_off(text: str) -> bool:
    """The sentence cannot end here: "and", "my name is", "I need to"."""
    return not text.rstrip().endswith(("?", "!")) and bool(_TRAILING.fullmatch(_plain(text)))


def asks_wellbeing(text: str) -> bool:
    return _is(_WELLBEING, text)


def asks_to_repeat(text: str) -> bool:
    return _is(_REPEAT, text)


def is_confused(text: str) -> bool:
    """The caller did not understand us: "what?", "I don't understand", "what do you mean?"."""
    return bool(_CONFUSED.search(_plain(text)))


def asks_to_wait(text: str) -> bool:
    return _is(_HOLD, text)


def asks_for_presence(text: str) -> bool:
    """ "Are you there?" """
    return _is(_PRESENCE, text)


def asks_for_person(text: str) -> bool:
    return bool(_PERSON.search(_plain(text)))


def asks_for_message(text: str) -> bool:
    """The caller wants to leave a message, or to be called back."""
    return bool(_MESSAGE.search(_plain(text)))


def asks_own_name(text: str) -> bool:
    return bool(_OWN_NAME.search(_plain(text)))


def asks_earlier_question(text: str) -> bool:
    """ "What did I ask before?" """
    return bool(_EARLIER.search(_plain(text)))


def is_follow_up(text: str) -> bool:
    """The sentence leans on the one before: "and on Sunday?", "how much is that?"."""
    return bool(_FOLLOW_UP.match(_plain(text)))


def pressed_keys(text: str) -> str | None:
    """The keys of a message that stands for DTMF ("[pressed 1]"), None for speech."""
    pressed = _PRESSED.fullmatch(text.strip())
    return pressed[1].strip() if pressed else None


def caller_name(text: str) -> str | None:
    """The name by which callers introduce themselves, as they wish to be called."""
    found = _find_name(text)
    return found[0] if found else None


def without_name(text: str) -> str:
    """The rest of an utterance in which callers introduce themselves."""
    found = _find_name(text)
    if found is None:
        return text
    _, start, end = found
    rest = f"{text[:start]} {text[end:]}"
    return re.sub(r"(?i)^\W*(?:(?:hello|hi|hey|yes|and|here|speaking|calling)\b\W*)*", "", rest).strip()


def _find_name(text: str) -> tuple[str, int, int] | None:
    """The name, and where the introduction begins and ends."""
    text = _straight(text)
    for pattern in _SAYS_NAME:
        for match in pattern.finditer(text):
            name = match["name"]
            if not _NO_NAMES.intersection(name.lower().split()):
                return name[0].upper() + name[1:], match.start(), match.end()
    return None
