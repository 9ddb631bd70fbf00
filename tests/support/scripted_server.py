"""A remote system that answers what a test tells it to, and the recorded answers of real ones."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from middleware.clients.connect import connect_invoice_ninja, connect_taiga
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.taiga import Credentials, Taiga

_RECORDINGS = Path(__file__).parents[1] / "recordings" / "clients"

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class ScriptedServer:
    """Gives its answers one after the other, the last one for ever, and remembers the requests."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        # A copy: a client may send the same request once more with other headers.
        self.requests.append(
            httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        )
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """For the `transport` argument of the clients."""
        return httpx.MockTransport(self._answer)

    @property
    def bodies(self) -> list[Any]:
        """The decoded bodies of the requests, None for those without."""
        return [json.loads(request.content) if request.content else None for request in self.requests]

    @property
    def calls(self) -> list[str]:
        """The requests as `GET /api/v1/tasks?number=1`."""
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]


def ninja_answering(*answers: Answer) -> tuple[InvoiceNinja, ScriptedServer]:
    """A client of an Invoice Ninja that gives these answers."""
    server = ScriptedServer(*answers)
    return connect_invoice_ninja("https://ninja.example", "tok", server.transport), server


def taiga_answering(*answers: Answer, credentials: Credentials | None = None) -> tuple[Taiga, ScriptedServer]:
    """A client of a Taiga that gives these answers; signed in by a token unless told otherwise."""
    server = ScriptedServer(*answers)
    return connect_taiga("https://taiga.example", credentials or Credentials(token="tok"), server.transport), server


@cache
def _recorded(system: str) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((_RECORDINGS / f"{system}.json").read_text(encoding="utf-8"))
    return stored


def recorded_names(system: str) -> list[str]:
    """The names of all recorded answers of `invoice_ninja` or `taiga`."""
    return list(_recorded(system))


def recorded_answer(system: str, name: str, **changes: Any) -> httpx.Response:
    """A recorded answer; `changes` are keys of its `data` (or of the body) to be other than recorded."""
    stored = _recorded(system)[name]
    body = stored.get("json")
    if changes:
        body = {**body, "data": {**body["data"], **changes}} if "data" in body else {**body, **changes}
    content = stored["text"].encode() if "text" in stored else json.dumps(body).encode()
    return httpx.Response(stored["status"], headers=stored["headers"], content=content)


def recorded_request(system: str, name: str) -> str:
    """What was asked then, as `GET /api/v1/tasks`."""
    stored = _recorded(system)[name]
    return f"{stored['method']} {stored['path']}"


def page(*rows: dict[str, Any], number: int = 1, last: int = 1) -> httpx.Response:
    """A page of an Invoice Ninja list."""
    return httpx.Response(
        200, json={"data": rows, "meta": {"pagination": {"current_page": number, "total_pages": last}}}
    )
