# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley doctor`: looks at the machine with the eyes of the gateway, and says how to cure what it finds.

Every check is a function from the configuration to findings, listed in `CHECKS` in the order of printing. Nothing is
changed; ports are opened for a moment, and the SIP library is started once on a free port.
"""

import asyncio
import ctypes
import errno
import ipaddress
import os
import re
import resource
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import httpx

from agent.errors import ModelError
from agent.local.models import check_models
from gateway.config import MAX_CALLS, Config
from gateway.errors import StartupError
from gateway.sip.public_address import PublicAddress

Status = Literal["ok", "warn", "fail"]

_DISK_WARN_BYTES = 2**30
_DISK_FAIL_BYTES = 100 * 2**20
_MEMORY_WARN_BYTES = 2**30
_TIMER_WARN_S = 0.005
_SHORT_KEY = 16
_TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    status: Status
    detail: str
    fix: str = ""
    """What to do about it; empty when all is well."""


def examine(config: Config) -> list[Finding]:
    """Run every check. Blocks, for some seconds when models are verified."""
    return [finding for check in CHECKS for finding in check(config)]


# Ports and addresses


def check_ports(config: Config) -> Iterator[Finding]:
    """The ports that the gateway opens at start."""
    sip, http = config.sip, config.http
    wanted: list[tuple[str, str, str, str, int]] = [
        ("SIP", "sip.port", name, sip.bind, sip.port) for name in sip.transports if name != "tls"
    ]
    if "tls" in sip.transports:
        wanted.append(("SIP", "sip.tls_port", "tls", sip.bind, sip.tls_port))
    wanted.append(("HTTP", "http.port", "tcp", http.host, http.port))
    running = _gateway_answers(config)
    for what, key, transport, host, port in wanted:
        check = f"{what} port"
        where = f"{port}/{transport} on {host}"
        if port == 0:
            yield Finding(check, "ok", f"{transport}: any free one")
            continue
        problem = _cannot_bind(host, port, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        if problem is None:
            yield Finding(check, "ok", f"{where} is free")
        elif problem == errno.EADDRINUSE and running:
            yield Finding(check, "ok", f"{where} is in use, and a Parley is running")
        elif problem == errno.EADDRINUSE:
            fix = f"find it with: ss -lnptu | grep {port}; stop it, or set {key}"
            yield Finding(check, "fail", f"{where} is in use by another program", fix)
        elif problem in (errno.EACCES, errno.EPERM):
            fix = f"set {key} to 1024 or more, or give the process CAP_NET_BIND_SERVICE"
            yield Finding(check, "fail", f"{where} may not be opened", fix)
        else:
            fix = f"set {'sip.bind' if what == 'SIP' else 'http.host'} to an address of this machine"
            yield Finding(check, "fail", f"{where} cannot be opened: {os.strerror(problem)}", fix)


def check_rtp_ports(config: Config) -> Iterator[Finding]:
    """The UDP range that calls take their media ports from."""
    media = config.media
    ports = range(media.rtp_port_min, media.rtp_port_max + 1)
    taken = sum(_cannot_bind(config.sip.bind, port, socket.SOCK_DGRAM) is not None for port in ports)
    room = (len(ports) - taken) // 2
    detail = f"{ports[0]} to {ports[-1]}: room for {room} calls"
    if room < min(config.sip.max_calls, len(ports) // 2) and not _gateway_answers(config):
        fix = "move or widen media.rtp_port_min and media.rtp_port_max"
        yield Finding("RTP ports", "warn", f"{detail}, {taken} ports are taken by other programs", fix)
    else:
        yield Finding("RTP ports", "ok", detail)


def check_addresses(config: Config) -> Iterator[Finding]:
    """Whether the address in our SIP messages is one that callers can reach."""
    public, own = config.sip.public_address, _own_address(config.sip.bind)
    if config.sip.stun is not None:
        asked = PublicAddress(config.sip.stun, config.sip.bind, config.sip.stun_s)
        if asyncio.run(asked.learn()):
            yield Finding("NAT", "ok", f"callers are told {asked.address}, as {config.sip.stun} says")
        else:
            fix = "set sip.stun to one that does, or sip.public_address"
            yield Finding("NAT", "warn", f"the STUN server {config.sip.stun} does not tell our address", fix)
    elif public is not None:
        if ipaddress.ip_address(public).is_global:
            yield Finding("NAT", "ok", f"callers are told {public}")
        else:
            fix = "leave sip.public_address out, or set it to the router's outside address"
            yield Finding("NAT", "warn", f"sip.public_address {public} is not reachable from the internet", fix)
    elif own is None:
        yield Finding("NAT", "warn", "no network: only this machine can call", "connect a network, or ignore this")
    elif ipaddress.ip_address(own).is_global:
        yield Finding("NAT", "ok", f"callers are told {own}, a public address")
    else:
        ports = f"{config.sip.port} and UDP {config.media.rtp_port_min}-{config.media.rtp_port_max}"
        yield Finding(
            "NAT",
            "warn",
            f"{own} is private: callers in this network reach it, others do not",
            f"for callers outside, set sip.public_address to the router's outside address and forward port {ports}",
        )


def check_http_exposure(config: Config) -> Iterator[Finding]:
    """Who can reach the API, and how well its keys protect it."""
    try:
        is_local = ipaddress.ip_address(config.http.host).is_loopback
    except ValueError:
        is_local = config.http.host == "localhost"
    if not is_local:
        fix = "keep http.host on 127.0.0.1 behind a reverse proxy with TLS"
        yield Finding("API", "warn", f"the API leaves this machine in clear ({config.http.host})", fix)
    if any(len(key.get_secret_value()) < _SHORT_KEY for key in config.http.api_keys):
        fix = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes a good one"
        yield Finding("API", "warn", f"an API key has fewer than {_SHORT_KEY} characters", fix)
    elif is_local:
        yield Finding("API", "ok", f"on {config.http.host} only")


# Libraries and models


def check_pjsua2(config: Config) -> Iterator[Finding]:
    """Whether our build of PJSIP is there and starts with these settings."""
    fix = "run scripts/build_pjsua2 --install, or scripts/run"
    try:
        build = version("parley-pjsua2")
    except PackageNotFoundError:
        yield Finding("pjsua2", "fail", "Parley's build of pjsua2 is not installed", fix)
        return
    try:
        from gateway.sip.endpoint import SipEndpoint
        from gateway.sip.settings import EndpointSettings, MediaSettings
    except ImportError as error:
        yield Finding("pjsua2", "fail", f"pjsua2 {build} cannot be loaded: {error}", fix)
        return
    media = MediaSettings(config.media.rtp_port_min, config.media.rtp_port_max, "", "", config.media.srtp)
    settings = EndpointSettings(
        bind="127.0.0.1",
        port=0,
        transports=("udp",),
        media=media,
        codecs=config.media.codecs,
        max_calls=config.sip.max_calls,
        user_agent=config.sip.user_agent,
    )

    async def start_and_stop() -> None:
        endpoint = SipEndpoint(settings, lambda event: None)
        await endpoint.start()
        await endpoint.close()

    try:
        asyncio.run(start_and_stop())
    except StartupError as error:
        yield Finding("pjsua2", "fail", f"pjsua2 {build} does not start: {error}", fix)
        return
    codecs = ", ".join(config.media.codecs)
    yield Finding("pjsua2", "ok", f"{build}: up to {MAX_CALLS} calls, codecs {codecs}, {_loaded_openssl()}")


def check_offline_models(config: Config) -> Iterator[Finding]:
    """Whether every model file is there and is the one we know."""
    if not any("local" in (agent.stt, agent.llm, agent.tts) for agent in config.agents.values()):
        return
    try:
        check_models(config.models.folder, verify=True)
    except ModelError as error:
        fix = f"python -m agent.local.models --folder {config.models.folder} --verify"
        yield Finding("models", "fail", str(error), fix)
    else:
        yield Finding("models", "ok", f"complete and verified in {config.models.folder}")


# The machine


def check_cores(config: Config) -> Iterator[Finding]:
    """Processors and memory."""
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        fix = "give it a second core: speech recognition of one call delays the others"
        yield Finding("cores", "warn", "1 core", fix)
    elif config.models.workers > cores:
        fix = f"set models.workers to at most {cores}"
        yield Finding("cores", "warn", f"{cores} cores, but models.workers is {config.models.workers}", fix)
    else:
        yield Finding("cores", "ok", f"{cores} cores, {config.models.workers} of them for the offline engines")
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text_of("/proc/meminfo"))
    if found:
        available = int(found[1]) * 1024
        detail = f"{available / 2**30:.1f} GiB available"
        is_short = available < _MEMORY_WARN_BYTES
        fix = "the offline engines need some 600 MB; stop other programs or add memory" if is_short else ""
        yield Finding("memory", "warn" if is_short else "ok", detail, fix)


def check_open_files(config: Config) -> Iterator[Finding]:
    """Whether the process may open as many files as the calls need. `parley serve` raises the soft limit itself."""
    needed = config.open_files
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= needed:
        yield Finding("open files", "ok", f"up to {hard}; {config.sip.max_calls} calls need {needed}")
    else:
        fix = f"set LimitNOFILE={needed} in the service unit (or ulimit -Hn {needed}), or lower sip.max_calls"
        yield Finding("open files", "fail", f"up to {hard}; {config.sip.max_calls} calls need {needed}", fix)


def check_clock(config: Config) -> Iterator[Finding]:
    """Whether time passes evenly, and whether the wall clock is right."""
    resolution_s = time.get_clock_info("monotonic").resolution
    late_s = sorted(_sleep_lateness() for _ in range(20))[10]
    detail = f"timers {late_s * 1e3:.2f} ms late in the median, resolution {resolution_s * 1e9:.0f} ns"
    if late_s > _TIMER_WARN_S:
        fix = "the machine is overloaded or its timers are coarse: audio will stutter; move to another host"
        yield Finding("timers", "warn", detail, fix)
    else:
        yield Finding("timers", "ok", detail)
    synchronised = _wall_clock_is_synchronised()
    if synchronised is None:
        yield Finding("wall clock", "ok", "the system does not tell whether it is synchronised")
    elif synchronised:
        yield Finding("wall clock", "ok", "synchronised")
    else:
        fix = "install chrony or systemd-timesyncd: TLS and times in records depend on it"
        yield Finding("wall clock", "warn", "not synchronised", fix)


def check_data_folder(config: Config) -> Iterator[Finding]:
    """Whether sessions and recordings can be kept."""
    folder = config.store.data_dir
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        fix = "make it writable for this user, or set store.data_dir"
        yield Finding("data folder", "fail", f"{folder} cannot be written", fix)
        return
    free = shutil.disk_usage(existing).free
    detail = f"{folder}, {free / 2**30:.1f} GiB free"
    if free < _DISK_WARN_BYTES:
        fix = "free some space, or set store.data_dir to a larger disk"
        yield Finding("data folder", "fail" if free < _DISK_FAIL_BYTES else "warn", detail, fix)
    else:
        yield Finding("data folder", "ok", detail)


def check_privacy(config: Config) -> Iterator[Finding]:
    """Whether what people said lies in clear on the disk."""
    if config.store.old_encryption_keys:
        fix = "run parley keys rotate, and leave store.old_encryption_keys out once parley keys check ends with 0"
        yield Finding("encryption", "warn", "old keys still open what is kept", fix)
    elif config.store.encryption_key is not None:
        yield Finding("encryption", "ok", "recordings and transcripts are encrypted at rest")
    elif config.media.record:
        fix = "set PARLEY_STORE__ENCRYPTION_KEY to what openssl rand -base64 32 prints, and keep it safe"
        yield Finding("encryption", "warn", "calls are recorded, and lie in clear on the disk", fix)
    else:
        yield Finding("encryption", "ok", "no key (store.encryption_key): transcripts lie in clear")


CHECKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    check_ports,
    check_rtp_ports,
    check_addresses,
    check_http_exposure,
    check_pjsua2,
    check_offline_models,
    check_cores,
    check_open_files,
    check_clock,
    check_data_folder,
    check_privacy,
)


# How to look


def _cannot_bind(host: str, port: int, kind: socket.SocketKind) -> int | None:
    """The error number of opening the port, None when it can be opened."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno
    return None


def _gateway_answers(config: Config) -> bool:
    if config.http.port == 0:
        return False
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.http.host, config.http.host)
    try:
        answer = httpx.get(f"http://{host}:{config.http.port}/openapi.json", timeout=2.0)
        return answer.is_success and '"Parley"' in answer.text
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def _own_address(bind: str) -> str | None:
    """The address that packets to the internet leave from. Nothing is sent."""
    if bind != "0.0.0.0":
        return bind
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if ipaddress.ip_address(address).is_loopback else address


def _loaded_openssl() -> str:
    """The OpenSSL that pjsua2 brought into this process."""
    found = re.search(r"/\S*libssl[.\w-]*", _text_of("/proc/self/maps"))
    return Path(found[0]).name if found else "OpenSSL linked in"


def _sleep_lateness() -> float:
    began = time.monotonic()
    time.sleep(0.001)
    return time.monotonic() - began - 0.001


def _wall_clock_is_synchronised() -> bool | None:
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    state = adjtimex(ctypes.create_string_buffer(512))  # modes = 0: only asks; struct timex is smaller than this
    return None if state < 0 else state != _TIME_ERROR


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
