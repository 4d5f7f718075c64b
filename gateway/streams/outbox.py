# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes to the backend, in order, and what happens when it reads too slowly. Sync and clockless.

While the connection is congested, messages wait here: two seconds of audio, then the oldest give way and are counted.
Control is never dropped; a backend that lets too much of it pile up, or reads nothing for too long, is given up.
"""

from collections import deque

from gateway.streams.connection import Connection
from gateway.streams.messages import WireMessage

MAX_AUDIO_MESSAGES = 100
"""Two seconds of 20 ms."""
MAX_CONTROL_MESSAGES = 2000


class Outbox:
    """One stream's, over all its connections."""

    def __init__(self) -> None:
        self.dropped_messages = 0
        """Audio that gave way, since the stream began."""
        self.congested_since: float | None = None
        self._connection: Connection | None = None
        self._waiting: deque[tuple[bool, WireMessage]] = deque()
        self._waiting_audio = 0

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @property
    def is_overrun(self) -> bool:
        """So much control waits that the backend has to be given up."""
        return len(self._waiting) - self._waiting_audio > MAX_CONTROL_MESSAGES

    def open(self, connection: Connection) -> None:
        self._connection = connection

    def close(self) -> None:
        """The connection is gone, and with it what waited."""
        self._connection = None
        self.congested_since = None
        self._waiting.clear()
        self._waiting_audio = 0

    def send_audio(self, message: WireMessage) -> None:
        """Live audio: without a connection it is nobody's."""
        if self._connection is None:
            return
        if self.congested_since is None:
            self._connection.write(message)
            return
        if self._waiting_audio >= MAX_AUDIO_MESSAGES:
            self._drop_oldest_audio()
        self._waiting.append((True, message))
        self._waiting_audio += 1

    def send(self, message: WireMessage) -> None:
        """Control."""
        if self._connection is None:
            return
        if self.congested_since is None:
            self._connection.write(message)
        elif not self.is_overrun:
            self._waiting.append((False, message))

    def congest(self, now: float) -> None:
        """The connection takes no more for now."""
        if self.congested_since is None:
            self.congested_since = now

    def relieve(self) -> None:
        """It does again."""
        self.congested_since = None
        while self._waiting and self._connection is not None and self.congested_since is None:
            is_audio, message = self._waiting.popleft()
            self._waiting_audio -= is_audio
            self._connection.write(message)

    def _drop_oldest_audio(self) -> None:
        for index, (is_audio, _) in enumerate(self._waiting):
            if is_audio:
                del self._waiting[index]
                self._waiting_audio -= 1
                self.dropped_messages += 1
                return
