# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a client trusts, and how it shows who it is: models on premises have a certificate authority of their own."""

import ssl

import httpx

from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected


def tls_context(settings: ServiceSettings) -> ssl.SSLContext:
    """The public certificate authorities, or in their place those of `ca_file`; our certificate, if there is one. Reads
    files. Raises `ServiceRejected`: one of them cannot be used."""
    try:
        if settings.ca_file:
            context = ssl.create_default_context(cafile=settings.ca_file)
        else:
            context = httpx.create_ssl_context(trust_env=False)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file or None, _no_password)
    except OSError as error:  # `ssl.SSLError` is one
        raise ServiceRejected(settings.name, f"ca_file, cert_file or key_file: {type(error).__name__}") from error
    return context


def own_tls_context(settings: ServiceSettings) -> ssl.SSLContext | None:
    """The same for WebSockets, where None stands for the system's authorities."""
    return tls_context(settings) if settings.ca_file or settings.cert_file else None


def _no_password() -> str:
    """Never asks at the terminal, as OpenSSL would."""
    return ""
