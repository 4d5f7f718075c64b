# SPDX-License-Identifier: GPL-3.0-or-later
"""Where URLs from outside may lead: spellings, addresses, names that change their mind."""

import contextlib
import ipaddress
import socket

import pytest

from gateway.errors import UrlError, UrlRefused, UrlUnreachable
from gateway.guard import FLOW_URL, PLAY_URL, STREAM_URL, OutboundGuard, SocketAddress, unreachable_kind

PUBLIC = "93.184.215.14"


class Names:
    """A resolver: what each name leads to, one answer after the other; the last one stays."""

    def __init__(self, **answers: list[str]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[SocketAddress]:
        self.asked.append(host)
        with contextlib.suppress(ValueError):
            return [(str(ipaddress.ip_address(host)), port)]
        if host not in self._answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        answers = self._answers[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(address, port) for address in found.split()]


# Every spelling goes through the machine's own getaddrinfo, as a connection would.
HIDDEN_LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "127.255.255.254",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
]
INNER_NETWORKS = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.88.99.1",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "240.0.0.1",
    "0.1.2.3",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[ff0e::1]",
    "[100::1]",
    "[2001:db8::1]",
    "[64:ff9b:1::7f00:1]",
    "[3fff:ffff:ffff::1]" if ipaddress.ip_address("3fff:ffff:ffff::1").is_private else "[5f00::1]",
]


@pytest.mark.parametrize("host", HIDDEN_LOOPBACK + INNER_NETWORKS)
async def test_no_spelling_leads_inside(host: str) -> None:
    guard = OutboundGuard()
    for scheme in ("wss", "ws"):
        with pytest.raises(UrlError) as caught:
            await guard.check(f"{scheme}://{host}:8443/", STREAM_URL)
        assert str(caught.value).startswith("stream_url: ")
        assert host.strip("[]") not in str(caught.value)
        # A name that nobody knows here is fine: some C libraries do not take every spelling.
        assert isinstance(caught.value, UrlRefused) or host in ("127.0.0.1.",)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "1.1.1.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
async def test_public_addresses_are_taken_by_encrypted_schemes(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    guard = OutboundGuard()
    target = await guard.check(f"wss://{host}/media?a=1", STREAM_URL)
    assert target.addresses[0][:2] == (address, 443)
    assert (target.host, target.port, target.is_encrypted) == (address, 443, True)
    with pytest.raises(UrlRefused, match="stream_url: is not encrypted"):
        await guard.check(f"ws://{host}/media", STREAM_URL)


def test_what_wraps_a_public_address_is_judged_by_it() -> None:
    assert unreachable_kind(ipaddress.ip_address("64:ff9b::808:808")) is None
    assert unreachable_kind(ipaddress.ip_address("::ffff:8.8.8.8")) is None
    assert unreachable_kind(ipaddress.ip_address("2002:808:808::1")) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "stream",
        "//host/path",
        "https://host/",
        "http://host/",
        "file:///etc/passwd",
        "gopher://host:70/",
        "wss://",
        "wss:///path",
        "wss://:443/",
        "wss://user@host/",
        "wss://user:word@host/",
        "wss://good.example@127.0.0.1/",
        "wss://host:0/",
        "wss://host:65536/",
        "wss://host:port/",
        "wss://host/#part",
        "wss://host\\@127.0.0.1/",
        "wss://ho st/",
        "wss://host/\r\nX: y",
        "wss://host\t/",
        "wss://１２７.0.0.1/",  # noqa: RUF001 full-width digits
        "wss://①②⑦.0.0.1/",
        "wss://%31%32%37.0.0.1/",
        "wss://[::1%25lo]/",
        "wss://[::1/",
        "tcp://host/",
        "wss://host/" + "a" * 3000,
    ],
)
async def test_what_is_no_url_for_this_is_refused_before_any_name_is_looked_up(url: str) -> None:
    names = Names(host=[PUBLIC])
    with pytest.raises(UrlRefused, match=r"^stream_url: "):
        await OutboundGuard(resolve=names).check(url, STREAM_URL)
    assert names.asked == []


async def test_the_error_names_the_field_and_not_where_a_name_leads() -> None:
    guard = OutboundGuard(resolve=Names(inner_example=["10.1.2.3"]))
    with pytest.raises(UrlRefused) as caught:
        await guard.check("https://inner.example/a.wav", PLAY_URL)
    assert str(caught.value) == "url: leads to a private address; only the operator's list outbound.allow admits those"
    with pytest.raises(UrlUnreachable, match=r"^flow_url: the host's name cannot be resolved$"):
        await guard.check("https://nobody.example/flow", FLOW_URL)


async def test_of_several_addresses_only_public_ones_are_connected_to() -> None:
    guard = OutboundGuard(resolve=Names(mixed_example=[f"127.0.0.1 {PUBLIC} ::1 10.0.0.1"]))
    target = await guard.check("wss://mixed.example/", STREAM_URL)
    assert target.addresses == ((PUBLIC, 443),)


async def test_a_name_that_changes_its_mind_is_asked_again_every_time() -> None:
    names = Names(rebind_example=[PUBLIC, "127.0.0.1"])
    guard = OutboundGuard(resolve=names)
    assert (await guard.check("wss://rebind.example/", STREAM_URL)).addresses == ((PUBLIC, 443),)
    with pytest.raises(UrlRefused, match="loopback"):
        await guard.check("wss://rebind.example/", STREAM_URL)


async def test_the_operators_networks_are_admitted_in_clear_and_on_any_port_and_nothing_beside_them() -> None:
    guard = OutboundGuard(["127.0.0.0/8", "10.1.0.0/16", "fd00::/8"])
    for url in (
        "ws://127.0.0.1:25/",
        "wss://127.1/",
        "ws://[::ffff:10.1.2.3]/",
        "tcp://10.1.0.9:9092",
        "ws://[fd00::7]/",
    ):
        assert (await guard.check(url, STREAM_URL)).addresses
    for url in ("ws://[::1]/", "wss://10.2.0.1/", "ws://[64:ff9b::7f00:1]/", "wss://169.254.169.254/"):
        with pytest.raises(UrlRefused):
            await guard.check(url, STREAM_URL)


@pytest.mark.parametrize(
    ("port", "taken"), [(22, False), (25, False), (80, True), (443, True), (1023, False), (1024, True)]
)
async def test_ports_of_other_services_are_not_reached(port: int, taken: bool) -> None:
    guard = OutboundGuard()
    if taken:
        assert (await guard.check(f"wss://{PUBLIC}:{port}/", STREAM_URL)).port == port
    else:
        with pytest.raises(UrlRefused, match=f"port {port}"):
            await guard.check(f"wss://{PUBLIC}:{port}/", STREAM_URL)


async def test_a_connection_goes_to_the_address_that_was_judged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        names = Names(backend_example=["127.0.0.1", "203.0.113.1"])
        target, connection = await OutboundGuard(["127.0.0.0/8"], names).connect(
            f"ws://backend.example:{port}/", STREAM_URL
        )
        with connection:
            assert connection.getpeername() == ("127.0.0.1", port)
            assert target.host == "backend.example"
        assert names.asked == ["backend.example"]


async def test_the_next_address_is_tried_when_nobody_answers_at_the_first() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        guard = OutboundGuard(["127.0.0.0/8"], Names(two_example=["127.0.0.2 127.0.0.1"]))
        _, connection = await guard.connect(f"ws://two.example:{port}/", STREAM_URL)
        connection.close()
    with pytest.raises(UrlUnreachable, match="nobody answers there"):
        await guard.connect(f"ws://two.example:{port}/", STREAM_URL)
