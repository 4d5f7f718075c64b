# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files may be played, and that they are read once."""

import asyncio
import os
from pathlib import Path

import pytest

from gateway.calls import prompts as prompts_module
from gateway.calls.prompts import Prompts
from gateway.errors import BadPrompt, UrlUnreachable
from media.tones import tone
from media.wav import write_wav


async def no_url(url: str) -> bytes:
    raise AssertionError(url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    (folder / "de").mkdir(parents=True)
    write_wav(folder / "de" / "closed.wav", tone([1000], 500, 16000), 16000)
    write_wav(tmp_path / "secret.wav", tone([1000], 500, 16000), 16000)
    (folder / "out.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "circle.wav").symlink_to(folder / "circle.wav")
    (folder / "notes.txt").write_text("no sound at all")
    os.mkfifo(folder / "pipe.wav")
    return folder


async def test_a_file_of_the_folder_is_played_and_kept_until_it_changes(folder: Path) -> None:
    prompts = Prompts(folder, no_url)
    first = await prompts.from_file("de/closed.wav")
    assert (first.duration_ms, first.sample_rate_hz) == (500, 16000)
    assert await prompts.from_file("de/closed.wav") is first
    write_wav(folder / "de" / "closed.wav", tone([1000], 700, 16000), 16000)
    assert (await prompts.from_file("de/closed.wav")).duration_ms == 700


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.wav", "de/../../secret.wav", "/etc/hostname", "out.wav", "circle.wav", "de", "", "."),
        *("none.wav", "pipe.wav", "a" * 500, "a/" * 250),
    ],
)
async def test_nothing_else_is_and_the_answer_does_not_tell_what_is_there(folder: Path, name: str) -> None:
    with pytest.raises(BadPrompt, match="there is no such file"):
        await Prompts(folder, no_url).from_file(name)


async def test_what_is_no_recording_is_refused(folder: Path) -> None:
    with pytest.raises(BadPrompt, match="neither WAV nor MP3 nor Ogg"):
        await Prompts(folder, no_url).from_file("notes.txt")


async def test_a_url_is_fetched_every_time(folder: Path) -> None:
    asked = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return (folder / "de" / "closed.wav").read_bytes()

    prompts = Prompts(folder, fetch)
    assert (await prompts.from_url("https://h/a.wav")).duration_ms == 500
    await prompts.from_url("https://h/a.wav")
    assert asked == ["https://h/a.wav"] * 2


async def test_kept_files_give_way_to_newer_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts_module, "_CACHE_BYTES", 40_000)
    prompts = Prompts(folder, no_url)
    for number in range(5):
        write_wav(folder / f"{number}.wav", tone([1000], 500, 16000), 16000)
    first = await prompts.from_file("0.wav")
    await prompts.from_file("1.wav")
    assert await prompts.from_file("0.wav") is first
    await prompts.from_file("2.wav")
    assert await prompts.from_file("0.wav") is first
    for number in (1, 2, 3):
        await prompts.from_file(f"{number}.wav")
    assert await prompts.from_file("0.wav") is not first


async def test_a_large_file_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts_module, "MAX_FILE_BYTES", 1000)
    with pytest.raises(BadPrompt, match="more than 1000 bytes"):
        await Prompts(folder, no_url).from_file("de/closed.wav")


async def test_a_few_urls_are_fetched_at_once_and_too_many_refused(folder: Path) -> None:
    running, most, go_on = 0, 0, asyncio.Event()

    async def fetch(url: str) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1
        return (folder / "de" / "closed.wav").read_bytes()

    prompts = Prompts(folder, fetch)
    tasks = [asyncio.create_task(prompts.from_url("https://h/a.wav")) for _ in range(65)]
    await asyncio.sleep(0)
    go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in results if isinstance(one, Exception)] == [UrlUnreachable]
    assert most == 8
    assert (await prompts.from_url("https://h/a.wav")).duration_ms == 500
