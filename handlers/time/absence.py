"""What Taiga does not show is not taken for a "no": recorded hours stay, and one review for the project says why."""

from handlers.errors import NeedsPerson, Rejected
from handlers.ports.context import Context, TaigaWork
from handlers.time.ledger import TimeLedger
from mappings.codes import Code
from mappings.config.file import ProjectRules
from mappings.errors import BadInput
from mappings.taiga.models import WorkItem
from mappings.time.absent import check_attributes
from mappings.time.entry import is_too_early

ATTRIBUTE_MISSING = "attribute_missing"
"""The kind of the review of a project, however many of its items wait for the same attribute."""


async def require_attributes(item: WorkItem, rules: ProjectRules, ledger: TimeLedger, context: Context) -> None:
    """See to it that the project has the attributes by which closed work is judged.

    Raises:
        BadInput: one of them is missing; the review of the project is open.
        RemoteError: Taiga failed.
    """
    recorded = ledger.recorded if ledger.has_entries else None
    if item.is_deleted or not item.is_closed or (recorded is None and not _may_be_billed(item, rules)):
        return
    present = None
    if context.taiga is not None:
        definitions = await context.taiga.attribute_definitions(item.kind, item.project_id)
        present = [definition.name for definition in definitions]
    subject = f"taiga:project:{item.project_id}"
    try:
        check_attributes(item, rules.attributes, present, recorded)
    except BadInput as error:
        if error.code == Code.ATTRIBUTE_MISSING:
            summary = f"{error}. {error.hint[:1].upper()}{error.hint[1:]}"
            details = {"attribute": error.field, "taiga_project_id": item.project_id}
            await context.reviews.open(subject, ATTRIBUTE_MISSING, summary, details)
        raise
    await context.reviews.close(subject, ATTRIBUTE_MISSING, "the attribute is there")


async def require_project(item: WorkItem, taiga: TaigaWork) -> None:
    """See to it that an item which Taiga does not find is gone, not hidden, nor gone with its whole project.

    Raises:
        NeedsPerson: the project is gone, or our account may not see its items.
        RemoteError: Taiga failed.
    """
    try:
        is_shown = await taiga.may_list(item.kind, item.project_id)
    except Rejected:
        is_shown = False
    if not is_shown:
        raise NeedsPerson(
            Code.PROJECT_HIDDEN,
            f"{item.kind} #{item.ref} ({item.permalink}) is not found, and our Taiga account may not see project "
            f"{item.project_id} ({item.project_name}); what is recorded stays as it is",
            "give our Taiga account access to the project, then replay this event; if the project was deleted, delete "
            "the time entries in Invoice Ninja that shall not be billed and discard this event",
        )


def _may_be_billed(item: WorkItem, rules: ProjectRules) -> bool:
    return rules.is_mapped and item.kind in rules.rules.billable_types and not is_too_early(item, rules)
