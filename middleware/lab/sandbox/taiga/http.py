"""The HTTP side that all resources share: who asks, what is in the body, how answers and pages look."""

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.background import BackgroundTask
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from middleware.lab.sandbox.taiga import errors, model
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import dump

T = TypeVar("T")

PAGE_SIZE = 30
MAX_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """One request, with the user it comes from (None: nobody is logged in)."""

    state: TaigaState
    user: model.User | None
    path: Mapping[str, Any]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    url: URL

    @property
    def member(self) -> model.User:
        """The user.

        Raises:
            ApiError: 401, nobody is logged in.
        """
        if self.user is None:
            raise errors.not_authenticated()
        return self.user

    def json(self) -> Json:
        """The decoded body; nothing at all counts as an empty object.

        Raises:
            ApiError: 400, the body is not a JSON object.
        """
        if not self.body:
            return {}
        try:
            decoded = json.loads(self.body)
        except ValueError as error:
            raise errors.parse_error(str(error)) from error
        if not isinstance(decoded, dict):
            raise errors.bad_request("Invalid data")
        return decoded

    def demand(self, project: model.Project, permission: str) -> None:
        """Refuse users who lack a permission in a project.

        Raises:
            ApiError: 401 for nobody, 403 for anybody else.
        """
        if permission not in self.state.permissions(self.user, project):
            raise errors.not_authenticated() if self.user is None else errors.forbidden()

    def demand_admin(self, project: model.Project) -> None:
        """Refuse users who do not administrate a project.

        Raises:
            ApiError: 401 for nobody, 403 for anybody else.
        """
        membership = self.state.membership(self.user, project)
        if membership is None or not membership.is_admin:
            raise errors.not_authenticated() if self.user is None else errors.forbidden()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; a payload of None is an empty body without content type."""

    payload: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Reply | Awaitable[Reply]]


class Resource:
    """An ASGI application for one path: the handler of each method, refusals, and webhooks at the end."""

    def __init__(self, state: TaigaState, **handlers: Handler) -> None:
        self.state = state
        self.handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            reply = await self._handle(request)
            response = _response(reply)
        except errors.ApiError as error:
            response = Response(
                dump(error.body).encode(), error.status, dict(error.headers), media_type=error.content_type
            )
        if self.state.outbox and not self.state.hold:
            if self.state.celery:
                response.background = BackgroundTask(self.state.deliver)
            else:
                await self.state.deliver()
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> Reply:
        user = authenticate(self.state, request.headers.get("authorization"))
        if self.state.throttled_for is not None:
            raise errors.throttled(self.state.throttled_for)
        handler = self.handlers.get(request.method)
        if handler is None:
            raise errors.method_not_allowed(request.method)
        body = b"" if request.method == "GET" else await request.body()
        call = Call(self.state, user, request.path_params, request.query_params, request.headers, body, request.url)
        reply = handler(call)
        return await reply if inspect.isawaitable(reply) else reply


def authenticate(state: TaigaState, header: str | None) -> model.User | None:
    """Who sends this Authorization header; None for no header or a scheme that Taiga does not know.

    Raises:
        ApiError: 401, the token is not valid.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme == "Bearer":
        return state.tokens.user_of_access(token)
    if scheme == "Application":
        return state.tokens.user_of_application(token)
    return None


def _response(reply: Reply) -> Response:
    if reply.payload is None:
        return Response(None, reply.status, dict(reply.headers))
    body = dump(reply.payload).encode()
    return Response(body, reply.status, dict(reply.headers), media_type="application/json")


def page_of(call: Call, rows: Sequence[T], show: Callable[[T], Json]) -> Reply:
    """One page of a list with Taiga's headers; all of it with the header `x-disable-pagination`.

    Raises:
        ApiError: 404, there is no such page.
    """
    if call.headers.get("x-disable-pagination"):
        return Reply([show(row) for row in rows])
    size = _page_size(call.query.get("page_size"))
    pages = max(1, -(-len(rows) // size))
    page = _page(call.query.get("page", "1"), pages)
    shown = [show(row) for row in rows[(page - 1) * size : page * size]]
    headers = page_headers(len(rows), size, page)
    for name, number in (("X-Pagination-Next", page + 1), ("X-Pagination-Prev", page - 1)):
        if 1 <= number <= pages:
            headers[name] = str(call.url.include_query_params(page=number))
    return Reply(shown, headers=headers)


def page_headers(count: int, size: int = PAGE_SIZE, page: int = 1) -> dict[str, str]:
    """The headers that tell which page of how many rows this is."""
    return {
        "x-pagination-count": str(count),
        "x-paginated": "true",
        "x-paginated-by": str(size),
        "x-pagination-current": str(page),
    }


def _page_size(text: str | None) -> int:
    size = int(text) if text is not None and text.isdigit() else 0
    return min(size, MAX_PAGE_SIZE) or PAGE_SIZE


def _page(text: str, pages: int) -> int:
    page = pages if text == "last" else int(text) if text.isdigit() else 0
    if not 1 <= page <= pages:
        raise errors.not_found("Page is not 'last', nor can it be converted to an int.")
    return page
