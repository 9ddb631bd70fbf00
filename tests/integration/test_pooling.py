"""A pooler that takes sessions away between statements is found; fakes stand for what PgBouncer 1.18 was seen to do."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import count

import asyncpg
import pytest
from pydantic import SecretStr

from middleware.checks import database as checks
from middleware.checks.database import check_database
from middleware.settings import Settings
from middleware.store.pooler import is_pooled


class Client:
    """A connection to a pooler, which gives each transaction the session that is its turn."""

    def __init__(self, sessions: Iterator[int], *, takes_transactions: bool = True) -> None:
        self.sessions = sessions
        self.takes_transactions = takes_transactions
        self.is_closed = False

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Begin one, if the pooler lets us."""
        if not self.takes_transactions:
            raise asyncpg.ConnectionDoesNotExistError("transaction blocks not allowed in statement pooling mode")
        return nullcontext()

    async def fetchval(self, _query: str) -> int:
        """The session that we meet."""
        return next(self.sessions)

    def terminate(self) -> None:
        """Close it."""
        self.is_closed = True


def opening(clients: Sequence[Client]) -> Callable[[str], Awaitable[Client]]:
    """Opens one after the other."""
    left = iter(clients)

    async def opened(_url: str) -> Client:
        return next(left)

    return opened


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [((1, 1, 1, 2), True), ((1, 2, 1, 2), True), ((1, 1, 2, 3), True), ((1, 1, 2, 1), False)],
    ids=["the session just freed", "in turn", "another one", "each its own"],
)
async def test_sessions_tell(sessions: Sequence[int], expected: bool) -> None:
    """One session for two connections, or two for one: pooled. Both connections are closed in the end."""
    turns = iter(sessions)
    clients = [Client(turns), Client(turns)]
    assert await is_pooled("", opening(clients)) is expected
    assert [client.is_closed for client in clients] == [True, True]


async def test_statement_mode_refuses_transactions() -> None:
    """It cuts the connection: that is an answer, too."""
    clients = [Client(count(), takes_transactions=False) for _ in range(2)]
    assert await is_pooled("", opening(clients))


def _settings(url: str) -> Settings:
    return Settings(_env_file=None, taiga_webhook_secrets=(SecretStr("k"),), database_url=SecretStr(url))


async def test_check_names_the_pooler(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL itself is fine; a pooler is a failure that says what to do, also when it refuses our settings."""

    async def pooled(_url: str) -> bool:
        return True

    async def refused(_url: str) -> bool:
        raise asyncpg.ProtocolViolationError("unsupported startup parameter: tcp_keepalives_idle")

    first, *_ = await check_database(_settings(fresh_database))
    assert first.level == "ok"
    for probe in (pooled, refused):
        monkeypatch.setattr(checks, "is_pooled", probe)
        (finding,) = await check_database(_settings(fresh_database))
        assert (finding.level, "PgBouncer" in finding.hint) == ("failed", True)
