# SPDX-License-Identifier: GPL-3.0-or-later
"""A DNS server on loopback with a zone of a test's own (RFC 1035, RFC 2782)."""

import socket
import threading
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class DnsServer:
    """UDP. Names that are not in its zone do not exist."""

    def __init__(self, zone: dict[tuple[str, str], list[str]], ttl_s: int = 60) -> None:
        """`zone`: {("SRV", "_sip._udp.trunk.test."): ["10 0 5060 a.trunk.test."]}."""
        self.zone = zone
        self._ttl_s = ttl_s
        self.questions: list[tuple[str, str]] = []
        self.is_silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, name="dns-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, source = self._socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            question = query.question[0]
            kind, name = dns.rdatatype.to_text(question.rdtype), question.name.to_text().lower()
            self.questions.append((kind, name))
            if self.is_silent:
                continue
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            found = self.zone.get((kind, name))
            if found:
                answer.answer.append(dns.rrset.from_text(name, self._ttl_s, "IN", kind, *found))
            elif not any(known == name for _, known in self.zone):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            self._socket.sendto(answer.to_wire(), source)
