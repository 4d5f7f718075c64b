# SPDX-License-Identifier: GPL-3.0-or-later
"""A raw caller that hums: it sends one frequency and tells which ones it hears."""

import re
import socket
import threading
import time
from types import TracebackType
from typing import Self

import numpy as np

from media.frames import PcmSamples
from tests.e2e.raw_caller import RawCaller
from tests.mulaw import from_mu_law, mu_law

_PCMU = "RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16"
_L16 = "RTP/AVP 97\r\na=rtpmap:97 L16/16000"
_FRAME_S = 0.02
_LISTEN_S = 0.4


class Talker(RawCaller):
    """Speaks mu-law at 8 kHz, or L16 at 16 kHz, from when its call is answered; one frame every 20 ms."""

    def __init__(self, port: int, hz: float, rate_hz: int = 8000, *, sip_port: int = 0) -> None:
        super().__init__(port)
        if sip_port:
            self.sip.close()
            self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sip.bind(("127.0.0.1", sip_port))
        self.hz = hz
        self.rate_hz = rate_hz
        self.media = _PCMU if rate_hz == 8000 else _L16
        self.events = 0
        """RTP packets with a telephone-event that came."""
        self._heard: PcmSamples = np.zeros(0, np.int16)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        super().__exit__(kind, error, trace)

    def hears(self, hz: float) -> bool:
        """Whether this frequency is loud in what came last."""
        return self.level(hz) > 2000

    def is_deaf_to(self, hz: float) -> bool:
        return self.level(hz) < 300

    def level(self, hz: float) -> float:
        """Amplitude of this frequency in the last 0.4 s."""
        with self._lock:
            heard = self._heard.astype(float)
        if len(heard) < _LISTEN_S * self.rate_hz:
            return 0.0
        return float(2 * abs(np.exp(np.arange(len(heard)) * 2j * np.pi * hz / self.rate_hz) @ heard) / len(heard))

    def agree(self, direction: str) -> None:
        """Answer the re-INVITE that comes: audio in this direction from now on."""
        invite = self.request("INVITE")
        copied = "".join(re.findall(r"(?im)^(?:Via|From|To|Call-ID|CSeq|Record-Route)\s*:.*?\r\n", invite))
        body = f"{self.offer(self.media)}a={direction}\r\n"
        self.send_bytes(
            (
                f"SIP/2.0 200 OK\r\n{copied}Contact: <sip:raw@127.0.0.1:{self.sip.getsockname()[1]}>\r\n"
                f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            ).encode()
        )
        self.request("ACK")

    def press(self, key: int) -> None:
        """One key as an event of RFC 4733: three packets of it, three of its end."""
        for index in range(6):
            end = 0x80 if index >= 3 else 0
            self.speak(bytes([key, end | 10, 0, min(index + 1, 4) * 160 & 0xFF]), 101, 1)

    def _run(self) -> None:
        step = round(_FRAME_S * self.rate_hz)
        sent, due = 0, time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due += _FRAME_S
            if self.remote_rtp is None:
                continue
            samples = 8000 * np.sin(np.arange(sent, sent + step) * 2 * np.pi * self.hz / self.rate_hz)
            sent += step
            if self.rate_hz == 8000:
                self.speak(mu_law(samples.astype(np.int16)), 0)
            else:
                self.speak(samples.astype(">i2").tobytes(), 97, step)
            self._listen()

    def _listen(self) -> None:
        for _, packet in self.packets():
            if packet[1] & 0x7F == 101:
                self.events += 1
                continue
            payload = packet[12:]
            pcm = from_mu_law(payload) if self.rate_hz == 8000 else np.frombuffer(payload, ">i2").astype(np.int16)
            with self._lock:
                self._heard = np.concatenate([self._heard, pcm])[-round(_LISTEN_S * self.rate_hz) :]
