"""What commands of people and runs by the clock do while a remote system is left alone."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from handlers.errors import ServerError, Suspended
from middleware.commands.interactive import warn_of_paused_systems
from middleware.jobs.periodic import NotNowError, unless_away
from middleware.jobs.reconcile import taiga_jobs
from middleware.settings import Settings
from middleware.store.database import Pool, open_pool
from middleware.store.operations.circuits import CLOSED, Circuit, CircuitStore
from middleware.traffic import gate
from middleware.traffic.gate import TrafficLimits
from middleware.traffic.traffic import Traffic
from tests.support.in_process_bridge import Bridge, running_bridge

NINJA = "invoiceninja"
SETTINGS = Settings(_env_file=None, taiga_webhook_secrets=(SecretStr("k"),))


@pytest.fixture
async def pool(clean_database: str) -> AsyncIterator[Pool]:
    """A migrated database without rows."""
    async with open_pool(clean_database, size=6) as opened:
        yield opened


async def _leave_alone(pool: Pool, system: str, probe_in: float = 60) -> None:
    now = datetime.now(UTC)
    circuit = Circuit(
        5, "x", open_since=now, probe_at=now + timedelta(seconds=probe_in), probes=3, message="no connection"
    )
    await CircuitStore(pool).change(system, lambda _one: circuit)


def _traffic(pool: Pool, rate: TrafficLimits, *, interactive: bool) -> Traffic:
    return Traffic(CircuitStore(pool), {NINJA: rate}, {}, interactive=interactive)


async def test_a_worker_waits_where_a_command_asks(pool: Pool) -> None:
    """The circuit is open: a worker's request is not sent; that of a command is, and its failure changes nothing."""
    await _leave_alone(pool, NINJA)
    before = (await CircuitStore(pool).all())[NINJA]
    worker, command = (_traffic(pool, TrafficLimits(5, 0), interactive=interactive) for interactive in (False, True))
    assert [sentence.split(" since ")[0] for sentence in await worker.failing(NINJA)] == ["invoiceninja is away"]
    with pytest.raises(Suspended):
        async with worker.admit(NINJA)("GET /a"):
            pytest.fail("it was sent")
    await command.failing(NINJA)
    with suppress(ServerError):
        async with command.admit(NINJA)("GET /a"):
            raise ServerError(NINJA, "GET /a", "still away", status=502)
    assert (await CircuitStore(pool).all())[NINJA] == before
    async with command.admit(NINJA)("GET /a"):
        pass
    assert (await CircuitStore(pool).all())[NINJA] == CLOSED


async def test_a_command_waits_for_its_turn(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a low rate the try of a worker is put off; a person's request waits, for nobody else sends it again."""
    monkeypatch.setattr(gate, "LONGEST_WAIT", 0.05)

    async def send(traffic: Traffic) -> None:
        for label in ("GET /a", "GET /b", "GET /c"):
            async with traffic.admit(NINJA)(label):
                pass

    with pytest.raises(Suspended):
        await send(_traffic(pool, TrafficLimits(5, 8), interactive=False))
    await send(_traffic(pool, TrafficLimits(5, 8), interactive=True))


async def test_what_a_person_is_told(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that leaves its work to the workers says what these wait for; nothing when all is well."""
    await warn_of_paused_systems(SETTINGS, pool)
    assert capsys.readouterr().err == ""
    await _leave_alone(pool, NINJA)
    await warn_of_paused_systems(SETTINGS, pool)
    assert "(no connection); the workers continue when it is back" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("system", "probe_in", "is_done"), [(NINJA, 60, False), (NINJA, -1, True), ("stripe", 60, True)]
)
async def test_by_the_clock_nobody_knocks_in_vain(pool: Pool, system: str, probe_in: float, is_done: bool) -> None:
    """Put off while a system that it needs is left alone; done when somebody may try, or another system is away."""
    await _leave_alone(pool, system, probe_in)
    done = list[str]()

    async def act() -> str:
        done.append("x")
        return "did it"

    acting: Any = unless_away(_traffic(pool, TrafficLimits(5, 0), interactive=False), ["taiga", NINJA], "test", act)
    if is_done:
        assert await acting() == "did it"
    else:
        with pytest.raises(NotNowError, match="put off: invoiceninja is away since"):
            await acting()
    assert bool(done) == is_done


@pytest.fixture
async def bridge(clean_database: str, redis_url: str) -> AsyncIterator[Bridge]:
    """An empty Taiga and an empty Invoice Ninja."""
    async with running_bridge(clean_database, redis_url) as made:
        yield made


async def test_reconciling_by_the_clock_goes_through_the_circuits(bridge: Bridge) -> None:
    """While Taiga is left alone it is not asked at all; when it is time one request tries, and then the run is done."""
    bridge.work("Loose end", loose=True).close()
    traffic = Traffic(CircuitStore(bridge.pool), {"taiga": TrafficLimits(5, 0)}, {})
    bridge.taiga.through(traffic.admit("taiga"))
    recent, nightly = taiga_jobs(bridge.taiga, lambda: bridge.context, bridge.pool, bridge.ingest, traffic, minutes=15)
    await _leave_alone(bridge.pool, "taiga")
    for job in (recent, nightly):
        with pytest.raises(NotNowError, match="taiga is away since"):
            await job.act()
    assert await bridge.count() == 0
    assert bridge.taiga_faults.count() == 0
    await _leave_alone(bridge.pool, "taiga", probe_in=-1)
    await traffic.circuits.renew()
    assert await recent.act() == "1 looked at, 1 enqueued"
    assert not traffic.circuits.open_ones()
