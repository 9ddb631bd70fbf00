"""Which hourly rate applies, and where it comes from."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from mappings.codes import Code
from mappings.config.file import ProjectRules
from mappings.config.types import MAX_RATE
from mappings.errors import BadInput
from mappings.time.models import RateKind
from mappings.values.numbers import both_readings, read_number, two_readings
from mappings.values.text import one_line

_CENT = Decimal("0.01")
# A browser that adds 0.1 and 0.2 writes 0.30000000000000004: nobody typed the rest.
_FLOAT_NOISE = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Rate:
    """Money per hour, more than 0, with two decimals; `source` says in a person's words which setting it is."""

    amount: Decimal
    source: str
    kind: RateKind


def pick_rate(own: Any, assignee: str | None, rules: ProjectRules) -> Rate:
    """The rate by precedence: the item's own, the assignee's, the project's, the general one.

    Args:
        own: the value of the item's attribute for the hourly rate; None or blank when nobody typed one.
        assignee: the Taiga username, None when nobody is assigned.
        rules: the effective rules of the project.

    Raises:
        BadInput: the item's own rate is not a rate, there is none at all, or `user_rates` spell the assignee otherwise.
    """
    if is_typed(own):
        return Rate(_own_rate(own, rules.attributes.hourly_rate), f'"{rules.attributes.hourly_rate}" in Taiga', "task")
    _refuse_other_case(assignee or "", rules)
    wide: tuple[str, RateKind] = ("client_rules", "client") if rules.has_client_rate else ("billing_rules", "general")
    configured: list[tuple[Decimal | None, str, RateKind]] = [
        (rules.user_rates.get(assignee or ""), f"user_rates of {assignee}", "user"),
        (rules.project_rate, "default_hourly_rate of the project", "project"),
        (rules.rules.default_hourly_rate, f"default_hourly_rate of {wide[0]}", wide[1]),
    ]
    for amount, source, kind in configured:
        if amount is not None:
            return Rate(amount.quantize(_CENT), source, kind)
    raise BadInput(
        Code.NO_RATE,
        rules.attributes.hourly_rate,
        None,
        "there is no hourly rate for this work",
        f'type one into "{rules.attributes.hourly_rate}" in Taiga, or set user_rates of {assignee or "the assignee"}, '
        f"default_hourly_rate of project {rules.taiga_project_id} or of billing_rules in mappings.json",
    )


def _refuse_other_case(assignee: str, rules: ProjectRules) -> None:
    """A capital letter in `user_rates` must not decide silently that another rate applies."""
    others = [name for name in rules.user_rates if name.casefold() == assignee.casefold()]
    if assignee not in rules.user_rates and others:
        problem = f'the assignee is "{assignee}", and it is not known whether the same person is meant'
        hint = f'write "{assignee}" in mappings.json as Taiga does, or type a rate into the task'
        raise BadInput(Code.BAD_RATE, "user_rates", others[0], problem, hint)


def is_typed(own: Any) -> bool:
    """Whether a person typed something into the attribute for the hourly rate."""
    return own is not None and not (isinstance(own, str) and not one_line(own))


def _own_rate(value: Any, field: str) -> Decimal:
    readings = two_readings(value)
    if readings is not None:
        hint = "type the rate in Taiga without a separator of thousands, and with at most two decimals"
        raise BadInput(Code.BAD_RATE, field, value, f"this may be meant in two ways: {both_readings(*readings)}", hint)
    number = read_number(value)
    if number is None:
        raise BadInput(
            Code.BAD_RATE,
            field,
            value,
            "this is not an hourly rate",
            "type a number such as 75 or 75.50 in Taiga, or clear it",
        )
    if number <= 0:
        hint = "type the rate in Taiga, clear it to use the configured one, or untick the billable attribute"
        raise BadInput(Code.BAD_RATE, field, value, "this is not a rate above 0", hint)
    if number > MAX_RATE:
        raise BadInput(
            Code.BAD_RATE, field, value, f"this is more than {MAX_RATE} an hour", "correct the rate in Taiga"
        )
    noiseless = number.quantize(_FLOAT_NOISE, ROUND_HALF_UP)
    amount = noiseless.quantize(_CENT, ROUND_HALF_UP)
    if amount != noiseless or not amount:
        raise BadInput(
            Code.BAD_RATE,
            field,
            value,
            "this has more than two decimals",
            "round the rate in Taiga: invoices carry two decimals",
        )
    return amount
