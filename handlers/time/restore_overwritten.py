"""Gives people back what our write-back overwrote in Taiga; idempotent; the webhook of our own write shows it."""

from collections.abc import Mapping, Sequence

from handlers.errors import RetryLater
from handlers.event import Event, Work
from handlers.ports.context import Context, TaigaWork
from handlers.time.write_back import remembered, replace_values
from mappings.codes import Code
from mappings.config.file import ProjectRules
from mappings.taiga.models import AttributeValues, WorkItem
from mappings.taiga.overwritten import Overwritten, attribute_changes, last_words, overwritten
from mappings.taiga.webhook import actor_id


async def give_back(work: Work, told: WorkItem, rules: ProjectRules, taiga: TaigaWork, context: Context) -> str:
    """Restore the values that we replaced and nobody changed since; returns a note, mostly "".

    Raises:
        RetryLater: somebody wrote at the same moment again.
    """
    own_user = await taiga.user_id()
    lost = await _lost(work, own_user, rules.attributes.invoice_status, context)
    if not lost:
        return ""
    definitions = await taiga.attribute_definitions(told.kind, told.project_id)
    ids = {definition.name: str(definition.id) for definition in definitions}
    present = await taiga.attribute_values(told.kind, told.id)
    back = {
        ids[name]: change.theirs
        for name, change in lost.items()
        if name in ids and present.values.get(ids[name]) == change.ours
    }
    if not back:
        return ""
    values = {key: value for key, value in {**present.values, **back}.items() if key in ids.values()}
    names_by_id = {key: name for name, key in ids.items()}
    written = await replace_values(
        taiga, told, AttributeValues(present.version, values), names_by_id, context, keep=True
    )
    names = ", ".join(sorted(f'"{name}"' for name in lost if ids.get(name) in back))
    if written.version != present.version + 1:
        raise RetryLater(Code.CHANGED_MEANWHILE, f"{names}: somebody changed it while it was being restored", 1)
    return f"{names} restored: our write had overwritten it"


async def _lost(work: Work, own_user: int, status_attribute: str, context: Context) -> Mapping[str, Overwritten]:
    """What is to be restored, by the due events, or by all of them when a write of ours may have come late."""
    writes = await remembered(work.subject, context)
    if not writes or context.history is None:
        return _lost_now(work.due, own_user, status_attribute)
    events = await context.history.of_subjects([work.subject])
    return last_words([event.payload for event in events], own_user, status_attribute, writes)


def _lost_now(due: Sequence[Event], own_user: int, status_attribute: str) -> Mapping[str, Overwritten]:
    lost: dict[str, Overwritten] = {}
    for event in sorted(due, key=lambda one: (one.occurred_at, one.id)):
        if actor_id(event.payload) != own_user:
            for change in attribute_changes(event.payload):
                lost.pop(change.attribute, None)
        for change in overwritten(event.payload, own_user, status_attribute):
            lost[change.attribute] = change
    return lost
