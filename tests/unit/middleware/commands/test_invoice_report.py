"""Plans as people read them: nothing that was typed is read as markup, wide letters and long texts keep the columns."""

import json

import pytest
from rich.cells import cell_len

from mappings.config.file import parse_mapping
from middleware.commands.invoices.report import print_plan
from middleware.commands.output import PlainTable
from tests.support.invoicing.invoicing_bench import local, office


def _table(*rows: tuple[str, str, str]) -> PlainTable:
    table = PlainTable(("what", "hours", "why"), folded=frozenset({0, 2}), right=frozenset({1}))
    for row in rows:
        table.add(*row)
    return table


def test_columns() -> None:
    """Every cell stands under its heading, figures flush right, also beside wide letters."""
    table = _table(("日本", "1", "so"), ("Call", "10.25", "because"))
    table.rule()
    assert list(table.lines(80)) == [
        "what  hours  why",
        "────────────────────",
        "日本      1  so",
        "Call  10.25  because",
        "────────────────────",
    ]


@pytest.mark.parametrize("room", [40, 60, 200])
def test_long_texts_are_folded(room: int) -> None:
    """Long texts go on in the next line, and not a word of them is lost."""
    words = " ".join(f"word{n}" for n in range(30))
    lines = list(_table((words, "1", words)).lines(max(room, 49)))
    assert all(cell_len(line) <= max(room, 49) for line in lines)
    assert sorted(" ".join(lines[2:]).split()) == sorted([*words.split(), *words.split(), "1"])


async def test_what_people_typed_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A task called "[bug] see [/docs]" is shown as it is called."""
    async with office() as bureau:
        acme = await bureau.client("[b]Acme[/b]")
        bureau.mapping = parse_mapping(json.dumps({"client_rules": {acme: {}}}))
        await bureau.work(acme, "1", description="[bug] see [/docs]")
        await bureau.work(acme, "1", "2025-11-10 12:00", description="[/] before")
        print_plan(await bureau.plan(), local("2026-01-01 12:00"))
    told = capsys.readouterr().out
    assert "[b]Acme[/b]: dated 2026-01-01" in told
    assert "[bug] see [/docs] — 2025-12-10" in told
    assert "warning [b]Acme[/b]: 1 h are older than 2025-12" in told
    assert told.splitlines()[-1].endswith("2 h, 160.00 USD")
