# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets in: the policy for every SIP request that belongs to no call of ours. No clock and no socket of its own.

    scanner? > trunk by its address > user by password > stranger > how often > how many calls

The answer is a `Verdict`: `Accept` (with the trunk or user it counts as), `Answer` (a final response, made without any
call) or `Drop` (silence, and perhaps a ban). `gate` asks and enforces, `media/native/sip_gate` drops the banned.

Nobody can tell from an answer whether an extension, a user or a call exists: who is refused always gets the same. Each
refusal costs a source one of `tries`; with none left it is banned. Trunks are never banned, nor are `exempt` networks.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from gateway.rates import Buckets, Rate
from gateway.sip.digest import DigestServer, Outcome, stumbles_over_sha
from gateway.sip.head import Headers, MessageHead
from gateway.sites import IpAddress, address_of, site_of

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

RETRY_AFTER_S = 10
EDGE_HEADER = "X-Parley-Source"
"""In which our edge says whose request it passes on; it lets nobody else's through (gateway/edge/routing.cfg)."""
_TRIES_REFILL_S = 60.0
"""How long it takes until a source has all its tries again."""
_MOST_LOGINS = 10_000
_MAX_EXPIRES_S = 3600
_DEFAULT_EXPIRES_S = 300
_MOST_LEARNED = 64
"""Addresses that were learned of one trunk."""

_SCANNERS = re.compile(
    r"friendly-scanner|friendly-request|sipvicious|sipcli|sip-scan|sip ?sak ?scan|sundayddr|iwar\b|sivus|smap\b|pplsip"
    r"|vaxsipuseragent|siparmyknife|eyebeam release 3006o|gulp\b|sipptk|\bnm@nm\b|sip:nm\b",
    re.IGNORECASE,
)
"""What attack tools call themselves, in User-Agent, From or the Request-URI (sipvicious' own default among them)."""

_PRIVATE = (
    *map(ipaddress.ip_network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")),
    *map(ipaddress.ip_network, ("::1/128", "fc00::/7", "fe80::/10")),
)
"""Nobody comes from there through the internet: loopback, RFC 1918, RFC 3927, RFC 4193, RFC 4291."""
_EVERYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))

_IN_DIALOG_ONLY = frozenset(("BYE", "INFO", "PRACK", "UPDATE", "NOTIFY", "CANCEL"))
_NOT_ALONE = frozenset(("REFER", "SUBSCRIBE", "MESSAGE", "PUBLISH"))
"""What nobody here would do: PJSIP says that a MESSAGE was delivered, and to a REFER nothing."""
_METHODS = _IN_DIALOG_ONLY | _NOT_ALONE | {"INVITE", "ACK", "OPTIONS", "REGISTER"}


class Reason(Enum):
    """Why a request was not taken; a label of metrics."""

    SCANNER = "scanner"
    STRANGER = "stranger"
    PASSWORD = "password"
    UNANSWERED = "unanswered"
    """A request without a login, where one is wanted: the first of every login, and all of a scan."""
    STALE = "stale"
    RATE = "rate"
    TRIES = "tries"
    """It has used up its tries, and is banned."""
    CAPACITY = "capacity"
    SOURCE_CAPACITY = "source_capacity"
    TRUNK_CAPACITY = "trunk_capacity"
    STRAY = "stray"
    METHOD = "method"
    IPV6 = "ipv6"
    """It offers media over IPv6, which `sip.bind6` has not switched on."""
    FOREIGN = "foreign"
    """It spoke in a call it has no part in."""


@dataclass(frozen=True, slots=True)
class GuardedTrunk:
    """A trunk, as far as it is known by its addresses."""

    name: str
    networks: tuple[IpNetwork, ...]
    max_calls: int = 0
    """Both ways; 0: no limit."""


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Who may call, and how much."""

    strangers: Literal["private", "everyone", "nobody"] = "private"
    trunks: tuple[GuardedTrunk, ...] = ()
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Passwords, by name."""
    realm: str = "parley"
    max_calls_per_source: int = 30
    """Of strangers and users; 0: no limit."""
    requests_per_s: float = 20.0
    """New ones of one source, in the long run; twice as many at once."""
    tries: int = 10
    ban_s: float = 600.0
    exempt: tuple[IpNetwork, ...] = ()
    """Never limited nor banned."""
    edges: tuple[IpNetwork, ...] = ()
    """Proxies of ours, that say where a request really comes from; not limited either."""
    has_ipv6: bool = True
    """There are IPv6 addresses of ours for RTP."""


