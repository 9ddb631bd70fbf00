"""Access, refresh and application tokens (docs/facts/taiga.md section 7).

Access tokens live 24 hours, refresh tokens 8 days; a refresh token works once and is replaced by the next. They look
like JWT, but nothing may depend on that: the server keeps a table.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Literal

from middleware.lab.sandbox.taiga import errors
from middleware.lab.sandbox.taiga.model import User

ACCESS_LIFE = timedelta(hours=24)
REFRESH_LIFE = timedelta(days=8)

TokenKind = Literal["access", "refresh"]


@dataclass(frozen=True, slots=True)
class _Issued:
    kind: TokenKind
    user: User
    expires: datetime


class Tokens:
    """All tokens in use; `clock` gives the present as aware UTC datetime."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._issued: dict[str, _Issued] = {}
        self._applications: dict[str, User] = {}
        self._serial = count(1)

    def issue(self, user: User) -> tuple[str, str]:
        """Make a new access token and a new refresh token."""
        return self._new("access", user, ACCESS_LIFE), self._new("refresh", user, REFRESH_LIFE)

    def issue_application_token(self, user: User) -> str:
        """Make a token for `Authorization: Application <token>`; it does not expire."""
        token = f"eyJhcHBfdG9rZW5faWQiOj{next(self._serial)}:sandbox:application"
        self._applications[token] = user
        return token

    def refresh(self, token: str) -> tuple[str, str]:
        """Exchange a refresh token for new tokens; it is used up by that.

        Raises:
            ApiError: 401, the token is used up, expired or no refresh token.
        """
        issued = self._valid(token, "refresh")
        if issued is None:
            raise errors.bad_refresh_token()
        del self._issued[token]
        return self.issue(issued.user)

    def user_of_access(self, token: str) -> User:
        """Who is logged in with this bearer token.

        Raises:
            ApiError: 401, the token is expired or unknown.
        """
        issued = self._valid(token, "access")
        if issued is None:
            raise errors.bad_access_token()
        return issued.user

    def user_of_application(self, token: str) -> User:
        """For whom an application acts.

        Raises:
            ApiError: 401, the token is unknown.
        """
        user = self._applications.get(token)
        if user is None:
            raise errors.not_authenticated("Invalid token")
        return user

    def expire(self, kind: TokenKind = "access") -> None:
        """Let all tokens of one kind run out now, as if their time had passed."""
        self._issued = {token: issued for token, issued in self._issued.items() if issued.kind != kind}

    def _valid(self, token: str, kind: TokenKind) -> _Issued | None:
        issued = self._issued.get(token)
        if issued is None or issued.kind != kind or issued.expires <= self._clock():
            return None
        return issued

    def _new(self, kind: TokenKind, user: User, life: timedelta) -> str:
        expires = self._clock() + life
        claims = {"token_type": kind, "exp": int(expires.timestamp()), "jti": next(self._serial), "user_id": user.id}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        token = f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{body}.sandbox"
        self._issued[token] = _Issued(kind, user, expires)
        return token
