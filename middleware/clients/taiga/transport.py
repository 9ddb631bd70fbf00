"""How Taiga is spoken to: signed in, page by page (facts/taiga.md section 7)."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx

from handlers.errors import NotFound, Refused
from middleware.clients.failures import not_the_api
from middleware.clients.http import Params, RemoteClient, Reply
from middleware.clients.taiga.session import DIALECT, TaigaSession

_PAGE = 200
"""Rows per page; Taiga allows 1000, but a story with its description may have 240 KB."""

Row = Mapping[str, Any]


class TaigaTransport(RemoteClient):
    """Signs in, and once more when the token has expired; the endpoints are in the classes derived from it."""

    def __init__(self, http: httpx.AsyncClient, session: TaigaSession) -> None:
        super().__init__(http, DIALECT)
        self._session = session

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

    async def _read_one(self, path: str, params: Params | None = None) -> Row:
        """GET one object."""
        return self._object(await self._request("GET", path, params=params), is_read=True)

    async def _write_one(self, method: str, path: str, body: Any = None) -> Row:
        """POST or PATCH one object and return it as the server answers it."""
        return self._object(await self._request(method, path, body=body), is_read=False)

    async def _read_all(self, path: str, params: Params | None = None) -> list[Row]:
        """GET a short list whole (definitions, hooks: by default Taiga would cut it after 30)."""
        reply = await self._request("GET", path, params=params, headers={"x-disable-pagination": "True"})
        return self._list(reply)

    async def _rows(self, path: str, params: Params, keep: Callable[[Row], bool]) -> AsyncIterator[Row]:
        """All rows of a list, page by page; `keep` re-checks the filters: unknown ones are ignored silently."""
        page = 1
        while True:
            reply = await self._page(path, {**params, "page_size": _PAGE, "page": page})
            for row in self._list(reply) if reply else []:
                if keep(row):
                    yield row
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

    def _object(self, reply: Reply, *, is_read: bool) -> Row:
        if not isinstance(reply.data, Mapping):
            raise not_the_api(
                DIALECT, reply.request, is_read=is_read, status=reply.status, what="an answer that is no object"
            )
        return reply.data

    def _list(self, reply: Reply) -> list[Row]:
        if not isinstance(reply.data, list) or not all(isinstance(row, Mapping) for row in reply.data):
            raise not_the_api(
                DIALECT, reply.request, is_read=True, status=reply.status, what="an answer that is no list of objects"
            )
        return reply.data
