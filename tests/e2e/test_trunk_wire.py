# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fields of a trunk come to on the wire."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import Answer, RawCaller

THEIRS = "+441632960123"

_TRUNKS = """
[[trunk]]
name = "passing-on"
host = "127.0.0.1:{port}"
diversion = true
dtmf = "info"

[[trunk]]
name = "bare"
host = "127.0.0.1:{port}"

[[trunk]]
name = "carrier"
host = "127.0.0.1:{port}"
username = "account"
from_domain = "acme.example"
number = "+441632960100"
number_format = "e164"
number_prefix = "1234"
country_code = "44"
caller_id = "pai"
codecs = ["pcma", "g722"]
session_timers = "off"
prack = "off"
headers = {{ X-Token = "abc" }}

[[trunk]]
name = "strict"
host = "127.0.0.1:{port}"
number = "+441632960100"
srtp = "required"
srtp_suites = ["AES_CM_128_HMAC_SHA1_80"]
session_timers = "required"
session_expires_s = 600
min_se_s = 200
prack = "required"
dtmf = "inband"

[[trunk]]
name = "keys-by-info"
host = "127.0.0.1:{port}"
dtmf = "info"

[[trunk]]
name = "trusted"
host = "127.0.0.2"
allow = ["127.0.0.2"]
outbound = false
trust_identity = true
numbers_in = "e164"
codecs = ["pcma"]

[[trunk]]
name = "registered"
host = "127.0.0.1:{registrar}"
from_domain = "acme.example"
auth = "register"
register_s = 700
realm = "acme"
username = "account"
password = "right horse"
outbound = false

[[trunk]]
name = "one-realm"
host = "127.0.0.1:{port}"
realm = "acme"
username = "account"
password = "right horse"

[[route]]
trunk = "trusted"
match = '[+]441632960.*'
action = "echo"

[[route]]
match = "88"
action = "bridge"
to = "01632960177"

[[route]]
action = "echo"
"""


class Provider(RawCaller):
    """All trunks' far end: there before the gateway is."""

    def __init__(self) -> None:
        super().__init__(0)
        self.port = int(self.sip.getsockname()[1])
        self.last_call = ""
        """Our name of the last call through `is_called`."""
        self._seen: set[tuple[str, str]] = set()

    def request(self, method: str, timeout_s: float = 15.0) -> str:
        """The next one that is no retransmission: a machine that stalls has those, of calls that are over."""
        while True:
            text = super().request(method, timeout_s)
            key = Answer(0, text).header("Call-ID"), Answer(0, text).header("CSeq")
            if key not in self._seen:
                self._seen.add(key)
                return text

    def knows(self, gateway: GatewayProcess) -> None:
        self._target = ("127.0.0.1", gateway.sip_port)

    def is_called(self, gateway: GatewayProcess, trunk: str, caller: str | None = None) -> Answer:
        """The INVITE of a call through this trunk, which is busy."""
        order = {"to": "01632960123", "profile": trunk, **({"from": caller} if caller else {})}
        placed = gateway.post("/calls", order)
        assert placed.status_code == 201
        self.last_call = placed.json()["call_id"]
        invite = self.request("INVITE")
        self.respond(invite, 486, "Busy Here")
        self.request("ACK")
        return Answer(0, invite)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def registrar() -> Iterator[Provider]:
    with Provider() as registrar:
        yield registrar


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider, registrar: Provider
) -> Iterator[GatewayProcess]:
    settings = _TRUNKS.format(port=provider.port, registrar=registrar.port)
    folder: Path = tmp_path_factory.mktemp("trunks")
    with GatewayProcess(folder, settings, record=False, media='codecs = ["pcmu", "g722"]') as gateway:
        provider.knows(gateway)
        registrar.knows(gateway)
        yield gateway


_TRUSTED = "127.0.0.2"
"""Where the calls of the trunk `trusted` come from."""


def ended(gateway: GatewayProcess, call_id: str) -> dict[str, Any]:
    """The session of this call, which has ended."""
    return gateway.newest_session(lambda session: session["call_id"] == call_id)


def codecs(message: Answer) -> list[str]:
    """Of the offer or answer, in its order: `pcma`, `telephone-event/8000`, `red/8000`."""
    line = re.search(r"m=audio \d+ \S+ (.*?)\r?\n", message.text)
    assert line is not None
    maps = dict(re.findall(r"a=rtpmap:(\d+) (\S+)", message.text))
    assert sorted(maps) == sorted(line[1].split()), "an rtpmap of what is not offered, or the other way round"
    assert {pt for pt in re.findall(r"a=fmtp:(\d+)", message.text)} <= set(maps)
    return [maps[pt].lower() for pt in line[1].split()]


