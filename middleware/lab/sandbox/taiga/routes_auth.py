"""Login, token exchange and the own account (docs/facts/taiga.md section 7)."""

from starlette.routing import Route

from middleware.lab.sandbox.taiga import errors, table_views
from middleware.lab.sandbox.taiga.http import Call, Reply, Resource
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.state import TaigaState

_LOGIN_WAIT = 60
"""Seconds to wait after too many wrong passwords."""


def routes(state: TaigaState) -> list[Route]:
    """The paths of this module."""
    return [
        Route("/auth", Resource(state, POST=login)),
        Route("/auth/refresh", Resource(state, POST=refresh)),
        Route("/users/me", Resource(state, GET=me)),
    ]


def login(call: Call) -> Reply:
    """`{"type": "normal", "username", "password"}` for tokens; an e-mail address works as user name."""
    body = call.json()
    if body.get("type") != "normal":
        raise errors.bad_request("invalid login type")
    state = call.state
    user = state.find_user(str(body.get("username", "")))
    if user is None or user.password != body.get("password"):
        raise _failed_login(state)
    access, refresh_token = state.tokens.issue(user)
    return Reply({**table_views.account(state, user), "refresh": refresh_token, "auth_token": access})


def _failed_login(state: TaigaState) -> errors.ApiError:
    if state.login_failures_left is not None:
        state.login_failures_left -= 1
        if state.login_failures_left < 0:
            return errors.throttled(_LOGIN_WAIT)
    return errors.bad_credentials()


def refresh(call: Call) -> Reply:
    """`{"refresh"}` for new tokens; the old refresh token is used up."""
    access, refresh_token = call.state.tokens.refresh(str(call.json().get("refresh", "")))
    tokens: Json = {"auth_token": access, "refresh": refresh_token}
    return Reply(tokens)


def me(call: Call) -> Reply:
    """The account of the token."""
    return Reply(table_views.account(call.state, call.member))
