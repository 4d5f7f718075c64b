# SPDX-License-Identifier: GPL-3.0-or-later
"""An edge as `parley edge config` sets it up: Redis, rtpengine, Kamailio and `parley edge follow`, all of them real."""

import datetime
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Self

import httpx

from gateway.cluster.node import Node, NodeState
from tests.e2e import nursery
from tests.e2e.gateway_process import wait_for
from tests.redis_server import RedisServer

_LAST_BEAT_MS = 300
_ONE_RELAY = MappingProxyType({"one": ""})


class Edge:
    """Started by `with`. `settings`: more of `[edge]`; `relays`: more of each relay, by its name."""

    def __init__(
        self, folder: Path, *, settings: str = "", relays: Mapping[str, str] = _ONE_RELAY, more: str = ""
    ) -> None:
        self._stack = ExitStack()
        self.folder = folder
        self.redis = RedisServer(folder)
        self.port = free_port(socket.SOCK_DGRAM)
        self.inside_port = free_port(socket.SOCK_DGRAM)
        self.metrics_port = free_port()
        # Addresses of sockets are short.
        self.run_dir = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-", dir="/tmp")))
        self.config = folder / "edge.toml"
        self._out = folder / "edge"
        self._ng_ports = {name: free_port(socket.SOCK_DGRAM) for name in relays}
        self._relays: dict[str, subprocess.Popen[bytes]] = {}
        self._kamailio: subprocess.Popen[bytes] | None = None
        self._follow: nursery.Child | None = None
        blocks = "".join(
            f"""
[[edge.relay]]
name = "{name}"
ng = "127.0.0.1:{self._ng_ports[name]}"
outside = "127.0.0.1"
rtp_port_min = {_rtp_ports() + 300 * number}
rtp_port_max = {_rtp_ports() + 300 * number + 299}
redis = "127.0.0.1:{self.redis.port}/{5 + number}"
{told}
"""
            for number, (name, told) in enumerate(relays.items())
        )
        self.config.write_text(
            f"""
[sip]
bind = "127.0.0.1"
[cluster]
redis_url = "{self.redis.url}"
[edge]
listen = "127.0.0.1:{self.port}"
inside = "127.0.0.1:{self.inside_port}"
run_dir = "{self.run_dir}"
metrics = "127.0.0.1:{self.metrics_port}"
processes = 2
{settings}
{blocks}
{more}
"""
        )

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.enter_context(self.redis)
            done = nursery.run(["edge", "config", "--config", str(self.config), "--out", str(self._out)], 60)
            assert done.returncode == 0, done.stderr
            self._stack.callback(self.stop)
            for name in self._ng_ports:
                self.start_relay(name)
            self.start_kamailio()
            self.start_follow()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stop(self) -> None:
        if self._follow is not None:
            self._follow.send_signal(signal.SIGTERM)
            self._follow.wait(5)
            self._follow.stdout.close()
        self.kill_kamailio()
        for name in tuple(self._relays):
            self.kill_relay(name)

    def start_relay(self, name: str) -> None:
        command = ["rtpengine", f"--config-file={self._out / f'rtpengine-{name}.conf'}", "--config-section=rtpengine"]
        with (self.folder / "rtpengine.log").open("ab") as log:
            self._relays[name] = subprocess.Popen([*command, "--foreground", "--log-stderr"], stdout=log, stderr=log)
        wait_for(lambda: is_bound(self._ng_ports[name]), "rtpengine")

    def kill_relay(self, name: str) -> None:
        process = self._relays.pop(name)
        process.kill()
        process.wait(5)

    def restart_relay(self, name: str) -> None:
        """Kill it, and start it again at once."""
        self.kill_relay(name)
        self.start_relay(name)

    def start_kamailio(self) -> None:
        command = ["kamailio", "-f", str(self._out / "kamailio.cfg"), "-DD", "-E", "-m", "64", "-M", "8"]
        with (self.folder / "kamailio.log").open("ab") as log:
            self._kamailio = subprocess.Popen(
                [*command, "-Y", str(self.run_dir)], stdout=log, stderr=log, start_new_session=True
            )
        wait_for(lambda: is_bound(self.port) and is_bound(self.inside_port), "Kamailio")

    def kill_kamailio(self) -> None:
        if self._kamailio is not None:
            os.killpg(self._kamailio.pid, signal.SIGKILL)
            self._kamailio.wait(5)
            self._kamailio = None

    def start_follow(self) -> None:
        with (self.folder / "follow.log").open("ab") as log:
            self._follow = nursery.Child(["edge", "follow", "--config", str(self.config)], log)
        assert self._follow.stdout.readline().startswith("parley edge ready"), self.log()

    def log(self) -> str:
        """Of all of it."""
        names = ("follow", "kamailio", "rtpengine")
        files = (self.folder / f"{name}.log" for name in names)
        return "\n".join(file.read_text(errors="replace")[-4000:] for file in files if file.exists())

    def metrics(self) -> dict[str, float]:
        """Series with their labels, as Prometheus gets them."""
        text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").text
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def wait_for_nodes(self, *, open: int, closed: int = 0, timeout_s: float = 10) -> None:
        """Kamailio knows them all, and nobody else."""

        def told() -> bool:
            now = self.metrics()
            nodes = [now.get(f'parley_edge_nodes{{state="{state}"}}') for state in ("open", "closed")]
            listed = [name for name in now if name.startswith("parley_edge_node_up")]
            return nodes == [open, closed] and len(listed) == open + closed and now["parley_edge_kamailio_up"] == 1

        wait_for(told, f"{open} open and {closed} closed nodes", timeout_s)

    def listed(self) -> dict[str, float]:
        """The nodes that Kamailio knows, and the calls it counts for each."""
        found = {re.fullmatch(r'parley_edge_node_calls{node="(.*)"}', name): n for name, n in self.metrics().items()}
        return {one[1]: calls for one, calls in found.items() if one}


