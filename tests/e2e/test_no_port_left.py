# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that comes when every RTP port is taken."""

import re
import socket
from contextlib import ExitStack, closing
from pathlib import Path

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import RawCaller


def test_it_is_refused_and_the_gateway_lives_on(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, '[[route]]\naction = "echo"\n', record=False, max_calls=2)
    text = gateway.config.read_text()
    found = re.search(r"rtp_port_min = (\d+)", text)
    assert found is not None
    low = int(found[1])
    gateway.config.write_text(re.sub(r"rtp_port_max = \d+", f"rtp_port_max = {low + 3}", text))
    with gateway:
        with ExitStack() as others, RawCaller(gateway.sip_port) as caller:
            for port in range(low, low + 4):
                taken = others.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
                taken.bind(("127.0.0.1", port))
            assert 480 <= caller.invite("echo").code < 600
        with RawCaller(gateway.sip_port) as caller:
            assert caller.invite("echo").code == 200
            assert caller.bye("echo").code == 200
