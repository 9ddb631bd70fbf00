"""How Taiga is spoken to: signed in, page by page (docs/facts/taiga.md section 7)."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx

from handlers.errors import NotFound, Refused
from middleware.clients.http.client import Admit, Params, Record, RemoteClient, Reply, Row
from middleware.clients.http.failures import not_the_api
from middleware.clients.taiga.session import DIALECT, TaigaSession

_PAGE = 200
"""Rows per page; Taiga allows 1000, but a story with its description may have 240 KB."""


class TaigaTransport(RemoteClient):
    """Signs in, and once more when the token has expired; the endpoints are in the classes derived from it."""

    def __init__(self, http: httpx.AsyncClient, session: TaigaSession) -> None:
        super().__init__(http, DIALECT)
        self._session = session

    def through(self, admit: Admit) -> None:
        """From now on every request, the login too, goes through `admit`."""
        super().through(admit)
        self._session.through(admit)

    async def _exchange(self, request: httpx.Request, *, is_read: bool) -> Reply:
        authorization = await self._session.authorization()
        request.headers["Authorization"] = authorization
        try:
            return await super()._exchange(request, is_read=is_read)
        except Refused:
            renewed = await self._session.renew(authorization)
            if renewed is None:
                raise
        # A refused request was not carried out, so sending it again is safe, also for a write.
        request.headers["Authorization"] = renewed
        return await super()._exchange(request, is_read=is_read)

    async def _get(self, read: Callable[[Row], Record], path: str, params: Params | None = None) -> Record:
        """GET one object."""
        reply = await self._request("GET", path, params=params)
        return self._typed(read, reply.data, reply.request, is_read=True)

    async def _write(self, read: Callable[[Row], Record], method: str, path: str, body: Any = None) -> Record:
        """POST or PATCH one object and return it as the server answers it."""
        reply = await self._request(method, path, body=body)
        return self._typed(read, reply.data, reply.request, is_read=False)

    async def _all(self, read: Callable[[Row], Record], path: str, params: Params | None = None) -> list[Record]:
        """GET a short list whole (definitions, hooks: by default Taiga would cut it after 30)."""
        reply = await self._request("GET", path, params=params, headers={"x-disable-pagination": "True"})
        return self._rows(read, reply)

    async def _list(self, read: Callable[[Row], Record], path: str, params: Params) -> AsyncIterator[Record]:
        """All rows of a list, page by page. The reader re-checks the filters: unknown ones are ignored silently.

        Rows that leave the list meanwhile move all later ones forward, past the page that is asked for next: then it is
        gone on with a page before. Each row comes once.
        """
        page, total = 1, 0
        shown, ended_at = set[Any](), set[int]()
        while True:
            reply = await self._page(path, {**params, "page_size": _PAGE, "page": page})
            before, total = total, _count(reply, total)
            missing = before - total
            is_news = reply is None and page not in ended_at
            if page > 1 and (is_news or missing > 0):
                ended_at |= {page} if is_news else set()
                page = max(1, page - 1 - missing // _PAGE)
                continue
            for row, record in self._rows_of(read, reply):
                if row not in shown:
                    shown.add(row)
                    yield record
            if reply is None or "x-pagination-next" not in reply.headers:
                return
            page += 1

    async def _page(self, path: str, params: Params) -> Reply | None:
        """One page; None when the list has become shorter and this page is gone (404)."""
        try:
            return await self._request("GET", path, params=params)
        except NotFound:
            if params["page"] == 1:
                raise
            return None

    def _rows_of(self, read: Callable[[Row], Record], reply: Reply | None) -> Iterator[tuple[Any, Record]]:
        """The rows of a page, each with its id."""
        if reply is not None:
            records = self._rows(read, reply)
            yield from ((row["id"], record) for row, record in zip(reply.data, records, strict=True))

    def _rows(self, read: Callable[[Row], Record], reply: Reply) -> list[Record]:
        if not isinstance(reply.data, list):
            what = "an answer that is not a list"
            raise not_the_api(DIALECT, reply.request, is_read=True, status=reply.status, what=what)
        return [self._typed(read, row, reply.request, is_read=True) for row in reply.data]


def _count(reply: Reply | None, otherwise: int) -> int:
    """How many rows the list has, by the header of a page; where it does not say, what was known before."""
    told = reply.headers.get("x-pagination-count", "") if reply is not None else ""
    return int(told) if told.isascii() and told.isdigit() else otherwise
