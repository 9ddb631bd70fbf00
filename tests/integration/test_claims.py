"""Claims: one subject is never in two hands, whatever happens to the connections."""

import asyncio
import random
from collections import Counter
from contextlib import suppress

import asyncpg
import pytest

from mappings.codes import Code
from middleware.store.events import claims as claims_module
from middleware.store.events.actions import EventActions
from middleware.store.events.claims import CLAIM, ORPHANED, Claims, ClaimsLostError
from tests.support.pipeline import BASE_TIME, claims, event_store, finish, new_event, settlement, statuses, until


async def locks(pool: asyncpg.Pool) -> int:
    """How many advisory locks are held in the database of this pool."""
    held: int = await pool.fetchval(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return held


async def cut(pool: asyncpg.Pool, held: Claims) -> None:
    """End the connection of these claims as an administrator would."""
    connection = held._connection
    assert connection is not None
    await pool.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())


async def releases_one(held: Claims, *running: str) -> bool:
    """Whether one orphan was put back to work: the server frees the locks of a cut connection a moment later."""
    return await held.release_orphans(running) == 1


async def test_oldest_subjects_first(clean_database: str) -> None:
    """Subjects are taken in the order in which their events became due."""
    async with event_store(clean_database) as (store, _), claims(clean_database) as held:
        for name in ("c", "a", "b"):
            await store.insert([new_event(name)])
        assert [claim.subject for claim in await held.claim(2, [])] == ["c", "a"]
        assert [claim.subject for claim in await held.claim(9, ["c", "a"])] == ["b"]


async def test_burst_is_one_claim_in_the_order_it_happened(clean_database: str) -> None:
    """Many events of one subject are claimed together, sorted by when they happened, newest known last."""
    async with event_store(clean_database) as (store, _), claims(clean_database) as held:
        await store.insert([new_event("s", seconds) for seconds in (3, 1, 2, 9, 5)])
        (claim,) = await held.claim(10, [])
        seconds = [event.occurred_at.second for event in claim.due]
        assert (seconds, claim.newest.occurred_at.second, claim.newest_is_due) == ([1, 2, 3, 5, 9], 9, True)


async def test_burst_without_bounds(clean_database: str) -> None:
    """However many events of a subject wait, a try is given so many, the newest first, and knows the newest state."""
    most = claims_module.MOST_OF_A_SUBJECT
    async with event_store(clean_database) as (store, pool), claims(clean_database) as held:
        await store.insert([new_event("s", second) for second in range(2 * most + 5)])
        taken = []
        for _ in range(3):
            (claim,) = await held.claim(10, [])
            seconds = (claim.newest.occurred_at - BASE_TIME).total_seconds()
            taken.append((len(claim.due), seconds, claim.newest_is_due))
            await finish(held, claim)
        assert taken == [(most, 2 * most + 4, True), (most, 2 * most + 4, False), (5, 2 * most + 4, False)]
        assert (await statuses(pool), await locks(pool)) == ({"processed": 2 * most + 5}, 0)


async def test_late_event_knows_the_newer_one(clean_database: str) -> None:
    """An older event that arrives late is claimed beside the newest state that was settled before."""
    async with event_store(clean_database) as (store, _), claims(clean_database) as held:
        await store.insert([new_event("s", 10)])
        (first,) = await held.claim(1, [])
        await finish(held, first)
        await store.insert([new_event("s", 5)])
        (late,) = await held.claim(1, [])
        assert late.newest.id == first.due[0].id
        assert not late.newest_is_due
        assert late.newest.body == first.due[0].body


async def test_discarded_event_is_no_state(clean_database: str) -> None:
    """What a person discarded is not taken for the newest state."""
    async with event_store(clean_database) as (store, pool), claims(clean_database) as held:
        (stored,) = await store.insert([new_event("s", 10)])
        (claim,) = await held.claim(1, [])
        await finish(held, claim, "dead")
        assert await EventActions(pool).discard([stored.event_id], "a mistake", "ada")
        await store.insert([new_event("s", 5)])
        (late,) = await held.claim(1, [])
        assert late.newest_is_due


