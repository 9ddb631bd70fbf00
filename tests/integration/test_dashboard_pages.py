"""Every page over a seeded month, and what people do there."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from middleware.alerts.messages import message_of
from middleware.alerts.models import KINDS
from middleware.dashboard.render import STATIC_FILES, static_content
from middleware.store.database import StoreUnavailableError, open_pool
from middleware.store.operations.alerts import Batch, KnownCondition
from tests.support.dashboard.seed import PLAN, UNMATCHED, seed
from tests.support.dashboard.visitor import LOCAL, Visitor, dashboard, visitor
from tests.support.databases import copied_database, name_of

PAGES = (
    "/",
    "/events",
    "/events?status=dead&source=taiga&type=task.change&since=2026-01-01&until=2099-01-01&text=hours",
    "/events?subject=taiga:task:50",
    "/events?text=nothing+has+this",
    "/events/1",
    "/time",
    "/time?month=2020-01",
    "/time?client=VolejRejNm&person=mira&project=1",
    "/time/unrecorded",
    "/invoices",
    "/invoices?state=overdue",
    "/invoices/inv2",
    f"/invoices/plans/{PLAN}",
    "/payments",
    "/payments?status=refunded",
    f"/payments/{UNMATCHED}",
    "/reviews",
    "/reviews?kind=credit_proposal",
    "/mapping",
    "/rejections",
    "/rejections?source=taiga&reason=wrong_signature&address=192.0.2.44",
    "/rejections/1",
    "/audit",
    "/audit?actor=ada&action=session.begun",
)
KIBIBYTE = 1024


@pytest.fixture(scope="module")
async def seeded_template(postgres_server_url: str, migrated_template: str) -> AsyncIterator[str]:
    """Name of a database with a seeded month; it is only copied."""
    async with copied_database(postgres_server_url, migrated_template) as url:
        async with open_pool(url, size=1) as opened:
            await seed(opened)
        yield name_of(url)


@pytest.fixture
async def seeded_database(postgres_server_url: str, seeded_template: str) -> AsyncIterator[str]:
    """Address of a seeded database for one test."""
    async with copied_database(postgres_server_url, seeded_template) as url:
        yield url


@pytest.fixture
async def pool(seeded_database: str) -> AsyncIterator[asyncpg.Pool]:
    """A way into the seeded database."""
    async with open_pool(seeded_database, size=2) as opened:
        yield opened


@pytest.fixture
async def site(seeded_database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[httpx.ASGITransport]:
    """The receiver with its dashboard."""
    async with dashboard(seeded_database, redis_url, tmp_path) as transport:
        yield transport


@pytest.fixture
async def ada(site: httpx.ASGITransport) -> AsyncIterator[Visitor]:
    """An administrator who signed in."""
    async with visitor(site) as person:
        await person.sign_in("ada")
        yield person


@pytest.fixture
async def vic(site: httpx.ASGITransport) -> AsyncIterator[Visitor]:
    """A viewer who signed in."""
    async with visitor(site) as person:
        await person.sign_in("vic")
        yield person


async def dead_ids(pool: asyncpg.Pool) -> list[int]:
    """The dead events."""
    return [row["id"] for row in await pool.fetch("SELECT id FROM events WHERE status = 'dead' ORDER BY id")]


async def test_every_page_opens_for_a_viewer(vic: Visitor) -> None:
    """All pages answer, also with every filter; each has one heading, and marks where the person is."""
    for path in PAGES:
        page = await vic.get(path)
        assert page.count("<h1") == 1, path
        assert "aria-current" in page or path.startswith("/reviews"), path
        assert "Sign out" in page


async def test_every_page_opens_for_an_admin(ada: Visitor) -> None:
    """And with the forms of an admin."""
    for path in (
        *PAGES,
        "/events/replay?status=dead",
        "/events/discard?status=dead",
        "/events/replay?text=nothing+has",
    ):
        await ada.get(path)


async def test_every_page_opens_on_an_empty_store(pool: asyncpg.Pool, vic: Visitor) -> None:
    """A new installation has no rows and no error."""
    await pool.execute(
        "TRUNCATE events, attempts, links, reviews, remotes, recorded_time, payments, invoice_plans,"
        " planned_invoices, book_invoices, book_clients, event_days, rejections, key_uses"
    )
    for path in PAGES:
        if path not in {
            "/events/1",
            "/rejections/1",
            "/invoices/inv2",
            f"/invoices/plans/{PLAN}",
            f"/payments/{UNMATCHED}",
        }:
            await vic.get(path)


async def test_what_is_not_there_is_said(ada: Visitor) -> None:
    """A page says that there is nothing, with the status for it."""
    for path in (
        "/events/999999",
        f"/events/{2**70}",
        f"/rejections/{2**70}",
        "/rejections/99",
        "/invoices/no",
        "/invoices/plans/no",
        "/payments/no",
        "/x",
    ):
        assert "did not work" in await ada.get(path, status=404)


async def test_what_no_text_can_hold_is_refused(ada: Visitor) -> None:
    """NUL characters in addresses are refused before anybody looks for them."""
    for path in ("/events?subject=a%00b", "/audit?actor=%00", "/invoices/a%00b", "/payments?after=%00"):
        assert "did not work" in await ada.get(path, status=400)


async def test_overview_tells_what_waits(ada: Visitor) -> None:
    """Dead events, reviews, money and hours stand on the first page."""
    page = await ada.get("/")
    for text in (
        "6 things wait",
        "Stuck tasks and payments",
        "A payment names no invoice",
        "€",
        "Globex Ltd",
        "invoice run for",
    ):
        assert text in page, text


async def test_event_tells_its_story(ada: Visitor, pool: asyncpg.Pool) -> None:
    """One event shows reason, hint, attempts with calls, payload and where it came from."""
    (first, *_) = await dead_ids(pool)
    page = await ada.get(f"/events/{first}")
    for text in ("about two", "1h30", "POST /api/v1/tasks", "112 ms", "custom_attributes_values", "Open in Taiga"):
        assert text in page, text


async def test_events_by_outcome_code(ada: Visitor, pool: asyncpg.Pool) -> None:
    """The address of the list may name a code: only the events that ended with it are shown, marked with it."""
    one = await pool.fetchval("UPDATE events SET outcome_code = 'no_rate' WHERE id = 1 RETURNING id")
    page = await ada.get("/events?code=no_rate")
    assert f'href="/events/{one}"' in page
    assert page.count('data-code="no_rate"') == page.count('<th scope="row"') == 1


async def test_event_of_a_payment_shows_the_payment(ada: Visitor, pool: asyncpg.Pool) -> None:
    """A payment that is recorded is what its events made; one that is not known made nothing."""
    event = (
        "INSERT INTO events (source, type, key, subject, occurred_at, body, status) VALUES"
        " ('stripe', 'charge.updated', 'of ' || $1, 'stripe:payment:' || $1, now(), '{}', 'processed') RETURNING id"
    )
    identity = await pool.fetchval(
        "UPDATE payments SET payment_id = 'p1' WHERE identity = 'pi_3SeedPayment0001' RETURNING identity"
    )
    page = await ada.get(f"/events/{await pool.fetchval(event, identity)}")
    assert f'href="/payments/{identity}"' in page
    assert "Nothing for this subject." not in page
    assert "Nothing for this subject." in await ada.get(f"/events/{await pool.fetchval(event, 'pi_unknown')}")


async def test_payloads_are_shown_and_never_run(ada: Visitor, pool: asyncpg.Pool) -> None:
    """Markup in payloads, reasons and subjects is text on the page; a permalink that is no address is no link."""
    evil = '{"data": {"subject": "<script>alert(1)</script>", "permalink": "javascript:alert(1)"}}'
    event_id = await pool.fetchval(
        "INSERT INTO events (source, type, key, subject, occurred_at, body, status, reason) VALUES ('taiga',"
        " 'task.change', 'evil', 'taiga:task:<b>', now(), $1, 'dead', '<img src=x onerror=alert(1)>') RETURNING id",
        evil.encode(),
    )
    for path in (f"/events/{event_id}", "/events?status=dead", "/", "/events?text=%3Cscript%3Ealert(1)"):
        page = await ada.get(path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert 'href="javascript' not in page


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff\xfe", b"[" * 3000])
async def test_any_body_is_shown(ada: Visitor, pool: asyncpg.Pool, body: bytes) -> None:
    """Bodies that were cleared away or are no JSON do not break the page."""
    event_id = await pool.fetchval(
        "INSERT INTO events (source, type, key, subject, occurred_at, body, status) VALUES ('taiga', 'task.change',"
        " 'odd', 'taiga:task:5', now(), $1, 'ignored') RETURNING id",
        body,
    )
    await ada.get(f"/events/{event_id}")


async def test_replaying_one(ada: Visitor, pool: asyncpg.Pool) -> None:
    """After a look at the effect the event is due again; audit and timeline say who did it."""
    (first, *_) = await dead_ids(pool)
    assert "This would touch 1 event" in await ada.get(f"/events/replay?event={first}")
    response = await ada.send("/events/replay", event=str(first))
    assert response.headers["location"] == f"/events/{first}?said=replayed-1"
    assert await pool.fetchval("SELECT status FROM events WHERE id = $1", first) == "received"
    assert "put event" in await ada.get(f"/events/{first}")
    assert f"put event {first} back to work" in await ada.get("/audit?action=event.replayed")


async def test_discarding_all_that_match_touches_only_what_was_shown(ada: Visitor, pool: asyncpg.Pool) -> None:
    """Events that arrive between the look and the deed are left alone; the reason is kept."""
    before = await dead_ids(pool)
    page = await ada.get("/events/discard?status=dead")
    assert "This would touch 3 events" in page
    await pool.execute(
        "INSERT INTO events (source, type, key, subject, occurred_at, body, status) VALUES ('taiga', 'task.change',"
        " 'late', 'taiga:task:900', now(), '{}', 'dead')"
    )
    marks = {"up_to": str(before[-1]), "down_to": str(before[0])}
    response = await ada.send("/events/discard", status="dead", why="tests of the client", **marks)
    assert response.headers["location"] == "/events?status=dead&said=discarded-3"
    assert "Done: 3 discarded." in await ada.get("/events?status=dead&said=discarded-3")
    assert len(await dead_ids(pool)) == 1
    reasons = await pool.fetch("SELECT DISTINCT reason FROM events WHERE status = 'discarded'")
    assert [row["reason"] for row in reasons] == ["tests of the client"]


async def test_viewers_may_not_act(vic: Visitor, pool: asyncpg.Pool) -> None:
    """Every action answers 403 for a viewer and does nothing."""
    (first, *_) = await dead_ids(pool)
    for path, fields in (
        ("/events/replay", {"event": str(first)}),
        ("/events/discard", {"event": str(first), "why": "x"}),
        ("/payments/decide", {"payment": UNMATCHED, "action": "ignore", "why": "x"}),
        (f"/invoices/plans/{PLAN}/apply", {}),
        ("/reviews/close", {"subject": "taiga:task:12", "kind": "credit_proposal", "why": "x"}),
    ):
        assert (await vic.send(path, **fields)).status_code == 403, path
    await vic.get("/events/replay?status=dead", status=403)
    assert len(await dead_ids(pool)) == 3


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_actions_need_the_token_of_the_session(ada: Visitor, pool: asyncpg.Pool, token: str) -> None:
    """A form without it does nothing, whoever is signed in."""
    (first, *_) = await dead_ids(pool)
    response = await ada.http.post("/events/replay", data={"csrf_token": token, "event": str(first)})
    assert response.status_code == 403
    assert len(await dead_ids(pool)) == 3


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/events/discard", {"event": "1"}),
        ("/events/replay", {}),
        ("/payments/decide", {"payment": UNMATCHED, "action": "match"}),
        ("/payments/decide", {"payment": UNMATCHED, "action": "ignore"}),
        ("/payments/decide", {"payment": UNMATCHED, "action": "burn"}),
        ("/reviews/close", {"subject": "taiga:task:12", "kind": "credit_proposal"}),
        (f"/invoices/plans/{PLAN}/apply", {"send": "perhaps"}),
    ],
)
async def test_half_filled_forms_say_what_is_missing(ada: Visitor, path: str, fields: dict[str, str]) -> None:
    """Nothing is done, and the person is told."""
    assert (await ada.send(path, **fields)).status_code == 422


async def test_forms_are_bounded(ada: Visitor) -> None:
    """A form that is too large is refused before it is read."""
    response = await ada.http.post("/events/replay", data={"csrf_token": "x" * 70_000})
    assert response.status_code == 413


async def test_matching_a_payment(ada: Visitor, pool: asyncpg.Pool) -> None:
    """Asked once more, the decision becomes an event of the payment's subject, due at once, with its author."""
    asked = await ada.send("/payments/decide", payment=UNMATCHED, action="match", invoice="inv1", other="")
    assert (asked.status_code, "Match this payment?" in asked.text) == (200, True)
    assert "the result cannot be shown first" in asked.text
    assert await pool.fetchval("SELECT count(*) FROM events WHERE source = 'operator'") == 0
    response = await ada.send("/payments/decide", payment=UNMATCHED, action="match", invoice="inv1", sure="yes")
    assert response.headers["location"] == f"/payments/{UNMATCHED}?said=decided-1"
    row = await pool.fetchrow("SELECT type, subject, status, body FROM events WHERE source = 'operator'")
    assert row is not None
    assert (row["type"], row["subject"], row["status"]) == ("payment.match", f"stripe:payment:{UNMATCHED}", "received")
    assert b'"by": "ada"' in row["body"]
    assert b'"invoice": "inv1"' in row["body"]
    assert "payment.match" in await ada.get("/audit?action=payment.match")


