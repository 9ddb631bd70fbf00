"""A real browser on a real receiver; skipped, with the reason, where there is no Chromium.

`CHROMIUM` names the program when it is not on the path.
"""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from middleware.app import create_app
from middleware.store.database import open_pool
from middleware.web.server import web_server
from tests.support.dashboard.seed import PASSWORD, seed
from tests.support.dashboard.visitor import dashboard_settings
from tests.support.databases import copied_database, name_of

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DESKTOP, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=800)


@dataclass
class Seat:
    """A page of the browser, and everything that went wrong there."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note console errors, failures of scripts, and requests to other hosts."""
        self.page.on("console", lambda said: self._note(said.text) if said.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.page.on("request", lambda request: None if request.url.startswith(self.base) else self._note(request.url))

    def _note(self, complaint: str) -> None:
        self.complaints.append(f"{self.page.url}: {complaint}")

    async def sign_in(self, name: str) -> None:
        """Sign in as a person does."""
        await self.page.goto(f"{self.base}/sign-in")
        await self.page.get_by_label("Name").fill(name)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.get_by_role("heading", level=1, name="Overview").wait_for()

    async def open(self, path: str) -> None:
        """Go to a page, which must answer."""
        response = await self.page.goto(f"{self.base}{path}")
        assert response is not None
        assert response.ok, f"{path}: {response.status}"


OpenSeat = Callable[..., AbstractAsyncContextManager[Seat]]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, or whichever is installed."""
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("there is no Chromium: apt-get install chromium, or name one with CHROMIUM=")
    # A shared machine is slow now and then; what is right is seen at once all the same.
    expect.set_options(timeout=30_000)
    async with async_playwright() as playwright:
        # As root, in containers, Chromium has no sandbox of its own; it only sees pages of this machine.
        found = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield found
        await found.close()


@pytest.fixture(scope="session")
async def seeded_template(postgres_server_url: str, migrated_template: str) -> AsyncIterator[str]:
    """Name of a database with a seeded month; it is only copied."""
    async with copied_database(postgres_server_url, migrated_template) as url:
        async with open_pool(url, size=1) as pool:
            await seed(pool)
        yield name_of(url)


@pytest.fixture
async def seeded_url(browser: Browser, postgres_server_url: str, seeded_template: str) -> AsyncIterator[str]:
    """Address of a seeded database for one test."""
    async with copied_database(postgres_server_url, seeded_template) as url:
        yield url


@pytest.fixture
async def receiver(seeded_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """Address of a receiver with the seeded month."""
    port = _free_port()
    server = web_server(create_app(dashboard_settings(seeded_url, redis_url, tmp_path)), "127.0.0.1", port)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@pytest.fixture
def open_seat(browser: Browser) -> OpenSeat:
    """Opens a fresh window on a receiver; in the end nothing may have been complained about."""

    @asynccontextmanager
    async def opened(base: str, viewport: ViewportSize = DESKTOP, **options: object) -> AsyncIterator[Seat]:
        context = await browser.new_context(
            viewport=viewport,
            timezone_id="Europe/Brussels",
            locale="en-GB",
            **options,  # type: ignore[arg-type]  # options of Playwright by their names
        )
        try:
            seat = Seat(await context.new_page(), base)
            seat.watch()
            yield seat
            assert seat.complaints == []
        finally:
            await context.close()

    return opened


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
