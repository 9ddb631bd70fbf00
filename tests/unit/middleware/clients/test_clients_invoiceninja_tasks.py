"""Time in Invoice Ninja: what is sent, what is believed."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from handlers.errors import Doubtful, NeedsPerson, NotFound, Rejected
from handlers.ports.context import TimeEntries
from mappings.time.models import TimeEntry
from tests.support.scripted_server import ninja_answering, page, recorded_answer

_ENTRY = TimeEntry(
    number="TAIGA-1",
    description="Task #3: Build login form",
    client_ref="VolejRejNm",
    project_id="",
    rate=Decimal("75.50"),
    raw_hours=Decimal("0.9"),
    hours=Decimal(1),
    started_at=1795240800,
    ended_at=1795244400,
)


def _recorded(name: str, **changes: object) -> httpx.Response:
    return recorded_answer("invoice_ninja", name, **changes)


async def test_a_task_is_sent_whole() -> None:
    """Number, client, rate as a number of fixed scale and the log as a JSON text: a list would be answered 500."""
    ninja, server = ninja_answering(_recorded("03 task_create_2tuple", rate=75.5))
    entries: TimeEntries = ninja
    task = await entries.create_task(_ENTRY, "VolejRejNm")
    assert server.calls == ["POST /api/v1/tasks"]
    assert server.bodies == [
        {
            "number": "TAIGA-1",
            "description": "Task #3: Build login form",
            "client_id": "VolejRejNm",
            "project_id": "",
            "rate": 75.5,
            "time_log": '[[1795240800,1795244400,"",true]]',
        }
    ]
    assert b'"rate":75.50,' in server.requests[0].content
    assert (task.id, task.number, task.rate) == ("VolejRejNm", "TAIGA-1", Decimal("75.5"))
    assert task.spans == ((1795240800, 1795244400),)


@pytest.mark.parametrize("rate", [Decimal(0), Decimal(-1), Decimal("NaN"), Decimal("Infinity")])
async def test_a_task_without_a_rate_is_not_sent(rate: Decimal) -> None:
    """Invoice Ninja would silently take another rate; a person has to say which."""
    ninja, server = ninja_answering(_recorded("03 task_create_2tuple"))
    entry = TimeEntry("T", "d", "c", "", rate, Decimal(1), Decimal(1), 1, 2)
    with pytest.raises(NeedsPerson, match="has the rate"):
        await ninja.create_task(entry, "c")
    with pytest.raises(NeedsPerson, match="has the rate"):
        await ninja.update_task("VolejRejNm", entry, "c")
    assert server.requests == []


async def test_an_empty_record_is_noticed() -> None:
    """A body that did not arrive makes an empty record with 200: it is named to a person, and not tried again."""
    ninja, _ = ninja_answering(_recorded("03 task_create_empty"))
    with pytest.raises(NeedsPerson, match=r"record 'wMvbmOeYAl' came back with number '0002'") as raised:
        await ninja.create_task(_ENTRY, "VolejRejNm")
    assert "delete that record" in raised.value.hint


async def test_a_put_that_lost_the_number_is_noticed() -> None:
    """A PUT without number gives the record another one: our key would be lost."""
    ninja, _ = ninja_answering(_recorded("03 task_put_description_only"))
    with pytest.raises(NeedsPerson, match="number '0015' instead of 'TAIGA-1'"):
        await ninja.update_task("Wpmbk5ezJn", _ENTRY, "VolejRejNm")


async def test_an_update_is_a_whole_document() -> None:
    """Everything that a PUT would otherwise wipe is sent."""
    ninja, server = ninja_answering(_recorded("03 task_put_full"))
    await ninja.update_task("VolejRejNm", _ENTRY, "VolejRejNm")
    assert server.calls == ["PUT /api/v1/tasks/VolejRejNm"]
    assert server.bodies[0].keys() == {"number", "description", "client_id", "project_id", "rate", "time_log"}


async def test_the_number_is_taken() -> None:
    """The refusal can be asked for its field."""
    ninja, _ = ninja_answering(_recorded("03 task_duplicate_number"))
    with pytest.raises(Rejected) as refused:
        await ninja.create_task(_ENTRY, "VolejRejNm")
    assert refused.value.names("number")
    assert not refused.value.names("client_id")


async def test_a_client_that_is_gone_is_forgotten() -> None:
    """After Invoice Ninja refuses a client, the remembered answer is asked for anew."""
    client = _recorded("02 get")
    ninja, server = ninja_answering(client, _recorded("03 task_unknown_client"), client)
    assert await ninja.find_client("VolejRejNm") == "VolejRejNm"
    with pytest.raises(Rejected):
        await ninja.create_task(_ENTRY, "VolejRejNm")
    await ninja.find_client("VolejRejNm")
    assert len(server.requests) == 3


async def test_find_by_number() -> None:
    """The task with exactly this number; the search parameters leave nothing to chance."""
    ninja, server = ninja_answering(_recorded("03 filter number=TAIGA-1"))
    task = await ninja.find_task("TAIGA-1")
    assert task is not None
    assert (task.number, task.is_deleted) == ("TAIGA-1", False)
    assert server.calls == ["GET /api/v1/tasks?number=TAIGA-1&sort=id%7Casc&per_page=500&page=1"]


async def test_a_deleted_task_is_found() -> None:
    """Its number stays taken, so the caller must know of it."""
    ninja, _ = ninja_answering(_recorded("03 filter_number_of_deleted"))
    task = await ninja.find_task("TAIGA-1")
    assert task is not None
    assert task.is_deleted
    assert task.is_archived


@pytest.mark.parametrize("answer", ["03 filter number=nope", "03 filter invoice_id="])
async def test_other_numbers_are_not_taken_for_it(answer: str) -> None:
    """No row, or the whole list because the filter was ignored: there is no such task."""
    ninja, _ = ninja_answering(_recorded(answer))
    assert await ninja.find_task("TAIGA-99") is None


async def test_a_missing_task() -> None:
    """An unknown id is 400 in Invoice Ninja; deleting what was never there is told apart from deleting twice."""
    ninja, _ = ninja_answering(_recorded("01 garbage_id"))
    with pytest.raises(NotFound):
        await ninja.task("garbage")
    with pytest.raises(NotFound):
        await ninja.delete_task("garbage")


async def test_delete_and_delete_again() -> None:
    """The second answer is 200 as well."""
    ninja, server = ninja_answering(_recorded("03 delete"), _recorded("03 delete_again"))
    await ninja.delete_task("Wpmbk5ezJn")
    await ninja.delete_task("Wpmbk5ezJn")
    assert server.calls == ["DELETE /api/v1/tasks/Wpmbk5ezJn"] * 2


async def test_restore() -> None:
    """The answer must show the task alive."""
    gone = json.loads(_recorded("03 filter_number_of_deleted").content)["data"][0]
    ninja, server = ninja_answering(_recorded("03 bulk_restore"), page(gone), page())
    await ninja.restore_task("VolejRejNm")
    assert server.bodies == [{"action": "restore", "ids": ["VolejRejNm"]}]
    for _ in range(2):
        with pytest.raises(Doubtful, match="VolejRejNm was not restored"):
            await ninja.restore_task("VolejRejNm")


async def test_unbilled_tasks_are_rechecked() -> None:
    """Rows of another client, invoiced and deleted ones are left out; all pages are read."""
    good: dict[str, Any] = {"id": "a", "number": "N1", "client_id": "C", "rate": "80", "time_log": "[]"}
    rows = [
        good,
        good | {"id": "b", "client_id": "other"},
        good | {"id": "d", "invoice_id": "I"},
        good | {"id": "e", "is_deleted": True},
        good | {"id": "f", "archived_at": 1795246277},
    ]
    ninja, server = ninja_answering(page(*rows, last=2), page(good | {"id": "g"}, number=2, last=2))
    assert [task.id for task in await ninja.unbilled_tasks("C")] == ["a", "f", "g"]
    assert server.calls[1] == (
        "GET /api/v1/tasks?client_status=uninvoiced&status=active%2Carchived&client_id=C"
        "&sort=id%7Casc&per_page=500&page=2"
    )


async def test_lists_end() -> None:
    """An empty page ends the list even if the server promises more."""
    ninja, server = ninja_answering(page({"id": "a"}, last=9), page(number=2, last=9))
    assert [client.id async for client in ninja.clients()] == ["a"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={"data": {"rate": 1}}),
        httpx.Response(200, json={"data": {"id": "a", "rate": "abc"}}),
        httpx.Response(200, json={"data": [1, 2]}),
        httpx.Response(200, json={"data": None}),
        httpx.Response(200, json={"message": "hello"}),
        httpx.Response(200, json=[]),
        page({"id": "a"}),
    ],
)
async def test_answers_of_another_shape(answer: httpx.Response) -> None:
    """What is no task is an answer of something else; after a write nobody knows what happened."""
    ninja, _ = ninja_answering(answer)
    with pytest.raises(Doubtful, match="check the base address INVOICE_NINJA_API"):
        await ninja.task("VolejRejNm")
    with pytest.raises(Doubtful, match="not known whether"):
        await ninja.update_task("VolejRejNm", _ENTRY, "c")
