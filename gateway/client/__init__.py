# SPDX-License-Identifier: GPL-3.0-or-later
"""For programs that use a gateway: its API, its events, and the backend's side of media streams.

ParleyClient (client) > HTTP > gateway
    events (events) > WebSocket, resumed by cursor
serve, attach (backend) > StreamCall (stream_call) > parley.v1

Needs neither pjsua2 nor speech models: it can be imported anywhere.
"""

from gateway.client.backend import Backend, Handler, attach, serve, serving
from gateway.client.errors import (
    ApiError,
    BadAnswer,
    Conflict,
    FarEndRefused,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotReachable,
    ParleyError,
    StreamEnded,
    TooManyRequests,
    Unavailable,
)
from gateway.client.stream_call import MarkState, StreamCall, StreamItem
from gateway.streams.parley_messages import (
    AnsweredMessage,
    AudioFormat,
    ClearedMessage,
    DtmfMessage,
    ErrorMessage,
    SpeechMessage,
    StartMessage,
    TransferMessage,
)

__all__ = [
    "AnsweredMessage",
    "ApiError",
    "AudioFormat",
    "Backend",
    "BadAnswer",
    "ClearedMessage",
    "Conflict",
    "DtmfMessage",
    "ErrorMessage",
    "FarEndRefused",
    "Handler",
    "InvalidRequest",
    "MarkState",
    "NotAllowed",
    "NotFound",
    "NotReachable",
    "ParleyError",
    "SpeechMessage",
    "StartMessage",
    "StreamCall",
    "StreamEnded",
    "StreamItem",
    "TooManyRequests",
    "TransferMessage",
    "Unavailable",
    "attach",
    "serve",
    "serving",
]
