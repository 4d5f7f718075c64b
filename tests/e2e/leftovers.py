# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls that are over have left behind in a gateway."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.e2e.gateway_process import GatewayProcess


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Counts of one moment."""

    calls: int
    rtp_sockets: int
    descriptors: int
    threads: int
    rss_mib: float

    @classmethod
    def of(cls, gateway: GatewayProcess) -> Self:
        proc = Path(f"/proc/{gateway.process.pid}")
        descriptors = [_target(link) for link in (proc / "fd").iterdir()]
        sockets = {target[8:-1] for target in descriptors if target.startswith("socket:[")}
        lines = [line.split() for line in (proc / "net/udp").read_text().splitlines()[1:]]
        ports = [int(fields[1].partition(":")[2], 16) for fields in lines if fields[9] in sockets]
        status = dict(re.findall(r"(\w+):\s+(\d+)", (proc / "status").read_text()))
        return cls(
            len(gateway.get("/calls")["calls"]),
            sum(port != gateway.sip_port for port in ports),
            len(descriptors),
            int(status["Threads"]),
            int(status["VmRSS"]) / 1024,
        )

    def is_like(self, before: Self) -> bool:
        """No more calls and ports than before: of the rest a process may keep some."""
        return (self.calls, self.rtp_sockets) == (before.calls, before.rtp_sockets)

    @property
    def has_no_call(self) -> bool:
        return self.calls == self.rtp_sockets == 0


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""
