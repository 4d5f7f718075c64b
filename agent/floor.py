# SPDX-License-Identifier: GPL-3.0-or-later
"""What words spoken over us ask for: the floor, or nothing. Pure functions on what was recognised so far.

    text > no words left ─────────────────────────> NOTHING
         > our own words, in our order ───────────> ECHO
         > "stop", "wait", "no", a question ... ──> WANTED
         > "uh-huh", "okay", "I see" ... alone ───> BACKCHANNEL
         > so many other words ───────────────────> WANTED, fewer, or doubtful ones: UNSURE

A hum comes out of a recogniser as any word, but as a doubtful one.

In overlap the same word means something else than in a turn: "okay" at its end answers a question, over us it says
"go on". So this list is another one than that of agent/cues.py, and broader: whoever wants the floor says more.
"""

import re
from collections.abc import Sequence
from enum import Enum


class Floor(Enum):
    """What the caller wants."""

    NOTHING = "nothing"
    """No words: a cough, a door."""
    ECHO = "echo"
    """Our own words came back."""
    BACKCHANNEL = "backchannel"
    """The caller listens."""
    UNSURE = "unsure"
    """Words, too few or too doubtful to tell."""
    WANTED = "wanted"
    """The floor."""


_MOST_CHARACTERS = 300
"""Who has said so much wants the floor; it also bounds what matching can cost."""
_ECHO_WORDS = 3
"""So many of our words in a row are no coincidence. Fewer may be a caller who asks back."""

_SURE_OF_CLAIM, SURE_OF_WORDS = 0.28, 0.35
"""A transcript at least this confident is believed. Measured with Whisper tiny.en on short words and hums of 0.2 to
0.9 s at 8 kHz: words 0.28 to 0.58, hums 0.13 to 0.31 ("that", "but", "man")."""

_NOT_SPOKEN = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|[♪♫]")
"""How recognisers write noises: [cough], (sighs), *laughs*."""
_LISTENING = re.compile(
    r"\b(?:(?:u+h|m+|a+|e+h|n+)[ -]?h[uma]+h?|m+[ -]?m+|m+hm+|(?:h|u|e|a)*m+|u+h+|a+h+|o+h+|e+h+|a+ha|h+u+h|h+"
    r"|ok|okay|okey|k|kay|alright|all right|right|yeah|yep|yup|ya|yah|yes|sure|true|indeed|exactly|absolutely|correct"
    r"|definitely|certainly|of course|good|great|fine|nice|cool|perfect|lovely|wonderful|excellent|wow|well|so"
    r"|really|interesting|i see|got it|got you|gotcha|i know|i understand|understood|makes sense|that makes sense"
    r"|(?:that is|that's|it's) (?:right|true|good|great|fine|okay|nice)|go on|thanks?|thank you|you|sounds good)\b"
)
"""Silence and hums often come out of recognisers as "you" or "thank you", too."""
_CLAIMS = re.compile(
    r"(?:well |so |oh |um |uh |okay |ok |yeah |yes |and |but |no |right |sorry |please |hello |hi )*"
    r"(?:stop|wait|no|nope|nah|hold on|hang on|hold up|one (?:second|moment|minute|sec)|just a (?:second|moment|minute)"
    r"|excuse me|pardon|sorry|but|actually|listen|hello|hey|quiet|enough|never ?mind|forget it|cancel|help|goodbye|bye"
    r"|what|when|where|who|whose|which|why|how|can|could|would|will|do|does|did|is|are|am|was|shall|should|have|has|may"
    r"|let me|i (?:want|need|would|have|don't|didn't|can't|can|was|am)|i'd|i'm|i've|that's (?:not|wrong)|not|repeat"
    r"|again|say|tell|give|please|speak|transfer|operator|agent|human|representative)\b"
)
"""Beginnings after which nobody means "go on"."""


def wish(
    text: str,
    ours: str = "",
    *,
    confidence: float = 0.0,
    least_words: int = 2,
    backchannels: Sequence[str] = (),
    claims: Sequence[str] = (),
) -> Floor:
    """What these words, spoken while we say `ours`, ask for.

    `backchannels` and `claims` are an agent's own, plain words; of others `least_words` are needed. `confidence` is the
    transcript's; 0: unknown, and believed.
    """
    confidence = confidence or 1.0
    if len(text) > _MOST_CHARACTERS:
        return Floor.WANTED
    words = _plain(_NOT_SPOKEN.sub(" ", text))
    if not words:
        return Floor.NOTHING
    if words.count(" ") + 1 >= _ECHO_WORDS and f" {words} " in f" {_plain(ours)} ":
        return Floor.ECHO
    if any(_begins(words, claim) for claim in claims):
        return Floor.WANTED if confidence >= _SURE_OF_CLAIM else Floor.UNSURE
    rest = words
    for own in backchannels:
        rest = re.sub(rf"\b{re.escape(_plain(own))}\b", " ", rest)
    rest = " ".join(_LISTENING.sub(" ", rest).split())
    if not rest:
        return Floor.BACKCHANNEL
    if _CLAIMS.match(words) or _CLAIMS.match(rest):
        return Floor.WANTED if confidence >= _SURE_OF_CLAIM else Floor.UNSURE
    enough = rest.count(" ") + 1 >= least_words and confidence >= SURE_OF_WORDS
    return Floor.WANTED if enough else Floor.UNSURE


def _begins(words: str, claim: str) -> bool:
    return f"{words} ".startswith(f"{_plain(claim)} ")


def _plain(text: str) -> str:
    """Lower case, words and apostrophes only."""
    straight = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    return " ".join(re.sub(r"[^\w' ]+", " ", straight).split())
