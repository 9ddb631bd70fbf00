"""The account itself: who we are, and the company's settings (docs/facts/invoice-ninja.md sections 1, 2 and 13)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import httpx

from mappings.invoiceninja.decode import read_company, read_statics
from mappings.invoiceninja.models import Company, Statics
from middleware.clients.http.client import Record, Row
from middleware.clients.http.ttl_cache import Remembered
from middleware.clients.invoiceninja.transport import NinjaTransport

NotedEntity = Literal["invoices", "payments", "tasks", "clients", "credits"]

_TABLES_FOR = 3600.0
"""Seconds for which Invoice Ninja's own tables are remembered: they change with its versions only."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose token it is."""

    company_name: str
    user_name: str


class CompanyApi(NinjaTransport):
    """Read only: writing company settings back resets the number counters."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http)
        self._tables: Remembered[str, Statics] = Remembered()

    async def ping(self) -> Account:
        """GET /ping: the address and the token are right.

        Raises:
            Refused: the token is not.
        """
        return await self._bare(_read_account, "/ping")

    async def company(self) -> Company:
        """POST /companies/current, which changes nothing."""
        reply = await self._request("POST", "/companies/current", is_read=True)
        return self._one(read_company, reply, is_read=True)

    async def is_admin(self, now: datetime) -> bool:
        """POST /refresh, which changes nothing: whether the token belongs to an administrator of the company.

        Others see only their own records, so that a look-up by number misses what is there (facts section 1). `now`
        keeps the answer short: without it, every record of the company comes along.
        """
        reply = await self._request("POST", "/refresh", params={"updated_at": int(now.timestamp())}, is_read=True)
        rows = self._data(reply, is_read=True)
        users = [self._typed(_is_admin, row, reply.request, is_read=True) for row in rows]
        return any(users)

    async def statics(self) -> Statics:
        """GET /statics: currencies and time zones, remembered for an hour."""
        known = self._tables.get("")
        return known or self._tables.put("", await self._bare(read_statics, "/statics"), _TABLES_FOR)

    async def add_note(self, entity: NotedEntity, record_id: str, text: str) -> None:
        """POST /activities/notes: a note in the record's history. Not idempotent."""
        body = {"entity": entity, "entity_id": record_id, "notes": text}
        await self._request("POST", "/activities/notes", body=body)

    async def _bare(self, read: Callable[[Row], Record], path: str) -> Record:
        """GET one of the few answers that come without the envelope `data`."""
        reply = await self._request("GET", path)
        return self._typed(read, reply.data, reply.request, is_read=True)


def _is_admin(row: Row) -> bool:
    return row["is_admin"] is True or row["is_owner"] is True


def _read_account(row: Row) -> Account:
    return Account(company_name=row["company_name"], user_name=row["user_name"])
