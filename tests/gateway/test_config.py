# SPDX-License-Identifier: GPL-3.0-or-later
"""What is allowed in the configuration, and what is said about the rest."""

import base64
from pathlib import Path

import pytest

from agent.config import KnowledgeConfig
from gateway.calls.route import RouteConfig
from gateway.config import Config, SipConfig
from gateway.environment import load_config
from gateway.errors import ConfigError
from media import noise


def faults_of(folder: Path, toml: str, **environ: str) -> list[str]:
    """The faults of a configuration file, without the file's own name in front."""
    file = folder / "parley.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load_config(file, {"HOME": str(folder), **environ})
    return [str(fault).removeprefix(f"{file}: ") for fault in caught.value.faults]


def loaded(folder: Path, toml: str, **environ: str) -> Config:
    file = folder / "parley.toml"
    file.write_text(toml)
    return load_config(file, {"HOME": str(folder), **environ})


def test_without_a_file_the_embedded_default_answers_every_number_and_echo() -> None:
    config = load_config(None, {"HOME": "/home/somebody"})
    assert (config.sip.bind, config.sip.port, config.sip.transports) == ("0.0.0.0", 5060, ("udp", "tcp"))
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8080)
    assert list(config.agents) == ["receptionist"]
    echo, agent = config.route_for("echo", "192.0.2.1"), config.route_for("+15550100", "192.0.2.1")
    assert echo is not None
    assert echo.action == "echo"
    assert agent is not None
    assert (agent.action, agent.agent) == ("agent", "receptionist")


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ('"always"', "always")])
def test_protection_against_loss_is_on_off_or_unconditional(tmp_path: Path, text: str, value: bool | str) -> None:
    assert loaded(tmp_path, f"[media]\nfec = {text}").media.fec == value
    assert loaded(tmp_path, "", PARLEY_MEDIA__FEC=text.strip('"')).media.fec == value


def test_the_first_route_that_matches_wins_and_the_whole_user_part_must_match(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """
        [[route]]
        match = "1\\\\d\\\\d"
        action = "reject"
        code = 404
        [[route]]
        match = "1.*"
        action = "echo"
        """,
    )
    codes = [config.route_for(user, "192.0.2.1") for user in ("100", "1000", "2")]
    assert [route and route.action for route in codes] == ["reject", "echo", None]


def test_a_route_may_ask_for_the_source_and_the_trunk() -> None:
    route = RouteConfig(match=".*", source="192.0.2.0/24", trunk="acme", action="echo")
    assert route.matches("1", "192.0.2.7", "acme")
    assert not route.matches("1", "198.51.100.7", "acme")
    assert not route.matches("1", "192.0.2.7", None)
    assert not route.matches("1", "no address", "acme")


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "hello.wav").touch()
    (tmp_path / "facts").mkdir()
    config = loaded(
        tmp_path,
        """
        [store]
        data_dir = "data"
        [agents.desk]
        knowledge = "facts"
        [[route]]
        action = "play"
        file = "hello.wav"
        """,
    )
    assert config.store.data_dir == tmp_path / "data"
    assert config.store.database_url == f"sqlite+aiosqlite:///{tmp_path}/data/parley.db"
    assert config.route[0].file == tmp_path / "hello.wav"
    assert config.agents["desk"].knowledge == KnowledgeConfig(sources=(str(tmp_path / "facts"),))


def test_all_faults_are_reported_together_each_with_file_key_and_what_is_allowed(tmp_path: Path) -> None:
    faults = faults_of(
        tmp_path,
        """
        [sip]
        port = 70000
        transports = ["udp", "sctp"]
        prot = 5
        [media]
        rtp_port_min = 6000
        rtp_port_max = 5000
        [[trunk]]
        name = "acme"
        host = "sip.example.com"
        allow = ["10.0.0.1/8"]
        [[route]]
        match = "("
        action = "echo"
        [[route]]
        action = "agent"
        agent = "nobody"
        [[route]]
        action = "play"
        file = "gone.wav"
        """,
    )
    assert faults == [
        "sip.port: must be less than or equal to 65535, not 70000",
        "sip.transports#2: must be 'udp', 'tcp' or 'tls', not 'sctp'",
        f"sip.prot: there is no such key; known here: {', '.join(SipConfig.model_fields)}",
        "trunk#1.allow#1: must be an address or a network like 203.0.113.0/24 (10.0.0.1/8 has host bits set)",
        "route#1.match: is not a regular expression: missing ), unterminated subpattern at position 0",
        f"route#3.file: there is no file {tmp_path}/gone.wav",
        "route#2.agent: there is no agent 'nobody': one of receptionist",
        "media.rtp_port_max: is below media.rtp_port_min (6000)",
    ]


