# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate against callers on a bare socket: whom it lets in, what everybody else hears, and whose BYE counts.

127.0.0.2 and 127.0.0.3 play the carrier, 127.0.66.1 and further the attackers: to the gateway they are as foreign as
any other address.
"""

import itertools
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import SILENCE, Answer, RawCaller
from tests.gateway.sip.test_digest import Phone

CARRIER = "127.0.0.2"
SIP = 'strangers = "nobody"\nexempt = []\n'
SETTINGS = """
[[trunk]]
name = "carrier"
host = "127.0.0.2:{port}"
username = "us"
password = "secret"
allow = ["127.0.0.2/32", "127.0.0.3/32"]
[[user]]
name = "anna"
password = "correct horse"
[[user]]
name = "105"
password = "1050"
[[route]]
match = "manual"
action = "echo"
answer = "manual"
[[route]]
match = "agent|105"
action = "echo"
"""


@pytest.fixture(scope="module")
def carrier() -> Iterator[RawCaller]:
    """Where the trunk's calls go."""
    with RawCaller(0, CARRIER) as caller:
        yield caller


@pytest.fixture(scope="module")
def gateway(carrier: RawCaller, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    settings = SETTINGS.replace("{port}", str(carrier.sip.getsockname()[1]))
    with GatewayProcess(tmp_path_factory.mktemp("gate"), settings, record=False, sip=SIP) as process:
        carrier.aim(process.sip_port)
        yield process
    assert process.process.returncode == 0, process.log.read_text()[-3000:]


@pytest.fixture
def attacker() -> str:
    """An address that nobody has used before: bans outlast tests."""
    return f"127.0.66.{next(_attackers)}"


_attackers = itertools.count(1)


def _refused(gateway: GatewayProcess, reason: str) -> float:
    found = re.search(
        rf'^parley_sip_requests_refused_total\{{reason="{reason}"\}} (\S+)$', gateway.page("/metrics"), re.M
    )
    return float(found[1]) if found else 0.0


def _standing(gateway: GatewayProcess) -> list[str]:
    return [call["state"] for call in gateway.get("/calls")["calls"]]


def _challenged(caller: RawCaller, method: str = "INVITE", user: str = "agent") -> str:
    caller.send(method, user, caller.offer() if method == "INVITE" else "")
    answer = caller.final(method)
    assert answer.code == 401
    return answer.header("WWW-Authenticate")


def _with_password(caller: RawCaller, gateway: GatewayProcess, password: str, method: str, challenge: str) -> str:
    phone = Phone(password=password, uri=f"sip:agent@127.0.0.1:{gateway.sip_port}")
    caller.sequence += 1
    return f"Authorization: {phone.authorization(challenge, method)}\r\n"


def test_a_call_of_a_trunk_is_known_as_such(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port, CARRIER) as caller:
        assert caller.invite("agent").code == 200
        assert caller.bye("agent").code == 200
    assert gateway.newest_session()["metadata"]["trunk"] == "carrier"


def test_strangers_get_the_same_answer_whatever_they_ask(gateway: GatewayProcess, attacker: str) -> None:
    seen = set()
    for method, user in [("INVITE", "agent"), ("INVITE", "nobody"), ("OPTIONS", "anna"), ("REGISTER", "anna")]:
        with RawCaller(gateway.sip_port, attacker) as caller:
            caller.send(method, user, caller.offer() if method == "INVITE" else "")
            answer = caller.final(method)
            names = tuple(re.findall(r"(?m)^([\w-]+)\s*:", answer.text))
            seen.add((answer.text.splitlines()[0], names))
            assert "parley" not in answer.text.lower().replace('realm="parley"', "")
            assert "pjsip" not in answer.text.lower()
    assert len(seen) == 1


def test_a_user_logs_in_from_anywhere_and_his_message_works_once(gateway: GatewayProcess, attacker: str) -> None:
    with RawCaller(gateway.sip_port, attacker) as caller:
        login = _with_password(caller, gateway, "correct horse", "INVITE", _challenged(caller))
        caller.send("INVITE", "agent", caller.offer(), login)
        assert caller.acknowledge("agent").code == 200
        with RawCaller(gateway.sip_port, f"{attacker[:-1]}9{attacker[-1]}") as thief:
            thief.send("INVITE", "agent", thief.offer(), login)
            answer = thief.final("INVITE")
            assert answer.code == 401
            assert "stale=true" in answer.text
        assert caller.bye("agent").code == 200
    assert gateway.newest_session()["metadata"]["user"] == "anna"


def test_a_softphone_registers_and_nobody_is_ever_called_there(gateway: GatewayProcess, attacker: str) -> None:
    with RawCaller(gateway.sip_port, attacker) as caller:
        login = _with_password(caller, gateway, "correct horse", "REGISTER", _challenged(caller, "REGISTER"))
        caller.send("REGISTER", "agent", headers=f"{login}Expires: 600\r\n")
        answer = caller.final("REGISTER")
        assert answer.code == 200
        assert answer.header("Contact").endswith(";expires=600")


def test_guessing_passwords_ends_in_silence(gateway: GatewayProcess, attacker: str) -> None:
    with RawCaller(gateway.sip_port, attacker) as caller:
        challenge = _challenged(caller, "REGISTER")
        heard = 1
        for guess in range(12):
            login = _with_password(caller, gateway, f"guess {guess}", "REGISTER", challenge)
            caller.send("REGISTER", "agent", headers=login)
            try:
                answer = caller.final("REGISTER", timeout_s=1.0 if guess < 9 else 0.3)
            except TimeoutError:
                continue
            heard += 1
            assert answer.code == 401
            challenge = answer.header("WWW-Authenticate")
        assert heard == 10
    wait_for(lambda: _refused(gateway, "banned") > 0, "the count of dropped requests")
    assert attacker in next(line for line in gateway.log.read_text().splitlines() if "sip_source_banned" in line)


def test_scanners_hear_nothing(gateway: GatewayProcess, attacker: str) -> None:
    with RawCaller(gateway.sip_port, attacker) as caller:
        caller.send("OPTIONS", "100", headers="User-Agent: friendly-scanner\r\n")
        with pytest.raises(TimeoutError):
            caller.final("OPTIONS", timeout_s=0.5)


_SCAN = """
import importlib, socket, sys
from sipvicious.libs import svhelper
tool, name, address = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)
bind = socket.socket.bind
socket.socket.bind = lambda self, where: bind(self, (address, where[1]))
defaults = svhelper.makeRequest.__defaults__
svhelper.makeRequest.__defaults__ = tuple(name if one == "friendly-scanner" else one for one in defaults)
importlib.import_module(f"sipvicious.{tool}").main()
"""


def test_sipvicious_finds_nothing_even_in_disguise(gateway: GatewayProcess) -> None:
    scans = [
        ("svmap", "friendly-scanner", []),
        ("svmap", "Telephone", ["--fromname", "phone"]),
        ("svwar", "Telephone", ["-e", "100-110", "--force", "--maximumtime", "2"]),
        ("svwar", "Telephone", ["-m", "INVITE", "-e", "100-110", "--force", "--maximumtime", "2"]),
        ("svwar", "Telephone", ["-m", "OPTIONS", "-e", "100-110", "--force", "--maximumtime", "2"]),
        ("svcrack", "Telephone", ["-u", "105", "-r", "1000-1100", "--maximumtime", "2"]),
    ]
    target = ["-p", str(gateway.sip_port), "127.0.0.1"]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _SCAN, tool, name, f"127.0.67.{index}", *arguments, *target],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index, (tool, name, arguments) in enumerate(scans, 1)
    ]
    silent, seen, *others = [one.communicate(timeout=60)[0] for one in running]
    assert "found nothing" in silent
    assert "parley" not in seen.lower(), "it may see that somebody is there, not who"
    for output in others:
        assert "found nothing" in output


