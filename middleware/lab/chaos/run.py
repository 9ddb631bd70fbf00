"""One run from beginning to end: a storm, healing, draining, counting."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from middleware.lab.chaos.count import Counted, count_edits, count_entries, count_events, count_payments
from middleware.lab.chaos.driver import Driver
from middleware.lab.chaos.letters import letters_of_stripe, letters_of_taiga
from middleware.lab.chaos.payers import Payers
from middleware.lab.chaos.plan import Plan
from middleware.lab.chaos.sender import Post, Sender
from middleware.lab.chaos.stack import START_SECONDS, STRIPE_SECRET, Stack, alive, running_stack
from middleware.lab.chaos.taiga_people import TaigaPeople
from middleware.lab.sandbox.stripe import StripePeople
from middleware.lab.sandbox.taiga.people import Team
from middleware.store.database import STORE_ERRORS, Pool, open_pool

HOOK = "http://receiver.chaos/webhooks"
SECONDS_OF_QUIET = 1.5
# A heart beats every 10 seconds.
BEATING = "SELECT id FROM workers WHERE seen_at > now() - interval '25 seconds'"
UNFINISHED = "SELECT EXISTS (SELECT FROM events WHERE finished_at IS NULL) OR EXISTS (SELECT FROM second_looks)"


@dataclass(slots=True)
class Result:
    """What happened, and the count."""

    plan: Plan
    post: Post
    lines: list[Counted]
    broken: dict[str, int]
    starts: dict[str, int]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_right(self) -> bool:
        """Whether there is no difference."""
        return all(line.is_right for line in self.lines)


class World:
    """People, their letters and the sender, on a running stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.plan = stack.plan
        self._chances = {
            name: _chance(f"{self.plan.seed} {name}") for name in ("work", "money", "post", "faults", "luck")
        }
        team = Team(stack.taiga)
        places = [team.project(name, hook=f"{HOOK}/taiga") for name in ("Acme Website", "Globex Shop")]
        self.people = TaigaPeople(team, places, self._chances["work"])
        stripe = StripePeople(stack.stripe)
        stripe.listen(f"{HOOK}/stripe", STRIPE_SECRET)
        self.payers = Payers(stripe, stack.bills, self._chances["money"])
        self.sender = Sender(stack.addresses, self._chances["luck"])
        self.driver = Driver(stack, self._chances["faults"])
        self.deliveries = 0

    async def storm(self) -> None:
        """People work at an even pace while things break."""
        breaking = asyncio.create_task(self.driver.run(self.plan.storm_seconds))
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            while self.deliveries < self.plan.webhooks:
                passed = (loop.time() - started) / self.plan.storm_seconds
                if self.deliveries <= passed * self.plan.webhooks:
                    self._act(passed)
                await asyncio.sleep(0.002)
            self.payers.finish()
            self.collect()
            await breaking
        finally:
            breaking.cancel()

    def _act(self, passed: float) -> None:
        self.people.burst()
        paid = sum(bool(bill.intents) for bill in self.payers.bills)
        if self.payers.bills and paid < passed * len(self.payers.bills) * 1.2:
            self.payers.act()
        self.collect()

    def collect(self) -> None:
        """Put what Taiga and Stripe want to send into the post; write-backs make new webhooks, too."""
        now, chance = asyncio.get_running_loop().time(), self._chances["post"]
        for taiga in self.stack.taiga.outbox.take():
            self.deliveries += 1
            self.sender.put(letters_of_taiga(taiga, now, chance))
        for stripe in self.stack.stripe.outbox.take():
            self.deliveries += 1
            self.sender.put(letters_of_stripe(stripe, now, chance))

    async def drain(self, pool: Pool) -> None:
        """Wait until all letters are answered and all events have an end, for a moment; at most `drain_seconds`.

        Waits between tries, which double up to an hour, are cut short: what would take the night takes seconds.
        """
        deadline = time.monotonic() + self.plan.drain_seconds
        quiet_since = time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - quiet_since < SECONDS_OF_QUIET:
            self.collect()
            with suppress(*STORE_ERRORS):
                await pool.execute(
                    "UPDATE events SET next_attempt_at = now()"
                    " WHERE status = 'retrying' AND next_attempt_at > now() + interval '2 seconds'"
                )
                if not self.sender.is_idle or self._is_late or await pool.fetchval(UNFINISHED):
                    quiet_since = time.monotonic()
            await asyncio.sleep(0.1)

    async def _living(self, pool: Pool) -> list[str]:
        """The parts that do their work; those that were started a moment ago get the time for it."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            living = await alive(self.stack, [row["id"] for row in await pool.fetch(BEATING)])
            if len(living) == len(self.stack.parts) or time.monotonic() > deadline:
                return living
            await asyncio.sleep(0.2)

    @property
    def _is_late(self) -> bool:
        """Whether one of the other systems will still do work for a client that is gone."""
        return any(faults.late for faults in self.stack.faults.values())

    async def count(self, pool: Pool) -> list[Counted]:
        """The count."""
        undelivered = self.sender.left
        living = await self._living(pool)
        ended = [f"{part.name} does no work any more" for part in self.stack.parts if part.name not in living]
        return [
            Counted(
                "deliveries never acknowledged",
                0,
                undelivered,
                ("the receivers did not take them",) * bool(undelivered),
            ),
            Counted("receivers and workers at work", len(self.stack.parts), len(living), tuple(ended)),
            *await count_events(self.sender.post, pool),
            *count_entries(self.people.wishes, self.stack),
            *count_edits(self.people.wishes, writes_back=self.plan.reads_taiga),
            *count_payments(self.stack.bills, self.stack.ninja, closes_refunds=self.plan.closes_refunds),
        ]


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - repeatable


async def run(plan: Plan, folder: Path) -> Result:
    """Play the plan.

    Raises:
        RuntimeError: the stack did not start.
    """
    clock = time.monotonic()
    async with running_stack(plan, folder) as stack, open_pool(stack.postgres.url, size=2) as pool:
        await _until_workers(pool, plan.workers)
        world = World(stack)
        seconds = {"start": time.monotonic() - clock}
        async with _running(world.sender):
            for name, act in (("storm", world.storm()), ("drain", world.drain(pool))):
                clock = time.monotonic()
                await act
                seconds[name] = time.monotonic() - clock
        lines = await world.count(pool)
        starts = {part.name: part.starts for part in stack.parts}
        return Result(plan, world.sender.post, lines, dict(sorted(world.driver.done.items())), starts, seconds)


async def _until_workers(pool: Pool, number: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while await pool.fetchval("SELECT count(*) FROM workers") < number:  # noqa: ASYNC110 - they are other processes
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _running(sender: Sender) -> AsyncIterator[None]:
    sending = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