def test_a_trunk_that_says_nothing_is_called_as_the_number_was_given(
    gateway: GatewayProcess, provider: Provider
) -> None:
    invite = provider.is_called(gateway, "bare")
    assert invite.text.startswith(f"INVITE sip:01632960123@127.0.0.1:{provider.port} SIP/2.0")
    assert codecs(invite)[:2] == ["pcmu/8000", "g722/8000"]
    assert "timer" in invite.header("Supported")
    assert "100rel" in invite.header("Supported")
    assert invite.header("Session-Expires").startswith("1800")
    assert invite.header("Privacy") == ""
    assert "RTP/AVP" in invite.text


def test_a_carrier_gets_its_numbers_its_identity_its_headers_and_its_codecs(
    gateway: GatewayProcess, provider: Provider
) -> None:
    invite = provider.is_called(gateway, "carrier", "01632 960 199")
    assert invite.text.startswith(f"INVITE sip:1234441632960123@127.0.0.1:{provider.port} SIP/2.0")
    assert "<sip:441632960199@acme.example>" in invite.header("From")
    assert invite.header("P-Asserted-Identity") == "<sip:441632960199@acme.example>"
    assert invite.header("X-Token") == "abc"
    assert "timer" not in invite.header("Supported")
    assert "100rel" not in invite.header("Require")
    assert codecs(invite)[:2] == ["pcma/8000", "g722/8000"]
    assert set(codecs(invite)[2:]) <= {"telephone-event/8000", "red/8000"}


def test_who_calls_when_nobody_is_named_is_the_trunks_number_and_who_withholds_it_is_anonymous(
    gateway: GatewayProcess, provider: Provider
) -> None:
    assert "<sip:441632960100@acme.example>" in provider.is_called(gateway, "carrier").header("From")
    invite = provider.is_called(gateway, "carrier", "anonymous")
    assert invite.header("From").startswith('"Anonymous" <sip:anonymous@anonymous.invalid>;tag=')
    assert invite.header("P-Asserted-Identity") == "<sip:441632960100@acme.example>"
    assert invite.header("Privacy") == "id"
    assert ended(gateway, provider.last_call)["from"] == "anonymous"


def test_a_strict_trunk_requires_session_timers_prack_and_one_kind_of_srtp(
    gateway: GatewayProcess, provider: Provider
) -> None:
    invite = provider.is_called(gateway, "strict")
    assert {"timer", "100rel"} <= set(re.split(r"[ ,]+", invite.header("Require")))
    assert (invite.header("Session-Expires"), invite.header("Min-SE")) == ("600", "200")
    assert "RTP/SAVP " in invite.text
    assert re.findall(r"a=crypto:\d+ (\S+)", invite.text) == ["AES_CM_128_HMAC_SHA1_80"]
    assert "a=fingerprint" not in invite.text


def test_keys_are_pressed_as_the_trunk_wants_them(gateway: GatewayProcess, provider: Provider) -> None:
    call_id = gateway.post("/calls", {"to": "100", "profile": "keys-by-info"}).json()["call_id"]
    provider.accept(provider.request("INVITE"))
    wait_for(lambda: gateway.get(f"/calls/{call_id}")["state"] == "active", "the answer")
    with ThreadPoolExecutor(1) as threads:
        pressing = threads.submit(gateway.post, f"/calls/{call_id}/dtmf", {"digits": "5"})
        info = provider.request("INFO")
        provider.respond(info, 200)
        assert pressing.result().status_code == 204
        assert "Signal=5" in info
        hanging_up = threads.submit(gateway.post, f"/calls/{call_id}/hangup")
        provider.respond(provider.request("BYE"), 200)
        assert hanging_up.result().status_code == 204


def test_a_call_that_is_passed_on_says_whom_it_was_for(gateway: GatewayProcess, provider: Provider) -> None:
    with RawCaller(gateway.sip_port) as caller:
        caller.from_header = f"<sip:{THEIRS}@127.0.0.1>"
        caller.send("INVITE", "88", caller.offer())
        invite = provider.request("INVITE")
        provider.respond(invite, 486, "Busy Here")
        provider.request("ACK")
        assert caller.acknowledge("88").code == 486
    asked = Answer(0, invite)
    assert f"<sip:{THEIRS}@127.0.0.1>" in asked.header("From")
    assert asked.header("Diversion") == "<sip:88@127.0.0.1>;reason=unconditional"


