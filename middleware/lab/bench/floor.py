"""The floors: what the same machine does with nothing but the necessary.

`python -m middleware.lab.bench.floor PORT KIND`. `hmac`: a Starlette route that reads the body and verifies it.
`commit`: the same, and each request waits for a commit that it shares with those which arrive meanwhile. Our receiver
is compared with them in the same run.
"""

import asyncio
import hashlib
import hmac
import os
import sys
from datetime import UTC, datetime

import asyncpg
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from middleware.lab.bench.load import SECRET
from middleware.web.server import web_server

INSERT = (
    "INSERT INTO floor (key, body, at) SELECT key, body, at FROM unnest($1::text[], $2::bytea[], $3::timestamptz[])"
    " AS new (key, body, at) ON CONFLICT (key) DO NOTHING RETURNING id"
)


async def verified_body(request: Request) -> bytes:
    """The body, when its signature is right."""
    body = await request.body()
    digest = hmac.digest(SECRET.encode(), body, "sha1").hex()
    if not hmac.compare_digest(digest, request.headers["x-taiga-webhook-signature"]):
        raise ValueError("wrong signature")
    return body


async def only_hmac(request: Request) -> Response:
    """Read, verify, answer."""
    await verified_body(request)
    return JSONResponse({"status": "accepted", "event_id": 1}, 202)


class SharedCommit:
    """Read, verify, wait for the commit that is shared with the requests which arrive meanwhile, answer."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._waiting: list[tuple[str, bytes, asyncio.Future[int]]] = []
        self._task: asyncio.Task[None] | None = None

    async def take(self, request: Request) -> Response:
        """Answer one request."""
        body = await verified_body(request)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((hashlib.sha256(body).hexdigest(), body, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._commit())
        return JSONResponse({"status": "accepted", "event_id": await done}, 202)

    async def _commit(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:256], self._waiting[256:]
            keys, bodies, _ = zip(*batch, strict=True)
            now = datetime.now(UTC)
            rows = await self._pool.fetch(INSERT, keys, bodies, [now] * len(batch))
            for (_, _, done), row in zip(batch, rows, strict=True):
                done.set_result(row["id"])


async def serve(port: int, kind: str) -> None:
    """Serve one floor until the process is ended."""
    if kind == "hmac":
        await web_server(_app(Route("/webhooks/taiga", only_hmac, methods=["POST"])), "127.0.0.1", port).serve()
        return
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=4) as pool:
        await pool.execute(
            "CREATE TABLE IF NOT EXISTS floor (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " key text UNIQUE, body bytea, at timestamptz)"
        )
        route = Route("/webhooks/taiga", SharedCommit(pool).take, methods=["POST"])
        await web_server(_app(route), "127.0.0.1", port).serve()


def _app(route: Route) -> Starlette:
    return Starlette(routes=[route])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2]))