def test_a_contradiction_is_named_by_its_number_in_the_file_even_behind_a_broken_neighbour(tmp_path: Path) -> None:
    faults = faults_of(
        tmp_path,
        """
        [[trunk]]
        host = "h"
        [[trunk]]
        name = "b"
        host = "h"
        transport = "tls"
        """,
    )
    assert faults == ["trunk#1.name: is missing", "trunk#2.transport: tls is not among sip.transports"]


def test_a_bridge_is_answered_by_nobody_but_the_other_side(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, '[[route]]\naction = "bridge"\nto = "100"\nanswer = "manual"\n')
    assert faults == ['route#1.answer: a bridge is answered when the other side answers: "auto"']


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        (
            '[[trunk]]\nname = "a"\nhost = "h"\nsrtp_keying = "dtls"',
            "trunk#1.srtp_keying: is not supported in this version: only sdes is",
        ),
    ],
)
def test_what_this_version_cannot_do_is_a_fault_and_never_ignored(tmp_path: Path, toml: str, fault: str) -> None:
    assert faults_of(tmp_path, toml) == [fault]


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("mysql+aiomysql://u:swordfish@h/d", "is no database of ours"),
        ("swordfish", "is no database of ours"),
        ("postgresql://u:swordfish@h/d", "names no driver"),
        ("postgresql+psycopg://u:swordfish@h/d", "is no database of ours"),
        ("postgresql+asyncpg://u:swordfish@h", "names no database"),
        ("sqlite+aiosqlite://", "names no file"),
    ],
)
def test_a_database_that_is_not_supported_is_refused_without_its_password(tmp_path: Path, url: str, fault: str) -> None:
    (found,) = faults_of(tmp_path, f'[store]\nurl = "{url}"')
    assert found.startswith(f"store.url: {fault}")
    assert "swordfish" not in found


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ("[http]\nport = 5060", "http.port: 5060 is sip.port too"),
        ("[sip]\nport = 12000", "sip.port: 12000 is inside the RTP range 10000 to 19999"),
        (
            "[media]\nrtp_port_max = 10099",
            "media.rtp_port_max: ports 10000 to 10099 are enough for 50 calls, two each; sip.max_calls is 1000",
        ),
        ('[sip]\ntransports = ["tls"]\ntls_cert = "x.pem"', None),
        ('[[trunk]]\nname = "a"\nhost = "h"\ntransport = "tls"', "trunk#1.transport: tls is not among sip.transports"),
        (
            '[[trunk]]\nname = "a"\nhost = "h"\nregister = true',
            "trunk#1.register: registering needs a username",
        ),
        (
            '[[user]]\nname = "a"\npassword = "x"\n[[user]]\nname = "a"\npassword = "y"',
            "user#2.name: there is another user named 'a'",
        ),
        ('[[user]]\nname = "a"\npassword = ""', "user#1.password: must not be empty"),
        (
            '[[trunk]]\nname = "a"\nhost = "h"\n[[trunk]]\nname = "a"\nhost = "i"',
            "trunk#2.name: there is another trunk named 'a'",
        ),
        (
            '[[route]]\naction = "echo"\nfile = "parley.toml"',
            'route#1: action "echo" has no key file',
        ),
        (
            '[[route]]\naction = "echo"\nringing_file = "parley.toml"',
            'route#1: ringing_file needs answer = "manual" or "backend": other calls do not ring',
        ),
        (
            '[[route]]\naction = "echo"\ntrunk = "b"',
            "route#1.trunk: there is no trunk 'b': none is configured",
        ),
        (
            "[agents.a]\n[agents.b]",
            "route: there are several agents and no [[route]] that says which number reaches which",
        ),
        (
            '[agents.a]\n[agents.b]\n[[route]]\naction = "agent"',
            "route#1.agent: is missing: one of a, b",
        ),
        ('[agents.a]\nllm = "gpt"', "agents.a.llm: there is no service 'gpt': one of local"),
        ('[agents.a.turn]\ndetector = "x"', "agents.a.turn.detector: there is no service 'x': one of local, none"),
        ("[agents.'no spaces']", "agents.no spaces: a name is letters, digits, - and _, at most 64"),
        (
            '[sip]\nstun = "s"\npublic_address = "203.0.113.5"',
            "sip.stun: finds out what sip.public_address says: leave one of them out",
        ),
        ('[sip]\npublic_address = "pbx.example.com"', "sip.public_address: must be an IPv4 address like 203.0.113.5"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_faults(tmp_path: Path, toml: str, fault: str | None) -> None:
    if fault is None:
        assert faults_of(tmp_path, toml) == [
            f"sip.tls_cert: there is no file {tmp_path}/x.pem",
            "sip.tls_key: is missing: sip.transports has tls",
        ]
    else:
        assert faults_of(tmp_path, toml) == [fault]


def test_noise_suppression_without_its_library_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(tmp_path, '[media]\nnoise_suppression = "low"').media.noise_suppression == "low"
    monkeypatch.setattr(noise, "AudioProcessor", None)
    (fault,) = faults_of(tmp_path, '[media]\nnoise_suppression = "low"')
    assert fault == "media.noise_suppression: needs the extra noise: .venv/bin/pip install -e '.[noise]'"
    assert loaded(tmp_path, "").media.noise_suppression == "off"


def test_secrets_are_neither_shown_nor_repeated_in_faults(tmp_path: Path) -> None:
    config = loaded(tmp_path, '[[trunk]]\nname = "a"\nhost = "h"\npassword = "hunter2"', PARLEY_HTTP__API_KEYS="k1")
    assert "hunter2" not in repr(config)
    assert "k1" not in repr(config)
    faults = faults_of(tmp_path, '[http]\napi_keys = ["two words"]\n[[trunk]]\nname = "a"\nhost = "h"\npassword = 77')
    assert not any("two words" in fault or "77" in fault for fault in faults)
    assert len(faults) == 2


def test_a_file_that_cannot_be_read_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / "none.toml", {"HOME": "/"})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, {"HOME": "/"})
    (fault,) = faults_of(tmp_path, "[sip\n")
    assert fault.startswith(f"{tmp_path}/parley.toml: is not valid TOML") or fault.startswith("is not valid TOML")
    assert "line 1" in fault


