# SPDX-License-Identifier: GPL-3.0-or-later
"""The API on a real socket, and where its keys come from."""

import asyncio
import signal
import socket
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from gateway.api import address_of, api_keys, bind_http, known_api_key, serving
from gateway.config import Config, HttpConfig, StoreConfig
from gateway.errors import StartupError
from tests.gateway.test_api_calls import KEY, running_api


def config_in(folder: Path, *keys: str) -> Config:
    return Config(
        http=HttpConfig(api_keys=tuple(SecretStr(key) for key in keys)), store=StoreConfig(data_dir=folder / "data")
    )


async def test_the_application_answers_on_the_socket_and_leaves_signals_alone(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    listener = bind_http("127.0.0.1", 0)
    address = address_of(listener)
    async with running_api(tmp_path) as api:
        async with serving(api.app, listener), httpx.AsyncClient(base_url=f"http://{address}") as client:
            assert (await client.get("/healthz")).status_code == 200
            answer = await client.get("/api/v1/calls", headers={"Authorization": f"Bearer {KEY}"})
            assert answer.json() == {"calls": [], "unreachable": []}
            assert "server" not in answer.headers
            assert signal.getsignal(signal.SIGTERM) is before
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient(base_url=f"http://{address}") as client:
                await client.get("/healthz")


async def test_an_error_inside_comes_out_as_it_is_and_the_port_is_free_again(tmp_path: Path) -> None:
    listener = bind_http("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with running_api(tmp_path) as api:
        with pytest.raises(KeyError, match="mine"):
            async with serving(api.app, listener):
                raise KeyError("mine")
    bind_http("127.0.0.1", port).close()


async def test_cancellation_ends_the_server_too(tmp_path: Path) -> None:
    listener = bind_http("127.0.0.1", 0)
    port = listener.getsockname()[1]
    inside = asyncio.Event()
    async with running_api(tmp_path) as api:

        async def serve() -> None:
            async with serving(api.app, listener):
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(serve())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    bind_http("127.0.0.1", port).close()


def test_a_port_in_use_is_one_clear_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartupError) as caught:
            bind_http("127.0.0.1", port)
    assert str(caught.value) == (
        f"HTTP port {port} on 127.0.0.1 cannot be opened: Address already in use. Another program may have it "
        f"(ss -ltnp | grep {port}); set http.port or PARLEY_HTTP__PORT"
    )


def test_an_address_of_another_machine_is_one_clear_message() -> None:
    with pytest.raises(StartupError, match=r"HTTP port 8080 on 192\.0\.2\.1 cannot be opened"):
        bind_http("192.0.2.1", 8080)
    with pytest.raises(StartupError, match=r"set http\.host"):
        bind_http("no.such.host.invalid", 8080)


def test_configured_keys_are_the_keys(tmp_path: Path) -> None:
    config = config_in(tmp_path, "one", "two")
    assert api_keys(config) == ("one", "two")
    assert known_api_key(config) == "one"
    assert not (tmp_path / "data").exists()


def test_without_configured_keys_one_is_made_once_and_kept_private(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    assert known_api_key(config) is None
    (key,) = api_keys(config)
    assert len(key) >= 32
    assert api_keys(config) == (key,)
    assert known_api_key(config) == key
    assert (tmp_path / "data" / "api_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["api_key"]
    assert api_keys(config_in(tmp_path / "elsewhere")) != (key,)


def test_an_empty_key_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "api_key").touch()
    with pytest.raises(StartupError, match="is empty"):
        api_keys(config_in(tmp_path))


def test_a_key_file_that_cannot_be_made_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StartupError, match="cannot be used"):
        api_keys(config_in(tmp_path))
