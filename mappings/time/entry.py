"""The time entry that Invoice Ninja should hold for a piece of work, or why there is none (docs/mapping.md)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from mappings.codes import Code
from mappings.config.file import MappingFile, ProjectRules
from mappings.errors import BadInput
from mappings.taiga.models import WorkItem, WorkKind
from mappings.time.models import NotBillable, TimeEntry
from mappings.time.rates import Rate
from mappings.time.recorded import Recorded, rate_of
from mappings.time.rounding import round_hours
from mappings.values.hours import hours_to_seconds, parse_checkbox, parse_hours, seconds_to_hours
from mappings.values.text import one_line, shortened

NUMBER_PREFIX = "TAIGA-"
_LETTERS: Mapping[WorkKind, str] = {"task": "T", "userstory": "US", "issue": "I"}
_WORDS: Mapping[WorkKind, str] = {"task": "Task", "userstory": "User story", "issue": "Issue"}
_LONGEST_DESCRIPTION = 500
_LONGEST_CLIENT = 100


def plan_time(
    item: WorkItem,
    rules: ProjectRules | None,
    *,
    existing_end: int | None,
    recorded: Recorded | None = None,
) -> TimeEntry | NotBillable:
    """What should be billed for the item as it is now.

    Args:
        item: the work.
        rules: of its project: `MappingFile.rules_for(item.project_id)`. None means an unmapped project, judged by the
            default attribute names.
        existing_end: where the entry that is already there ends (unix seconds); keeps an entry in its place when Taiga
            does not know when the work was finished. With it `billable_from` is not asked: what is recorded is kept.
        recorded: what was recorded of it before; its rate and the rounding of its hours stay as they are until the
            work itself gives a cause to change them.

    Raises:
        BadInput: the work is finished and billable, but a person must repair something first.
    """
    effective = rules or MappingFile().rules_for(item.project_id)
    values = item.attributes or {}
    refusal = _refusal(item, values, effective, is_recorded=existing_end is not None)
    if refusal is not None:
        return refusal
    if not effective.is_mapped:
        raise _unmapped(item)
    hours = _hours(item, values, effective, recorded)
    if isinstance(hours, NotBillable):
        return hours
    own_client = _own_client(values, effective)
    rate = rate_of(item, values.get(effective.attributes.hourly_rate), own_client, effective, recorded)
    return _entry(item, effective, hours, own_client, rate, existing_end=existing_end)


def entry_number(kind: WorkKind, item_id: int, prefix: str = NUMBER_PREFIX) -> str:
    """The exactly-once key of an item's time entry: `TAIGA-T12`, `TAIGA-US12`, `TAIGA-I12`."""
    return f"{prefix}{_LETTERS[kind]}{item_id}"


def correction(desired: TimeEntry, billed_hours: Decimal, suffix: int) -> TimeEntry:
    """The entry for hours that were added after the work was invoiced: only the difference, ending where the work ends.

    Args:
        desired: what should be billed altogether.
        billed_hours: the sum of what is on invoices already.
        suffix: 2 for the first correction, 3 for the next: `TAIGA-T12-2`.

    Raises:
        ValueError: there is no difference to bill; fewer hours are a credit, which a person decides.
    """
    seconds = hours_to_seconds(desired.hours) - hours_to_seconds(billed_hours)
    if seconds <= 0:
        raise ValueError(f"{desired.hours} h are no more than the {billed_hours} h already billed")
    hours = seconds_to_hours(seconds)
    note = f" (correction: {hours} h more than invoiced)"
    return replace(
        desired,
        number=f"{desired.number}-{suffix}",
        description=shortened(desired.description, _LONGEST_DESCRIPTION - len(note)) + note,
        raw_hours=hours,
        hours=hours,
        started_at=desired.ended_at - seconds,
    )


def is_too_early(item: WorkItem, rules: ProjectRules) -> bool:
    """Whether the item was closed before the first day whose work is billed (`billable_from`, in the rules' zone)."""
    first_day = rules.rules.billable_from
    if first_day is None or not item.is_closed:
        return False
    closed_at = item.finished_at or item.changed_at
    return closed_at.astimezone(ZoneInfo(rules.rules.timezone)).date() < date.fromisoformat(first_day)


