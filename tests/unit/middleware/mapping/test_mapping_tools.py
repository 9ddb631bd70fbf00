"""`mappings show` and `mappings test` over files: effective rules, results, golden files, differences."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mappings.config.effective import differences, effective_rules, shown_value
from mappings.config.file import parse_mapping
from mappings.time.preview import try_rules
from middleware.commands.mappings import command
from tests.support.in_process_stack import Task
from tests.support.recorded import RECORDINGS

EXAMPLE = Path(__file__).parents[4] / "mappings.example.json"
PROJECT: dict[str, Any] = {"taiga_project_id": 1, "invoiceninja_client_id": "acme", "default_hourly_rate": 60}


def _mapping(folder: Path, name: str = "mappings.json", **changes: Any) -> Path:
    file = folder / name
    file.write_text(json.dumps({"project_mappings": [PROJECT | changes]}))
    return file


def _events(folder: Path, *tasks: Task) -> Path:
    events = folder / "events"
    events.mkdir(exist_ok=True)
    for task in tasks:
        (events / f"{task.id}-{task.second}.json").write_bytes(task.webhook())
    return events


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments])


class TestShow:
    """The rules as they apply."""

    def test_merged_and_named(self) -> None:
        """Each project shows what differs from the defaults, whatever part of the file it comes from."""
        result = _run("show", "--mapping", EXAMPLE)
        assert result.exit_code == 0
        assert "project 1 (Website Redesign)" in result.output
        assert "user_rates.senior_dev            110.00" in result.output.partition("project 2")[2]
        assert "write_back" not in result.output
        assert "taxes                            name VAT rate 21" in result.output

    def test_all_rules_of_an_unmapped_project(self, tmp_path: Path) -> None:
        """A project that is not mapped shows the general rules and says so."""
        result = _run("show", "--mapping", _mapping(tmp_path), "--project", 7, "--all")
        assert "project 7 is not mapped; the general rules" in result.output
        assert "write_back                       true" in result.output

    def test_json(self, tmp_path: Path) -> None:
        """As JSON, money stays exact."""
        shown = json.loads(_run("show", "--mapping", _mapping(tmp_path), "--json").output)
        assert (shown["1"]["is_mapped"], shown["1"]["project_hourly_rate"]) == (True, "60")

    def test_nobody_can_be_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the address of Invoice Ninja the rules are shown, and that no name was looked up."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("INVOICE_NINJA_API", raising=False)
        monkeypatch.setenv("TAIGA_WEBHOOK_SECRETS", "key")
        result = _run("show", "--mapping", _mapping(tmp_path))
        assert (result.exit_code, "see below" in result.output) == (0, False)
        assert "names were not looked up: INVOICE_NINJA_API is not set" in result.output

    def test_no_project(self, tmp_path: Path) -> None:
        """An empty file says what to do."""
        (tmp_path / "empty.json").write_text("{}")
        assert "run taiga-billing setup" in _run("show", "--mapping", tmp_path / "empty.json").output

    def test_a_broken_file(self, tmp_path: Path) -> None:
        """A broken file is wrong use, with every mistake."""
        (tmp_path / "broken.json").write_text('{"project_mappings": [{}]}')
        result = _run("show", "--mapping", tmp_path / "broken.json")
        assert (result.exit_code, "taiga_project_id: is missing" in result.output) == (2, True)


class TestTry:
    """What the rules make of recorded webhooks."""

    def test_every_outcome(self, tmp_path: Path) -> None:
        """Recorded, nothing and person are told apart, each with its words."""
        tasks = Task(1, hours=2.5), Task(2, is_closed=False), Task(3, more={"Duration (Hours)": "about two"})
        result = _run("test", "--mapping", _mapping(tmp_path), "--events", _events(tmp_path, *tasks))
        assert result.exit_code == 0
        assert "2.5 h at 60.00 for client acme" in result.output
        assert "nothing: not closed" in result.output
        assert 'needs a person: "Duration (Hours)" is "about two"' in result.output
        assert result.output.endswith("3 looked at: 1 recorded, 1 not billed, 1 need a person\n")

    def test_the_newest_state_counts(self, tmp_path: Path) -> None:
        """Of several webhooks of a task the newest one is judged, whatever the files are called."""
        task = Task(1, hours=1)
        events = _events(tmp_path, task)
        (events / "0.json").write_bytes(task.webhook(hours=4))
        result = _run("test", "--mapping", _mapping(tmp_path), "--events", events, "--json")
        (only,) = json.loads(result.output)
        assert (only["hours"], only["client"]) == ("4", "acme")

    def test_recordings_of_a_real_server(self) -> None:
        """The recorder's own format is read; sprints and epics are passed over."""
        result = _run("test", "--mapping", EXAMPLE, "--events", RECORDINGS / "taiga" / "webhooks", "--json")
        assert result.exit_code == 0
        assert {"task", "userstory", "issue"} == {one["subject"].split(":")[1] for one in json.loads(result.output)}

    @pytest.mark.parametrize("content", ["[1]", "{", '{"body": 5}', '{"body_base64": "?"}', '{"action": "change"}'])
    def test_a_file_that_is_no_webhook(self, tmp_path: Path, content: str) -> None:
        """A file that is something else is wrong use, and is named."""
        (tmp_path / "x.json").write_text(content)
        result = _run("test", "--mapping", EXAMPLE, "--events", tmp_path)
        assert (result.exit_code, "x.json" in result.output) == (2, True)

    def test_an_unreadable_stored_event(self) -> None:
        """A stored event of another shape needs a person and keeps its name."""
        result = try_rules({"type": "task"}, parse_mapping("{}"), "event 7")
        assert (result.subject, result.outcome) == ("event 7", "person")


