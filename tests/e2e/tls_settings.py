# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway that also listens for TLS, with a certificate nobody knows."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.certificate import make_certificate


@contextmanager
def tls_settings(folder: Path) -> Iterator[int]:
    """While it lasts, gateways that are started take SIP over UDP, TCP and TLS; the port of TLS, which was free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    both = str(make_certificate(folder, "localhost"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PARLEY_SIP__TRANSPORTS", "udp,tcp,tls")
        environment.setenv("PARLEY_SIP__TLS_PORT", str(port))
        environment.setenv("PARLEY_SIP__TLS_CERT", both)
        environment.setenv("PARLEY_SIP__TLS_KEY", both)
        yield port
