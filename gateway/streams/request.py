# SPDX-License-Identifier: GPL-3.0-or-later
"""Stream orders from what people write: a request's body, a route of the configuration."""

from gateway.api import orders
from gateway.calls.route import RouteConfig
from gateway.streams.order import Fallback, StreamOrder
from gateway.streams.protocols import chosen_format, chosen_tracks


def order_of_request(body: orders.StreamOrder, *, gives_back: bool) -> StreamOrder:
    """`gives_back`: there is somebody to give the call back to. Raises `BadStreamOrder`."""
    return StreamOrder(
        url=body.stream_url or "",
        protocol=body.protocol,
        format=chosen_format(body.protocol, body.codec, body.sample_rate),
        direction=body.direction,
        tracks=chosen_tracks(body.protocol, body.track),
        metadata=dict(body.metadata),
        token=body.token or "",
        on_end=body.on_end or ("return" if gives_back else "hangup"),
        fallback=Fallback.parse(body.fallback),
        wants=frozenset(body.events),
        options=dict(body.options),
    )


def order_of_route(route: RouteConfig) -> StreamOrder:
    """Of a route with action `stream`."""
    protocol = route.protocol or "parley"
    return StreamOrder(
        url=route.stream_url or "",
        protocol=protocol,
        format=chosen_format(protocol, route.codec, route.sample_rate),
        direction=route.direction or "bidirectional",
        tracks=chosen_tracks(protocol, route.track),
        token="" if route.token is None else route.token.get_secret_value(),
        fallback=Fallback.parse(route.fallback),
        wants=frozenset(route.events),
        options=dict(route.options),
    )