async def test_subject_at_work_is_passed_over(clean_database: str) -> None:
    """A new event of a subject at work waits for its settlement; other subjects do not wait with it."""
    async with (
        event_store(clean_database) as (store, _),
        claims(clean_database) as one,
        claims(clean_database) as other,
    ):
        await store.insert([new_event("busy")])
        (busy,) = await one.claim(5, [])
        await store.insert([new_event("busy", 1), new_event("free")])
        assert [claim.subject for claim in await other.claim(5, [])] == ["free"]
        await finish(one, busy)
        assert [claim.subject for claim in await other.claim(5, ["free"])] == ["busy"]


async def test_failing_subject_does_not_hold_up_others(clean_database: str) -> None:
    """A subject that waits for its next try leaves the way free, and a new event of it is tried at once."""
    async with event_store(clean_database) as (store, pool), claims(clean_database) as held:
        await store.insert([new_event("bad")])
        await store.insert([new_event("good")])
        (bad,) = await held.claim(1, [])
        await finish(held, bad, "retrying")
        await pool.execute("UPDATE events SET next_attempt_at = now() + interval '1 hour' WHERE subject = 'bad'")
        (good,) = await held.claim(9, [])
        assert good.subject == "good"
        await store.insert([new_event("bad", 1)])
        (again,) = await held.claim(9, ["good"])
        assert [event.attempts for event in again.due] == [2, 1]


async def test_settled_subject_leaves_no_lock(clean_database: str) -> None:
    """After settling, no advisory lock is left in the server."""
    async with event_store(clean_database) as (store, pool), claims(clean_database) as held:
        await store.insert([new_event(f"s{number}") for number in range(5)])
        for claim in await held.claim(5, []):
            await finish(held, claim)
        assert (await locks(pool), await statuses(pool)) == (0, {"processed": 5})


async def test_lock_without_events_is_given_back(clean_database: str) -> None:
    """A subject whose events another worker settled since our snapshot is not locked by us for ever."""
    async with event_store(clean_database) as (store, pool), claims(clean_database) as held:
        await store.insert([new_event("s")])
        blocker = await asyncpg.connect(clean_database)
        await blocker.execute("BEGIN; UPDATE events SET status = 'processed', finished_at = now()")
        claiming = asyncio.create_task(held.claim(1, []))
        # The claim has its snapshot and the lock, and waits for the row.
        await until(lambda: _waits(pool))
        await blocker.execute("COMMIT")
        assert await claiming == []
        assert await locks(pool) == 0
        await blocker.close()


