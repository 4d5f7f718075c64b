# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is said to call: in what we send through a trunk, and in what comes through one. Pure.

RFC 3261 (From), 3325 (P-Asserted-Identity, P-Preferred-Identity, Privacy: id), 3323 (Privacy, anonymous callers), 5806
(Diversion), 8496 (P-Charge-Info), and Remote-Party-ID, which never became an RFC (draft-ietf-sip-privacy-04).
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway.sip.identity import caller_identity
from gateway.sip.uri import SipUri, UriError
from gateway.trunks.config import TrunkConfig

Headers = tuple[tuple[str, str], ...]

WITHHELD = "anonymous"
"""What whoever asks for a call names as its caller, to keep the number back, and what such a caller is called here."""
_ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"""RFC 3323 section 4.1.1.3."""
_HIDING = frozenset({"id", "user", "header", "full"})
"""Values of Privacy under which we must not show who calls (RFC 3323 section 4.2, RFC 3325 section 9.3)."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """What an INVITE of ours says of who calls."""

    from_uri: str
    """For From; empty: the account's own."""
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Parties:
    """Between whom a call that came in is."""

    caller: str
    """Number or user part; the whole address when it has none; `anonymous` when it was withheld."""
    caller_uri: str
    called: str


def present(trunk: TrunkConfig, caller: str | None, *, diverted_from: str = "") -> Presentation:
    """How to say through this trunk that `caller` calls: a number, an address, `anonymous`, or nobody in particular.

    `diverted_from` is the number that a call came for that we pass on. Raises `UriError` for what cannot be said.
    """
    if caller is not None and caller.lower() == WITHHELD:
        return _with_trunk_headers(trunk, _withheld(trunk))
    shown = caller or trunk.number
    if not shown:
        return _with_trunk_headers(trunk, Presentation(""))
    uri = _address(trunk, shown)
    headers = list(_asserted(trunk, uri))
    if trunk.diversion and diverted_from:
        headers.append(("Diversion", f"<{_address(trunk, diverted_from)}>;reason=unconditional"))
    return _with_trunk_headers(trunk, Presentation(f"<{uri}>", tuple(headers)))


def _address(trunk: TrunkConfig, caller: str) -> SipUri:
    if re.match(r"(?i)sips?:", caller):
        uri = SipUri.parse(caller)
        return replace(uri, user=trunk.plan.written(uri.user))
    user = trunk.plan.written(re.sub(r"(?i)^tel:", "", caller))
    # What is no user part is found here: the API takes any text as a caller.
    return SipUri.parse(str(SipUri("sip", user, trunk.domain)))


def _withheld(trunk: TrunkConfig) -> Presentation:
    if not trunk.number:  # nobody is asserted: the trunk knows its customer by other means
        return Presentation(_ANONYMOUS, (("Privacy", "id"),))
    uri = _address(trunk, trunk.number)
    headers = list(_asserted(trunk, uri, hidden=True))
    if trunk.caller_id == "from" and trunk.privacy == "anonymous":
        headers.append(("P-Asserted-Identity", f"<{uri}>"))
    headers.append(("Privacy", "id"))
    return Presentation(_ANONYMOUS if trunk.privacy == "anonymous" else f"<{uri}>", tuple(headers))


def _asserted(trunk: TrunkConfig, uri: SipUri, *, hidden: bool = False) -> Iterator[tuple[str, str]]:
    match trunk.caller_id:
        case "from":
            return
        case "pai":
            yield "P-Asserted-Identity", f"<{uri}>"
        case "ppi":
            yield "P-Preferred-Identity", f"<{uri}>"
        case "rpid":
            yield "Remote-Party-ID", f"<{uri}>;party=calling;screen=yes;privacy={'full' if hidden else 'off'}"
        case "p_charge_info":
            yield "P-Charge-Info", f"<{_address(trunk, trunk.number) if trunk.number else uri}>"


def _with_trunk_headers(trunk: TrunkConfig, said: Presentation) -> Presentation:
    return replace(said, headers=(*said.headers, *trunk.headers.items()))


def parties(trunk: TrunkConfig | None, from_uri: str, called: str, headers: Headers) -> Parties:
    """Who calls whom, of an INVITE that came through this trunk, or none.

    A trusted trunk's P-Asserted-Identity comes before From, which anybody writes; Privacy is honoured from everybody.
    """
    if trunk is not None:
        called = trunk.plan.called(called)
    if _hides(headers):
        return Parties(WITHHELD, _ANONYMOUS, called)
    asserted = _first_asserted(headers) if trunk is not None and trunk.trust_identity else None
    address = from_uri if asserted is None else asserted
    try:
        uri = SipUri.parse(address)
    except UriError:
        return Parties(address, address, called)
    user = uri.user if trunk is None else trunk.plan.received_number(uri.user)
    return Parties(user or address, address if user == uri.user else str(replace(uri, user=user)), called)


def _hides(headers: Headers) -> bool:
    values = (value for name, value in headers if name.lower() == "privacy")
    return any(part.strip().lower() in _HIDING for value in values for part in re.split("[;,]", value))


def _first_asserted(headers: Headers) -> str | None:
    """The identity that says most: one that can be called back, be it a sip or a tel address (RFC 3325 section 9.1)."""
    for name, value in headers:
        if name.lower() == "p-asserted-identity":
            for one in _addresses(value):
                if caller_identity(one, "number"):
                    return one
    return None


def _addresses(value: str) -> Iterator[str]:
    """The addresses of a header that may have several, display names and all; what is none is left out."""
    # What is opened and not closed goes to the end: each character is looked at once.
    one = ""
    for token in (*re.findall(r'"(?:[^"\\]|\\.)*+"?|<[^>]*+>?|,|[^,"<]++', value), ","):
        if token != ",":
            one += token
            continue
        with contextlib.suppress(UriError):
            SipUri.parse(one.strip())
            yield one.strip()
        one = ""
