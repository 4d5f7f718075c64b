# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks against a real receiver on a real socket, over a real database."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.calls.journal import Journal
from gateway.events import Event, EventBus, EventKind, EventLog, EventRetention, Wanted, Webhook, WebhookSettings
from gateway.events import webhooks as webhooks_module
from gateway.events.catalogue import KEPT_KINDS
from gateway.events.deliveries import DeliveryQueue
from gateway.guard import WEBHOOK_URL, OutboundGuard
from gateway.outbound import http_client
from gateway.signing import SigningSecret, verify
from gateway.store import SessionStore, open_store
from gateway.telemetry import Metrics
from tests.gateway.test_store import session
from tests.simulators.webhook_receiver import Received, WebhookReceiver

SECRETS = (SigningSecret(b"a" * 32), SigningSecret(b"b" * 32))
NAME = "ours"


@dataclass
class Sender:
    """A gateway's share: store, journal, log and one webhook, which `start` sets going."""

    store: SessionStore
    journal: Journal
    log: EventLog
    webhook: Webhook
    metrics: Metrics

    def start(self) -> None:
        self.running = asyncio.create_task(self.webhook.run())

    def publish(self, call_id: str = "c1", kind: EventKind = "dtmf.received", **data: object) -> None:
        self.log.bus.publish(kind, call_id, data)

    async def undelivered(self) -> int:
        await self.store.flush()
        return len(await self.store.events.undelivered(NAME, 0, 2**62, 10_000))

    def counted(self, outcome: str) -> float:
        labels = {"webhook": NAME, "outcome": outcome}
        return self.metrics.registry.get_sample_value("parley_webhook_deliveries_total", labels) or 0.0


