"""Who we are to Taiga: a token that was given, or one that a login gives (docs/facts/taiga.md section 7).

Refresh tokens are not used: they work once, so that two processes sharing one would throw each other out. A new login
with the password costs the same and always works.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from handlers.errors import Refused
from middleware.clients.http.client import RemoteClient
from middleware.clients.http.failures import Dialect

_REFUSED_FOR = 30.0
"""Seconds for which a refused login is not tried again: Taiga may lock out who guesses."""


def _is_missing(status: int, body: Any) -> bool:
    """Taiga's own 404 names an error; that of a proxy or a wrong path must not look like a deleted task."""
    return status == httpx.codes.NOT_FOUND and isinstance(body, Mapping) and "_error_message" in body


DIALECT = Dialect(
    system="taiga",
    address_setting="TAIGA_API",
    credential_setting="TAIGA_TOKEN, or TAIGA_USERNAME and TAIGA_PASSWORD",
    # 403 is "no permission for this object", which another object may not share.
    refused=frozenset({httpx.codes.UNAUTHORIZED}),
    is_missing=_is_missing,
    throttled_for=lambda _status, _body: None,
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to sign in: `token`, or `username` (an e-mail address works too) with `password`, or all of them.

    A plain token is sent as `Bearer`; one that carries its scheme (`Application eyJ...`, `Bearer eyJ...`) as it is.

    Raises:
        ValueError: there is neither, or the token contains what a header cannot.
    """

    token: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.token.strip() and not self.can_log_in:
            raise ValueError("Taiga needs TAIGA_TOKEN, or TAIGA_USERNAME and TAIGA_PASSWORD")
        if not (self.token.isascii() and self.token.strip().isprintable()):
            raise ValueError("TAIGA_TOKEN holds characters that no token has; paste it again")

    @property
    def can_log_in(self) -> bool:
        """Whether there is a user name with its password."""
        return bool(self.username and self.password)

    @property
    def authorization(self) -> str:
        """The header for the token; "" when there is none."""
        words = self.token.split()
        return " ".join(words) if len(words) != 1 else f"Bearer {words[0]}"


class TaigaSession(RemoteClient):
    """Gives the Authorization header; many requests that find it expired make one login."""

    def __init__(
        self, http: httpx.AsyncClient, credentials: Credentials, timer: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(http, DIALECT)
        self._credentials = credentials
        self._current = credentials.authorization
        self._lock = asyncio.Lock()
        self._timer = timer
        self._refused_until = 0.0

    async def authorization(self) -> str:
        """The header to send; logs in when there is none yet.

        Raises:
            Refused: the user name or password is wrong.
        """
        return self._current or await self._log_in(stale="")

    async def renew(self, stale: str) -> str | None:
        """Another header than the one that was refused; None when there is no password to get it with.

        Raises:
            Refused: the user name or password is wrong.
        """
        return await self._log_in(stale) if self._credentials.can_log_in else None

    async def _log_in(self, stale: str) -> str:
        async with self._lock:
            if self._current == stale:
                self._current = f"Bearer {await self._new_token()}"
            return self._current

    async def _new_token(self) -> str:
        if self._timer() < self._refused_until:
            message = "this login was refused a moment ago and is not retried yet"
            raise Refused(DIALECT.system, "POST /auth", f"{message}; check {DIALECT.credential_setting}", status=401)
        login = {"type": "normal", "username": self._credentials.username, "password": self._credentials.password}
        try:
            reply = await self._request("POST", "/auth", body=login, is_read=True)
        except Refused:
            self._refused_until = self._timer() + _REFUSED_FOR
            raise
        return self._typed(lambda answer: str(answer["auth_token"]), reply.data, reply.request, is_read=True)
