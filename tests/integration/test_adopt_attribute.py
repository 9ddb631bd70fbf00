"""`mappings adopt-attribute`: an attribute that was renamed in Taiga is called by its new name."""

import json
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mappings.config.file import parse_mapping
from middleware.commands import mappings

TEXT = """{"project_mappings": [
    {"taiga_project_id": 1, "invoiceninja_client_id": "acme", "default_hourly_rate": 75.50},
    {"taiga_project_id": 2, "invoiceninja_client_id": "other", "attributes": {"hours": "Hours"}}
]}"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A mapping file of two projects."""
    path = tmp_path / "mappings.json"
    path.write_text(TEXT)
    path.chmod(0o640)
    return path


def adopt(file: Path, *arguments: str) -> Any:
    """Run the command on the file."""
    return CliRunner().invoke(mappings.command, ["adopt-attribute", *arguments, "--mapping", str(file)])


def test_one_project_is_changed(file: Path) -> None:
    """The name counts for this project and field only; the rest of the file stays as it was, its mode too."""
    result = adopt(file, "1", "billable", "Billable to customer")
    assert result.exit_code == 0, result.output
    assert "project 1: attributes.billable Billable -> Billable to customer" in result.output
    assert "events replay --code attribute_missing" in result.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    before, after = json.loads(TEXT), json.loads(file.read_text())
    assert after["project_mappings"][0].pop("attributes") == {"billable": "Billable to customer"}
    assert after == before
    assert parse_mapping(file.read_text()).rules_for(1).project_rate == Decimal("75.50")
    adopt(file, "2", "billable", "To bill")
    assert json.loads(file.read_text())["project_mappings"][1]["attributes"] == {
        "hours": "Hours",
        "billable": "To bill",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("3", "billable", "Billable"), "does not map Taiga project 3"),
        (("1", "billable", ""), "attributes.billable"),
        (("1", "colour", "Red"), "colour"),
    ],
)
def test_nothing_is_written(file: Path, arguments: tuple[str, ...], words: str) -> None:
    """An unknown project, no name or an unknown field change nothing, and the answer says which it was."""
    result = adopt(file, *arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert file.read_text() == TEXT


def test_a_file_that_cannot_be_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is said, and the file stays."""

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mappings, "write_whole", full)
    result = adopt(file, "1", "billable", "New")
    assert (result.exit_code, "No space left on device" in result.output) == (2, True)
    assert file.read_text() == TEXT
