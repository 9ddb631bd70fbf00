"""What recorded work would cost at the rates of now: `taiga-billing rates apply`. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from mappings.config.file import ProjectRules
from mappings.errors import BadInput
from mappings.taiga.models import WorkItem
from mappings.time.recorded import Recorded, new_rate_of

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Repriced:
    """An unbilled entry whose rate is another one by now. `source` is the setting that the new rate is from."""

    subject: str
    number: str
    description: str
    client_id: str
    hours: Decimal
    old_rate: Decimal
    new_rate: Decimal
    source: str

    @property
    def old_sum(self) -> Decimal:
        """What it would be billed as, without taxes."""
        return (self.hours * self.old_rate).quantize(_CENT, ROUND_HALF_UP)

    @property
    def new_sum(self) -> Decimal:
        """What it is billed as at the new rate, without taxes."""
        return (self.hours * self.new_rate).quantize(_CENT, ROUND_HALF_UP)


def reprice(
    key: tuple[str, str], sent: Mapping[str, Any], recorded: Recorded, item: WorkItem, rules: ProjectRules
) -> Repriced | None:
    """The entry at the rate of now; None when that is the recorded one, the item's own, or none at all.

    Args:
        key: the subject of the work, and the number of the entry.
        sent: what Invoice Ninja was sent, as the link keeps it.
        recorded: what was recorded.
        item: the work as its newest webhook describes it.
        rules: of its project.
    """
    try:
        rate = new_rate_of(item, (item.attributes or {}).get(rules.attributes.hourly_rate), rules, recorded)
    except BadInput:
        return None
    if rate.kind == "task" or rate.amount == recorded.rate:
        return None
    return Repriced(
        subject=key[0],
        number=key[1],
        description=sent["description"],
        client_id=sent["client_id"],
        hours=recorded.hours,
        old_rate=recorded.rate,
        new_rate=rate.amount,
        source=rate.source,
    )


def is_from(sent: Mapping[str, Any], first_day: date | None, timezone: str) -> bool:
    """Whether the work was finished on this day or later, in the time zone of its rules."""
    if first_day is None:
        return True
    return datetime.fromtimestamp(int(sent["ended_at"]), UTC).astimezone(ZoneInfo(timezone)).date() >= first_day


def sums_by_client(changes: Iterable[Repriced]) -> dict[str, tuple[Decimal, Decimal]]:
    """The old and the new sum of each client: each has one currency."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for one in changes:
        old, new = sums.get(one.client_id, (Decimal(0), Decimal(0)))
        sums[one.client_id] = (old + one.old_sum, new + one.new_sum)
    return sums
