"""Signing in and out."""

import secrets

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from middleware.accounts.cookies import FORM_SECONDS, SESSION_SECONDS, cookie_name, is_same, must_be_secure
from middleware.accounts.service import SignInRefusedError
from middleware.dashboard.visit import Desk, RefusedError, go_to, local_path, read_form
from middleware.intake.forwarded import warn_unless_believed
from middleware.web.connection_limits import network_of

UNPROCESSABLE = 422


def routes(desk: Desk) -> list[Route]:
    """The form, signing in, and signing out."""

    async def show(request: Request) -> Response:
        return await _form(desk, request, then=local_path(request.query_params.get("then", "")))

    async def begin(request: Request) -> Response:
        return await _begin(desk, request)

    async def end(request: Request) -> Response:
        return await _end(desk, request)

    return [
        Route("/sign-in", show, methods=["GET"]),
        Route("/sign-in", begin, methods=["POST"]),
        Route("/sign-out", end, methods=["POST"]),
    ]


def session_token(request: Request) -> str:
    """The token that the browser holds; "" without one."""
    return request.cookies.get(cookie_name("session", secure=_is_secure(request)), "")


async def _begin(desk: Desk, request: Request) -> Response:
    fields = await read_form(request)
    if not is_same(request.cookies.get(_form_cookie(request), ""), fields.get("csrf_token", "")):
        message = "The form was too old, or your browser keeps no cookies for this address. Please try again."
        return await _form(desk, request, message=message, name=fields.get("name", ""))
    name, then = fields.get("name", "").strip(), local_path(fields.get("then", ""))
    warn_unless_believed(request.scope)
    address = network_of(request.client.host if request.client else "")
    try:
        token = await desk.accounts.sign_in(name, fields.get("password", ""), address)
    except SignInRefusedError as refusal:
        return await _form(desk, request, message=str(refusal), name=name, then=then)
    response = go_to(then or "/")
    _set_cookie(response, request, "session", token, SESSION_SECONDS)
    return response


async def _end(desk: Desk, request: Request) -> Response:
    token = session_token(request)
    session = await desk.accounts.session(token)
    if session is not None:
        fields = await read_form(request)
        if not is_same(session.csrf_token, fields.get("csrf_token", "")):
            raise RefusedError(403, "This form does not belong to your session; you are still signed in.")
        await desk.accounts.sign_out(token, session.name)
    response = go_to("/sign-in")
    secure = _is_secure(request)
    response.delete_cookie(cookie_name("session", secure=secure), secure=secure, httponly=True, samesite="lax")
    return response


async def _form(desk: Desk, request: Request, *, message: str = "", name: str = "", then: str = "") -> Response:
    token = request.cookies.get(_form_cookie(request)) or secrets.token_urlsafe(32)
    html = desk.templates.get_template("sign_in.html").render(
        message=message, name=name, then=then, csrf_token=token, has_users=await desk.accounts.exist()
    )
    response = HTMLResponse(html, UNPROCESSABLE if message else 200)
    _set_cookie(response, request, "form", token, FORM_SECONDS)
    return response


def _set_cookie(response: Response, request: Request, purpose: str, value: str, seconds: int) -> None:
    secure = _is_secure(request)
    name = cookie_name(purpose, secure=secure)
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")


def _form_cookie(request: Request) -> str:
    return cookie_name("form", secure=_is_secure(request))


def _is_secure(request: Request) -> bool:
    return must_be_secure(request.url.scheme, request.url.hostname)