async def _waits(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def test_orphans_of_a_killed_connection(clean_database: str) -> None:
    """Work whose connection is killed goes back to work as soon as anybody looks, and only that."""
    lost: list[str] = []
    async with (
        event_store(clean_database) as (store, pool),
        claims(clean_database, lambda: lost.append("one")) as one,
        claims(clean_database) as other,
    ):
        await store.insert([new_event("dies")])
        (dying,) = await one.claim(1, [])
        await store.insert([new_event("lives")])
        (living,) = await other.claim(1, [])
        assert await other.release_orphans([living.subject]) == 0
        await cut(pool, one)
        await until(lambda: releases_one(other, living.subject))
        row = await store.find(dying.due[0].id)
        assert row is not None
        assert (row.status, row.outcome_code, row.reason) == ("retrying", Code.WORKER_DIED, ORPHANED)
        (taken,) = await other.claim(5, [living.subject])
        assert (taken.subject, taken.due[0].attempts) == ("dies", 2)
        with pytest.raises(ClaimsLostError):
            await finish(one, dying)
        assert lost == ["one"]
        await finish(other, living)
        await finish(other, taken)
        assert (await statuses(pool), await locks(pool)) == ({"processed": 2}, 0)


async def test_settlement_after_a_loss_is_refused_on_the_new_connection(clean_database: str) -> None:
    """A try that began before the locks were lost cannot settle the same subject claimed anew by the same worker."""
    async with event_store(clean_database) as (store, pool), claims(clean_database) as held:
        await store.insert([new_event("s")])
        (before,) = await held.claim(1, [])
        await cut(pool, held)
        await until(lambda: _is_lost(held))
        await until(lambda: releases_one(held))
        (after,) = await held.claim(1, [])
        with pytest.raises(ClaimsLostError, match="void"):
            await finish(held, before, "dead")
        assert await statuses(pool) == {"processing": 1}
        assert await locks(pool) == 1
        await finish(held, after)
        assert (await statuses(pool), await locks(pool)) == ({"processed": 1}, 0)


async def _is_lost(held: Claims) -> bool:
    return held._connection is None


async def test_claim_cut_between_its_queries_is_void(clean_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims whose connection ends before they are handed out are not handed out: nobody would protect them."""
    async with event_store(clean_database) as (store, pool), claims(clean_database) as held:
        await store.insert([new_event("s", 10)])
        (first,) = await held.claim(1, [])
        await finish(held, first)
        await store.insert([new_event("s", 5)])
        fetch = asyncpg.Connection.fetch

        async def cut_after_the_claim(connection: asyncpg.Connection, query: str, *arguments: object) -> object:
            rows = await fetch(connection, query, *arguments)
            if query == CLAIM:
                await cut(pool, held)
                await until(lambda: _is_closed(connection))
            return rows

        monkeypatch.setattr(asyncpg.Connection, "fetch", cut_after_the_claim)
        with pytest.raises(ClaimsLostError):
            await held.claim(1, [])
        await until(lambda: releases_one(held))


async def _is_closed(connection: asyncpg.Connection) -> bool:
    return connection.is_closed()


async def test_bad_settlement_frees_the_subject(clean_database: str) -> None:
    """A settlement that PostgreSQL refuses is undone whole, and its subject can be claimed again."""
    lost: list[str] = []
    async with event_store(clean_database) as (store, pool), claims(clean_database, lambda: lost.append("x")) as held:
        await store.insert([new_event("s")])
        (claim,) = await held.claim(1, [])
        with pytest.raises(ClaimsLostError):
            await finish(held, claim, "no such status")
        assert lost == ["x"]
        await until(lambda: _no_locks(pool))
        await until(lambda: releases_one(held))
        assert len(await held.claim(1, [])) == 1


async def _no_locks(pool: asyncpg.Pool) -> bool:
    return await locks(pool) == 0


async def test_cancelled_claim_leaves_no_lock(clean_database: str) -> None:
    """A claim that is cancelled under way frees what it may have locked."""
    async with event_store(clean_database) as (store, pool), claims(clean_database) as held:
        await store.insert([new_event("s")])
        blocker = await asyncpg.connect(clean_database)
        await blocker.execute("BEGIN; SELECT * FROM events FOR UPDATE")
        claiming = asyncio.create_task(held.claim(1, []))
        await until(lambda: _waits(pool))
        claiming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        await blocker.close()
        await until(lambda: _no_locks(pool))
        await until(lambda: releases_one(held))
        assert len(await held.claim(1, [])) == 1


async def test_colliding_locks(clean_database: str) -> None:
    """Two subjects of one worker may share a lock by chance: the second is not freed together with the first."""
    async with (
        event_store(clean_database) as (store, _),
        claims(clean_database) as one,
        claims(clean_database) as other,
    ):
        await store.insert([new_event("s")])
        (claim,) = await one.claim(1, [])
        connection = one._connection
        assert connection is not None
        # As if another subject with the same hash were claimed as well.
        await connection.execute("SELECT pg_advisory_lock(hashtextextended('s', 0))")
        await finish(one, claim)
        await store.insert([new_event("s", 1)])
        assert await other.claim(1, []) == []
        assert len(await one.claim(1, [])) == 1


async def test_settling_what_text_cannot_hold(clean_database: str) -> None:
    """NUL and lone surrogates in reasons and calls are replaced: the settlement goes through."""
    async with event_store(clean_database) as (store, pool), claims(clean_database) as held:
        (stored,) = await store.insert([new_event("s")])
        (claim,) = await held.claim(1, [])
        bad = "a\x00b\ud800c"
        changes, attempts = settlement(claim)
        object.__setattr__(changes[0], "reason", bad)
        object.__setattr__(attempts[0], "reason", bad)
        object.__setattr__(attempts[0], "calls", [{"error": bad, bad: [bad, None, 1]}])
        await held.settle(claim.hold, changes, attempts, ["s"])
        row = await store.find(stored.event_id)
        assert row is not None
        assert row.reason == "a\N{REPLACEMENT CHARACTER}b?c"
        (attempt,) = await store.attempts(stored.event_id)
        assert attempt.calls[0]["error"] == row.reason
        assert await locks(pool) == 0


async def test_worker_that_died_while_another_was_slow(clean_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who claims slowly does not take over, without a recheck, what a worker claimed and died with meanwhile."""
    order = "ORDER BY min(next_attempt_at), min(id)"
    assert order in CLAIM
    async with (
        event_store(clean_database) as (store, pool),
        claims(clean_database) as slow,
        claims(clean_database) as quick,
    ):
        await store.insert([new_event("s")])
        with monkeypatch.context() as patch:
            patch.setattr(claims_module, "CLAIM", CLAIM.replace(order, f"HAVING pg_sleep(0.5)::text = '' {order}"))
            claiming = asyncio.create_task(slow.claim(1, []))
            await until(lambda: _sleeps(pool))
        assert await quick.claim(1, [])
        await cut(pool, quick)
        assert await claiming == []
        await until(lambda: releases_one(slow))
        assert await pool.fetchval("SELECT count(*) FROM second_looks") == 1
        (taken,) = await slow.claim(1, [])
        await finish(slow, taken)
        assert (await statuses(pool), await locks(pool)) == ({"processed": 1}, 0)


async def _sleeps(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))


class StressedWorker:
    """Claims and settles; its connection is cut now and then. Sees at once when a subject is in two hands."""

    def __init__(self, pool: asyncpg.Pool, url: str, chance: random.Random, in_hand: Counter[str]) -> None:
        self.done = asyncio.Event()
        self._pool = pool
        self._chance = chance
        self._in_hand = in_hand
        self._mine: set[str] = set()
        self._claims = Claims(url, self._lost)

    def _lost(self) -> None:
        for subject in self._mine:
            self._in_hand[subject] -= 1
        self._mine.clear()

    async def work(self) -> None:
        """Work until `done` is set."""
        while not self.done.is_set():
            with suppress(ClaimsLostError):
                await self._round()
                if self._chance.random() < 0.1:
                    await cut(self._pool, self._claims)
        await self._claims.close()

    async def _round(self) -> None:
        await self._claims.release_orphans(list(self._mine))
        taken = await self._claims.claim(self._chance.randint(1, 4), list(self._mine))
        for claim in taken:
            self._mine.add(claim.subject)
            self._in_hand[claim.subject] += 1
            assert self._in_hand[claim.subject] == 1
        for claim in taken:
            await asyncio.sleep(self._chance.random() / 200)
            if claim.subject not in self._mine:
                return
            self._mine.discard(claim.subject)
            self._in_hand[claim.subject] -= 1
            await finish(self._claims, claim)


@pytest.mark.parametrize("seed", range(3))
async def test_never_two_at_a_time(clean_database: str, seed: int) -> None:
    """Three workers, connections cut at random, events arriving: no subject is ever in two hands, all end."""
    chance = random.Random(seed)  # noqa: S311 - repeatable chance
    async with event_store(clean_database) as (store, pool):
        in_hand: Counter[str] = Counter()
        workers = [StressedWorker(pool, clean_database, chance, in_hand) for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.work())
            for number in range(40):
                await store.insert([new_event(f"s{chance.randint(1, 6)}", number) for _ in range(3)])
            await until(lambda: _all_processed(pool, 120))
            for worker in workers:
                worker.done.set()


async def _all_processed(pool: asyncpg.Pool, expected: int) -> bool:
    return await statuses(pool) == {"processed": expected}
