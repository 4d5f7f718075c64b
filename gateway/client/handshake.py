# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets to the gateway, and what its refusals mean."""

from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from gateway.client.errors import BadAnswer, NotReachable, api_error

MAX_MESSAGE_BYTES = 1 << 20
"""Nobody sends longer ones."""
CLOSE_WAIT_S = 2.0
_OPEN_WAIT_S = 10.0


async def open_websocket(
    base_url: str, path: str, *, api_key: str | None = None, subprotocol: str | None = None
) -> ClientConnection:
    """A connection to this path of the gateway at `base_url` (`http://127.0.0.1:8080`).

    Raises `NotReachable`, `ApiError`, `BadAnswer`; no message repeats the path, which may hold a token.
    """
    parts = urlsplit(base_url)
    address = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{parts.path.rstrip('/')}"
    try:
        return await connect(
            address + path,
            additional_headers={} if api_key is None else {"Authorization": f"Bearer {api_key}"},
            subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=_OPEN_WAIT_S,
            close_timeout=CLOSE_WAIT_S,
        )
    except InvalidStatus as refusal:
        answer = refusal.response
        raise api_error(answer.status_code, bytes(answer.body or b""), answer.headers) from None
    except (OSError, TimeoutError) as error:
        raise NotReachable(f"no gateway answers at {address}: {error or type(error).__name__}") from error
    except (InvalidHandshake, InvalidURI) as error:
        raise BadAnswer(f"{address} is no gateway: {type(error).__name__}") from None
