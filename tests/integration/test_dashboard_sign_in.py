"""Signing in and out, over the real application and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from middleware.accounts.passwords import hash_password
from middleware.store.database import open_pool
from middleware.store.operations.users import UserStore
from tests.support.dashboard.seed import PASSWORD
from tests.support.dashboard.visitor import dashboard, visitor

ELSEWHERE = "https://billing.example"


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[asyncpg.Pool]:
    """A database with an admin and a viewer."""
    async with open_pool(fresh_database, size=2) as opened:
        users = UserStore(opened)
        hashed = hash_password(PASSWORD)
        assert await users.add("ada", "admin", hashed)
        assert await users.add("vic", "viewer", hashed)
        yield opened


@pytest.fixture
async def site(
    fresh_database: str, redis_url: str, tmp_path: Path, pool: asyncpg.Pool
) -> AsyncIterator[httpx.ASGITransport]:
    """The receiver with its dashboard."""
    async with dashboard(fresh_database, redis_url, tmp_path) as transport:
        yield transport


async def test_right_password_opens_the_page_that_was_wanted(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """Who is not signed in goes to the form and from there to the page; the audit has it."""
    async with visitor(site) as person:
        response = await person.http.get("/events?status=dead")
        assert (response.status_code, response.headers["location"]) == (303, "/sign-in?then=%2Fevents%3Fstatus%3Ddead")
        response = await person.sign_in("ada", then="/events?status=dead")
        assert (response.status_code, response.headers["location"]) == (303, "/events?status=dead")
        assert "ada" in await person.get("/events?status=dead")
    row = await pool.fetchrow("SELECT actor, action, details FROM audit ORDER BY id DESC LIMIT 1")
    assert row is not None
    assert dict(row) == {"actor": "ada", "action": "session.begun", "details": {"address": "192.0.2.7"}}


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong password"), ("nobody", PASSWORD), ("", ""), ("a\x00", "x" * 300)]
)
async def test_wrong_password_says_nothing_of_the_name(site: httpx.ASGITransport, name: str, password: str) -> None:
    """Unknown names and wrong passwords get the same answer, and no session."""
    async with visitor(site) as person:
        response = await person.sign_in(name, password)
        assert response.status_code == 422
        assert "The name or the password is wrong" in response.text
        assert (await person.http.get("/")).status_code == 303


async def test_too_many_tries_lock_the_name_at_this_address_only(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """After five wrong passwords not even the right one opens, until a quarter of an hour has passed."""
    async with visitor(site) as person:
        for _ in range(5):
            await person.sign_in("ada", "wrong password")
        response = await person.sign_in("ada")
        assert "Too many wrong passwords" in response.text
        assert (await person.sign_in("vic")).status_code == 303
        await pool.execute("UPDATE sign_in_failures SET address = '198.51.100.1'")
        assert (await person.sign_in("ada")).status_code == 303
        await pool.execute(
            "UPDATE sign_in_failures SET address = '192.0.2.7', failed_at = now() - interval '16 minutes'"
        )
        assert (await person.sign_in("ada")).status_code == 303


async def test_many_guesses_at_once(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """Guesses that arrive together are counted one after the other: five are checked, not all."""
    async with visitor(site) as person:
        token = await person.token("/sign-in")
        form = {"csrf_token": token, "name": "ada", "password": "wrong password", "then": ""}
        answers = await asyncio.gather(*(person.http.post("/sign-in", data=form) for _ in range(20)))
        assert sum("The name or the password is wrong" in one.text for one in answers) == 5
    assert await pool.fetchval("SELECT count(*) FROM sign_in_failures") == 5


async def test_a_name_that_is_guessed_from_everywhere(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """After 25 wrong passwords from anywhere it opens only where its person signed in before; a reset ends that."""
    guesses = "INSERT INTO sign_in_failures (name, address) SELECT 'ada', 'a' || i FROM generate_series(1, 25) i"
    await pool.execute(guesses)
    async with visitor(site) as person:
        assert "Too many wrong passwords" in (await person.sign_in("ada")).text
        assert (await person.sign_in("vic")).status_code == 303
        await UserStore(pool).set_password("ada", hash_password(PASSWORD))
        assert (await person.sign_in("ada")).status_code == 303
        await pool.execute(guesses)
        assert (await person.sign_in("ada")).status_code == 303


async def test_ipv6_customers_are_one_address(fresh_database: str, redis_url: str, tmp_path: Path) -> None:
    """The addresses of one /64 are counted together."""
    async with open_pool(fresh_database, size=1) as pool:
        await UserStore(pool).add("ada", "admin", hash_password(PASSWORD))
    async with dashboard(fresh_database, redis_url, tmp_path) as transport:
        for number in range(1, 7):
            transport.client = (f"2001:db8::{number}", 4711)
            async with visitor(transport) as person:
                answer = await person.sign_in("ada", "wrong password")
                assert ("Too many" in answer.text) == (number == 6)


async def test_a_password_typed_as_a_name_is_not_kept(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """A name that nobody has is written down nowhere."""
    async with visitor(site) as person:
        await person.sign_in("Tr0ub4dor-and-3", "x")
    audit = "SELECT string_agg(actor || summary || details::text, '') FROM audit"
    assert "Tr0ub" not in await pool.fetchval(audit)
    assert "Tr0ub" not in await pool.fetchval("SELECT string_agg(name, '') FROM sign_in_failures")


async def test_an_address_that_tries_names_is_locked(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """Thirty wrong passwords from one address close it for all names."""
    await pool.execute(
        "INSERT INTO sign_in_failures (name, address) SELECT 'n' || i, '192.0.2.7' FROM generate_series(1, 30) i"
    )
    async with visitor(site) as person:
        assert "Too many wrong passwords" in (await person.sign_in("ada")).text


async def test_cookies_on_this_machine(site: httpx.ASGITransport) -> None:
    """Over http on localhost the cookie works, and scripts and other sites do not get it."""
    async with visitor(site) as person:
        cookie = (await person.sign_in("ada")).headers["set-cookie"]
        assert cookie.startswith("taiga-billing-session=")
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie


async def test_cookies_elsewhere_are_secure(site: httpx.ASGITransport) -> None:
    """Over TLS the cookie is bound to host and TLS; over plain http elsewhere browsers will not send it."""
    async with visitor(site, ELSEWHERE) as person:
        cookie = (await person.sign_in("ada")).headers["set-cookie"]
        assert cookie.startswith("__Host-taiga-billing-session=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        await person.get("/")
    async with visitor(site, "http://billing.example") as person:
        assert "Secure" in (await person.http.get("/sign-in")).headers["set-cookie"]


async def test_sign_in_form_needs_its_cookie(site: httpx.ASGITransport) -> None:
    """A form that another site made cannot sign a visitor in as somebody else."""
    async with visitor(site) as person:
        fields = {"csrf_token": "made-up", "name": "ada", "password": PASSWORD}
        response = await person.http.post("/sign-in", data=fields)
        assert response.status_code == 422
        assert "too old" in response.text
        response = await person.http.post("/sign-in", data=fields, headers={"Sec-Fetch-Site": "cross-site"})
        assert response.status_code == 403


async def test_sign_out_ends_the_session(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """The cookie is worth nothing afterwards, even when somebody kept it."""
    async with visitor(site) as person:
        await person.sign_in("ada")
        kept = dict(person.http.cookies)
        response = await person.send("/sign-out")
        assert response.headers["location"] == "/sign-in"
        person.http.cookies.update(kept)
        assert (await person.http.get("/")).status_code == 303
    assert await pool.fetchval("SELECT count(*) FROM sessions") == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET expires_at = now()",
        "UPDATE sessions SET seen_at = now() - interval '13 hours'",
        "UPDATE users SET is_disabled = true",
        "DELETE FROM users",
    ],
)
async def test_sessions_end(site: httpx.ASGITransport, pool: asyncpg.Pool, change: str) -> None:
    """Old, idle and disabled sessions lead to the form again."""
    async with visitor(site) as person:
        await person.sign_in("vic")
        await person.get("/")
        await pool.execute(change)
        assert (await person.http.get("/")).status_code == 303


async def test_session_in_use_stays(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """Looking at pages keeps a session awake; it is noted once a minute at most."""
    async with visitor(site) as person:
        await person.sign_in("vic")
        await pool.execute("UPDATE sessions SET seen_at = now() - interval '11 hours'")
        await person.get("/")
        assert await pool.fetchval("SELECT now() - seen_at < interval '1 minute' FROM sessions")


async def test_new_password_ends_all_sessions(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """Who changes a password because somebody knows it is rid of them."""
    async with visitor(site) as person:
        await person.sign_in("ada")
        assert await UserStore(pool).set_password("ada", hash_password("another horse battery"))
        assert (await person.http.get("/")).status_code == 303
        assert (await person.sign_in("ada")).status_code == 422
        assert (await person.sign_in("ada", "another horse battery")).status_code == 303


async def test_outdated_hash_is_made_anew(site: httpx.ASGITransport, pool: asyncpg.Pool) -> None:
    """With the password at hand, a hash of older parameters is replaced."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - only here

    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    await pool.execute("UPDATE users SET password_hash = $1 WHERE name = 'ada'", old)
    async with visitor(site) as person:
        assert (await person.sign_in("ada")).status_code == 303
        await person.get("/")
    assert await pool.fetchval("SELECT password_hash FROM users WHERE name = 'ada'") != old


