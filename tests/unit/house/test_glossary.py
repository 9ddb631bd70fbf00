"""docs/glossary.md and docs/architecture.md name modules, tables and commands that exist, and each word once."""

import re
from collections import Counter
from pathlib import Path

import pytest

from middleware.cli import COMMANDS

ROOT = Path(__file__).parents[3]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in GLOSSARY.splitlines()
    if line.startswith("| ") and not line.startswith(("| word", "| ---"))
]
TABLES = set(
    re.findall(
        r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)",
        "\n".join(path.read_text("utf-8") for path in (ROOT / "middleware/store/migrations").glob("*.sql")),
    )
)


def in_code(cell: str) -> list[str]:
    """The words of a cell that are set as code."""
    return re.findall(r"`([^`]+)`", cell)


def test_each_word_once() -> None:
    """One thing, one word; one word, one thing."""
    assert [word for word, times in Counter(row[0] for row in ROWS).items() if times > 1] == []


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_word_leads_to_what_exists(row: list[str]) -> None:
    """Modules and folders, tables, commands."""
    _word, meaning, code, table, command, _page = row
    assert meaning
    assert [path for path in in_code(code) if not (ROOT / path).exists()] == []
    assert {name.partition(".")[0] for name in in_code(table)} <= TABLES
    named = {part.split()[0] for part in in_code(command)}
    assert {name for name in named if not name.startswith(("-", "..."))} <= set(COMMANDS)


def test_the_rooms_of_the_architecture_exist() -> None:
    """Folders and modules that docs/architecture.md names."""
    named = set(
        re.findall(r"`((?:mappings|handlers|middleware)/[\w/.]*)`", (ROOT / "docs/architecture.md").read_text())
    )
    assert len(named) > 12
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
