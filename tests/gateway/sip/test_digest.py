# SPDX-License-Identifier: GPL-3.0-or-later
"""Digest authentication of callers: RFC 7616's own arithmetic, and what must not work twice."""

import hashlib
import re
from dataclasses import dataclass

import pytest

from gateway.sip.digest import ALGORITHMS, Credentials, DigestServer, Outcome, stumbles_over_sha

REALM = "parley"
URI = "sip:agent@192.0.2.1"
PASSWORD = "correct horse"


def server(**settings: float) -> DigestServer:
    return DigestServer(REALM, {"anna": PASSWORD}, b"k" * 32, **settings)


@dataclass
class Phone:
    """Answers challenges as RFC 7616 section 3.4.1 says, written from it alone."""

    username: str = "anna"
    password: str = PASSWORD
    uri: str = URI

    def authorization(self, challenge: str, method: str = "INVITE", nc: str = "00000001", **changes: str) -> str:
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
        fields |= changes

        def digest(text: str) -> str:
            return hashlib.new({"SHA-256": "sha256", "MD5": "md5"}[fields["algorithm"]], text.encode()).hexdigest()

        secret = digest(f"{self.username}:{fields['realm']}:{self.password}")
        response = digest(f"{secret}:{fields['nonce']}:{nc}:0a4f113b:auth:{digest(f'{method}:{self.uri}')}")
        return (
            f'Digest username="{self.username}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", '
            f'uri="{self.uri}", response="{response}", algorithm={fields["algorithm"]}, cnonce="0a4f113b", '
            f"qop=auth, nc={nc}"
        )


def test_the_example_of_rfc_7616_is_read() -> None:
    header = (
        'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
        'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
        'response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    given = Credentials.parse(header)
    assert (given.username, given.nc, given.qop) == ("Mufasa", "00000001", "auth")
    digest = ALGORITHMS["MD5"]
    secret = digest(b"Mufasa:http-auth@example.org:Circle of Life")
    request = digest(b"GET:/dir/index.html")
    whole = f"{secret}:{given.nonce}:{given.nc}:{given.cnonce}:auth:{request}"
    assert digest(whole.encode()) == given.response


def test_the_best_algorithm_is_asked_for_first() -> None:
    challenges = server().challenge(0.0)
    assert [re.findall(r"algorithm=([\w-]+)", one) for one in challenges] == [["SHA-256"], ["MD5"]]


def test_who_stumbles_over_sha_256_is_asked_for_md5_alone() -> None:
    assert stumbles_over_sha("baresip v1.0.0 (x86_64/linux)")
    assert not stumbles_over_sha("baresip v3.10.1 (x86_64/Linux)")
    assert not stumbles_over_sha("Linphonec/5.1.65")
    (challenge,) = server().challenge(0.0, md5_only=True)
    assert "algorithm=MD5" in challenge


@pytest.mark.parametrize("which", [0, 1], ids=["SHA-256", "MD5"])
def test_the_right_password_is_taken_with_every_algorithm(which: int) -> None:
    digest = server()
    header = Phone().authorization(digest.challenge(0.0)[which])
    assert digest.verify(header, "INVITE", URI, 1.0) == (Outcome.VALID, "anna")


@pytest.mark.parametrize(
    ("phone", "method", "uri"),
    [
        (Phone(password="wrong"), "INVITE", URI),
        (Phone(username="nobody"), "INVITE", URI),
        (Phone(username="nobody", password=""), "INVITE", URI),
        (Phone(), "REGISTER", URI),
        (Phone(), "INVITE", "sip:premium@192.0.2.1"),
        (Phone(), "INVITE", "sip:agent@198.51.100.7"),
    ],
)
def test_a_wrong_password_name_method_or_target_is_not(phone: Phone, method: str, uri: str) -> None:
    digest = server()
    header = phone.authorization(digest.challenge(0.0)[0])
    assert digest.verify(header, method, uri, 1.0) == (Outcome.WRONG, "")


def test_a_request_is_worth_nothing_the_second_time() -> None:
    digest = server()
    challenge = digest.challenge(0.0)[0]
    header = Phone().authorization(challenge)
    assert digest.verify(header, "INVITE", URI, 1.0)[0] is Outcome.VALID
    assert digest.verify(header, "INVITE", URI, 1.0)[0] is Outcome.STALE
    assert digest.verify(Phone().authorization(challenge, nc="00000002"), "INVITE", URI, 1.0)[0] is Outcome.VALID
    assert digest.verify(header, "INVITE", URI, 1.0)[0] is Outcome.STALE


def test_another_count_cannot_be_written_into_a_request_that_was_heard() -> None:
    digest = server()
    header = Phone().authorization(digest.challenge(0.0)[0])
    assert digest.verify(header, "INVITE", URI, 1.0)[0] is Outcome.VALID
    assert digest.verify(header.replace("nc=00000001", "nc=00000002"), "INVITE", URI, 1.0)[0] is Outcome.WRONG


def test_a_nonce_is_good_for_its_time_only() -> None:
    digest = server(nonce_s=60.0)
    header = Phone().authorization(digest.challenge(0.0)[0])
    assert digest.verify(header, "INVITE", URI, 60.0)[0] is Outcome.STALE
    assert digest.verify(header, "INVITE", URI, 59.9)[0] is Outcome.VALID


def test_a_nonce_of_another_process_is_not_ours() -> None:
    other = DigestServer(REALM, {"anna": PASSWORD}, b"x" * 32)
    header = Phone().authorization(other.challenge(0.0)[0])
    assert server().verify(header, "INVITE", URI, 1.0)[0] is Outcome.STALE


def test_a_nonce_whose_count_was_forgotten_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sip.digest._MOST_NONCES", 2)
    digest = server()
    headers = [Phone().authorization(digest.challenge(float(now))[0]) for now in range(3)]
    for header in headers:
        assert digest.verify(header, "INVITE", URI, 10.0)[0] is Outcome.VALID
    assert [digest.verify(header, "INVITE", URI, 10.0)[0] for header in headers] == [Outcome.STALE] * 3


def test_the_port_and_parameters_of_the_target_may_differ() -> None:
    digest = server()
    header = Phone(uri="sip:agent@192.0.2.1:5060;transport=tcp").authorization(digest.challenge(0.0)[0])
    assert digest.verify(header, "INVITE", URI, 1.0)[0] is Outcome.VALID


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic YW5uYTpwYXNz",
        "Digest",
        "Digest username=",
        'Digest username="anna"',
        'Digest username="anna", username="anna"',
        "Digest " + ", ".join(["a=b"] * 1000),
        'Digest username="\udcff", realm="parley", nonce="\udcff", uri="\udcff", response="\udcff", cnonce="x", nc=1',
    ],
)
def test_nothing_that_is_sent_raises(header: str) -> None:
    assert server().verify(header, "INVITE", URI, 1.0)[0] in (Outcome.WRONG, Outcome.STALE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("qop=auth", "qop=auth-int"),
        ('realm="parley"', 'realm="elsewhere"'),
        ("algorithm=SHA-256", "algorithm=SHA-512-256"),
        ("nc=00000001", "nc=1"),
        ('nonce="', 'nonce="A'),
    ],
)
def test_what_was_not_asked_for_is_not_taken(old: str, new: str) -> None:
    digest = server()
    header = Phone().authorization(digest.challenge(0.0)[0])
    assert old in header
    assert digest.verify(header.replace(old, new), "INVITE", URI, 1.0)[0] is not Outcome.VALID