OPEN = GuardSettings(strangers="everyone", exempt=_EVERYWHERE)
"""Everybody, as often as they like: softphones and tests."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request outside our dialogs."""

    method: str
    source: str
    """IP address."""
    port: int
    transport: str
    head: MessageHead
    stray: bool = False
    """It names a dialog that is not there."""
    is_full: bool = False
    """There are as many calls as there may be in all."""
    offers_ipv6: Callable[[], bool] = lambda: False
    """Whether its audio is at an IPv6 address: asked of calls that would be let in, since it is to be looked for."""


@dataclass(frozen=True, slots=True)
class Accept:
    """PJSIP goes on with it."""

    source: str
    trunk: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A final response, and nothing is kept of the request."""

    code: int
    reason: Reason | None
    """None: it was done as it asked."""
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Drop:
    """No answer at all."""

    reason: Reason
    ban_s: float = 0.0
    """Nothing more from this source for so long; 0: not banned."""


Verdict = Accept | Answer | Drop


@dataclass(slots=True)
class _Login:
    """Where a user has registered from."""

    user: str
    until: float


class Guard:
    """All of it on one thread: an accepted call is counted (`begin_call`) before the next request is judged."""

    def __init__(self, settings: GuardSettings, key: bytes) -> None:
        """`key`: random; nonces are made with it."""
        self._settings = settings
        self._digest = DigestServer(settings.realm, settings.users, key) if settings.users else None
        self._networks = sorted(
            ((network, trunk) for trunk in settings.trunks for network in trunk.networks),
            key=lambda pair: pair[0].prefixlen,
            reverse=True,
        )
        self._trunks = {trunk.name: trunk for trunk in settings.trunks}
        self._learned: dict[IpAddress, str] = {}
        self._rates = Buckets(Rate(settings.requests_per_s, max(1, int(2 * settings.requests_per_s))))
        self._tries = Buckets(Rate(settings.tries / _TRIES_REFILL_S, settings.tries))
        self._logins: dict[tuple[str, int], _Login] = {}
        self._homes: dict[str, float] = {}
        """Addresses that users have registered from, and until when."""
        self._calls: dict[str, tuple[str, str]] = {}
        """Source and trunk of every call, by handle."""
        self._calls_of_source: Counter[str] = Counter()
        self._calls_of_trunk: Counter[str] = Counter()
        self.accepted = 0
        self.refused: Counter[Reason] = Counter()

    # What is known of trunks

    def learn(self, trunk: str, source: str) -> None:
        """This address is the trunk's, too: its registrar answered from there, or its name leads there."""
        address = address_of(source)
        if address is None or trunk not in self._trunks:
            return
        mine = [known for known, name in self._learned.items() if name == trunk]
        if address not in self._learned and len(mine) >= _MOST_LEARNED:
            del self._learned[mine[0]]
        self._learned[address] = trunk

    def trunk_of(self, source: str) -> str:
        """Whose address it is, the narrowest network first; empty for nobody's."""
        address = address_of(source)
        if address is None:
            return ""
        if address in self._learned:
            return self._learned[address]
        return next((trunk.name for network, trunk in self._networks if address in network), "")

    def origin(self, source: str, head: MessageHead) -> str:
        """The address that a request comes from: an edge passes on what others send."""
        if not _is_inside(source, self._settings.edges):
            return source
        told = address_of(head.first(EDGE_HEADER))
        return source if told is None else str(told)

    # Calls

    def begin_call(self, handle: str, source: str = "", trunk: str = "") -> None:
        """A call stands, in either direction. `source`: of an incoming one."""
        self._calls[handle] = (source, trunk)
        if source:
            self._calls_of_source[site_of(source)] += 1
        if trunk:
            self._calls_of_trunk[trunk] += 1

    def end_call(self, handle: str) -> None:
        """It is over; unknown ones are fine."""
        source, trunk = self._calls.pop(handle, ("", ""))
        for counts, key in ((self._calls_of_source, site_of(source) if source else ""), (self._calls_of_trunk, trunk)):
            if key:
                counts[key] -= 1
                if counts[key] <= 0:
                    del counts[key]

    def succeed_call(self, handle: str, successor: str) -> None:
        """Two legs exchange their names, as one takes the other's place: each counts for its own source and trunk until
        it ends. Of one that is over already nothing is left to exchange."""
        counted = ((successor, self._calls.pop(handle, None)), (handle, self._calls.pop(successor, None)))
        self._calls.update((name, whose) for name, whose in counted if whose is not None)

    def has_room(self, trunk: str) -> bool:
        """Whether one more call fits the trunk's own limit."""
        known = self._trunks.get(trunk)
        return known is None or known.max_calls == 0 or self._calls_of_trunk[trunk] < known.max_calls

    # Requests

    def receive_request(self, request: Request, now: float) -> Verdict:
        """What becomes of a request."""
        verdict = self._judge(request, now)
        match verdict:
            case Accept():
                self.accepted += 1
            case Answer(reason=None):
                self.accepted += 1
            case Answer(reason=Reason() as reason) | Drop(reason=reason):
                self.refused[reason] += 1
        return verdict

    def receive_foreign(self, source: str, trunk: str, now: float) -> Verdict:
        """A request in a call, or a challenge for credentials, from an address that has had no part in the call.

        `trunk`: the call's; its other addresses may speak for it.
        """
        if trunk and self.trunk_of(source) == trunk:
            return Accept(source, trunk)
        verdict = self._refuse_source(source, Answer(481, Reason.FOREIGN), now, is_proven=False)
        self.refused[Reason.FOREIGN] += 1
        return verdict

    def _judge(self, request: Request, now: float) -> Verdict:
        trunk = self.trunk_of(request.source)
        if not trunk and _is_scanner(request.head):
            return self._banned(request.source, Reason.SCANNER, now, is_proven=request.transport != "UDP")
        if request.method not in _METHODS:
            # Section 21.5.2 of RFC 3261: the method is recognized for nobody.
            return self._refuse(request, Answer(501, Reason.METHOD), now)
        if request.stray:
            return self._refuse(request, Answer(481, Reason.STRAY), now)
        if request.method == "REGISTER":
            return self._log_in(request, now)
        if trunk:
            return self._admit(request, Accept(request.source, trunk=trunk))
        user: str | Verdict = self._user(request, now)
        if not isinstance(user, str):
            return user
        if not user and not self._takes_stranger(request.source):
            return self._refuse(request, Answer(403, Reason.STRANGER), now)
        if not self._is_exempt(request.source) and self._rates.take(site_of(request.source), now) > 0.0:
            return self._refuse(request, _come_again(Reason.RATE), now)
        return self._admit(request, Accept(request.source, user=user))

    def _user(self, request: Request, now: float) -> "str | Verdict":
        """Who has logged in with this request, empty for nobody who needs to."""
        if self._digest is None:
            return ""
        header = request.head.first("Authorization")
        login = self._logins.get((request.source, request.port))
        if not header:
            if (login is None or login.until <= now) and self._takes_stranger(request.source):
                return ""
            return self._challenge(request, Reason.UNANSWERED, now)
        outcome, user = self._digest.verify(header, request.method, request.head.request_uri, now)
        if outcome is Outcome.VALID:
            self._tries.give_back(site_of(request.source), now)  # what the challenge before it took
            return user
        reason = Reason.STALE if outcome is Outcome.STALE else Reason.PASSWORD
        return self._challenge(request, reason, now)

    def _log_in(self, request: Request, now: float) -> Verdict:
        """REGISTER: a user with the right password is told that it went well. Nobody is ever called at the Contact;
        the login makes us ask for the password of what comes from there (RFC 3261 section 10)."""
        if self._digest is None:
            return self._refuse(request, Answer(403, Reason.STRANGER), now)
        header = request.head.first("Authorization")
        if not header:
            return self._challenge(request, Reason.UNANSWERED, now)
        outcome, user = self._digest.verify(header, request.method, request.head.request_uri, now)
        if outcome is not Outcome.VALID:
            reason = Reason.STALE if outcome is Outcome.STALE else Reason.PASSWORD
            return self._challenge(request, reason, now)
        self._tries.give_back(site_of(request.source), now)
        contact = request.head.first("Contact")
        expires_s = _expires_s(contact, request.head.first("Expires"))
        where = (request.source, request.port)
        self._logins.pop(where, None)
        if expires_s == 0 or not contact:
            return Answer(200, None)
        if len(self._logins) >= _MOST_LOGINS:
            del self._logins[next(iter(self._logins))]
        self._logins[where] = _Login(user, now + expires_s)
        if len(self._homes) >= _MOST_LOGINS and request.source not in self._homes:
            del self._homes[next(iter(self._homes))]
        self._homes[request.source] = max(now + expires_s, self._homes.get(request.source, now))
        bound = re.sub(r";\s*expires\s*=\s*\d+", "", contact, flags=re.IGNORECASE)
        return Answer(200, None, (("Contact", f"{bound};expires={expires_s}"),))

    def _challenge(self, request: Request, reason: Reason, now: float) -> Verdict:
        assert self._digest is not None
        md5_only = stumbles_over_sha(request.head.first("User-Agent"))
        values = self._digest.challenge(now, stale=reason is Reason.STALE, md5_only=md5_only)
        headers = tuple(("WWW-Authenticate", value) for value in values)
        return self._refuse(request, Answer(401, reason, headers), now)

    def _admit(self, request: Request, verdict: Accept) -> Verdict:
        if request.method in _IN_DIALOG_ONLY:
            return Answer(481, Reason.STRAY)
        if request.method in _NOT_ALONE:
            return Answer(405, Reason.METHOD)
        if request.method != "INVITE":
            return verdict
        if not self._settings.has_ipv6 and request.offers_ipv6():
            return Answer(488, Reason.IPV6)  # PJSIP would say 500
        if request.is_full:
            return _come_again(Reason.CAPACITY)
        if not self.has_room(verdict.trunk):
            return _come_again(Reason.TRUNK_CAPACITY)
        most = self._settings.max_calls_per_source
        limited = most and not verdict.trunk and not self._is_exempt(request.source)
        if limited and self._calls_of_source[site_of(request.source)] >= most:
            return _come_again(Reason.SOURCE_CAPACITY)
        return verdict

    def _refuse(self, request: Request, answer: Answer, now: float) -> Verdict:
        """One try less, but for the first half of a login from the very socket that a user has registered from."""
        login = self._logins.get((request.source, request.port))
        if answer.reason is Reason.UNANSWERED and login is not None and login.until > now:
            return answer
        return self._refuse_source(request.source, answer, now, is_proven=request.transport != "UDP")

    def _refuse_source(self, source: str, answer: Answer, now: float, *, is_proven: bool) -> Verdict:
        if self.is_safe(source) or self._tries.take(site_of(source), now) == 0.0:
            return answer
        return self._banned(source, Reason.TRIES, now, is_proven=is_proven)

    def _banned(self, source: str, reason: Reason, now: float, *, is_proven: bool) -> Drop:
        """`is_proven`: it comes by a connection. Anybody can write an address upon a datagram: that of a user who is
        logged in is not banned for it."""
        is_spared = self.is_safe(source) or (not is_proven and self._homes.get(source, now) > now)
        return Drop(reason, 0.0 if is_spared else self._settings.ban_s)

    def is_safe(self, source: str) -> bool:
        """Whether the source is never limited nor banned."""
        return bool(self.trunk_of(source)) or self._is_exempt(source)

    def _is_exempt(self, source: str) -> bool:
        return _is_inside(source, (*self._settings.exempt, *self._settings.edges))

    def _takes_stranger(self, source: str) -> bool:
        match self._settings.strangers:
            case "everyone":
                return True
            case "nobody":
                return False
            case "private":
                return _is_inside(source, _PRIVATE)


def _come_again(reason: Reason) -> Answer:
    """503 with Retry-After (RFC 3261 section 21.5.4): a trunk tries its next gateway."""
    return Answer(503, reason, (("Retry-After", str(RETRY_AFTER_S)),))


def _is_inside(source: str, networks: Iterable[IpNetwork]) -> bool:
    address = address_of(source)
    return address is not None and any(address in network for network in networks)


def _is_scanner(head: MessageHead) -> bool:
    return any(
        _SCANNERS.search(text) for text in (head.first("User-Agent"), head.first("From"), head.request_uri) if text
    )


def _expires_s(contact: str, expires: str) -> int:
    """How long a REGISTER asks for, within our bounds (RFC 3261 section 10.3)."""
    found = re.search(r";\s*expires\s*=\s*(\d{1,9})", contact, re.IGNORECASE)
    text = found[1] if found else expires
    wanted = int(text) if re.fullmatch(r"\d{1,9}", text) else _DEFAULT_EXPIRES_S
    return 0 if contact.strip() == "*" else min(wanted, _MAX_EXPIRES_S)
