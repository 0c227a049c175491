"""Alert rules and dashboard: every expression parses, and every metric and label in it is exported by the service."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[3]
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "journey.json").read_text("utf-8"))
RUNBOOKS = ROOT / "docs" / "runbooks"
OF_PROMETHEUS = {"up": {"job", "instance"}}
"""Metrics that Prometheus itself adds, with their labels."""
OF_COMPANIES = {
    "journey_stage_customers": {"company_id", "stage"},
    "journey_stage_visit_mean_days": {"company_id", "stage"},
    "journey_stage_conversion_ratio": {"company_id", "stage"},
    "journey_risk_band_customers": {"company_id", "band"},
    "journey_actions_success_ratio": {"company_id"},
}
OF_REFUSALS = {"journey_unavailable_total": {"resource"}, "journey_rate_limited_total": {"limit"}}
ADDED_LABELS = {"job", "instance"}
VARIABLES = {"$__rate_interval": "5m", "$company": ".*"}
SECTIONS = ("Meaning", "Impact", "Check", "Remedy")


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yields metric names with the labels that they are selected by. Raises ValueError if it does not parse."""
    pending = [promql_parser.parse(expression)]
    while pending:
        node = pending.pop()
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            yield node.name, {matcher.name for matcher in node.matchers.matchers}
        parts = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "param")]
        pending += [part for part in (*parts, *(getattr(node, "args", None) or ())) if part is not None]


def grouping(expression: str) -> set[str]:
    """Returns the labels after `by`."""
    listed = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    return {label.strip() for labels in listed for label in labels.split(",")}


def unknown(expression: str, exported: dict[str, set[str]]) -> set[str]:
    """Returns metrics and labels of an expression that are not exported."""
    found, labels = set(), set(ADDED_LABELS)
    for name, selected in selectors(expression):
        labels |= exported.get(name, set())
        if name not in exported:
            found.add(name)
        else:
            found |= {f"{name}{{{label}}}" for label in selected - exported[name] - ADDED_LABELS}
    return found | {f"by ({label})" for label in grouping(expression) - labels - {"le"}}


def dashboard_expressions() -> list[str]:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    for variable, value in VARIABLES.items():
        expressions = [each.replace(variable, value) for each in expressions]
    return expressions


@pytest.fixture(scope="module")
async def exported(http) -> dict[str, set[str]]:
    """The exported metrics with their labels."""
    await http.get("/livez")  # the samples of requests begin with the first one
    families = text_string_to_metric_families((await http.get("/metrics")).text)
    found = {name: set(labels) for name, labels in OF_PROMETHEUS.items()}
    for family in families:
        found.setdefault(family.name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    # Samples of these exist only for companies with such values, and after a refusal.
    for name, labels in (OF_COMPANIES | OF_REFUSALS).items():
        found.setdefault(name, set()).update(labels)
    return found


async def test_every_alert_uses_exported_metrics(exported):
    assert {rule["alert"]: names for rule in RULES if (names := unknown(rule["expr"], exported))} == {}
    assert len(RULES) == len({rule["alert"] for rule in RULES}) >= 15


async def test_every_panel_uses_exported_metrics(exported):
    expressions = dashboard_expressions()
    assert {each: names for each in expressions if (names := unknown(each, exported))} == {}
    assert len(expressions) >= 15


async def test_every_metric_of_the_service_is_watched(exported):
    """A metric that neither an alert nor a panel uses is forgotten."""
    used = {
        name
        for each in [*(rule["expr"] for rule in RULES), *dashboard_expressions()]
        for name, _ in selectors(each)
    }
    counters = {name.removesuffix("_total") for name in exported if name.endswith("_total")}
    watched = {
        name
        for name in exported.keys() - counters
        if name.startswith("journey_")
        and not name.startswith("journey_http")
        and not name.endswith("_created")
    }
    assert watched - used == set()


async def test_the_check_detects_unknown_metrics_labels_and_syntax(exported):
    assert unknown("max(journey_jobs_lag_second) > 60", exported) == {"journey_jobs_lag_second"}
    assert unknown('journey_database_pool_connections{stat="idle"} == 0', exported) == {
        "journey_database_pool_connections{stat}"
    }
    assert unknown("sum by (rout) (rate(journey_http_requests_total[5m]))", exported) == {"by (rout)"}
    with pytest.raises(ValueError, match="unclosed"):
        list(selectors("sum(rate(journey_jobs[5m])"))
    print("guard removed: detected")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_runbook(rule):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    page = ROOT / rule["annotations"]["runbook"]
    assert page == RUNBOOKS / f"{rule['alert']}.md"
    text = page.read_text("utf-8")
    assert [section for section in SECTIONS if f"**{section}.**" not in text] == []
    assert f"runbooks/{page.name}" in (ROOT / "mkdocs.yml").read_text("utf-8")


def test_every_runbook_belongs_to_an_alert():
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"index"}
    assert pages == {rule["alert"] for rule in RULES}
    listed = (RUNBOOKS / "index.md").read_text("utf-8")
    assert [name for name in sorted(pages) if f"[{name}]({name}.md)" not in listed] == []


def test_the_panels_of_the_dashboard_do_not_overlap():
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
