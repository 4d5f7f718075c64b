# SPDX-License-Identifier: GPL-3.0-or-later
"""The profiles that come with Parley, and what is said about faulty ones."""

import json
import tomllib
from datetime import date
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.trunks import listing
from gateway.trunks.profile import TrunkProfile
from gateway.trunks.profiles import FOLDER, examine, load_profile, profile_names, read_profile
from tests.gateway.test_config import faults_of, loaded

PROVIDERS = ("twilio", "telnyx", "plivo", "vonage", "bandwidth", "signalwire")
PEERS = ("asterisk", "freeswitch", "3cx", "kamailio", "registration", "ip", "softphone")
GOOD = """
title = "Somebody"
source = ["https://example.com"]
last_verified = 2026-11-01
notes = "None."
"""


def test_every_provider_and_pbx_has_a_profile_and_none_has_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert profile_names() == sorted((*PROVIDERS, *PEERS))
    assert listing.check([], as_json=False, today=date(2026, 11, 23)) == 0
    assert capsys.readouterr().out == "13 profiles checked, 0 faults\n"


def test_the_facts_of_profiles_are_those_of_their_vendors() -> None:
    profiles = {name: TrunkProfile.model_validate(load_profile(name, Path())) for name in profile_names()}
    assert "54.172.60.0/30" in profiles["twilio"].allow
    assert profiles["twilio"].media_allow == ("168.86.128.0/18",)
    assert profiles["plivo"].prack == "off"
    assert profiles["telnyx"].failover_codes[:2] == (408, 480)
    assert profiles["vonage"].srtp_suites == ("AES_CM_128_HMAC_SHA1_80",)
    assert {name for name, one in profiles.items() if one.host} == {"telnyx"}


def test_a_trunk_is_as_its_profile_has_it_but_for_what_it_sets_itself(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        '[[trunk]]\nname = "a"\nprofile = "twilio"\nhost = "acme.pstn.twilio.com"\ncodecs = ["pcma"]\n'
        '[[trunk]]\nname = "b"\nprofile = "telnyx"',
    )
    twilio, telnyx = config.trunk
    assert (twilio.host, twilio.codecs, twilio.number_format) == ("acme.pstn.twilio.com", ("pcma",), "e164_plus")
    assert telnyx.host == "sip.telnyx.com"
    assert telnyx.allow == ("192.76.120.10/32", "64.16.250.10/32")


def test_a_profile_may_be_a_file_of_ones_own_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD + 'host = "sip.example.com"\nauth = "register"')
    (config,) = loaded(tmp_path, '[[trunk]]\nname = "a"\nprofile = "mine.toml"\nusername = "me"').trunk
    assert config.host == "sip.example.com"
    assert config.registers


@pytest.mark.parametrize(
    ("trunk", "fault"),
    [
        ('profile = "twillio"', "trunk#1.profile: there is no profile 'twillio': one of 3cx, asterisk, bandwidth, "),
        ('profile = "gone.toml"', "trunk#1.profile: {folder}/gone.toml: there is no such file"),
        ('profile = "bad.toml"', "trunk#1.profile: {folder}/bad.toml: srpt: there is no such key"),
        ('profile = "twilio"', "trunk#1.host: is missing: TRUNK.pstn.twilio.com"),
        ('host = "h"\nprofile = "registration"', 'trunk#1.username: is missing: auth is "register"'),
        ('host = "h"\nprofile = "ip"\nusername = "me"\nregister = true', 'trunk#1.auth: is "ip", and register is set'),
        ('host = "h"\nnumber_format = "national"', "trunk#1.country_code: is missing: whose national numbers"),
        ('host = "h"\nnumber = "Anna"', "trunk#1.number: String should match pattern"),
        ('host = "h"\nheaders = { "X Y" = "z" }', "trunk#1.headers.X Y: String should match pattern"),
    ],
)
def test_what_is_wrong_with_a_trunk_is_said_where_it_stands(tmp_path: Path, trunk: str, fault: str) -> None:
    (tmp_path / "bad.toml").write_text(GOOD + 'srpt = "off"')
    (said,) = faults_of(tmp_path, f'[[trunk]]\nname = "a"\n{trunk}')
    assert said.startswith(fault.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("source = []", "source is missing"),
        ("last_verified = 2027-01-01", "last_verified is 39 days from now"),
        ('allow = ["10.0.0.0/8"]', "allow has 10.0.0.0/8, which is no public network"),
        ('media_allow = ["0.0.0.0/1"]', "media_allow has 0.0.0.0/1"),
        ("media_ports = [2000, 1000]", "media_ports ends before it begins"),
        ("session_expires_s = 90\nmin_se_s = 120", "session_expires_s is below min_se_s (120)"),
    ],
)
def test_checking_finds_what_validating_does_not(line: str, detail: str) -> None:
    table = tomllib.loads(GOOD) | tomllib.loads(line)
    found = list(examine("mine", TrunkProfile.model_validate(table), date(2026, 11, 23)))
    assert [one.status for one in found] == ["fail"]
    assert detail in found[0].detail


def test_addresses_that_nobody_has_compared_for_a_year_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.toml").write_text(GOOD + 'allow = ["8.8.8.0/24"]')
    assert listing.check([], as_json=True, folder=tmp_path, today=date(2028, 1, 1)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert [one["status"] for one in told["findings"]] == ["warn"]


def test_a_broken_file_is_a_fault_of_the_check_and_not_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.toml").write_text("title = ")
    (tmp_path / "good.toml").write_text(GOOD)
    assert listing.check([], as_json=True, folder=tmp_path, today=date(2026, 11, 23)) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["checked"] == ["broken", "good"]
    assert [one["profile"] for one in told["findings"]] == ["broken"]
    assert listing.check(["nobody"], as_json=False, folder=tmp_path, today=date(2026, 11, 23)) == 1
    assert "there is no profile 'nobody'" in capsys.readouterr().out


def test_a_file_is_named_once_and_one_fault_is_no_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(GOOD + "prac = true")
    assert listing.check([str(mine)], as_json=False, today=date(2026, 11, 23)) == 1
    assert capsys.readouterr().out == f"fail  {mine}: prac: there is no such key\n1 profile checked, 1 fault\n"


def test_the_listing_names_all_and_shows_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert listing.show([], as_json=False) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 1 + 13 + 2
    assert listing.show(["plivo"], as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["profiles"]["plivo"]["prack"] == "off"
    assert listing.show(["plivo"], as_json=False) == 0
    assert "Zentrunk" in capsys.readouterr().out
    assert listing.show(["nobody"], as_json=False) == 1


def test_a_profile_that_is_a_folder_or_no_text_is_said_to_be_unreadable(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    for name in ("folder.toml", "latin.toml"):
        with pytest.raises(ConfigError, match=name):
            read_profile(tmp_path / name)


def test_the_profiles_lie_beside_the_packages_and_are_installed_with_them() -> None:
    build = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "sip_profiles" in build["packages"]["find"]["include"]
    assert build["package-data"]["sip_profiles"] == ["*.toml"]
    assert FOLDER.is_dir()
    assert (FOLDER.parent / "gateway").is_dir()
