# SPDX-License-Identifier: GPL-3.0-or-later
"""`scripts/run --simulate`: a gateway whose agents use the vendors' services, with simulators in the vendors' place.

    python -m tests.simulators.demo [parley serve arguments]

The simulators run here, with the offline engines behind them; the gateway is a child, which gets our signals and whose
exit code is ours.
"""

import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from gateway.telemetry import configure_logging
from tests.simulators.engines import open_engines
from tests.simulators.stack import AGENTS, open_stack

_ECHO = '[[route]]\nmatch = "echo"\naction = "echo"\n'
_OTHERS = f'[[route]]\naction = "agent"\nagent = "{AGENTS[0].name}"\n'


async def _run(arguments: list[str]) -> int:
    async with open_engines() as engines, open_stack(engines) as simulators:
        with tempfile.TemporaryDirectory(prefix="parley-simulate-") as folder:
            config = Path(folder) / "parley.toml"
            config.write_text(_ECHO + simulators.toml + _OTHERS)
            for agent in AGENTS:
                used = ", ".join(f"{role} {service}" for role, service in agent.keys.items())
                print(f"simulated: dial {agent.name:<12} {used}", file=sys.stderr)
            command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), *arguments]
            gateway = await asyncio.create_subprocess_exec(*command)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, _pass_on, gateway, number)
            return await gateway.wait()


def _pass_on(gateway: asyncio.subprocess.Process, number: int) -> None:
    if gateway.returncode is None:
        gateway.send_signal(number)


def main() -> int:
    configure_logging("warning")  # standard output is the gateway's
    return asyncio.run(_run(sys.argv[1:]))


if __name__ == "__main__":
    raise SystemExit(main())
