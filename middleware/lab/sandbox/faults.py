"""Failure switches for every sandbox server: rules that spoil chosen requests, and a bounded log of all requests.

`FaultsMiddleware` is plain ASGI and knows nothing about the application behind it. A rule acts either *before* the
work (the request never reaches the application) or *after* it (the effect stays, the answer is lost): the second kind
is what makes naive clients create things twice. Tests steer a `Faults` object; other processes steer it over HTTP:
`POST /__faults` (one rule or a list), `GET /__faults`, `DELETE /__faults`, `GET /__requests`.
"""

import asyncio
import json
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Action = Literal["answer", "html", "delay", "hang", "cut", "late"]
Moment = Literal["before", "after"]

CUT_EXTENSION = "taiga_billing.cut"
"""Key in `scope["extensions"]` under which `serve.py` offers a function that closes the client's socket."""

LOG_LIMIT = 20_000
"""Requests kept in the log; older ones are dropped."""


class Rule(BaseModel):
    """What happens to the requests that match.

    Attributes:
        method: regular expression for the whole method, e.g. `POST` or `POST|PUT`.
        path: regular expression searched in path and query, e.g. `/payments$`.
        action: `answer` (status `status`, optional `body` and `retry_after`), `html` (200 with a web page), `delay`
            (`seconds`, then as usual), `hang` (no answer, ever), `cut` (the connection breaks), `late` (the connection
            breaks at once, and the work is done `seconds` later all the same).
        when: `before` the work (it is not done) or `after` it (done, but its answer is replaced).
        times: how many requests it spoils; None means all.
        probability: share of the matching requests that are spoiled, 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = ".*"
    path: str = ""
    action: Action = "answer"
    when: Moment = "before"
    status: int = Field(default=500, ge=100, le=599)
    body: Any = None
    retry_after: int | None = None
    seconds: float = Field(default=0.0, ge=0)
    times: int | None = Field(default=1, ge=1)
    probability: float = Field(default=1.0, ge=0, le=1)

    @field_validator("method", "path")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    def matches(self, method: str, target: str) -> bool:
        """Tell whether a request with this method and path (with query) is meant."""
        return re.fullmatch(self.method, method) is not None and re.search(self.path, target) is not None


@dataclass(frozen=True)
class LoggedRequest:
    """One request as the log keeps it: `path` includes the query, `status` is 0 when the client got no answer."""

    method: str
    path: str
    status: int


class Faults:
    """The rules of one sandbox server and the log of what it was asked; `seed` makes probabilities repeatable."""

    def __init__(self, seed: int = 0) -> None:
        self.requests: deque[LoggedRequest] = deque(maxlen=LOG_LIMIT)
        self.hanging: set[Callable[[], None]] = set()
        """Each cuts a connection whose request gets no answer."""
        self.late: set[asyncio.Task[None]] = set()
        """Work that is still to be done for clients that are gone."""
        self.hurry = asyncio.Event()
        self._active: list[tuple[Rule, list[int]]] = []
        self._random = random.Random(seed)  # noqa: S311 - repeatable chance for tests, not a secret

    @property
    def rules(self) -> list[Rule]:
        """The rules that still act, in the order they were added."""
        return [rule for rule, _ in self._active]

    def add(self, rule: Rule | None = None, **fields: Any) -> Rule:
        """Add a rule, given whole or as its fields; the first matching rule wins."""
        rule = rule or Rule(**fields)
        self._active.append((rule, [rule.times or 0]))
        return rule

    def clear(self) -> None:
        """Forget all rules; the log stays."""
        self._active.clear()

    def heal(self) -> None:
        """Forget all rules, and cut what hangs, as a server does that is started again."""
        self.clear()
        for cut in list(self.hanging):
            cut()

    async def catch_up(self) -> None:
        """Do now what was to be done late."""
        self.hurry.set()
        await asyncio.gather(*self.late)
        self.hurry.clear()

    def choose(self, method: str, target: str) -> Rule | None:
        """Take the rule that spoils this request, if any, and use up one of its times."""
        for index, (rule, left) in enumerate(self._active):
            if not rule.matches(method, target):
                continue
            if rule.probability < 1 and self._random.random() >= rule.probability:
                continue
            left[0] -= 1
            if rule.times is not None and left[0] <= 0:
                del self._active[index]
            return rule
        return None

    def count(self, method: str = ".*", path: str = "") -> int:
        """Count logged requests by regular expressions for method (whole) and path with query (anywhere)."""
        wanted = Rule(method=method, path=path)
        return sum(wanted.matches(entry.method, entry.path) for entry in self.requests)


class FaultsMiddleware:
    """Apply the rules of `faults` to every HTTP request and answer the control paths."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, spoiled or not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        control = CONTROLS.get((scope["method"], scope["path"]))
        if control is not None:
            answer = await control(self.faults, receive)
            await answer(scope, receive, send)
            return
        await self._logged(scope, receive, send)

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        target = _target(scope)
        rule = self.faults.choose(scope["method"], target)
        try:
            # A client that goes away before all of its request arrived gets nothing done.
            with suppress(ClientDisconnect):
                if rule is None:
                    await self.app(scope, receive, note_status)
                else:
                    await self._spoiled(rule, scope, receive, note_status)
        finally:
            self.faults.requests.append(LoggedRequest(scope["method"], target, status))

    async def _spoiled(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        if rule.action == "delay":
            await self._delayed(rule, scope, receive, send)
            return
        if rule.action == "late":
            await self._put_off(rule, scope, receive)
            await self._misbehave(rule, scope, receive, send)
            return
        if rule.when == "after":
            await self.app(scope, receive, _discard)
        await self._misbehave(rule, scope, receive, send)

    async def _put_off(self, rule: Rule, scope: Scope, receive: Receive) -> None:
        """Take the whole request now, and do its work when nobody waits for the answer any more."""
        request = await _taken(receive)

        async def work() -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.faults.hurry.wait(), rule.seconds)
            await self.app({**scope, "extensions": {}}, request, _discard)

        self.faults.late.add(task := asyncio.create_task(work(), name=f"late {scope['method']} {scope['path']}"))
        task.add_done_callback(self.faults.late.discard)

    async def _misbehave(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        if rule.action not in ("hang", "cut", "late"):
            await _replacement(rule)(scope, receive, send)
            return
        cut = scope.get("extensions", {}).get(CUT_EXTENSION)
        if rule.action != "hang" or cut is None:
            await _break_off(rule, cut, receive)
            return
        self.faults.hanging.add(cut)
        try:
            await _break_off(rule, cut, receive)
        finally:
            self.faults.hanging.discard(cut)

    async def _delayed(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        if rule.when == "before":
            # As servers do it: the request was taken whole, so its work is done even when the client is gone by then.
            request = await _taken(receive)
            await asyncio.sleep(rule.seconds)
            await self.app(scope, request, send)
            return
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self.app(scope, receive, hold)
        await asyncio.sleep(rule.seconds)
        for message in held:
            await send(message)


async def _break_off(rule: Rule, cut: Callable[[], None] | None, receive: Receive) -> None:
    if cut is None:
        # In-process (httpx.ASGITransport) there is no socket and no time limit: raise what a client would see.
        if rule.action == "hang":
            raise httpx.ReadTimeout("sandbox: the server does not answer")
        raise httpx.RemoteProtocolError("sandbox: the server closed the connection without an answer")
    if rule.action != "hang":
        cut()
    while (await receive())["type"] != "http.disconnect":
        pass


def _replacement(rule: Rule) -> Response:
    if rule.action == "html":
        return HTMLResponse("<!DOCTYPE html>\n<html><head><title>Sandbox</title></head><body></body></html>")
    headers = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
    body = {"message": DEFAULT_MESSAGES.get(rule.status, "Server Error")} if rule.body is None else rule.body
    return JSONResponse(body, status_code=rule.status, headers=headers)


DEFAULT_MESSAGES = {429: "Too many requests", 503: "Service Unavailable"}


async def _discard(_: Message) -> None:
    """Take a message of an answer that the client must not see."""


def _target(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return f"{scope['path']}?{query}" if query else str(scope["path"])


async def _add_rules(faults: Faults, receive: Receive) -> Response:
    try:
        posted = json.loads(await _body(receive))
        rules = [Rule.model_validate(item) for item in (posted if isinstance(posted, list) else [posted])]
    except (ValueError, ValidationError) as error:
        return JSONResponse({"error": f"no rule was added: {error}"}, status_code=400)
    for rule in rules:
        faults.add(rule)
    return _rules_answer(faults.rules)


async def _list_rules(faults: Faults, _: Receive) -> Response:
    return _rules_answer(faults.rules)


async def _clear_rules(faults: Faults, _: Receive) -> Response:
    faults.clear()
    return _rules_answer([])


async def _list_requests(faults: Faults, _: Receive) -> Response:
    return JSONResponse({"requests": [asdict(entry) for entry in faults.requests]})


def _rules_answer(rules: Sequence[Rule]) -> Response:
    return JSONResponse({"rules": [rule.model_dump(mode="json") for rule in rules]})


async def _taken(receive: Receive) -> Receive:
    """What an application receives of a request that was taken whole, whether its client is still there or not.

    Raises:
        ClientDisconnect: the client went away before that.
    """
    messages: list[Message] = [{"type": "http.request", "body": await _body(receive), "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return replay


async def _body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


Control = Callable[[Faults, Receive], Awaitable[Response]]

CONTROLS: dict[tuple[str, str], Control] = {
    ("POST", "/__faults"): _add_rules,
    ("GET", "/__faults"): _list_rules,
    ("DELETE", "/__faults"): _clear_rules,
    ("GET", "/__requests"): _list_requests,
}