def test_keys_that_one_end_of_a_bridge_presses_reach_the_other_as_its_trunk_wants_them(
    gateway: GatewayProcess, provider: Provider
) -> None:
    with RawCaller(gateway.sip_port) as caller:
        caller.send("INVITE", "88", caller.offer())
        provider.accept(provider.request("INVITE"))
        assert caller.acknowledge("88").code == 200
        wait_for(lambda: [one["activity"] for one in gateway.get("/calls")["calls"]] == ["bridge"] * 2, "the bridge")
        for key in "7#":
            caller.sequence += 1
            body = f"Signal={key}\r\nDuration=160\r\n"
            caller.send("INFO", "88", body, content_type="application/dtmf-relay")
            assert caller.final("INFO").code == 200
        for key in "7#":
            info = provider.request("INFO")
            provider.respond(info, 200)
            assert f"Signal={key}\r\n" in info
        assert caller.bye("88").code == 200
    provider.respond(provider.request("BYE"), 200)


def test_codecs_that_one_trunk_has_are_not_everybodys(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        answer = caller.invite("echo", "RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000")
        assert codecs(answer)[0] == "pcmu/8000"
        assert caller.bye("echo").code == 200
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo", "RTP/AVP 8\r\na=rtpmap:8 PCMA/8000").code >= 400


def calls(
    caller: RawCaller, gateway: GatewayProcess, user: str, media: str, headers: str
) -> tuple[Answer, dict[str, Any]]:
    """The answer to a call with these headers, and the session that it became."""
    caller.send("INVITE", user, caller.offer(media), headers=headers)
    answer = caller.acknowledge(user)
    assert answer.code == 200
    assert caller.bye(user).code == 200
    return answer, gateway.newest_session(lambda session: session["metadata"]["sip_call_id"] == caller.call_id)


_BOTH = "RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000"
_ASSERTED = "P-Asserted-Identity: <tel:441632960123>\r\n"


def test_a_call_through_a_trunk_has_its_numbers_its_identity_and_its_codecs(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port, _TRUSTED) as carrier:
        answer, session = calls(carrier, gateway, "441632960177", _BOTH, _ASSERTED)
    assert codecs(answer)[0] == "pcma/8000"
    assert (session["from"], session["to"]) == (THEIRS, "+441632960177")
    assert session["metadata"]["trunk"] == "trusted"


def test_a_caller_who_wants_privacy_is_anonymous(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port, _TRUSTED) as carrier:
        _, session = calls(carrier, gateway, "441632960177", _BOTH, _ASSERTED + "Privacy: id\r\n")
    assert session["from"] == "anonymous"


def test_nobody_else_is_believed_to_be_who_they_assert(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        answer, session = calls(caller, gateway, "441632960177", _BOTH, _ASSERTED)
    assert codecs(answer)[0] == "pcmu/8000"
    assert (session["from"], session["to"]) == ("raw", "441632960177")
    assert "trunk" not in session["metadata"]


def test_a_trunk_registers_its_address_for_the_time_it_wants_and_proves_who_it_is(
    gateway: GatewayProcess, registrar: Provider
) -> None:
    asked = Answer(0, registrar.request("REGISTER"))
    assert asked.text.startswith(f"REGISTER sip:127.0.0.1:{registrar.port}")
    assert "sip:account@acme.example" in asked.header("To")
    assert asked.header("Expires") == "700"
    challenge = 'WWW-Authenticate: Digest realm="acme", nonce="1", algorithm=MD5\r\n'
    registrar.respond(asked.text, 401, "Unauthorized", challenge)
    while "Authorization" not in asked.text:  # it may have been asked more than once before
        asked = Answer(0, registrar.request("REGISTER"))
    assert 'username="account", realm="acme"' in asked.header("Authorization")
    registrar.respond(asked.text, 200, headers="Expires: 700\r\n")
    wait_for(lambda: '"registered": true' in gateway.log.read_text(), "the registration")


@pytest.mark.parametrize(("realm", "is_answered"), [("other", False), ("acme", True)])
def test_a_password_answers_the_challenges_of_its_own_realm_alone(
    gateway: GatewayProcess, provider: Provider, realm: str, is_answered: bool
) -> None:
    call_id = gateway.post("/calls", {"to": "100", "profile": "one-realm"}).json()["call_id"]
    invite = provider.request("INVITE")
    provider.respond(invite, 401, "Unauthorized", f'WWW-Authenticate: Digest realm="{realm}", nonce="1"\r\n')
    provider.request("ACK")
    if is_answered:
        invite = provider.request("INVITE")
        assert 'realm="acme"' in Answer(0, invite).header("Authorization")
        provider.respond(invite, 486, "Busy Here")
        provider.request("ACK")
    reason = "sip_486" if is_answered else "sip_401"
    assert ended(gateway, call_id)["end_reason"] == reason
