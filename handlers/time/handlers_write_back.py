"""Writing "Invoice Status" back into Taiga: read, merge, write at once, and only when it differs.

A PATCH replaces all values of the item (docs/facts/taiga.md section 7), and each write comes back to us as a webhook.
"""

from collections.abc import Mapping
from typing import Any

from handlers.errors import NotFound, Rejected
from handlers.ports.context import Context, TaigaWork
from handlers.time.write_back import replace_values
from mappings.config.file import ProjectRules
from mappings.time.models import AttributeValues, WorkItem


async def write_back(item: WorkItem, wanted: str | None, rules: ProjectRules, context: Context) -> str:
    """Make the item's "Invoice Status" say `wanted` (None: nothing to say); returns a note for the outcome, often "".

    A refusal by Taiga is noted, not raised: the time entry stands, and trying again would not help.
    """
    if context.taiga is None or wanted is None or item.is_deleted or not rules.rules.write_back:
        return ""
    if ((item.attributes or {}).get(rules.attributes.invoice_status) or "") == wanted:
        return ""
    try:
        return await _write(context.taiga, item, wanted, rules.attributes.invoice_status, context)
    except NotFound:
        return ""
    except Rejected as error:
        return f'"{rules.attributes.invoice_status}" was not written to Taiga: {error.message}'


async def _write(taiga: TaigaWork, item: WorkItem, wanted: str, name: str, context: Context) -> str:
    ids = {
        definition.name: str(definition.id)
        for definition in await taiga.attribute_definitions(item.kind, item.project_id)
    }
    if name not in ids:
        return ""
    present = await taiga.attribute_values(item.kind, item.id)
    if (present.values.get(ids[name]) or "") == wanted:
        return ""
    # Values of attributes that the project no longer has would be refused for ever.
    kept: Mapping[str, Any] = {key: value for key, value in present.values.items() if key in ids.values()}
    names = {key: name for name, key in ids.items()}
    values = AttributeValues(present.version, {**kept, ids[name]: wanted})
    written = await replace_values(taiga, item, values, names, context)
    if written.values.get(ids[name]) != wanted:
        return f'"{name}" was not taken by Taiga'
    return f'"{name}" set to "{wanted}"' if wanted else f'"{name}" cleared'
