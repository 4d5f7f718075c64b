# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend made with `serve`, over real sockets, and a simulated gateway that calls it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from gateway.client import (
    DtmfMessage,
    SpeechMessage,
    StreamCall,
    StreamEnded,
    StreamItem,
    TransferMessage,
    serving,
)
from gateway.client.stream_call import Inbox
from gateway.conformance.caller import Caller, Circumstances, Target, calling
from gateway.signing import SigningSecret, signature_headers
from gateway.streams.messages import (
    Answer,
    BackendMessage,
    HangUp,
    KeyPressed,
    Mute,
    Record,
    Reject,
    SendKeys,
    SpeechChanged,
    StreamFormat,
    StreamStopped,
    Transfer,
)

SECOND = bytes(16_000)
"""Of audio at 8 kHz."""


@asynccontextmanager
async def a_call(
    handler: Callable[[StreamCall], Awaitable[None]], circumstances: Circumstances | None = None
) -> AsyncIterator[Caller]:
    async with serving(handler) as backend, calling(Target(backend.url), circumstances) as caller:
        yield caller


async def asked(caller: Caller, count: int) -> list[BackendMessage]:
    """What the backend asked for, once it is so many."""
    assert await caller.until(lambda: len(caller.line.orders) >= count, 10), caller.line.orders
    return caller.line.orders


async def test_audio_and_events_come_in_order_until_the_stream_stops() -> None:
    heard: list[StreamItem] = []
    over = asyncio.Event()

    async def listen(call: StreamCall) -> None:
        assert call.start.metadata == {"purpose": "conformance"}
        assert (call.format.encoding, call.format.sample_rate) == ("l16", 8000)
        async for item in call:
            heard.append(item)
        assert call.stop_reason == "caller_hangup"
        over.set()

    async with a_call(listen) as caller:
        await caller.send(b"one")
        await caller.tell(SpeechChanged(True, 20), KeyPressed("5", 80))
        await caller.send('{"type": "from_the_future", "seq": 9}')
        await caller.send("no JSON")
        await caller.send(b"two")
        await caller.tell(StreamStopped("caller_hangup"))
        await asyncio.wait_for(over.wait(), 10)
    one, speech, key, two = heard
    assert (one, two) == (b"one", b"two")
    assert isinstance(speech, SpeechMessage)
    assert (speech.state, speech.position_ms) == ("started", 20)
    assert isinstance(key, DtmfMessage)
    assert (key.digit, key.duration_ms) == ("5", 80)


async def test_a_mark_waits_until_the_audio_before_it_was_heard() -> None:
    reached: list[str] = []

    async def speak(call: StreamCall) -> None:
        await call.play(SECOND[:3200])
        reached.append(await call.mark())
        reached.append(await call.mark("named"))
        await call.hangup()

    async with a_call(speak) as caller:
        *_, last = await asked(caller, 3)
        assert last == HangUp()
        assert caller.line.heard_ms == 200
    assert reached == ["played", "played"]


async def test_clear_tells_what_was_heard_and_ends_the_wait_for_marks() -> None:
    results: list[object] = []

    async def speak(call: StreamCall) -> None:
        await call.play(SECOND * 5)
        waiting = asyncio.create_task(call.mark("end"))
        await asyncio.sleep(0.2)
        cleared = await call.clear()
        results.extend([await waiting, cleared.marks, cleared.played_ms + cleared.discarded_ms])
        await call.hangup()

    async with a_call(speak) as caller:
        await asked(caller, 3)
        assert results == ["cleared", ("end",), pytest.approx(5000, abs=1)]
        assert caller.line.heard_ms < 5000


async def test_play_waits_while_the_gateway_has_no_room() -> None:
    about_to_play = asyncio.Event()

    async def speak(call: StreamCall) -> None:
        await call.play(SECOND)
        async for _ in call:  # a key, which comes after xoff
            about_to_play.set()
            await call.play(SECOND)
            break
        await call.ended.wait()

    async with a_call(speak, Circumstances(xoff_ms=600, xon_ms=200)) as caller:
        caller.stalled = True
        assert await caller.until(lambda: caller.line.is_xoff, 10)
        await caller.tell(KeyPressed("1", 80))
        await asyncio.wait_for(about_to_play.wait(), 10)
        await asyncio.sleep(0.2)
        assert caller.line.received_ms == 1000
        caller.stalled = False
        assert await caller.until(lambda: caller.line.received_ms == 2000, 10)


async def test_no_more_than_twenty_seconds_are_sent_ahead() -> None:
    async def speak(call: StreamCall) -> None:
        for _ in range(3):
            await call.play(SECOND * 10)

    async with a_call(speak) as caller:
        assert await caller.until(lambda: caller.line.received_ms >= 20_000, 10)
        await asyncio.sleep(0.2)
        assert caller.line.received_ms < 29_000


async def test_every_order_reaches_the_gateway() -> None:
    async def order(call: StreamCall) -> None:
        await call.answer()
        await call.dtmf("1,2#")
        await call.mute()
        await call.record("pause")
        await call.transfer("sip:desk@192.0.2.9", "attended")
        async for item in call:
            if isinstance(item, TransferMessage):
                break
        await call.hangup()

    async with a_call(order, Circumstances(answered=False)) as caller:
        assert await asked(caller, 6) == [
            Answer(),
            SendKeys("1,2#"),
            Mute(True),
            Record("pause"),
            Transfer("sip:desk@192.0.2.9", "attended"),
            HangUp(),
        ]


async def test_a_call_that_rings_can_be_rejected() -> None:
    async def reject(call: StreamCall) -> None:
        assert not call.start.answered
        await call.reject(486)

    async with a_call(reject, Circumstances(answered=False)) as caller:
        assert await asked(caller, 1) == [Reject(486)]