async def test_approving_a_plan(ada: Visitor, pool: asyncpg.Pool) -> None:
    """One order for each client that waits; the review is closed, the page follows, a second approval finds nothing."""
    response = await ada.send(f"/invoices/plans/{PLAN}/apply", send="no")
    assert response.headers["location"] == f"/invoices/plans/{PLAN}?said=applied-2"
    rows = await pool.fetch("SELECT subject, body FROM events WHERE type = 'invoice.due' ORDER BY subject")
    assert [row["subject"] for row in rows] == ["invoice:Opnel5aKBz", "invoice:VolejRejNm"]
    assert all(b'"is_strict":true' in row["body"] and b'"send":false' in row["body"] for row in rows)
    assert await pool.fetchval("SELECT count(*) FROM reviews WHERE kind = 'invoice_plan' AND closed_at IS NULL") == 0
    assert "data-live" in await ada.get(f"/invoices/plans/{PLAN}")
    assert (await ada.send(f"/invoices/plans/{PLAN}/apply")).status_code == 409


async def test_closing_a_review(ada: Visitor, pool: asyncpg.Pool) -> None:
    """It is closed with who and why."""
    response = await ada.send(
        "/reviews/close", subject="taiga:task:12", kind="credit_proposal", why="credit note 2026-C1", asked_kind=""
    )
    assert response.status_code == 303
    why = await pool.fetchval("SELECT closed_why FROM reviews WHERE kind = 'credit_proposal'")
    assert why == "ada: credit note 2026-C1"
    before = await pool.fetchval("SELECT count(*) FROM audit")
    again = await ada.send("/reviews/close", subject="taiga:task:12", kind="credit_proposal", why="x", asked_kind="")
    assert (again.status_code, "not open" in again.text) == (409, True)
    assert await pool.fetchval("SELECT count(*) FROM audit") == before


