# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP API: JSON under /api/v1 with a bearer key, health and metrics beside it, errors as problem documents.

socket > server (uvicorn) > auth (key?) > limits (size?) > app > calls, sessions, health
calls > control (Protocol) < the call hub implements it; sessions > gateway.store
"""

from gateway.api.app import BASE_PATH, create_app
from gateway.api.auth import api_keys, known_api_key
from gateway.api.control import CallControl, CallInfo, CallStateName
from gateway.api.server import address_of, bind_http, serving

__all__ = [
    "BASE_PATH",
    "CallControl",
    "CallInfo",
    "CallStateName",
    "address_of",
    "api_keys",
    "bind_http",
    "create_app",
    "known_api_key",
    "serving",
]
