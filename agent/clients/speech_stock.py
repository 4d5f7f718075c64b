# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to a speech synthesis service, ready before a clause needs one.

    SpeechStock.take > a connection with room (SpeechConnection.say > leave) > back in the stock
              when none has room any more, one more is opened beside the conversation

A connection that a service has closed is replaced as long as the voice is in use; after `_IN_USE_S` without a clause
the next `warm`, or the next clause, opens one.
"""

import asyncio
import itertools
import random
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from agent.clients.faults import ConnectionLost
from agent.clients.link import Link
from agent.clients.tts_dialect import Answer, Broken, Said, Sound, TtsDialect, TtsNews
from agent.errors import ServiceError, ServiceUnavailable
from agent.services.tts import SpeechStyle
from agent.websocket import WireMessage
from media.frames import PcmSamples

log = structlog.get_logger(__name__)

_MAX_CONNECTIONS = 256
"""For one voice and rate. A clause that finds all of them busy fails, which a chain of services goes on from."""
_IDLE_S = 60.0
"""Of connections that have room, all but one are closed after so long without a clause."""
_IN_USE_S = 600.0
_MAX_DELAY_S = 30.0
_SHORT_LIFE_S = 5.0
"""A connection that ends so soon and has brought nothing counts as one that could not be opened."""
_CANCELLED_S = 5.0
"""So long a service may take to confirm that an utterance is over that nobody wants."""
_SUSPECT_S = 1.0
"""A connection that says nothing for so long after a clause was given up is not used again: it may be dead."""
_MINUTE_S = 60.0


class Listener(Protocol):
    """Whoever wants an utterance's sound."""

    def receive(self, samples: PcmSamples, sample_rate_hz: int) -> None: ...

    def end(self, error: ServiceError | None = None) -> None: ...


