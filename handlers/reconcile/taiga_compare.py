"""Whether an item must be read whole, and whether its state must be put in as an event, and why; pure."""

from datetime import datetime

from handlers.reconcile.taiga_models import Newest, Seen, State
from mappings.codes import Code
from mappings.config.file import ProjectRules
from mappings.errors import BadInput
from mappings.taiga.fingerprint import content_mark, row_mark
from mappings.taiga.models import WorkItem
from mappings.time.absent import seems_renamed
from mappings.time.entry import plan_time
from mappings.time.models import NotBillable


def may_have_changed(item: WorkItem, seen: Seen | None, *, is_linked: bool) -> bool:
    """Whether an item must be read whole: by its row of a list, and what the last look found."""
    if seen is None:
        return item.is_closed or is_linked
    if not item.is_closed and seen.state != "closed" and not is_linked:
        return False
    return seen.row_mark != row_mark(item) or seen.state != state_of(item)


def is_due_again(item: WorkItem, seen: Seen | None, before: datetime) -> bool:
    """Whether a closed item whose row is unchanged was read before this moment, and not since."""
    return item.is_closed and seen is not None and seen.state == "closed" and seen.read_at < before


def state_of(item: WorkItem) -> State:
    """The state of an item, as it is remembered."""
    if item.is_deleted:
        return "gone"
    return "closed" if item.is_closed else "open"


def judge(
    item: WorkItem, content: str, seen: Seen | None, newest: Newest | None, rules: ProjectRules, *, is_linked: bool
) -> str:
    """Why the item goes in; "" when the events know its state, or nothing would come of it.

    Args:
        item: as it is now.
        content: its mark.
        seen: what the last look found, if there was one.
        newest: the newest event of its subject, if any; also one that a person discarded.
        rules: of its project.
        is_linked: whether a time entry was made for it.
    """
    is_wanted = _calls_for_an_entry(item, rules)
    if not (is_wanted or is_linked):
        return ""
    if newest is not None and _told_content(newest, seen, rules) == content:
        if newest.code == Code.ATTRIBUTE_MISSING and newest.status == "dead":
            is_there = is_wanted and not seems_renamed(item, rules.attributes)
            return f"the attribute that event {newest.event_id} lacked is there" if is_there else ""
        is_over = newest.status in ("processed", "ignored")
        return "billable, but there is no time entry" if is_over and is_wanted and not is_linked else ""
    return _reason(item, newest, is_linked=is_linked)


def _told_content(newest: Newest, seen: Seen | None, rules: ProjectRules) -> str:
    """The mark of the newest event's content; when its body is gone, of the content at the last comparison."""
    if newest.told is None:
        return seen.content if seen is not None else ""
    return content_mark(newest.told, rules.attributes.invoice_status)


def _reason(item: WorkItem, newest: Newest | None, *, is_linked: bool) -> str:
    if item.is_deleted:
        return "it has a time entry, but is gone from Taiga"
    if is_linked and not item.is_closed:
        return "it has a time entry, but is no longer closed"
    if newest is None:
        return "closed, but no webhook reported it"
    return f"changed since event {newest.event_id}"


def _calls_for_an_entry(item: WorkItem, rules: ProjectRules) -> bool:
    """Whether handling it would make an entry, or ask a person to repair something."""
    try:
        return not isinstance(plan_time(item, rules, existing_end=None), NotBillable)
    except BadInput:
        return True
