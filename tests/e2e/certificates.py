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
    found = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost"
    files = ["-keyout", str(found.key), "-out", str(found.chain), "-subj", f"/CN={name}", "-addext", names]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return found
