"""The shipped proxies in front of the receiver: whatever an attacker sends, the victims behind lose nothing.

Needs nginx and caddy (Debian's packages); each is skipped where it is missing.
"""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from middleware.lab.bench.stack import free_port
from tests.integration.test_smuggling import REFUSED, SMUGGLED, TAKEN, Seen, exchange, running

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy" / "proxy"
DELAYED = ("upgrade", "upgrade to websocket", "expectation", "trailers", "length and chunks")
VICTIMS = 6


def nginx(folder: Path, port: int, receiver: int) -> list[str]:
    """The command that runs the shipped file on this port, without TLS."""
    shipped = (SHIPPED / "nginx.conf").read_text()
    begin = shipped.rindex("server {")
    kept = "\n".join(line for line in shipped[begin:].splitlines() if "ssl_" not in line and "listen [::]" not in line)
    limits = "\n".join(line for line in shipped[:begin].splitlines() if line.startswith("limit_"))
    site = kept.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};").replace(":8000", f":{receiver}")
    paths = "\n".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}\n{limits}\n{site}\n}}\n"
    )
    return ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]


def caddy(folder: Path, port: int, receiver: int) -> list[str]:
    """The command that runs the shipped file on this port, without TLS."""
    shipped = (SHIPPED / "Caddyfile").read_text()
    site = shipped.replace("{\n\tservers", "{\n\tadmin off\n\tservers", 1)
    site = site.replace("\nbilling.example {", f"\nhttp://127.0.0.1:{port} {{").replace(":8000", f":{receiver}")
    (folder / "Caddyfile").write_text(site)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES = {"nginx": nginx, "caddy": caddy}


@asynccontextmanager
async def proxied(name: str, folder: Path, receiver: int) -> AsyncIterator[int]:
    """The proxy in front of a receiver, on a free port."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    port = int(free_port())
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - it lives beside the test
        PROXIES[name](folder, port, receiver), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(30):
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{port}/up")
                    break
                except httpx.TransportError:
                    assert process.poll() is None, f"{name} ended"
                    await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("name", PROXIES)
async def test_victims_lose_nothing(name: str, tmp_path: Path) -> None:
    """Between attacks, whole and with a body that comes later, every request of others gets its own answer."""
    seen = Seen()
    async with running(seen) as receiver, proxied(name, tmp_path, receiver) as port:
        attacks: list[tuple[bytes, ...]] = [(attack,) for attack in (*REFUSED.values(), *TAKEN.values())]
        for attack in DELAYED:
            head, separator, body = REFUSED[attack].partition(b"\r\n\r\n")
            attacks += [(head + separator, body), (head + separator, SMUGGLED + body)]
        sent = 0
        for pieces in attacks:
            seen.requests.clear()
            attacking = asyncio.create_task(exchange(port, *pieces))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as victim:
                for _ in range(VICTIMS):
                    sent += 1
                    answer = await victim.post("/victim", content=f"hello {sent}")
                    assert answer.status_code == 200, pieces
            await attacking
            assert [body for path, body in seen.requests if path == "/victim"] == [
                f"hello {number}".encode() for number in range(sent - VICTIMS + 1, sent + 1)
            ], pieces
            assert "/smuggled" not in {path for path, _ in seen.requests}, pieces


@pytest.mark.parametrize("name", PROXIES)
async def test_metrics_stay_inside(name: str, tmp_path: Path) -> None:
    """However their address is written; everything else passes."""
    seen = Seen()
    async with (
        running(seen) as receiver,
        proxied(name, tmp_path, receiver) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        seen.requests.clear()
        for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/metrics%0a", "/metrics?x", "/METRICS"):
            assert (await client.get(httpx.URL(f"http://127.0.0.1:{port}{path}"))).status_code in (400, 404), path
        assert seen.requests == []
        assert (await client.get("/readyz")).status_code == 200
