"""A bench for payments: the real handler and client on the sandbox Invoice Ninja; memory, history and locks at hand.

`Bench.deliver` does what receiver and processor do with an event: stored under its subject, converged, tried again.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import httpx

from handlers.errors import NeedsPerson, Rejected, RemoteError, RetryLater
from handlers.event import Event, Work
from handlers.outcome import Outcome
from handlers.payments.settle import settle_payment
from handlers.ports.billing import PaymentWorld, StripeMoney
from handlers.ports.context import Context
from mappings.config.file import MappingFile, parse_mapping
from mappings.stripe import Relevant, classify
from mappings.stripe.fields import BadStripeObject
from mappings.values.money import to_major
from middleware.clients.connect import connect_invoice_ninja
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState, create_app
from tests.support.fakes import FakeLinks, FakeReviews
from tests.support.payments.payment_fakes import START, Clock, FakeHistory, FakeLocks, FakeMemory
from tests.support.payments.stripe_story import Json, Story
from tests.support.recorded import RECORDINGS

DAY = 1_790_000_000
"""When most payments are made, in unix seconds."""

FAILED_AT = 1_790_003_603
"""When most payments fail, in unix seconds."""

__all__ = [
    "DAY",
    "FAILED_AT",
    "START",
    "Bench",
    "Clock",
    "FakeHistory",
    "FakeLocks",
    "FakeMemory",
    "amount_of",
    "bench",
    "charge_paid",
    "dispute",
    "events_of",
    "failed_intent",
    "intent",
    "open_invoice",
    "paid",
    "refund",
    "renamed",
    "stage",
    "stripe_event",
    "subject_of",
]

MOST_TRIES = 30


class Bench:
    """One Invoice Ninja, one memory, one handler."""

    def __init__(self, state: NinjaState, clock: Clock) -> None:
        self.state = state
        self.spoil(Faults())
        self.clock = clock
        self.memory = FakeMemory()
        self.history = FakeHistory()
        self.reviews = FakeReviews()
        self.locks = FakeLocks()
        self.mapping: MappingFile = parse_mapping("{}")
        self.stripe: StripeMoney | None = None
        self.live: bool | None = True
        self.own_account = ""
        self.reads_again = True
        self._count = 0
        self._keys: set[str] = set()

    def spoil(self, faults: Faults) -> None:
        """From now on these faults act on the requests, which are counted anew."""
        self.faults = faults
        transport = httpx.ASGITransport(create_app(self.state, faults))
        self.ninja: InvoiceNinja = connect_invoice_ninja("http://ninja.test", DEFAULT_TOKEN, transport)

    @property
    def context(self) -> Context:
        """What the handler gets."""
        world = PaymentWorld(
            self.ninja,
            self.memory,
            self.history,
            self.locks.exclusive,
            stripe=self.stripe,
            live=self.live,
            account=self.own_account,
        )
        return Context(self.mapping, self.clock, self.ninja, FakeLinks(), self.reviews, payments=world)

    def rule(self, **rules: Any) -> None:
        """Set billing rules."""
        self.mapping = parse_mapping(json.dumps({"billing_rules": rules}))

    async def client(self, currency: str = "EUR", email: str = "buyer@example.test") -> str:
        """A client with this currency; returns its id."""
        body = {"name": "Acme", "currency_code": currency, "contacts": [{"email": email}]}
        return str((await self.post("/clients", body))["id"])

    async def invoice(self, client_id: str, amount: str, number: str = "", **fields: Any) -> str:
        """A sent invoice over this amount; returns its id."""
        lines = [{"notes": "work", "quantity": 1, "cost": amount, "type_id": "1"}]
        draft = fields.pop("draft", False)
        named = {"number": number} if number else {}
        body = {"client_id": client_id, "date": "2026-09-01", "due_date": "2026-12-31", "line_items": lines}
        flags = "" if draft else "?mark_sent=true"
        return str((await self.post(f"/invoices{flags}", {**body, **named, **fields}))["id"])

    async def post(self, path: str, body: Json, method: str = "POST") -> Json:
        """A request of a person's at Invoice Ninja."""
        answer = await self.ninja._request(method, path, body=body)
        data: Json = answer.data["data"]
        return data

    async def deliver(self, event: Json) -> Outcome | NeedsPerson | Rejected:
        """Store an event (a repeated id only once) and converge its subject until it ends."""
        return await self.converge(self.store_told(event))

    def store_told(self, event: Json) -> str:
        """Store an event of Stripe as the receiver does, a repeated id only once; returns its subject."""
        subject = subject_of(event)
        if event["id"] not in self._keys:
            self._keys.add(event["id"])
            self.store("stripe", event["type"], subject, event, event.get("created"))
        return subject

    def store(self, source: str, kind: str, subject: str, payload: Json, created: Any = None) -> Event:
        """Store an event without working on it."""
        self._count += 1
        moment = datetime.fromtimestamp(created, UTC) if isinstance(created, int) else self.clock()
        event = Event(self._count, source, kind, f"key-{self._count}", subject, moment, self.clock(), payload)
        self.history.events[subject].append(event)
        return event

    async def decide(self, identity: str, action: str, **payload: Any) -> Outcome | NeedsPerson | Rejected:
        """What `taiga-billing payments match` and `ignore` do."""
        known = self.memory.records.get(identity)
        subject = known.subject if known else f"stripe:payment:{identity}"
        self.clock.wait(1)
        self.store("operator", f"payment.{action}", subject, {"by": "eva", **payload})
        return await self.converge(subject)

    async def converge(self, subject: str) -> Outcome | NeedsPerson | Rejected:
        """Work on a subject until it ends, waiting as long as is asked for."""
        events = self.history.events[subject]
        newest = max(events, key=lambda event: (event.occurred_at, event.id))
        for _ in range(MOST_TRIES):
            try:
                return await settle_payment(Work(subject, (events[-1],), newest), self.context)
            except RetryLater as later:
                self.clock.wait(later.delay)
            except (NeedsPerson, Rejected) as error:
                return error
            except RemoteError:
                self.clock.wait(5)
        raise AssertionError(f"{subject} was not settled after {MOST_TRIES} tries")

    async def deliver_all(self, events: Iterable[Json]) -> None:
        """Deliver events one after the other."""
        for event in events:
            await self.deliver(event)

    def books(self) -> Json:
        """What Invoice Ninja holds that counts: payments, invoices, credits and the clients' sums; no ids."""
        tables = self.state.tables
        return {
            "payments": sorted(_payment(row) for row in tables["payments"] if not row["is_deleted"]),
            "invoices": sorted(_invoice(row) for row in tables["invoices"]),
            "credits": sorted(
                (row["number"], str(row["amount"]), str(row["balance"])) for row in _live(tables["credits"])
            ),
            "clients": sorted((str(row["paid_to_date"]), str(row["balance"])) for row in tables["clients"]),
        }

    def sums(self) -> tuple[object, ...]:
        """What each client paid and owes, each invoice, what is left of each payment's money, and what does not fit."""
        kept: dict[str, Decimal] = {}
        for row in _live(self.state.tables["payments"]):
            reference = str(row["transaction_reference"])
            kept[reference] = kept.get(reference, Decimal(0)) + _decimal(row["amount"]) - _decimal(row["refunded"])
        clients = sorted((str(row["paid_to_date"]), str(row["balance"])) for row in self.state.tables["clients"])
        invoices = sorted((str(row["balance"]), row["status_id"]) for row in self.state.tables["invoices"])
        return clients, invoices, {key: money for key, money in kept.items() if money}, self.misfits()

    def misfits(self) -> list[str]:
        """What of a client's sums does not follow from the records; empty in books that are right.

        What a client has paid is the money that was kept, and the credits in use: Invoice Ninja counts them as paid.
        """
        payments, credits_ = _live(self.state.tables["payments"]), _live(self.state.tables["credits"])
        found = []
        for client in self.state.tables["clients"]:
            mine = [row for row in payments if row["client_id"] == client.id]
            kept = sum((_decimal(row["amount"]) - _decimal(row["refunded"]) for row in mine), Decimal(0))
            parts = (part for row in mine for part in row["paymentables"] if "credit_id" in part)
            used = sum((_decimal(part["amount"]) for part in parts), Decimal(0))
            invoices = (row for row in _live(self.state.tables["invoices"]) if row["client_id"] == client.id)
            expected = {
                "paid_to_date": kept + used,
                "balance": sum((_decimal(row["balance"]) for row in invoices), Decimal(0)),
                "credit_balance": sum(
                    (_decimal(row["balance"]) for row in credits_ if row["client_id"] == client.id), Decimal(0)
                ),
            }
            shown = {name: _decimal(client[name]) for name in expected}
            found += [f"{name} {shown[name]}, not {sum_}" for name, sum_ in expected.items() if shown[name] != sum_]
        return found

    def payments(self) -> list[Any]:
        """The payments that count, with money."""
        return [row for row in _live(self.state.tables["payments"]) if row["amount"]]

    def invoice_row(self, invoice_id: str) -> Any:
        """An invoice as the server holds it."""
        return self.state.tables["invoices"].get(invoice_id)

    def notes(self) -> list[str]:
        """All notes that were written."""
        return [row["notes"] for row in self.state.tables["activities"]]


