# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboard and alerts of scripts/monitoring: what they speak of is there, as Prometheus scrapes it from a gateway."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from gateway.campaigns.outcome import DIALLED
from gateway.events.deliveries import Outcome as Delivery
from gateway.services.metering import Outcome as Answer
from gateway.telemetry import Metrics
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.scripts.prometheus_process import MONITORING, PrometheusProcess
from tests.scripts.promql import compares, groupings_in, labels_of_result, series_in

pytestmark = pytest.mark.xdist_group("monitoring")

ROOT = Path(__file__).parents[2]
ALERT_TESTS = Path(__file__).parent / "prometheus_alerts.yml"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel.get("targets", [])]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((MONITORING / "prometheus-rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
_TARGET_LABELS = {"job", "instance"}
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_NOT_SHOWN = {"parley_process_virtual_memory_bytes"}  # of a process with many threads it says nothing
_SETTINGS = """
[outbound]
allow = ["127.0.0.0/8"]
[[trunk]]
name = "provider"
host = "127.0.0.1:1"
options_s = 1
[[webhook]]
name = "crm"
url = "http://127.0.0.1:1/events"
[[route]]
action = "echo"
"""


def shown(expression: str) -> str:
    """A dashboard's expression as Grafana asks it."""
    return expression.replace("$__rate_interval", "10s").replace("$instance", ".+")


EXPRESSIONS = [
    *(shown(target["expr"]) for _, target in TARGETS),
    *(shown(one["expr"]) for one in DASHBOARD["annotations"]["list"]),
    *(rule["expr"] for rule in RULES),
]


@cache
def registry() -> dict[str, set[str]]:
    """The labels of every series that a gateway can have, by its name."""
    metrics = Metrics()
    known: dict[str, tuple[str, set[str]]] = {one.name: (one.type, set()) for one in metrics.registry.collect()}
    for one in vars(metrics).values():
        if isinstance(one, MetricWrapperBase):
            kind, _ = known[one._name]
            known[one._name] = (kind, set(one._labelnames))
    return {
        f"{name}{suffix}": labels | ({"le"} if suffix == "_bucket" else set())
        for name, (kind, labels) in known.items()
        for suffix in _SUFFIXES[kind]
    } | {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusProcess]:
    """Prometheus, three looks after a call of a second and a half; the gateway has a trunk where nobody is, too, and a
    webhook that nobody takes."""
    with (
        GatewayProcess(tmp_path_factory.mktemp("gateway"), _SETTINGS, record=False) as gateway,
        PrometheusProcess(tmp_path_factory.mktemp("prometheus"), gateway.http_address) as prometheus,
    ):
        with RawCaller(gateway.sip_port) as caller:
            assert caller.invite("echo").code == 200
            begun = time.monotonic()
            for packet in range(75):
                caller.speak(SILENCE)
                time.sleep(max(0.0, begun + 0.02 * (packet + 1) - time.monotonic()))
            assert caller.bye("echo").code == 200
        wait_for(lambda: prometheus.query("count_over_time(parley_call_mos_count[1m]) >= 3"), "three scrapes", 20)
        yield prometheus


# What is spoken of, against the code


def test_every_series_and_label_is_one_that_a_gateway_has() -> None:
    known = registry()
    for expression in EXPRESSIONS:
        series = series_in(expression)
        assert series, expression
        assert [one.name for one in series if one.name not in known] == [], expression
        for one in series:
            assert {label for label, _ in one.matchers} <= known[one.name] | _TARGET_LABELS, expression
        of_all = set().union(*(known[one.name] for one in series))
        assert groupings_in(expression) <= of_all | _TARGET_LABELS, expression


def test_values_that_are_looked_for_are_values_that_the_code_has() -> None:
    outcomes = {
        "parley_campaign_attempts_total": {outcome.value for outcome in DIALLED},
        "parley_webhook_deliveries_total": {outcome.value for outcome in Delivery},
        "parley_service_requests_total": set(get_args(Answer)),
    }
    source = "".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    found = 0
    for one in (one for expression in EXPRESSIONS for one in series_in(expression)):
        for label, value in one.matchers:
            if one.name in outcomes and label == "outcome":
                assert set(value.split("|")) <= outcomes[one.name], one.text
                found += 1
            elif label == "end":
                missing = [word for word in value.split("|") if f'"{word}"' not in source]
                assert missing == ["sip_5.."], one.text
                found += 1
    assert found > 10


def test_every_metric_of_the_gateway_is_on_the_dashboard() -> None:
    asked = {one.name for _, target in TARGETS for one in series_in(target["expr"])}
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    known = {re.sub(r"_(bucket|sum|count)$", "", name) for name in registry()}
    assert known - asked == _NOT_SHOWN


def result_labels(expression: str) -> set[str]:
    """Those that tell the series of its result apart."""
    left = labels_of_result(expression)
    return registry()[series_in(expression)[0].name] | _TARGET_LABELS if left is None else left


def test_a_legend_names_every_label_that_its_series_differ_in_and_no_other() -> None:
    for title, target in TARGETS:
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert named == result_labels(target["expr"]) - {"job"}, title


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_whom_it_is_about_and_what_to_do(rule: dict[str, Any]) -> None:
    text = "".join(rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", text))
    assert named <= result_labels(rule["expr"])
    assert named & {"instance", "trunk", "service", "webhook"} or "campaign" in text
    assert set(rule["annotations"]) == {"summary", "description"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert len(rule["annotations"]["description"]) > 60


def test_the_guide_lists_every_alert_and_no_other() -> None:
    guide = (ROOT / "docs/monitoring.md").read_text()
    assert set(re.findall(r"`(Parley[A-Z]\w+)`", guide)) == {rule["alert"] for rule in RULES}


def test_panels_do_not_lie_on_each_other_and_say_what_they_show() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert all(one["datasource"]["uid"] == "${datasource}" for one in (panel, *panel["targets"]))


# As Prometheus sees it


def test_the_files_are_as_prometheus_wants_them(scraped: PrometheusProcess) -> None:
    checked = subprocess.run(
        ["promtool", "check", "config", scraped.config], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_what_was_scraped_has_the_labels_that_the_registry_says(scraped: PrometheusProcess) -> None:
    series = [one["metric"] for one in scraped.query('{__name__=~"parley_.+"}')]
    known = registry()
    odd = {
        one["__name__"]
        for one in series
        if not one["__name__"].endswith("_created")
        and set(one) - {"__name__"} != known.get(one["__name__"], set()) | _TARGET_LABELS
    }
    assert odd == set()
    assert len({one["__name__"] for one in series} & known.keys()) > 60


def test_every_expression_is_understood_and_yields_something_when_its_series_are_there(
    scraped: PrometheusProcess,
) -> None:
    answered = 0
    for expression in EXPRESSIONS:
        result = scraped.query(expression)
        if not compares(expression) and all(scraped.query(one.text) for one in series_in(expression)):
            assert result, expression
            answered += 1
    assert answered > 40


def test_the_dashboard_tells_what_has_happened(scraped: PrometheusProcess) -> None:
    def value(title: str) -> list[float]:
        (target,) = [target for panel, target in TARGETS if panel == title]
        return [float(one["value"][1]) for one in scraped.query(shown(target["expr"]))]

    assert value("Gateways up") == [1]
    assert value("Calls") == [0]
    assert value("Room left") == [1]
    assert scraped.query("sum(parley_calls_total)")[0]["value"][1] == "1"
    assert float(scraped.query("sum(parley_call_mos_count)")[0]["value"][1]) >= 1
    for rare in ("webhook_deliveries_total{outcome='given_up'}", "trunk_barred_total{bar='destination'}"):
        assert [one["value"][1] for one in scraped.query(f"parley_{rare}")] == ["0"]  # growth from nothing is none
    wait_for(lambda: scraped.query('parley_trunk_up{trunk="provider"} == 0'), "the end of the trunk", 20)


def test_every_rule_is_evaluated(scraped: PrometheusProcess) -> None:
    def evaluated() -> bool:
        return all(rule["health"] != "unknown" for rule in scraped.rules())

    wait_for(evaluated, "an evaluation of all rules", 20)
    rules = scraped.rules()
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    assert {rule["name"] for rule in rules} == {rule["alert"] for rule in RULES}


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    cases = {test["name"] for test in yaml.safe_load(ALERT_TESTS.read_text())["tests"]}
    assert {rule["alert"] for rule in RULES} - cases == set()
    tested = subprocess.run(["promtool", "test", "rules", ALERT_TESTS], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
