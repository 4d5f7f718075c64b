# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about services that cannot do what agents want of them: where, and what cures it."""

from pathlib import Path

import pytest

from gateway.services.casting import cast
from tests.gateway.test_config import faults_of, loaded

_BRAIN = '[services.brain]\nkind = "openai"\nmodel = "m"\nurl = "http://127.0.0.1:1/v1"\n'
_CHAIN = '[services.both]\nkind = "chain"\n'


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        (
            '[services.x]\nkind = "depgram"',
            "services.x.kind: there is no kind 'depgram': one of chain, ",
        ),
        ('[services.x]\nkind = "openai_responses"\nurl = "http://h"', "services.x.model: is missing: which model"),
        (
            '[services.x]\nkind = "anthropic"\nmodel = "m"',
            "services.x.api_key_env: is missing: name the environment variable that has the key, or set url",
        ),
        (
            '[agents.a]\nstt = "x"\n[services.x]\nkind = "anthropic"\nmodel = "m"\nurl = "http://h"',
            "agents.a.stt: x is of kind anthropic, which can be llm. Kinds for stt: ",
        ),
        (
            '[agents.a]\nllm = "x"\n[services.x]\nkind = "elevenlabs"\nvoice = "v"\nurl = "http://h"',
            "agents.a.llm: x is of kind elevenlabs, which can be tts. Kinds for llm: ",
        ),
        (
            '[agents.a]\ntts = "x"\n[services.x]\nkind = "elevenlabs"\nurl = "http://h"',
            "services.x.voice: is missing: which of its voices is to speak (agent a)",
        ),
        (
            '[agents.a]\nrealtime = "x"\n[services.x]\nkind = "deepgram"\nurl = "http://h"',
            "agents.a.realtime: x is of kind deepgram, which can be stt, tts. Kinds for realtime: ",
        ),
        (
            '[agents.a]\nstt = "x"\n[services.x]\nkind = "azure"\napi_key = "k"',
            "services.x.region: is missing: where the key belongs to, like westeurope",
        ),
        ('[services.x]\nkind = "openai"\nof = ["a", "b"]', 'services.x: only kind "chain" has the key of'),
        (_CHAIN, 'services.both: kind "chain" needs the key of: two services or more'),
        (_CHAIN + 'of = ["local", "local"]', "services.both: a service is in it twice"),
        (_CHAIN + 'of = ["a", "local"]\nmodel = "m"', 'services.both: kind "chain" has no key model: set it where'),
        (_CHAIN + 'of = ["local", "nobody"]', "services.both.of#2: there is no service 'nobody': one of local"),
        (
            _CHAIN + 'of = ["also", "local"]\n[services.also]\nkind = "chain"\nof = ["both", "local"]',
            "services.both.of: leads in a circle: both > also > both",
        ),
        (
            _BRAIN + _CHAIN + 'of = ["brain", "local"]\n[agents.a]\nrealtime = "both"',
            "agents.a.realtime: ",
        ),
        (
            '[agents.a]\nvoice = "nova"',
            "agents.a.voice: there is one offline voice: leave it out, or name a tts of [services]",
        ),
        (
            '[agents.a]\nlanguage = "de"\nllm = "brain"\n' + _BRAIN,
            "agents.a.language: the offline engines know en only: name services that know de as stt, tts",
        ),
        ('[services.x]\nkind = "openai"\nmodel = "m"\nurl = "ftp://h"', "services.x.url: must be a URL like https:"),
    ],
)
def test_a_service_that_cannot_do_what_is_wanted_is_a_fault_with_its_place_and_its_cure(
    tmp_path: Path, toml: str, fault: str
) -> None:
    faults = faults_of(tmp_path, toml)
    assert any(one.startswith(fault) for one in faults), faults


def test_a_member_of_a_chain_that_cannot_play_the_role_is_named_with_the_chain(tmp_path: Path) -> None:
    toml = _BRAIN + _CHAIN + 'of = ["voice", "local"]\n[agents.a]\nllm = "both"\n'
    faults = faults_of(tmp_path, toml + '[services.voice]\nkind = "elevenlabs"\nvoice = "v"\nurl = "http://h"')
    assert len(faults) == 1
    assert faults[0].startswith("agents.a.llm: voice, a member of both, is of kind elevenlabs, which can be tts.")


def test_the_voice_of_an_agent_is_the_first_one_of_a_chain_and_the_others_need_their_own(tmp_path: Path) -> None:
    toml = _CHAIN + 'of = ["one", "two", "local"]\n[agents.a]\ntts = "both"\nvoice = "nova"\n'
    for name in ("one", "two"):
        toml += f'[services.{name}]\nkind = "elevenlabs"\nurl = "http://h"\n'
    assert faults_of(tmp_path, toml) == ["services.two.voice: is missing: which of its voices is to speak (agent a)"]


def test_a_secret_is_never_in_a_fault(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, '[services.x]\nkind = "chain"\napi_key = "sk-hush"\n')
    assert faults
    assert "hush" not in " ".join(faults)


def test_services_are_cast_in_every_role_that_an_agent_names_them_for_through_chains_too(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        _BRAIN
        + '[services.spare]\nkind = "openai"\nmodel = "m"\nurl = "http://h"\n'
        + _CHAIN
        + 'of = ["spare", "deep", "local"]\n'
        + '[services.deep]\nkind = "chain"\nof = ["brain", "spare"]\n'
        + '[services.idle]\nkind = "openai"\nmodel = "m"\nurl = "http://h"\n'
        + '[agents.a]\nllm = "both"\n[agents.b]\nllm = "brain"\n[[route]]\naction = "agent"\nagent = "a"\n',
    )
    assert list(cast(config)) == [("spare", "llm"), ("brain", "llm")]
