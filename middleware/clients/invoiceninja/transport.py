"""How Invoice Ninja is spoken to: envelope, pages, filters and echoes (docs/facts/invoice-ninja.md sections 1 to 4)."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx

from handlers.errors import NeedsPerson
from mappings.codes import Code
from middleware.clients.http.client import Params, Record, RemoteClient, Reply, Row
from middleware.clients.http.failures import Dialect, not_the_api

_GUARD_WAIT = 1.3
"""Seconds after which Invoice Ninja's one-second guard against equal requests has surely passed."""

_PAGE = 500
_MISSING = re.compile(r"No query results for model|Record with value .* not found", re.DOTALL)
_WRONG_PATH = "Method not supported for this route"


def _is_missing(status: int, body: Any) -> bool:
    said = _message(body)
    if status == httpx.codes.BAD_REQUEST:
        return _MISSING.match(said) is not None
    return status == httpx.codes.NOT_FOUND and isinstance(body, Mapping) and said != _WRONG_PATH


def _throttled_for(status: int, body: Any) -> float | None:
    is_guard = status == httpx.codes.BAD_REQUEST and _message(body) == "Duplicate request"
    return _GUARD_WAIT if is_guard else None


def _message(body: Any) -> str:
    return str(body.get("message", "")) if isinstance(body, Mapping) else ""


DIALECT = Dialect(
    system="invoiceninja",
    address_setting="INVOICE_NINJA_API",
    credential_setting="INVOICE_NINJA_TOKEN",
    # 401 is its "you may not change this record" (a locked task): only 403 speaks of the token.
    refused=frozenset({httpx.codes.FORBIDDEN}),
    is_missing=_is_missing,
    throttled_for=_throttled_for,
)


class NinjaTransport(RemoteClient):
    """Invoice Ninja's envelope and pages; the endpoints are in the classes derived from it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http, DIALECT)

    async def _get(self, read: Callable[[Row], Record], path: str) -> Record:
        """GET one record."""
        return self._one(read, await self._request("GET", path), is_read=True)

    async def _write(
        self, read: Callable[[Row], Record], method: str, path: str, body: Any, params: Params | None = None
    ) -> Record:
        """POST or PUT one record and return it as the server answers it."""
        return self._one(read, await self._request(method, path, params=params, body=body), is_read=False)

    async def _list(
        self, read: Callable[[Row], Record], path: str, filters: Params, keep: Callable[[Record], bool]
    ) -> AsyncIterator[Record]:
        """All records of a list, page by page; only those that `keep` accepts.

        `keep` must re-check every filter: one that this server does not know is ignored, and the whole list comes back.
        Rows that leave the filter while it is read move later rows forward over the page's edge: a reader that changes
        what it reads must start again until nothing new comes.
        """
        number = 0
        while True:
            number += 1
            records, last_page = await self._page(read, path, filters, number)
            for record in records:
                if keep(record):
                    yield record
            if not records or number >= last_page:
                return

    async def _page(
        self, read: Callable[[Row], Record], path: str, filters: Params, number: int
    ) -> tuple[list[Record], int]:
        """One page of a list, and the number of the last one."""
        params = {**filters, "sort": "id|asc", "per_page": _PAGE, "page": number}
        reply = await self._request("GET", path, params=params)
        rows = self._data(reply, is_read=True)
        return [self._typed(read, row, reply.request, is_read=True) for row in rows], _last_page(reply.data)

    async def _find(
        self, read: Callable[[Row], Record], path: str, filters: Params, keep: Callable[[Record], bool]
    ) -> list[Record]:
        """The records of a narrow filter, all of them."""
        return [record async for record in self._list(read, path, filters, keep)]

    def _check_echo(self, request: str, record_id: str, name: str, *, sent: str, got: str) -> None:
        """See that the record carries what identifies it: of a body that is not understood 200 makes an empty record.

        Raises:
            NeedsPerson: it does not. Trying again would only make more empty records.
        """
        if got != sent:
            raise NeedsPerson(
                Code.ECHO_DIFFERS,
                f"{request} was not understood by Invoice Ninja: record {record_id!r} came back with {name} {got!r}"
                f" instead of {sent!r}",
                "delete that record if it is empty; see whether a proxy before Invoice Ninja drops request bodies",
            )

    def _one(self, read: Callable[[Row], Record], reply: Reply, *, is_read: bool) -> Record:
        return self._typed(read, self._data(reply, is_read=is_read), reply.request, is_read=is_read)

    def _data(self, reply: Reply, *, is_read: bool) -> Any:
        if not isinstance(reply.data, Mapping) or not isinstance(reply.data.get("data"), Mapping | list):
            what = "an answer without `data`"
            raise not_the_api(self._dialect, reply.request, is_read=is_read, status=reply.status, what=what)
        return reply.data["data"]


def _last_page(answer: Row) -> int:
    meta = answer.get("meta")
    pagination = meta.get("pagination") if isinstance(meta, Mapping) else None
    last = pagination.get("total_pages") if isinstance(pagination, Mapping) else None
    return last if isinstance(last, int) else 1
