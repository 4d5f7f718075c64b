# SPDX-License-Identifier: GPL-3.0-or-later
"""The results as a table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from gateway.evaluation.checks import CallOutcome, Check, StepOutcome, percentile, response_times
from gateway.evaluation.scenario import Scenario
from media.frames import PcmSamples


@dataclass(frozen=True, slots=True)
class Waveforms:
    """Both sides of a call, from its answer on, at one rate."""

    sample_rate_hz: int
    caller: PcmSamples
    agent: PcmSamples

    @classmethod
    def empty(cls) -> "Waveforms":
        return cls(8000, np.zeros(0, np.int16), np.zeros(0, np.int16))


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario, carried out."""

    scenario: Scenario
    calls: tuple[CallOutcome, ...]
    checks: tuple[Check, ...]
    waveforms: tuple[Waveforms, ...] = field(default=())
    """Of each call."""

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.checks)


def as_json(results: Sequence[Result]) -> str:
    """One object; `ok` is what the exit code says."""
    return json.dumps(
        {
            "ok": all(result.passed for result in results),
            "scenarios": [
                {
                    "name": result.scenario.name,
                    "passed": result.passed,
                    "response_ms": _spread(response_times(result.calls)),
                    "checks": [asdict(one) for one in result.checks],
                    "calls": [asdict(call) for call in result.calls],
                }
                for result in results
            ],
        }
    )


def as_text(results: Sequence[Result]) -> str:
    """For people: what was said and heard, then what was expected and not met."""
    lines = []
    for result in results:
        lines.append(
            f"{'passed' if result.passed else 'FAILED'}  {result.scenario.name}: {result.scenario.description}"
        )
        call = result.calls[-1]
        if call.greeting:
            lines.append(f"          agent   {call.greeting}")
        for step in call.steps:
            lines.append(f"          caller  {step.label}")
            lines.append(f"          agent   {step.heard or '-'}{_when(step)}")
        if call.answered:
            lines.append(f"          {call.hung_up_by} hung up after {call.duration_s:.1f} s")
        times = response_times(result.calls)
        if len(result.calls) > 1 and times:
            spread = ", ".join(f"{name} {value:.0f}" for name, value in _spread(times).items() if name != "count")
            lines.append(f"          {len(result.calls)} calls, {len(times)} answers, ms: {spread}")
        lines += [f"    not met: {one.what} ({one.detail})" for one in result.checks if not one.passed]
    passed = sum(result.passed for result in results)
    lines.append(f"{passed} of {len(results)} passed, {sum(len(result.checks) for result in results)} expectations")
    return "\n".join(lines)


def _when(step: StepOutcome) -> str:
    told = []
    if step.response_ms is not None:
        told.append(f"after {step.response_ms:.0f} ms" if step.response_ms >= 0 else "into the caller's speech")
    if step.stopped_ms is not None:
        told.append(f"stopped after {step.stopped_ms:.0f} ms")
    return f" ({', '.join(told)})" if told else ""


def _spread(times: Sequence[float]) -> dict[str, float]:
    if not times:
        return {"count": 0}
    return {
        "count": len(times),
        "p50": round(percentile(times, 0.5), 1),
        "p95": round(percentile(times, 0.95), 1),
        "max": round(max(times), 1),
    }
