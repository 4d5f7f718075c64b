# SPDX-License-Identifier: GPL-3.0-or-later
"""Which numbers may be dialled: prefixes that are allowed and denied, the longest one wins.

What a far end sends us to (REFER, 3xx) is checked against `PREMIUM` too: toll fraud earns its money there.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

Way = Literal["order", "transfer", "refer", "redirect"]
"""How a call comes to go out: somebody who may ordered it (API, route, campaign); we send the far end elsewhere by
REFER; a far end sends us there by REFER, or by a 3xx."""

PREMIUM = (
    # International networks and services that cost like premium numbers (ITU-T E.164, list of assigned codes).
    *("+870", "+878", "+881", "+882", "+883", "+888", "+979"),
    # North America: pay per call; and the islands that are dialled like domestic numbers (FCC, "One Ring" scam).
    *("+1900", "+1976"),
    *("+1242", "+1246", "+1264", "+1268", "+1284", "+1345", "+1441", "+1473", "+1649", "+1658", "+1664"),
    *("+1721", "+1758", "+1767", "+1784", "+1809", "+1829", "+1849", "+1868", "+1869", "+1876"),
    # Premium and personal numbers of national numbering plans.
    *("+4487", "+449", "+4470", "+49900", "+49137", "+43900", "+43901", "+43930", "+43931", "+41900"),
    *("+41901", "+41906", "+3389", "+3290", "+31900", "+31906", "+31909", "+34803", "+34806", "+34807"),
    *(
        "+39892",
        "+39895",
        "+39899",
        "+351646",
        "+351760",
        "+351761",
        "+46900",
        "+46939",
        "+46944",
        "+4782",
        "+4590",
        "+358600",
        "+358700",
    ),
    *("+48700", "+48701", "+48703", "+48708", "+420900", "+420906", "+420908", "+420909", "+7809"),
    *("+61190", "+64900", "+81990"),
)
"""Denied by REFER and 3xx unless `allow_destinations` has a prefix at least as long."""

SEPARATORS = str.maketrans("", "", " -._()/")
"""What people write between digits: it means nothing (RFC 3966 section 5.1.1)."""
_NUMBER = re.compile(r"\+?[A-Za-z0-9*#]*")
_ABROAD = ("00", "011")
"""What most of the world, and North America, dial in place of the plus."""


def is_allowed(number: str, allow: Iterable[str], deny: Iterable[str], way: Way, *, abroad: str = "") -> bool:
    """Whether this number, as it was given, may be dialled.

    A prefix with a plus means the international form, which a number may also have with 00, 011, or nothing before it;
    one without a plus means the number as it is written. `abroad`: what it is there, when that is known. Service codes
    (`*67...`) only go out by order.
    """
    allow = tuple(one.translate(SEPARATORS) for one in allow)
    deny = tuple(one.translate(SEPARATORS) for one in deny)
    plain = bare(number)
    if way != "order":
        deny += PREMIUM
        if "*" in plain or "#" in plain:
            deny += (plain,)
        # With more in it than digits and what stands between them it is there to be read differently by somebody.
        given = number.translate(SEPARATORS)
        if any(one.isdigit() for one in given) and not _NUMBER.fullmatch(given):
            return False
    verdicts = [_verdict(form, allow, deny) for form in {*_forms(plain), *filter(None, (abroad,))}]
    if False in verdicts:
        return False
    return not allow or True in verdicts


def bare(number: str) -> str:
    """A number without what means nothing in it, its digits those of ASCII. No country code begins with 0: a plus
    before one is nothing either (E.164, annex B)."""
    compatible = unicodedata.normalize("NFKC", number)
    digits = "".join(str(unicodedata.decimal(one, one)) for one in compatible if one.isalnum() or one in "*#")
    return f"+{digits}" if compatible.lstrip().startswith("+") and not digits.startswith("0") else digits


def _forms(plain: str) -> list[str]:
    """The number as it is, and what it is internationally, as far as it can be."""
    forms = [plain]
    for abroad in _ABROAD:
        if plain.startswith(abroad):
            forms.append("+" + plain.removeprefix(abroad))
    if not plain.startswith(("+", "0")):
        forms.append("+" + plain)
    return forms


def _verdict(form: str, allow: tuple[str, ...], deny: tuple[str, ...]) -> bool | None:
    """None: no prefix says anything."""
    allowed = max((len(prefix) for prefix in allow if form.startswith(prefix)), default=-1)
    denied = max((len(prefix) for prefix in deny if form.startswith(prefix)), default=-1)
    return None if allowed == denied == -1 else allowed >= denied
