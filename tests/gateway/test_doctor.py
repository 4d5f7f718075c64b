# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor's eyes, each shown something healthy and something ill."""

import base64
import errno
import json
import os
import resource
import shutil
import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.config import AgentConfig
from gateway import doctor
from gateway.config import Config, HttpConfig, MediaConfig, ModelsConfig, SipConfig, StoreConfig
from gateway.doctor import Finding
from tests.simulators.stun import StunServer


def statuses(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, finding.status) for finding in findings]


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]


def on(sip_port: int, http_port: int) -> Config:
    return Config(sip=SipConfig(bind="127.0.0.1", port=sip_port), http=HttpConfig(port=http_port))


def test_free_ports_are_fine_and_so_is_asking_for_any() -> None:
    sip_port, http_port = free_ports()
    fine = [("SIP port", "ok"), ("SIP port", "ok"), ("HTTP port", "ok")]
    assert statuses(doctor.check_ports(on(sip_port, http_port))) == fine
    assert statuses(doctor.check_ports(on(0, 0))) == fine


def test_a_port_in_use_fails_and_the_fix_finds_its_user() -> None:
    sip_port, http_port = free_ports()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        socket.create_server(("127.0.0.1", http_port)),
    ):
        other.bind(("127.0.0.1", sip_port))
        udp, tcp, http = doctor.check_ports(on(sip_port, http_port))
    assert [udp.status, tcp.status, http.status] == ["fail", "ok", "fail"]
    assert udp.detail == f"{sip_port}/udp on 127.0.0.1 is in use by another program"
    assert udp.fix == f"find it with: ss -lnptu | grep {sip_port}; stop it, or set sip.port"
    assert http.fix.endswith("or set http.port")


def test_ports_that_a_running_parley_uses_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_gateway_answers", lambda config: True)
    sip_port, http_port = free_ports()
    with socket.create_server(("127.0.0.1", http_port)):
        *_, http = doctor.check_ports(on(sip_port, http_port))
    assert (http.status, http.detail) == ("ok", f"{http_port}/tcp on 127.0.0.1 is in use, and a Parley is running")


def test_an_address_of_another_machine_fails() -> None:
    udp, *_ = doctor.check_ports(Config(sip=SipConfig(bind="192.0.2.1"), http=HttpConfig(port=0)))
    assert udp.status == "fail"
    assert os.strerror(errno.EADDRNOTAVAIL) in udp.detail
    assert udp.fix == "set sip.bind to an address of this machine"


def test_rtp_ports_that_others_took_are_counted() -> None:
    media = MediaConfig(rtp_port_min=29000, rtp_port_max=29009)
    config = Config(sip=SipConfig(bind="127.0.0.1", max_calls=5), media=media, http=HttpConfig(port=0))
    assert statuses(doctor.check_rtp_ports(config)) == [("RTP ports", "ok")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 29004))
        (finding,) = doctor.check_rtp_ports(config)
    assert (finding.status, finding.detail) == (
        "warn",
        "29000 to 29009: room for 4 calls, 1 ports are taken by other programs",
    )


@pytest.mark.parametrize(
    ("own", "public", "status", "word"),
    [
        ("10.1.2.3", None, "warn", "set sip.public_address"),
        ("10.1.2.3", "8.8.8.8", "ok", ""),
        ("10.1.2.3", "10.9.9.9", "warn", "router's outside address"),
        ("8.8.8.8", None, "ok", ""),
        (None, None, "warn", "connect a network"),
    ],
)
def test_nat_needs_a_public_address(
    monkeypatch: pytest.MonkeyPatch, own: str | None, public: str | None, status: str, word: str
) -> None:
    monkeypatch.setattr(doctor, "_own_address", lambda bind: own)
    (finding,) = doctor.check_addresses(Config(sip=SipConfig(public_address=public)))
    assert finding.status == status
    assert word in finding.fix
    assert bool(finding.fix) == (status != "ok")


def test_the_address_that_stun_tells_is_shown() -> None:
    with StunServer("203.0.113.5") as server:
        sip = SipConfig(stun=f"127.0.0.1:{server.port}", bind="127.0.0.1")
        (found,) = doctor.check_addresses(Config(sip=sip))
        server.address = ""
        (silent,) = doctor.check_addresses(Config(sip=sip))
    assert (found.status, "203.0.113.5" in found.detail) == ("ok", True)
    assert silent.status == "warn"
    assert "sip.stun" in silent.fix


def test_an_api_open_to_the_network_or_with_a_short_key_is_warned_of() -> None:
    assert statuses(doctor.check_http_exposure(Config())) == [("API", "ok")]
    open_api = Config(http=HttpConfig(host="0.0.0.0", api_keys=(SecretStr("short"),)))
    findings = list(doctor.check_http_exposure(open_api))
    assert [finding.status for finding in findings] == ["warn", "warn"]
    assert not any(word == "short" for finding in findings for word in finding.detail.split())


