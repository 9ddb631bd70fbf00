"""Work of earlier periods: what came late, and what missed runs left, is billed once and told."""

import json
from datetime import date
from decimal import Decimal

from mappings.config.file import parse_mapping
from mappings.invoices.lines import lines_of
from mappings.invoices.models import Entry
from mappings.invoices.period import parse_period
from tests.support.invoicing.invoicing_bench import office

DECEMBER = parse_period("2025-12", "Europe/Brussels")


def entry(number: str, first: str, last: str) -> Entry:
    """An hour of work."""
    days = date.fromisoformat(first), date.fromisoformat(last)
    return Entry(number, number, "c", "", "", "Work", "", *days, 3600, Decimal(80), (), "")


def _title(*entries: Entry) -> str:
    return lines_of(entries, "none", DECEMBER)[0].notes.splitlines()[0]


def test_titles_of_groups() -> None:
    """A group is titled with the period, or with its days when work of before is in it."""
    in_time = entry("1", "2025-12-10", "2025-12-10")
    assert _title(in_time) == "Services, 2025-12"
    assert _title(in_time, entry("2", "2025-10-03", "2025-10-04")) == "Services, 2025-10-03 to 2025-12-10"


async def test_three_months_without_a_run() -> None:
    """One invoice bills all of it, once; the plan says how much of it is older than the period."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.mapping = parse_mapping(json.dumps({"client_rules": {acme: {}}}))
        for end in ("2025-10-05 12:00", "2025-11-05 12:00", "2025-12-05 12:00"):
            await bureau.work(acme, "2", end)
        made = await bureau.plan()
        assert made.warnings == (
            "Acme: 4 h are older than 2025-12 (since 2025-10-05) and on no invoice yet: they are billed now",
        )
        assert await bureau.bill() == ["invoice 0001: 480.00 USD for 6 h"]
        assert (await bureau.plan()).invoices == ()
