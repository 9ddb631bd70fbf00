"""People at the dashboard, in a real browser."""

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Page, expect

from middleware.store.database import open_pool
from tests.browser.conftest import DESKTOP, PHONE, OpenSeat
from tests.support.dashboard.seed import PLAN, UNMATCHED

PAGES = {
    "overview": "/",
    "events": "/events",
    "event": "/events/280",
    "replay": "/events/replay?status=dead",
    "discard": "/events/discard?event=280",
    "subject": "/events?subject=taiga:task:50",
    "time": "/time",
    "unrecorded": "/time/unrecorded",
    "invoices": "/invoices",
    "invoice": "/invoices/inv2",
    "plan": f"/invoices/plans/{PLAN}",
    "payments": "/payments",
    "payment": f"/payments/{UNMATCHED}",
    "reviews": "/reviews",
    "mapping": "/mapping",
    "rejections": "/rejections",
    "rejection": "/rejections/2",
    "audit": "/audit",
}
AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
EMPTY_PICTURE = 5_000
SERIOUS = ("serious", "critical")


async def status_of(url: str, event_id: int) -> str:
    """The status of an event in the store."""
    async with open_pool(url, size=1) as pool:
        return str(await pool.fetchval("SELECT status FROM events WHERE id = $1", event_id))


async def test_a_dead_event_is_found_and_replayed(open_seat: OpenSeat, receiver: str, seeded_url: str) -> None:
    """From the overview to the dead events, into one, past the look at the effect, and back with a notice."""
    async with open_seat(receiver) as seat:
        page = seat.page
        await seat.sign_in("ada")
        await page.get_by_role("link", name="Stuck tasks and payments").click()
        await expect(page.get_by_text("about two")).to_be_visible()
        await page.get_by_role("link", name="#280").click()
        await expect(page.get_by_text("write hours such as 1.5")).to_be_visible()
        await page.get_by_role("link", name="Replay …").click()
        await expect(page.get_by_role("heading", name="This would touch 1 event")).to_be_visible()
        await page.get_by_role("button", name="Replay it").click()
        await expect(page.get_by_role("status")).to_have_text("Done: 1 queued again.")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("received")
    assert await status_of(seeded_url, 280) == "received"


async def test_all_that_match_are_discarded(open_seat: OpenSeat, receiver: str, seeded_url: str) -> None:
    """Filter, look at what would be touched, say why; the browser itself asks for the reason."""
    async with open_seat(receiver) as seat:
        page = seat.page
        await seat.sign_in("ada")
        await page.get_by_role("link", name="Events", exact=True).click()
        await page.get_by_label("Status").select_option("dead")
        await page.get_by_label("Text").fill("mapping")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name="discard …").click()
        await page.get_by_role("button", name="Discard").click()
        assert await page.get_by_label("Why?").evaluate("field => field.validity.valueMissing")
        await page.get_by_label("Why?").fill("not ours")
        await page.get_by_role("button", name="Discard").click()
        await expect(page.get_by_role("status")).to_contain_text("discarded")
    assert await status_of(seeded_url, 282) == "discarded"
    assert await status_of(seeded_url, 280) == "dead"


async def test_a_payment_is_matched(open_seat: OpenSeat, receiver: str, seeded_url: str) -> None:
    """The candidates stand beside the payment; the decision becomes an event."""
    async with open_seat(receiver) as seat:
        page = seat.page
        await seat.sign_in("ada")
        await page.get_by_role("link", name="A payment names no invoice").click()
        await page.get_by_label("2026-011").check()
        await page.get_by_role("button", name="Match").click()
        await page.get_by_role("button", name="Yes, match it").click()
        await expect(page.get_by_role("status")).to_contain_text("a worker carries it out")
    async with open_pool(seeded_url, size=1) as pool:
        assert await pool.fetchval("SELECT type FROM events WHERE source = 'operator'") == "payment.match"


async def test_a_plan_is_approved_and_followed(open_seat: OpenSeat, receiver: str, seeded_url: str) -> None:
    """The page refreshes itself while the invoices are made, and shows the end without a reload."""
    async with open_seat(receiver) as seat:
        page = seat.page
        await seat.sign_in("ada")
        await page.get_by_role("link", name="An invoice plan waits for approval").click()
        await page.get_by_role("link", name="2026-10").click()
        await page.get_by_role("button", name="Approve and make").click()
        await expect(page.get_by_text("0 of 2 invoices are made.")).to_be_visible()
        async with open_pool(seeded_url, size=1) as pool:
            await make_invoices(pool)
        await expect(page.get_by_role("link", name="2026-201")).to_have_count(2)


async def make_invoices(pool: asyncpg.Pool) -> None:
    """What a worker would do."""
    await pool.execute("UPDATE planned_invoices SET invoice_id = 'inv0', invoice_number = '2026-201'")
    await pool.execute("UPDATE events SET status = 'processed', finished_at = now() WHERE type = 'invoice.due'")


