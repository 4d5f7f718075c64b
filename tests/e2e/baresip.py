# SPDX-License-Identifier: GPL-3.0-or-later
"""baresip as a telephone that does what a test says, by its control socket (module ctrl_tcp: JSON in netstrings)."""

import itertools
import json
import os
import socket
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import Any, Self

import numpy as np

from media.frames import PcmSamples
from media.resample import resample
from media.tones import tone
from media.wav import read_wav, write_wav
from tests.e2e.certificates import Certificate

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.count(50000 + _WORKER * 4000 + os.getpid() % 100 * 30, 30)
_MODULES = ("g711", "g722", "l16", "opus", "aufile", "aubridge", "sndfile", "srtp", "dtls_srtp")
_APPS = ("account", "menu", "ctrl_tcp")
_LOGIN_S = 3
"""For so long it logs in at a time."""
TONE_HZ = 440.0
"""What it says into its microphone, all the time."""


class Baresip:
    """Started by `with`. `account` is appended to its address: `;mediaenc=srtp-mand`, `;audio_codecs=PCMU/8000/1`.

    `trust`: PEM of who may sign the certificate of the other side. `certificate`: its own, to be called by TLS.
    `login`: `user@host:port` of a registrar that it logs in with, its password being in `account` (`;auth_pass=`).
    """

    def __init__(
        self,
        folder: Path,
        account: str = "",
        *,
        trust: Path | None = None,
        certificate: Certificate | None = None,
        rate_hz: int = 8000,
        modules: tuple[str, ...] = (),
        login: str = "",
    ) -> None:
        self.folder = folder
        self._port = next(_PORTS)
        self._events: deque[dict[str, Any]] = deque()
        self._rest = b""
        folder.mkdir(exist_ok=True)
        write_wav(folder / "tone.wav", tone((TONE_HZ,), 20_000, rate_hz, level_dbov=-15.0), rate_hz)
        lines = [
            f"sip_listen 127.0.0.1:{self._port}",
            "net_interface 127.0.0.1",
            f"ctrl_tcp_listen 127.0.0.1:{self._port + 2}",
            f"rtp_ports {self._port + 4}-{self._port + 24}",
            f"audio_source aufile,{folder}/tone.wav",
            "audio_player aubridge,nobody",
            "audio_alert aubridge,alert",
            f"ausrc_srate {rate_hz}",
            f"auplay_srate {rate_hz}",
            "ausrc_channels 1",
            "auplay_channels 1",
            f"snd_path {folder}",
            "module_path /usr/lib/baresip/modules",
            *(f"module {name}.so" for name in (*_MODULES, *modules)),
            *(f"module_app {name}.so" for name in _APPS),
        ]
        if trust is not None:
            lines.append(f"sip_cafile {trust}")
        if certificate is not None:
            (folder / "own.pem").write_text(certificate.chain.read_text() + certificate.key.read_text())
            lines.append(f"sip_certificate {folder}/own.pem")
        (folder / "config").write_text("\n".join(lines) + "\n")
        address = login or f"qa@127.0.0.1:{self._port}"
        (folder / "accounts").write_text(f"<sip:{address}>;regint={_LOGIN_S if login else 0}{account}\n")
        (folder / "contacts").touch()

    def __enter__(self) -> Self:
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["baresip", "-f", str(self.folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                self._control = socket.create_connection(("127.0.0.1", self._port + 2), 1)
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.terminate()
        try:
            self._process.wait(5)
        finally:
            self._process.kill()

    @property
    def uri(self) -> str:
        return f"sip:qa@127.0.0.1:{self._port}"

    @property
    def tls_uri(self) -> str:
        return f"sip:qa@127.0.0.1:{self._port + 1}"

    def dial(self, uri: str) -> None:
        """Call, and wait until the call stands."""
        self.command("dial", uri)
        self.event("CALL_ESTABLISHED")

    def command(self, name: str, parameter: str = "") -> str:
        """Do it; what baresip answers. An `AssertionError` when it refuses."""
        order = json.dumps({"command": name, "params": parameter, "token": name}).encode()
        self._control.sendall(b"%d:%s," % (len(order), order))
        kept: list[dict[str, Any]] = []
        while "response" not in (message := self._next(5.0, name)):
            kept.append(message)
        self._events.extend(kept)
        assert message["ok"], f"{name} {parameter}: {message['data']}\n{self.log()}"
        return str(message["data"])

    def event(self, kind: str, timeout_s: float = 10.0) -> dict[str, Any]:
        """The next event of this kind (`CALL_ESTABLISHED`, `CALL_CLOSED`...); those before it are dropped."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._events.popleft() if self._events else self._next(deadline - time.monotonic(), kind)
            if message.get("type") == kind:
                return message

    def heard(self) -> PcmSamples:
        """What came over the wire in all calls that are over, at 8 kHz."""
        found = [read_wav(path) for path in sorted(self.folder.glob("*dec.wav"))]
        parts = [resample(samples, rate_hz, 8000) for samples, rate_hz in found]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _next(self, timeout_s: float, wanted: str) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while True:
            length, colon, rest = self._rest.partition(b":")
            if colon and len(rest) > int(length):
                self._rest = rest[int(length) + 1 :]
                message: dict[str, Any] = json.loads(rest[: int(length)])
                return message
            self._control.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                received = self._control.recv(65536)
            except TimeoutError:
                raise AssertionError(f"baresip: {wanted} did not come\n{self.log()}") from None
            assert received, self.log()
            self._rest += received


def share_of_tone(samples: PcmSamples, rate_hz: int = 8000, frequency_hz: float = TONE_HZ) -> float:
    """How much of the loud part of the audio is this tone, 0 to 1."""
    loud = samples[np.abs(samples) > 500].astype(np.float64) if len(samples) else samples
    if len(loud) < rate_hz // 2:
        return 0.0
    start = int(np.argmax(np.abs(samples) > 500))
    part = samples[start : start + rate_hz].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
    at = round(frequency_hz * len(part) / rate_hz)
    return float(spectrum[at - 3 : at + 4].sum() / spectrum.sum())
