# SPDX-License-Identifier: GPL-3.0-or-later
"""A call's recording over HTTP: decrypted, in ranges, and a clear problem when it cannot be given."""

from collections.abc import AsyncIterator
from pathlib import Path
from threading import Condition

import pytest

from media.encryption import EncryptionKey
from media.recorder import Recorder
from media.recording_file import RecordingFile, RecordingFormat, recording_suffix
from tests.gateway.test_api_calls import Api, running_api
from tests.gateway.test_store import NOON, session
from tests.media.decoder import KEY, OTHER_KEY, decoded
from tests.media.sound import frames, noise

LINK = "/api/v1/sessions/c1/recording"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path, KEY) as running:
        await running.store.begin(session("c1"))
        yield running


async def record(
    api: Api, form: RecordingFormat = "wav", key: EncryptionKey | None = KEY, *, name: str = "c1", ended: bool = True
) -> Path:
    """Three seconds, in a file that `c1` is said to have."""
    suffix = recording_suffix(form, encrypted=key is not None)
    made, path = api.store.recordings_dir / f"{name}{suffix}", api.store.recordings_dir / f"c1{suffix}"
    recorder = Recorder(RecordingFile(made, 8000, form, key), 8000, Condition())
    for frame in frames(noise(3.0, 8000, -20), 8000):
        recorder.caller(frame)
        recorder.agent(frame)
        recorder.write()
    if ended:
        recorder.close()
        recorder.write()
    made.rename(path)
    await api.store.recording_began("c1", path)
    await api.store.finish("c1", NOON, "caller_hung_up")
    return path


@pytest.mark.parametrize("key", [KEY, None], ids=["encrypted", "in clear"])
@pytest.mark.parametrize(("form", "media_type"), [("wav", "audio/wav"), ("opus", "audio/ogg")])
async def test_it_is_given_in_clear_whatever_lies_on_the_disk(
    api: Api, form: RecordingFormat, media_type: str, key: EncryptionKey | None
) -> None:
    path = await record(api, form, key)
    answer = await api.client.get(LINK)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    content, rate_hz = decoded(answer.content)
    assert len(content) == 3 * rate_hz
    suffix = path.name.removesuffix(".enc")
    assert answer.headers["content-disposition"] == f'attachment; filename="{suffix}"'
    assert "parley-truncated" not in answer.headers
    head = await api.client.head(LINK)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == answer.headers["content-length"] == str(len(answer.content))
    assert (await api.stranger.get(LINK)).status_code == 401


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=30-60", 30, 61),
        ("bytes=50000-", 50000, None),
        ("bytes=-500", -500, None),
        ("bytes=90000-999999999", 90000, None),
    ],
)
async def test_a_range_is_that_part_of_the_whole(api: Api, asked: str, start: int, end: int | None) -> None:
    await record(api)
    whole = (await api.client.get(LINK)).content
    answer = await api.client.get(LINK, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, whole[start:end])
    first = start if start >= 0 else len(whole) + start
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"


async def test_a_range_outside_is_refused_and_one_that_makes_no_sense_ignored(api: Api) -> None:
    await record(api)
    whole = (await api.client.get(LINK)).content
    outside = await api.client.get(LINK, headers={"Range": f"bytes={len(whole)}-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    for asked in ("bytes=5-3", "bytes=0-1,5-6", "seconds=0-1", "bytes=-", "nonsense"):
        assert (await api.client.get(LINK, headers={"Range": asked})).content == whole


async def test_a_recording_that_goes_on_is_a_409(api: Api) -> None:
    await api.store.recording_began("c1", api.store.recordings_dir / "c1.wav.enc")
    answer = await api.client.get(LINK)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:parley:problem:wrong-call-state")


async def test_a_recording_that_somebody_removed_is_a_410(api: Api) -> None:
    (await record(api)).unlink()
    answer = await api.client.get(LINK)
    assert (answer.status_code, answer.json()["type"]) == (410, "urn:parley:problem:recording-gone")


async def test_sessions_and_recordings_that_never_were_are_a_404(api: Api) -> None:
    assert (await api.client.get(LINK)).json()["detail"] == "session c1 has no recording"
    assert (await api.client.get("/api/v1/sessions/c2/recording")).json()["detail"] == "there is no session c2"


async def test_what_a_killed_gateway_left_is_given_and_said_to_break_off(api: Api) -> None:
    await record(api, ended=False)
    answer = await api.client.get(LINK)
    assert (answer.status_code, answer.headers["parley-truncated"]) == (200, "true")
    content, rate_hz = decoded(answer.content)
    assert len(content) == 3 * rate_hz


async def test_a_recording_of_another_key_says_so(api: Api) -> None:
    await record(api, key=OTHER_KEY)
    answer = await api.client.get(LINK)
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:parley:problem:recording-locked")
    assert "another key" in answer.json()["detail"]


async def test_the_recording_of_another_call_under_this_ones_name_is_refused(api: Api) -> None:
    await record(api, name="c7")
    answer = await api.client.get(LINK)
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:parley:problem:recording-damaged")
    assert "another call" in answer.json()["detail"]


async def test_a_damaged_place_breaks_the_answer_off_before_it(api: Api) -> None:
    path = await record(api)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    answer = await api.client.get(LINK, headers={"Range": "bytes=0-999"})
    assert (answer.status_code, len(answer.content)) == (206, 1000), "what lies before is given"
    answer = await api.client.get(LINK)
    assert len(answer.content) < int(answer.headers["content-length"])


async def test_erasing_the_session_of_a_killed_gateway_erases_its_file(api: Api) -> None:
    path = await record(api, ended=False)
    assert (await api.client.delete("/api/v1/sessions/c1")).status_code == 204
    assert not path.exists()
