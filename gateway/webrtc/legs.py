# SPDX-License-Identifier: GPL-3.0-or-later
"""The browsers' legs, as calls see them: `gateway.calls.leg_control.LegControl` over peers."""

import time
from collections.abc import Callable

from gateway.errors import NoSuchCall, TooManyCalls, WrongCallState
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import LegQuality, SipEvent
from gateway.sip.info import InfoDigit
from gateway.sip.reason import Reason
from gateway.webrtc.config import WebRtcConfig
from gateway.webrtc.dtls import Certificate
from gateway.webrtc.ice import IceSettings
from gateway.webrtc.offer import Offer
from gateway.webrtc.peer import Peer
from gateway.webrtc.turn import host_and_port, turn_credentials

_OK = 200


class BrowserLegs:
    """One for the process."""

    takes_refer = False

    def __init__(
        self,
        config: WebRtcConfig,
        endpoint: SipEndpoint,
        post: Callable[[SipEvent], None],
        public_address: Callable[[], str],
        *,
        fec: bool,
    ) -> None:
        """`post` takes the legs' events. `public_address`: ours outside, as it is now; empty: none is known. `fec`:
        whether loss is protected against at all."""
        self._config = config
        self._endpoint = endpoint
        self._post = post
        self._public_address = public_address
        self._fec = fec
        self._certificate = Certificate()
        self._peers: dict[str, Peer] = {}

    def __contains__(self, handle: str) -> bool:
        return handle in self._peers

    def __len__(self) -> int:
        return len(self._peers)

    def peer(self, handle: str) -> Peer:
        """Raises `NoSuchCall`."""
        try:
            return self._peers[handle]
        except KeyError:
            raise NoSuchCall(handle) from None

    async def open(self, handle: str, offer: Offer) -> str:
        """A browser wants to talk: our answer to its offer. `run` has to follow. Raises `TooManyCalls`."""
        if len(self._peers) >= self._config.max_calls:
            raise TooManyCalls(f"{len(self._peers)} browsers are connected: webrtc.max_calls")
        peer = self._peers[handle] = Peer(
            handle,
            offer,
            self._endpoint,
            self._certificate,
            lambda: self._ice_settings(handle),
            self._post,
            fec=self._fec,
            reconnect_s=self._config.reconnect_s,
        )
        try:
            return await peer.open()
        except BaseException:
            del self._peers[handle]
            raise

    async def abandon(self, handle: str) -> None:
        """After `open`, in place of `run`."""
        await self._peers.pop(handle).abandon()

    async def run(self, handle: str) -> None:
        """Its whole life."""
        try:
            await self.peer(handle).run()
        finally:
            del self._peers[handle]

    def _ice_settings(self, handle: str) -> IceSettings:
        config = self._config
        secret = config.turn_secret
        return IceSettings(
            ports=range(config.udp_port_min, config.udp_port_max + 1) if config.udp_port_max else range(0),
            public_address=config.public_address or self._public_address(),
            stun=None if config.stun is None else host_and_port(config.stun),
            turn=None if config.turn is None else host_and_port(config.turn),
            turn_credentials=None
            if secret is None
            else turn_credentials(secret.get_secret_value(), handle, time.time()),
            relay_only=config.relay_only,
        )

    # As calls see it

    async def answer(self, handle: str, code: int = _OK) -> None:
        """Nothing rings in a browser: it has our answer already, and waits. Raises `NoSuchCall`."""
        if code == _OK:
            self.peer(handle).accept()

    async def hang_up(self, handle: str, code: int = 0, phrase: str = "", reason: Reason | None = None) -> None:
        """Over already is fine."""
        self.refuse(handle, code, reason)

    def refuse(self, handle: str, code: int, reason: Reason | None = None) -> None:
        """The same."""
        if handle in self._peers:
            self._peers[handle].end()

    async def let_go(self, handle: str) -> None:
        """The keys are in this process, and nowhere else."""
        raise WrongCallState("a browser's call cannot move to another gateway")

    async def hold(self, handle: str) -> None:
        """Raises `NoSuchCall`."""
        self.peer(handle).hold(True)

    async def resume(self, handle: str) -> None:
        """Raises `NoSuchCall`."""
        self.peer(handle).hold(False)

    async def quality(self, handle: str) -> LegQuality:
        """The leg's counts up to now. Raises `NoSuchCall`."""
        return await self.peer(handle).quality()

    async def send_info(self, handle: str, info: InfoDigit) -> int:
        """Raises `WrongCallState`."""
        raise WrongCallState("a browser takes no INFO: keys go to it as events (RFC 4733)")
