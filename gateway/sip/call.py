# SPDX-License-Identifier: GPL-3.0-or-later
"""One call leg as PJSIP sees it. Lives and dies on the endpoint's thread; others know it by its handle."""

import random
from collections import deque
from collections.abc import Callable

import pjsua2 as pj

from gateway.sip.events import (
    CallConfirmed,
    CallEnded,
    CallProgress,
    DigitReceived,
    HoldChanged,
    LegQuality,
    MediaActive,
    ReferReceived,
    SipEvent,
    TransferReported,
)
from gateway.sip.head import MessageHead
from gateway.sip.info import CONTENT_TYPE, InfoDigit
from gateway.sip.reason import Reason, parse_reasons
from gateway.sip.referral import ReferralError, ReferTo, contacts_of, referred_by
from gateway.sip.settings import Fec
from gateway.sip.uri import wire_text
from media.native_port import NativePort
from media.ports import JitterPolicy

_PROTECTION: dict[Fec, int] = {False: 0, True: 1, "always": 2}
"""`Protection` of media/native/loss_protection.hpp."""


_NOT_NOW = (pj.PJSIP_SC_REQUEST_PENDING, pj.PJSIP_SC_INTERNAL_SERVER_ERROR, pj.PJSIP_SC_SERVICE_UNAVAILABLE)
"""What a far end says to a re-INVITE while another one is under way (RFC 3261, sections 14.1 and 14.2)."""


