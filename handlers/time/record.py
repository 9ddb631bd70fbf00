"""A Taiga change: the time entry in Invoice Ninja becomes what it should be.

Converges: reads the present state, computes what Invoice Ninja should hold, makes the difference. Five webhooks of one
task, in any order, doubled or late, end in the same single entry. Source: docs/architecture.md.
"""

from dataclasses import replace

from handlers.errors import NeedsPerson, NotFound
from handlers.event import Work
from handlers.outcome import Ignored, Outcome, Processed
from handlers.ports.context import Context
from handlers.recheck import is_recheck
from handlers.time.absence import require_attributes, require_project
from handlers.time.apply_rates import asks_for_new_rates
from handlers.time.ledger import TimeLedger
from handlers.time.mark_invoiced import mark_invoiced
from handlers.time.restore_overwritten import give_back
from handlers.time.write_back import is_write_back, write_back
from mappings.codes import Code
from mappings.config.file import ProjectRules
from mappings.errors import BadInput
from mappings.taiga.models import WorkItem
from mappings.taiga.webhook import is_own_echo, read_webhook
from mappings.time.entry import plan_time
from mappings.time.models import NotBillable


async def record_time(work: Work, context: Context) -> Outcome:
    """Make Invoice Ninja hold the time of one Taiga task, user story or issue.

    Raises:
        NeedsPerson: something a person typed or configured cannot be billed.
        RemoteError: Taiga or Invoice Ninja failed.
    """
    if all(is_write_back(event) for event in work.due):
        return await mark_invoiced(work, context)
    is_asked_for = any(
        event.id == work.newest.id or is_recheck(event) or asks_for_new_rates(event) for event in work.due
    )
    if context.taiga is None and not is_asked_for:
        return Ignored(Code.SUPERSEDED, f"superseded by event {work.newest.id}, which has a newer state")
    told = read_webhook(work.newest.payload)
    rules = context.mapping.rules_for(told.project_id)
    if told.kind not in rules.rules.billable_types:
        return Ignored(
            Code.TYPE_NOT_BILLED, f"nothing is billed for type {told.kind} (billable_types in mappings.json)"
        )
    if context.taiga is not None and await _is_our_echo(work, context, rules):
        return Ignored(Code.OWN_ECHO, "caused by our own write-back")
    given_back = (
        await give_back(work, told, rules, context.taiga, context) if context.taiga and not told.is_deleted else ""
    )
    item = await _present(told, context)
    outcome = await _converge(item, work, context)
    return Processed(Code.VALUES_RESTORED, f"{given_back}; {outcome.reason}") if given_back else outcome


async def _is_our_echo(work: Work, context: Context, rules: ProjectRules) -> bool:
    """Whether nothing but our own write-back happened.

    Asked only of events that nobody looked at before: an older change may have been taken together with the echo in a
    attempt that failed, and then the echo stands for both.
    """
    if context.taiga is None or not all(event.is_fresh for event in work.due):
        return False
    own_user = await context.taiga.user_id()
    return all(is_own_echo(event.payload, own_user, rules.attributes.invoice_status) for event in work.due)


async def _present(told: WorkItem, context: Context) -> WorkItem:
    """The item as it is now: read from Taiga when we may, else as the newest webhook reported it."""
    if context.taiga is None:
        return told
    try:
        # A webhook that tells of a deletion, too: every administrator of a project can sign one.
        return replace(await context.taiga.item(told.kind, told.id), permalink=told.permalink)
    except NotFound:
        await require_project(told, context.taiga)
        return replace(told, is_deleted=True, attributes=None)


async def _converge(item: WorkItem, work: Work, context: Context) -> Outcome:
    rules = context.mapping.rules_for(item.project_id)
    ledger = TimeLedger(work.subject, item, context)
    await ledger.load()
    try:
        await require_attributes(item, rules, ledger, context)
        recorded = ledger.recorded
        if recorded is not None and any(asks_for_new_rates(event) for event in work.due):
            recorded = replace(recorded, is_repriced=True)
        plan = plan_time(item, rules, existing_end=ledger.known_end, recorded=recorded)
    except BadInput as error:
        raise NeedsPerson(error.code, f"{item.kind} #{item.ref} ({item.permalink}): {error}", error.hint) from error
    if isinstance(plan, NotBillable):
        removed = await ledger.withdraw(plan.reason)
        note = await write_back(item, ledger.status_text(rules.statuses), rules, work, context)
        reason = "; ".join(part for part in (plan.reason, removed, note) if part)
        return Processed(Code.TIME_REMOVED, reason) if removed else Ignored(plan.code, reason)
    done = await ledger.settle(plan)
    note = await write_back(item, ledger.status_text(rules.statuses), rules, work, context)
    return Processed(Code.TIME_RECORDED, "; ".join(part for part in (done, note) if part))
