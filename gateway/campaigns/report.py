# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a campaign as one page: no script, nothing from elsewhere, all that people say escaped.

Plots are drawn here, as SVG: a page that opens from a mail in ten years needs no library.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from gateway.campaigns.attempt import AttemptRecord
from gateway.campaigns.outcome import Outcome
from gateway.campaigns.policy import Policy
from gateway.campaigns.progress import Progress
from gateway.store.campaign_records import CampaignRecord

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{margin-bottom:0}h2{margin-top:2.2rem;font-size:1.15rem}.sub{color:#57606a}
table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #d8dee4}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.facts{display:flex;flex-wrap:wrap;gap:1rem 2.5rem;margin:1.2rem 0}.facts b{display:block;font-size:1.5rem}
svg{width:100%;height:auto;background:#f6f8fa;border-radius:6px}svg text{font-size:11px;fill:#57606a}
"""
_COLOURS: Mapping[Outcome, str] = {
    Outcome.TALKED: "#1a7f37",
    Outcome.MESSAGE_LEFT: "#4ac26b",
    Outcome.MACHINE: "#9a6700",
    Outcome.BUSY: "#d4a72c",
    Outcome.NO_ANSWER: "#8c959f",
    Outcome.REJECTED: "#bc4c00",
    Outcome.INVALID_NUMBER: "#a40e26",
    Outcome.FAX: "#6e7781",
    Outcome.FAILED: "#cf222e",
    Outcome.ABANDONED: "#8250df",
    Outcome.DO_NOT_CALL: "#57606a",
    Outcome.CANCELLED: "#afb8c1",
    Outcome.NOT_CALLED: "#d0d7de",
    Outcome.UNKNOWN: "#24292f",
}
_WIDTH, _HEIGHT, _FOOT = 960, 200, 24
_MOST_STEPS = 48
_MOST_VALUES = 20
"""Answers of a text field that are listed: the most frequent."""
_DURATIONS_S = (0, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
_RESPONSES_MS = (0, 100, 200, 300, 400, 500, 600, 700, 800, 1000, 1250, 1500, 2000, 3000)


def campaign_report(campaign: CampaignRecord, progress: Progress, records: Sequence[AttemptRecord]) -> str:
    """HTML. `records`: the contacts that are done."""
    policy = Policy.model_validate_json(campaign.policy)
    dialled = [one for one in records if one.started_at is not None]
    responses = [ms for one in records for ms in one.response_ms]
    name = escape(campaign.name)
    sections = [
        f"<h1>{name}</h1><p class=sub>{escape(campaign.campaign_id)}, {campaign.state.value}"
        f"{'' if campaign.end_reason is None else f' ({escape(campaign.end_reason)})'}, {_times(campaign)}</p>",
        _facts(progress, responses),
        "<h2>Outcomes</h2>" + _outcomes(progress.outcomes),
        "<h2>Outcomes over time</h2>" + _over_time(dialled),
        "<h2>People reached, by hour of their call (UTC)</h2>" + _by_hour(dialled),
        "<h2>Length of conversations</h2>"
        + _histogram([d for one in records if (d := _talk_s(one))], _DURATIONS_S, "s"),
        "<h2>Response times of the agent</h2>" + _histogram(responses, _RESPONSES_MS, "ms"),
        "<h2>Attempts it took</h2>" + _counted(Counter(str(one.attempts) for one in dialled)),
    ]
    for field in policy.extract:
        values = Counter(_value(one.disposition.get(field.name)) for one in records if one.outcome is Outcome.TALKED)
        sections.append(f"<h2>{escape(field.question)}</h2>" + _counted(values))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>"
    )


def _times(campaign: CampaignRecord) -> str:
    if campaign.started_at is None:
        return "not begun"
    begun = f"begun {_moment(campaign.started_at)}"
    return begun if campaign.ended_at is None else f"{begun}, ended {_moment(campaign.ended_at)}"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _facts(progress: Progress, responses: Sequence[float]) -> str:
    ordered = sorted(responses)
    facts = {
        "contacts done": f"{progress.done} of {progress.contacts}",
        "attempts": str(progress.attempts),
        "answered": _percent(progress.answered, progress.attempts),
        "people": _percent(progress.people, progress.attempts),
        "abandoned": _percent(progress.abandoned, progress.people),
        "talked": f"{progress.talked_s / 60:.1f} min",
        "cost": f"{progress.cost:.2f}",
        "response time, median": f"{ordered[len(ordered) // 2]:.0f} ms" if ordered else "-",
    }
    return f"<div class=facts>{''.join(f'<div><b>{value}</b>{label}</div>' for label, value in facts.items())}</div>"


def _percent(part: int, whole: int) -> str:
    return "-" if whole == 0 else f"{100 * part / whole:.1f} %"


def _outcomes(outcomes: Mapping[Outcome, int]) -> str:
    whole = sum(outcomes.values())
    rows = "".join(
        f'<tr><td><svg viewBox="0 0 12 12" style="width:12px"><rect width="12" height="12" fill="{_COLOURS[outcome]}"/>'
        f"</svg> {_words(outcome)}<td class=n>{count}<td class=n>{_percent(count, whole)}"
        for outcome, count in sorted(outcomes.items(), key=lambda one: -one[1])
    )
    return f"<table>{rows}</table>" if rows else _nothing()


def _words(outcome: Outcome) -> str:
    return outcome.value.replace("_", " ")


def _counted(values: Counter[str]) -> str:
    rows = "".join(f"<tr><td>{escape(value)}<td class=n>{count}" for value, count in values.most_common(_MOST_VALUES))
    left = sum(values.values()) - sum(count for _, count in values.most_common(_MOST_VALUES))
    rows += f"<tr><td>others<td class=n>{left}" if left else ""
    return f"<table>{rows}</table>" if rows else _nothing()


def _value(value: object) -> str:
    match value:
        case None:
            return "not said"
        case bool():
            return "yes" if value else "no"
    return str(value)


def _talk_s(record: AttemptRecord) -> float | None:
    return record.duration_s if record.outcome is Outcome.TALKED else None


def _over_time(records: Sequence[AttemptRecord]) -> str:
    """Stacked bars."""
    moments = [one.started_at.timestamp() for one in records if one.started_at is not None]
    if not moments:
        return _nothing()
    begin = min(moments)
    step_s = max(1.0, (max(moments) - begin) / _MOST_STEPS)
    steps: dict[int, Counter[Outcome]] = {}
    for record, moment in zip(records, moments, strict=True):
        if record.outcome is not None:
            steps.setdefault(int((moment - begin) / step_s), Counter())[record.outcome] += 1
    columns = []
    for step in range(max(steps, default=0) + 1):
        at = datetime.fromtimestamp(begin + step * step_s, UTC)
        columns.append((at.strftime("%d.%m. %H:%M" if step_s > 3600 else "%H:%M:%S"), steps.get(step, Counter())))
    return _stacked(columns)


def _by_hour(records: Iterable[AttemptRecord]) -> str:
    hours: dict[int, Counter[Outcome]] = {}
    for record in records:
        if record.started_at is not None and record.outcome is Outcome.TALKED:
            hours.setdefault(record.started_at.astimezone(UTC).hour, Counter())[record.outcome] += 1
    return _stacked([(f"{hour}", hours.get(hour, Counter())) for hour in range(24)]) if hours else _nothing()


def _stacked(columns: Sequence[tuple[str, Counter[Outcome]]]) -> str:
    highest = max((sum(counts.values()) for _, counts in columns), default=0) or 1
    width = _WIDTH / len(columns)
    bars = []
    for index, (label, counts) in enumerate(columns):
        top = float(_HEIGHT)
        for outcome in Outcome:
            if count := counts[outcome]:
                height = count / highest * (_HEIGHT - 12)
                top -= height
                title = f"{escape(label)}: {count} {_words(outcome)}"
                bars.append(
                    f'<rect x="{index * width + 1:.1f}" y="{top:.1f}" width="{max(1.0, width - 2):.1f}" '
                    f'height="{height:.1f}" fill="{_COLOURS[outcome]}"><title>{title}</title></rect>'
                )
    return _plot(bars, [label for label, _ in columns], highest)


def _histogram(values: Sequence[float], bounds: Sequence[int], unit: str) -> str:
    if not values:
        return _nothing()
    counts = [0] * len(bounds)
    for value in values:
        counts[max(index for index, bound in enumerate(bounds) if value >= bound or index == 0)] += 1
    highest, width = max(counts), _WIDTH / len(bounds)
    bars = []
    for index, count in enumerate(counts):
        height = count / highest * (_HEIGHT - 12)
        upper = f" to {bounds[index + 1]}" if index + 1 < len(bounds) else " and more"
        bars.append(
            f'<rect x="{index * width + 1:.1f}" y="{_HEIGHT - height:.1f}" width="{width - 2:.1f}" '
            f'height="{height:.1f}" fill="#0969da"><title>{bounds[index]}{upper} {unit}: {count}</title></rect>'
        )
    return _plot(bars, [f"{bound} {unit}" for bound in bounds], highest)


def _plot(bars: Sequence[str], labels: Sequence[str], highest: int) -> str:
    width = _WIDTH / len(labels)
    every = max(1, round(70 / width + 0.5))
    texts = [
        f'<text x="{index * width + 2:.1f}" y="{_HEIGHT + _FOOT - 8}">{escape(label)}</text>'
        for index, label in enumerate(labels)
        if index % every == 0
    ]
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _FOOT}" role="img">{"".join(bars)}{"".join(texts)}'
        f'<text x="{_WIDTH - 4}" y="11" text-anchor="end">highest: {highest}</text></svg>'
    )


def _nothing() -> str:
    return "<p class=sub>nothing yet</p>"
