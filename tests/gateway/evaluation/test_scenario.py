# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenario files: what they may say, and what is said about those that may not."""

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.evaluation.scenario import Echo, load_scenario

SHIPPED = sorted((Path(__file__).parents[3] / "scripts" / "scenarios").glob("*.toml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "call.toml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str) -> list[str]:
    path = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    return [str(fault).removeprefix(f"{path}: ") for fault in caught.value.faults]


def test_a_scenario_is_named_like_its_file_unless_it_has_a_name(tmp_path: Path) -> None:
    step = '[[step]]\nsay = "Hello."\n'
    assert load_scenario(written(tmp_path, step)).name == "call"
    assert load_scenario(written(tmp_path, f'name = "greeting"\n{step}')).name == "greeting"


def test_text_and_pauses_make_one_utterance(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path, '[[step]]\nsay = ["I would like", 700, "to book."]\n'))
    assert scenario.step[0].say == ("I would like", 700, "to book.")
    assert scenario.step[0].label == "I would like (700 ms) to book."


def test_expectations_are_regular_expressions_that_ignore_case(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path, '[[step]]\nsay = "Hi."\nexpect.heard = "good (morning|day)"\n'))
    pattern = scenario.step[0].expect.heard
    assert pattern is not None
    assert pattern.search("Well, Good Day!")
    assert not pattern.search("Good evening.")


def test_a_caller_has_a_line(tmp_path: Path) -> None:
    text = '[caller]\nnoise = "pink"\nsnr_db = 10\necho = { delay_ms = 200 }\n[[step]]\nwait_ms = 100\n'
    caller = load_scenario(written(tmp_path, text)).caller
    assert (caller.noise, caller.snr_db, caller.echo) == ("pink", 10.0, Echo(delay_ms=200, loss_db=20.0))


def test_faults_are_reported_together_each_with_its_key(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """
codec = "mp3"
[caller]
pase = 1.0
[[step]]
say = "Hello."
expect.heard = "(open"
[[step]]
say = "Bye."
keys = "1"
""",
    )
    assert len(found) == 4
    assert found[0].startswith("codec: Input should be 'pcmu'")
    assert found[1].startswith("caller.pase: Extra inputs")
    assert found[2].startswith("step[1].expect.heard: '(open' is not a regular expression")
    assert found[3] == "step[2]: a step has one of say, play, keys, wait_ms"


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("say = []", "step[1]: a step has one of"),
        ("say = [500]", "step[1]: say has no words"),
        ('say = ["Well", 90000]', "step[1]: a pause within say is"),
        ("wait_ms = 100\ninto_answer_ms = 100", "step[1]: wait_ms begins when"),
        ('keys = "12x"', "step[1].keys: "),
        ('play = "missing.wav"', "there is no file"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(tmp_path: Path, step: str, fault: str) -> None:
    assert faults(tmp_path, f"[[step]]\n{step}\n")[0].startswith(fault)


def test_a_file_without_steps_or_toml_or_at_all_is_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, 'description = "nothing"')[0].startswith("step: ")
    assert faults(tmp_path, "[[step")[0].startswith("is not TOML")
    with pytest.raises(ConfigError, match="No such file"):
        load_scenario(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[[step]]\nsay = "Hi."\n', False),
        ('[[step]]\nsay = "Hi."\nexpect.understood = "hi"\n', True),
        ('[[step]]\nsay = "Hi."\n[expect]\nend_reason = "goodbye"\n', True),
    ],
)
def test_a_scenario_says_whether_it_needs_the_gateways_record(tmp_path: Path, text: str, wanted: bool) -> None:
    assert load_scenario(written(tmp_path, text)).wants_record is wanted


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_scenarios_that_come_with_parley_can_be_read(path: Path) -> None:
    assert load_scenario(path).description