class SipCall(pj.MediaCall):  # type: ignore[misc]
    """Copies what happens into events. `released` is told when PJSIP has let go and the object may be dropped."""

    def __init__(
        self,
        account: pj.Account,
        handle: str,
        post: Callable[[SipEvent], None],
        released: Callable[["SipCall"], None],
        jitter: JitterPolicy,
        pjsua_id: int = pj.PJSUA_INVALID_ID,
        *,
        fec: Fec = True,
    ) -> None:
        super().__init__(account, pjsua_id)
        self.protect(_PROTECTION[fec])
        self.setJitter(jitter)
        self.handle = handle
        self.ending_by_us = False
        self.final_code = 0
        """What we say the call ended with, in place of PJSIP; 0: as it says."""
        self.silent_until: float | None = None
        """An INVITE of ours to which nobody has said anything: when PJSIP gives it up, in monotonic seconds."""
        self.is_transferring = False
        """We sent a REFER and want to know how it fares."""
        self.judge_refer: Callable[[ReferTo], int] = lambda asked: pj.PJSIP_SC_DECLINE
        """Whether a REFER of the far end is followed: 202, or the status to refuse it with."""
        self.adopt_again: Callable[[], None] | None = None
        """Of a dialog that is being taken over: tries it once more, later."""
        self._contacts: tuple[str, ...] = ()
        """Where a 3xx says to call instead."""
        self._post_event = post
        self._released = released
        self._hold = (False, False)
        self._confirmed = False
        self._is_ours = pjsua_id == pj.PJSUA_INVALID_ID
        """We sent the INVITE."""
        self.later: Callable[[float, Callable[[], None]], None] = lambda delay_s, work: None
        """Has something done after so many seconds."""
        self._change: Callable[[], None] | None = None
        """The re-INVITE that is to be sent again when the far end's crosses it."""
        self._is_over = False
        self._info_answers: deque[Callable[[int], None]] = deque()
        """Who waits for the responses to our INFOs, oldest first."""

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        info = self.getInfo()
        if info.state in (pj.PJSIP_INV_STATE_EARLY, pj.PJSIP_INV_STATE_CONNECTING, pj.PJSIP_INV_STATE_CONFIRMED):
            self.silent_until = None
        if info.state == pj.PJSIP_INV_STATE_EARLY and info.role == pj.PJSIP_ROLE_UAC:
            has_sdp = "m=audio" in prm.e.body.tsxState.src.rdata.wholeMsg
            self._post(CallProgress(self.handle, info.lastStatusCode, has_sdp))
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED and not self._confirmed:
            self._confirmed = True
            self._post(CallConfirmed(self.handle))
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._is_over = True
            if self.adopt_again is not None and not self._confirmed and info.lastStatusCode in _NOT_NOW:
                self._released(self)
                self.adopt_again()
                return
            self._post(
                CallEnded(
                    self.handle,
                    self.final_code or info.lastStatusCode,
                    wire_text(info.lastReason),
                    not self.ending_by_us,
                    self.quality(),
                    parse_reasons(wire_text(self.reasons(prm.e))),
                    self._contacts,
                )
            )
            while self._info_answers:
                self._info_answers.popleft()(pj.PJSIP_SC_CALL_TSX_DOES_NOT_EXIST)
            self._released(self)

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:
        info = self.getInfo()
        for media in info.media:
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            if media.status in (pj.PJSUA_CALL_MEDIA_NONE, pj.PJSUA_CALL_MEDIA_ERROR):
                continue
            try:
                self._post_media(media.index)
            except pj.Error:  # refused (port 0); another line of the offer may carry the audio
                continue
            hold = (
                media.status == pj.PJSUA_CALL_MEDIA_LOCAL_HOLD,
                media.status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD,
            )
            if hold != self._hold:
                self._hold = hold
                self._post(HoldChanged(self.handle, held_by_us=hold[0], held_by_peer=hold[1]))
            return

    @property
    def is_confirmed(self) -> bool:
        """The dialog stands."""
        return self._confirmed and not self._is_over

    def onCallRedirected(self, prm: pj.OnCallRedirectedParam) -> int:
        """PJSIP offers to call a contact by itself: who may be called is not its to say."""
        # Its own reading of a contact has lost the port.
        head = MessageHead.parse(prm.e.body.tsxState.src.rdata.wholeMsg)
        self._contacts = contacts_of(head.all("contact"))
        return pj.PJSIP_REDIRECT_REJECT  # type: ignore[no-any-return]

    def onRefer(self, refer_to: str, by: str) -> int:
        """The far end wants us to call somebody in its place; the status to answer with."""
        try:
            asked = ReferTo.parse(refer_to)
        except ReferralError:
            return pj.PJSIP_SC_BAD_REQUEST  # type: ignore[no-any-return]
        code = self.judge_refer(asked) if self._confirmed else pj.PJSIP_SC_REQUEST_PENDING
        if code == pj.PJSIP_SC_ACCEPTED:
            replaces = "" if asked.replaces is None else str(asked.replaces)
            self._post(ReferReceived(self.handle, asked.uri, replaces, referred_by(by)))
        return code

    def succeed(self, handle: str, predecessor: "SipCall | None", port: NativePort) -> None:
        """Take the place of another leg, which may be over: its name and its audio."""
        if predecessor is not None:
            predecessor.leavePort()
        self.handle = handle
        self.takePort(port)
        self.onCallMediaState(pj.OnCallMediaStateParam())
        self._post(HoldChanged(self.handle, held_by_us=self._hold[0], held_by_peer=self._hold[1]))

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        """Never comes: `onRefer` has answered. PJSUA would dial by itself, outside every limit."""
        prm.statusCode = pj.PJSIP_SC_DECLINE

    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:
        """Never comes: PJSUA sees no Replaces (media/native/replaces)."""
        prm.statusCode = pj.PJSIP_SC_DECLINE

    def hold(self) -> None:
        """Re-INVITE with `a=sendonly`. Raises `pj.Error`."""
        self._change = self.hold
        self.setHold(pj.CallOpParam(True))

    def resume(self) -> None:
        """Re-INVITE with `a=sendrecv`. Raises `pj.Error`."""
        self._change = self.resume
        operation = pj.CallOpParam(True)
        operation.opt.flag = pj.PJSUA_CALL_UNHOLD
        self.reinvite(operation)

    def say_address(self) -> None:
        """Re-INVITE with our Contact and media address as they are now; who is on hold stays so. Raises `pj.Error`."""
        operation = pj.CallOpParam(True)
        operation.opt.flag = pj.PJSUA_CALL_UPDATE_CONTACT | pj.PJSUA_CALL_UPDATE_VIA
        self.reinvite(operation)
        self._change = self.say_address  # not before: the change that was in the way may be asked to come again

    def onReinviteAnswered(self, code: int) -> None:
        """After 491 both sides wait, the one that chose the Call-ID longer (RFC 3261 section 14.1)."""
        if code == pj.PJSIP_SC_REQUEST_PENDING and self._confirmed and self._change is not None:
            self.later(random.uniform(2.1, 4.0) if self._is_ours else random.uniform(0.0, 2.0), self._change_again)
        elif code >= pj.PJSIP_SC_OK:
            self._change = None

    def _change_again(self) -> None:
        if self._change is None or self._is_over:
            return
        try:
            self._change()
        except pj.Error:  # another re-INVITE is under way
            self.later(random.uniform(0.0, 2.0), self._change_again)

    def end(self, code: int, phrase: str, reason: Reason | None) -> None:
        """BYE, CANCEL or a final response. Raises `pj.Error`."""
        operation = pj.CallOpParam()
        operation.statusCode = code
        operation.reason = phrase
        if reason is not None and (self._confirmed or self._is_ours):
            add_headers(operation, (("Reason", str(reason)),))
        self.hangup(operation)

    def transfer(self, refer_to: str, headers: tuple[tuple[str, str], ...]) -> None:
        """REFER the far end to this address (RFC 3515). Raises `pj.Error`."""
        self._refer(lambda operation: self.xfer(refer_to, operation), headers)

    def transfer_to(self, other: "SipCall", headers: tuple[tuple[str, str], ...]) -> None:
        """REFER the far end to that of `other`, whose call it is to replace (RFC 3891). Raises `pj.Error`."""
        self._refer(lambda operation: self.xferReplaces(other, operation), headers)

    def _refer(self, send: Callable[[pj.CallOpParam], None], headers: tuple[tuple[str, str], ...]) -> None:
        operation = pj.CallOpParam()
        add_headers(operation, headers)
        self.is_transferring = True  # first: a connection that is gone is reported before this returns
        try:
            send(operation)
        except pj.Error:
            self.is_transferring = False
            raise

    def onCallTransferStatus(self, prm: pj.OnCallTransferStatusParam) -> None:
        """PJSUA does not say which REFER it is about: only one is under way at a time, and after it nobody asks."""
        is_final = prm.finalNotify or prm.statusCode >= 200
        if self.is_transferring:
            self.is_transferring = not is_final
            self._post(TransferReported(self.handle, prm.statusCode, is_final))
        prm.cont = not is_final

    def onKeyInfo(self, subtype: str, body: str) -> int:
        """An INFO says that a key was pressed; the status to answer with."""
        found = InfoDigit.parse(subtype, body)
        if found is None:
            return pj.PJSIP_SC_BAD_REQUEST  # type: ignore[no-any-return]
        self._post(DigitReceived(self.handle, found.digit, found.duration_ms))
        return pj.PJSIP_SC_OK  # type: ignore[no-any-return]

    def send_info(self, info: InfoDigit, answered: Callable[[int], None]) -> None:
        """Send a key; `answered` is told the final status (408 when nothing comes). Raises `pj.Error`."""
        request = pj.CallSendRequestParam()
        request.method = "INFO"
        request.txOption.contentType = CONTENT_TYPE
        request.txOption.msgBody = info.body()
        self._info_answers.append(answered)  # the answer may come before sendRequest returns: a connection that is gone
        try:
            self.sendRequest(request)
        except pj.Error:
            if answered in self._info_answers:
                self._info_answers.remove(answered)
            raise

    def onInfoAnswered(self, code: int) -> None:
        if self._info_answers:
            self._info_answers.popleft()(code)

    def _post(self, event: SipEvent) -> None:
        self._post_event(event)

    def _post_media(self, index: int) -> None:
        """Raises `pj.Error` for media without a stream."""
        port = self.pcmPort()
        stream = self.getStreamInfo(index)
        transport = self.getMedTransportInfo(index)
        # An offer of RTP/AVP with keys may be secured as well (RFC 8643), which the profile does not say.
        secured = stream.proto & pj.PJMEDIA_TP_PROFILE_SRTP != 0 or self.isSecured(index)
        codec = stream.codecName.upper()
        peer = transport.srcRtpName or stream.remoteRtpAddress
        self._post(MediaActive(self.handle, codec, port.sampleRate(), port, peer, secured))

    def quality(self) -> LegQuality:
        """Counts of all the leg's streams, the running one included."""
        return LegQuality.of_native(self.rtpStats())


def add_headers(operation: pj.CallOpParam, headers: tuple[tuple[str, str], ...]) -> None:
    """Let the request have these headers, too."""
    for name, value in headers:
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        operation.txOption.headers.append(header)
