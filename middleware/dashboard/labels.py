"""Names that pages show for the words of the program."""

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from middleware.dashboard.formats import count_text
from middleware.sources.table import SOURCES

SYSTEMS: Mapping[str, str] = {
    "invoiceninja": "Invoice Ninja",
    "postgresql": "PostgreSQL",
    "redis": "Redis",
    "worker": "Worker",
    "schedule": "Schedule",
}

STATUS_HELP: Mapping[str, str] = {
    "received": "is waiting for a worker",
    "processing": "is at work",
    "retrying": "is retried automatically",
    "processed": "is done",
    "ignored": "needed nothing",
    "dead": "needs a person",
    "discarded": "was closed by a person",
}

REVIEWS: Mapping[str, str] = {
    "credit_proposal": "Hours became fewer after they were invoiced",
    "unknown_project": "Recorded without a project",
    "attribute_missing": "An attribute is missing in Taiga",
    "invoice_plan": "An invoice plan waits for approval",
    "invoice_flagged": "An invoice differs from what was meant",
    "invoice_not_mailed": "An invoice was not e-mailed",
    "invoice_cancelled": "An invoice was cancelled: what becomes of its hours?",
    "hours_lost": "Hours are on no invoice and in no plan",
    "unmatched_payment": "A payment names no invoice",
    "mapping_reference": "A name in mappings.json means nothing",
    "payment_problem": "A payment contradicts Invoice Ninja",
}


EFFECTS: Mapping[str, tuple[str, str]] = {
    "create": ("sent", "would create"),
    "update": ("sent", "would change"),
    "delete": ("waiting", "would delete"),
    "send": ("sent", "would send"),
    "review": ("waiting", "would ask a person"),
    "nothing": ("", "nothing to do"),
    "dead": ("dead", "would be dead"),
    "retry": ("retrying", "would be tried again"),
}
"""What a replay would do: the colour of its chip, and the words on it."""

_REVIEW_PAGES = {"unmatched_payment": "/payments", "invoice_plan": "/invoices"}


def system_name(word: str) -> str:
    """How people call a system or a source."""
    source = SOURCES.get(word)
    return source.title if source else SYSTEMS.get(word, word)


def sentence(text: str) -> str:
    """The text with a large first letter; the rest keeps its writing."""
    return text[:1].upper() + text[1:]


def review_name(kind: str) -> str:
    """What a review is about; an unknown kind speaks for itself."""
    return REVIEWS.get(kind, kind.replace("_", " ").capitalize())


def review_page(kind: str) -> str:
    """Where reviews of a kind are dealt with."""
    return _REVIEW_PAGES.get(kind) or f"/reviews?{urlencode({'kind': kind})}"


NOTICES: Mapping[str, str] = {
    "replayed": "queued again",
    "discarded": "discarded",
    "closed": "closed",
    "decided": "decision saved; a worker carries it out",
    "applied": "invoices ordered; a worker creates them now",
    "linked": "payment page is ready to send",
}


def notice(said: str) -> str:
    """What the last action did, of the word and number that its address carries; "" for anything else.

    Addresses can be made by anybody, so they choose among our sentences and bring no text of their own.
    """
    found = re.fullmatch(r"([a-z]+)-(\d{1,9})", said, re.ASCII)
    if found is None or found[1] not in NOTICES:
        return ""
    number = int(found[2])
    if not number:
        return "Nothing was done: what you chose is being processed, or has changed since you opened the page."
    return f"Done: {count_text(number)} {NOTICES[found[1]]}."
