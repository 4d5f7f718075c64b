# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways of tests do not take each other's ports."""

from pathlib import Path

from tests.e2e.gateway_process import GatewayProcess


def test_gateways_side_by_side_have_ports_of_their_own(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one, other = (GatewayProcess(tmp_path / name) for name in ("one", "other"))
    mine, theirs = (
        [line for line in gateway.config.read_text().splitlines() if "rtp_port" in line] for gateway in (one, other)
    )
    assert len(mine) == len(theirs) == 2
    assert not set(mine) & set(theirs)
