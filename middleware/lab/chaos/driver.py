"""What breaks, and when: processes die, servers lose their memory, the other systems fail in every known way."""

import asyncio
import itertools
import random
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from middleware.lab.chaos.processes import Part
from middleware.lab.chaos.stack import Stack
from middleware.lab.sandbox.faults import Rule

Act = Callable[[], Coroutine[Any, Any, None]]

WRITES = "POST|PUT|PATCH|DELETE"
SHORTEST, LONGEST = 0.3, 3.0
VICTIMS = ("receiver", "worker", "Redis", "PostgreSQL", "taiga", "ninja", "stripe")
REPEATABLE = r"^(?!.*/payments/)"
"""Refunds and the use of payments add up: carried out late, they are made good by a further payment, see the tests."""

SPOILED: dict[str, tuple[Rule, ...]] = {
    "500 before the work": (Rule(status=500, times=None, probability=0.5),),
    "500 after the work": (Rule(method=WRITES, when="after", status=500, times=None, probability=0.6),),
    "502 for everything": (Rule(status=502, times=None),),
    "429": (Rule(status=429, retry_after=1, times=None, probability=0.4),),
    "HTML with 200 before": (Rule(action="html", times=None, probability=0.5),),
    "HTML with 200 after": (Rule(method=WRITES, action="html", when="after", times=None, probability=0.6),),
    "hangs before": (Rule(action="hang", times=None, probability=0.2),),
    "hangs after": (Rule(method=WRITES, action="hang", when="after", times=None, probability=0.3),),
    "cut before": (Rule(action="cut", times=None, probability=0.4),),
    "cut after": (Rule(method=WRITES, action="cut", when="after", times=None, probability=0.6),),
    "late writes": (Rule(method=WRITES, path=REPEATABLE, action="late", seconds=1.5, times=None, probability=0.4),),
    "slow writes": (Rule(method=WRITES, action="delay", seconds=0.6, times=None, probability=0.5),),
    "slow answers": (Rule(action="delay", when="after", seconds=0.6, times=None, probability=0.3),),
}

# Longer than a recheck waits: only plans without rechecks name it. A loaded machine retries late, and work that is done
# before the retry does no harm.
ONLY_NAMED: dict[str, tuple[Rule, ...]] = {
    "writes after the retry": (
        Rule(method=WRITES, path=REPEATABLE, action="late", seconds=6, times=None, probability=0.4),
    ),
}


class Driver:
    """Breaks one thing after the other, by chance of the seed; several may be broken at the same time."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._stack = stack
        self._chance = chance
        self._healing: set[asyncio.Task[None]] = set()
        self._servers = asyncio.Lock()

    async def run(self, seconds: float) -> None:
        """Break things for so long, and at least `Plan.least_faults` of them; then heal everything."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds

        def is_enough() -> bool:
            return loop.time() >= until and self.done.total() >= self._stack.plan.least_faults

        while not is_enough():
            for name, act in self._shuffled():
                if is_enough():
                    break
                self.done[name] += 1
                self._later(act())
                await asyncio.sleep(self._chance.uniform(0.4, 1.6) * self._stack.plan.seconds_between_faults)
        await self.heal()

    async def heal(self) -> None:
        """Everything runs and answers again."""
        await asyncio.gather(*self._healing)
        for faults in self._stack.faults.values():
            faults.heal()
        await asyncio.gather(*(part.start() for part in self._stack.parts))

    def _shuffled(self) -> list[tuple[str, Act]]:
        """Every way of breaking something, kills and faults of the other systems in turn."""
        return _in_turn([self._dealt(self._kills()), self._dealt(self._spoils())])

    def _dealt(self, deck: dict[str, Act]) -> list[tuple[str, Act]]:
        """What the plan wants of these, shuffled; everybody is hit once before somebody is hit again."""
        wanted = self._stack.plan.breaks
        cards = [(name, act) for name, act in deck.items() if not wanted or any(one in name for one in wanted)]
        self._chance.shuffle(cards)
        hands: dict[str, list[tuple[str, Act]]] = {}
        for name, act in cards:
            hands.setdefault(victim(name), []).append((name, act))
        return _in_turn(list(hands.values()))

    def _kills(self) -> dict[str, Act]:
        kills: dict[str, Act] = {}
        for part in self._stack.parts:
            kills[f"kill {part.name}"] = partial(self._kill, part)
            kills[f"kill {part.name} twice"] = partial(self._kill, part, times=2)
        return {
            **kills,
            "wipe Redis": self._wipe_redis,
            "kill and wipe Redis": self._kill_redis,
            "kill PostgreSQL": self._kill_postgres,
            "restart PostgreSQL": self._restart_postgres,
        }

    def _spoils(self) -> dict[str, Act]:
        spoils = SPOILED | (ONLY_NAMED if self._stack.plan.breaks else {})
        return {
            f"{system}: {name}": partial(self._spoil, system, rules)
            for name, rules in spoils.items()
            for system in self._stack.faults
        }

    def _later(self, act: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(act)
        self._healing.add(task)
        task.add_done_callback(self._healing.discard)

    async def _kill(self, part: Part, times: int = 1) -> None:
        for _ in range(times):
            await part.end(signal.SIGKILL)
            await asyncio.sleep(self._chance.uniform(0, 0.8))
            await part.start()
            if times > 1:
                await asyncio.sleep(self._chance.uniform(0.8, 2.0))

    async def _wipe_redis(self) -> None:
        async with self._servers:
            self._stack.redis.wipe()

    async def _kill_redis(self) -> None:
        async with self._servers:
            self._stack.redis.kill()
            await asyncio.sleep(self._chance.uniform(0, 1.0))
            self._stack.redis.wipe()
            self._stack.redis.start()

    async def _kill_postgres(self) -> None:
        async with self._servers:
            self._stack.postgres.kill()
            await asyncio.sleep(self._chance.uniform(0, 1.0))
            self._stack.postgres.start()

    async def _restart_postgres(self) -> None:
        async with self._servers:
            self._stack.postgres.restart()

    async def _spoil(self, system: str, rules: tuple[Rule, ...]) -> None:
        faults = self._stack.faults[system]
        for rule in rules:
            faults.add(rule)
        await asyncio.sleep(self._chance.uniform(SHORTEST, LONGEST))
        faults.heal()


def victim(name: str) -> str:
    """Whom a way of breaking something hits."""
    return next(one for one in VICTIMS if one in name)


def _in_turn(hands: list[list[tuple[str, Act]]]) -> list[tuple[str, Act]]:
    """One card of each hand, again and again, until all are played."""
    return [card for cards in itertools.zip_longest(*hands) for card in cards if card is not None]
