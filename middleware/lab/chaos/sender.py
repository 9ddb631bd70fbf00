"""Sends every letter until it is acknowledged, and remembers what was acknowledged. Taiga itself would send once."""

import asyncio
import heapq
import itertools
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from middleware.lab.chaos.letters import Letter

ACCEPTED, DUPLICATE, FORBIDDEN, TOO_MANY, AWAY = 202, 200, 403, 429, 503
SENDERS = 24
LONGEST_ANSWER = 20.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.6


def as_text(content: object) -> str:
    """The content of a letter, alike for all that hold the same."""
    return json.dumps(content, sort_keys=True)


@dataclass(slots=True)
class Post:
    """What was sent and what came of it. `acknowledged`: the content that each event id was given for.

    `sent` are the contents of all good letters, as text.
    """

    acknowledged: dict[int, object] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)
    acknowledgements: int = 0
    forged: int = 0
    letters: int = 0


class Sender:
    """Many connections to several receivers, chosen by chance as a load balancer would."""

    def __init__(self, addresses: list[str], chance: random.Random) -> None:
        self.post = Post()
        self._addresses = addresses
        self._chance = chance
        self._waiting: list[tuple[float, int, Letter]] = []
        self._order = itertools.count()
        self._more = asyncio.Condition()
        self._under_way = 0

    @property
    def is_idle(self) -> bool:
        """Whether every letter has come to its end."""
        return not self._waiting and not self._under_way

    @property
    def left(self) -> int:
        """Letters without an end."""
        return len(self._waiting) + self._under_way

    def put(self, letters: list[Letter]) -> None:
        """Send these when they are due."""
        self.post.letters += len(letters)
        for letter in letters:
            if not letter.is_forged:
                self.post.sent.add(as_text(letter.content))
            heapq.heappush(self._waiting, (letter.due, next(self._order), letter))

    async def run(self) -> None:
        """Send for ever."""
        timeout = aiohttp.ClientTimeout(total=LONGEST_ANSWER, sock_connect=2)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=5)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=False) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(SENDERS):
                group.create_task(self._send_for_ever(session))

    async def _send_for_ever(self, session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._waiting or self._waiting[0][0] > loop.time():
                await asyncio.sleep(0.01)
                continue
            letter = heapq.heappop(self._waiting)[2]
            self._under_way += 1
            try:
                is_done = await self._send(session, letter)
                if not is_done:
                    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**letter.tries) * self._chance.uniform(0.5, 1)
                    letter.tries += 1
                    heapq.heappush(self._waiting, (loop.time() + pause, next(self._order), letter))
            finally:
                self._under_way -= 1

    async def _send(self, session: aiohttp.ClientSession, letter: Letter) -> bool:
        url = f"{self._chance.choice(self._addresses)}/webhooks/{letter.source}"
        try:
            async with session.post(url, data=letter.body, headers=letter.headers(int(time.time()))) as answer:
                content = await answer.read()
                return await self._judge(letter, answer.status, content, answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.post.answers[type(error).__name__] += 1
            return False

    async def _judge(self, letter: Letter, status: int, content: bytes, answer: aiohttp.ClientResponse) -> bool:
        self.post.answers[str(status)] += 1
        if letter.is_forged:
            return self._judge_forged(letter, status)
        if status in (ACCEPTED, DUPLICATE):
            told = await answer.json()
            self.post.acknowledgements += 1
            known = self.post.acknowledged.setdefault(told["event_id"], letter.content)
            if known != letter.content:
                self.post.mistakes.append(f"event {told['event_id']} was acknowledged for two different deliveries")
            return True
        if status != AWAY:
            self.post.mistakes.append(f"a good {letter.source} webhook was answered {status}: {content[:200]!r}")
        return status != AWAY

    def _judge_forged(self, letter: Letter, status: int) -> bool:
        if status == AWAY:
            return False
        self.post.forged += 1
        if status not in (FORBIDDEN, TOO_MANY):
            self.post.mistakes.append(f"a forged {letter.source} webhook was answered {status}")
        return True
