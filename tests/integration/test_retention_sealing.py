"""Sealed bodies in a real store: unreadable in the database, open for everybody who reads through it, keys rotate."""

from collections.abc import Iterator
from datetime import UTC, datetime

import asyncpg
import pytest
from cryptography.fernet import Fernet

from middleware.store import encryption as sealed
from middleware.store.database import migrate, open_pool
from middleware.store.encryption import MissingKeyError, use_keys
from middleware.store.events.events import EventStore
from middleware.store.events.replayed import as_replayed
from middleware.store.events.retention import HousekeepingStore
from middleware.store.operations.reconcile import SeenStore
from middleware.store.sealing import MARK, Sealer
from tests.support.pipeline import claims, new_event

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
BODY = b'{"secret": "of a customer"}'


@pytest.fixture(autouse=True)
def no_keys_afterwards() -> Iterator[None]:
    """Other tests work in the open."""
    yield
    use_keys([])


async def _raw(url: str) -> list[bytes]:
    connection = await asyncpg.connect(url)
    try:
        return [row["body"] for row in await connection.fetch("SELECT body FROM events ORDER BY id")]
    finally:
        await connection.close()


async def _store(url: str, subject: str, body: bytes = BODY) -> None:
    async with open_pool(url, size=1) as pool:
        await EventStore(pool).insert([new_event(subject, body=body)])


async def test_sealed_in_the_database_open_for_readers(fresh_database: str) -> None:
    """Every way of reading a body gives it open; the database holds none of its text."""
    use_keys([NEW])
    await _store(fresh_database, "taiga:task:1")
    (stored,) = await _raw(fresh_database)
    assert stored.startswith(MARK)
    assert b"customer" not in stored
    async with open_pool(fresh_database, size=2) as pool:
        assert (await EventStore(pool).body(1))[0] == BODY
        (claim,) = await as_replayed(pool, [1], datetime.now(UTC))
        assert claim.newest.body == BODY
        (newest,) = await SeenStore(pool).newest_rows(["taiga:task:1"])
        assert newest.body == BODY
    async with claims(fresh_database) as held:
        (claim,) = await held.claim(1, [])
        assert claim.due[0].body == BODY


async def test_rotation_in_the_store(fresh_database: str) -> None:
    """Plain, old and new rows read alike; a round seals all with the newest key and names the old one."""
    await _store(fresh_database, "taiga:task:1")
    use_keys([OLD])
    await migrate(fresh_database)
    await _store(fresh_database, "taiga:task:2")
    use_keys([NEW, OLD])
    await migrate(fresh_database)
    await _store(fresh_database, "taiga:task:3")
    edge = sealed.edge_in_use()
    assert edge is not None
    async with open_pool(fresh_database, size=2) as pool:
        assert [(await EventStore(pool).body(number))[0] for number in (1, 2, 3)] == [BODY] * 3
        done = await HousekeepingStore(pool).reseal(edge)
        assert (done.done, done.unreadable, done.old_keys) == (2, 0, Sealer([OLD]).fingerprints)
        assert (await HousekeepingStore(pool).reseal(edge)).done == 0
    only_new = Sealer([NEW])
    assert [only_new.open(stored) for stored in await _raw(fresh_database)] == [BODY] * 3
    use_keys([NEW])
    await migrate(fresh_database)


async def test_a_missing_key_stops_the_start(fresh_database: str) -> None:
    """Without a key that sealed, nothing starts: it would take sealed bodies for nonsense."""
    use_keys([OLD])
    await migrate(fresh_database)
    await _store(fresh_database, "taiga:task:1")
    for keys in ([], [NEW]):
        use_keys(keys)
        with pytest.raises(MissingKeyError, match=Sealer([OLD]).fingerprints[0]):
            await migrate(fresh_database)
    use_keys([NEW, OLD])
    await migrate(fresh_database)


async def test_what_no_key_opens_is_left_and_counted(fresh_database: str) -> None:
    """A body of a lost key stays as it is; the old key is not called superfluous."""
    await _store(fresh_database, "taiga:task:1", Sealer([OLD]).seal(BODY))
    use_keys([NEW])
    await migrate(fresh_database)
    edge = sealed.edge_in_use()
    assert edge is not None
    async with open_pool(fresh_database, size=2) as pool:
        done = await HousekeepingStore(pool).reseal(edge)
    assert (done.done, done.unreadable) == (0, 1)
