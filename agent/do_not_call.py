# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether somebody asks not to be called any more: "take me off your list". A pure function on an English transcript.

Who asks has a right to it (47 CFR 64.1200(d), Article 21 GDPR), so it must be heard; but it ends the call, so what
merely sounds alike ("take me off hold", "don't call me before nine", "he won't stop calling me") must not be taken
for it. So a request is a phrase that names us, the caller and the calling, and

- what goes before does not make it a question, a report or its opposite ("why did you take me off", "don't remove me");
- what follows does not bind it to a time or a matter: the sentence ends, or goes on with a reason or a goodbye.
"""

import re

REFUSED = "do_not_call"
"""Why the agent hangs up, after such a request."""
_MOST_CHARACTERS = 1_000
"""Of a longer turn only the end is looked at; it also bounds what the patterns can cost."""

_ME = (
    "(?:me|us|here"
    "|(?:this|my|our) (?:(?:phone|mobile|cell|home|private|office) )?(?:number|phone|line|house|home|cell))"
)
_CALL = "(?:call|phone|ring|dial|contact|telephone)"
_AGAIN = "(?:(?:ever )?again|any ?more|any longer|ever|in (?:the )?future)"
_OUT_OF = "(?:off|from|out of)(?: of)?"
_OUR_LIST = (
    "(?:your|the|this|that|any|all)(?: of your)? (?:\\w+ ){0,2}?(?:lists?|database|records|system)"
    "(?! (?:of|for|that|which)\\b)"
)
_NOT_OURS = "(?:waiting|wait|guest|e ?mail|mail|mailing|newsletter|shopping|patient|price|wish|do not call|don't call)"

_SOFT = re.compile(
    rf"(?:please )?(?:don't|never)(?: you)?(?: (?:ever|please|bother to))?"
    rf" (?:{_CALL} (?:{_ME}(?: (?:back|on this (?:number|phone|line)))?|back)|bother (?:me|us))\b"
    rf"|\bnot (?:to )?(?:ever )?{_CALL} {_ME}\b"
    rf"|\b(?:stop|quit) (?:calling|phoning|ringing|contacting)(?: {_ME})?\b"
    rf"|\b(?:stop|quit) (?:bothering|harassing|pestering|spamming) (?:me|us)\b"
    rf"|\bdon't (?:want|wish|need|like)(?: you)? to (?:be|get) (?:called|phoned|contacted)\b"
    rf"|\bdon't want (?:you|you guys|you people|anybody|anyone)(?: to)? (?:{_CALL}|calling|contacting) {_ME}\b"
    rf"|\bdon't (?:want|wish)(?: to (?:get|receive|have))? (?:any (?:more )?(?:of )?|more )?(?:these|such|your)?"
    r"(?: (?:phone|sales|marketing))* ?calls(?: from (?:you|your company|you people))?\b"
    r"|\b(?:lose|delete|erase|remove) (?:my|our|this) (?:phone )?number\b"
    r"|\bunsubscribe me\b|\bleave me alone\b"
)
"""Requests if nothing follows that binds them: to a time, a matter, a name."""
_FIRM = re.compile(
    rf"\b(?:take|remove|delete|strike|scratch|get|cross|erase)"
    rf" (?:me|us|(?:my|our|this) (?:(?:phone )?number|name|details|data)) {_OUT_OF}"
    rf" (?!(?:\w+ ){{0,3}}{_NOT_OURS}\b){_OUR_LIST}"
    rf"|\b(?:be|get) (?:taken|removed|deleted) {_OUT_OF} (?!(?:\w+ ){{0,3}}{_NOT_OURS}\b){_OUR_LIST}"
    r"|\b(?:put|place|add) (?:me|us|(?:my|our|this) (?:phone )?number) (?:on|to|in)"
    r" (?:your|the|a|that|any) (?:\w+ )?don't call (?:list|registry)\b"
    r"|\b(?:i'm|i am|we're|we are|number is) (?:already )?(?:on|in) (?:the|a) (?:\w+ )?don't call (?:list|registry)\b"
)
"""Requests whatever follows."""
_REFUSES_MORE = re.compile(
    r"(?:(?:no|please|ok|okay|look|listen|and|thanks?|thank you) )*no more (?:phone )?calls(?: please)?"
)

_FOLLOWS = re.compile(
    rf"(?: {_AGAIN})*(?: (?:please|at all|on this (?:number|phone|line)|from now on|all the time|every (?:single )?day"
    r"|about (?:this|that|it|anything)|by (?:you|anybody|anyone)|for any reason|under any circumstances))*"
    r"(?:$| (?:please|thanks?|ok(?:ay)?|(?:good ?)?bye|have|or|and (?!again)|because|it's|that's|this is|there's"
    r"|we(?:'re)?|i(?:'m|'ve|'ll|'d)?|you(?:'re)?|my|take|remove|do|is that|understood|got it|just|sir|ma'am|madam"
    r"|man|no|yes|stop)\b)"
)
_AGAIN_IN = re.compile(rf"\b{_AGAIN}\b")
_ORDER = re.compile(r"(?:please )?(?:don't|never)\b(?! (?:want|wish|need|like)\b)")
_WISH = re.compile(r"don't (?:want|wish|need|like)\b")
_BINDS = re.compile(r" (?:i(?:'m|'ve|'ll|'d)?|we(?:'re)?|you(?:'re)?|and|or|just|my|do)\b")
"""After "don't call me" without "again": "don't call me, I'll call you" is no request."""

_NOT_A_REQUEST = re.compile(
    r"\b(?:why|when|if|unless|whether|did|didn't|does|doesn't|don't|won't|wouldn't|can't|couldn't|shouldn't|will not"
    r"|would not|not|never|was|were|wasn't|weren't|used|try|tried|trying|he|she|they|(?<!you )people|who|nobody|kids"
    r"|friends|ex)(?: (?:i|you|we|they|he|she|to|just|even|ever|want|have|need|please|not|going))*$"
    r"|\b(?:him|her|them|he|she|they|everybody|(?<!you )people|my \w+)(?: to| should| must| can)?$"
)
"""Before a request: it is none."""
_REPORTS = re.compile(r"(?<!\bhope )(?<!\bsure )(?<!\bthat )(?<!\bwant )(?<!\brather )\b(?:you|we|i)$")
"""Before "don't call", "never call": "you never call me"."""
_WISHED_BY_OTHERS = re.compile(r"\b(?:if|when|why|do|they|he|she|people|who)(?: (?:i|you|we|they))?$")


def asks_not_to_be_called(text: str) -> bool:
    """ "Don't call me again", "take me off your list", "stop calling me"."""
    plain = _plain(text)
    if _REFUSES_MORE.fullmatch(plain):
        return True
    if any(not _NOT_A_REQUEST.search(plain[: found.start()].rstrip()) for found in _FIRM.finditer(plain)):
        return True
    return any(_is_request(plain, found) for found in _SOFT.finditer(plain))


def _is_request(plain: str, found: re.Match[str]) -> bool:
    before, after = plain[: found.start()].rstrip(), plain[found.end() :]
    is_order = bool(_ORDER.match(found[0]))
    if _WISH.match(found[0]):
        if _WISHED_BY_OTHERS.search(before):
            return False
    elif _NOT_A_REQUEST.search(before) or (is_order and _REPORTS.search(before)):
        return False
    follows = _FOLLOWS.match(after)
    if follows is None:
        return False
    return not is_order or not _BINDS.match(after) or bool(_AGAIN_IN.search(f"{found[0]}{follows[0]}"))


def _plain(text: str) -> str:
    """Lower case, words and apostrophes only; "do not" and "dont" are "don't"."""
    straight = text[-_MOST_CHARACTERS:].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    words = " ".join(re.sub(r"[^\w' ]+", " ", straight).split())
    return re.sub(r"\b(?:do not|dont)\b", "don't", words)
