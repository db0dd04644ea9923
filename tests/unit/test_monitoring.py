"""What is shipped for Prometheus and Grafana says what the product says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from datastores.domain.alert_facts import QueueFacts, WorkerFacts
from datastores.domain.alert_rules import DAY, LONG_QUEUES, MINUTE, RULES
from datastores.domain.growth import Growth
from datastores.domain.states import HostState
from datastores.models import DatastoreHost, DatastoreSample, Duty, User
from datastores.models.audit import record
from datastores.services import alert_facts
from datastores.services.tallies import count_ends
from datastores.web import metrics
from tests.unit.conftest import a_datastore, a_host, a_job

SHIPPED = Path(__file__).parents[2] / "deploy" / "monitoring"
GROUPS: list[dict[str, Any]] = yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"]
ALERTS = {alert["labels"].get("rule", ""): alert for group in GROUPS for alert in group["rules"]}
DASHBOARD: dict[str, Any] = json.loads((SHIPPED / "grafana-dashboard.json").read_text())
UNITS = {"s": 1, "m": MINUTE, "h": 60 * MINUTE, "d": DAY}
METRIC = re.compile(r"\bcloudstore_\w+")
OF_PROMETHEUS = "cloudstore-itself"


def seconds(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def expressions() -> list[str]:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return asked + [alert["expr"] for group in GROUPS for alert in group["rules"]]


@pytest.fixture
def scraped(db: None, admin: User, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of all samples of a cloud in which there is one of everything."""
    seen = [WorkerFacts("w", "m1", ("interactive",), 1.0)], [QueueFacts("interactive", 1, 1.0)]
    monkeypatch.setattr(metrics, "machinery", lambda: seen)
    now = timezone.now()
    a_host(clock_skew=0.1)
    a_host(state=HostState.QUARANTINED)
    gold = a_datastore(total=100, used=1, free=99, measured_at=now)
    DatastoreHost.objects.create(datastore=gold, host=a_host(), position=9, unseen="It is stale.", looked_at=now)
    figures = {"total": 100, "used": 1, "promised": 0, "inodes_total": 10, "inodes_used": 1}
    DatastoreSample.objects.create(datastore=gold, at=now, **figures)
    monkeypatch.setattr(alert_facts, "growth_of", lambda rows: {row.pk: Growth(1.0, 5.0) for row in rows})
    Duty.objects.create(name="reconcile")
    job = a_job(admin, "disk.create", started_at=now)
    record("disk.create", user=admin, job=job, result="succeeded")
    count_ends(["disk.create"])
    families = text_string_to_metric_families(metrics.Page().text().decode())
    return {sample.name for family in families for sample in family.samples}


def test_every_metric_that_is_asked_for_is_in_a_scrape(scraped: set[str]) -> None:
    asked = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert len(asked) > 25
    assert asked - scraped == set()


def test_every_metric_of_a_scrape_is_written_of(scraped: set[str]) -> None:
    text = (SHIPPED.parents[1] / "docs" / "monitoring.md").read_text()
    names = {re.sub(r"_(bucket|sum|count)$", "", name) if "_seconds_" in name else name for name in scraped}
    assert {name for name in names if f"`{name}" not in text} == set()


def test_prometheus_has_the_rules_of_the_product() -> None:
    own = {alert["labels"]["rule"] for group in GROUPS for alert in group["rules"] if group["name"] != OF_PROMETHEUS}
    assert own == set(RULES)


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_the_same_for_both(name: str) -> None:
    rule, alert = RULES[name], ALERTS[name]
    assert alert["alert"] == "Cloudstore" + name.title().replace("_", "")
    assert alert["labels"]["severity"] == rule.severity
    assert seconds(alert.get("for", "0s")) == rule.hold
    assert seconds(alert.get("keep_firing_for", "0s")) == rule.clear
    assert alert["annotations"]["summary"].partition(":")[0] == rule.summary
    assert alert["annotations"]["action"] == rule.advice


@pytest.mark.parametrize("name", sorted(name for name, rule in RULES.items() if rule.limit and name != "worker_lost"))
def test_a_limit_is_the_same_for_both(name: str) -> None:
    numbers = re.findall(r"[<>]=? ([0-9.]+)", ALERTS[name]["expr"])
    assert f"{RULES[name].limit:.10g}" in numbers
    if name == "queue_stuck":
        assert {f"{limit:g}" for limit in LONG_QUEUES.values()} <= set(numbers)


def test_the_dashboard_lets_one_choose_where_the_figures_are() -> None:
    [variable] = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    for panel in DASHBOARD["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["title"] and panel["targets"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_panels_do_not_lie_on_one_another() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    taken = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_the_example_scrapes_where_the_metrics_are() -> None:
    [job] = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("cloudstore", "/metrics")
    assert 'up{job="cloudstore"}' in (SHIPPED / "alerts.yml").read_text()
