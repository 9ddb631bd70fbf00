"""The documents agree with the program: settings, metrics, commands, links, and the files of deploy/."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from mappings.codes import Code
from middleware.cli import COMMANDS
from middleware.metrics import REGISTRY, mapping_is_valid
from middleware.settings import Settings

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MODULES = ("mappings", "handlers", "middleware", "tests")
COMPOSE_ONLY = {"POSTGRES_PASSWORD"}
METRIC = re.compile(r"taiga_billing_[a-z_]+")


@cache
def text(name: str) -> str:
    """A file of the project."""
    return (ROOT / name).read_text("utf-8")


def table(document: str, columns: int) -> list[tuple[str, ...]]:
    """The rows of the tables of a document whose first cell is code; escaped bars are bars."""
    rows = []
    for line in text(document).splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == columns and re.fullmatch(r"`[A-Za-z_]+`", cells[0]):
            rows.append((cells[0].strip("`"), *cells[1:]))
    return rows


def metrics() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Kind and labels of every metric by the name under which it is scraped."""
    found = {}
    mapping_is_valid(is_valid=True)
    for collector in set(REGISTRY._names_to_collectors.values()):
        described: Any = collector
        name = described._name + ("_total" if described._type == "counter" else "")
        found[name] = (described._type, tuple(described._labelnames))
    return found