def _decimal(value: Any) -> Decimal:
    return Decimal(str(value))


def _live(table: Iterable[Any]) -> list[Any]:
    return [row for row in table if not row["is_deleted"]]


def _payment(row: Any) -> tuple[str, ...]:
    used = sorted(f"{part['amount']}-{part['refunded']}" for part in row["paymentables"])
    fields = ("number", "transaction_reference", "date", "amount", "applied", "refunded", "type_id", "private_notes")
    return (*(str(row[name]) for name in fields), *used)


def _invoice(row: Any) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("number", "status_id", "amount", "balance", "paid_to_date", "due_date"))


def subject_of(event: Json) -> str:
    """The subject as the receiver finds it."""
    try:
        verdict = classify(event)
    except BadStripeObject:
        return f"stripe:event:{event.get('id')}"
    return verdict.subject if isinstance(verdict, Relevant) else f"stripe:event:{event['id']}"


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja."""
    clock = Clock()
    desk = Bench(NinjaState(clock=clock), clock)
    try:
        yield desk
    finally:
        await desk.ninja.aclose()


def renamed(events: Iterable[Json], ids: Mapping[str, str]) -> list[Json]:
    """Events with other ids and numbers in their texts."""
    text = json.dumps(list(events))
    for old, new in ids.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    changed: list[Json] = json.loads(text)
    return changed


async def stage(desk: Bench, line: Story, amount: str | None = None) -> list[Json]:
    """Make the client and invoice that a story is about, and return its events with the invoice's id."""
    told = _index()[line.name]
    currency = str(told.get("currency") or "eur").upper()
    client_id = await desk.client(currency)
    number = told.get("invoice_number") or "2026-0001"
    invoice_id = await desk.invoice(client_id, amount or amount_of(line), number)
    return renamed(line.events, {line.invoice_id: invoice_id} if line.invoice_id else {})


