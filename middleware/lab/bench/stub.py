"""A stub of Invoice Ninja for the bench: answers at once (or after a delay) and remembers when each request came.

`python -m middleware.lab.bench.stub PORT DELAY_MS`. Far faster than the sandbox, because it knows only
what the bench asks.
"""

import asyncio
import json
import sys
import time
from typing import cast
from urllib.parse import unquote

import uvloop

CLIENT_ID = "VolejRejNm"


class Stub:
    """What came, and how to answer it."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._arrivals: dict[str, float] = {}
        self._requests = 0

    async def serve(self, port: int) -> None:
        """Answer until the process ends."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Exchange(self), "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    def answer(self, method: str, path: str, body: bytes) -> tuple[object, float]:
        """The JSON to answer with and the seconds to wait before."""
        if path.startswith("/__arrivals"):
            arrivals, self._arrivals = self._arrivals, {}
            requests, self._requests = self._requests, 0
            return {"arrivals": arrivals, "requests": requests}, 0.0
        self._requests += 1
        if method == "GET":
            return {"data": {"id": CLIENT_ID, "number": "bench", "name": "Bench", "is_deleted": False}}, 0.0
        task = json.loads(body)
        self._arrivals[task["number"]] = time.monotonic()
        return {"data": {**task, "id": f"t{task['number']}", "invoice_id": "", "is_deleted": False}}, self._delay


class _Exchange(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not separator or len(body) < int(length or 0):
            return
        self._received = b""
        method, path, _ = head.decode("latin-1").split(" ", 2)
        answer, delay = self._stub.answer(method, unquote(path), body)
        payload = json.dumps(answer).encode()
        response = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
            + str(len(payload)).encode()
            + b"\r\n\r\n"
            + payload
        )
        if delay:
            asyncio.get_running_loop().call_later(delay, self._transport.write, response)
        else:
            self._transport.write(response)


def main(port: int, delay_ms: float) -> None:
    """Serve until the process is ended."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Stub(delay_ms / 1000).serve(port))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
