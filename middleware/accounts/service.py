"""Signing in and out, and knowing who asks."""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from middleware.accounts import passwords
from middleware.accounts.throttle import WINDOW, is_too_many, is_under_attack
from middleware.store.operations.audit import AuditEntry, AuditStore
from middleware.store.operations.users import Role, SessionStore, User, UserStore

SESSION_LIFE = timedelta(days=7)
SESSION_IDLE = timedelta(hours=12)
BETWEEN_TOUCHES = timedelta(minutes=1)
KNOWN_FOR = timedelta(days=30)
"""An address from which a person signed in lately is theirs, also while others guess their password."""

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


class SignInRefusedError(Exception):
    """The sign-in is refused; the message may be shown."""


@dataclass(frozen=True, slots=True)
class UserSession:
    """Who asks. `csrf_token` must come back with every action."""

    name: str
    role: Role
    csrf_token: str

    @property
    def is_admin(self) -> bool:
        """Whether the person may act."""
        return self.role == "admin"


class Accounts:
    """The people of the dashboard. Methods raise `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(
        self, users: UserStore, sessions: SessionStore, audit: AuditStore, clock: Callable[[], datetime]
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._audit = audit
        self._clock = clock
        # One at a time: each takes 7 MiB and a core for a moment.
        self._turn = asyncio.Lock()
        self._nobody: str | None = None
        self._salt = secrets.token_bytes(32)

    async def exist(self) -> bool:
        """Whether anybody may sign in."""
        return await self._users.exist()

    async def sign_in(self, name: str, password: str, address: str) -> str:
        """The token of a new session.

        Raises:
            SignInRefusedError: the name or the password is wrong, or there were too many tries.
        """
        now = self._clock()
        found = await self._users.find(name) if NAME_PATTERN.fullmatch(name) else None
        # What is typed as a name may be a password: nothing of it is written down unless somebody is called so.
        noted = name if found else hmac.digest(self._salt, name.encode("utf-8", "replace"), "sha256").hex()
        # Counted and checked in one turn: many tries at the same moment must not all come before the first is noted.
        async with self._turn:
            failures = await self._sessions.failures(noted, address, now - WINDOW)
            if is_too_many(failures) or (
                is_under_attack(failures) and not await self._audit.was_at(name, address, now - KNOWN_FOR)
            ):
                raise SignInRefusedError(
                    "Too many wrong passwords. Wait a quarter of an hour; a new password, set by an administrator with "
                    '"taiga-billing users password", ends the wait.'
                )
            user = await self._known(found, password)
            if user is None:
                await self._sessions.note_failure(noted, address, now, WINDOW)
        if user is None:
            shown = name if found else "somebody"
            await self._audit.record(
                AuditEntry(shown, "session.refused", "gave a wrong password", {"address": address})
            )
            raise SignInRefusedError("The name or the password is wrong.")
        await self._sessions.forget_failures(name, address)
        token = secrets.token_urlsafe(32)
        await self._sessions.begin(_hashed(token), user.id, secrets.token_urlsafe(32), now, now + SESSION_LIFE)
        await self._audit.record(AuditEntry(user.name, "session.begun", "signed in", {"address": address}))
        return token

    async def session(self, token: str) -> UserSession | None:
        """Who holds this token; None when the session ended."""
        if not token:
            return None
        now = self._clock()
        row = await self._sessions.find(_hashed(token), now, SESSION_IDLE)
        if row is None:
            return None
        if now - row.seen_at > BETWEEN_TOUCHES:
            await self._sessions.touch(_hashed(token), now)
        return UserSession(row.name, row.role, row.csrf_token)

    async def sign_out(self, token: str, name: str) -> None:
        """End the session."""
        await self._sessions.end(_hashed(token))
        await self._audit.record(AuditEntry(name, "session.ended", "signed out"))

    async def _known(self, found: tuple[User, str] | None, password: str) -> User | None:
        if len(password) > passwords.LONGEST:
            return None
        if self._nobody is None:
            self._nobody = await asyncio.to_thread(passwords.hash_password, secrets.token_urlsafe(16))
        # An unknown name takes as long as a wrong password: nobody learns which names there are.
        password_hash = found[1] if found else self._nobody
        is_right = await asyncio.to_thread(passwords.is_right, password_hash, password)
        if found is None or not is_right or found[0].is_disabled:
            return None
        if passwords.is_outdated(password_hash):
            await self._users.rehash(found[0].id, await asyncio.to_thread(passwords.hash_password, password))
        return found[0]


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