class TestGolden:
    """Results that are kept beside the file."""

    def test_written_then_equal_then_different(self, tmp_path: Path) -> None:
        """A golden file is made once; afterwards any other result is shown, with exit code 3."""
        events, golden = _events(tmp_path, Task(1), Task(2)), tmp_path / "golden.json"
        arguments = ["test", "--events", events, "--golden", golden, "--mapping"]
        assert _run(*arguments, _mapping(tmp_path), "--write").exit_code == 0
        assert _run(*arguments, _mapping(tmp_path)).output == "no result differs\n"
        changed = _run(*arguments, _mapping(tmp_path, rounding="hour", min_billable_hours=3))
        assert changed.exit_code == 3
        assert "- outcome recorded, client acme, hours 2, rate 60.00" in changed.output
        assert "+ outcome recorded, client acme, hours 3, rate 60.00" in changed.output
        (events / "2-0.json").unlink()
        assert "+ not there" in _run(*arguments, _mapping(tmp_path)).output

    def test_wrong_use(self, tmp_path: Path) -> None:
        """A missing golden file, and --write without a name, are wrong use."""
        events = _events(tmp_path, Task(1))
        missing = _run("test", "--mapping", EXAMPLE, "--events", events, "--golden", tmp_path / "none.json")
        assert (missing.exit_code, "--write makes it" in missing.output) == (2, True)
        assert _run("test", "--mapping", EXAMPLE, "--events", events, "--write").exit_code == 2


class TestAgainst:
    """What another file would change."""

    def test_rules_and_results(self, tmp_path: Path) -> None:
        """The rules that differ and the results that differ are shown, with exit code 3."""
        old, new = _mapping(tmp_path), _mapping(tmp_path, "new.json", default_hourly_rate=75)
        events = _events(tmp_path, Task(1))
        result = _run("test", "--mapping", old, "--events", events, "--against", new)
        assert result.exit_code == 3
        assert "project 1: project_hourly_rate 60 -> 75" in result.output
        assert "+ outcome recorded, client acme, hours 2, rate 75.00" in result.output
        shown = json.loads(_run("test", "--mapping", old, "--events", events, "--against", new, "--json").output)
        assert shown["results"][0]["after"]["rate"] == "75.00"

    def test_the_same_file(self, tmp_path: Path) -> None:
        """A file differs in nothing from itself."""
        file = _mapping(tmp_path)
        assert _run("test", "--mapping", file, "--events", _events(tmp_path, Task(1)), "--against", file).exit_code == 0

    def test_projects_come_and_go(self) -> None:
        """New and removed projects, and general rules, are named."""
        old = parse_mapping(json.dumps({"project_mappings": [PROJECT]}))
        other = PROJECT | {"taiga_project_id": 2, "taiga_project_name": "Shop"}
        new = parse_mapping(json.dumps({"project_mappings": [other], "billing_rules": {"auto_send": True}}))
        assert differences(old, new) == [
            "project 1: no longer mapped",
            "project 2 (Shop): mapped to client acme",
            "billing_rules: auto_send false -> true",
        ]

    def test_every_kind_of_value_is_readable(self) -> None:
        """No rule shows Python's own notation."""
        rules = effective_rules(parse_mapping(EXAMPLE.read_text()).rules_for(2))
        assert not any("Decimal" in shown_value(value) or "None" in shown_value(value) for value in rules.values())
