# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from a PJSIP endpoint to itself over loopback: real streams for the native classes, without a gateway."""

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pjsua2 as pj

from media import ports
from media.native_port import NativePort
from media.ports import CallAudio, JitterPolicy, PcmHub

T = TypeVar("T")
PJMEDIA_JITTER = -1
"""In place of a policy: PJMEDIA's own jitter buffer, to compare with (media/native/media_call.hpp)."""
CODECS = ("L16/8000/1", "L16/16000/1", "PCMU/8000/1", "PCMA/8000/1", "G722/16000/1", "opus/48000/2")


class _Call(pj.MediaCall):  # type: ignore[misc]
    def __init__(self, loopback: "Loopback", call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(loopback.account, call_id)
        self._loopback = loopback
        self.setJitter(loopback.jitter)

    def onCallState(self, prm: Any) -> None:
        if self.getInfo().state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._loopback.ended.append(self)  # to be dropped outside the callback

    def onCallMediaState(self, prm: Any) -> None:
        self._loopback.media_changed(self)


class _Account(pj.Account):  # type: ignore[misc]
    loopback: "Loopback"

    def onIncomingCall(self, prm: Any) -> None:
        call = _Call(self.loopback, prm.callId)
        self.loopback.calls.append(call)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        call.answer(answer)


@dataclass(slots=True)
class Pair:
    """Both ends of a call."""

    caller: CallAudio
    callee: CallAudio
    caller_id: int
    callee_id: int


class Loopback:
    """The endpoint's thread owns everything of PJSIP; coroutines ask it through a queue."""

    def __init__(self, hub: PcmHub) -> None:
        self._hub = hub
        self.jitter: int = JitterPolicy.BALANCED
        """Of calls to come."""
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.calls: list[_Call] = []
        self.ended: list[_Call] = []
        self._media: asyncio.Queue[tuple[int, NativePort]] = asyncio.Queue()
        self._all_ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="loopback")

    async def start(self) -> None:
        self._thread.start()
        await self.ask(lambda: None)

    async def close(self) -> None:
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)

    async def ask(self, work: Callable[[], T]) -> T:
        """Run on the endpoint's thread."""
        done: asyncio.Future[T] = self._loop.create_future()

        def run() -> None:
            try:
                result = work()
            except Exception as error:
                self._loop.call_soon_threadsafe(done.set_exception, error)
            else:
                self._loop.call_soon_threadsafe(done.set_result, result)

        self._work.put(run)
        return await asyncio.wait_for(done, 10)

    async def connect(self, codec: str = "L16/8000/1") -> Pair:
        """A call with media on both sides, in this codec."""
        await self.prefer(codec)
        self._media = asyncio.Queue()  # without what other calls have left
        caller_id = await self.ask(self._dial)
        found: dict[int, NativePort] = {}
        while len(found) < 2:
            call_id, port = await asyncio.wait_for(self._media.get(), 10)
            found[call_id] = port
        (callee_id,) = (call_id for call_id in found if call_id != caller_id)
        return Pair(
            CallAudio(self._hub, found[caller_id]), CallAudio(self._hub, found[callee_id]), caller_id, callee_id
        )

    async def answered(self) -> CallAudio:
        """Our end of a call that somebody else has made, once it has media."""
        _, port = await asyncio.wait_for(self._media.get(), 10)
        return CallAudio(self._hub, port)

    async def media(self) -> None:
        """The next change of media at either end."""
        await asyncio.wait_for(self._media.get(), 10)

    async def prefer(self, codec: str) -> None:
        await self.ask(lambda: self._prefer(codec))

    async def hang_up(self, pair: Pair) -> None:
        self._all_ended.clear()
        await self.ask(lambda: self.call(pair.caller_id).hangup(pj.CallOpParam()))
        await asyncio.wait_for(self._all_ended.wait(), 10)

    def media_changed(self, call: _Call) -> None:
        """From the endpoint's thread."""
        self._loop.call_soon_threadsafe(self._media.put_nowait, (call.getId(), call.pcmPort()))

    def call(self, call_id: int) -> _Call:
        """On the endpoint's thread only, and not to be kept."""
        return next(call for call in self.calls if call.getId() == call_id)

    def _dial(self) -> int:
        call = _Call(self)
        self.calls.append(call)
        call.makeCall(f"sip:other@127.0.0.1:{self.port}", pj.CallOpParam(True))
        return int(call.getId())

    def _prefer(self, codec: str) -> None:
        for one in CODECS:
            self.endpoint.codecSetPriority(one, 255 if one == codec else 0)

    def _run(self) -> None:
        ports.silence_library()
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        config = pj.EpConfig()
        config.logConfig.level = config.logConfig.consoleLevel = 1
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = 16
        config.medConfig.noVad = True
        # A jitter buffer that neither runs dry nor discards, so that content can be compared on a busy machine.
        config.medConfig.jbInit = config.medConfig.jbMinPre = 100
        config.medConfig.jbMaxPre = 300
        config.medConfig.jbMax = 600
        config.medConfig.jbDiscardAlgo = pj.PJMEDIA_JB_DISCARD_NONE
        self.endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.boundAddress = "127.0.0.1"
        transport_id = self.endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self.port = int(self.endpoint.transportGetInfo(transport_id).localName.rsplit(":")[-1])
        self.endpoint.libStart()
        ports.start_clock()
        self.account = _Account()
        self.account.loopback = self
        account = pj.AccountConfig()
        account.idUri = f"sip:loop@127.0.0.1:{self.port}"
        account.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        self.account.create(account)
        while self._work_off():
            self.endpoint.libHandleEvents(5)
            self._drop_ended()
        self.endpoint.hangupAllCalls()
        self._drop_ended()
        self.calls.clear()
        self.account.shutdown()
        ports.stop_clock()
        self.endpoint.libDestroy()
        del self.account, self.endpoint

    def _work_off(self) -> bool:
        while True:
            try:
                work = self._work.get_nowait()
            except queue.Empty:
                return True
            if work is None:
                return False
            work()

    def _drop_ended(self) -> None:
        while self.ended:
            self.calls.remove(self.ended.pop())
            if not self.calls:
                self._loop.call_soon_threadsafe(self._all_ended.set)
