"""The failure switches, in-process and over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from middleware.lab.sandbox.faults import Faults, FaultsMiddleware, LoggedRequest, Rule
from middleware.lab.sandbox.serve import serve


class Counter:
    """An application whose only work is to count POSTs."""

    def __init__(self) -> None:
        self.done = 0
        self.faults = Faults(seed=7)
        inner = Starlette(routes=[Route("/work", self._work, methods=["POST"])])
        self.app = FaultsMiddleware(inner, self.faults)

    async def _work(self, request: Request) -> JSONResponse:
        await request.body()
        self.done += 1
        return JSONResponse({"done": self.done})


@asynccontextmanager
async def in_process(counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to the application without a socket."""
    transport = httpx.ASGITransport(app=counter.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield client


@asynccontextmanager
async def over_socket(counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to the application as a server."""
    async with serve(counter.app) as url, httpx.AsyncClient(base_url=url, timeout=0.3) as client:
        yield client


@pytest.fixture(params=["in process", "socket"])
async def counter_and_client(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Counter, httpx.AsyncClient]]:
    """A counting application and a client for it, both ways."""
    counter = Counter()
    way: AbstractAsyncContextManager[httpx.AsyncClient]
    way = in_process(counter) if request.param == "in process" else over_socket(counter)
    async with way as client:
        yield counter, client


async def test_answers_replace_the_work(counter_and_client: tuple[Counter, httpx.AsyncClient]) -> None:
    """A 429 with Retry-After is answered once, nothing is done, and the next request works."""
    counter, client = counter_and_client
    counter.faults.add(method="POST", path="/work$", status=429, retry_after=7)
    spoiled = await client.post("/work")
    assert (spoiled.status_code, spoiled.headers["retry-after"]) == (429, "7")
    assert spoiled.json() == {"message": "Too many requests"}
    assert counter.done == 0
    assert (await client.post("/work")).json() == {"done": 1}
    assert list(counter.faults.requests) == [LoggedRequest("POST", "/work", 429), LoggedRequest("POST", "/work", 200)]


async def test_lost_answer_keeps_the_effect(counter_and_client: tuple[Counter, httpx.AsyncClient]) -> None:
    """An answer lost after the work is a 500 for the client although the work was done."""
    counter, client = counter_and_client
    counter.faults.add(when="after", status=500)
    assert (await client.post("/work")).status_code == 500
    assert counter.done == 1


@pytest.mark.parametrize(("when", "done"), [("before", 0), ("after", 1)])
async def test_cut_breaks_the_connection(
    counter_and_client: tuple[Counter, httpx.AsyncClient], when: str, done: int
) -> None:
    """A cut is a broken connection for the client, before or after the work, and the log says status 0."""
    counter, client = counter_and_client
    counter.faults.add(action="cut", when=when)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await client.post("/work")
    assert counter.done == done
    assert (await client.post("/work")).status_code == 200
    assert [entry.status for entry in counter.faults.requests] == [0, 200]


async def test_late_work_is_done_for_nobody(counter_and_client: tuple[Counter, httpx.AsyncClient]) -> None:
    """The connection breaks at once, and what was asked for is done later all the same."""
    counter, client = counter_and_client
    counter.faults.add(action="late", seconds=3600)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await client.post("/work", content=b"x" * 1000)
    assert counter.done == 0
    await counter.faults.catch_up()
    assert (counter.done, counter.faults.late) == (1, set())
    counter.faults.add(action="late", seconds=0)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await client.post("/work")
    await asyncio.gather(*counter.faults.late)
    assert counter.done == 2


async def test_hang_ends_with_the_patience_of_the_client(
    counter_and_client: tuple[Counter, httpx.AsyncClient],
) -> None:
    """A hanging server makes the client give up with a read timeout."""
    counter, client = counter_and_client
    counter.faults.add(action="hang")
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/work")
    assert counter.done == 0


async def test_html_and_delay(counter_and_client: tuple[Counter, httpx.AsyncClient]) -> None:
    """A web page comes with status 200; a delay changes nothing but the time."""
    counter, client = counter_and_client
    counter.faults.add(action="html")
    counter.faults.add(action="delay", seconds=0.001)
    counter.faults.add(action="delay", seconds=0.001, when="after")
    assert (await client.post("/work")).headers["content-type"].startswith("text/html")
    assert [(await client.post("/work")).json()["done"] for _ in range(2)] == [1, 2]


async def test_work_is_done_when_the_client_is_gone() -> None:
    """Who gives up a slow server gets no answer, and what was asked for is done; half a request does nothing."""
    counter = Counter()
    counter.faults.add(action="delay", seconds=0.4)
    async with over_socket(counter) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/work", content=b"x")
        host, port = client.base_url.host, client.base_url.port
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.close()
        async with asyncio.timeout(60):
            while len(counter.faults.requests) < 2:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)
    assert counter.done == 1


async def test_steering_over_http(counter_and_client: tuple[Counter, httpx.AsyncClient]) -> None:
    """Rules are added, listed and removed over HTTP, wrong ones are refused, and control requests are not logged."""
    counter, client = counter_and_client
    rule = {"path": "/work", "status": 503, "times": None}
    assert len((await client.post("/__faults", json=[rule, rule])).json()["rules"]) == 2
    assert (await client.post("/work")).status_code == 503
    refused = await client.post("/__faults", json={"path": "(", "status": 500})
    assert refused.status_code == 400
    assert "not a regular expression" in refused.json()["error"]
    assert (await client.post("/__faults", content=b"{")).status_code == 400
    assert (await client.delete("/__faults")).json() == {"rules": []}
    assert (await client.get("/__faults")).json() == {"rules": []}
    assert (await client.post("/work")).status_code == 200
    logged = (await client.get("/__requests")).json()["requests"]
    assert [entry["status"] for entry in logged] == [503, 200]
    assert counter.faults.count("POST", "/work") == 2


def test_probability_is_repeatable() -> None:
    """The same seed spoils the same requests, about as many as asked."""
    chosen = []
    for _ in range(2):
        faults = Faults(seed=3)
        faults.add(probability=0.3, times=None)
        chosen.append([faults.choose("GET", "/") is not None for _ in range(200)])
    assert chosen[0] == chosen[1]
    assert 40 < sum(chosen[0]) < 80


def test_rules_refuse_nonsense() -> None:
    """A misspelt field or an impossible value is an error, not a rule that never acts."""
    with pytest.raises(ValidationError):
        Rule.model_validate({"action": "explode"})
    with pytest.raises(ValidationError):
        Rule.model_validate({"pth": "/"})


async def test_port_taken_is_reported() -> None:
    """Serving on a taken port fails at once with the system's error."""
    counter = Counter()
    async with serve(counter.app) as url:
        with pytest.raises(OSError, match="in use"):
            async with serve(counter.app, port=int(url.rsplit(":", 1)[1])):
                pass