def names_in(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    parts = METRIC.findall(expression)
    return {re.sub(r"_seconds_(bucket|count|sum)$", "_seconds", part) for part in parts}


GENERIC = {"WEBHOOK_KEYS"}
"""Read from variables of any name."""


class TestSettings:
    """docs/settings.md against the program and .env.example."""

    rows = table("docs/settings.md", 3)

    def test_lists_exactly_the_settings(self) -> None:
        """No setting is missing, none is invented, none stands twice."""
        names = [name for name, _default, _meaning in self.rows]
        assert sorted(names) == sorted({name.upper() for name in Settings.model_fields} - GENERIC | COMPOSE_ONLY)
        assert set(names) == set(re.findall(r"^#?([A-Z_]+)=", text(".env.example"), flags=re.MULTILINE))

    @pytest.mark.parametrize(("name", "shown"), [(name, default) for name, default, _ in rows])
    def test_shows_the_default(self, name: str, shown: str) -> None:
        """The default is the real one, and what is shown without one is empty."""
        if name in COMPOSE_ONLY:
            return
        default = Settings.model_fields[name.lower()].default
        value = getattr(default, "get_secret_value", lambda: default)()
        assert shown == ("" if value in ("", (), None) else f"{value:g}" if isinstance(value, float) else str(value))


class TestOutcomeCodes:
    """docs/outcome-codes.md against the program."""

    rows = table("docs/outcome-codes.md", 3)

    def test_lists_exactly_the_codes(self) -> None:
        """No code is missing, none is invented, none stands twice."""
        assert sorted(code for code, _status, _meaning in self.rows) == sorted(Code)

    def test_names_known_statuses(self) -> None:
        """Each status is one of those in which an attempt leaves an event."""
        told = {part for _code, status, _meaning in self.rows for part in status.split(", ")}
        assert told == {"processed", "ignored", "dead", "discarded", "tried again"}


class TestMetrics:
    """docs/metrics.md, the alert rules and the Grafana dashboard against the program."""

    def test_lists_exactly_the_metrics(self) -> None:
        """Name, kind and labels of every metric are right, and none is missing."""
        listed = {
            name: (kind, tuple(label.strip() for label in labels.split(",") if label.strip()))
            for name, kind, labels, _meaning in table("docs/metrics.md", 4)
        }
        assert listed == metrics()

    def test_alert_rules_are_those_of_the_document(self) -> None:
        """Each rule of the table stands in the file, with the same duration, and asks for known metrics."""
        (group,) = yaml.safe_load(text("deploy/monitoring/alerts.yml"))["groups"]
        rules = {(rule["expr"], rule["for"]) for rule in group["rules"]}
        section = text("docs/metrics.md").partition("## What to alert on")[2]
        cells = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in section.splitlines()
            if line.startswith("| ") and "`" in line
        ]
        assert rules == {(row[1].strip("`").replace("\\|", "|"), row[2]) for row in cells}
        assert set().union(*(names_in(expression) for expression, _for in rules)) <= set(metrics())
        assert len({rule["alert"] for rule in group["rules"]}) == len(rules)

    def test_grafana_shows_every_metric(self) -> None:
        """The dashboard asks for known metrics only, and leaves none out; its panels do not overlap."""
        panels = json.loads(text("deploy/monitoring/grafana-dashboard.json"))["panels"]
        asked = [names_in(target["expr"]) for panel in panels for target in panel["targets"]]
        assert set().union(*asked) == set(metrics())
        squares = [
            (x, y)
            for place in (panel["gridPos"] for panel in panels)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(squares) == len(set(squares))

    def test_scraping_reaches_both_processes(self) -> None:
        """The jobs are those that the rules ask for, on the default ports."""
        jobs = {
            job["job_name"]: job["static_configs"][0]["targets"][0]
            for job in yaml.safe_load(text("deploy/monitoring/prometheus.yml"))["scrape_configs"]
        }
        ports = [Settings.model_fields[name].default for name in ("port", "worker_port")]
        assert jobs == {
            "taiga-billing-receiver": f"127.0.0.1:{ports[0]}",
            "taiga-billing-worker": f"127.0.0.1:{ports[1]}",
        }
        assert all(job in text("deploy/monitoring/alerts.yml") for job in jobs)


class TestLinksAndCommands:
    """What the documents name is there."""

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
    def test_links_lead_somewhere(self, document: Path) -> None:
        """Every link to a file of the project finds it, and every anchor its heading."""
        for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", document.read_text("utf-8")):
            name, _, anchor = target.partition("#")
            file = (document.parent / name).resolve() if name else document
            assert file.exists(), f"{document.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), flags=re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in anchors, f"{document.name} links to {target}"

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
    def test_modules_exist(self, document: Path) -> None:
        """Every Python module that a document names is there, whole or from its folder on."""
        modules = {f"/{path.relative_to(ROOT)}" for top in MODULES for path in (ROOT / top).rglob("*.py")}
        named = set(re.findall(r"`([\w/]+\.py)`", document.read_text("utf-8")))
        gone = {name for name in named if not any(module.endswith(f"/{name}") for module in modules)}
        assert not gone, f"{document.name} names {gone}"

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
    def test_commands_exist(self, document: Path) -> None:
        """Every command that a document names is one of the program."""
        named = set(
            re.findall(r"(?:`|bin/|worker |^)taiga-billing ([a-z]+)", document.read_text("utf-8"), re.MULTILINE)
        )
        assert named <= set(COMMANDS), f"{document.name} names {named - set(COMMANDS)}"


class TestDeployFiles:
    """systemd units and proxies."""

    @pytest.mark.parametrize("unit", sorted((ROOT / "deploy/systemd").glob("*.service")), ids=lambda path: path.stem)
    def test_units(self, unit: Path) -> None:
        """Each starts a command of the program, is hardened, and is given time to end."""
        lines = unit.read_text("utf-8").splitlines()
        (start,) = [line for line in lines if line.startswith("ExecStart=")]
        assert start.split()[-1] in COMMANDS
        assert {"NoNewPrivileges=yes", "ProtectSystem=strict", "User=taiga-billing", "UMask=0077"} <= set(lines)
        (stop,) = [int(line.removeprefix("TimeoutStopSec=")) for line in lines if line.startswith("TimeoutStopSec=")]
        assert stop > Settings.model_fields["shutdown_seconds"].default
        assert unit.name in text("docs/deployment.md")

    @pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
    def test_proxies(self, name: str) -> None:
        """They lead to the receiver's default port, keep the metrics inside and take the largest webhook."""
        proxy = text(f"deploy/proxy/{name}")
        assert f"127.0.0.1:{Settings.model_fields['port'].default}" in proxy
        assert "/+metrics" in proxy
        assert re.search(r"\b5(m|MiB)\b", proxy)
        assert Settings.model_fields["max_body_bytes"].default == 5 * 1024 * 1024