class SpeechConnection:
    """One connection, with the utterances that are on it."""

    _names = itertools.count(1)

    def __init__(
        self,
        service: str,
        dialect: TtsDialect,
        on_change: Callable[["SpeechConnection"], None],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._service = service
        self._tls = tls
        self._dialect = dialect
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._listeners: dict[str, Listener] = {}
        self._cancelled: dict[str, asyncio.TimerHandle] = {}
        """Utterances that nobody wants and that are not over."""
        self._begun: deque[float] = deque(maxlen=dialect.max_utterances_a_minute or 1)
        self._heard_at = self._loop.time()
        self._said_at = 0.0
        self.opened_at = self._loop.time()
        self.used_at = self.opened_at
        self.has_brought = False
        """Something came over it."""
        self.is_over = False

    async def open(self) -> None:
        """Raises `ServiceError`."""
        self._link = await Link.connect(self._service, self._dialect, self._receive, self._end, tls=self._tls)

    @property
    def sample_rate_hz(self) -> int:
        return self._dialect.sample_rate_hz

    @property
    def utterances(self) -> int:
        return len(self._listeners) + len(self._cancelled)

    @property
    def has_room(self) -> bool:
        """Another utterance could begin now."""
        if self.is_over or self.utterances >= self._dialect.max_utterances:
            return False
        limit = self._dialect.max_utterances_a_minute
        return not limit or len(self._begun) < limit or self._loop.time() > self._begun[0] + _MINUTE_S

    def say(self, listener: Listener, text: str, style: SpeechStyle) -> SpeechStyle:
        """Begin an utterance; return what of the style the service does. To be ended with `leave`."""
        name = f"clause-{next(self._names)}"
        messages, done = self._dialect.say(name, text, style)
        self._listeners[name] = listener
        self._said_at = self.used_at = self._loop.time()
        self._begun.append(self._said_at)
        self._send(messages)
        self._on_change(self)
        return done

    def leave(self, listener: Listener, *, is_suspect: bool) -> None:
        """The listener wants no more. `is_suspect`: it has waited and got nothing."""
        name = next((name for name, one in self._listeners.items() if one is listener), None)
        if name is None or self.is_over:
            return
        del self._listeners[name]
        waited_s = self._loop.time() - max(self._said_at, self._heard_at)
        cancelling = self._dialect.cancel(name)
        if cancelling is None or (is_suspect and waited_s > _SUSPECT_S):
            self.abort()
            return
        self._cancelled[name] = self._loop.call_later(_CANCELLED_S, self._forget, name)
        self._send(cancelling)

    def close(self) -> None:
        """In good order."""
        if self._link is not None and not self.is_over:
            self._link.close()
        self._end(None)

    def abort(self) -> None:
        if self._link is not None and not self.is_over:
            self._link.abort()
        self._end(None)

    def _send(self, messages: Sequence[WireMessage]) -> None:
        if self._link is not None:
            self._link.send(messages)

    def _receive(self, message: WireMessage) -> None:
        self._heard_at = self._loop.time()
        self.has_brought = True
        for news in self._dialect.receive(message):
            self._take(news)

    def _take(self, news: TtsNews) -> None:
        match news:
            case Sound(name, samples):
                if (listener := self._listeners.get(name)) is not None:
                    listener.receive(samples, self._dialect.sample_rate_hz)
            case Said(name):
                self._finish(name, None)
            case Broken("", error):
                self._end(error)
            case Broken(name, error):
                self._finish(name, error)
            case Answer(messages):
                self._send(messages)

    def _finish(self, name: str, error: ServiceError | None) -> None:
        if (timer := self._cancelled.pop(name, None)) is not None:
            timer.cancel()
        elif (listener := self._listeners.pop(name, None)) is not None:
            listener.end(error)
        else:
            return
        self._on_change(self)

    def _forget(self, name: str) -> None:
        """The service does not say that it is over."""
        self._cancelled.pop(name, None)
        if self._dialect.max_utterances == 1:
            self.abort()  # whatever comes yet could be taken for the next one's
        else:
            self._on_change(self)

    def _end(self, error: ServiceError | None) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._link is not None and error is not None:
            self._link.abort()
        for timer in self._cancelled.values():
            timer.cancel()
        self._cancelled.clear()
        listeners, self._listeners = self._listeners, {}
        for listener in listeners.values():
            listener.end(error or ServiceUnavailable(self._service, "the connection was closed"))
        self._on_change(self)


class SpeechStock:
    """Connections for one voice and rate, shared by all calls."""

    def __init__(
        self, service: str, make_dialect: Callable[[], TtsDialect], *, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls`: whom to trust, if not the system's authorities."""
        self._service = service
        self._tls = tls
        self._make_dialect = make_dialect
        self._room_of_each = make_dialect().max_utterances
        self._connections: list[SpeechConnection] = []
        self._opening: set[asyncio.Task[ServiceError | None]] = set()
        self._waiting = 0
        """Clauses without a connection."""
        self._failures = 0
        self._retry: asyncio.TimerHandle | None = None
        self._wanted_until = 0.0
        self._is_closed = False

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def warm(self) -> None:
        """Have one with room. Cheap when there is. Logs what is wrong, raises nothing."""
        self._want()
        if self._with_room() is None and not self._is_closed:
            await asyncio.shield(next(iter(self._opening), None) or self._open())

    async def take(self) -> SpeechConnection:
        """One with room, opened if need be: `say` something over it at once. Raises `ServiceError`."""
        self._want()
        while (connection := self._with_room()) is None:
            if self._is_closed:
                raise ServiceUnavailable(self._service, "is closed")
            if len(self._connections) >= _MAX_CONNECTIONS:
                raise ServiceUnavailable(self._service, "has too many connections that are all busy")
            self._waiting += 1
            try:
                is_enough = len(self._opening) * self._room_of_each >= self._waiting
                opening = next(iter(self._opening)) if is_enough else None
                # Shielded: a clause that is given up does not take the connection of the next one with it.
                error = await asyncio.shield(opening or self._open())
            finally:
                self._waiting -= 1
            if error is not None and self._with_room() is None:
                raise error
        return connection

    async def aclose(self) -> None:
        self._is_closed = True
        if self._retry is not None:
            self._retry.cancel()
        for opening in list(self._opening):
            opening.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._connections):
            connection.close()

    def _want(self) -> None:
        self._wanted_until = asyncio.get_running_loop().time() + _IN_USE_S

    def _with_room(self) -> SpeechConnection | None:
        """The one that was used last, so that the others can be given up."""
        free = [connection for connection in self._connections if connection.has_room]
        return max(free, key=lambda connection: (-connection.utterances, connection.used_at), default=None)

    def _open(self) -> asyncio.Task[ServiceError | None]:
        task = asyncio.get_running_loop().create_task(self._connect(), name=f"{self._service}: a connection for speech")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return task

    async def _connect(self) -> ServiceError | None:
        connection = SpeechConnection(self._service, self._make_dialect(), self._changed, self._tls)
        try:
            await connection.open()
        except ServiceError as error:
            log.warning("service_not_ready", service=error.service, detail=error.detail)
            self._failed()
            return error
        if self._is_closed:
            connection.close()
            return None
        if connection.is_over:
            self._failed()
            return ConnectionLost(self._service, "closes its connections at once")
        self._connections.append(connection)
        return None

    def _changed(self, connection: SpeechConnection) -> None:
        """An utterance has begun or is over, or the connection is."""
        now = asyncio.get_running_loop().time()
        if connection.is_over and connection in self._connections:
            self._connections.remove(connection)
            if not connection.has_brought and now < connection.opened_at + _SHORT_LIFE_S:
                self._failed()
                return
        elif connection.has_brought:
            self._failures = 0
        free = [one for one in self._connections if one.has_room]
        for idle in [one for one in free if not one.utterances and now > one.used_at + _IDLE_S][: len(free) - 1]:
            idle.close()
        self._maybe_refill()

    def _failed(self) -> None:
        self._failures += 1
        delay_s = min(_MAX_DELAY_S, 0.5 * 2**self._failures) * random.uniform(0.5, 1.0)
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(delay_s, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._maybe_refill()

    def _maybe_refill(self) -> None:
        """Open one beside the conversation, when none has room and the voice is in use."""
        is_wanted = asyncio.get_running_loop().time() < self._wanted_until
        if (
            is_wanted
            and not self._is_closed
            and not self._opening
            and self._retry is None
            and len(self._connections) < _MAX_CONNECTIONS
            and self._with_room() is None
        ):
            self._open()
