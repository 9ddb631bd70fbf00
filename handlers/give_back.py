"""Gives people back what our write-back overwrote in Taiga; idempotent, told by the webhook of our own write."""

from collections.abc import Mapping, Sequence

from handlers.context import TaigaWork
from handlers.errors import RetryLater
from handlers.event import Event, Work
from mappings.config import ProjectRules
from mappings.models import AttributeValues, WorkItem
from mappings.taiga import actor_id
from mappings.taiga_overwritten import Overwritten, attribute_changes, overwritten


async def give_back(work: Work, told: WorkItem, rules: ProjectRules, taiga: TaigaWork) -> str:
    """Restore the values that we replaced and nobody changed since; returns a note, mostly "".

    Raises:
        RetryLater: somebody wrote at the same moment again.
    """
    own_user = await taiga.user_id()
    lost = _lost(work.due, own_user, rules.attributes.invoice_status)
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
    written = await taiga.replace_attribute_values(told.kind, told.id, AttributeValues(present.version, values))
    names = ", ".join(sorted(f'"{name}"' for name in lost if ids.get(name) in back))
    if written.version != present.version + 1:
        raise RetryLater(f"{names}: somebody wrote at the moment in which it was given back", 1)
    return f"{names} given back: our write had overwritten it"


def _lost(due: Sequence[Event], own_user: int, status_attribute: str) -> Mapping[str, Overwritten]:
    lost: dict[str, Overwritten] = {}
    for event in sorted(due, key=lambda one: (one.occurred_at, one.id)):
        if actor_id(event.payload) != own_user:
            for change in attribute_changes(event.payload):
                lost.pop(change.attribute, None)
        for change in overwritten(event.payload, own_user, status_attribute):
            lost[change.attribute] = change
    return lost
