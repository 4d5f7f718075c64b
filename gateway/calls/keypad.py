# SPDX-License-Identifier: GPL-3.0-or-later
"""One leg's telephone keys: those its far end presses, each told once, and those we press there."""

import asyncio
import time
from collections.abc import Callable, Coroutine

import structlog

from gateway.calls.leg_control import LegControl
from gateway.errors import CallError, CallRefused, WrongCallState
from gateway.sip.events import DigitReceived
from gateway.sip.info import InfoDigit
from media.keys import (
    KEY_GAP_MS,
    KEY_MS,
    KeyHeard,
    KeyMethod,
    KeyPressed,
    KeyPresses,
    check_dialled,
    check_key_ms,
    pause_ms,
)
from media.ports import CallAudio

log = structlog.get_logger(__name__)

_MOST_PASSED_ON = 32
"""Keys of the other end of a bridge that wait to be sent by INFO."""


class Keypad:
    """Give it what the leg's audio and signalling hear; `on_press` is told each digit."""

    def __init__(self, call_id: str, legs: LegControl, on_press: Callable[[str], None]) -> None:
        self._call_id = call_id
        self._legs = legs
        self._on_press = on_press
        self.usual: KeyMethod | None = None
        """How keys are pressed when whoever does so does not say. None: by events, or as tones."""
        self.spawn: Callable[[Coroutine[object, object, None]], object] | None = None
        """Runs what takes its time, as long as the call is attended."""
        self._passing_on = 0
        self._presses = KeyPresses()
        self._info_turn = asyncio.Lock()
        """INFOs go one after another: RFC 3261 keeps no order among requests under way together."""

    def receive_key(self, key: KeyHeard) -> None:
        """Take a key that was heard in the media."""
        if not isinstance(key, KeyPressed):
            self._presses.receive_release(key.digit, key.method, key.at)
        elif self._presses.receive(key.digit, key.method, key.at):
            self._on_press(key.digit)

    def receive_info(self, event: DigitReceived) -> None:
        """Take a key that an INFO told of."""
        if self._presses.receive(event.digit, KeyMethod.INFO, time.monotonic(), event.duration_ms):
            self._on_press(event.digit)

    async def dial(
        self,
        audio: CallAudio,
        keys: str,
        method: KeyMethod | None = None,
        *,
        duration_ms: int = KEY_MS,
        secret: bool = False,
    ) -> None:
        """Press keys (`media.keys.check_dialled`) one after another: in the media, queued, when this returns; by INFO,
        answered. By default as is `usual`: as RFC 4733 events if the far end takes these, and else as tones.

        Raises `MediaMisuse` for what cannot be dialled, `WrongCallState` for a method that the far end does not take
        and for too many keys waiting, `CallRefused` when it declines an INFO.
        """
        check_dialled(keys)
        check_key_ms(duration_ms)
        method = method or self.usual
        if method is KeyMethod.INFO:
            await self._send_infos(keys, duration_ms)
        elif method is KeyMethod.RFC4733 and not audio.takes_events:
            raise WrongCallState("the far end takes no telephone-event (RFC 4733): dial by info, inband or auto")
        elif not audio.dial(keys, method, duration_ms=duration_ms, secret=secret):
            raise WrongCallState("too many keys are waiting to be sent already")

    def pass_on(self, audio: CallAudio, key: str, *, secret: bool) -> bool:
        """Press a key here that the other end of a bridge has pressed; False: too many are waiting."""
        if self.usual is not KeyMethod.INFO or self.spawn is None:
            method = None if self.usual is KeyMethod.INFO else self.usual
            return audio.dial(key, method, duration_ms=KEY_MS, secret=secret)
        if self._passing_on >= _MOST_PASSED_ON:
            return False
        self._passing_on += 1
        self.spawn(self._pass_on_by_info(key))
        return True

    async def _pass_on_by_info(self, key: str) -> None:
        try:
            await self._send_infos(key, KEY_MS)
        except CallError as fault:  # the call is over, or its far end declines: nobody waits for this key
            log.warning("key_not_passed_on", call_id=self._call_id, cause=type(fault).__name__)
        finally:
            self._passing_on -= 1

    async def _send_infos(self, keys: str, duration_ms: int) -> None:
        async with self._info_turn:
            for index, key in enumerate(keys):
                if index > 0:
                    await asyncio.sleep((pause_ms(keys[index - 1]) or duration_ms + KEY_GAP_MS) / 1000)
                if pause_ms(key):
                    continue
                code = await self._legs.send_info(self._call_id, InfoDigit(key, duration_ms))
                if code >= 300:
                    raise CallRefused(code, "to an INFO with a key")
