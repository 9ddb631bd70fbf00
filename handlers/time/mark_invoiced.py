"""Only the status: a task went onto an invoice, or its write-back waited until nobody changed it any more.

Where the store knows a Taiga event of the item, `record_time` is given that together with ours, and comes here when
nothing but the status is asked for.
"""

from handlers.errors import NeedsPerson, NotFound
from handlers.event import Work
from handlers.outcome import Ignored, Outcome, Processed
from handlers.ports.context import Context
from handlers.time.ledger import TimeLedger
from handlers.time.write_back import write_back
from mappings.codes import Code
from mappings.taiga.models import WorkKind

_KINDS: dict[str, WorkKind] = {"task": "task", "userstory": "userstory", "issue": "issue"}


async def mark_invoiced(work: Work, context: Context) -> Outcome:
    """Write the status of the item that the subject names, as our record of its entries has it.

    Raises:
        NeedsPerson: the subject names no Taiga item.
        RetryLater, RemoteError: as `write_back` does; Invoice Ninja failed.
    """
    if context.taiga is None:
        return Ignored(Code.TAIGA_NOT_CONFIGURED, "no credentials for Taiga: its status is not written")
    _source, _, name = work.subject.partition(":")
    kind, _, item_id = name.partition(":")
    if kind not in _KINDS or not item_id.isdigit():
        raise NeedsPerson(Code.NOT_A_TAIGA_ITEM, f"{work.subject} is not a Taiga item", "discard this event")
    try:
        item = await context.taiga.item(_KINDS[kind], int(item_id))
    except NotFound:
        return Ignored(Code.DELETED_IN_TAIGA, "the item is gone from Taiga")
    ledger = TimeLedger(work.subject, item, context)
    await ledger.load()
    rules = context.mapping.rules_for(item.project_id)
    note = await write_back(item, ledger.status_text(rules.statuses), rules, work, context)
    if not note:
        return Ignored(Code.STATUS_UNCHANGED, "its status is correct")
    return Processed(Code.STATUS_WRITTEN, note)