def test_missing_models_fail_with_the_command_that_gets_them(tmp_path: Path) -> None:
    (finding,) = doctor.check_offline_models(Config(models=ModelsConfig(folder=tmp_path)))
    assert finding.status == "fail"
    assert "missing" in finding.detail
    assert finding.fix == f"python -m agent.local.models --folder {tmp_path} --verify"


def test_models_do_not_matter_to_agents_that_use_none_of_them(tmp_path: Path) -> None:
    hosted = AgentConfig(stt="a", llm="b", tts="c")
    assert list(doctor.check_offline_models(Config(agents={"x": hosted}, models=ModelsConfig(folder=tmp_path)))) == []


def test_more_workers_than_cores_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    config = Config(models=ModelsConfig(workers=3))
    assert statuses(doctor.check_cores(config))[0] == ("cores", "warn")
    assert statuses(doctor.check_cores(Config()))[0] == ("cores", "ok")


def test_too_few_open_files_fail_with_the_number_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 2000))
    (finding,) = doctor.check_open_files(Config())
    assert finding.status == "fail"
    assert "LimitNOFILE=5024" in finding.fix
    assert statuses(doctor.check_open_files(Config(sip=SipConfig(max_calls=100)))) == [("open files", "ok")]


@pytest.mark.parametrize(("synchronised", "status"), [(True, "ok"), (False, "warn"), (None, "ok")])
def test_a_clock_that_runs_free_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, synchronised: bool | None, status: str
) -> None:
    monkeypatch.setattr(doctor, "_wall_clock_is_synchronised", lambda: synchronised)
    monkeypatch.setattr(doctor, "_sleep_lateness", lambda: 0.0001)
    assert statuses(doctor.check_clock(Config())) == [("timers", "ok"), ("wall clock", status)]


def test_coarse_timers_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_sleep_lateness", lambda: 0.02)
    assert statuses(doctor.check_clock(Config()))[0] == ("timers", "warn")


def test_the_kernel_tells_whether_the_clock_is_synchronised() -> None:
    assert doctor._wall_clock_is_synchronised() in (True, False, None)


def test_a_data_folder_that_does_not_exist_yet_is_fine_and_one_that_never_can_is_not(tmp_path: Path) -> None:
    fine = Config(store=StoreConfig(data_dir=tmp_path / "a" / "b"))
    assert statuses(doctor.check_data_folder(fine)) == [("data folder", "ok")]
    (tmp_path / "file").touch()
    ill = Config(store=StoreConfig(data_dir=tmp_path / "file" / "b"))
    assert statuses(doctor.check_data_folder(ill)) == [("data folder", "fail")]
    assert not (tmp_path / "a").exists(), "the doctor changes nothing"


def test_a_disk_that_fills_up_is_warned_of_and_a_full_one_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = Config(store=StoreConfig(data_dir=tmp_path))
    for free, status in ((5 * 2**30, "ok"), (2**29, "warn"), (2**20, "fail")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: _Usage(free))
        assert statuses(doctor.check_data_folder(config)) == [("data folder", status)]


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_pjsua2_that_is_not_installed_fails_with_the_script_that_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", not_there)
    (finding,) = doctor.check_pjsua2(Config())
    assert finding.status == "fail"
    assert "scripts/build_pjsua2" in finding.fix


def test_every_check_reports_and_every_complaint_has_a_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.cli import main

    monkeypatch.setenv("PARLEY_STORE__DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PARLEY_MODELS__FOLDER", str(tmp_path / "no-models"))
    monkeypatch.setattr(doctor, "CHECKS", tuple(check for check in doctor.CHECKS if check != doctor.check_pjsua2))
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert {"SIP port", "HTTP port", "RTP ports", "NAT", "models", "cores", "open files", "timers", "data folder"} <= {
        one["check"] for one in report["checks"]
    }
    for one in report["checks"]:
        assert (one["fix"] is None) == (one["status"] == "ok"), one
    assert main(["doctor"]) == 1
    assert f"fail  models: model file {tmp_path}/no-models" in capsys.readouterr().out


def test_recording_in_clear_is_warned_of_and_encryption_is_fine() -> None:
    key = SecretStr(base64.b64encode(bytes(32)).decode())
    (quiet,) = doctor.check_privacy(Config())
    (clear,) = doctor.check_privacy(Config(media=MediaConfig(record=True)))
    (sealed,) = doctor.check_privacy(Config(media=MediaConfig(record=True), store=StoreConfig(encryption_key=key)))
    assert [quiet.status, clear.status, sealed.status] == ["ok", "warn", "ok"]
    assert "openssl rand -base64 32" in clear.fix
