"""The dashboard as an ASGI application: routes, guards, security headers, and pages for what went wrong."""

from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.accounts.cookies import comes_from_elsewhere
from middleware.accounts.service import Accounts
from middleware.dashboard import sign_in
from middleware.dashboard.formats import zone_named
from middleware.dashboard.live import Asking
from middleware.dashboard.render import STATIC_FILES, make_environment, static_content
from middleware.dashboard.routes import PAGES
from middleware.dashboard.services import Services
from middleware.dashboard.sign_in import session_token
from middleware.dashboard.visit import Desk, Page, RefusedError, Visit, go_to, local_path
from middleware.store.database import OUR_MISTAKES, STORE_ERRORS, StoreUnavailableError
from middleware.store.operations.audit import AuditStore
from middleware.store.operations.users import Role, SessionStore, UserStore

log = structlog.get_logger()

ZONE_COOKIE = "taiga-billing-zone"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
# The address of a static file names its content.
FOR_EVER = "public, max-age=31536000, immutable"

AWAY = (StoreUnavailableError, *STORE_ERRORS)

Endpoint = Callable[[Request], Awaitable[Response]]


def create_site(services: Services) -> ASGIApp:
    """The pages over these services."""
    accounts = Accounts(
        UserStore(services.pool), SessionStore(services.pool), AuditStore(services.pool), services.clock
    )
    desk = Desk(services, accounts, make_environment(), Asking(services))
    pages = [Route(path, _guarded(desk, page, role), methods=[method]) for path, method, role, page in PAGES]
    statics = [Route(f"/static/{name}", _static(name, media_type)) for name, media_type in STATIC_FILES.items()]
    return SafeSite(Router([*statics, *sign_in.routes(desk), *pages, Route("/{path:path}", _not_found)]), desk)


def _static(name: str, media_type: str) -> Endpoint:
    content = static_content(name)

    async def answer(_request: Request) -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": FOR_EVER})

    return answer


def _guarded(desk: Desk, page: Page, role: Role) -> Endpoint:
    """The page for those who signed in, and may see it."""

    async def answer(request: Request) -> Response:
        session = await desk.accounts.session(session_token(request))
        if session is None:
            there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return go_to("/sign-in", then=there if request.method == "GET" and there != "/" else "")
        if role == "admin" and not session.is_admin:
            raise RefusedError(403, "Only administrators may do this. Ask one, or sign in as one.")
        zone = zone_named(unquote(request.cookies.get(ZONE_COOKIE, "UTC")))
        return await page(Visit(request, desk, session, zone, desk.services.clock()))

    return answer


async def _not_found(_request: Request) -> Response:
    raise RefusedError(404, "There is no such page.")


def _refuse_odd(scope: Scope) -> None:
    if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
        raise RefusedError(400, "This address contains a character that is not allowed.")
    if scope["method"] == "POST" and comes_from_elsewhere(Request(scope).headers):
        raise RefusedError(403, "Another site sent this form; nothing was done.")


class SafeSite:
    """Gives every answer its security headers, refuses forms of other sites, and turns failures into pages."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            _refuse_odd(scope)
            await self._app(scope, receive, send_safely)
        except Exception as error:
            if started:
                raise
            status, message = _told(error)
            page = self._desk.templates.get_template("error.html").render(message=message, back=_form_page(scope))
            await HTMLResponse(page, status)(scope, receive, send_safely)


def _told(error: Exception) -> tuple[int, str]:
    """The status of a failure, and its message for a person."""
    if isinstance(error, HTTPException):
        return error.status_code, "This page does not accept such a request."
    if isinstance(error, RefusedError):
        return error.status, str(error)
    if isinstance(error, AWAY) and not isinstance(error, OUR_MISTAKES):
        log.warning("store.unreachable", error=str(error))
        return 503, "PostgreSQL does not answer. Webhooks are refused until it does; try again soon."
    log.error("page.failed", exc_info=error)
    return 500, "This page failed; the log of the receiver says why (page.failed)."


def _form_page(scope: Scope) -> str:
    """The page of ours whose form was sent; "" when no form was sent, or nobody says from where."""
    request = Request(scope)
    came_from = urlsplit(request.headers.get("referer", ""))
    if request.method != "POST" or came_from.netloc != request.headers.get("host") or came_from.path == "/sign-in":
        return ""
    return local_path(came_from.path + (f"?{came_from.query}" if came_from.query else ""))