def amount_of(line: Story) -> str:
    """What is paid in a story, in units of its currency; 100 where nothing is."""
    told = _index()[line.name]
    paid = told["expect"].get("paid", 0)
    return str(to_major(paid, told["currency"])) if paid and told["currency"] != "ugx" else "100"


@cache
def _index() -> dict[str, Json]:
    lines = json.loads((RECORDINGS / "stripe" / "events" / "INDEX.json").read_text("utf-8"))
    return {line["story"]: line for line in lines}


async def events_of(desk: Bench, steps: Iterable[tuple[str, str, int, str]], paid: int = 8800) -> list[Json]:
    """A card payment of an invoice over 88 EUR, and what happened to it afterwards: (kind, id, amount, status)."""
    invoice_id = await desk.invoice(await desk.client(), "88.00", "2026-0100")
    events = [stripe_event("payment_intent.succeeded", 1_790_000_000, intent(paid, invoice_number="2026-0100"))]
    assert invoice_id
    for number, (kind, key, amount, status) in enumerate(steps, start=1):
        made = {"id": key, "object": kind, "amount": amount, "currency": "eur", "status": status}
        body = {**made, "payment_intent": "pi_1", "charge": "ch_1", "created": 1_790_100_000 + int(key[-1])}
        name = "refund.updated" if kind == "refund" else "charge.dispute.updated"
        events.append(stripe_event(name, 1_790_100_000 + number * 100, body))
    return events


