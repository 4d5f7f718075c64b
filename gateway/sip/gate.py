# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's Python side: PJSIP asks it about every request that belongs to no call (`media/native/sip_gate`).

It feeds `Guard`, does what the guard says, and writes the audit lines. SIP thread only.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import pjsua2 as pj
import structlog

from gateway.rates import Rate, TokenBucket
from gateway.sip.guard import Accept, Answer, Drop, Guard, GuardSettings, Reason, Request
from gateway.sip.head import MessageHead

_UNKNOWN_PER_S = 500
"""Requests of unknown sources that are looked at per second, all of them together: a flood from forged addresses must
not take the time of calls. The rest is dropped without an answer; a proper peer sends it again."""
_AUDIT = Rate(per_s=5.0, burst=50)
"""Lines of the log."""
_EVERYDAY = frozenset((Reason.UNANSWERED, Reason.STALE))
"""The first half of a login."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Admission:
    """An INVITE that was let in and is not a call yet."""

    call_id: str
    """Its Call-ID."""
    accepted: Accept
    head: MessageHead


@dataclass(frozen=True, slots=True)
class GateCounts:
    """What has come of requests since the start; copied, so that any thread may read it."""

    accepted: int
    refused: dict[str, int]
    """By `Reason.value`, and those that never reached Python: `banned`, `overload`, `connections`."""
    bans: int
    """Sources that are banned now."""


class SipGate(pj.SipGate):  # type: ignore[misc]
    """Opened between PJSIP's initialisation and its first transport; must outlive the library."""

    def __init__(
        self, settings: GuardSettings, is_full: Callable[[], bool], trunk_of_account: Callable[[int], str]
    ) -> None:
        super().__init__()
        self.guard = Guard(settings, secrets.token_bytes(32))
        self._is_full = is_full
        self._trunk_of_account = trunk_of_account
        self.admission: Admission | None = None
        """The INVITE that PJSIP is making a call of, within the callback that asked about it."""
        self._audit = TokenBucket(_AUDIT, time.monotonic())
        self._left_out = 0
        of_trunks = (network for trunk in settings.trunks for network in trunk.networks)
        for network in (*settings.exempt, *settings.edges, *of_trunks):
            self.know(str(network))
        self.limitUnknown(_UNKNOWN_PER_S)

    def learn(self, trunk: str, source: str) -> None:
        """See `Guard.learn`."""
        self.guard.learn(trunk, source)
        self.know(source)
        self.unban(source)

    def counts(self) -> GateCounts:
        native = self.counters()
        refused = {reason.value: count for reason, count in self.guard.refused.items()}
        refused |= {"banned": native["banned"], "overload": native["overload"]}
        refused["connections"] = pj.refused_connections()
        return GateCounts(self.guard.accepted, refused, native["bans"])

    def onRequest(self, request: pj.GateRequest) -> None:
        self.admission = None
        try:
            self._receive(request)
        except Exception:  # PJSIP is waiting: a fault of ours drops this request, and no other
            log.exception("sip_gate_fault")

    def onForeign(self, source: str, account_id: int, method: str) -> bool:
        try:
            trunk = self._trunk_of_account(account_id)
            verdict = self.guard.receive_foreign(source, trunk, time.monotonic())
            if isinstance(verdict, Accept):
                return True
            self._enforce_ban(source, verdict)
            self._tell("sip_foreign_request", Reason.FOREIGN, source=source, method=method, trunk=trunk)
        except Exception:  # as above
            log.exception("sip_gate_fault")
        return False

    def _receive(self, request: pj.GateRequest) -> None:
        head = MessageHead.parse(request.head())
        asked = Request(
            method=request.method(),
            source=self.guard.origin(request.source(), head),
            port=request.port(),
            transport=request.transport(),
            head=head,
            stray=request.stray(),
            is_full=self._is_full(),
            offers_ipv6=request.offersIpv6,
        )
        verdict = self.guard.receive_request(asked, time.monotonic())
        match verdict:
            case Accept():
                if asked.method == "INVITE":
                    self.admission = Admission(request.callId(), verdict, head)
                request.pass_on()
            case Answer(code=code, reason=reason, headers=headers):
                request.answer(code, "".join(f"{name}: {value}\r\n" for name, value in headers))
                if reason is not None:
                    self._tell(
                        "sip_request_refused",
                        reason,
                        source=asked.source,
                        transport=asked.transport,
                        method=asked.method if reason is not Reason.METHOD else "",
                        code=code,
                    )
            case Drop():
                self._enforce_ban(asked.source, verdict)
            case _:
                assert_never(verdict)

    def _enforce_ban(self, source: str, verdict: Answer | Drop) -> None:
        if not isinstance(verdict, Drop):
            return
        if verdict.ban_s > 0:
            self.ban(source, verdict.ban_s)
            self._tell("sip_source_banned", verdict.reason, source=source, ban_s=verdict.ban_s)
        else:
            self._tell("sip_request_dropped", verdict.reason, source=source)

    def _tell(self, event: str, reason: Reason, **facts: object) -> None:
        """A line for who reads the log; a flood must not become a flood of lines."""
        if reason in _EVERYDAY:
            return
        if self._audit.take(time.monotonic()) > 0.0:
            self._left_out += 1
            return
        if self._left_out:
            facts["left_out"] = self._left_out
            self._left_out = 0
        log.warning(event, reason=reason.value, **facts)
