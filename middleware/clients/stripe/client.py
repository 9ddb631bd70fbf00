"""The client of Stripe's API: plain httpx, form-encoded, a pinned version (docs/facts/stripe.md sections 3 and 9)."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx

from handlers.errors import NotFound, Rejected, RemoteError, Throttled
from middleware.clients.http.address import segment
from middleware.clients.http.client import Params, RemoteClient, Reply, Row, open_http
from middleware.clients.http.failures import Dialect, not_the_api, retry_after

STRIPE_VERSION = "2026-10-28.endive"
"""Answers have this version's shape, whatever the account's default is."""

_PAGE = 100
_BUSY_WAIT = 2.0
"""Seconds to wait when another request holds the same object or idempotency key."""
_RATE_WAIT = 5.0
"""Seconds to wait after too many requests."""

Form = Mapping[str, Any]


def _is_missing(status: int, body: Any) -> bool:
    """An address that Stripe does not know is a 404 too: that is a wrong base address, not a missing object."""
    error = _error(body)
    is_object = error.get("code") == "resource_missing" or str(error.get("message", "")).startswith("No such ")
    return status == httpx.codes.NOT_FOUND and is_object


def _never(_status: int, _body: Any) -> float | None:
    return None


DIALECT = Dialect(
    system="stripe",
    address_setting="STRIPE_API_BASE",
    credential_setting="STRIPE_API_KEY",
    refused=frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}),
    is_missing=_is_missing,
    throttled_for=_never,
)


def connect_stripe(base: str, key: str, transport: httpx.AsyncBaseTransport | None = None) -> "Stripe":
    """Stripe at this address (`STRIPE_API_BASE`) with this key; `transport` replaces the network in tests.

    Raises:
        ValueError: the address or the key cannot be one; the message names the setting.
    """
    trimmed = key.strip()
    if not trimmed or not trimmed.isascii() or not trimmed.isprintable() or " " in trimmed:
        raise ValueError("STRIPE_API_KEY is empty or holds characters that no key has; paste it again")
    try:
        url = httpx.URL(base.strip())
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"STRIPE_API_BASE must look like https://api.stripe.com: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("STRIPE_API_BASE must look like https://api.stripe.com, with http:// or https:// and a host")
    headers = {"Authorization": f"Bearer {trimmed}", "Stripe-Version": STRIPE_VERSION}
    return Stripe(open_http(base.strip().rstrip("/").removesuffix("/v1"), headers, transport))


class Stripe(RemoteClient):
    """Reads objects and lists, creates with an idempotency key. Implements `handlers.ports.billing.StripeMoney`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http, DIALECT)
        self._account_id = ""

    async def account_id(self) -> str:
        """GET /v1/account: the id of the account that the key belongs to; asked for once.

        Raises:
            Refused: the key may not read it.
        """
        if not self._account_id:
            self._account_id = str((await self.get("/v1/account")).get("id") or "")
        return self._account_id

    async def payment_intent(self, intent_id: str) -> Row:
        """GET /v1/payment_intents/{id} with the latest charge and its balance transaction.

        Raises:
            NotFound: there is none in this account and mode.
        """
        expand = ["latest_charge.balance_transaction"]
        return await self.get(f"/v1/payment_intents/{segment(intent_id)}", {"expand": expand})

    async def charge(self, charge_id: str) -> Row:
        """GET /v1/charges/{id} with its balance transaction.

        Raises:
            NotFound: there is none in this account and mode.
        """
        return await self.get(f"/v1/charges/{segment(charge_id)}", {"expand": ["balance_transaction"]})

    async def invoice(self, invoice_id: str) -> Row:
        """GET /v1/invoices/{id} with its payments and what of it was paid past Stripe (both come only when asked for).

        Raises:
            NotFound: there is none in this account and mode.
        """
        expand = ["payments", "amount_paid_off_stripe"]
        return await self.get(f"/v1/invoices/{segment(invoice_id)}", {"expand": expand})

    def payment_intents(self, **filters: Any) -> AsyncIterator[Row]:
        """GET /v1/payment_intents, newest first; `created={"gte": unix seconds}` narrows it."""
        return self.pages("/v1/payment_intents", filters)

    def refunds(self, **filters: Any) -> AsyncIterator[Row]:
        """GET /v1/refunds, newest first; by `payment_intent`, `charge` or `created`."""
        return self.pages("/v1/refunds", filters)

    def disputes(self, **filters: Any) -> AsyncIterator[Row]:
        """GET /v1/disputes, newest first; by `payment_intent`, `charge` or `created`."""
        return self.pages("/v1/disputes", filters)

    def sessions(self, **filters: Any) -> AsyncIterator[Row]:
        """GET /v1/checkout/sessions, newest first; by `payment_intent` or `payment_link`."""
        return self.pages("/v1/checkout/sessions", filters)

    def invoice_payments(self, *, invoice: str = "", payment_intent: str = "") -> AsyncIterator[Row]:
        """GET /v1/invoice_payments: the links between Stripe's invoices and payments, by one of the two."""
        payment = {"type": "payment_intent", "payment_intent": payment_intent}
        return self.pages("/v1/invoice_payments", {"invoice": invoice} if invoice else {"payment": payment})

    async def get(self, path: str, query: Form | None = None) -> Row:
        """GET one object.

        Raises:
            NotFound: there is none.
        """
        reply = await self._request("GET", _with_query(path, query or {}))
        return self._object(reply, is_read=True)

    async def post(self, path: str, fields: Form, *, idempotency_key: str) -> Row:
        """POST form-encoded `fields`. The same key within 24 hours gives the first answer again.

        Raises:
            Rejected: the request is wrong, or the key was used with other fields (`names("idempotency_error")`).
        """
        reply = await self._request("POST", path, body=fields, headers={"Idempotency-Key": idempotency_key})
        return self._object(reply, is_read=False)

    async def pages(self, path: str, filters: Form) -> AsyncIterator[Row]:
        """All objects of a list, newest first, a hundred at a time."""
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, {**filters, "limit": _PAGE, **cursor})
            rows = page.get("data")
            if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
                what = "a list without `data`"
                raise not_the_api(self._dialect, f"GET {path}", is_read=True, status=httpx.codes.OK, what=what)
            for row in rows:
                yield row
            if not rows or page.get("has_more") is not True:
                return
            cursor = {"starting_after": str(rows[-1].get("id"))}

    def _build(
        self, method: str, path: str, params: Params | None, body: Any, headers: Mapping[str, str] | None
    ) -> httpx.Request:
        sent = dict(headers or {})
        content = None
        if body is not None:
            content = form(body).encode("ascii")
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        return self._http.build_request(method, path, params=params, content=content, headers=sent)

    def _read(self, label: str, response: httpx.Response, *, is_read: bool) -> Reply:
        try:
            return super()._read(label, response, is_read=is_read)
        except RemoteError as failure:
            raise _in_stripes_words(failure, response) from failure

    def _object(self, reply: Reply, *, is_read: bool) -> Row:
        if not isinstance(reply.data, Mapping):
            what = "an answer that is not an object"
            raise not_the_api(self._dialect, reply.request, is_read=is_read, status=reply.status, what=what)
        return reply.data


