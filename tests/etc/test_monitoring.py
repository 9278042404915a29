"""The alerts, the dashboard and the documents name metrics that a server really has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from prometheus_client.parser import text_string_to_metric_families as parse

from ..daemons import free_port
from ..ensemble.ensemble import Ensemble

ROOT = Path(__file__).parents[2]
RULES = ROOT / "etc" / "prometheus" / "znoded.rules.yml"
DASHBOARD = ROOT / "etc" / "grafana" / "znoded.json"
OPERATIONS = (
    (ROOT / "docs" / "operations.md").read_text().split("\n## Metrics and alerts\n")[1].split("\n## ")[0]
)

OF_PROMETHEUS = {"up"}
KEYWORDS = {"by", "on", "and", "or", "unless", "without", "sum", "le"}
STRINGS = re.compile(r'"[^"]*"')
NO_METRICS = re.compile(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on|without) \([^)]*\)")


def metrics_in(expression: str) -> set[str]:
    """The names of metrics that an expression reads."""
    bare = NO_METRICS.sub(" ", STRINGS.sub("", expression))
    return set(re.findall(r"\b[a-z_]\w*\b(?!\s*\()", bare)) - KEYWORDS


def dashboard_expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def alert_expressions() -> list[str]:
    return re.findall(r"^ +expr: (.+)$", RULES.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The metrics of a leader that has been used: the names of their samples, by those of the metrics."""
    port = free_port()
    ensemble = Ensemble(tmp_path_factory.mktemp("servers"), voters=1, observers=1)
    config = ensemble.servers[1].config
    config.write_text(config.read_text().replace("admin.enableServer=false", f"admin.serverPort={port}"))
    try:
        ensemble.start()
        client = KazooClient("{}:{}".format(*ensemble.servers[1].address))
        client.start()
        client.create("/a", b"")
        client.get("/a")
        client.stop()
        client.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            text = answer.read().decode()
    finally:
        ensemble.kill()
    yield {family.name: {sample.name for sample in family.samples} for family in parse(text)}


@pytest.fixture
def samples(families: dict[str, set[str]]) -> set[str]:
    return set().union(*families.values())


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not here: Debian's package prometheus has it")
    return found


def run(*command: str, cwd: Path = ROOT) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_an_expression_reads() -> None:
    expression = (
        'histogram_quantile(0.9, sum by (le, op) (rate(a_bucket{op="b"}[$__interval]))) > up / c_total'
    )
    assert metrics_in(expression) == {"a_bucket", "up", "c_total"}


@pytest.mark.parametrize("expression", alert_expressions())
def test_an_alert_reads_what_a_server_has(samples: set[str], expression: str) -> None:
    read = metrics_in(expression)
    assert read
    assert read <= samples | OF_PROMETHEUS


@pytest.mark.parametrize("expression", sorted(set(dashboard_expressions())))
def test_the_dashboard_reads_what_a_server_has(samples: set[str], expression: str) -> None:
    read = metrics_in(expression)
    assert read
    assert read <= samples


def test_the_dashboard_shows_every_metric_of_the_server(families: dict[str, set[str]]) -> None:
    shown = set().union(*map(metrics_in, dashboard_expressions()))
    ours = {name: found for name, found in families.items() if name.startswith("znoded_")}
    assert [name for name, found in ours.items() if not found & shown] == []


def test_every_metric_of_the_server_is_documented_and_no_other(families: dict[str, set[str]]) -> None:
    documented = set(re.findall(r"^\| `(znoded_\w+)", OPERATIONS, re.MULTILINE))
    ours = {
        name if len(found) > 1 else next(iter(found))
        for name, found in families.items()
        if name.startswith("znoded_")
    }
    assert documented == ours


def test_every_alert_says_what_it_means() -> None:
    alerts = RULES.read_text().split("- alert: ")[1:]
    for alert in alerts:
        assert re.search(r"severity: (critical|warning|info)\n", alert), alert
        assert re.search(r"summary: '.{10,}'\n", alert), alert
        assert re.search(r"description: >-\n +\S.{20,}", alert), alert


class TestPromtool:
    def test_the_rules_are_well_formed(self, promtool: str) -> None:
        run(promtool, "check", "rules", str(RULES))

    def test_what_is_wrong_raises_its_alert(self, promtool: str) -> None:
        run(promtool, "test", "rules", "znoded.rules.test.yml", cwd=Path(__file__).parent)

    def test_the_tests_of_the_rules_know_every_alert(self) -> None:
        tested = set(
            re.findall(r'alertname="(\w+)"', Path(__file__).with_name("znoded.rules.test.yml").read_text())
        )
        assert tested == set(re.findall(r"- alert: (\w+)", RULES.read_text()))

    def test_the_dashboard_s_expressions_are_well_formed(self, promtool: str, tmp_path: Path) -> None:
        rules = [
            {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
            for number, expression in enumerate(dashboard_expressions())
        ]
        file = tmp_path / "dashboard.yml"
        file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        run(promtool, "check", "rules", str(file))
