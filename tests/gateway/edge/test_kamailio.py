# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of Kamailio, as Kamailio finds it."""

import re
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.edge.kamailio import kamailio_config
from gateway.edge.plan import check_kamailio, edge_files, write_edge
from gateway.environment import load_config
from gateway.errors import ConfigError

PLAIN = '[edge]\nlisten = "127.0.0.1:5060"\n'
FULL = """
[sip]
exempt = ["192.0.2.1/32", "2001:db8::/32"]
[edge]
listen = "127.0.0.1:5060"
inside = "127.0.0.2:5070"
public_address = "203.0.113.1"
srtp = "required"
[[edge.relay]]
name = "eu"
region = "eu"
callers = ["198.51.100.0/24"]
ng = "127.0.0.1:2223"
outside = "127.0.0.1"
core_codec = "opus"
[[edge.relay]]
name = "eu2"
region = "eu"
ng = "127.0.0.1:2224"
outside = "127.0.0.1"
[[edge.relay]]
name = "world"
ng = "127.0.0.1:2225"
outside = "127.0.0.1"
public = "203.0.113.1"
inside = "10.0.0.1"
max_sessions = 100
redis = "secret@127.0.0.1:6379/5"
[[trunk]]
name = "acme"
host = "SIP.acme.example:5080"
backup_hosts = ["203.0.113.9"]
allow = ["198.51.100.16/28"]
outbound_proxy = "127.0.0.2:5070"
transport = "tcp"
srtp = "off"
[[trunk]]
name = "wide"
host = "sip.wide.example"
allow = ["198.51.0.0/16", "2001:db8:1::/48"]
"""


def loaded(folder: Path, text: str) -> Config:
    file = folder / "parley.toml"
    file.write_text(text)
    return load_config(file, {"HOME": str(folder)})


@pytest.mark.parametrize("text", [PLAIN, FULL, PLAIN + "hide = false\n"])
def test_kamailio_takes_it(tmp_path: Path, text: str) -> None:
    config = loaded(tmp_path, text.replace("[edge]", f'[edge]\nrun_dir = "{tmp_path}"'))
    write_edge(config, tmp_path / "out")
    assert check_kamailio(tmp_path / "out" / "kamailio.cfg") is None
    assert not re.search("@[A-Z_]+@", (tmp_path / "out" / "kamailio.cfg").read_text())


def test_what_kamailio_does_not_take_is_told(tmp_path: Path) -> None:
    file = tmp_path / "kamailio.cfg"
    file.write_text(kamailio_config(loaded(tmp_path, PLAIN)).replace('ds_select_dst("1", "10")', "ds_select()"))
    assert "ds_select" in (check_kamailio(file) or "")


def test_the_narrowest_network_has_the_last_word(tmp_path: Path) -> None:
    text = kamailio_config(loaded(tmp_path, FULL))
    whose = text[text.index("route[WHOSE]") : text.index("route[TO_NODE]")]
    order = [whose.index(f'"{network}"') for network in ("198.51.0.0/16", "198.51.100.16/28")]
    assert order == sorted(order)
    assert '$avp(region) = "1"' in whose[whose.index('"198.51.100.0/24"') :].partition("}")[0]


def test_a_trunk_is_called_as_it_wants_it(tmp_path: Path) -> None:
    text = kamailio_config(loaded(tmp_path, FULL))
    callee = text[text.index('$var(host) == "sip.acme.example" || $var(host) == "203.0.113.9"') :].partition("\n\t}")[0]
    assert '$avp(keying) = "a"' in callee
    assert ";transport=tcp" in callee
    assert '$avp(region) = "1"' in callee


def test_each_relay_has_a_file_of_its_own(tmp_path: Path) -> None:
    files = edge_files(loaded(tmp_path, FULL))
    assert sorted(files) == ["kamailio.cfg", "rtpengine-eu.conf", "rtpengine-eu2.conf", "rtpengine-world.conf"]
    lines = files["rtpengine-world.conf"].splitlines()
    for line in (
        "table = -1",
        "interface = outside/127.0.0.1!203.0.113.1;inside/10.0.0.1",
        "endpoint-learning = heuristic",
        "redis = secret@127.0.0.1:6379/5",
        "max-sessions = 100",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[edge]\nlisten = "0.0.0.0:5060"', "edge.listen: must be one address"),
        ('[edge]\ntransports = ["tls"]', "edge.tls_cert: is missing"),
        (FULL.replace("2225", "2224"), "there is another relay with '127.0.0.1:2224'"),
        (FULL.replace('name = "world"', 'name = "world"\ncallers = ["192.0.2.0/24"]'), "one region must take all"),
        ('[sip]\nedges = ["10.0.0.1/32"]\n[media]\nsrtp = "required"', "media.srtp: keys end at the edge"),
        (
            '[[trunk]]\nname = "a"\nhost = "h"\noutbound_proxy = "p"\nmedia_allow = ["192.0.2.0/24"]',
            "media_allow: with outbound_proxy its RTP comes from the edge's relays",
        ),
        (
            '[[trunk]]\nname = "a"\nhost = "h"\noutbound_proxy = "p"\nregister = true\nusername = "u"',
            "outbound_proxy: a trunk that is registered with",
        ),
    ],
)
def test_contradictions_are_told(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert fault in "\n".join(map(str, caught.value.faults))
