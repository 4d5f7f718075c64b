# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry: every kind has a client in each of its roles, as far as its methods go."""

from pathlib import Path

import pytest

from gateway.services.kinds import OFFERS, Role, make_client
from gateway.services.opening import service_settings
from tests.gateway.test_config import loaded

_METHODS: dict[Role, tuple[str, ...]] = {
    "stt": ("open",),
    "llm": ("reply",),
    "tts": ("synthesize",),
    "realtime": ("open",),
}


@pytest.mark.parametrize(("role", "kind"), [(role, kind) for role in OFFERS for kind in OFFERS[role]])
async def test_every_kind_has_a_client_for_each_of_its_roles(role: Role, kind: str, tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        f'[services.x]\nkind = "{kind}"\nmodel = "m"\nvoice = "v"\nregion = "r"\nurl = "http://127.0.0.1:9"\n',
    )
    client = make_client(kind, role, service_settings("x", config.services["x"]), lambda usage: None)
    try:
        for method in ("warm", *_METHODS[role]):
            assert callable(getattr(client, method)), method
    finally:
        await client.aclose()
