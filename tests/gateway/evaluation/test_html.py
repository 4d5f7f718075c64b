# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports: HTML that stands alone, JSON, a table."""

import json
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np

from gateway.evaluation.checks import CallOutcome, Check, StepOutcome
from gateway.evaluation.html import as_html, waterfall, waveform
from gateway.evaluation.report import Result, Waveforms, as_json, as_text
from gateway.evaluation.scenario import Scenario

RECORD: dict[str, Any] = {
    "turns": [{"index": 0, "segments_ms": {"endpointing": 300.0, "llm <first>": 150.0}, "response_ms": 450.0}]
}


def result(*, passed: bool = True) -> Result:
    step = StepOutcome('Say "<b>hello</b>"', 3000.0, 9000.0, 4200.0, "Hello & welcome.", "say hello", 450.0, 210.0)
    call = CallOutcome(True, "Hi. Hello & welcome.", (step,), "agent", 9.0, record=RECORD, greeting="Hi.")
    tone = np.full(72_000, 8000, np.int16)
    scenario = Scenario.model_validate({"name": "greeting", "step": [{"say": "Hello."}]})
    checks = (Check("heard: welcome", passed, "Hello & welcome."),)
    return Result(scenario, (call,), checks, (Waveforms(8000, tone, tone),))


def test_the_page_is_well_formed_and_needs_nothing_beside_it() -> None:
    page = as_html([result(), result(passed=False)])
    ElementTree.fromstring(page.partition("\n")[2].replace('<meta charset="utf-8">', "").replace("<br>", "<br/>"))
    without_names = page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?://|<script|src=|<link", without_names)
    assert page.count("<polygon") == 4
    assert "1 of 2 scenarios passed" in page


def test_what_was_said_is_text_on_the_page_whatever_it_is() -> None:
    page = as_html([result()])
    assert "<b>" not in page
    assert "&lt;b&gt;hello" in page
    assert "Hello &amp; welcome." in page


def test_a_call_that_was_not_answered_says_why() -> None:
    failed = Result(
        result().scenario, (CallOutcome(False, "", (), "agent", 0.0, "486 Busy"),), (), (Waveforms.empty(),)
    )
    assert "486 Busy" in as_html([failed])


def test_a_waveform_is_as_wide_as_the_call_and_as_high_as_the_sound() -> None:
    shape = waveform(np.full(16_000, 16_384, np.int16), 8000, 50.0, "#000")
    points = [tuple(map(float, point.split(","))) for point in re.findall(r"[\d.]+,[\d.]+", shape)]
    assert max(x for x, _ in points) == 119  # two seconds of 60 pixels
    assert {y for _, y in points} == {32.0}  # half of full scale: half of 36 above the middle
    assert waveform(np.zeros(0, np.int16), 8000, 50.0, "#000") == ""


def test_the_parts_of_a_turn_follow_one_another() -> None:
    chart = waterfall(RECORD["turns"])
    bars = [(float(x), float(width)) for x, width in re.findall(r'<rect x="([\d.]+)" y="4" width="([\d.]+)"', chart)]
    assert bars == [(60.0, 120.0), (180.0, 60.0)]
    assert "llm &lt;first&gt;: 150 ms" in chart
    assert waterfall([]) == ""


def test_json_says_what_the_exit_code_says() -> None:
    good, bad = json.loads(as_json([result()])), json.loads(as_json([result(), result(passed=False)]))
    assert (good["ok"], bad["ok"]) == (True, False)
    assert good["scenarios"][0]["response_ms"] == {"count": 1, "p50": 450.0, "p95": 450.0, "max": 450.0}
    assert good["scenarios"][0]["calls"][0]["steps"][0]["stopped_ms"] == 210.0


def test_the_table_shows_what_was_not_met() -> None:
    text = as_text([result(passed=False)])
    assert text.startswith("FAILED  greeting")
    assert "not met: heard: welcome" in text
    assert "after 450 ms, stopped after 210 ms" in text
    assert text.endswith("0 of 1 passed, 1 expectations")
