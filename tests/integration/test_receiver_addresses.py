"""What the receiver answers on its addresses, to whom, and where its numbers are."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from middleware.app import create_app
from middleware.intake import forwarded
from middleware.settings import Settings
from tests.support.receiver_bench import body_of, settings, signed

PUBLIC = ("203.0.113.9", 4711)


@asynccontextmanager
async def asked_from(
    given: Settings, client: tuple[str, int], base: str = "http://b"
) -> AsyncIterator[httpx.AsyncClient]:
    """The receiver, as somebody at this address reaches it."""
    app = create_app(given)
    transport = httpx.ASGITransport(app, client=client)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=base) as http:
        yield http


@pytest.mark.parametrize("path", ["//webhooks/taiga", "/webhooks//taiga", "///webhooks/taiga//"])
async def test_a_slash_too_many(clean_database: str, path: str) -> None:
    """A proxy or a person that ends an address with a slash too many loses nothing."""
    body = body_of()
    async with asked_from(settings(clean_database), PUBLIC) as http:
        answer = await http.post(httpx.URL(f"http://b{path}"), content=body, headers=signed(body))
        assert answer.status_code == 202, answer.text


async def test_a_webhook_address_in_a_browser(clean_database: str) -> None:
    """Who looks whether the address is there reads that it is, and that it is for POST."""
    async with asked_from(settings(clean_database), PUBLIC) as http:
        for path in ("/webhooks/taiga", "/webhooks/taiga/"):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
            assert "right address for webhooks of Taiga" in answer.text
        assert (await http.get("/webhooks/nobody")).status_code == 404


async def test_the_public_reads_words_and_this_machine_details(clean_database: str) -> None:
    """Addresses, errors and the version are for those on this machine."""
    async with asked_from(settings(clean_database), PUBLIC) as http:
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["redis"]) == (200, {"status": "degraded"})
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        again = await asyncio.gather(*(http.get("/readyz") for _ in range(20)))
        assert {one.text for one in again} == {ready.text}
    async with asked_from(settings(clean_database), ("::1", 1)) as http:
        assert "Connect" in (await http.get("/readyz")).json()["checks"]["redis"]["message"]
        assert "version" in (await http.get("/healthz")).json()


@pytest.mark.parametrize(("scheme", "expected"), [("https", "max-age=31536000"), ("http", None)])
async def test_headers_of_every_answer(clean_database: str, scheme: str, expected: str | None) -> None:
    """Pages and health alike: no guessing of types, no keeping, and TLS for a year where it is used."""
    async with asked_from(settings(clean_database), PUBLIC, f"{scheme}://b") as http:
        for path in ("/healthz", "/readyz", "/sign-in"):
            headers = (await http.get(path)).headers
            assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
            assert headers.get("strict-transport-security") == expected


async def test_metrics_on_a_port_of_their_own(clean_database: str, unused_tcp_port: int) -> None:
    """With METRICS_PORT they are there and not at PORT; with 0 they are nowhere."""
    async with asked_from(settings(clean_database, metrics_port=unused_tcp_port), PUBLIC) as http:
        assert (await http.get("/metrics")).status_code != 200
        async with httpx.AsyncClient() as other, asyncio.timeout(30):
            while True:
                try:
                    answer = await other.get(f"http://127.0.0.1:{unused_tcp_port}/metrics")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.01)
        assert "taiga_billing_received_total" in answer.text
    async with asked_from(settings(clean_database, metrics_port=0), PUBLIC) as http:
        assert (await http.get("/metrics")).status_code != 200


async def test_a_receiver_says_nothing_of_the_mapping_file(clean_database: str) -> None:
    """It never reads the file: a gauge of 0 would raise the alarm for ever."""
    # In a process of its own: others of this one have read the file.
    program = "from middleware import app, metrics; print(metrics.render().decode())"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert b"taiga_billing_received" in out
    assert b"mapping_valid" not in out


async def test_a_proxy_that_is_not_believed(clean_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its X-Forwarded-For is told once; of one that is believed (its sender has no port) nothing is said."""
    lines: list[str] = []
    monkeypatch.setattr(forwarded.log, "warning", lambda event, **_: lines.append(event), raising=False)
    monkeypatch.setattr(forwarded, "_hourly", forwarded._Hourly())
    headers = {"X-Forwarded-For": "198.51.100.1"}
    for client in (("203.0.113.9", 0), PUBLIC, PUBLIC):
        async with asked_from(settings(clean_database), client) as http:
            await http.post("/webhooks/taiga", content=b"{}", headers=headers)
    async with asked_from(settings(clean_database), PUBLIC) as http:
        await http.post("/webhooks/taiga", content=b"{}")
    assert lines == ["forwarded.not_believed"]
