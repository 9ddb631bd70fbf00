"""Invoice Ninja's settings as they hold for one client: the client's over its group's over the company's, key by key.

Source: docs/facts/invoice-ninja-2.md sections 1 and 2. A key that is missing or null leaves the decision to the next
level; so does an empty text at the client, but not at a group. A group that is archived or deleted decides nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from mappings.invoiceninja.models import Company, NinjaClient, Tax

Level = Literal["client", "group", "company"]

SETTINGS = frozenset(
    {
        "task_round_to_nearest",
        "task_round_up",
        "currency_id",
        "tax_name1",
        "tax_rate1",
        "tax_name2",
        "tax_rate2",
        "tax_name3",
        "tax_rate3",
        "inclusive_taxes",
        "enable_rappen_rounding",
        "counter_number_applied",
        "payment_terms",
        "language_id",
        "late_fee_amount1",
        "late_fee_amount2",
        "late_fee_amount3",
        "late_fee_percent1",
        "late_fee_percent2",
        "late_fee_percent3",
    }
)
"""The keys that change what our writes end up as; of each level only these are kept."""

_TAX_SLOTS = ("1", "2", "3")
_LATE_FEES = tuple(sorted(name for name in SETTINGS if name.startswith("late_fee_")))


@dataclass(frozen=True, slots=True)
class Rounding:
    """How Invoice Ninja rounds each stretch of time of a task: to `step` seconds, 1 for not at all."""

    step: int = 1
    is_up: bool = False
    level: Level = "company"

    def __bool__(self) -> bool:
        return self.step > 1

    def __str__(self) -> str:
        if not self:
            return "none"
        return f"{'up' if self.is_up else 'down'} to {self.step} s (set at the {self.level})"


@dataclass(frozen=True, slots=True)
class EffectiveSettings:
    """What holds for a client. `taxes` are the default taxes, which Invoice Ninja itself applies to nothing."""

    rounding: Rounding
    currency_id: str
    taxes: tuple[Tax, ...]
    inclusive_taxes: bool
    rounds_to_rappen: bool
    numbers_when_sent: bool
    payment_terms: str
    language_id: str
    has_late_fees: bool


def effective_settings(
    client: NinjaClient | None, company: Company, groups: Mapping[str, Mapping[str, Any]]
) -> EffectiveSettings:
    """The settings of a client (None: of tasks without one); `groups` are the settings of the live groups by id."""
    levels = _Levels(client, company, groups)
    step, step_level = levels.find("task_round_to_nearest")
    return EffectiveSettings(
        rounding=Rounding(max(1, int(_number(step))), levels.flag("task_round_up"), step_level),
        currency_id=(client.currency_id if client else "") or levels.text("currency_id") or company.currency_id,
        taxes=tuple(levels.taxes()),
        inclusive_taxes=levels.flag("inclusive_taxes"),
        rounds_to_rappen=levels.flag("enable_rappen_rounding"),
        numbers_when_sent=levels.text("counter_number_applied") == "when_sent",
        payment_terms=levels.text("payment_terms"),
        language_id=levels.text("language_id"),
        has_late_fees=any(_number(levels.find(name)[0]) > 0 for name in _LATE_FEES),
    )


@dataclass(frozen=True, slots=True)
class _Levels:
    client: NinjaClient | None
    company: Company
    groups: Mapping[str, Mapping[str, Any]]

    def find(self, name: str) -> tuple[Any, Level]:
        """The value that decides, and where it is set; None from the company when nobody says anything."""
        if self.client is not None:
            own = self.client.settings.get(name)
            if own not in (None, ""):
                return own, "client"
            of_group = self.groups.get(self.client.group_id, {}).get(name)
            if of_group is not None:
                return of_group, "group"
        return self.company.settings.get(name), "company"

    def text(self, name: str) -> str:
        value, _level = self.find(name)
        return "" if value is None else str(value)

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in {"true", "1"}

    def taxes(self) -> Iterator[Tax]:
        for slot in _TAX_SLOTS:
            name, rate = self.text(f"tax_name{slot}"), _number(self.find(f"tax_rate{slot}")[0])
            if name and rate > 0:
                yield Tax(name, rate)


def _number(value: Any) -> Decimal:
    """A number of a setting, also as text; 0 for anything else: people type settings, and no plan may fail on one."""
    text = "" if isinstance(value, bool) else str(value)
    return Decimal(text) if text.replace(".", "", 1).isdecimal() and text.isascii() else Decimal(0)
