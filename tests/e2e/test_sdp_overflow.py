# SPDX-License-Identifier: GPL-3.0-or-later
"""Session descriptions that have overflowed PJSIP, sent to its AddressSanitizer build.

CVE-2026-57162: one INVITE with 67 `a=crypto` lines writes past an array of 64 on the stack. PJMEDIA_MAX_SDP_ATTR 60 in
config_site.h cures it. Checked by hand that these tests see it: built with 68, the first of them ends the gateway with
`stack-buffer-overflow in parse_attr_crypto`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import RawCaller
from tests.e2e.sanitizer import sanitized_gateway

_ECHO = '[[route]]\nmatch = "echo"\naction = "echo"\n'
_MU_LAW = "\r\na=rtpmap:0 PCMU/8000"


def _crypto(lines: int) -> str:
    return "".join(f"\r\na=crypto:{tag} X inline:AAAA" for tag in range(1, lines + 1))


@pytest.fixture(scope="module")
def optional_srtp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with sanitized_gateway(tmp_path_factory.mktemp("optional"), _ECHO, 'srtp = "optional"') as gateway:
        yield gateway


@pytest.mark.timeout(600)  # the first use may build
@pytest.mark.parametrize(
    "media",
    [
        pytest.param(f"RTP/AVP 0{_MU_LAW}{_crypto(67)}", id="67 crypto lines in the clear"),
        pytest.param(f"RTP/SAVP 0{_MU_LAW}{_crypto(67)}", id="67 crypto lines with SRTP"),
        pytest.param(f"RTP/SAVP 0{_MU_LAW}{_crypto(220)}", id="220 crypto lines"),
        pytest.param(f"RTP/AVP 0{_MU_LAW}\r\na=ptime:65535\r\na=maxptime:0", id="a packet of a minute"),
        pytest.param(f"RTP/AVP 0{_MU_LAW}\r\na=ptime:0", id="an empty packet"),
        pytest.param("RTP/AVP " + " ".join(str(pt) for pt in range(128)), id="every payload type"),
        pytest.param(f"RTP/AVP 0{_MU_LAW}\r\na=fmtp:0 " + "x" * 3500, id="a long parameter"),
        pytest.param(f"RTP/AVP 0{_MU_LAW}" + "\r\nm=audio 9 RTP/AVP 0" * 40, id="forty-one streams"),
    ],
)
def test_an_offer_that_overflows_is_answered_and_does_no_harm(optional_srtp: GatewayProcess, media: str) -> None:
    with RawCaller(optional_srtp.sip_port) as caller:
        answer = caller.invite("echo", media)
        assert answer.code in (200, 400, 406, 413, 415, 488)
        if answer.code == 200:
            assert caller.bye("echo").code == 200
    with RawCaller(optional_srtp.sip_port) as caller:
        assert caller.invite("echo").code == 200
        assert caller.bye("echo").code == 200
    assert optional_srtp.process.poll() is None


@pytest.mark.timeout(600)
def test_67_crypto_lines_are_survived_where_srtp_is_required(tmp_path: Path) -> None:
    with sanitized_gateway(tmp_path, _ECHO, 'srtp = "required"') as gateway:
        with RawCaller(gateway.sip_port) as caller:
            assert caller.invite("echo", f"RTP/SAVP 0{_MU_LAW}{_crypto(67)}").code in (400, 406, 488)
        with RawCaller(gateway.sip_port) as caller:  # plain RTP is refused, and answered at all
            assert caller.invite("echo").code == 488
        assert gateway.process.poll() is None
