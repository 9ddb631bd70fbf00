"""Taiga's tasks, user stories and issues with their custom attribute values (docs/facts/taiga.md sections 4 and 7)."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx

from handlers.errors import Rejected
from mappings.taiga.models import AttributeDefinition, AttributeValues, WorkItem, WorkKind
from mappings.taiga.rest import read_rest
from middleware.clients.http.address import segment
from middleware.clients.http.client import Params, Row
from middleware.clients.http.ttl_cache import Remembered
from middleware.clients.taiga.decode import read_definition
from middleware.clients.taiga.session import TaigaSession
from middleware.clients.taiga.transport import TaigaTransport

_DEFINITIONS_FOR = 600.0
"""Seconds for which the custom attributes of a project are remembered."""

LISTS: Mapping[WorkKind, str] = {"task": "/tasks", "userstory": "/userstories", "issue": "/issues"}
"""Where the items of each kind are; their values are below, at custom-attributes-values."""


@dataclass(frozen=True, slots=True)
class _Definitions:
    """The attributes of a project, and ids seen on its items that do not (or no longer) belong to it."""

    known: tuple[AttributeDefinition, ...]
    foreign: frozenset[str] = frozenset()

    @property
    def names(self) -> Mapping[str, str]:
        return {str(definition.id): definition.name for definition in self.known}


class ItemsApi(TaigaTransport):
    """What `handlers.ports.context.TaigaWork` asks of Taiga, and the lists for the sweeps."""

    def __init__(self, http: httpx.AsyncClient, session: TaigaSession, *, front: str = "") -> None:
        super().__init__(http, session)
        self._front = front
        self._user_id: int | None = None
        self._definitions: Remembered[tuple[WorkKind, int], _Definitions] = Remembered()

    async def user_id(self) -> int:
        """GET /users/me once: the id of our own user."""
        if self._user_id is None:
            self._user_id = await self._get(lambda user: int(user["id"]), "/users/me")
        return self._user_id

    async def item(self, kind: WorkKind, item_id: int) -> WorkItem:
        """The item as it is now, with its custom attribute values by name.

        Raises:
            NotFound: the item is gone.
            Rejected: it is hidden from our account (403).
        """
        return await self.with_attributes(await self._bare_item(kind, item_id))

    async def with_attributes(self, item: WorkItem) -> WorkItem:
        """An item of a list with its custom attribute values by name: one request.

        Raises:
            NotFound: the item is gone.
            Rejected: it is hidden from our account (403).
        """
        values = await self.attribute_values(item.kind, item.id)
        names = await self._names_for(item.kind, item.project_id, values)
        by_name = {names[key]: value for key, value in values.values.items() if key in names and value is not None}
        return replace(item, attributes=by_name)

    async def attribute_definitions(self, kind: WorkKind, project_id: int) -> Sequence[AttributeDefinition]:
        """GET /task-custom-attributes?project= (or of user stories, issues), remembered for ten minutes."""
        remembered = self._definitions.get((kind, project_id)) or await self._read_definitions(kind, project_id)
        return remembered.known

    def forget_definitions(self) -> None:
        """Read the custom attributes anew from now on."""
        self._definitions.forget_all()

    async def attribute_values(self, kind: WorkKind, item_id: int) -> AttributeValues:
        """GET the present values, by attribute id as text."""
        return await self._get(_read_values, _values_path(kind, item_id))

    async def replace_attribute_values(self, kind: WorkKind, item_id: int, values: AttributeValues) -> AttributeValues:
        """PATCH the whole dict of values; what is left out is deleted.

        Values of attributes that the item's project does not have are dropped when Taiga refuses them (an item that was
        moved keeps the old project's values, and Taiga then refuses every write). Taiga does not tell a stale version:
        the last write wins, so read back.

        Raises:
            Rejected: `names("version")` for no valid version, status 403 without the right to modify.
        """
        try:
            return await self._patch_values(kind, item_id, values)
        except Rejected as rejected:
            if not rejected.names("attributes_values"):
                raise
            fitting = await self._of_this_project(kind, item_id, values)
            if fitting.values.keys() == values.values.keys():
                raise
        return await self._patch_values(kind, item_id, fitting)

    async def closed_items(self, kind: WorkKind, project_id: int) -> AsyncIterator[WorkItem]:
        """All closed items of a project, oldest first, without their attributes (None)."""
        filters: Params = {"project": project_id, "status__is_closed": "true"}
        async for item in self._items(kind, project_id, filters):
            if item.is_closed:
                yield item

    async def items_modified_since(self, kind: WorkKind, project_id: int, since: datetime) -> AsyncIterator[WorkItem]:
        """The items of a project modified at or after an aware moment, without their attributes (None).

        A change of custom attributes alone does not count as a modification for Taiga.
        """
        moment = since.astimezone(UTC)
        filters: Params = {"project": project_id, "modified_date__gte": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        async for item in self._items(kind, project_id, filters):
            if item.changed_at >= moment:
                yield item

    async def _items(self, kind: WorkKind, project_id: int, filters: Params) -> AsyncIterator[WorkItem]:
        params = {**filters, "order_by": "created_date"}
        async for item in self._list(self._reader(kind), LISTS[kind], params):
            if item.project_id == project_id:
                yield item

    async def _bare_item(self, kind: WorkKind, item_id: int) -> WorkItem:
        return await self._get(self._reader(kind), f"{LISTS[kind]}/{segment(item_id)}")

    def _reader(self, kind: WorkKind) -> Callable[[Row], WorkItem]:
        return lambda row: replace(read_rest(kind, row, {}, front=self._front), attributes=None)

    async def _names_for(self, kind: WorkKind, project_id: int, values: AttributeValues) -> Mapping[str, str]:
        """The names by id; read anew once when a value has an id that was not seen in this project before."""
        remembered = self._definitions.get((kind, project_id)) or await self._read_definitions(kind, project_id)
        if values.values.keys() - remembered.names.keys() - remembered.foreign:
            remembered = await self._read_definitions(kind, project_id)
            foreign = remembered.foreign | (values.values.keys() - remembered.names.keys())
            remembered = replace(remembered, foreign=frozenset(foreign))
            self._definitions.put((kind, project_id), remembered, _DEFINITIONS_FOR)
        return remembered.names

    async def _read_definitions(self, kind: WorkKind, project_id: int) -> _Definitions:
        rows = await self._all(read_definition, f"/{kind}-custom-attributes", {"project": project_id})
        return self._definitions.put((kind, project_id), _Definitions(tuple(rows)), _DEFINITIONS_FOR)

    async def _of_this_project(self, kind: WorkKind, item_id: int, values: AttributeValues) -> AttributeValues:
        project_id = (await self._bare_item(kind, item_id)).project_id
        names = (await self._read_definitions(kind, project_id)).names
        return replace(values, values={key: value for key, value in values.values.items() if key in names})

    async def _patch_values(self, kind: WorkKind, item_id: int, values: AttributeValues) -> AttributeValues:
        body = {"attributes_values": values.values, "version": values.version}
        return await self._write(_read_values, "PATCH", _values_path(kind, item_id), body)


def _read_values(row: Row) -> AttributeValues:
    return AttributeValues(version=int(row["version"]), values=dict(row["attributes_values"]))


def _values_path(kind: WorkKind, item_id: int) -> str:
    return f"{LISTS[kind]}/custom-attributes-values/{segment(item_id)}"
