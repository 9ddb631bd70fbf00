"""A task went onto an invoice, and the store has no other event of it: its "Invoice Status" in Taiga is written.

As a rule `record_time` does this: it is given the newest Taiga event of the item together with ours.
"""

from handlers.errors import NeedsPerson, NotFound
from handlers.event import Work
from handlers.outcome import Ignored, Outcome, Processed
from handlers.ports.context import Context
from handlers.time.handlers_write_back import write_back
from handlers.time.ledger import TimeLedger
from mappings.time.models import WorkKind

_KINDS: dict[str, WorkKind] = {"task": "task", "userstory": "userstory", "issue": "issue"}


async def mark_invoiced(work: Work, context: Context) -> Outcome:
    """Write the status of the item that the subject names.

    Raises:
        NeedsPerson: the subject names no Taiga item.
        RemoteError: Taiga or Invoice Ninja failed.
    """
    if context.taiga is None:
        return Ignored("no credentials for Taiga: its status is not written")
    _source, _, name = work.subject.partition(":")
    kind, _, item_id = name.partition(":")
    if kind not in _KINDS or not item_id.isdigit():
        raise NeedsPerson(f"{work.subject} is no Taiga item", "discard this event")
    try:
        item = await context.taiga.item(_KINDS[kind], int(item_id))
    except NotFound:
        return Ignored("the item is gone from Taiga")
    ledger = TimeLedger(work.subject, item, context)
    await ledger.load()
    rules = context.mapping.rules_for(item.project_id)
    note = await write_back(item, ledger.status_text(rules.statuses), rules, context)
    return Processed(note) if note else Ignored("its status is as it should be")
