# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway: SIP calls in and out, the HTTP API, the store, and the shells that join calls to agents.

sip > calls > (media, agent) > store, telemetry; api and cli command it
"""

__all__: list[str] = []
