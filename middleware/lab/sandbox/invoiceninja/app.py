"""The Invoice Ninja of the sandbox as an ASGI application, with the transport traps of the real server (section 1)."""

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from middleware.lab.sandbox.faults import Faults, FaultsMiddleware
from middleware.lab.sandbox.invoiceninja.call import Call, RefusedError
from middleware.lab.sandbox.invoiceninja.routes import handler_for
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import NumberTakenError
from middleware.lab.sandbox.invoiceninja.values import trimmed

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_PREFIX = ("api", "v1")
_VERSION_HEADERS = {
    "X-Api-Version": "5.0.16",
    "X-APP-VERSION": "5.10.42",
    "X-MINIMUM-CLIENT-VERSION": "5.0.16",
    "Cache-Control": "no-cache, private",
    "Access-Control-Allow-Origin": "*",
}
_PAGE = (
    '<!DOCTYPE html>\n<html data-report-errors="0">\n<head>\n  <title>Invoice Ninja</title>\n</head>\n'
    '<body class="h-full">\n  <noscript>You need to enable JavaScript to run this app.</noscript>\n'
    '  <div id="root"></div>\n</body>\n</html>\n'
)


def create_app(state: NinjaState | None = None, faults: Faults | None = None) -> Starlette:
    """Make a sandbox server; its memory is `app.state.ninja`, its failure switches are `app.state.faults`."""
    faults = faults or Faults()
    app = Starlette(
        routes=[Route("/{path:path}", _serve, methods=_METHODS)],
        middleware=[Middleware(FaultsMiddleware, faults=faults)],
    )
    app.state.ninja = state or NinjaState()
    app.state.faults = faults
    return app


async def _serve(request: Request) -> Response:
    state: NinjaState = request.app.state.ninja
    method = "GET" if request.method == "HEAD" else request.method
    segments = tuple(part for part in request.path_params["path"].split("/") if part)
    if method == "OPTIONS":
        return PlainTextResponse("OK")
    handler = handler_for(method, segments[2:]) if segments[:2] == _PREFIX else None
    if handler is None:
        # Any unknown GET path is the page of the web application, with status 200 (the trap).
        return (
            HTMLResponse(_PAGE) if method == "GET" else _json(404, {"message": "Method not supported for this route"})
        )
    if request.headers.get("x-api-token") != state.token and segments[2:3] != ("invoice",):
        return _json(403, {"message": "Invalid token", "errors": {}})
    call = Call(
        state=state,
        method=method,
        segments=segments,
        query=dict(request.query_params),
        data=decoded(request.headers.get("content-type", ""), await request.body()),
        headers=request.headers,
        base=str(request.base_url).rstrip("/"),
        ip=request.client.host if request.client else "",
    )
    try:
        answer = handler(call)
    except RefusedError as refused:
        return _refusal(request, refused)
    except NumberTakenError:
        return _json(500, {"message": "Server Error"})
    return answer if isinstance(answer, Response) else _json(200, answer)


def decoded(content_type: str, body: bytes) -> dict[str, Any]:
    """Read a body as the server does: broken JSON, lists and other types count as an empty body (the trap)."""
    if "json" in content_type:
        try:
            data = json.loads(body)
        except ValueError:
            data = None
    elif "x-www-form-urlencoded" in content_type:
        data = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    else:
        data = None
    return trimmed(data) if isinstance(data, dict) else {}


def _refusal(request: Request, refused: RefusedError) -> Response:
    """Answer an error; without a sign that the client wants JSON a failed validation is a redirect (the trap)."""
    wants_json = "json" in request.headers.get("accept", "") or "x-requested-with" in request.headers
    if refused.status == 422 and not wants_json:  # noqa: PLR2004 - the status of a failed validation
        home = str(request.base_url).rstrip("/")
        page = f"<!DOCTYPE html>\n<html><head><title>Redirecting to {home}</title></head><body></body></html>"
        return HTMLResponse(page, status_code=302, headers={"Location": home})
    return _json(refused.status, refused.body)


def _json(status: int, body: Any) -> Response:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, status_code=status, media_type="application/json", headers=_VERSION_HEADERS)
