# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call may do with its leg, whatever carries it: `gateway.sip.endpoint` does it by SIP, `gateway.webrtc.legs`
for browsers."""

from typing import Protocol

from gateway.sip.events import LegQuality
from gateway.sip.info import InfoDigit
from gateway.sip.reason import Reason


class LegControl(Protocol):
    """Every leg has a handle. Who names one that is over gets `NoSuchCall`, where nothing else is said."""

    @property
    def takes_refer(self) -> bool:
        """Far ends can be asked to call somebody else (RFC 3515)."""
        ...

    async def answer(self, handle: str, code: int = 200) -> None:
        """Tell who calls: 180, 183 or 200."""
        ...

    async def hang_up(self, handle: str, code: int = 0, phrase: str = "", reason: Reason | None = None) -> None:
        """End it, or refuse it with this status. Over already is fine."""
        ...

    def refuse(self, handle: str, code: int, reason: Reason | None = None) -> None:
        """`hang_up` that waits for nothing."""

    async def let_go(self, handle: str) -> None:
        """Another gateway has the leg: end it here without a word to the far end. Raises `WrongCallState` for legs
        that cannot move."""
        ...

    async def hold(self, handle: str) -> None: ...

    async def resume(self, handle: str) -> None: ...

    async def quality(self, handle: str) -> LegQuality:
        """Its counts up to now."""
        ...

    async def send_info(self, handle: str, info: InfoDigit) -> int:
        """Send one key by INFO; the far end's final response. Raises `WrongCallState`."""
        ...
