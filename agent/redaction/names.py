# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of people, by what is said around them. There is no list of names: who is only mentioned ("tell Anna") is not
found, unless the name was told before in the call, or is known."""

import re
from collections.abc import Iterable, Iterator, Sequence

from agent.redaction.kinds import Span

_STRONG = re.compile(
    r"\b(?:(?:my|the|his|her|our|your|last|first|full|family|sur) ?(?:full |first |last |family )?name(?:'s| is)"
    r"|name[:,]|i(?:'m| am) called|they call me|call me|the name(?:'s| is)|speaking (?:to|with)"
    r"|you(?:'re| are) (?:talking|speaking) (?:to|with)"
    r"|mein name ist|ich heiße|me llamo|mi nombre es|je m'appelle|mon nom est)[,:]?\s+",
    re.I,
)
"""What follows is a name, however it is written."""
_WEAK = re.compile(
    r"\b(?:this is|it's|it is|i'm|i am|hi|hello|hey|thanks|thank you|goodbye|bye|for|with|by|to|from|hier ist|ich bin"
    r"|soy|c'est)[,]?\s+",
    re.I,
)
"""What follows may be one, if it is written like one and stands alone, or if somebody is speaking or calling."""
_TITLE = re.compile(
    r"\b(?:mr|mrs|ms|miss|mx|dr|doctor|prof|professor|herr|frau|señora?|monsieur|madame|mister)\.?\s+", re.I
)
_SPOKEN_FOR = re.compile(
    r"\b(?:this is|it's|it is|here is) (?=(?:[^\W\d_]+ ){1,2}(?:speaking|calling|here|on the (?:line|phone))\b)", re.I
)
_SPEAKING = re.compile(r"\b(speaking|here|calling|on the (?:line|phone))\b", re.I)
_ASKS = re.compile(
    r"\b(?:your (?:full |first |last )?name|who(?:'s| is| am i) (?:calling|speaking|this|talking)"
    r"|who(?:m)? am i (?:speaking|talking)|may i (?:have|ask|get) (?:your|who)|ihr name|su nombre|votre nom)\b",
    re.I,
)
_WORD = re.compile(r"[^\W\d_](?:\.|[^\W\d_]*(?:['\u2019-][^\W\d_]+)*)")
_GAP = re.compile(r"\s+")
_FILLER = re.compile(r"(?:(?:uh|um|er|erm|well|yes|yeah|sure|okay|ok|so|oh|hi|hello)\b[,.]?\s+)*", re.I)
_PARTICLE_WORDS = "van von de da del della di der den la le bin al el mac mc st san dos"
_PARTICLES = frozenset(_PARTICLE_WORDS.split())
_WORDS = """
a about actually after again all also am an and any are as ask asking at back be because been before but by call
called calling can cannot correct could did do does done down fine for from get getting go going good got great had
happy has have having he hello help her here hi him his how i i'd i'll i'm i've if in interested into is it it's its
just know later let like line long looking maybe me mine more much my new no none not nothing now of off ok okay on
one only or our out over phone please question quite ready really right same see she so some sorry speak
speaking spelled spelt still sure talk talking tell than thank thanks that that's the their them then there they
thing this those to today tomorrow tonight too trying unfortunately up us very wait waiting wanted was we well were
what when where which while who why will with wondering would yeah yes yesterday yet you your yours monday tuesday
wednesday thursday friday saturday sunday january february march april june july august september october november
december mr mrs ms dr miss address email number account card zero one two three four five six seven eight nine ten
und oder ich ist aus mit für y o et ou
"""
_NOT_NAMES = frozenset(_WORDS.split())
"""What follows a cue, and is no name."""
_SURNAMES = frozenset(("april", "august", "june", "march"))
"""Of those, what may be the second word of one."""
_MOST_WORDS = 4
_MOST_LOWER_CASE = 2
_SHORTEST_KNOWN = 3


def find_names(text: str, asked: str) -> Iterator[Span]:
    """`asked`: what the other said before; a short answer to "your name?" is one."""
    is_cased = text != text.lower()
    for found in _STRONG.finditer(text):
        begin = _FILLER.match(text, found.end())
        yield from _name_at(text, begin.end() if begin else found.end(), is_cased=is_cased)
    for found in _TITLE.finditer(text):
        yield from _name_at(text, found.end(), is_cased=is_cased)
    for found in _WEAK.finditer(text):
        for name in _name_at(text, found.end(), is_cased=True, must_be_cased=True):
            follows = text[name.end :].lstrip(" ,")
            if not follows or follows[0] in ".!?" or _SPEAKING.match(follows) or _introduces(found[0]):
                yield name
    for found in _SPOKEN_FOR.finditer(text):
        yield from _name_at(text, found.end(), is_cased=False)
    for found in _SPEAKING.finditer(text):
        yield from _name_before(text, found.start())
    if _ASKS.search(asked):
        begin = _FILLER.match(text)
        start = begin.end() if begin else 0
        yield from _name_at(text, start, is_cased=is_cased)


def _introduces(cue: str) -> bool:
    return cue.strip(" ,").lower() in ("this is", "i'm", "i am", "hier ist", "ich bin", "soy", "c'est")


def _name_at(text: str, at: int, *, is_cased: bool, must_be_cased: bool = False) -> Iterator[Span]:
    """The name that begins there, if one does."""
    end, count = at, 0
    while count < (_MOST_WORDS if is_cased else _MOST_LOWER_CASE):
        word = _WORD.match(text, end if not count else _after_gap(text, end))
        if word is None or (count and word.start() == end):
            break
        plain = word[0].rstrip(".").lower()
        is_particle = plain in _PARTICLES and not word[0][0].isupper()
        if plain in _NOT_NAMES and not (count and word[0][0].isupper() and plain in _SURNAMES):
            break
        if is_cased and (count or must_be_cased) and not (word[0][0].isupper() or is_particle):
            break
        end, count = word.end(), count + 1
        if word[0].endswith(".") and len(word[0]) > 2:
            end -= 1
            break
    if count:
        last = text[at:end].rstrip(" .")
        if last.split()[-1].lower() not in _PARTICLES or count == 1:
            yield Span(at, at + len(last), "names")


def _after_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _name_before(text: str, at: int) -> Iterator[Span]:
    """ "Anna Smith speaking"; only where it begins what is said."""
    before = text[:at].rstrip(" ,")
    sentence = max(before.rfind(mark) for mark in ".!?,") + 1
    start = _after_gap(text, sentence)
    words = before[start:].split()
    if not 1 <= len(words) <= _MOST_WORDS - 1:
        return
    if all(
        word[0].isupper() and re.split("['\u2019]", word.lower())[0] not in _NOT_NAMES and _WORD.fullmatch(word)
        for word in words
    ):
        yield Span(start, len(before), "names")


def known_words(names: Iterable[str]) -> frozenset[str]:
    """What of these names counts by itself, in lower case."""
    words = (word.strip(".,").lower() for name in names for word in name.split())
    return frozenset(
        word for word in words if len(word) >= _SHORTEST_KNOWN and word not in _NOT_NAMES and word not in _PARTICLES
    )


def find_known_names(text: str, known: Sequence[str] | frozenset[str]) -> Iterator[Span]:
    """Names that were told before. Where people are written with capitals, only those."""
    if not known:
        return
    is_cased = text != text.lower()
    last: Span | None = None
    for word in _WORD.finditer(text):
        plain = word[0].rstrip(".").lower()
        bare = plain.removesuffix("'s").removesuffix("\u2019s")
        if bare not in known or (is_cased and not word[0][0].isupper()):
            continue
        span = Span(word.start(), word.start() + len(bare), "names")
        if last is not None and not text[last.end : span.begin].strip():
            last = Span(last.begin, span.end, "names")
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last
