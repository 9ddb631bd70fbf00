"""Every write of attribute values in Taiga: remembered until its answer is there, because it may be carried out late.

Taiga takes whole dicts and lets the last write win (docs/facts/taiga.md section 7). A write that we gave up and that is
carried out a minute later takes away what people typed meanwhile; its webhook looks as if a person who shares our
account had done it. What was remembered tells the two apart.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count

from handlers.errors import Refused, Rejected, Throttled, Unreachable
from handlers.ports.context import Context, Link, TaigaWork
from mappings.taiga.overwritten import Written, as_text
from mappings.time.models import AttributeValues, WorkItem

KIND = "attribute_write"
REMEMBERED = timedelta(days=1)
_numbers = count(1)


async def replace_values(
    taiga: TaigaWork,
    item: WorkItem,
    values: AttributeValues,
    names: Mapping[str, str],
    context: Context,
    *,
    keep: bool = False,
) -> AttributeValues:
    """Write the whole dict of values of an item; `names` are those of the attributes by id.

    With `keep` it is remembered even when it was answered: its webhook does not show by itself that it is ours. Nor
    does it when somebody wrote in between, which the answered version tells: a late write of ours may have set our
    attribute already, and the webhook of this one then shows nothing but what it took from people.

    Raises:
        RemoteError: Taiga failed; what may still be carried out stays remembered.
    """
    told = {names[key]: as_text(value) for key, value in values.values.items() if key in names}
    number = f"{context.clock().isoformat()} {next(_numbers)}"
    link = Link(f"taiga:{item.kind}:{item.id}", KIND, number, "", {"values": told})
    await context.links.save(link)
    try:
        written = await taiga.replace_attribute_values(item.kind, item.id, values)
    except (Rejected, Unreachable, Throttled, Refused):
        await context.links.remove(link)
        raise
    if not keep and written.version == values.version + 1:
        await context.links.remove(link)
    return written


async def remembered(subject: str, context: Context) -> list[Written]:
    """What our writes of the last day that got no answer, or gave values back, make of the values, by name."""
    links = [link for link in await context.links.of_subject(subject) if link.kind == KIND]
    young = [link for link in links if context.clock() - _asked_at(link) < REMEMBERED]
    for link in links:
        if link not in young:
            await context.links.remove(link)
    return [link.state["values"] for link in young]


def _asked_at(link: Link) -> datetime:
    return datetime.fromisoformat(link.number.partition(" ")[0])
