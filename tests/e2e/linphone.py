# SPDX-License-Identifier: GPL-3.0-or-later
"""Linphone as a telephone that does what a test says: Debian's `linphonec`, by its prompt."""

import itertools
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Literal, Self

from media.frames import PcmSamples
from media.resample import resample
from media.tones import tone
from media.wav import read_wav, write_wav
from tests.e2e.baresip import TONE_HZ

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.count(58100 + _WORKER * 1000 + os.getpid() % 40 * 20, 20)
_CODECS = ("opus/48000/2", "speex/16000/1", "speex/8000/1", "PCMU/8000/1", "PCMA/8000/1", "G722/8000/1", "G729/8000/1")
_CONFIG = """
[sip]
sip_port={port}
sip_tcp_port={port}
sip_tls_port={tls_port}
bind_address={address}
guess_hostname=0
use_ipv6=0
ipv6_migration_done=1
contact=sip:qa@{address}
root_ca={trust}
media_encryption={encryption}
media_encryption_mandatory={mandatory}
[net]
dns_srv_enabled=0
[rtp]
audio_rtp_port={rtp_first}-{rtp_last}
"""

_ASKS_FOR_CERTIFICATE = "Password for (null) on (null):"


class Linphone:
    """Started by `with`. What it says is a tone, all the time (`tests.e2e.baresip.share_of_tone`).

    `encryption`: of its audio, and nothing else is accepted. `trust`: PEM of who may sign the certificate of the other
    side, which must be for a name: Linphone's mbed TLS knows no certificates of addresses.
    """

    def __init__(
        self,
        folder: Path,
        *,
        codec: str = "PCMU",
        encryption: Literal["none", "srtp", "dtls"] = "none",
        trust: Path | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._log = folder / "log"
        self._seen = 0
        """So many characters of its output have been looked at."""
        self._refusals = 0
        """So often it was refused a certificate of its own."""
        rtp_port = next(_PORTS)
        port, tls_port = _free_ports(address)
        self.uri = f"sip:qa@{address}:{port}"
        text = _CONFIG.format(
            port=port,
            tls_port=tls_port,
            address=address,
            trust=trust or "",
            encryption=encryption,
            mandatory=int(encryption != "none"),
            rtp_first=rtp_port,
            rtp_last=rtp_port + 18,
        )
        for number, known in enumerate(_CODECS):
            name, rate_hz, channels = known.split("/")
            enabled = int(name == codec)
            text += f"[audio_codec_{number}]\nmime={name}\nrate={rate_hz}\nchannels={channels}\nenabled={enabled}\n"
        (folder / "linphonerc").write_text(text)
        write_wav(folder / "tone.wav", tone((TONE_HZ,), 20_000, 16000, level_dbov=-15.0), 16000)

    def __enter__(self) -> Self:
        # Without this folder there is no database, and without that no socket. Longer lines are not echoed as typed.
        (self.folder / ".local" / "share" / "linphone").mkdir(parents=True, exist_ok=True)
        home = {"HOME": str(self.folder), "PULSE_SERVER": "none", "TERM": "dumb", "COLUMNS": "1000"}
        command = ["linphonec", "-c", str(self.folder / "linphonerc"), "-d", "4", "-l", str(self.folder / "trace")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment() | home, cwd=self.folder
            )
        self.wait("linphonec>")
        self.type("soundcard use files", "Using wav files")
        self.type(f"play {self.folder}/tone.wav")
        self.type(f"record {self.folder}/heard.wav")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        finally:
            self._process.kill()
            self._process.wait()

    def dial(self, uri: str) -> None:
        """Call, and wait until the call stands."""
        self.type(f"call {uri}", "Media streams established")
        self._refuse_certificate(uri)

    def answer(self) -> None:
        """Wait until somebody calls, and pick up."""
        self.wait("Receiving new incoming call")
        self.type("answer", "Media streams established")

    def register(self, user: str, password: str, server: str) -> None:
        """Log in with a registrar (`127.0.0.1:5060;transport=tcp`); see `is_registered`."""
        host = server.partition(":")[0]
        self.type(f"register sip:{user}@{host} sip:{server} {password}")
        self._refuse_certificate(server)

    def is_registered(self) -> bool:
        """Whether it says so itself."""
        return "registered, identity" in self.type("status register", "\nlinphonec>")

    def type(self, line: str, answer: str = "") -> str:
        """Type a line; the output after it, up to and with `answer` if there is one to come."""
        self.write(line)
        return self.wait(line) + (self.wait(answer) if answer else "")

    def wait(self, words: str, timeout_s: float = 10.0) -> str:
        """New output up to and with these words."""
        deadline = time.monotonic() + timeout_s
        while True:
            new = self.log()[self._seen :]
            if self.log().count(_ASKS_FOR_CERTIFICATE) > self._refusals:
                self._refusals += 1
                self.write("none")
            before, found, _ = new.partition(words)
            if found:
                self._seen += len(before) + len(found)
                return before + found
            assert self._process.poll() is None, f"linphonec has ended\n{self.log()}"
            assert time.monotonic() < deadline, f"Linphone: {words} did not come\n{self.log()}"
            time.sleep(0.02)

    def _refuse_certificate(self, uri: str) -> None:
        """By TLS it may be asked for one, and asks for its password; that is none of a test's lines."""
        if uri.endswith("transport=tls") and not self._refusals:
            self.wait(_ASKS_FOR_CERTIFICATE)

    def write(self, line: str) -> None:
        """Type a line, whatever comes of it: the answer to a question."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def heard(self) -> PcmSamples:
        """What came over the wire in the last call, once it is over, at 8 kHz."""
        samples, rate_hz = read_wav(self.folder / "heard.wav")
        return resample(samples, rate_hz, 8000)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def trace(self) -> str:
        """SIP messages, and what Linphone thinks of them."""
        return (self.folder / "trace").read_text(errors="replace")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}


def _free_ports(address: str) -> tuple[int, int]:
    """For UDP and TCP, and for TLS."""
    while True:
        with socket.socket() as tcp, socket.socket() as tls, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((address, 0))
            tls.bind((address, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((address, port))
            except OSError:
                continue
            return port, int(tls.getsockname()[1])