class Heart:
    """The heartbeat of a node that is no gateway: whoever answers SIP at its port."""

    def __init__(self, edge: Edge, name: str, port: int, *, capacity: int = 100, weight: int = 50) -> None:
        self._edge = edge
        self.node = Node(
            node_id=name,
            run=f"{time.monotonic_ns():016x}"[-16:],
            region="",
            sip=f"127.0.0.1:{port}",
            http="http://127.0.0.1:1",
            capacity=capacity,
            calls=0,
            weight=weight,
            state="up",
            started_at=datetime.datetime.now(datetime.UTC),
            version="0",
        )

    def beat(self, *, state: NodeState = "up", calls: int = 0, for_ms: int = 600_000) -> None:
        """Once, and for long."""
        node = self.node.model_copy(update={"state": state, "calls": calls})
        self._tell("SADD", "parley:nodes", node.node_id)
        self._tell("SET", f"parley:node:{node.node_id}", node.model_dump_json(), "PX", str(for_ms))

    def stop(self) -> None:
        """It has died: a moment ago its heart beat for the last time."""
        self.beat(for_ms=_LAST_BEAT_MS)

    def leave(self) -> None:
        """It has ended as it should."""
        self._tell("SREM", "parley:nodes", self.node.node_id)
        self._tell("DEL", f"parley:node:{self.node.node_id}")

    def _tell(self, *words: str) -> None:
        with socket.create_connection(("127.0.0.1", self._edge.redis.port), 1) as line:
            line.sendall(b"*%d\r\n" % len(words))
            for word in words:
                line.sendall(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()))
            assert not line.recv(4096).startswith(b"-")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port on 127.0.0.1 that nobody has now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def is_bound(port: int) -> bool:
    """Somebody listens on this UDP port."""
    return f":{port:04X} " in Path("/proc/net/udp").read_text()


def _rtp_ports() -> int:
    """The first of a thousand that no gateway, no telephone and no test beside this one has."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return 50_000 + worker % 8 * 1_000