def form(fields: Form) -> str:
    """Fields in Stripe's bracket notation: `{"metadata": {"a": 1}, "expand": ["b"]}` is metadata[a]=1&expand[]=b.

    Raises:
        TypeError: a float; amounts are integers of the minor unit.
    """
    return urlencode([pair for name, value in fields.items() for pair in _flat(name, value)])


def _with_query(path: str, query: Form) -> str:
    return f"{path}?{form(query)}" if query else path


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, member in value.items():
            yield from _flat(f"{name}[{key}]", member)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for index, member in enumerate(value):
            yield from _flat(f"{name}[{index}]" if isinstance(member, Mapping) else f"{name}[]", member)
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif isinstance(value, str | int | Decimal):
        yield name, str(value)
    else:
        raise TypeError(f"{name}: {type(value).__name__} cannot be sent to Stripe")


def _error(body: Any) -> Mapping[str, Any]:
    error = body.get("error") if isinstance(body, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def _in_stripes_words(failure: RemoteError, response: httpx.Response) -> RemoteError:
    """The failure with what Stripe says of retrying, and with its error code where code decides by it."""
    status = response.status_code
    said = response.headers.get("stripe-should-retry")
    busy = status in {httpx.codes.CONFLICT, httpx.codes.TOO_MANY_REQUESTS} and said != "false"
    if busy or (said == "true" and httpx.codes.is_client_error(status)):
        return Throttled(
            failure.system, failure.request, failure.message, retry_after=_wait(response), status=failure.status
        )
    if not isinstance(failure, Rejected | Throttled):
        return failure
    error = _error(_json(response))
    words = (error.get("type"), error.get("code"), error.get("decline_code"), error.get("param"))
    errors = {str(word): (failure.message,) for word in words if word}
    kind = NotFound if isinstance(failure, NotFound) or "resource_missing" in errors else Rejected
    return kind(failure.system, failure.request, failure.message, status=failure.status, errors=errors)


def _wait(response: httpx.Response) -> float:
    if "retry-after" in response.headers:
        return retry_after(response.headers, datetime.now(UTC))
    is_rate = _error(_json(response)).get("code") in {"rate_limit", None}
    return _RATE_WAIT if is_rate and response.status_code == httpx.codes.TOO_MANY_REQUESTS else _BUSY_WAIT


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
