# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway under load costs, and how its callers fare: for benchmarks."""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.gateway_process import GatewayProcess

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LAG = "parley_event_loop_lag_seconds_bucket"
_LAGS = ("0.001", "0.005", "0.01", "0.02", "0.05")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used up to now."""

    cpu_s: float
    threads_s: dict[str, float]
    rss_mib: float
    at: float

    @classmethod
    def of(cls, pid: int) -> "Usage":
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        threads_s: dict[str, float] = {}
        for thread in Path(f"/proc/{pid}/task").iterdir():
            name, _, rest = (thread / "stat").read_text().partition("(")[2].rpartition(")")
            threads_s[name] = threads_s.get(name, 0.0) + sum(map(int, rest.split()[11:13])) / _TICKS_PER_S
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return cls(cpu_s, threads_s, int(found[1]) / 1024 if found else 0.0, time.monotonic())

    def by_thread(self, before: "Usage") -> str:
        """Shares of a core since then, the largest first."""
        elapsed_s = self.at - before.at
        spent = {
            name: 100 * (used_s - before.threads_s.get(name, 0)) / elapsed_s for name, used_s in self.threads_s.items()
        }
        parts = [f"{name} {part:.1f} %" for name, part in sorted(spent.items(), key=lambda one: -one[1]) if part > 0.1]
        return ", ".join(parts)


class Counters:
    """The gateway's metrics at one moment."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.values: dict[str, float] = {}
        """By name and labels, as the page has them."""
        for name, labels, value in re.findall(
            r"^(parley_\w+)(\{[^}]*\})? (\S+)$", gateway.page("/metrics"), re.MULTILINE
        ):
            self.values[name + labels] = float(value)

    def total(self, name: str) -> float:
        return sum(value for key, value in self.values.items() if key.partition("{")[0] == name)

    def buckets(self, name: str, label: str) -> dict[str, float]:
        found = {}
        for key, value in self.values.items():
            if key.startswith(name + "{") and (bound := re.search(rf'{label}="([^"]+)"', key)):
                found[bound[1]] = value
        return found


def wait_until_idle(pid: int) -> None:
    """The agent's answers are rendered in the first minute after the start: none of that is the calls'."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        before = Usage.of(pid).cpu_s
        time.sleep(3)
        if Usage.of(pid).cpu_s - before < 0.1:
            return


def wait_for_calls(gateway: GatewayProcess, calls: int) -> None:
    """Until so many stand."""
    deadline = time.monotonic() + 90
    while (active := Counters(gateway).total("parley_calls_active")) < calls:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {active:.0f} of {calls} calls stand after 90 s")
        time.sleep(0.5)


def print_lag(phase: str, before: Counters, after: Counters) -> None:
    """How late the event loop was."""
    then, now = before.buckets(_LAG, "le"), after.buckets(_LAG, "le")
    counts = {bound: now[bound] - then.get(bound, 0) for bound in now}
    total = counts["+Inf"]
    shares = {bound: 100 * count / total for bound, count in counts.items() if bound in _LAGS}
    within = ", ".join(f"{1000 * float(bound):.0f} ms {share:.1f} %" for bound, share in shares.items())
    worst = next((bound for bound in counts if counts[bound] == total), "+Inf")
    print(f"event loop lag, {phase}: {total:.0f} samples; within {within}; all within {1000 * float(worst):.0f} ms")


def print_late(phase: str, before: Counters, after: Counters) -> None:
    """How late RTP left."""
    late = after.total("parley_clock_late_ticks_total") - before.total("parley_clock_late_ticks_total")
    then, now = (one.buckets("parley_clock_bursts_total", "below_ms") for one in (before, after))
    spread = {bound: now[bound] - then.get(bound, 0) for bound in now}
    total = sum(spread.values())
    late_parts = ", ".join(f"<{bound} ms {count:.0f}" for bound, count in spread.items() if count)
    print(f"RTP bursts later than 5 ms, {phase}: {late:.0f} of {total:.0f} ({late_parts})")