async def test_times_come_in_the_zone_of_the_browser(open_seat: OpenSeat, receiver: str) -> None:
    """The little script tells the zone; from then on times are local."""
    async with open_seat(receiver) as seat:
        await seat.sign_in("vic")
        await seat.open("/events")
        title = await seat.page.locator("main time").first.get_attribute("title")
        assert title is not None
        assert title.endswith(("CET", "CEST"))


async def test_without_script(open_seat: OpenSeat, receiver: str) -> None:
    """Everything works without script; times are in UTC then."""
    async with open_seat(receiver, java_script_enabled=False) as seat:
        await seat.sign_in("ada")
        await seat.open("/events/replay?event=280")
        await seat.page.get_by_role("button", name="Replay it").click()
        await expect(seat.page.get_by_role("status")).to_contain_text("queued again")


async def test_an_address_is_copied(open_seat: OpenSeat, receiver: str) -> None:
    """The button beside a field puts its text into the clipboard."""
    async with open_seat(receiver, permissions=["clipboard-read", "clipboard-write"]) as seat:
        await seat.sign_in("vic")
        await seat.open("/rejections/2")
        await seat.page.get_by_role("button", name="Copy").click()
        await expect(seat.page.get_by_role("button", name="Copied")).to_be_visible()
        assert str(await seat.page.evaluate("navigator.clipboard.readText()")).startswith("taiga-billing verify")


async def test_by_keyboard_alone(open_seat: OpenSeat, receiver: str) -> None:
    """The first stop skips to the content; every stop is visible; links work with Enter."""
    async with open_seat(receiver) as seat:
        page = seat.page
        await seat.sign_in("vic")
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await seat.open("/")
        for _ in range(12):
            await page.keyboard.press("Tab")
            assert await focus_is_visible(page), await page.evaluate("document.activeElement.outerHTML")
        link = page.get_by_role("link", name="Audit")
        await link.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1, name="Audit")).to_be_visible()


async def focus_is_visible(page: Page) -> bool:
    """Whether the focused element has an outline; the page itself needs none."""
    return bool(
        await page.evaluate(
            "(now => now === document.body || getComputedStyle(now).outlineStyle !== 'none')(document.activeElement)"
        )
    )


async def test_nothing_is_cut_off_on_a_phone(open_seat: OpenSeat, receiver: str) -> None:
    """No page is wider than the phone, and what is tapped is large enough."""
    async with open_seat(receiver, PHONE) as seat:
        await seat.sign_in("ada")
        for path in PAGES.values():
            await seat.open(path)
            width = await seat.page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], path
            heights = await seat.page.locator("main button, main .button").evaluate_all(
                "found => found.map(one => one.getBoundingClientRect().height).filter(height => height > 0)"
            )
            assert all(height >= 40 for height in heights), (path, heights)


DARK_PAGES = ("overview", "events", "event", "discard", "plan", "payments", "mapping", "rejection")


@pytest.mark.skipif(not AXE.exists(), reason="there is no axe-core: npm install --no-save axe-core, or set AXE_CORE=")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_serious_accessibility_problem(open_seat: OpenSeat, receiver: str, scheme: str) -> None:
    """axe-core finds nothing serious on any page, light or dark, nor on the form and the page of failures."""
    script = await asyncio.to_thread(AXE.read_text, "utf-8")
    async with open_seat(receiver, color_scheme=scheme) as seat:
        found = await problems(seat.page, script, f"{receiver}/sign-in")
        await seat.sign_in("ada")
        for path in [path for title, path in PAGES.items() if scheme == "light" or title in DARK_PAGES]:
            found += await problems(seat.page, script, f"{receiver}{path}")
        found += await problems(seat.page, script, f"{receiver}/invoices/nope")
        seat.complaints.clear()
    assert found == []


async def problems(page: Page, script: str, address: str) -> list[str]:
    """What axe-core says of a page."""
    await page.goto(address)
    await page.evaluate(script)
    told = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{address}: {one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}"
        for one in told["violations"]
        if one["impact"] in SERIOUS
    ]


@pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="no folder for pictures is named: SCREENSHOTS=folder")
async def test_pictures_of_every_page(open_seat: OpenSeat, receiver: str) -> None:
    """Every page is drawn light, dark and on a phone; nothing is complained about."""
    folder, drawn = Path(os.environ["SCREENSHOTS"]), 0
    for name, viewport, scheme in (("light", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("phone", PHONE, "light")):
        async with open_seat(receiver, viewport, color_scheme=scheme) as seat:
            await seat.sign_in("ada")
            for title, path in PAGES.items():
                await seat.open(path)
                picture = await seat.page.screenshot(path=folder / f"{title}-{name}.png", full_page=True)
                drawn += len(picture) > EMPTY_PICTURE
    assert drawn == 3 * len(PAGES)
