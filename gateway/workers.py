# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley serve --workers N`: as many gateways as this machine has cores for, each a node of the cluster.

    supervisor > N x `parley serve`, each with ports of its own > one readiness line
    a worker dies > another one in its place, later each time; SIGTERM > all drain, end; SIGUSR1 > one after the other

The rest of the settings is the same for all: data folder, database, Redis. Kamailio stands before them
(docs/cluster.md).
"""

import asyncio
import contextlib
import ctypes
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from gateway.cluster.membership import node_id_of
from gateway.config import Config
from gateway.errors import StartupError

MAX_WORKERS = 64
_READY = re.compile(r"parley ready sip=(\S+) http=(\S+)")
_READY_S = 120.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STEADY_S = 60.0
"""A worker that lived so long was a good one: the next pause is short again."""
_LOOK_S = 0.1
_PR_SET_PDEATHSIG = 1
"""prctl.h"""
_PRCTL = ctypes.CDLL(None).prctl
_CONFIG_FAULT = 2

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What a worker has of its own: settings, as the environment names them."""

    number: int
    node_id: str
    environ: Mapping[str, str]


def plan_workers(config: Config, count: int) -> list[WorkerPlan]:
    """Ports for each: SIP two apart (TLS between them), HTTP one, RTP and the calls an even share. Raises
    `StartupError`."""
    if config.cluster.redis_url is None:
        raise StartupError("--workers needs cluster.redis_url (or PARLEY_CLUSTER__REDIS_URL): the workers meet there")
    media = config.media
    share = (media.rtp_port_max + 1 - media.rtp_port_min) // count // 2 * 2
    calls = -(-config.sip.max_calls // count)
    if share < 2 * calls:
        raise StartupError(
            f"media.rtp_port_min to rtp_port_max are {share} ports for each of {count} workers, enough for "
            f"{share // 2} calls; sip.max_calls is {config.sip.max_calls}, {calls} for each"
        )
    base_id = node_id_of(config)[:60]
    return [_plan(config, number, f"{base_id}-{number + 1}"[:64], share, calls) for number in range(count)]


def _plan(config: Config, number: int, node_id: str, share: int, calls: int) -> WorkerPlan:
    sip, http, cluster = config.sip, config.http, config.cluster
    rtp_port_min = config.media.rtp_port_min + number * share
    environ = {
        "PARLEY_CLUSTER__NODE_ID": node_id,
        "PARLEY_SIP__PORT": str(_port(sip.port, 2 * number)),
        "PARLEY_SIP__TLS_PORT": str(_port(sip.tls_port, 2 * number)),
        "PARLEY_SIP__MAX_CALLS": str(calls),
        "PARLEY_HTTP__PORT": str(_port(http.port, number)),
        "PARLEY_MEDIA__RTP_PORT_MIN": str(rtp_port_min),
        "PARLEY_MEDIA__RTP_PORT_MAX": str(rtp_port_min + share - 1),
    }
    if cluster.sip_address is not None:
        host, _, port = cluster.sip_address.rpartition(":")
        environ["PARLEY_CLUSTER__SIP_ADDRESS"] = (
            f"{host}:{_port(int(port), 2 * number)}" if host else f"{cluster.sip_address}:{_port(sip.port, 2 * number)}"
        )
    if cluster.http_url is not None:
        url = urlsplit(cluster.http_url)
        if url.port is not None:  # without one it is a proxy's, who knows the workers
            environ["PARLEY_CLUSTER__HTTP_URL"] = f"{url.scheme}://{url.hostname}:{_port(url.port, number)}{url.path}"
    return WorkerPlan(number, node_id, environ)


def _port(base: int, offset: int) -> int:
    """0 stays a free one."""
    if base + offset > 65535:
        raise StartupError(f"there is no port {base + offset} for a worker: begin with lower ones")
    return base + offset if base else 0


def run_workers(config: Config, count: int, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Supervise until SIGTERM or SIGINT; the exit code. `arguments`: of each worker's command. Raises
    `StartupError`."""
    plans = plan_workers(config, count)
    return asyncio.run(Supervisor(plans, arguments, environ, 4 * config.cluster.heartbeat_s).run())


class Worker:
    """A place in the row; processes come and go in it."""

    def __init__(self, plan: WorkerPlan, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self.plan = plan
        self.addresses = ("", "")
        """Of SIP and HTTP, once it is ready."""
        self.is_told = False
        """To drain, since it was started."""
        self._command = (sys.executable, "-m", "gateway", *arguments)
        self._environ = {**environ, **plan.environ}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    async def start(self) -> bool:
        """Whether it is ready to take calls; if not, it is gone, or will be."""
        self.is_told = False
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=_die_with_us,
        )
        log.info("worker_started", node=self.plan.node_id, pid=process.pid)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_READY_S):
                async for line in process.stdout:
                    if found := _READY.match(line.decode(errors="replace")):
                        self.addresses = found[1], found[2]
                        self._reading = asyncio.create_task(_read_on(process.stdout))
                        return True
        except TimeoutError:
            process.kill()
        return False

    def send_signal(self, number: int) -> None:
        """If there is a process."""
        if self._process is not None:
            self.is_told = self.is_told or number == signal.SIGTERM
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def end(self) -> int:
        """Until the process is gone; its exit code."""
        assert self._process is not None
        code = await self._process.wait()
        if self._reading is not None:
            await self._reading
            self._reading = None
        return code


class Supervisor:
    """Of all workers. Decides who starts when; what a worker does is its own business."""

    def __init__(
        self, plans: Sequence[WorkerPlan], arguments: Sequence[str], environ: Mapping[str, str], settle_s: float
    ) -> None:
        """`settle_s`: until all know of a node that has come."""
        self._settle_s = settle_s
        self._workers = [Worker(plan, arguments, environ) for plan in plans]
        self._is_stopping = False
        self._stopped = asyncio.Event()
        self._is_ready: dict[int, asyncio.Event] = {}
        self._fault = 0
        self._rolling: asyncio.Task[None] | None = None
        self._left: set[int] = set()
        """Workers that do not come again."""
        self._replaced: set[int] = set()
        """Workers that are being restarted on purpose."""

    async def run(self) -> int:
        """Until all workers have ended; the exit code."""
        begun = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGUSR1, self._roll_soon)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        self._is_ready = {worker.plan.number: asyncio.Event() for worker in self._workers}
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers:
                tasks.create_task(self._keep(worker), name=worker.plan.node_id)
            announcing = tasks.create_task(self._announce(begun), name="announce")
            tasks.create_task(self._watch_end(announcing), name="watch-end")
        return self._fault

    async def _watch_end(self, announcing: "asyncio.Task[None]") -> None:
        """Nobody waits for workers that will not come."""
        await self._stopped.wait()
        announcing.cancel()

    def _stop(self) -> None:
        """Once: drain and end; twice: at once, as each worker understands it."""
        self._is_stopping = True
        self._stopped.set()
        if self._rolling is not None:
            self._rolling.cancel()
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: int) -> None:
        for worker in self._workers:
            worker.send_signal(number)

    async def _announce(self, begun: float) -> None:
        for ready in self._is_ready.values():
            await ready.wait()
        sip, http = self._workers[0].addresses
        print(f"parley ready sip={sip} http={http}", flush=True)
        rows = "\n".join(
            f"  {worker.plan.node_id:<24} sip {worker.addresses[0]:<22} http://{worker.addresses[1]}"
            for worker in self._workers
        )
        print(f"\n{len(self._workers)} workers are ready after {time.monotonic() - begun:.1f} s.\n{rows}\n", flush=True)

    async def _keep(self, worker: Worker) -> None:
        """One worker after the other in its place, until it is not to come again."""
        pause_s, was_ready = _FIRST_PAUSE_S, False
        ready = self._is_ready[worker.plan.number]
        while not self._is_stopping:
            begun = time.monotonic()
            if await worker.start():
                ready.set()
                was_ready = True
            if self._is_stopping and not worker.is_told:  # it began when the others were told
                worker.send_signal(signal.SIGTERM)
            code = await worker.end()
            ready.clear()
            if self._is_stopping:
                break
            if worker.plan.number in self._replaced:
                self._replaced.discard(worker.plan.number)
                continue
            if code == 0:  # somebody has drained it
                log.info("worker_left", node=worker.plan.node_id)
                break
            if code == _CONFIG_FAULT and not was_ready:  # it has said why; the others would not fare better
                self._fault = _CONFIG_FAULT
                self._stop()
                break
            if time.monotonic() - begun > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            log.error("worker_died", node=worker.plan.node_id, code=code, again_in_s=pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopped.wait()
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._left.add(worker.plan.number)
        if len(self._left) == len(self._workers):
            self._stopped.set()

    def _roll_soon(self) -> None:
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.create_task(self._roll(), name="rolling-restart")

    async def _roll(self) -> None:
        """Each drains and comes back before the next one goes."""
        for worker in self._workers:
            if worker.plan.number in self._left:
                continue
            ready = self._is_ready[worker.plan.number]
            await ready.wait()
            await asyncio.sleep(self._settle_s)  # the one before is known to those that hand their calls over
            before = worker.pid
            log.info("worker_replaced", node=worker.plan.node_id)
            self._replaced.add(worker.plan.number)
            worker.send_signal(signal.SIGTERM)
            while worker.pid == before or not ready.is_set():  # noqa: ASYNC110 - a process has no event for that
                await asyncio.sleep(_LOOK_S)
        log.info("workers_replaced", workers=len(self._workers))


async def _read_on(stdout: asyncio.StreamReader) -> None:
    """What a worker says after it is ready is for whoever started it alone; a full pipe would hold it up."""
    while await stdout.read(4096):
        pass


def _die_with_us() -> None:
    """A supervisor that is killed leaves no workers: they drain."""
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)
