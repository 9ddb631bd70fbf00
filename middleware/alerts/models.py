"""What alerts are about, and the records that flow from a look into the store to a message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AlertKind:
    """A kind of trouble: what one and several of it are called, and which page of the dashboard shows it."""

    one: str
    many: str
    page: str


KINDS: Mapping[str, AlertKind] = {
    "stuck": AlertKind("task or payment is stuck", "tasks or payments are stuck", "/events?status=dead"),
    "source_silent": AlertKind("source is silent", "sources are silent", "/#systems"),
    "credentials_refused": AlertKind("system refuses our credentials", "systems refuse our credentials", "/#systems"),
    "system_away": AlertKind("system does not answer", "systems do not answer", "/#systems"),
    "plan_to_review": AlertKind("invoice run waits for approval", "invoice runs wait for approval", "/invoices"),
    "unmatched_payment": AlertKind("payment fits no invoice", "payments fit no invoice", "/payments"),
    "review": AlertKind("thing needs a person", "things need a person", "/reviews"),
    "balance": AlertKind("balance does not add up", "balances do not add up", "/"),
    "work_waits": AlertKind("event waits too long", "events wait too long", "/"),
    "mapping_broken": AlertKind("mapping file is broken", "mapping files are broken", "/mapping"),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that needs a person now. `key` names it within its kind."""

    kind: str
    key: str
    summary: str


def _everything(_key: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look says of a kind. What it does not list is over, if it `speaks_of` that key."""

    kind: str
    conditions: tuple[Condition, ...]
    speaks_of: Callable[[str], bool] = _everything


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    title: str
    body: str
    is_good_news: bool = False
