"""What every request has: limits, a record of the call, and no secret in it."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from handlers.errors import Doubtful, NotFound, RemoteError
from middleware.clients.connect import connect_invoice_ninja, connect_taiga
from middleware.clients.http import client as client_http
from middleware.clients.http.calls import Call, recorded_calls
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.taiga import Credentials
from tests.support.scripted_server import ScriptedServer, recorded_answer, taiga_answering


@pytest.fixture
async def server() -> ScriptedServer:
    """Answers with a ping and then with a missing record."""
    return ScriptedServer(
        recorded_answer("invoice_ninja", "01 ping_ok"), recorded_answer("invoice_ninja", "01 garbage_id")
    )


@pytest.fixture
async def ninja(server: ScriptedServer) -> AsyncIterator[InvoiceNinja]:
    """A client of that server."""
    client = connect_invoice_ninja("https://ninja.example/below", "hidden-token", server.transport)
    yield client
    await client.aclose()


async def test_headers_and_limits(ninja: InvoiceNinja, server: ScriptedServer) -> None:
    """Invoice Ninja gets its token and both signs that we want JSON; waits are limited, redirects not followed."""
    await ninja.ping()
    headers = server.requests[0].headers
    assert headers["X-API-TOKEN"] == "hidden-token"
    assert headers["Accept"] == "application/json"
    assert headers["X-Requested-With"] == "XMLHttpRequest"
    assert str(server.requests[0].url) == "https://ninja.example/below/api/v1/ping"
    assert ninja._http.timeout == httpx.Timeout(connect=5, read=30, write=10, pool=5)
    assert ninja._http.follow_redirects is False


async def test_calls_are_recorded(ninja: InvoiceNinja) -> None:
    """Each call leaves method, path, status and what went wrong, in order; outside the block nothing is kept."""
    with recorded_calls() as calls:
        await ninja.ping()
        with pytest.raises(NotFound):
            await ninja.task("VolejRejNm")
    with pytest.raises(NotFound):
        await ninja.task("VolejRejNm")
    assert [(c.system, c.method, c.path, c.status) for c in calls] == [
        ("invoiceninja", "GET", "/below/api/v1/ping", 200),
        ("invoiceninja", "GET", "/below/api/v1/tasks/VolejRejNm", 400),
    ]
    assert [c.error for c in calls] == [None, "NotFound: No query results for model [App\\Models\\Client]."]
    assert all(c.ms >= 0 for c in calls)
    assert "hidden" not in repr(calls)


async def test_calls_of_tasks_started_inside(ninja: InvoiceNinja) -> None:
    """Requests of child tasks belong to the attempt that started them, and to no other attempt."""

    async def attempt() -> list[Call]:
        with recorded_calls() as calls:
            await asyncio.gather(*(ninja._request("GET", "/ping") for _ in range(2)), return_exceptions=True)
        return calls

    first, second = await asyncio.gather(attempt(), attempt())
    assert (len(first), len(second)) == (2, 2)


async def test_a_lost_answer_is_recorded() -> None:
    """A call without an answer has no status, and the error says what happened."""
    server = ScriptedServer(httpx.ReadTimeout("too slow"))
    ninja = connect_invoice_ninja("https://ninja.example", "tok", server.transport)
    with recorded_calls() as calls, pytest.raises(Doubtful):
        await ninja.task("VolejRejNm")
    await ninja.aclose()
    assert calls[0].status is None
    assert calls[0].error == "Doubtful: the answer was lost (ReadTimeout too slow)"


async def test_a_cancelled_request_is_recorded() -> None:
    """When the worker stops in the middle of a request, the request is still on record."""

    class Hanging(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(3600)
            return httpx.Response(200)

    ninja = connect_invoice_ninja("https://ninja.example", "tok", Hanging())
    with recorded_calls() as calls:
        request = asyncio.create_task(ninja.ping())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    await ninja.aclose()
    assert [(call.path, call.status, call.error) for call in calls] == [("/api/v1/ping", None, "cancelled")]


async def test_a_request_as_a_whole_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps sending a little now and then cannot hold a worker: the answer counts as lost."""

    class Dripping(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            async def drip() -> AsyncIterator[bytes]:
                while True:
                    await asyncio.sleep(0.001)
                    yield b" "

            return httpx.Response(200, content=drip())

    monkeypatch.setattr(client_http, "LONGEST_REQUEST", 0.02)
    ninja = connect_invoice_ninja("https://ninja.example", "tok", Dripping())
    with pytest.raises(Doubtful, match="TimeoutError"):
        await ninja.ping()
    await ninja.aclose()


async def test_no_secret_in_errors_and_calls() -> None:
    """Neither the password of a login nor a token is in what people get to see."""
    server = ScriptedServer(recorded_answer("taiga", "085", auth_token="hidden1"), recorded_answer("taiga", "112"))
    taiga = connect_taiga("https://taiga.example", Credentials(username="u", password="hidden2"), server.transport)
    with recorded_calls() as calls, pytest.raises(NotFound) as missing:
        await taiga.item("task", 999_999)
    await taiga.aclose()
    assert [call.path for call in calls] == ["/api/v1/auth", "/api/v1/tasks/999999"]
    assert "hidden" not in repr(calls) + repr(missing.value) + str(missing.value)


async def test_an_answer_without_content() -> None:
    """204 has no body and needs none."""
    taiga, _ = taiga_answering(httpx.Response(204))
    assert (await taiga._request("DELETE", "/webhooks/1")).data is None


async def test_addresses_of_people_are_hidden() -> None:
    """An e-mail address that is searched for stands neither in the record of the call nor in the failure."""
    server = ScriptedServer(recorded_answer("invoice_ninja", "01 garbage_id"))
    client = connect_invoice_ninja("https://ninja.example", "t", server.transport)
    with recorded_calls() as calls, pytest.raises(RemoteError) as failed:
        await client.clients_with_email("payer@example.com")
    await client.aclose()
    assert "payer" not in repr(calls) + str(failed.value)
    assert "/clients?email=(hidden)&status=active" in calls[0].path
    assert "payer%40example.com" in str(server.requests[0].url)
