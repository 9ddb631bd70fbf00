"""`taiga-billing users`."""

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest
from click.testing import CliRunner, Result

from middleware.accounts.passwords import is_right
from middleware.commands.users import command
from middleware.store.database import open_pool

PASSWORD = "correct horse battery"


class Line:
    """The command line with its settings."""

    def __init__(self, url: str, redis_url: str) -> None:
        self._env = {"DATABASE_URL": url, "REDIS_URL": redis_url, "TAIGA_WEBHOOK_SECRETS": "x", "COLUMNS": "200"}

    async def __call__(self, *arguments: str, given: str = PASSWORD, code: int = 0) -> Result:
        """Run `users` with these arguments; commands have a loop of their own."""
        result = await asyncio.to_thread(
            CliRunner().invoke, command, list(arguments), input=f"{given}\n", env=self._env
        )
        assert result.exit_code == code, result.output
        return result


@pytest.fixture
def users(fresh_database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Line:
    """`taiga-billing users` on an empty database, away from any .env."""
    monkeypatch.chdir(str(tmp_path))
    return Line(fresh_database, redis_url)


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[asyncpg.Pool]:
    """A way into the same database."""
    async with open_pool(fresh_database, size=1) as opened:
        yield opened


async def test_adding_listing_disabling(users: Line, pool: asyncpg.Pool) -> None:
    """A user is added with a role and a hashed password, listed, disabled and enabled; each deed is in the audit."""
    assert "no users" in (await users("list")).output
    await users("add", "ada", "--role", "admin", "--password-stdin")
    await users("add", "vic", "--password-stdin")
    hashed = await pool.fetchval("SELECT password_hash FROM users WHERE name = 'ada'")
    assert is_right(hashed, PASSWORD)
    listed = json.loads((await users("list", "--json")).output)
    assert [(user["name"], user["role"]) for user in listed] == [("ada", "admin"), ("vic", "viewer")]
    await users("disable", "vic")
    assert "no" in (await users("list")).output.splitlines()[-1]
    await users("disable", "vic", "--enable")
    rows = await pool.fetch("SELECT actor, action FROM audit ORDER BY id")
    assert [row["action"] for row in rows] == ["user.added", "user.added", "user.disabled", "user.enabled"]
    assert all(row["actor"].startswith("cli:") for row in rows)


async def test_new_password(users: Line, pool: asyncpg.Pool) -> None:
    """It is asked twice without being shown, or read from the standard input; sessions end."""
    await users("add", "ada", "--password-stdin")
    await pool.execute(
        "INSERT INTO sessions (token_hash, user_id, csrf_token, expires_at)"
        " SELECT '\\x00', id, 'x', 'infinity' FROM users"
    )
    result = await users("password", "ada", given="another horse battery\nanother horse battery")
    assert "another horse" not in result.output
    assert await pool.fetchval("SELECT count(*) FROM sessions") == 0
    assert is_right(await pool.fetchval("SELECT password_hash FROM users"), "another horse battery")


async def test_role_and_removal(users: Line, pool: asyncpg.Pool) -> None:
    """A role is changed, a user removed; both end the sessions, and stay in the audit."""
    await users("add", "ada", "--password-stdin")
    session = (
        "INSERT INTO sessions (token_hash, user_id, csrf_token, expires_at)"
        " SELECT '\\x00', id, 'x', 'infinity' FROM users"
    )
    await pool.execute(session)
    assert "ada is an admin" in (await users("role", "ada", "admin")).output
    assert await pool.fetchval("SELECT role FROM users") == "admin"
    assert await pool.fetchval("SELECT count(*) FROM sessions") == 0
    await pool.execute(session)
    assert "ada is removed" in (await users("remove", "ada")).output
    assert await pool.fetchval("SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM sessions)") == 0
    rows = await pool.fetch("SELECT action FROM audit ORDER BY id")
    assert [row["action"] for row in rows] == ["user.added", "user.role_set", "user.removed"]
    for arguments in (("remove", "ada"), ("role", "ada", "viewer")):
        assert "no user" in (await users(*arguments, code=1)).output


async def test_what_is_refused(users: Line) -> None:
    """Names that are taken, odd or unknown, and passwords that are guessed."""
    await users("add", "ada", "--password-stdin")
    assert "already" in (await users("add", "ada", "--password-stdin", code=1)).output
    assert "cannot be a name" in (await users("add", "cli:root", "--password-stdin", code=2)).output
    assert "characters" in (await users("add", "vic", "--password-stdin", given="short", code=2)).output
    assert "no user" in (await users("password", "nobody", "--password-stdin", code=1)).output
    assert "no user" in (await users("disable", "nobody", code=1)).output