def test_a_connection_of_a_banned_source_is_closed(gateway: GatewayProcess, attacker: str) -> None:
    message = (
        "OPTIONS sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {0};branch=z9hG4bK{1}\r\nFrom: <sip:a@{0}>;tag={1}\r\n"
        "To: <sip:100@127.0.0.1>\r\nCall-ID: {1}\r\nCSeq: 1 OPTIONS\r\nUser-Agent: friendly-scanner\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway.sip_port), 5, (attacker, 0)) as connection:
        for number in range(2):  # the first bans, the second is not even looked at
            connection.sendall(message.format(attacker, number).encode())
            time.sleep(0.1)
        connection.settimeout(5.0)
        assert connection.recv(4096) == b""


def _forge(caller: RawCaller, thief: RawCaller, method: str, user: str) -> Answer | None:
    """The caller's own request, tags, branch and all, from another address."""
    own = caller.sip
    caller.sequence += method == "BYE"
    caller.sip = thief.sip
    try:
        caller.send(method, user)
        return caller.final(method, timeout_s=3.0)
    finally:
        caller.sip = own


def test_a_forged_bye_ends_no_call(gateway: GatewayProcess, attacker: str) -> None:
    with RawCaller(gateway.sip_port, CARRIER) as caller, RawCaller(gateway.sip_port, attacker) as thief:
        assert caller.invite("agent").code == 200
        answer = _forge(caller, thief, "BYE", "agent")
        assert answer is not None
        assert answer.code == 481, "as if there were no call"
        assert _standing(gateway) == ["active"]
        for _ in range(10):
            caller.speak(SILENCE)
            time.sleep(0.02)
        assert caller.hear(), "the call goes on"
        assert caller.bye("agent").code == 200


def test_a_trunks_other_address_may_end_its_calls(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port, CARRIER) as caller, RawCaller(gateway.sip_port, "127.0.0.3") as other:
        assert caller.invite("agent").code == 200
        answer = _forge(caller, other, "BYE", "agent")
        assert answer is not None
        assert answer.code == 200


def test_a_forged_cancel_stops_no_ringing(gateway: GatewayProcess, attacker: str) -> None:
    with RawCaller(gateway.sip_port, CARRIER) as caller, RawCaller(gateway.sip_port, attacker) as thief:
        caller.send("INVITE", "manual", caller.offer())
        wait_for(lambda: _standing(gateway), "the call")
        answer = _forge(caller, thief, "CANCEL", "manual")
        assert answer is not None
        assert answer.code == 481
        assert len(_standing(gateway)) == 1
        caller.send("CANCEL", "manual")
        assert caller.acknowledge("manual").code == 487
    wait_for(lambda: not _standing(gateway), "the end of the call")


def test_a_flood_is_dropped_and_a_trunks_call_is_answered(gateway: GatewayProcess, attacker: str) -> None:
    with RawCaller(gateway.sip_port, attacker) as flood, RawCaller(gateway.sip_port, CARRIER) as caller:
        before = _refused(gateway, "banned")
        for _ in range(150):  # what a socket's buffer holds
            flood.send("INVITE", "agent", flood.offer())
        assert caller.invite("agent").code == 200
        assert caller.bye("agent").code == 200
        wait_for(lambda: _refused(gateway, "banned") >= before + 130, "the count of what was dropped")
        flood.sip.settimeout(0.2)
        answers = 0
        while True:
            try:
                flood.sip.recv(65536)
            except TimeoutError:
                break
            answers += 1
        assert answers == 10


def test_a_password_answers_whom_we_called_and_nobody_else(
    gateway: GatewayProcess, carrier: RawCaller, attacker: str
) -> None:
    placed = gateway.post("/calls", {"to": "5550100", "profile": "carrier", "agent": "receptionist"})
    assert placed.status_code == 201, placed.text
    carrier.challenge("INVITE")
    carrier.request("ACK")
    invite = carrier.request("INVITE")
    assert "Authorization: Digest" in invite, "whom we called is told who we are"
    with RawCaller(gateway.sip_port, attacker) as thief:
        carrier.foreign_contact = thief.contact  # from here on the call is between us and him
        carrier.accept(invite, contact=thief)
        gateway.post(f"/calls/{placed.json()['call_id']}/hangup")
        thief.challenge("BYE")
        with pytest.raises(TimeoutError):
            thief.request("BYE", timeout_s=0.5)
    wait_for(lambda: not _standing(gateway), "the end of the call")
