"""Servers that fail and workers that die, by chance: repeatable by its seed, until everything is healed."""

import random
from collections.abc import Callable

import httpx
from starlette.types import ASGIApp

from middleware.lab.sandbox.faults import Faults, Rule

BEFORE = (Rule(status=500), Rule(action="cut"), Rule(action="html"), Rule(status=429, retry_after=1))
AFTER = tuple(replaced.model_copy(update={"when": "after"}) for replaced in BEFORE[:3])
LATE = (Rule(action="late", seconds=3600),) * 8


class WorkerKilledError(BaseException):
    """The worker died before or after a request: nothing that follows in it happens."""


class Trouble(Faults, httpx.AsyncBaseTransport):
    """Spoils a share of the requests to a sandbox, and kills the worker at some, until it is healed."""

    def __init__(self, app: Callable[[Faults], ASGIApp], chance: random.Random, share: float) -> None:
        super().__init__()
        self._chance = chance
        self.share = share
        self._server = httpx.ASGITransport(app(self))

    def heal(self) -> None:
        """Nothing fails any more."""
        self.share = 0

    def share_of(self, _method: str, _target: str) -> float:
        """The share of such requests that is spoiled."""
        return self.share

    def choose(self, method: str, target: str) -> Rule | None:
        """Some way of failing, for a share of the requests."""
        if self._chance.random() >= self.share_of(method, target):
            return None
        return self._chance.choice(BEFORE if method == "GET" else BEFORE + AFTER + LATE)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on to the sandbox."""
        fate = self._chance.random() * 6
        if fate < self.share / 2:
            raise WorkerKilledError
        answer = await self._server.handle_async_request(request)
        if fate < self.share:
            raise WorkerKilledError
        return answer
