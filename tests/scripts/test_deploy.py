# SPDX-License-Identifier: GPL-3.0-or-later
"""What scripts/deploy says is what Parley understands: settings, commands, ports, alerts. Nothing is built here."""

import itertools
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.environment import load_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "scripts" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "containers" / "compose.yml").read_text())
SECRETS = {
    "PARLEY_STORE__ENCRYPTION_KEY": "b2xk" * 10 + "b2w=",
    "PARLEY_STORE__URL": "postgresql+asyncpg://parley:secret@127.0.0.1/parley",
    "PARLEY_CLUSTER__REDIS_URL": "redis://:secret@127.0.0.1:6379/0",
    "PARLEY_HTTP__API_KEYS": "a-key-of-32-characters-and-more-x",
}


def environment(service: str) -> dict[str, str]:
    """What the configuration sees in this container."""
    given = {name: str(value) for name, value in COMPOSE["services"][service]["environment"].items()}
    return {"HOME": "/", **SECRETS, **{name: value for name, value in given.items() if name.startswith("PARLEY_")}}


@pytest.mark.parametrize("service", [name for name in COMPOSE["services"] if name.startswith("gateway")])
def test_each_gateway_of_the_compose_file_has_a_configuration_without_faults(service: str) -> None:
    config = load_config(DEPLOY / "containers" / "parley.example.toml", environment(service))
    assert config.cluster.node_id is not None
    assert config.store.database_url.startswith("postgresql+asyncpg://")


def test_gateways_on_one_machine_share_no_port() -> None:
    services = [name for name in COMPOSE["services"] if name.startswith("gateway")]
    configs = [load_config(DEPLOY / "containers" / "parley.example.toml", environment(name)) for name in services]
    assert len(configs) > 1
    assert len({config.sip.port for config in configs}) == len(configs)
    assert len({config.http.port for config in configs}) == len(configs)
    ranges = sorted((config.media.rtp_port_min, config.media.rtp_port_max) for config in configs)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))


def test_no_secret_stands_in_a_file() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert not re.search(r"(?i)(password|api_keys?|encryption_key)\s*[:=]\s*['\"]?[A-Za-z0-9+/]{12,}", text), (
                path
            )


@pytest.mark.parametrize("name", ["entrypoint", "make_secrets"])
def test_shell_scripts_can_be_read_by_a_shell_and_run(name: str) -> None:
    script = DEPLOY / "containers" / name
    shell = re.match(r"#!.*\b(bash|sh)\b", script.read_text())
    assert shell is not None
    assert os.access(script, os.X_OK)
    subprocess.run([shell[1], "-n", str(script)], check=True)


def test_a_unit_gives_calls_more_time_to_end_than_they_are_left() -> None:
    unit = (DEPLOY / "systemd" / "parley.service").read_text()
    stop_s = int(re.findall(r"(?m)^TimeoutStopSec=(\d+)", unit)[0])
    files = int(re.findall(r"(?m)^LimitNOFILE=(\d+)", unit)[0])
    config = load_config(None, {"HOME": "/"})
    assert stop_s > config.cluster.drain_s + 10
    assert files >= config.open_files


def test_the_guide_has_a_section_for_every_alert_and_no_other() -> None:
    rules = yaml.safe_load((ROOT / "scripts/monitoring/prometheus-rules.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    guide = (ROOT / "docs/operations.md").read_text()
    assert set(re.findall(r"(?m)^#+ .*?\b(Parley[A-Z]\w+)", guide)) == alerts
