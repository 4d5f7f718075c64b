# SPDX-License-Identifier: GPL-3.0-or-later
"""A call flow as Teler has them: whoever answers the flow URL is told of the call, and says what becomes of it.

    POST {call_id, account_id, from_number, to_number, direction} > {"action": "stream" | "play" | "hangup", ...}

Source: frejun.ai/docs/call-flows, and the SDK, which writes `file_url` where the documentation has `media_url`. One
action is carried out, and the call is over after it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from gateway.calls.facts import CallFacts
from gateway.errors import FlowFailed, UrlError
from gateway.streams.json_message import parse_object, text_of
from gateway.streams.messages import Malformed, StreamFormat
from gateway.streams.order import stream_format
from gateway.streams.teler import ACCOUNT_ID, CHUNK_MS

_TIMEOUT_S = 5.0
_TRIES = 2
_RETRY_S = 0.2
_MAX_BYTES = 64 * 1024
_MIN_CHUNK_MS, _MAX_CHUNK_MS, _CHUNK_STEP_MS = 20, 2000, 20
_RATES_HZ = {"8k": 8000, "16k": 16000}


@dataclass(frozen=True, slots=True)
class StreamAction:
    """Stream the call to a backend that speaks `teler`."""

    ws_url: str
    format: StreamFormat
    chunk_ms: int = CHUNK_MS
    record: bool = False


@dataclass(frozen=True, slots=True)
class PlayAction:
    """Play what is at a URL, then end the call."""

    media_url: str


@dataclass(frozen=True, slots=True)
class HangUpAction:
    """End the call."""


FlowAction = StreamAction | PlayAction | HangUpAction


def parse_flow(body: str) -> FlowAction:
    """The action that a flow URL answered. Raises `FlowFailed`, which names the field."""
    parsed = parse_object(body)
    if isinstance(parsed, Malformed):
        raise FlowFailed(parsed.detail)
    match parsed.get("action"):
        case "stream":
            return _stream(parsed)
        case "play":
            media_url = text_of(parsed, "media_url") or text_of(parsed, "file_url")
            if not media_url:
                raise FlowFailed("media_url is missing")
            return PlayAction(media_url)
        case "hangup":
            return HangUpAction()
        case _:
            raise FlowFailed("action is none of stream, play, hangup")


async def ask_flow(client: httpx.AsyncClient, url: str, facts: CallFacts) -> FlowAction:
    """Tell the flow URL of the call; what it wants. Asks twice at most. Raises `FlowFailed`.

    `client` is `gateway.outbound.http_client`'s: it refuses addresses that are not allowed.
    """
    question = {
        "call_id": facts.call_id,
        "account_id": ACCOUNT_ID,
        "from_number": facts.from_,
        "to_number": facts.to,
        "direction": facts.direction,
    }
    for left in reversed(range(_TRIES)):
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return parse_flow(await _post(client, url, question))
        except (TimeoutError, httpx.TransportError) as fault:
            if not left:
                raise FlowFailed(f"no answer ({type(fault).__name__})") from fault
        except UrlError as fault:
            raise FlowFailed(str(fault)) from fault
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            raise FlowFailed(f"cannot be asked ({type(fault).__name__})") from fault
        await asyncio.sleep(_RETRY_S)
    raise AssertionError("the last try returns or raises")


async def _post(client: httpx.AsyncClient, url: str, question: Mapping[str, str]) -> str:
    body = bytearray()
    # Compressed, a small body could unpack to any size.
    headers = {"Accept-Encoding": "identity"}
    async with client.stream("POST", url, json=question, headers=headers) as response:
        if response.status_code != httpx.codes.OK:
            raise FlowFailed(f"the server answers {response.status_code}")
        async for block in response.aiter_raw():
            body += block
            if len(body) > _MAX_BYTES:
                raise FlowFailed(f"the answer has more than {_MAX_BYTES} bytes")
    return body.decode("utf-8", "replace")


def _stream(parsed: Mapping[str, object]) -> StreamAction:
    ws_url, chunk_ms = text_of(parsed, "ws_url"), parsed.get("chunk_size", CHUNK_MS)
    if not ws_url:
        raise FlowFailed("ws_url is missing")
    if (
        not isinstance(chunk_ms, int)
        or not _MIN_CHUNK_MS <= chunk_ms <= _MAX_CHUNK_MS
        or chunk_ms % _CHUNK_STEP_MS != 0
    ):
        raise FlowFailed(f"chunk_size is {_MIN_CHUNK_MS} to {_MAX_CHUNK_MS} in steps of {_CHUNK_STEP_MS}")
    rate = parsed.get("sample_rate", "8k")
    if not isinstance(rate, str) or rate not in _RATES_HZ:
        raise FlowFailed('sample_rate is "8k" or "16k"')
    return StreamAction(ws_url, stream_format("l16", _RATES_HZ[rate]), chunk_ms, parsed.get("record") is True)
