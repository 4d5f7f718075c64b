# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the API: typed answers, and every failure as one of `gateway.client.errors`."""

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from gateway.client.errors import BadAnswer, NotReachable, api_error

Parameters = Mapping[str, str | Sequence[str]]
Answer = TypeVar("Answer", bound=BaseModel)


class HttpApi:
    """One gateway's. Every method raises `NotReachable`, `BadAnswer` or one of `ApiError`'s kinds."""

    def __init__(
        self, base_url: str, api_key: str, *, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.base_url = base_url
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            base_url=f"{base_url}/api/v1",
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=timeout_s,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close what connections there are."""
        await self._client.aclose()

    async def get(self, path: str, kind: type[Answer], parameters: Parameters | None = None) -> Answer:
        """Ask for an object."""
        return _read(await self.request("GET", path, parameters=parameters), kind)

    async def post(
        self, path: str, order: BaseModel | None, kind: type[Answer], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one, and get one."""
        return _read(await self.request("POST", path, order, headers=headers), kind)

    async def upload(
        self, path: str, body: bytes | AsyncIterable[bytes], content_type: str, kind: type[Answer]
    ) -> Answer:
        """Send something of any size. The answer may take as long as the gateway needs for it."""
        headers = {"Content-Type": content_type}
        # Something so long that its reader is slow must not break the connection, and neither must the answer.
        timeout = httpx.Timeout(self._timeout_s, read=None, write=None)
        try:
            answer = await self._client.post(path, content=body, headers=headers, timeout=timeout)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if not answer.is_success:
            raise api_error(answer.status_code, answer.content, answer.headers)
        return _read(answer, kind)

    async def request(
        self,
        method: str,
        path: str,
        order: BaseModel | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        parameters: Parameters | None = None,
    ) -> httpx.Response:
        """Send one; whatever is answered."""
        body: Any = None if order is None else order.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            answer = await self._client.request(method, path, json=body, headers=headers, params=parameters)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if not answer.is_success:
            raise api_error(answer.status_code, answer.content, answer.headers)
        return answer

    @contextlib.asynccontextmanager
    async def stream(self, path: str, parameters: Parameters | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """What lies there, block by block."""
        try:
            async with self._client.stream("GET", path, params=parameters) as answer:
                if not answer.is_success:
                    raise api_error(answer.status_code, await answer.aread(), answer.headers)
                yield answer.aiter_bytes()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def save(self, path: str, file: Path) -> None:
        """Write what lies there to a file."""
        async with self.stream(path) as blocks:
            with file.open("wb") as out:
                async for block in blocks:
                    out.write(block)

    def _unreachable(self, error: httpx.HTTPError) -> NotReachable:
        return NotReachable(f"no gateway answers at {self.base_url}: {error or type(error).__name__}")


def _read(answer: httpx.Response, kind: type[Answer]) -> Answer:
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadAnswer(f"not the answer of a gateway of this version: {where}: {first['msg']}") from None