def test_values_cannot_be_changed_after_loading() -> None:
    config = Config()
    with pytest.raises(ValueError, match="frozen"):
        config.sip.port = 1


def test_every_field_of_our_sections_says_what_it_means_or_needs_no_word() -> None:
    silent = {"tls_port", "redis_url", "node_id", "region", "port", "transport", "username", "password", "level"}
    silent |= {"stream_url", "protocol", "codec", "direction", "sample_rate", "to", "name", "action"}
    for section, field in Config.model_fields.items():
        model = field.annotation
        for name, info in getattr(model, "model_fields", {}).items():
            assert info.description or name in silent, f"[{section}] {name} has no description"


@pytest.mark.parametrize("key", ["k", "A" * 43, base64.b64encode(bytes(16)).decode()])
def test_a_key_that_is_none_is_a_fault_that_says_how_to_make_one_and_not_what_it_was(tmp_path: Path, key: str) -> None:
    (fault,) = faults_of(tmp_path, f'[store]\nencryption_key = "{key}"')
    said = "must be 32 random bytes in base64 (44 characters); make one with: openssl rand -base64 32"
    assert fault == f"store.encryption_key: {said}"


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    config = load_config(None, {"HOME": str(tmp_path), "PARLEY_STORE__ENCRYPTION_KEY": key})
    assert config.store.key is not None
    assert key not in repr(config)
