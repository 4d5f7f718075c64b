# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for tests, made on the spot by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files."""

    chain: Path
    key: Path


def self_signed(folder: Path, name: str = "127.0.0.1") -> Certificate:
    """For 127.0.0.1, ::1 and localhost; `name` is its subject and that of its files."""
    return _made(folder, name, "IP:127.0.0.1,IP:::1,DNS:localhost")


def signed_for(folder: Path, name: str, dns_name: str, authority: Certificate) -> Certificate:
    """Signed by `authority` for `dns_name` alone, which may hold what no host's name does; `name` as above."""
    names = bytes([0x82, len(dns_name)]) + dns_name.encode()  # RFC 5280, section 4.2.1.6: dNSName [2]
    der = bytes([0x30, len(names)]) + names
    return _made(folder, name, f"DER:{der.hex()}", "-CA", str(authority.chain), "-CAkey", str(authority.key))


def _made(folder: Path, name: str, names: str, *more: str) -> Certificate:
    """`names`: the subjectAltName as openssl's configuration has it."""
    found = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    files = ["-keyout", str(found.key), "-out", str(found.chain), "-subj", f"/CN={name}"]
    extension = ["-addext", f"subjectAltName={names}"]
    subprocess.run([*command.split(), *files, *extension, *more], check=True, capture_output=True)
    return found
