# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
from pathlib import Path

import pytest

from gateway.errors import StartupError
from gateway.sip import tls_files
from gateway.sip.tls_files import TlsFiles
from tests.e2e.certificates import self_signed


class Listener:
    """What is to be reopened, and cannot be the first `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.times = 0

    async def reload(self) -> None:
        self.times += 1
        if self.times <= self.failures:
            raise StartupError("TLS on port 5061 cannot be reopened (PJSIP status 120098)")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_files, "_LOOK_S", 0.01)


async def _follow(files: TlsFiles, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await files.follow()


async def test_files_taken_up_by_signal_are_not_taken_up_again(tmp_path: Path) -> None:
    first, listener = self_signed(tmp_path, "first"), Listener()
    files = TlsFiles(first.chain, first.key, None, listener.reload)
    renewed = self_signed(tmp_path, "renewed")
    first.chain.write_bytes(renewed.chain.read_bytes())
    first.key.write_bytes(renewed.key.read_bytes())
    await files.renew()
    await _follow(files, 0.2)
    assert listener.times == 1


async def test_what_could_not_be_reopened_is_tried_again(tmp_path: Path) -> None:
    first, listener = self_signed(tmp_path, "first"), Listener(failures=2)
    files = TlsFiles(first.chain, first.key, None, listener.reload)
    await files.renew()
    await _follow(files, 2.0)
    assert listener.times == 3


async def test_broken_files_are_left_alone_until_they_change(tmp_path: Path) -> None:
    first, listener = self_signed(tmp_path, "first"), Listener()
    files = TlsFiles(first.chain, first.key, None, listener.reload)
    good = first.key.read_bytes()
    first.key.write_text("no key")
    await _follow(files, 0.2)
    assert listener.times == 0
    first.key.write_bytes(good)
    await _follow(files, 0.5)
    assert listener.times == 1
