# SPDX-License-Identifier: GPL-3.0-or-later
"""For programs that use a gateway: its API, its events, and the backend's side of media streams.

ParleyClient (client), its campaigns (campaigns) > HTTP (http) > gateway
    events (events) > WebSocket, resumed by cursor
serve, attach (backend) > StreamCall (stream_call) > parley.v1

Needs neither pjsua2 nor speech models: it can be imported anywhere.
"""

from gateway.client.backend import Backend, Handler, attach, serve, serving
from gateway.client.campaigns import BarredNumber, CampaignInfo, CampaignProgress, Campaigns, ListReport, RowProblem
from gateway.client.client import ParleyClient
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
from gateway.client.events import EventFeed
from gateway.client.models import (
    BridgeInfo,
    CallerMemory,
    CallInfo,
    EventInfo,
    EventPage,
    FlowOrder,
    IssuedToken,
    Playback,
    PlayOrder,
    Quality,
    SessionPage,
    SessionRecord,
    SessionSignalling,
    SessionSummary,
    SipMessageRecord,
    SipStep,
    Stopped,
    StreamInfo,
    StreamOrder,
    TranscriptEntry,
    TurnRecord,
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
    "BarredNumber",
    "BridgeInfo",
    "CallInfo",
    "CallerMemory",
    "CampaignInfo",
    "CampaignProgress",
    "Campaigns",
    "ClearedMessage",
    "Conflict",
    "DtmfMessage",
    "ErrorMessage",
    "EventFeed",
    "EventInfo",
    "EventPage",
    "FarEndRefused",
    "FlowOrder",
    "Handler",
    "InvalidRequest",
    "IssuedToken",
    "ListReport",
    "MarkState",
    "NotAllowed",
    "NotFound",
    "NotReachable",
    "ParleyClient",
    "ParleyError",
    "PlayOrder",
    "Playback",
    "Quality",
    "RowProblem",
    "SessionPage",
    "SessionRecord",
    "SessionSignalling",
    "SessionSummary",
    "SipMessageRecord",
    "SipStep",
    "SpeechMessage",
    "StartMessage",
    "Stopped",
    "StreamCall",
    "StreamEnded",
    "StreamInfo",
    "StreamItem",
    "StreamOrder",
    "TooManyRequests",
    "TranscriptEntry",
    "TransferMessage",
    "TurnRecord",
    "Unavailable",
    "attach",
    "serve",
    "serving",
]