async def test_without_users_the_form_says_what_to_do(fresh_database: str, redis_url: str, tmp_path: Path) -> None:
    """A new installation names the command."""
    async with dashboard(fresh_database, redis_url, tmp_path) as transport, visitor(transport) as person:
        assert "taiga-billing users add" in await person.get("/sign-in")


async def test_strict_headers_on_every_answer(site: httpx.ASGITransport) -> None:
    """Pages, redirects, failures and files forbid scripts, frames and sniffing; only files may be kept."""
    async with visitor(site) as person:
        for path in ("/sign-in", "/", "/nothing/here", "/static/style.css"):
            headers = (await person.http.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == (
                "public, max-age=31536000, immutable" if "static" in path else "no-store"
            )


async def test_no_inline_script_or_style(site: httpx.ASGITransport) -> None:
    """Nothing on a page needs what the policy forbids, and nothing is loaded from elsewhere."""
    async with visitor(site) as person:
        await person.sign_in("ada")
        for path in ("/", "/events", "/time", "/invoices", "/payments", "/mapping", "/audit", "/reviews"):
            page = await person.get(path)
            assert "<style" not in page
            assert " style=" not in page
            assert " onclick" not in page
            assert "<script>" not in page
            assert 'src="http' not in page


async def test_webhooks_and_health_come_before_pages(site: httpx.ASGITransport) -> None:
    """The dashboard at the root takes nothing away from machines."""
    async with visitor(site) as person:
        assert (await person.http.get("/healthz")).json()["status"] == "ok"
        assert (await person.http.post("/webhooks/taiga", content=b"{}")).status_code == 403
        assert (await person.http.post("/webhooks/other", content=b"{}")).status_code == 404
