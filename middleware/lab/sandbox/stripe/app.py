"""The web application of the sandbox Stripe: `/v1`, form-encoded requests, JSON answers."""

import base64
import json
import secrets
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from middleware.lab.sandbox.faults import Faults, FaultsMiddleware
from middleware.lab.sandbox.stripe import errors, views_payments, views_selling
from middleware.lab.sandbox.stripe.calls import Call, View
from middleware.lab.sandbox.stripe.expanding import expand
from middleware.lab.sandbox.stripe.forms import Params, decode
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.state import StripeState

VIEWS: dict[str, View] = {**views_payments.VIEWS, **views_selling.VIEWS}

_LONGEST_KEY = 255
_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it becomes bytes."""

    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)


def create_app(state: StripeState | None = None, faults: Faults | None = None) -> Starlette:
    """Make the application; its data is `app.state.stripe`, its failure switches are `app.state.faults`."""
    state = state or StripeState()
    faults = faults or Faults()
    api = _Api(state)
    app = Starlette(
        routes=[Route("/{path:path}", api.answer, methods=["GET", "POST", "DELETE"])],
        middleware=[Middleware(FaultsMiddleware, faults=faults)],
    )
    app.state.stripe = state
    app.state.faults = faults
    return app


class _Api:
    """Answers requests: authorisation, idempotency, views, and deliveries at the end."""

    def __init__(self, state: StripeState) -> None:
        self.state = state

    async def answer(self, request: Request) -> Response:
        """Answer one request; what it caused is delivered after the answer."""
        body = (await request.body()).decode("utf-8", "replace")
        try:
            reply = self._reply(request, body)
        except errors.ApiError as error:
            reply = Reply(error.status, error.body)
        response = Response(
            json.dumps(reply.body, ensure_ascii=False).encode(),
            reply.status,
            {"Request-Id": f"req_{secrets.token_hex(7)}", "Stripe-Version": self._version(request), **reply.headers},
            "application/json",
        )
        if self.state.outbox and not self.state.hold:
            response.background = BackgroundTask(self.state.deliver)
        return response

    def _reply(self, request: Request, body: str) -> Reply:
        _authorise(request, live=self.state.livemode)
        if self.state.rate_limited:
            raise errors.ApiError(429, "invalid_request_error", "Too many requests.", code="rate_limit")
        key = request.headers.get("Idempotency-Key")
        if request.method != "POST" or not key:
            return Reply(200, self._body(request, body))
        return self._once(request, body, key)

    def _once(self, request: Request, body: str, key: str) -> Reply:
        """A POST with an idempotency key: the second one gets the first one's answer, without an effect."""
        if len(key) > _LONGEST_KEY:
            raise errors.invalid("Idempotency keys are limited to 255 characters.")
        asked = f"{request.url.path} {body}"
        known = self.state.answers.get(key)
        if known is None:
            return self._first(request, body, key, asked)
        if known[0] != asked:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
            )
            raise errors.ApiError(_BAD_REQUEST, "idempotency_error", message)
        return Reply(known[1], known[2], {"Idempotent-Replayed": "true"})

    def _first(self, request: Request, body: str, key: str, asked: str) -> Reply:
        try:
            reply = Reply(200, self._body(request, body))
        except errors.ApiError as error:
            # Validation errors are not remembered: the corrected request may use the key again.
            if error.status != _BAD_REQUEST:
                self.state.answers[key] = (asked, error.status, error.body)
            raise
        self.state.answers[key] = (asked, reply.status, reply.body)
        return reply

    def _body(self, request: Request, body: str) -> Json:
        address, key = _address(request.url.path)
        view = VIEWS.get(f"{request.method} {address}")
        if view is None:
            raise errors.unknown_url(request.method, request.url.path)
        params = Params(decode(body if request.method == "POST" else request.url.query))
        params.refuse_unknown(f"{request.method} {address}")
        shown = self._in_version(view(Call(self.state, params, key)), self._version(request))
        return expand(self.state, shown, params.texts("expand"))

    def _in_version(self, shown: Json, version: str) -> Json:
        # An event is frozen in the version it was made in.
        if shown["object"] == "list":
            return {**shown, "data": [self._in_version(item, version) for item in shown["data"]]}
        return shown if shown["object"] == "event" else self.state.in_version(version, shown)

    def _version(self, request: Request) -> str:
        return request.headers.get("Stripe-Version") or self.state.api_version


def _address(path: str) -> tuple[str, str]:
    """`/v1/charges/ch_1` is address `charges/id` with key `ch_1`."""
    parts = path.strip("/").split("/")
    if parts[0] != "v1":
        return "", ""
    size = 3 if parts[1:2] == ["checkout"] else 2
    collection, rest = "/".join(parts[1:size]), parts[size:]
    if not rest:
        return collection, ""
    return "/".join([collection, "id", *rest[1:]]), rest[0]


def _authorise(request: Request, *, live: bool) -> None:
    """Accept a key of our mode, as a bearer or as the user name of basic authentication."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        credentials = base64.b64decode(credentials + "==").decode("utf-8", "replace").partition(":")[0]
    if not credentials:
        message = "You did not provide an API key. You need to provide your API key in the Authorization header."
        raise errors.ApiError(401, "invalid_request_error", message)
    mode = "live" if live else "test"
    if not credentials.startswith((f"sk_{mode}_", f"rk_{mode}_")):
        shown = credentials[:8] + "*" * 8
        raise errors.ApiError(401, "invalid_request_error", f"Invalid API Key provided: {shown}")