def _refusal(
    item: WorkItem, values: Mapping[str, Any], rules: ProjectRules, *, is_recorded: bool
) -> NotBillable | None:
    """Why the item is not to be billed, whatever its hours are; these come before any complaint about a value."""
    if item.kind not in rules.rules.billable_types:
        reason = f"{_WORDS[item.kind].lower()}: this type is not in billable_types"
        return NotBillable(Code.TYPE_NOT_BILLED, reason)
    if item.is_deleted:
        return NotBillable(Code.DELETED_IN_TAIGA, "deleted in Taiga")
    if not item.is_closed:
        return NotBillable(Code.NOT_CLOSED, "not closed")
    if not is_recorded and is_too_early(item, rules):
        return NotBillable(Code.CLOSED_TOO_EARLY, f"closed before {rules.rules.billable_from}")
    name = rules.attributes.billable
    if not parse_checkbox(values.get(name), field=name):
        return NotBillable(Code.NOT_MARKED_BILLABLE, "not marked billable")
    return None


def _unmapped(item: WorkItem) -> BadInput:
    project = f"{item.project_id} ({item.project_name})" if item.project_name else str(item.project_id)
    hint = f'add taiga_project_id {item.project_id} ("{item.project_name}") with its client to project_mappings'
    return BadInput(
        Code.PROJECT_NOT_MAPPED, "taiga_project_id", project, "mappings.json does not name this project", hint
    )


def _hours(
    item: WorkItem, values: Mapping[str, Any], rules: ProjectRules, recorded: Recorded | None
) -> tuple[Decimal, Decimal] | NotBillable:
    """The hours as typed and as billed."""
    name, rule = rules.attributes.hours, rules.rules
    raw = parse_hours(values.get(name), field=name, max_hours=rule.max_hours)
    if not raw:
        return NotBillable(Code.NO_HOURS, "no hours yet")
    if recorded is not None and recorded.raw_hours == raw and recorded.project_id == item.project_id:
        return raw, recorded.hours
    billed = round_hours(raw, rule.rounding, rule.rounding_mode, rule.min_billable_hours, rule.below_minimum)
    if billed is None:
        return NotBillable(Code.BELOW_MINIMUM, f"below the minimum of {rule.min_billable_hours} h")
    return (raw, billed) if billed else NotBillable(Code.ROUNDS_TO_NOTHING, "rounds down to nothing")


def _entry(
    item: WorkItem,
    rules: ProjectRules,
    hours: tuple[Decimal, Decimal],
    own_client: str,
    rate: Rate,
    *,
    existing_end: int | None,
) -> TimeEntry:
    raw, billed = hours
    client_ref = own_client or rules.client_id
    ended_at = _end(item, existing_end)
    return TimeEntry(
        number=entry_number(item.kind, item.id),
        description=shortened(f"{_WORDS[item.kind]} #{item.ref}: {one_line(item.subject)}", _LONGEST_DESCRIPTION),
        client_ref=client_ref,
        # In Invoice Ninja a project overrides the client (docs/facts/invoice-ninja.md section 6).
        project_id=rules.project_id if client_ref == rules.client_id else "",
        rate=rate.amount,
        raw_hours=raw,
        hours=billed,
        started_at=ended_at - hours_to_seconds(billed),
        ended_at=ended_at,
        rate_kind=rate.kind,
        own_client=own_client,
    )


def _end(item: WorkItem, existing_end: int | None) -> int:
    if item.finished_at is None and existing_end is not None:
        return existing_end
    return int((item.finished_at or item.changed_at).timestamp())


def _own_client(values: Mapping[str, Any], rules: ProjectRules) -> str:
    """The client a person typed into the item, "" when the project's client pays."""
    name = rules.attributes.client
    value = values.get(name)
    if value is None:
        return ""
    typed = _client_text(value)
    if typed is None or len(typed) > _LONGEST_CLIENT:
        hint = (
            "type the id or the number of a client of Invoice Ninja into Taiga, or clear it to use the project's client"
        )
        raise BadInput(Code.BAD_CLIENT, name, value, "this is not a client", hint)
    return typed


def _client_text(value: Any) -> str | None:
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(value)
    # A client number of 1e300 is refused before it is written out.
    if not number.is_finite() or number.adjusted() > _LONGEST_CLIENT or number != number.to_integral_value():
        return None
    return f"{number:.0f}"
