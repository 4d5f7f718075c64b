# SPDX-License-Identifier: GPL-3.0-or-later
"""The results as one HTML file without anything beside it: waveforms of both sides, and where each answer's time went.

Result > per call: two waveforms (SVG) on one time axis, words under them > ledger of each turn as stacked bars
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from gateway.evaluation.checks import CallOutcome, StepOutcome
from gateway.evaluation.report import Result, Waveforms
from media.frames import PcmSamples

_PIXELS_PER_S = 60
_HALF_HEIGHT = 36
_BAR_PIXELS_PER_MS = 0.4
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#eeca3b", "#9d755d")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em; color: #222; }
h2 { margin-bottom: 0; } .passed { color: #2a7d2a; } .failed { color: #b3261e; }
table { border-collapse: collapse; margin: .6em 0; } td, th { padding: .15em .8em .15em 0; text-align: left;
vertical-align: top; } .wave { overflow-x: auto; border: 1px solid #ddd; margin: .6em 0; } svg text { font-size: 11px; }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
"""


def as_html(results: Sequence[Result]) -> str:
    """A whole page."""
    passed = sum(result.passed for result in results)
    body = "\n".join(_result(result) for result in results)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>parley eval</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{passed} of {len(results)} scenarios passed</h1>\n{body}\n"
        "</body></html>\n"
    )


def _result(result: Result) -> str:
    state = "passed" if result.passed else "failed"
    rows = "".join(
        f'<tr><td class="{"passed" if one.passed else "failed"}">{"met" if one.passed else "not met"}</td>'
        f"<td>{escape(one.what)}</td><td>{escape(one.detail)}</td></tr>"
        for one in result.checks
    )
    calls = "\n".join(
        _call(number, call, waves)
        for number, (call, waves) in enumerate(zip(result.calls, result.waveforms, strict=True), 1)
    )
    return (
        f'<section><h2>{escape(result.scenario.name)} <span class="{state}">{state}</span></h2>'
        f"<p>{escape(result.scenario.description)}</p><table>{rows}</table>{calls}</section>"
    )


def _call(number: int, call: CallOutcome, waves: Waveforms) -> str:
    if not call.answered:
        return f"<p>Call {number} was not answered: {escape(call.reason)}</p>"
    rows = f"<tr><td></td><td></td><td>{escape(call.greeting)}</td><td></td></tr>" if call.greeting else ""
    rows += "".join(_step(step) for step in call.steps)
    words = f"<table><tr><th>s</th><th>caller</th><th>agent</th><th>ms</th></tr>{rows}</table>"
    turns = (call.record or {}).get("turns") or ()
    hung_up = f"{call.hung_up_by} hung up after {call.duration_s:.1f} s"
    return f"<h3>Call {number}: {hung_up}</h3>{_waves(call, waves)}{words}{waterfall(turns)}"


def _step(step: StepOutcome) -> str:
    took = "" if step.response_ms is None else f"{step.response_ms:.0f}"
    if step.stopped_ms is not None:
        took += f" stopped {step.stopped_ms:.0f}"
    said = escape(step.label)
    if step.understood:
        said += f"<br><small>understood: {escape(step.understood)}</small>"
    return f"<tr><td>{step.began_ms / 1e3:.1f}</td><td>{said}</td><td>{escape(step.heard)}</td><td>{took}</td></tr>"


def _waves(call: CallOutcome, waves: Waveforms) -> str:
    width = max(200, round(call.duration_s * _PIXELS_PER_S))
    height = 4 * _HALF_HEIGHT + 30
    marks = "".join(
        f'<line x1="{step.began_ms * _PIXELS_PER_S / 1e3:.1f}" x2="{step.began_ms * _PIXELS_PER_S / 1e3:.1f}" y1="0" '
        f'y2="{height - 15}" stroke="#bbb" stroke-dasharray="3 3"/>'
        for step in call.steps
    )
    ticks = "".join(
        f'<text x="{second * _PIXELS_PER_S + 2}" y="{height - 3}" fill="#777">{second} s</text>'
        for second in range(0, round(call.duration_s) + 1, 2)
    )
    return (
        f'<div class="wave"><svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{marks}'
        f"{waveform(waves.caller, waves.sample_rate_hz, _HALF_HEIGHT + 8, '#4c78a8')}"
        f"{waveform(waves.agent, waves.sample_rate_hz, 3 * _HALF_HEIGHT + 12, '#f58518')}"
        f'<text x="4" y="12" fill="#4c78a8">caller</text>'
        f'<text x="4" y="{2 * _HALF_HEIGHT + 18}" fill="#f58518">agent</text>{ticks}</svg></div>'
    )


def waveform(samples: PcmSamples, sample_rate_hz: int, middle: float, colour: str) -> str:
    """Highest and lowest sample of every pixel, as one SVG shape around `middle`."""
    size = max(1, sample_rate_hz // _PIXELS_PER_S)
    count = len(samples) // size
    if not count:
        return ""
    blocks = samples[: count * size].reshape(count, size).astype(np.float64) * _HALF_HEIGHT / 32768
    tops = [f"{index},{middle - top:.1f}" for index, top in enumerate(blocks.max(axis=1))]
    bottoms = [f"{index},{middle - low:.1f}" for index, low in enumerate(blocks.min(axis=1))]
    return f'<polygon points="{" ".join(tops + bottoms[::-1])}" fill="{colour}" stroke="{colour}" stroke-width=".5"/>'


def waterfall(turns: Sequence[Mapping[str, Any]]) -> str:
    """The latency ledger of every turn (`turns` of a session record) as stacked bars."""
    if not turns:
        return ""
    names = list(dict.fromkeys(name for turn in turns for name in turn["segments_ms"]))
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
    width = 120 + max(float(turn["response_ms"]) for turn in turns) * _BAR_PIXELS_PER_MS + 80
    bars = []
    for row, turn in enumerate(turns):
        at, y = 60.0, row * 22 + 4
        bars.append(f'<text x="0" y="{y + 13}">turn {escape(str(turn["index"]))}</text>')
        for name, duration_ms in turn["segments_ms"].items():
            length = max(0.0, float(duration_ms)) * _BAR_PIXELS_PER_MS
            bars.append(
                f'<rect x="{at:.1f}" y="{y}" width="{length:.1f}" height="16" fill="{colours[name]}">'
                f"<title>{escape(name)}: {duration_ms:.0f} ms</title></rect>"
            )
            at += length
        bars.append(f'<text x="{at + 5:.1f}" y="{y + 13}">{turn["response_ms"]:.0f} ms</text>')
    keys = "".join(
        f'<span><span class="key" style="background:{colour}"></span>{escape(name)}</span>'
        for name, colour in colours.items()
    )
    size = f'width="{width:.0f}" height="{len(turns) * 22 + 8}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(bars)}</svg>'
    return f"<p>Where the time went (the gateway's ledger):{keys}</p>{svg}"
