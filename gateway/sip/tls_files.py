# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices that the certificate was renewed, and has it taken up when it is whole."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from gateway.errors import StartupError, WrongCallState

log = structlog.get_logger(__name__)

_LOOK_S = 5.0
_Stamp = tuple[tuple[int, int, int], ...]


def problem_with(certificate: Path, key: Path, authorities: Path | None) -> str | None:
    """Why TLS could not work with these files; None: it can. Reads them."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as fault:
        return f"{certificate} and {key} are no certificate with its key: {fault}"
    if authorities is None:
        return None
    try:
        context.load_verify_locations(authorities)
    except (OSError, ssl.SSLError) as fault:
        return f"{authorities} holds no certificate: {fault}"
    return None


class TlsFiles:
    """The files of `sip.tls_cert`, `tls_key` and `tls_ca`."""

    def __init__(
        self, certificate: Path, key: Path, authorities: Path | None, reload: Callable[[], Awaitable[None]]
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._authorities = authorities
        self._reload = reload
        self._stamp = self._look()

    async def follow(self) -> None:
        """Look every five seconds; until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            stamp = self._look()
            if stamp == self._stamp:
                continue
            await asyncio.sleep(_LOOK_S / 5)  # a key that is being written beside its certificate
            if self._look() == stamp:
                self._stamp = stamp
                await self.renew()

    async def renew(self) -> None:
        """Take the files up as they are now; with a fault in them the old ones stay in force."""
        stamp = self._look()
        problem = await asyncio.to_thread(problem_with, self._certificate, self._key, self._authorities)
        if problem is not None:
            log.error("tls_not_renewed", problem=problem)
            self._stamp = stamp
            return
        try:
            await self._reload()
        except (StartupError, WrongCallState) as fault:  # the port, for example, in somebody else's hands
            log.error("tls_not_renewed", problem=str(fault))
            self._stamp = None  # as if the files had changed once more
            return
        self._stamp = stamp
        log.info("tls_renewed", certificate=str(self._certificate))

    def _look(self) -> _Stamp | None:
        files = [self._certificate, self._key, *([] if self._authorities is None else [self._authorities])]
        try:
            found = [os.stat(file) for file in files]
        except OSError:
            return None  # in the middle of being replaced
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)


def _no_password() -> str:
    """Instead of a question on the terminal."""
    raise ValueError("the key is encrypted; Parley needs it in clear")
