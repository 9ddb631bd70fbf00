"""Invoice Ninja's clients and projects (docs/facts/invoice-ninja.md section 5)."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from handlers.errors import NotFound
from mappings.invoiceninja.decode import read_client, read_project
from mappings.invoiceninja.models import NinjaClient, Project
from middleware.clients.http.address import segment
from middleware.clients.http.ttl_cache import Remembered
from middleware.clients.invoiceninja.transport import NinjaTransport

_FOUND_FOR = 600.0
"""Seconds for which a client that was found is remembered."""

_NOT_FOUND_FOR = 20.0
"""Seconds for which a client that was not found is: long enough for a burst, short enough for who just made it."""

_HASH_ID = re.compile(r"[A-Za-z0-9]{10,}")


@dataclass(frozen=True, slots=True)
class ClientMatch:
    """What a reference typed by a person means: a client id, or "" and why there is none."""

    client_id: str
    reason: str = ""


class ClientsApi(NinjaTransport):
    """Clients and projects; read only: a PUT without all settings resets them."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http)
        self._matches: Remembered[str, ClientMatch] = Remembered()

    async def find_client(self, reference: str) -> str | None:
        """The client id for an id, a client number or an id number; None when `match_client` finds none."""
        return (await self.match_client(reference)).client_id or None

    async def match_client(self, reference: str) -> ClientMatch:
        """The client for an id, a client number or an id number, with the reason when there is no single live one.

        Remembered for ten minutes, a miss for twenty seconds.
        """
        wanted = reference.strip()
        known = self._matches.get(wanted)
        if known is not None:
            return known
        match = await self._match(wanted)
        return self._matches.put(wanted, match, _FOUND_FOR if match.client_id else _NOT_FOUND_FOR)

    def forget_clients(self) -> None:
        """Ask anew from now on: a client that was found has turned out to be gone."""
        self._matches.forget_all()

    async def client(self, client_id: str) -> NinjaClient:
        """GET /clients/{id}, deleted ones included.

        Raises:
            NotFound: there is none.
        """
        return await self._get(read_client, f"/clients/{segment(client_id)}")

    async def clients(self) -> AsyncIterator[NinjaClient]:
        """All clients that are not deleted, by id."""
        filters = {"status": "active,archived"}
        async for client in self._list(read_client, "/clients", filters, lambda client: not client.is_deleted):
            yield client

    async def project(self, project_id: str) -> Project:
        """GET /projects/{id}, deleted ones included.

        Raises:
            NotFound: there is none.
        """
        return await self._get(read_project, f"/projects/{segment(project_id)}")

    async def projects(self, *, client_id: str = "") -> AsyncIterator[Project]:
        """All projects that are not deleted, by id; of a client when given."""
        filters = {"status": "active,archived"} | ({"client_id": client_id} if client_id else {})
        async for project in self._list(read_project, "/projects", filters, lambda project: not project.is_deleted):
            if client_id in {"", project.client_id}:
                yield project

    async def _match(self, wanted: str) -> ClientMatch:
        if not wanted:
            return ClientMatch("", "no client is named")
        by_id = await self._client_or_none(wanted) if _HASH_ID.fullmatch(wanted) else None
        candidates = [by_id] if by_id else await self._clients_numbered(wanted)
        live = [client for client in candidates if not client.is_deleted]
        if len(live) == 1:
            return ClientMatch(live[0].id)
        if live:
            return ClientMatch("", f"{wanted!r} means {len(live)} clients: {', '.join(c.id for c in live)}")
        if candidates:
            return ClientMatch("", f"client {wanted!r} is deleted in Invoice Ninja")
        return ClientMatch("", f"no client of Invoice Ninja has the id, number or id number {wanted!r}")

    async def _client_or_none(self, client_id: str) -> NinjaClient | None:
        try:
            return await self.client(client_id)
        except NotFound:
            return None

    async def _clients_numbered(self, wanted: str) -> list[NinjaClient]:
        """Clients whose number or id number is this; the server compares without case, and so do we."""
        same = wanted.casefold()
        numbered = await self._find(
            read_client, "/clients", {"number": wanted}, lambda client: client.number.strip().casefold() == same
        )
        identified = await self._find(
            read_client, "/clients", {"id_number": wanted}, lambda client: client.id_number.strip().casefold() == same
        )
        return list({client.id: client for client in numbered + identified}.values())
