"""What is recorded stays recorded: the price of past work changes only by a cause of its own. Pure.

A change of mappings.json reaches past work by `taiga-billing rates apply` alone, never because somebody comments on it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mappings.config.file import ProjectRules
from mappings.taiga.models import WorkItem
from mappings.time.models import RateKind
from mappings.time.rates import Rate, is_typed, pick_rate

_DELETED_ACCOUNT = re.compile(r"deleted-user-\d+")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The price and hours of a piece of work as they were recorded, and what they were recorded for.

    `project_id` is Taiga's, 0 when unknown. `raw_hours` is what was typed, None when that is unknown. `own_client` is
    the client that was typed into the item, "" for none, None when unknown. `name` is whose rate it is, if a user's,
    and `since` the day on which it was recorded (ISO), "" when unknown. `is_repriced`: a person asked for the rates of
    now.
    """

    rate: Decimal
    kind: RateKind
    project_id: int
    own_client: str | None = None
    assignee: str = ""
    assignee_id: int | None = None
    raw_hours: Decimal | None = None
    hours: Decimal = Decimal(0)
    name: str = ""
    since: str = ""
    is_repriced: bool = False


def read_recorded(state: Mapping[str, Any]) -> Recorded | None:
    """What the state of a link says was recorded; None when nothing was."""
    sent = state.get("sent")
    if not sent:
        return None
    origin, source = state.get("origin") or {}, state.get("rate_source") or {}
    return Recorded(
        rate=Decimal(sent["rate"]),
        kind=source.get("kind", ""),
        project_id=int(origin.get("taiga_project_id") or 0),
        own_client=origin.get("own_client"),
        assignee=origin.get("person") or "",
        assignee_id=origin.get("person_id"),
        raw_hours=Decimal(sent["raw_hours"]),
        hours=Decimal(sent["hours"]),
        name=source.get("name", ""),
        since=source.get("since", ""),
    )


def rate_of(item: WorkItem, own: Any, own_client: str, rules: ProjectRules, recorded: Recorded | None) -> Rate:
    """The rate of an item: as recorded, until the item itself gives a cause for another one.

    Args:
        item: the work.
        own: the value of its attribute for the hourly rate.
        own_client: the client that was typed into it, "" for none.
        rules: of its project.
        recorded: what was recorded of it before, None when nothing was.

    Raises:
        BadInput: its own rate is not a rate, or there is none at all.
    """
    if recorded is None or is_typed(own) or _has_cause(item, own_client, rules, recorded):
        return new_rate_of(item, own, rules, recorded)
    return Rate(recorded.rate, "recorded before", recorded.kind)


def new_rate_of(item: WorkItem, own: Any, rules: ProjectRules, recorded: Recorded | None) -> Rate:
    """The rate of an item by the rules of now; a deleted account has the rate of the person that it was.

    Raises:
        BadInput: its own rate is no rate, or there is none at all.
    """
    return pick_rate(own, shown_assignee(item, recorded) or None, rules)


def shown_assignee(item: WorkItem, recorded: Recorded | None) -> str:
    """The name under which the work is shown; a deleted account keeps the name that it had."""
    name = item.assignee or ""
    return recorded.assignee if recorded is not None and recorded.assignee and _is_deleted(name) else name


def _has_cause(item: WorkItem, own_client: str, rules: ProjectRules, recorded: Recorded) -> bool:
    if recorded.is_repriced or recorded.kind == "task":
        return True
    if recorded.project_id not in (0, item.project_id):
        return True
    if recorded.own_client is not None and recorded.own_client != own_client:
        return True
    return _is_other_person(item, recorded) and _has_user_rate(item, rules, recorded)


def _is_other_person(item: WorkItem, recorded: Recorded) -> bool:
    """Whether another person does the work now: not nobody, nor the same account under another name."""
    if item.assignee is None or _is_deleted(item.assignee):
        return False
    if item.assignee_id is not None and recorded.assignee_id is not None:
        return item.assignee_id != recorded.assignee_id
    return item.assignee != recorded.assignee


def _has_user_rate(item: WorkItem, rules: ProjectRules, recorded: Recorded) -> bool:
    """Whether one of the two persons has a rate of their own: else the person is no cause."""
    return (
        recorded.kind == "user"
        or item.assignee in rules.user_rates
        or (recorded.kind == "" and recorded.assignee in rules.user_rates)
    )


def _is_deleted(name: str) -> bool:
    return _DELETED_ACCOUNT.fullmatch(name) is not None