async def test_who_waits_when_the_connection_breaks_is_told_that_the_stream_has_ended() -> None:
    told: list[StreamEnded] = []
    done = asyncio.Event()

    async def speak(call: StreamCall) -> None:
        await call.play(SECOND * 5)
        with pytest.raises(StreamEnded) as ended:
            await call.mark("never")
        told.append(ended.value)
        with pytest.raises(StreamEnded):
            await call.play(SECOND)
        assert [item async for item in call] == []
        done.set()

    async with a_call(speak) as caller:
        await asked(caller, 1)
        caller.drop()
        await asyncio.wait_for(done.wait(), 10)
    assert told[0].reason == "connection lost"


async def test_what_nobody_takes_makes_way_for_newer_audio_but_events_stay() -> None:
    heard: list[StreamItem] = []
    dropped: list[int] = []
    done = asyncio.Event()

    async def sleepy(call: StreamCall) -> None:
        await call.ended.wait()
        heard.extend([item async for item in call])
        dropped.append(call.dropped)
        done.set()

    async with a_call(sleepy) as caller:
        await caller.tell(KeyPressed("1", 80))
        for number in range(600):
            await caller.send(number.to_bytes(2, "big"))
        await caller.tell(StreamStopped("caller_hangup"))
        await asyncio.wait_for(done.wait(), 10)
    key, *audio = heard
    assert isinstance(key, DtmfMessage)
    assert dropped == [100]
    assert audio == [number.to_bytes(2, "big") for number in range(100, 600)]


async def test_a_handler_that_fails_closes_its_own_call_only() -> None:
    async def fragile(call: StreamCall) -> None:
        async for item in call:
            if item == b"break":
                raise RuntimeError("a bug of the backend")

    async with serving(fragile) as backend, calling(Target(backend.url)) as other:
        async with calling(Target(backend.url)) as caller:
            await caller.send(b"break")
            assert await caller.until(lambda: not caller.is_open, 10)
            assert caller.connection.close_code == 1011
        assert other.is_open


async def test_a_handler_that_returns_ends_the_stream_properly() -> None:
    async def brief(call: StreamCall) -> None:
        await call.play(SECOND)

    async with a_call(brief) as caller:
        assert await caller.until(lambda: not caller.is_open, 10)
        assert caller.connection.close_code == 1000


async def test_who_does_not_begin_with_start_is_sent_away() -> None:
    async def never(call: StreamCall) -> None:
        raise AssertionError("there is no call")

    async with serving(never) as backend:
        for first in ('{"type": "dtmf", "seq": 1, "digit": "1", "duration_ms": 80}', "no JSON", b"audio"):
            async with connect(backend.url, subprotocols=[Subprotocol("parley.v1")]) as connection:
                await connection.send(first)
                with pytest.raises(ConnectionClosed):
                    await connection.recv()
                assert connection.close_code == 1002


SECRET, OTHER = SigningSecret.new(), SigningSecret.new()


async def test_with_a_secret_only_whom_the_gateway_signed_gets_in() -> None:
    calls: list[str] = []

    async def note(call: StreamCall) -> None:
        calls.append(call.call_id)

    async with serving(note, secrets=[str(SECRET), str(OTHER)]) as backend:
        for secrets in ((SECRET,), (OTHER,)):
            async with calling(Target(f"{backend.url}/stream?tenant=7", secrets=secrets)) as caller:
                assert await caller.until(lambda: not caller.is_open, 10)
        for target, circumstances in (
            (Target(backend.url), None),
            (Target(backend.url, secrets=(SigningSecret.new(),)), None),
            (
                Target(backend.url),
                Circumstances(headers=signature_headers([SECRET], "call_1", b"ws://other.example/", time.time())),
            ),
            (
                Target(backend.url),
                Circumstances(
                    headers=signature_headers([SECRET], "call_1", f"{backend.url}/".encode(), time.time() - 3600)
                ),
            ),
        ):
            with pytest.raises(InvalidStatus) as refusal:
                async with calling(target, circumstances):
                    pass
            assert refusal.value.response.status_code == 401
    assert len(calls) == 2


async def test_behind_a_proxy_the_public_address_is_what_was_signed() -> None:
    async def note(call: StreamCall) -> None:
        await call.hangup()

    headers = signature_headers([SECRET], "call_1", b"wss://bot.example.com/stream", time.time())
    async with (
        serving(note, secrets=[str(SECRET)], public_url="wss://bot.example.com/") as backend,
        calling(Target(f"{backend.url}/stream"), Circumstances(headers=headers)) as caller,
    ):
        assert await asked(caller, 1) == [HangUp()]


async def test_the_format_is_the_one_of_the_stream() -> None:
    formats: list[tuple[str, int]] = []

    async def note(call: StreamCall) -> None:
        formats.append((call.format.encoding, call.format.sample_rate))
        await call.hangup()

    async with serving(note) as backend, calling(Target(backend.url, StreamFormat("pcmu", 8000))) as caller:
        await asked(caller, 1)
    assert formats == [("pcmu", 8000)]


async def test_events_that_nobody_takes_are_bounded_too_and_push_no_audio_out() -> None:
    inbox = Inbox()
    inbox.put(b"audio")
    for number in range(1, 1002):
        inbox.put(DtmfMessage(seq=number, digit="1", duration_ms=80))
    assert inbox.dropped == 1
    assert await inbox.take() == b"audio"
    oldest = await inbox.take()
    assert isinstance(oldest, DtmfMessage)
    assert oldest.seq == 2
