"""People who work in the sandbox Taiga, and our own memory of what they did: what should be billed at the end.

They change what Taiga shows them. Somebody who typed just the value which a late write had put there a moment ago would
change nothing, so Taiga would tell nobody (docs/reliability.md, what is not promised).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from middleware.lab.sandbox.taiga.people import Card, Place, StoryCard, Team

HOURS, BILLABLE, RATE, STATUS = "Duration (Hours)", "Billable", "Hourly Rate", "Invoice Status"
MOST_IN_A_BURST = 8
OFTEN_NEW, OFTEN_REOPENED = 0.5, 0.25


@dataclass(slots=True, eq=False)
class Wish:
    """A task as people left it. Hours in hundredths, the rate in cents (None: the project's)."""

    card: Card
    project: int
    subject: str
    hundredths: int | None = None
    cents: int | None = None
    is_billable: bool = False
    is_closed: bool = False
    is_deleted: bool = False

    @property
    def is_billed(self) -> bool:
        """Whether there should be an entry."""
        return self.is_closed and self.is_billable and bool(self.hundredths) and not self.is_deleted


class TaigaPeople:
    """Work in bursts: several changes of one task within a moment, each with its webhook."""

    def __init__(self, team: Team, places: list[Place], chance: random.Random) -> None:
        self.wishes: list[Wish] = []
        self._stories = [place.story(f"Story {place.id}") for place in places]
        self._team = team
        self._chance = chance
        self._acts: list[Callable[[Wish], None]] = [
            self._set_hours,
            self._set_hours,
            self._set_hours,
            self._rename,
            self._set_rate,
            self._comment,
        ]

    def burst(self) -> None:
        """Somebody works on a task, new or old."""
        alive = [wish for wish in self.wishes[-60:] if not wish.is_deleted]
        wish = self._new() if not alive or self._chance.random() < OFTEN_NEW else self._chance.choice(alive)
        for _ in range(self._chance.randint(1, MOST_IN_A_BURST)):
            self._chance.choice(self._acts)(wish)
        if self._chance.random() < OFTEN_REOPENED:
            self._chance.choice([self._close_or_reopen, self._toggle_billable])(wish)
        if self._chance.random() < 0.04:  # noqa: PLR2004 - few tasks are deleted
            wish.card.delete()
            wish.is_deleted = True

    def _new(self) -> Wish:
        story: StoryCard = self._chance.choice(self._stories)
        subject = f"Task {len(self.wishes)}"
        wish = Wish(story.task(subject), story.place.id, subject)
        self.wishes.append(wish)
        # Most work is billed in the end; the rest of the life of a task is chance.
        if self._chance.random() < 0.8:  # noqa: PLR2004 - most tasks
            for act in (self._set_hours, self._toggle_billable, self._close_or_reopen):
                act(wish)
        return wish

    def _set_hours(self, wish: Wish) -> None:
        hundredths = self._chance.randint(5, 990)
        is_shown = wish.card.values.get(HOURS) == hundredths / 100
        wish.hundredths = hundredths + 1 if is_shown else hundredths
        wish.card.set(HOURS, wish.hundredths / 100)

    def _toggle_billable(self, wish: Wish) -> None:
        wish.is_billable = not wish.card.values.get(BILLABLE)
        wish.card.set(BILLABLE, wish.is_billable)

    def _close_or_reopen(self, wish: Wish) -> None:
        wish.is_closed = not wish.is_closed
        if wish.is_closed:
            wish.card.close()
        else:
            wish.card.reopen()

    def _rename(self, wish: Wish) -> None:
        wish.subject = f"{wish.subject.partition(',')[0]}, {self._chance.randint(1, 999)}"
        wish.card.rename(wish.subject)

    def _set_rate(self, wish: Wish) -> None:
        rate = self._chance.randint(10, 150)
        is_shown = wish.card.values.get(RATE) == rate
        wish.cents = (rate + 1 if is_shown else rate) * 100
        wish.card.set(RATE, wish.cents // 100)

    def _comment(self, wish: Wish) -> None:
        wish.card.comment("How far are you?")