def intent(received: int, key: str = "pi_1", currency: str = "eur", **metadata: str) -> Json:
    """A payment intent that succeeded."""
    return {
        "id": key,
        "object": "payment_intent",
        "amount": received,
        "amount_received": received,
        "currency": currency,
        "status": "succeeded",
        "created": 1_790_000_000,
        "metadata": metadata,
        "customer": None,
    }


def stripe_event(kind: str, created: int, body: Json, **more: Any) -> Json:
    """An event about an object."""
    key = f"evt_{kind}_{created}_{body['id']}"
    return {
        "id": key,
        "object": "event",
        "type": kind,
        "created": created,
        "livemode": True,
        "api_version": "2026-10-28.endive",
        "data": {"object": body},
        **more,
    }


def paid(amount: int, key: str = "pi_1", currency: str = "eur", created: int = DAY, **metadata: str) -> Json:
    """The event of a payment that succeeded."""
    return stripe_event("payment_intent.succeeded", created, intent(amount, key, currency, **metadata))


async def open_invoice(desk: Bench, amount: str = "100.00", currency: str = "EUR", **fields: Any) -> str:
    """A sent invoice of a new client, number R-1."""
    return await desk.invoice(await desk.client(currency), amount, "R-1", **fields)


def refund(key: str, amount: int, *, payment: str = "pi_1", status: str = "succeeded", **more: Any) -> Json:
    """The event of a refund; the last letter of its id is its place in time."""
    created = 1_790_100_000 + int(key[-1])
    body = {"id": key, "object": "refund", "amount": amount, "currency": "eur", "status": status, "created": created}
    return stripe_event("refund.created", created, {**body, "payment_intent": payment, "charge": "ch_1", **more})


def dispute(status: str, amount: int, moved: Iterable[int] = (), *, key: str = "du_1", **more: Any) -> Json:
    """The event of a dispute of pi_1; `moved` are the amounts of its balance transactions."""
    created = 1_790_200_000 + int(key[-1])
    body = {"id": key, "object": "dispute", "amount": amount, "currency": "eur", "status": status, "created": created}
    body |= {"payment_intent": "pi_1", "charge": "ch_1"}
    moves = [
        {"id": f"txn_{key}_{index}", "object": "balance_transaction", "amount": one, "currency": "eur", "fee": 0}
        | {"created": created}
        for index, one in enumerate(moved)
    ]
    kind = "charge.dispute.closed" if status in {"won", "lost"} else "charge.dispute.updated"
    return stripe_event(kind, created, {**body, "balance_transactions": moves, **more})


def charge_paid(amount: int, **metadata: str) -> Json:
    """The event of a charge of pi_1 by card."""
    charge = {
        "id": "ch_9",
        "object": "charge",
        "payment_intent": "pi_1",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "captured": True,
        "currency": "eur",
        "status": "succeeded",
        "created": DAY,
        "metadata": metadata,
        "payment_method_details": {"type": "card", "card": {"brand": "mastercard"}},
    }
    return stripe_event("charge.succeeded", DAY, charge)


def failed_intent(number: str = "R-1") -> Json:
    """A card that was declined."""
    body = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 10000,
        "amount_received": 0,
        "currency": "eur",
        "status": "requires_payment_method",
        "created": FAILED_AT,
        "metadata": {"invoice_number": number},
        "last_payment_error": {"code": "card_declined", "message": "Your card was declined."},
    }
    return stripe_event("payment_intent.payment_failed", FAILED_AT, body)
