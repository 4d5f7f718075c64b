# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the SIP transports: UDP, TCP and TLS, over IPv4 and IPv6. Endpoint thread only."""

import contextlib
import socket

import pjsua2 as pj

from gateway.errors import StartupError
from gateway.sip.settings import EndpointSettings, TlsSettings, Transport

_IPV4_TYPES: dict[Transport, int] = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}
_IPV6_TYPES: dict[Transport, int] = {
    "udp": pj.PJSIP_TRANSPORT_UDP6,
    "tcp": pj.PJSIP_TRANSPORT_TCP6,
    "tls": pj.PJSIP_TRANSPORT_TLS6,
}
_HANDSHAKE_MS = 10_000
"""A TLS connection that does not get so far is closed; TCP has as long for its first message (config_site.h)."""
_TRIES = 20
_PROTOCOLS = pj.PJ_SSL_SOCK_PROTO_TLS1_2 | pj.PJ_SSL_SOCK_PROTO_TLS1_3


class SipTransports:
    """What we listen on."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self.ports: dict[Transport, int] = {}
        """Where we listen, by IPv4 if we do."""
        self._tls_ports: dict[str, int] = {}
        """By the address it is bound to."""

    def open(self, endpoint: pj.Endpoint) -> str:
        """Open all; `host:port` of the first. Raises `StartupError`."""
        settings = self._settings
        pj.limit_connections(settings.connections_per_address)
        first, chosen = "", settings.port or _free_port(settings.bind)
        for address, types in ((settings.bind, _IPV4_TYPES), (settings.bind6, _IPV6_TYPES)):
            for name in settings.transports if address else ():
                port = settings.tls_port if name == "tls" else chosen or _port_of(first)
                bound = self._open(endpoint, name, types[name], address, port)
                first = first or bound
        return first

    def reload_tls(self) -> None:
        """Read the certificate, the key and the authorities anew; calls that stand do not notice. Raises
        `StartupError` when PJSIP cannot."""
        tls = self._settings.tls
        for address, port in self._tls_ports.items():
            status = pj.reload_tls(
                address,
                port,
                tls.certificate,
                tls.key,
                tls.authorities,
                tls.verify_servers,
                tls.ask_clients,
                _HANDSHAKE_MS,
            )
            if status != pj.PJ_SUCCESS:
                raise StartupError(f"TLS on port {port} cannot be reopened (PJSIP status {status})")

    def _open(self, endpoint: pj.Endpoint, name: Transport, kind: int, address: str, port: int) -> str:
        config = pj.TransportConfig()
        config.port = port
        config.boundAddress = "" if address in ("0.0.0.0", "::") else address
        if ":" not in address:
            config.publicAddress = self._settings.public_address
        if name == "tls":
            _secure(config.tlsConfig, self._settings.tls)
        try:
            number = endpoint.transportCreate(kind, config)
        except pj.Error as fault:
            raise StartupError(
                f"SIP port {port}/{name} on {address} cannot be opened: {fault.reason}. "
                f"Another program may have it (ss -lunpt | grep {port}); set sip.port or PARLEY_SIP__PORT."
            ) from fault
        bound = str(endpoint.transportGetInfo(number).localName)
        self.ports.setdefault(name, _port_of(bound))
        if name == "tls":
            self._tls_ports[address] = _port_of(bound)
        return bound


def _secure(config: pj.TlsConfig, tls: TlsSettings) -> None:
    config.certFile = tls.certificate
    config.privKeyFile = tls.key
    config.CaListFile = tls.authorities
    config.proto = _PROTOCOLS
    config.verifyServer = tls.verify_servers
    config.verifyClient = config.requireClientCert = tls.ask_clients
    config.msecTimeout = _HANDSHAKE_MS


def _free_port(address: str) -> int:
    """One that nobody has for UDP nor for TCP; 0 when the system has none to give."""
    for _ in range(_TRIES):
        with (
            contextlib.suppress(OSError),
            socket.socket(type=socket.SOCK_DGRAM) as udp,
            socket.socket() as tcp,
        ):
            udp.bind((address, 0))
            port: int = udp.getsockname()[1]
            tcp.bind((address, port))
            return port
    return 0


def _port_of(address: str) -> int:
    return int(address.rpartition(":")[2] or 0)