@asynccontextmanager
async def sending(
    folder: Path,
    url: str,
    *,
    kinds: frozenset[EventKind] = KEPT_KINDS,
    timeout_s: float = 5.0,
    give_up_after: timedelta = timedelta(hours=1),
    allow: str = "127.0.0.0/8",
) -> AsyncIterator[Sender]:
    metrics = Metrics()
    async with (
        open_store(f"sqlite+aiosqlite:///{folder}/parley.db", folder, metrics) as store,
        http_client(OutboundGuard([allow]), WEBHOOK_URL) as client,
        asyncio.TaskGroup() as tasks,
    ):
        first, kept_after = await store.events.begin_run()
        journal = Journal(store, metrics)
        tasks.create_task(journal.write_until_closed())
        log = EventLog(EventBus(first), store.events, journal.event, {NAME: kinds}, kept_after=kept_after)
        settings = WebhookSettings(NAME, url, kinds, SECRETS, give_up_after)
        queue = DeliveryQueue(random.Random(1), first_retry_s=0.01)
        webhook = Webhook(
            settings,
            log,
            store.events,
            journal.delivered,
            client,
            metrics,
            resume=True,
            queue=queue,
            timeout_s=timeout_s,
        )
        sender = Sender(store, journal, log, webhook, metrics)
        if await store.get("c1") is None:
            await store.begin(session("c1"))
            await store.begin(session("c2"))
        sender.start()
        try:
            yield sender
        finally:
            sender.running.cancel()
            await asyncio.gather(sender.running, return_exceptions=True)
            await journal.close()


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Sockets have a time of their own."""
    async with asyncio.timeout(10):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


async def test_an_event_arrives_once_signed_with_every_secret_and_is_taken_off_the_list(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver, sending(tmp_path, receiver.url) as sender:
        sender.publish(digit="5", secret=False)
        await until(lambda: len(receiver.received) == 1)
        (received,) = receiver.received
        (event,) = (await sender.log.read(0, 1, Wanted())).events
        assert received.body == event.as_json().encode()
        for secret in SECRETS:
            assert verify([secret], received.headers, received.body, received.at) == f"evt_c1_{event.cursor}"
        assert received.headers["content-type"] == "application/json"

        async def is_settled() -> bool:
            return await sender.undelivered() == 0

        await until(is_settled)
        assert sender.counted("delivered") == 1


async def test_only_the_kinds_it_wants_are_sent(tmp_path: Path) -> None:
    kinds = frozenset[EventKind]({"call.ended"})
    async with WebhookReceiver() as receiver, sending(tmp_path, receiver.url, kinds=kinds) as sender:
        sender.publish(kind="call.held")
        sender.publish(kind="transcript.partial")
        sender.publish(kind="call.ended")
        await until(lambda: len(receiver.received) == 1)
        assert receiver.received[0].event["kind"] == "call.ended"
        assert await sender.undelivered() <= 1


async def test_a_call_that_is_refused_waits_while_the_other_goes_on(tmp_path: Path) -> None:
    refusing = True

    async def answer(received: Received) -> tuple[int, Mapping[str, str]]:
        return (400 if refusing and received.event["call_id"] == "c1" else 200), {}

    async with WebhookReceiver(answer=answer) as receiver, sending(tmp_path, receiver.url) as sender:
        for digit in "123":
            sender.publish("c1", digit=digit)
            sender.publish("c2", digit=digit)

        def digits(call_id: str) -> list[str]:
            return [one.event["data"]["digit"] for one in receiver.received if one.event["call_id"] == call_id]

        await until(lambda: digits("c2") == ["1", "2", "3"] and len(digits("c1")) >= 3)
        assert set(digits("c1")) == {"1"}
        ids = {one.headers["webhook-id"] for one in receiver.received if one.event["call_id"] == "c1"}
        assert len(ids) == 1, "a repeat is recognised by its id"
        refusing = False
        await until(lambda: digits("c1")[-3:] == ["1", "2", "3"])
        assert sender.counted("refused") >= 3


async def test_what_happens_while_the_receiver_is_away_arrives_in_order_when_it_is_back(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver:
        port = receiver.port
    async with sending(tmp_path, f"http://127.0.0.1:{port}/events") as sender:
        for number in range(50):
            sender.publish("c1" if number % 2 else "c2", number=number)
        await until(lambda: sender.counted("unreachable") >= 3)
        async with WebhookReceiver(port) as receiver:
            await until(lambda: len(receiver.received) == 50)
            for call_id in ("c1", "c2"):
                numbers = [one.event["data"]["number"] for one in receiver.received if one.event["call_id"] == call_id]
                assert numbers == sorted(numbers)


async def test_a_gateway_that_starts_again_sends_what_the_last_one_had_not_and_repeats_are_recognised(
    tmp_path: Path,
) -> None:
    async def refuse_the_second(received: Received) -> tuple[int, Mapping[str, str]]:
        return (500 if received.event["data"]["number"] == 2 else 200), {}

    async with WebhookReceiver() as receiver:
        receiver.answer = refuse_the_second
        async with sending(tmp_path, receiver.url) as first:
            for number in (1, 2, 3):
                first.publish(number=number)
            await until(lambda: len(receiver.received) >= 3)
        before = {one.event["data"]["number"]: one.headers["webhook-id"] for one in receiver.received}
        assert set(before) == {1, 2}
        receiver.received.clear()
        receiver.answer = WebhookReceiver().answer
        async with sending(tmp_path, receiver.url) as second:
            second.publish(number=4)
            await until(lambda: len(receiver.received) == 3)
            assert [one.event["data"]["number"] for one in receiver.received] == [2, 3, 4]
            assert receiver.received[0].headers["webhook-id"] == before[2]
            cursors = [one.event["cursor"] for one in receiver.received]
            assert cursors == sorted(set(cursors))


async def test_more_than_fits_into_memory_waits_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks_module, "_WINDOW_EVENTS", 10)
    async with WebhookReceiver() as receiver:
        port = receiver.port
    async with sending(tmp_path, f"http://127.0.0.1:{port}/events") as sender:
        for number in range(100):
            sender.publish(number=number)
        await until(lambda: sender.counted("unreachable") >= 2)
        depth = sender.metrics.registry.get_sample_value("parley_webhook_queue_events", {"webhook": NAME})
        assert depth == 10
        async with WebhookReceiver(port) as receiver:
            await until(lambda: len(receiver.received) == 100)
            assert [one.event["data"]["number"] for one in receiver.received] == list(range(100))


async def test_a_receiver_that_is_gone_is_left_alone_and_nothing_is_lost(tmp_path: Path) -> None:
    async def gone(_: Received) -> tuple[int, Mapping[str, str]]:
        return 410, {}

    async with WebhookReceiver(answer=gone) as receiver, sending(tmp_path, receiver.url) as sender:
        sender.publish()
        await until(sender.running.done)
        assert sender.running.exception() is None
        sender.publish()
        assert await sender.undelivered() >= 1
        assert len(receiver.received) == 1


async def test_a_receiver_that_takes_too_long_is_asked_again(tmp_path: Path) -> None:
    async def slow_at_first(_: Received) -> tuple[int, Mapping[str, str]]:
        if sender.counted("unreachable") == 0:
            await asyncio.sleep(60)
        return 200, {}

    async with (
        WebhookReceiver(answer=slow_at_first) as receiver,
        sending(tmp_path, receiver.url, timeout_s=0.3) as sender,
    ):
        sender.publish()
        await until(lambda: sender.counted("delivered") == 1)


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async def away(_: Received) -> tuple[int, Mapping[str, str]]:
        return 307, {"Location": elsewhere.url}

    async with (
        WebhookReceiver() as elsewhere,
        WebhookReceiver(answer=away) as receiver,
        sending(tmp_path, receiver.url) as sender,
    ):
        sender.publish()
        await until(lambda: sender.counted("refused") >= 2)
        assert elsewhere.received == []


async def test_an_address_that_is_not_allowed_is_never_connected_to(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver, sending(tmp_path, receiver.url, allow="192.0.2.0/24") as sender:
        sender.publish()
        await until(lambda: sender.counted("unreachable") >= 2)
        assert receiver.received == []


async def test_what_is_too_old_is_given_up_and_the_next_event_goes(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver, sending(tmp_path, receiver.url) as sender:
        old = Event(sender.log.end + 1, "dtmf.received", "c1", datetime.now(UTC) - timedelta(hours=2), {"number": 1})
        sender.log.receive(old)
        sender.log.receive(Event(old.cursor + 1, "dtmf.received", "c1", datetime.now(UTC), {"number": 2}))
        await until(lambda: len(receiver.received) == 1)
        assert receiver.received[0].event["data"] == {"number": 2}
        assert sender.counted("given_up") == 1


async def test_an_erased_call_is_not_sent_any_more(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver:
        port = receiver.port
    async with sending(tmp_path, f"http://127.0.0.1:{port}/events") as sender:
        sender.store.on_erased = sender.webhook.forget
        sender.publish("c1", text="secret")
        sender.publish("c2", text="public")
        await until(lambda: sender.counted("unreachable") >= 1)
        await sender.store.erase("c1")
        async with WebhookReceiver(port) as receiver:
            await until(lambda: sender.counted("delivered") == 1)
            assert {one.event["call_id"] for one in receiver.received} == {"c2"}
        assert await sender.undelivered() == 0


async def test_what_the_bounds_of_the_log_take_from_a_webhook_is_counted(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver:
        port = receiver.port
    async with sending(tmp_path, f"http://127.0.0.1:{port}/events") as sender:
        for _ in range(5):
            sender.publish()
        await until(lambda: sender.counted("unreachable") >= 1)
        retention = EventRetention(
            sender.log, sender.store.events, sender.metrics, keep_for=timedelta(hours=1), keep_events=2
        )
        await retention.prune(datetime.now(UTC))
        assert sender.counted("given_up") == 3
        assert sender.log.kept_after == sender.log.end - 2


async def test_the_end_of_the_gateway_waits_for_what_is_on_its_way(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def after_a_while(_: Received) -> tuple[int, Mapping[str, str]]:
        await arrived.wait()
        return 200, {}

    async with WebhookReceiver(answer=after_a_while) as receiver, sending(tmp_path, receiver.url) as sender:
        sender.publish()
        await sender.log.wait(sender.log.begin)
        finishing = asyncio.create_task(sender.webhook.finish())
        await asyncio.sleep(0)
        assert not finishing.done()
        arrived.set()
        await finishing
        assert sender.counted("delivered") == 1
