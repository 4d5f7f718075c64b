# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes over dialogs that another process had: a re-INVITE, which makes the far end send to us. On the SIP thread."""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import pjsua2 as pj

from gateway.errors import BadAddress, CallError, NoSuchTrunk, TooManyCalls
from gateway.sip.account import SipAccount
from gateway.sip.call import SipCall
from gateway.sip.dialog import Dialog
from gateway.sip.events import CallDialled, CallEnded, LegQuality, SipEvent

_TRIES = 4
"""While the far end says that it is busy with a re-INVITE."""
_AGAIN_S = (0.3, 1.0)
_SILENT_S = 33.0
"""How long PJSIP keeps the slot of an INVITE that nobody answers: timer B of RFC 3261, 32 s."""
_PJ_ETOOMANY = 70010
"""PJSIP's status when it has no slot left; its Python has no name for it."""


class Calls(Protocol):
    """What of the thread's calls is needed here."""

    accounts: dict[str, SipAccount]
    inbound: dict[str, SipAccount]

    def is_full(self) -> bool: ...
    def new_call(self, account: SipAccount, handle: str) -> SipCall: ...
    def begin_call(self, handle: str, trunk: str) -> None: ...
    def release(self, call: SipCall) -> None: ...
    def later(self, delay_s: float, work: Callable[[], None]) -> None: ...
    def post(self, event: SipEvent) -> None: ...


class DialogAdoption:
    """Of one thread."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def begin(self, handle: str, dialog: Dialog, trunk: str, *, inbound: bool, tries: int = _TRIES) -> None:
        """Raises `BadAddress`, `NoSuchTrunk`, `TooManyCalls`."""
        calls = self._calls
        account = (calls.inbound if inbound else calls.accounts).get(trunk)
        if account is None:
            raise NoSuchTrunk(f"there is no trunk {trunk!r}: see [[trunk]] in the configuration")
        if calls.is_full():
            raise TooManyCalls("all calls are in use (sip.max_calls)")
        operation = pj.CallOpParam(True)
        operation.opt.audioCount = 1
        operation.opt.videoCount = 0
        operation.txOption.localUri = dialog.local_uri
        operation.txOption.targetUri = dialog.target
        call = calls.new_call(account, handle)
        call.adopt(dialog.to_native())
        if tries > 1:
            again = partial(self._again, handle, dialog.later, trunk, inbound=inbound, tries=tries - 1)
            call.adopt_again = partial(calls.later, random.uniform(*_AGAIN_S), again)
        calls.begin_call(handle, trunk)
        try:
            call.silent_until = time.monotonic() + _SILENT_S
            call.makeCall(dialog.remote_uri, operation)
            calls.post(CallDialled(handle, dialog.call_id))
        except pj.Error as fault:
            calls.release(call)
            if fault.status == _PJ_ETOOMANY:
                raise TooManyCalls("PJSIP has no call left") from fault
            raise BadAddress(f"{dialog.target}: {fault.reason or fault.title}") from fault

    def _again(self, handle: str, dialog: Dialog, trunk: str, *, inbound: bool, tries: int) -> None:
        try:
            self.begin(handle, dialog, trunk, inbound=inbound, tries=tries)
        except CallError:
            self._calls.post(CallEnded(handle, pj.PJSIP_SC_SERVICE_UNAVAILABLE, "", False, LegQuality()))
