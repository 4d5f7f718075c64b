# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway tells its operator: log lines, metrics, and how late its event loop is.

structlog and logging > logs > queue > standard error (one thread)
calls, agents, store > metrics > GET /metrics
"""

from gateway.telemetry.latency import LagMeter, watch_event_loop
from gateway.telemetry.logs import configure_logging
from gateway.telemetry.metrics import Metrics

__all__ = ["LagMeter", "Metrics", "configure_logging", "watch_event_loop"]
