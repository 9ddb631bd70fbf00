"""What people do in the sandbox Taiga during the demo, and what should come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from mappings.codes import Code
from middleware.lab.sandbox.taiga.people import Card, StoryCard, Team

HOURS, BILLABLE, RATE, CLIENT = "Duration (Hours)", "Billable", "Hourly Rate", "Client Invoice ID"


@dataclass(frozen=True, slots=True)
class Expected:
    """What should arrive: billed hours and rate, or the code of the outcome."""

    hours: Decimal | None = None
    rate: Decimal | None = None
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """One piece of work as people did it."""

    told: str
    card: Card
    expected: Expected


def play(team: Team, hook: str) -> list[Story]:
    """Let people work; every action puts its webhook into Taiga's outbox."""
    acme = team.project("Acme Website", hook=hook)
    globex = team.project("Globex Shop", hook=hook)
    build, care = acme.story("As a customer I can sign in"), globex.story("Care of the shop")
    plots: list[tuple[str, StoryCard, Callable[[Card], object], Expected]] = [
        ("closed with 4.1 h", build, lambda card: _filled(card, 4.1).close(), _bills("4.25", "75")),
        ("hours typed as 1,5", build, lambda card: _filled(card, "1,5").close(), _bills("1.5", "75")),
        (
            "own rate, senior does it",
            build,
            lambda card: _filled(card, 2).set(RATE, 120).close(),
            _bills("2", "120"),
        ),
        ("closed first, hours later", build, lambda card: _filled(card.close(), "1h30"), _bills("1.5", "75")),
        (
            "reopened, more hours, closed again",
            care,
            lambda card: _filled(card, 3).close().reopen().set(HOURS, 5).close(),
            _bills("5", "60"),
        ),
        (
            "not billable",
            build,
            lambda card: card.fill({HOURS: 8, BILLABLE: False}).close(),
            _not(Code.NOT_MARKED_BILLABLE),
        ),
        ("reopened and left open", care, lambda card: _filled(card, 2).close().reopen(), _not(Code.NOT_CLOSED)),
        ("still in progress", care, lambda card: _filled(card, 6).move("In progress"), _not(Code.NOT_CLOSED)),
        ("closed without hours", care, lambda card: card.fill({BILLABLE: True}).close(), _not(Code.NO_HOURS)),
        ("nonsense in the hours", build, lambda card: _filled(card, "about two").close(), _not(Code.BAD_HOURS)),
        (
            "client that does not exist",
            care,
            lambda card: _filled(card, 1).set(CLIENT, "C-404").close(),
            _not(Code.CLIENT_UNKNOWN),
        ),
        ("deleted after closing", care, _closed_and_deleted, _not(Code.DELETED_IN_TAIGA)),
    ]
    stories = []
    for told, story, act, expected in plots:
        card = story.task(told[0].upper() + told[1:])
        act(card)
        stories.append(Story(told, card, expected))
    return stories


def mapping(acme_client: str, globex_client: str) -> dict[str, object]:
    """mappings.json of the demo: the first two Taiga projects and their clients."""
    return {
        "project_mappings": [
            {
                "taiga_project_id": 1,
                "taiga_project_name": "Acme Website",
                "invoiceninja_client_id": acme_client,
                "default_hourly_rate": 75,
            },
            {
                "taiga_project_id": 2,
                "taiga_project_name": "Globex Shop",
                "invoiceninja_client_id": globex_client,
                "default_hourly_rate": 60,
            },
        ],
        "billing_rules": {"rounding": "quarter_hour", "timezone": "Europe/Brussels"},
    }


def _filled(card: Card, hours: object) -> Card:
    return card.fill({BILLABLE: True, HOURS: hours})


def _closed_and_deleted(card: Card) -> None:
    _filled(card, 2).close().delete()


def _bills(hours: str, rate: str) -> Expected:
    return Expected(Decimal(hours), Decimal(rate))


def _not(code: Code) -> Expected:
    return Expected(code=code)
