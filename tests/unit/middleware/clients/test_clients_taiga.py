"""Taiga's items, values, projects and webhooks."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import httpx
import pytest

from handlers.errors import Doubtful, NotFound, Rejected
from handlers.ports.context import TaigaWork
from mappings.taiga.models import AttributeDefinition, AttributeValues, WorkKind
from tests.support.scripted_server import recorded_answer, taiga_answering


def _recorded(name: str, **changes: object) -> httpx.Response:
    return recorded_answer("taiga", name, **changes)


def _values(values: dict[str, Any], version: int = 6) -> httpx.Response:
    return httpx.Response(200, json={"attributes_values": values, "version": version, "task": 1})


def _definitions(*names: str) -> httpx.Response:
    rows = [{"id": number, "name": name, "type": "text"} for number, name in enumerate(names, start=1)]
    return httpx.Response(200, json=rows)


async def test_an_item_with_its_values_by_name() -> None:
    """The task, its values and the names of its attributes make the work item; the names are asked for once."""
    taiga, server = taiga_answering(
        _recorded("111"), _recorded("141"), _recorded("140"), _recorded("111"), _recorded("141")
    )
    work: TaigaWork = taiga
    item = await work.item("task", 1)
    assert await work.item("task", 1) == item
    assert server.calls == [
        "GET /api/v1/tasks/1",
        "GET /api/v1/tasks/custom-attributes-values/1",
        "GET /api/v1/task-custom-attributes?project=1",
        "GET /api/v1/tasks/1",
        "GET /api/v1/tasks/custom-attributes-values/1",
    ]
    assert server.requests[2].headers["x-disable-pagination"] == "True"
    assert item.attributes == {
        "Billable": True,
        "Duration (Hours)": 8,
        "Hourly Rate": 120,
        "Client Invoice ID": "acme-001",
        "Invoice Status": "Pending Invoice",
    }
    assert (item.id, item.ref, item.is_closed, item.assignee) == (1, 3, True, "lab_admin")
    assert item.permalink == "https://taiga.example/project/acme-website/task/3"


@pytest.mark.parametrize(
    ("kind", "path", "definitions"),
    [
        ("task", "tasks", "task-custom-attributes"),
        ("userstory", "userstories", "userstory-custom-attributes"),
        ("issue", "issues", "issue-custom-attributes"),
    ],
)
async def test_every_kind_has_its_own_paths(kind: WorkKind, path: str, definitions: str) -> None:
    """The three kinds live in different tables with the same ids."""
    taiga, server = taiga_answering(_recorded("111"), _recorded("141"), _recorded("140"))
    await taiga.item(kind, 1)
    assert server.calls == [
        f"GET /api/v1/{path}/1",
        f"GET /api/v1/{path}/custom-attributes-values/1",
        f"GET /api/v1/{definitions}?project=1",
    ]


async def test_values_as_taiga_sends_them() -> None:
    """Fractions stay exact, huge numbers whole, and a null counts as no value, as in a webhook."""
    body = b'{"attributes_values":{"1":0.30000000000000004,"2":1' + b"0" * 300 + b',"3":null},"version":2}'
    taiga, _ = taiga_answering(_recorded("111"), httpx.Response(200, content=body), _definitions("a", "b", "c"))
    item = await taiga.item("task", 1)
    assert item.attributes == {"a": Decimal("0.30000000000000004"), "b": 10**300}


async def test_a_new_attribute_is_looked_up() -> None:
    """An id that is not known yet makes the definitions be read anew, once for each such id."""
    taiga, server = taiga_answering(
        *(_recorded("111"), _values({"1": "x"}), _definitions("a")),
        *(_recorded("111"), _values({"1": "x", "2": "y", "77": "of another project"}), _definitions("a", "b")),
        *(_recorded("111"), _values({"1": "x", "2": "y", "77": "of another project"})),
    )
    assert (await taiga.item("task", 1)).attributes == {"a": "x"}
    assert (await taiga.item("task", 1)).attributes == {"a": "x", "b": "y"}
    assert (await taiga.item("task", 1)).attributes == {"a": "x", "b": "y"}
    assert sum("task-custom-attributes" in call for call in server.calls) == 2


async def test_an_item_that_is_gone() -> None:
    """404 is no item any more; 403 is one that we may not see."""
    taiga, _ = taiga_answering(_recorded("112"), _recorded("189"))
    with pytest.raises(NotFound):
        await taiga.item("task", 999_999)
    with pytest.raises(Rejected) as hidden:
        await taiga.item("task", 1)
    assert not isinstance(hidden.value, NotFound)


async def test_definitions() -> None:
    """They are remembered for a project and kind."""
    taiga, server = taiga_answering(_recorded("140"))
    found = await taiga.attribute_definitions("task", 1)
    await taiga.attribute_definitions("task", 1)
    assert found[1] == AttributeDefinition(2, "Duration (Hours)", "number")
    assert len(server.requests) == 1


async def test_values_are_written_whole() -> None:
    """The whole dict with the version of the values, numbers exactly as they were read."""
    taiga, server = taiga_answering(_recorded("142"))
    values = AttributeValues(6, {"1": True, "2": Decimal("4.50"), "5": "Invoiced"})
    written = await taiga.replace_attribute_values("task", 1, values)
    assert server.calls == ["PATCH /api/v1/tasks/custom-attributes-values/1"]
    assert server.requests[0].content == (b'{"attributes_values":{"1":true,"2":4.50,"5":"Invoiced"},"version":6}')
    assert (written.version, written.values["5"]) == (7, "Invoiced")


async def test_values_of_another_project_are_dropped() -> None:
    """A task that was moved keeps old ids, with which Taiga refuses every write: they are left out."""
    taiga, server = taiga_answering(
        _recorded("037"), _recorded("111"), _definitions("a", "b"), _values({"1": "x"}, version=22)
    )
    written = await taiga.replace_attribute_values("task", 8, AttributeValues(21, {"1": "x", "99999": "old"}))
    assert written.version == 22
    assert server.bodies[-1] == {"attributes_values": {"1": "x"}, "version": 21}
    assert [call.partition("?")[0] for call in server.calls] == [
        "PATCH /api/v1/tasks/custom-attributes-values/8",
        "GET /api/v1/tasks/8",
        "GET /api/v1/task-custom-attributes",
        "PATCH /api/v1/tasks/custom-attributes-values/8",
    ]


async def test_values_that_stay_refused() -> None:
    """When no id is foreign, or the version is wrong, or we may not write, the refusal stands."""
    taiga, server = taiga_answering(_recorded("040"), _recorded("111"), _definitions("a"))
    with pytest.raises(Rejected) as blank:
        await taiga.replace_attribute_values("task", 8, AttributeValues(21, {}))
    assert blank.value.names("attributes_values")
    assert len(server.requests) == 3
    for name, field in (("145", "version"), ("146", "version"), ("185", "")):
        taiga, server = taiga_answering(_recorded(name))
        with pytest.raises(Rejected) as refused:
            await taiga.replace_attribute_values("task", 1, AttributeValues(9999, {"1": True}))
        assert not field or refused.value.names(field)
        assert len(server.requests) == 1


async def test_our_own_user() -> None:
    """Asked for once."""
    taiga, server = taiga_answering(_recorded("099"))
    assert await taiga.user_id() == 6
    assert await taiga.user_id() == 6
    assert len(server.requests) == 1


async def test_closed_items_page_by_page() -> None:
    """The header of a page says whether there is another; rows that do not fit the filters are left out."""
    first = _recorded("115")
    row = json.loads(_recorded("111").content)
    last = httpx.Response(
        200,
        json=[
            row | {"id": 97, "project": 2},
            row | {"id": 98, "is_closed": False, "status_extra_info": {"is_closed": False}},
            row | {"id": 99},
        ],
    )
    taiga, server = taiga_answering(first, last)
    items = [item async for item in taiga.closed_items("task", 1)]
    assert len(items) == 4
    assert {item.attributes for item in items} == {None}
    assert server.calls[1] == (
        "GET /api/v1/tasks?project=1&status__is_closed=true&order_by=created_date&page_size=200&page=2"
    )


async def test_a_list_that_became_shorter() -> None:
    """A page that is gone by now ends the list, after a look at what moved forward; none at all is an error."""
    taiga, server = taiga_answering(_recorded("115"), _recorded("117"), _recorded("115"), _recorded("117"))
    assert len([item async for item in taiga.closed_items("task", 1)]) == 3
    assert [call.rpartition("=")[2] for call in server.calls] == ["1", "2", "1", "2"]
    taiga, _ = taiga_answering(_recorded("101"))
    with pytest.raises(NotFound):
        _ = [item async for item in taiga.closed_items("task", 1)]


async def test_items_modified_since() -> None:
    """The moment is sent in UTC and re-checked."""
    row = json.loads(_recorded("111").content)
    old = row | {"id": 2, "modified_date": "2026-11-20T07:23:55.764Z"}
    taiga, server = taiga_answering(httpx.Response(200, json=[row, old]))
    since = datetime(2026, 11, 21, 2, 23, 55, 764000, tzinfo=timezone(timedelta(hours=-5)))
    assert [item.id async for item in taiga.items_modified_since("task", 1, since)] == [1]
    assert "modified_date__gte=2026-11-21T07%3A23%3A55.764000Z" in server.calls[0]
    later = datetime(2026, 11, 22, tzinfo=UTC)
    assert [item.id async for item in taiga.items_modified_since("issue", 1, later)] == []


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, json={}), httpx.Response(200, json=[]), httpx.Response(200, json={"version": "x"})],
)
async def test_answers_of_another_shape(answer: httpx.Response) -> None:
    """What is no Taiga answer names the base address; after a write it leaves doubt."""
    taiga, _ = taiga_answering(answer)
    with pytest.raises(Doubtful, match="check the base address TAIGA_API"):
        await taiga.item("task", 1)
    with pytest.raises(Doubtful, match="check the base address TAIGA_API"):
        await taiga.user_id()
    with pytest.raises(Doubtful):
        await taiga.replace_attribute_values("task", 1, AttributeValues(1, {"1": 1}))
    if answer.content != b"[]":
        with pytest.raises(Doubtful, match="not a list"):
            await taiga.attribute_definitions("task", 1)


async def test_projects() -> None:
    """Our own ones in a list; one of them whole, with what the set-up needs."""
    taiga, server = taiga_answering(_recorded("099"), _recorded("103"))
    projects = [project async for project in taiga.projects()]
    assert (projects[0].id, projects[0].name, projects[0].i_am_admin) == (1, "Acme Website", True)
    assert projects[0].members == ()
    assert server.calls[1] == "GET /api/v1/projects?member=6&page_size=200&page=1"
    taiga, server = taiga_answering(_recorded("102"))
    project = await taiga.project(1)
    assert await taiga.project_by_slug("acme-website") == project
    assert [member.username for member in project.members] == ["lab_admin", "lab_member"]
    assert [status.name for status in project.statuses["task"] if status.is_closed] == ["Closed"]
    assert project.attributes["task"][0] == AttributeDefinition(1, "Billable", "checkbox")
    assert server.calls[1] == "GET /api/v1/projects/by_slug?slug=acme-website"


async def test_a_new_custom_attribute() -> None:
    """It is made with its options, and known at once."""
    taiga, server = taiga_answering(_recorded("140"), _recorded("003"), _recorded("140"), _recorded("194"))
    await taiga.attribute_definitions("task", 1)
    made = await taiga.create_attribute("task", 1, "Invoice Status", "dropdown", ["Not Billable", "Invoiced"])
    await taiga.attribute_definitions("task", 1)
    assert made == AttributeDefinition(5, "Invoice Status", "dropdown")
    assert server.bodies[1] == {
        "project": 1,
        "name": "Invoice Status",
        "type": "dropdown",
        "extra": ["Not Billable", "Invoiced"],
    }
    assert len(server.requests) == 3
    with pytest.raises(Rejected) as taken:
        await taiga.create_attribute("task", 1, "Billable", "checkbox")
    assert taken.value.names("name")


async def test_webhooks() -> None:
    """Listed, made, changed, tested; their keys are not shown."""
    taiga, server = taiga_answering(
        _recorded("106"), _recorded("004"), _recorded("108"), _recorded("042"), _recorded("043"), _recorded("064")
    )
    hooks = await taiga.webhooks(1)
    made = await taiga.create_webhook(1, "lab", "http://127.0.0.1:9110/hook/p1", "taiga-lab-webhook-key")
    await taiga.update_webhook(1, url="http://127.0.0.1:9110/other")
    tested = await taiga.test_webhook(1)
    logs = await taiga.webhook_logs(1)
    failed = await taiga.webhook_logs(7)
    assert [hook.id for hook in hooks] == [1]
    assert made.key == "taiga-lab-webhook-key"
    assert "webhook-key" not in repr(made)
    assert server.bodies[2] == {"url": "http://127.0.0.1:9110/other"}
    assert (tested.status, tested.error) == (200, "")
    assert logs[0].status == 200
    assert failed[0].status == 0
    assert failed[0].error.startswith("error-in-request: ")


async def test_resending_a_delivery() -> None:
    """Asked of its log entry."""
    taiga, server = taiga_answering(_recorded("042"))
    assert (await taiga.resend_webhook(73)).status == 200
    assert server.calls == ["POST /api/v1/webhooklogs/73/resend"]
