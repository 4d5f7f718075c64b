# SPDX-License-Identifier: GPL-3.0-or-later
"""DTLS with a browser (RFC 8827) and the SRTP keys that come of it, by aiortc; packets go past its receivers."""

from collections.abc import Callable, Sequence
from typing import cast

import pylibsrtp
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, State
from aiortc.rtcicetransport import RTCIceTransport

from gateway.webrtc.ice import IcePath
from gateway.webrtc.offer import Fingerprint

_FIRST_RTCP, _LAST_RTCP = 192, 223
"""Packet types of RTCP where RTP has its marker and payload type (RFC 5761 section 4)."""


class Certificate:
    """Ours, made anew with each start."""

    def __init__(self) -> None:
        self.certificate = RTCCertificate.generateCertificate()
        prints = self.certificate.getFingerprints()
        self.fingerprint = next(one.value for one in prints if one.algorithm == "sha-256")
        """SHA-256, as SDP has it."""


class DtlsLink:
    """Handshake, then packets both ways."""

    def __init__(self, path: IcePath, certificate: Certificate, on_gone: Callable[[], None]) -> None:
        """`on_gone`: the browser has taken leave, or its way is lost for good."""
        self._path = path
        self._transport = RTCDtlsTransport(cast(RTCIceTransport, path), [certificate.certificate])
        self._on_gone = on_gone
        self.refused = 0
        """Packets that no key opened: forged, or sent twice."""

    async def connect(self, theirs: Sequence[Fingerprint], *, we_begin: bool) -> None:
        """The handshake. Raises `ConnectionError` when it fails, or the certificate is another one than was said."""
        self._transport._set_role("client" if we_begin else "server")
        prints = [RTCDtlsFingerprint(one.algorithm, one.value) for one in theirs]
        await self._transport.start(RTCDtlsParameters(prints))
        if self._transport._state is not State.CONNECTED:
            raise ConnectionError("the DTLS handshake failed")
        self._transport.on("statechange", self._changed)

    def unprotect(self, packet: bytes) -> bytes | None:
        """The RTP or RTCP in it; None: it is not the browser's."""
        session = self._transport._rx_srtp
        if session is None:
            return None
        try:
            return session.unprotect_rtcp(packet) if is_rtcp(packet) else session.unprotect(packet)
        except pylibsrtp.Error:
            self.refused += 1
            return None

    def send(self, packet: bytes) -> None:
        """Encrypt RTP or RTCP, and send it."""
        session = self._transport._tx_srtp
        if session is not None:
            self._path.transmit(session.protect_rtcp(packet) if is_rtcp(packet) else session.protect(packet))

    async def close(self) -> None:
        """Take leave."""
        self._transport.remove_all_listeners("statechange")
        await self._transport.stop()

    def _changed(self) -> None:
        if self._transport._state in (State.CLOSED, State.FAILED):
            self._on_gone()


def is_rtcp(packet: bytes) -> bool:
    """Whether a packet of one port is RTCP, encrypted or not."""
    return len(packet) > 1 and _FIRST_RTCP <= packet[1] <= _LAST_RTCP
