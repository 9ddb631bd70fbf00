"""A visitor of the dashboard without a browser: signs in, follows forms as they stand on the pages."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path

import httpx

from middleware.app import create_app
from middleware.settings import Settings
from tests.support.dashboard.seed import MAPPING, PASSWORD

LOCAL = "http://localhost:8000"


class Visitor:
    """One person with one browser's cookies."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, status: int = 200) -> str:
        """The page, which must answer so."""
        response = await self.http.get(path)
        assert response.status_code == status, f"{path}: {response.status_code} {response.text[:500]}"
        return response.text

    async def token(self, path: str) -> str:
        """The token that the forms of a page carry."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', await self.get(path))
        assert found, f"{path} has no form"
        return unescape(found[1])

    async def sign_in(self, name: str, password: str = PASSWORD, then: str = "") -> httpx.Response:
        """Fill in the form and send it."""
        token = await self.token("/sign-in")
        return await self.http.post(
            "/sign-in", data={"csrf_token": token, "name": name, "password": password, "then": then}
        )

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form with the token of the session."""
        return await self.http.post(path, data={"csrf_token": await self.token("/"), **fields})


def dashboard_settings(url: str, redis_url: str, folder: Path, **more: object) -> Settings:
    """Settings of a receiver with the mapping of the seeded month in this folder; `more` replaces or adds some."""
    mappings = folder / "mappings.json"
    mappings.write_text(json.dumps(MAPPING), encoding="utf-8")
    values: Mapping[str, object] = {
        "taiga_webhook_secrets": ("secret",),
        "database_url": url,
        "redis_url": redis_url,
        "mappings_file": mappings,
        "invoice_ninja_api": "https://ninja.example/api/v1",
        **more,
    }
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]  # pydantic checks them


@asynccontextmanager
async def dashboard(url: str, redis_url: str, folder: Path, **more: object) -> AsyncIterator[httpx.ASGITransport]:
    """The receiver with its dashboard, as httpx reaches it without a socket."""
    app = create_app(dashboard_settings(url, redis_url, folder, **more))
    async with app.router.lifespan_context(app):
        yield httpx.ASGITransport(app, client=("192.0.2.7", 4711))


@asynccontextmanager
async def visitor(transport: httpx.ASGITransport, base: str = LOCAL) -> AsyncIterator[Visitor]:
    """Somebody with an empty jar of cookies."""
    async with httpx.AsyncClient(transport=transport, base_url=base) as http:
        yield Visitor(http)
