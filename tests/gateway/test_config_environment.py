# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment overrides the file, and its faults bear the variable's name."""

from pathlib import Path

import pytest

from gateway.environment import default_config_file, load_config
from gateway.errors import ConfigError

FILE = """
[sip]
port = 5080
[[trunk]]
name = "acme-west"
host = "sip.example.com"
[[trunk]]
name = "other"
host = "sip.example.net"
[agents.Front-Desk]
greeting = "Hello"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "parley.toml"
    path.write_text(FILE)
    return path


def faults_of(environ: dict[str, str], file: Path | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(file, {"HOME": "/home/somebody", **environ})
    return [str(fault) for fault in caught.value.faults]


def test_a_variable_beats_the_file_and_the_file_beats_the_default(file: Path) -> None:
    environ = {"HOME": "/home/somebody", "PARLEY_SIP__PORT": "5099", "PARLEY_MEDIA__RECORD": "true"}
    config = load_config(file, environ)
    assert (config.sip.port, config.media.record, config.http.port) == (5099, True, 8080)
    assert load_config(file, {"HOME": "/"}).sip.port == 5080


def test_lists_are_comma_separated_or_json(file: Path) -> None:
    comma = {"PARLEY_MEDIA__CODECS": "pcmu, g722", "PARLEY_AGENTS__FRONT_DESK__HINTS": "Aetna,Cigna"}
    config = load_config(file, {"HOME": "/", **comma})
    assert config.media.codecs == ("pcmu", "g722")
    assert config.agents["Front-Desk"].hints == ("Aetna", "Cigna")
    assert load_config(file, {"HOME": "/", "PARLEY_MEDIA__CODECS": '["pcma"]'}).media.codecs == ("pcma",)
    keys = load_config(None, {"HOME": "/", "PARLEY_HTTP__API_KEYS": "key1,key2"}).http.api_keys
    assert [key.get_secret_value() for key in keys] == ["key1", "key2"]


def test_names_in_variables_have_neither_case_nor_hyphens(file: Path) -> None:
    environ = {"HOME": "/", "PARLEY_AGENTS__FRONT_DESK__GREETING": "Good day", "PARLEY_TRUNK__ACME_WEST__PASSWORD": "x"}
    config = load_config(file, environ)
    assert config.agents["Front-Desk"].greeting == "Good day"
    assert config.trunk[0].password.get_secret_value() == "x"


def test_a_table_of_a_list_may_be_meant_by_its_number_from_one(file: Path) -> None:
    config = load_config(file, {"HOME": "/", "PARLEY_TRUNK__2__USERNAME": "bob"})
    assert [trunk.username for trunk in config.trunk] == ["", "bob"]


def test_routes_can_be_replaced_in_json() -> None:
    config = load_config(None, {"HOME": "/", "PARLEY_ROUTE": '[{"match": "7", "action": "echo"}]'})
    assert [(route.match, route.action) for route in config.route] == [("7", "echo")]


def test_faults_bear_the_variable_and_never_the_file_that_is_innocent(file: Path) -> None:
    assert faults_of({"PARLEY_SIP__PORT": "many"}, file) == [
        "PARLEY_SIP__PORT: must be a valid integer, unable to parse string as an integer, not 'many'"
    ]
    assert faults_of({"PARLEY_ROUTE": '[{"match": "(", "action": "echo"}]'}, file) == [
        "PARLEY_ROUTE #1.match: is not a regular expression: missing ), unterminated subpattern at position 0"
    ]
    assert faults_of({"PARLEY_CLUSTER__NODE_ID": "one"}) == [
        "PARLEY_CLUSTER__NODE_ID: means nothing without cluster.redis_url"
    ]


def test_misspelt_variables_are_faults() -> None:
    faults = faults_of({"PARLEY_SPI__PORT": "1", "PARLEY_SIP_PORT": "1", "PARLEY_TRUNK__NOBODY__HOST": "h"})
    assert faults[0] == "PARLEY_SIP_PORT: is no setting; did you mean PARLEY_SIP__PORT (two underscores)?"
    assert faults[1].startswith("PARLEY_SPI__PORT: there is no section 'spi': one of sip, http,")
    assert faults[2:] == ["PARLEY_TRUNK__NOBODY__HOST: there is no trunk 'nobody' that could be changed"]


def test_a_variable_must_name_a_key_no_more_and_no_less() -> None:
    assert faults_of({"PARLEY_SIP": "1"}) == ["PARLEY_SIP: is a section; name a key of it: PARLEY_SIP__KEY"]
    assert faults_of({"PARLEY_SIP__PORT__X": "1"}) == ["PARLEY_SIP__PORT__X: sip.port has nothing below it"]
    assert faults_of({"PARLEY_SIP__X__Y": "1"}) == ["PARLEY_SIP__X__Y: sip.x has nothing below it"]


def test_variables_of_the_scripts_are_not_settings() -> None:
    assert load_config(None, {"HOME": "/", "PARLEY_CACHE": "/tmp"}).sip.port == 5060


def test_folders_follow_the_xdg_variables(file: Path) -> None:
    config = load_config(None, {"HOME": "/", "XDG_DATA_HOME": "/srv/data", "XDG_CACHE_HOME": "/srv/cache"})
    assert config.store.data_dir == Path("/srv/data/parley")
    assert config.models.folder == Path("/srv/cache/parley/models")


def test_the_default_file_is_parley_toml_in_the_folder_if_there_is_one(file: Path) -> None:
    assert default_config_file(file.parent) == file
    assert default_config_file(file.parent / "elsewhere") is None