async def test_refused_requests_are_explained(ada: Visitor, pool: asyncpg.Pool) -> None:
    """The list tells who, why and how often; one request shows its body and which mistake it is, with the command."""
    page = await ada.get("/rejections")
    for text in ("wrong signature", "192.0.2.44", "203.0.113.9", "in use", "not configured any more"):
        assert text in page, text
    assert "203.0.113.9" not in await ada.get("/rejections?reason=wrong_signature")
    wrong = await pool.fetchval("SELECT id FROM rejections WHERE reason = 'wrong_signature'")
    page = await ada.get(f"/rejections/{wrong}")
    for text in ("key at the sender has blanks, quotes or a line end", "remove them", "&#34;action&#34;:&#34;test"):
        assert text in page, text
    assert "taiga-billing verify --source taiga --body FILE --header &#39;x-taiga-webhook-signature: " in page
    cut = await pool.fetchval("SELECT id FROM rejections WHERE reason = 'missing_signature'")
    assert "Only the first 2 KB are kept" in await ada.get(f"/rejections/{cut}")
    assert "unknown source" in await ada.get("/")


async def test_older_ones_are_looked_at_one_part_after_the_other(
    ada: Visitor, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview that is cut leads to the older part; what it did not show is not touched."""
    monkeypatch.setattr("middleware.dashboard.pages.event_actions.MOST_AT_ONCE", 2)
    first, *newer = await dead_ids(pool)
    page = await ada.get("/events/replay?status=dead")
    assert "This would touch 2 events" in page
    (older,) = re.findall(r'href="(/events/replay\?[^"]*before=[^"]*)"', page)
    assert "This would touch 1 event" in await ada.get(unescape(older))
    marks = dict(re.findall(r'name="(up_to|down_to)" value="(\d+)"', page))
    await ada.send("/events/replay", status="dead", **marks)
    assert await dead_ids(pool) == [first]
    assert sorted(map(int, marks.values())) == newer


async def test_what_a_form_did_wrong_leads_back_to_it(ada: Visitor) -> None:
    """The page of a refusal has the way back, to a page of ours only."""
    fields = {"csrf_token": await ada.token("/"), "event": "1"}
    for referer, is_ours in ((f"{LOCAL}/events/discard?event=1", True), ("https://evil.example/events", False)):
        answer = await ada.http.post("/events/discard", data=fields, headers={"Referer": referer})
        assert ('href="/events/discard?event=1">Back' in answer.text) is is_ours
        assert "evil" not in answer.text


ALERTS = {
    "stuck": ("taiga:task:201", "about two"),
    "source_silent": ("taiga", 'id="systems"'),
    "credentials_refused": ("stripe", 'id="systems"'),
    "system_away": ("stripe", 'id="systems"'),
    "plan_to_review": ("1", "waits for you"),
    "unmatched_payment": ("1", "Ignore this payment"),
    "review": ("1", "credit 1.5 h?"),
    "balance": ("2026-11", "Waiting"),
    "work_waits": ("queue", "Waiting"),
    "mapping_broken": ("host", "Which Taiga project is billed to which client"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_alerts_lead_to_the_page_for_them(ada: Visitor, kind: str) -> None:
    """Each link of a message, told alone or grouped, opens the page where a person does something about it."""
    key, shown = ALERTS[kind]
    one, two = (KnownCondition(kind, name, "summary", datetime.now(UTC)) for name in (key, "other"))
    for batch in (Batch(kind, (one,), (), 0), Batch(kind, (one, two), (), 0), Batch(kind, (), (one,), 1)):
        link = urlsplit(message_of(batch, LOCAL).body.splitlines()[-1])
        page = await ada.get(f"{link.path}?{link.query}")
        assert shown in page
        assert not link.fragment or f'id="{link.fragment}"' in page


async def test_times_are_in_the_zone_of_the_viewer(ada: Visitor) -> None:
    """The cookie of the little script decides; nonsense in it is UTC. A form token may hold "UTC", but no space."""
    ada.http.cookies.set("taiga-billing-zone", "Asia%2FKolkata")
    assert " UTC" not in await ada.get("/events?source=taiga")
    ada.http.cookies.set("taiga-billing-zone", "nonsense%00")
    assert " UTC" in await ada.get("/events?source=taiga")


async def test_broken_mapping_file_is_shown(ada: Visitor, tmp_path: Path) -> None:
    """Mistakes in the file are listed, and counted on the overview; pages go on."""
    (tmp_path / "mappings.json").write_text('{"project_mappings": [{"taiga_project_id": "x"}]}', encoding="utf-8")
    assert "The file has mistakes" in await ada.get("/mapping")
    assert "Mapping file" in await ada.get("/")
    (tmp_path / "mappings.json").unlink()
    assert "there is no mappings.json" in await ada.get("/mapping")


async def test_postgresql_away_is_a_page(ada: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page says that the store is away, and works again afterwards."""

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailableError("PostgreSQL: connection refused")

    with monkeypatch.context() as patched:
        patched.setattr("middleware.store.operations.users.SessionStore.find", away)
        assert "PostgreSQL does not answer" in await ada.get("/", status=503)
    await ada.get("/")


async def test_a_failing_page_is_a_page(
    ada: Visitor, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody foresaw is a page with 500 and a line in the log, without its secrets."""
    monkeypatch.setattr("middleware.dashboard.pages.audit.AuditStore.list", None)
    page = await ada.get("/audit", status=500)
    assert "page.failed" in page
    assert "Traceback" not in page


def test_style_and_script_are_small() -> None:
    """All of it stays below 60 KB."""
    assert sum(len(static_content(name)) for name in STATIC_FILES) < 60 * KIBIBYTE
