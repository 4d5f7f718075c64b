# SPDX-License-Identifier: GPL-3.0-or-later
"""The same request again: one call, whatever happens between the two."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from gateway.api.control import CallInfo
from gateway.api.idempotency import KEPT_FOR, IdempotentRequests
from gateway.api.orders import PlaceCall
from gateway.errors import TooManyCalls
from gateway.store import KeptAnswer, SessionSummary, repository
from media.encryption import EncryptionKey
from tests.gateway.test_api_calls import STARTED, Api, running_api

ORDER = {"to": "+15550100", "metadata": {"order": "7"}}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


def _holds(folder: Path, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in folder.glob("parley.db*"))


async def place(api: Api, key: str = "key-1", order: dict[str, object] | None = None) -> httpx.Response:
    return await api.client.post("/api/v1/calls", json=order or ORDER, headers={"Idempotency-Key": key})


async def test_the_same_key_gets_the_same_answer_and_places_no_second_call(api: Api) -> None:
    first, second = await place(api), await place(api)
    assert (first.status_code, second.status_code) == (201, 201)
    assert (first.json(), first.headers["location"]) == (second.json(), second.headers["location"])
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert len(api.calls.orders) == 1


async def test_another_body_is_refused_and_the_order_of_fields_makes_none(api: Api) -> None:
    await place(api)
    assert (await place(api, order={"metadata": {"order": "7"}, "to": "+15550100"})).status_code == 201
    refused = await place(api, order={**ORDER, "timeout_s": 5})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:parley:problem:idempotency-conflict")
    assert len(api.calls.orders) == 1


async def test_other_keys_and_none_place_calls_of_their_own(api: Api) -> None:
    await place(api)
    await place(api, "key-2")
    for _ in range(2):
        await api.client.post("/api/v1/calls", json=ORDER)
    assert len(api.calls.orders) == 4


async def test_clients_with_api_keys_of_their_own_do_not_meet(api: Api) -> None:
    created = await api.client.post("/api/v1/keys", json={"name": "other", "scopes": ["calls:write"]})
    headers = {"Idempotency-Key": "key-1", "Authorization": f"Bearer {created.json()['key']}"}
    await place(api)
    other = await api.client.post("/api/v1/calls", json=ORDER, headers=headers)
    assert (other.status_code, "idempotency-replayed" in other.headers) == (201, False)
    assert len(api.calls.orders) == 2


async def test_a_failure_is_not_kept(api: Api) -> None:
    api.calls.refuse_with = TooManyCalls("full")
    assert (await place(api)).status_code == 503
    api.calls.refuse_with = None
    assert (await place(api)).status_code == 201
    assert len(api.calls.orders) == 2


@pytest.mark.parametrize("key", ["", "a" * 256, "no spaces"])
async def test_what_is_no_key_is_refused(api: Api, key: str) -> None:
    assert (await place(api, key)).status_code == 422
    assert api.calls.orders == []


async def test_duplicates_that_come_meanwhile_wait_for_the_first(api: Api) -> None:
    requests = IdempotentRequests(api.store)
    order = PlaceCall.model_validate(ORDER)
    answers = [asyncio.get_running_loop().create_future() for _ in range(2)]
    placed = 0

    async def slowly() -> CallInfo:
        nonlocal placed
        placed += 1
        call: CallInfo = await answers[placed - 1]
        return call

    waiting = [asyncio.ensure_future(requests.once("key-1", order, slowly)) for _ in range(10)]
    while placed == 0:  # noqa: ASYNC110 - the database answers from its thread
        await asyncio.sleep(0.001)
    answers[0].set_exception(TooManyCalls("full"))
    with pytest.raises(TooManyCalls):
        await waiting[0]
    info = CallInfo(call_id="call_1", direction="outbound", from_="parley", to="1", state="dialing", started_at=STARTED)
    answers[1].set_result(info)
    results = await asyncio.gather(*waiting[1:])
    assert [call for call, _ in results] == [info] * 9
    assert [is_repeated for _, is_repeated in results] == [False, *[True] * 8]
    assert placed == 2


@pytest.mark.parametrize("key", [None, EncryptionKey(bytes(range(32)))])
async def test_keys_outlive_the_process_and_are_sealed_where_there_is_a_key(
    tmp_path: Path, key: EncryptionKey | None
) -> None:
    async with running_api(tmp_path, key) as before:
        first = await place(before)
    assert await asyncio.to_thread(_holds, tmp_path, b"+15550100") == (key is None)
    async with running_api(tmp_path, key) as after:
        assert (await place(after)).json() == first.json()
        assert after.calls.orders == []


async def test_after_a_day_the_key_is_forgotten(api: Api) -> None:
    await place(api)
    now = datetime.now(UTC)
    key = "a" * 64
    await api.store.keep_answer(KeptAnswer(key, "f", "call_1", "{}", now), forget_before=now)
    assert await api.store.kept_answer(key, since=now - KEPT_FOR) is not None
    assert await api.store.kept_answer(key, since=now + timedelta(seconds=1)) is None
    await place(api)  # the row of the first was deleted by that
    assert len(api.calls.orders) == 2


async def test_so_many_are_kept_and_no_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "_CROWD_OUT_ANSWERS", repository.crowd_out_answers(3))
    start = datetime.now(UTC)
    for number in range(5):
        answer = KeptAnswer(str(number), "f", "call_1", "{}", start + timedelta(seconds=number))
        await api.store.keep_answer(answer, forget_before=start - KEPT_FOR)
    kept = [await api.store.kept_answer(str(number), since=start) is not None for number in range(5)]
    assert kept == [False, False, True, True, True]


async def test_erasing_a_session_erases_its_answer(api: Api) -> None:
    first = await place(api)
    session = SessionSummary(
        call_id=first.json()["call_id"], direction="outbound", from_="parley", to="+15550100", started_at=STARTED
    )
    await api.store.begin(session)
    await api.store.finish(session.call_id, STARTED, "completed")
    assert (await api.client.delete(f"/api/v1/sessions/{session.call_id}")).status_code == 204
    await place(api)
    assert len(api.calls.orders) == 2
