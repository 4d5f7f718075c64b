# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backend must stand. A check is a coroutine whose first docstring line says what it proves; it raises `Failed`
or `Skipped`, or gives a remark."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence

from websockets.exceptions import InvalidHandshake, InvalidStatus

from gateway.conformance.caller import Caller, Circumstances, Target, calling
from gateway.streams.messages import Answer, Clear, KeyPressed, Mark, Reject, SpeechChanged, StreamStopped
from gateway.streams.parley import SUBPROTOCOL

Check = Callable[[Target], Awaitable[str]]

_PATIENCE_S = 5.0
_AFTER_XOFF_S = 1.0
"""What is on its way when we say xoff may still come."""
_STALLED_MS = 2_000


class Failed(Exception):
    """The backend does not do what the protocol asks."""


class Skipped(Exception):
    """This backend gives no opportunity to tell."""


async def upgrade(target: Target) -> str:
    """The connection is accepted, and subprotocol parley.v1 chosen"""
    async with calling(target) as caller:
        chosen = caller.connection.subprotocol
        if chosen != SUBPROTOCOL:
            raise Failed(f"chose subprotocol {chosen!r}: name {SUBPROTOCOL} in the answer to the upgrade")
        return ""


async def wrong_signature(target: Target) -> str:
    """A connection that is signed with another secret is refused"""
    if not target.secrets:
        raise Skipped("no --secret was given")
    forged = {"webhook-id": "call_1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
    try:
        async with calling(target, Circumstances(headers=forged)):
            raise Failed("it was let in")
    except InvalidStatus as refusal:
        return f"HTTP {refusal.response.status_code}"
    except InvalidHandshake as refusal:
        return str(refusal)


async def audio(target: Target) -> str:
    """One second of speech in messages of 20 ms is taken"""
    async with calling(target) as caller:
        await caller.speak(1000)
        _is_there(caller, "audio")
        await caller.speak(200, aloud=False)
        return _account_of(caller)


async def odd_chunks(target: Target) -> str:
    """Audio in messages of 1 to 200 ms, and an empty one, is taken"""
    async with calling(target) as caller:
        for chunk_ms in (10, 1, 60, 7, 200, 33):
            await caller.speak(chunk_ms * 2, chunk_ms=chunk_ms)
        await caller.send(b"")
        await caller.speak(100)
        _is_there(caller, "audio in odd chunks")
        return ""


async def events(target: Target) -> str:
    """Keys and changes of speech are taken"""
    async with calling(target) as caller:
        await caller.tell(SpeechChanged(True, 0))
        await caller.speak(300)
        await caller.tell(SpeechChanged(False, 300), *(KeyPressed(digit, 120) for digit in "1#"))
        await caller.speak(300, aloud=False)
        _is_there(caller, "dtmf and speech")
        return ""


async def later_versions(target: Target) -> str:
    """Message types and fields of a later version are ignored"""
    async with calling(target) as caller:
        await caller.send(json.dumps({"type": "from_the_future", "seq": 2, "value": {"deep": [1, None]}}))
        await caller.send(json.dumps({"type": "dtmf", "seq": 3, "digit": "5", "duration_ms": 90, "pressure": 0.4}))
        await caller.speak(300)
        _is_there(caller, "a message of an unknown type")
        return ""


async def marks_and_clear(target: Target) -> str:
    """Marks that were reached and cleared audio are understood, also when the caller breaks in"""
    async with calling(target) as caller:
        await caller.tell(SpeechChanged(True, 0))
        await caller.speak(600)
        await caller.tell(SpeechChanged(False, 600))
        await caller.speak(600, aloud=False)
        await caller.tell(SpeechChanged(True, 1200))
        await caller.speak(600)
        _is_there(caller, "an interruption")
        marks, clears = (sum(isinstance(order, kind) for order in caller.line.orders) for kind in (Mark, Clear))
        if not marks and not clears:
            raise Skipped(_over_or(caller, "it used neither"))
        await caller.until(lambda: not caller.line.has_marks, _PATIENCE_S)
        await caller.speak(200, aloud=False)
        _is_there(caller, "mark and cleared")
        return f"{marks} marks, {clears} clears"


async def flow_control(target: Target) -> str:
    """After xoff audio stops within a second, after xon it goes on"""
    async with calling(target, Circumstances(xoff_ms=300, xon_ms=100)) as caller:
        caller.stalled = True
        asked = asyncio.create_task(caller.speak(_STALLED_MS), name="speech")
        try:
            if not await caller.until(lambda: caller.line.is_xoff, _STALLED_MS / 1000):
                raise Skipped(_over_or(caller, "it did not send enough audio"))
            said_at = time.monotonic()
            await asked
        finally:
            asked.cancel()
        late = [at - said_at for at in caller.audio_at if at > said_at + _AFTER_XOFF_S]
        if late:
            raise Failed(f"audio still came {late[-1]:.1f} s after xoff")
        before = len(caller.audio_at)
        caller.stalled = False
        await caller.speak(500)
        went_on = await caller.until(lambda: len(caller.audio_at) > before, _PATIENCE_S)
        _is_there(caller, "xoff and xon")
        if not went_on:
            raise Failed("no audio came after xon")
        return ""


async def reconnection(target: Target) -> str:
    """After a broken connection the same call is taken up again (reconnected: true)"""
    async with calling(target) as caller:
        await caller.speak(300)
        _is_there(caller, "audio")
        caller.drop()
    async with calling(target, Circumstances(reconnected=True)) as caller:
        await caller.speak(500)
        _is_there(caller, "a start with reconnected: true")
        return ""


async def ringing(target: Target) -> str:
    """A call that still rings is answered, rejected with a SIP status, or waited for"""
    async with calling(target, Circumstances(answered=False)) as caller:
        decided = await caller.until(lambda: _decision(caller) is not None or not caller.is_open, 1.5)
        decision = _decision(caller)
        if decision is None and not caller.is_open:
            raise Failed("it closed the connection of a call that rings: say reject")
        if caller.line.early_ms:
            raise Failed("it sent audio to a call that rings")
        if isinstance(decision, Reject):
            return f"rejects with {decision.code}"
        await caller.speak(300, aloud=False)
        _is_there(caller, "a call that rings")
        return "answers" if decided else "waits"


async def two_calls(target: Target) -> str:
    """Two calls at the same time are taken"""

    async def one(name: str) -> Caller:
        async with calling(target, Circumstances(call_id=f"call_{name}", stream_id=f"stream_{name}")) as caller:
            await caller.speak(400)
            _is_there(caller, "a second call")
            return caller

    await asyncio.gather(one("a"), one("b"))
    return ""


async def ping(target: Target) -> str:
    """Pings are answered"""
    async with calling(target) as caller:
        waiter = await caller.connection.ping()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await waiter
        except TimeoutError:
            raise Failed(f"no pong within {_PATIENCE_S:.0f} s") from None
        return ""


async def end(target: Target) -> str:
    """The connection is closed properly after stop, also right after start"""
    for spoken_ms in (0, 200):
        async with calling(target) as caller:
            await caller.speak(spoken_ms)
            await caller.tell(StreamStopped("caller_hangup"))
            began = time.monotonic()
            await caller.connection.close()
            await caller.until(lambda caller=caller: not caller.is_open, _PATIENCE_S)  # type: ignore[misc]
            if time.monotonic() - began >= _PATIENCE_S or caller.connection.close_code == 1006:
                raise Failed("it did not answer the close")
    return ""


CHECKS: Sequence[Check] = (
    upgrade,
    wrong_signature,
    audio,
    odd_chunks,
    events,
    later_versions,
    marks_and_clear,
    flow_control,
    ringing,
    reconnection,
    two_calls,
    ping,
    end,
)


def _is_there(caller: Caller, what: str) -> None:
    """The backend still listens, or has ended the call as the protocol has it; and it said nothing wrong."""
    if caller.malformed:
        raise Failed(f"it sent a message that is none: {caller.malformed[0]}")
    if not caller.is_open and caller.line.over is None:
        code, reason = caller.connection.close_code, caller.connection.close_reason
        raise Failed(f"it closed the connection upon {what} (code {code}{f', {reason}' if reason else ''})")


def _over_or(caller: Caller, otherwise: str) -> str:
    return "it ended the call" if caller.line.over is not None else otherwise


def _decision(caller: Caller) -> Answer | Reject | None:
    return next((order for order in caller.line.orders if isinstance(order, Answer | Reject)), None)


def _account_of(caller: Caller) -> str:
    marks = sum(isinstance(order, Mark) for order in caller.line.orders)
    return f"sent {caller.line.received_ms:.0f} ms of audio, {caller.texts} messages, {marks} marks"
