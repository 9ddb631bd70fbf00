"""People of the dashboard, their sessions, and wrong passwords."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import asyncpg

from middleware.store.database import away_is_unavailable

Role = Literal["viewer", "admin"]


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in."""

    id: int
    name: str
    role: Role
    is_disabled: bool
    created_at: datetime
    signed_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that has not ended, with its person."""

    user_id: int
    name: str
    role: Role
    csrf_token: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Failures:
    """Wrong passwords of a while: of this name from this address, of any name from it, of the name from anywhere."""

    of_name: int
    of_address: int
    of_name_anywhere: int = 0


_COLUMNS = "id, name, role, is_disabled, created_at, signed_in_at"


class UserStore:
    """Reads and writes `users`; every method raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, name: str, role: Role, password_hash: str) -> bool:
        """Add a person; False when the name is taken."""
        with away_is_unavailable():
            status = await self._pool.execute(
                "INSERT INTO users (name, role, password_hash) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
                name,
                role,
                password_hash,
            )
        return bool(status == "INSERT 0 1")

    async def list(self) -> list[User]:
        """Everybody, by name."""
        with away_is_unavailable():
            rows = await self._pool.fetch(f"SELECT {_COLUMNS} FROM users ORDER BY name")
        return [User(**row) for row in rows]

    async def exist(self) -> bool:
        """Whether anybody may sign in."""
        with away_is_unavailable():
            found = await self._pool.fetchval("SELECT EXISTS (SELECT 1 FROM users WHERE NOT is_disabled)")
        return bool(found)

    async def find(self, name: str) -> tuple[User, str] | None:
        """The person with this name, and the hash of the password."""
        with away_is_unavailable():
            row = await self._pool.fetchrow(f"SELECT {_COLUMNS}, password_hash FROM users WHERE name = $1", name)
        if row is None:
            return None
        values = dict(row)
        password_hash: str = values.pop("password_hash")
        return User(**values), password_hash

    async def set_password(self, name: str, password_hash: str) -> bool:
        """Replace the password, end all sessions, and forget wrong passwords; False for an unknown name."""
        with away_is_unavailable():
            await self._pool.execute("DELETE FROM sign_in_failures WHERE name = $1", name)
        return await self._change(name, "password_hash = $2, password_changed_at = now()", password_hash)

    async def set_disabled(self, name: str, is_disabled: bool) -> bool:
        """Allow or forbid signing in; ends all sessions. False for an unknown name."""
        return await self._change(name, "is_disabled = $2", is_disabled)

    async def set_role(self, name: str, role: Role) -> bool:
        """Let a person act, or only look; ends all sessions. False for an unknown name."""
        return await self._change(name, "role = $2", role)

    async def remove(self, name: str) -> bool:
        """Take a person away with their sessions; what they did stays in the audit. False for an unknown name."""
        with away_is_unavailable():
            return await self._pool.fetchval("DELETE FROM users WHERE name = $1 RETURNING id", name) is not None

    async def rehash(self, user_id: int, password_hash: str) -> None:
        """Keep the same password under newer parameters; sessions stay."""
        with away_is_unavailable():
            await self._pool.execute("UPDATE users SET password_hash = $2 WHERE id = $1", user_id, password_hash)

    async def _change(self, name: str, assignment: str, value: object) -> bool:
        with away_is_unavailable():
            changed = await self._pool.fetchval(
                f"WITH changed AS (UPDATE users SET {assignment} WHERE name = $1 RETURNING id),"
                " ended AS (DELETE FROM sessions USING changed WHERE user_id = changed.id)"
                " SELECT id FROM changed",
                name,
                value,
            )
        return changed is not None


class SessionStore:
    """Reads and writes `sessions` and `sign_in_failures`; tokens are given as their hashes."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def begin(self, token_hash: bytes, user_id: int, csrf_token: str, now: datetime, expires: datetime) -> None:
        """Begin a session, note the sign-in, and clear away sessions that ended."""
        with away_is_unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("DELETE FROM sessions WHERE expires_at < $1", now)
                await connection.execute(
                    "INSERT INTO sessions (token_hash, user_id, csrf_token, created_at, seen_at, expires_at)"
                    " VALUES ($1, $2, $3, $4, $4, $5)",
                    token_hash,
                    user_id,
                    csrf_token,
                    now,
                    expires,
                )
                await connection.execute("UPDATE users SET signed_in_at = $2 WHERE id = $1", user_id, now)

    async def find(self, token_hash: bytes, now: datetime, idle: timedelta) -> SessionRow | None:
        """The session, unless it ended, lay idle too long, or its person was disabled."""
        with away_is_unavailable():
            row = await self._pool.fetchrow(
                "SELECT user_id, name, role, csrf_token, seen_at FROM sessions JOIN users ON users.id = user_id"
                " WHERE token_hash = $1 AND expires_at > $2 AND seen_at > $3 AND NOT is_disabled",
                token_hash,
                now,
                now - idle,
            )
        return SessionRow(**row) if row else None

    async def touch(self, token_hash: bytes, now: datetime) -> None:
        """Note that the session is in use."""
        with away_is_unavailable():
            await self._pool.execute("UPDATE sessions SET seen_at = $2 WHERE token_hash = $1", token_hash, now)

    async def end(self, token_hash: bytes) -> None:
        """End the session."""
        with away_is_unavailable():
            await self._pool.execute("DELETE FROM sessions WHERE token_hash = $1", token_hash)

    async def failures(self, name: str, address: str, since: datetime) -> Failures:
        """Count wrong passwords since a moment."""
        with away_is_unavailable():
            (row,) = await self._pool.fetch(
                "SELECT count(*) FILTER (WHERE name = $1 AND address = $2) AS of_name,"
                " count(*) FILTER (WHERE address = $2) AS of_address,"
                " count(*) FILTER (WHERE name = $1) AS of_name_anywhere FROM sign_in_failures"
                " WHERE (address = $2 OR name = $1) AND failed_at > $3",
                name,
                address,
                since,
            )
        return Failures(**row)

    async def note_failure(self, name: str, address: str, now: datetime, keep: timedelta) -> None:
        """Remember a wrong password, and forget those that are older than `keep`."""
        with away_is_unavailable():
            await self._pool.execute(
                "WITH old AS (DELETE FROM sign_in_failures WHERE failed_at < $4)"
                " INSERT INTO sign_in_failures (name, address, failed_at) VALUES ($1, $2, $3)",
                name,
                address,
                now,
                now - keep,
            )

    async def forget_failures(self, name: str, address: str) -> None:
        """The right password was given."""
        with away_is_unavailable():
            await self._pool.execute("DELETE FROM sign_in_failures WHERE name = $1 AND address = $2", name, address)
