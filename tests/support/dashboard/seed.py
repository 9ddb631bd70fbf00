"""A small agency's month in the store, for tests that look at pages: every status, every kind of thing to do."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from handlers.ports.billing import Candidate, PaymentRecord
from mappings.invoiceninja.models import Invoice, Tax
from mappings.invoices.models import Entry, InvoicePlan, LeftOut, Line, PlannedInvoice, Terms, Totals
from mappings.invoices.period import parse_period
from middleware.accounts.passwords import hash_password
from middleware.intake.rejections import fingerprint
from middleware.sources.signing import sign_taiga
from middleware.store.billing.mirror import BookStore
from middleware.store.billing.payments import PaymentStore
from middleware.store.billing.plans import PlanStore
from middleware.store.events.rejections import Rejections, RejectionStore

PASSWORD = "correct horse battery"
ADMIN, VIEWER = "ada", "vic"
UNMATCHED, PLAN = "pi_3SeedUnmatched", "p-3f9a1c20b7de"
MAPPING: Mapping[str, Any] = {
    "project_mappings": [
        {
            "taiga_project_id": 1,
            "taiga_project_name": "Acme Website",
            "invoiceninja_client_id": "VolejRejNm",
            "invoiceninja_project_id": "Wpmbk5ezJn",
            "default_hourly_rate": 75,
        },
        {
            "taiga_project_id": 2,
            "taiga_project_name": "Globex Shop",
            "invoiceninja_client_id": "Opnel5aKBz",
            "rounding": "half_hour",
            "user_rates": {"mira": 110},
        },
        {"taiga_project_id": 3, "taiga_project_name": "Initech Care", "invoiceninja_client_id": "mWZdPBDeKg"},
    ],
    "user_rates": {"mira": 95, "tom": 60},
    "client_rules": {"Opnel5aKBz": {"payment_terms": "net14"}},
    "billing_rules": {"default_hourly_rate": 60, "rounding": "quarter_hour", "timezone": "Europe/Brussels"},
}
_WORK = (
    "Sign-in with a passkey",
    "Search in the catalogue",
    "Invoice addresses of companies",
    "Slow page of the basket",
    "Newsletter form",
    "Import of old customers",
    "Texts of the imprint",
    "Cookie banner",
    "Update of the server",
    "Report for the bookkeeper",
)
_PEOPLE = ("mira", "tom", "ines")
_CLIENTS = ("VolejRejNm", "Opnel5aKBz", "mWZdPBDeKg")
_EVENT = (
    "INSERT INTO events (source, type, key, subject, occurred_at, received_at, body, headers, status, attempts,"
    ' finished_at, reason, hint) VALUES ($1, $2, $3, $4, $5, $5, $6, \'{"user-agent": "Taiga"}\', $7, $8, $9, $10,'
    " $11) RETURNING id"
)
DEAD = (
    (
        'task #41 (https://taiga.example/project/acme/task/41): "about two" in Duration (Hours) is not a number',
        "write hours such as 1.5, 1,5, 1h30, 90m or 1:30, then replay this event",
    ),
    (
        'task #42 (https://taiga.example/project/globex/task/42): Invoice Ninja has no client "C-404"',
        "correct the client in Taiga, or invoiceninja_client_id in mappings.json, then replay this event",
    ),
    (
        "Taiga project 9 (Umbrella Intranet) is in no project mapping",
        "add it to project_mappings in mappings.json, then replay this event",
    ),
)


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of a seeded event."""

    number: int
    moment: datetime
    outcome: str
    reason: str
    status: int = 200


async def seed(pool: asyncpg.Pool, now: datetime | None = None) -> None:
    """Fill an empty database."""
    end = now or datetime.now(UTC)
    dice = random.Random(7)  # noqa: S311 - the same month every time
    await _people(pool)
    await _systems(pool)
    await _stripe(pool, dice, end)
    for number in range(1, 121):
        await _worked(pool, dice, number, end - timedelta(hours=6 * (121 - number)))
    await _troubles(pool, end)
    await _reviews(pool)
    await _books(pool, end)
    await _payments(pool, end)
    await _plan(pool)
    await _door(pool, end)


async def _people(pool: asyncpg.Pool) -> None:
    for name, role in ((ADMIN, "admin"), (VIEWER, "viewer")):
        await pool.execute(
            "INSERT INTO users (name, role, password_hash) VALUES ($1, $2, $3)", name, role, hash_password(PASSWORD)
        )
    await pool.execute(
        "INSERT INTO audit (actor, action, summary) VALUES ('cli:root', 'user.added', 'added admin ada'),"
        " ('cli:root', 'user.added', 'added viewer vic')"
    )


async def _systems(pool: asyncpg.Pool) -> None:
    await pool.execute("INSERT INTO workers (id, version, seen_at) VALUES ('w1', '0.1.0', now() + interval '1 hour')")
    await pool.execute(
        "INSERT INTO remotes (system, state, message) VALUES ('invoiceninja', 'ok', 'answers'),"
        " ('stripe', 'ok', 'answers'), ('taiga', 'ok', 'answers')"
    )


async def _worked(pool: asyncpg.Pool, dice: random.Random, number: int, moment: datetime) -> None:
    client = dice.randrange(3)
    subject, hours = f"taiga:task:{number}", Decimal(dice.randrange(1, 25)) / 4
    body = _task(number, _WORK[number % len(_WORK)], client + 1, _PEOPLE[dice.randrange(3)], moment)
    opened = "not closed"
    await pool.execute(
        _EVENT, "taiga", "task.create", f"c{number}", subject, moment - timedelta(hours=5), body, "ignored", 1,
        moment - timedelta(hours=5), opened, "",
    )  # fmt: skip
    if number % 9 == 0:
        why = ("not marked billable", "no hours yet")[number % 2]
        await pool.execute(
            _EVENT, "taiga", "task.change", f"k{number}", subject, moment, body, "ignored", 1, moment, why, ""
        )
        return
    reason = f"TAIGA-T{number} created: {hours} h at 75; Invoice Status is Pending Invoice"
    event_id = await pool.fetchval(
        _EVENT, "taiga", "task.change", f"k{number}", subject, moment, body, "processed", 1, moment, reason, ""
    )
    await _attempt(pool, event_id, Tried(1, moment, "processed", reason))
    sent = {
        "description": f"Task #{number}: {_WORK[number % len(_WORK)]}",
        "client_id": _CLIENTS[client],
        "project_id": "",
        "rate": "75",
        "raw_hours": str(hours),
        "hours": str(hours),
        "started_at": int(moment.timestamp() - 3600),
        "ended_at": int(moment.timestamp()),
    }
    origin = {"person": _PEOPLE[dice.randrange(3)], "taiga_project_id": client + 1}
    await pool.execute(
        "INSERT INTO links (subject, kind, number, remote_id, state) VALUES ($1, 'time_entry', $2, $3, $4)",
        subject, f"TAIGA-T{number}", f"ninja{number}", {"sent": sent, "origin": origin},
    )  # fmt: skip
    if number < 60:
        await pool.execute(
            "INSERT INTO links (subject, kind, number, remote_id, state) VALUES ($1, 'invoiced', $2, $3, $4)",
            subject, f"TAIGA-T{number}", f"inv{client}", {"invoice_number": f"2026-01{client}", "hours": str(hours)},
        )  # fmt: skip


async def _troubles(pool: asyncpg.Pool, end: datetime) -> None:
    for number, (reason, hint) in enumerate(DEAD, start=201):
        moment = end - timedelta(minutes=13 * (number - 200))
        body = _task(number, _WORK[number % len(_WORK)], 1, "tom", moment)
        event_id = await pool.fetchval(
            _EVENT,
            "taiga",
            "task.change",
            f"d{number}",
            f"taiga:task:{number}",
            moment,
            body,
            "dead",
            1,
            moment,
            reason,
            hint,
        )
        await _attempt(pool, event_id, Tried(1, moment, "dead", reason))
    moment = end - timedelta(minutes=4)
    reason = "invoiceninja: POST /api/v1/tasks answered 503: Service Unavailable"
    body = _task(210, "Upgrade of the shop", 2, "ines", moment)
    event_id = await pool.fetchval(
        _EVENT, "taiga", "task.change", "r210", "taiga:task:210", moment, body, "retrying", 2, None, reason, ""
    )
    await pool.execute("UPDATE events SET next_attempt_at = now() + interval '5 minutes' WHERE id = $1", event_id)
    for number in (1, 2):
        await _attempt(pool, event_id, Tried(number, moment + timedelta(seconds=20 * number), "retrying", reason, 503))


async def _stripe(pool: asyncpg.Pool, dice: random.Random, end: datetime) -> None:
    for number in range(39, 0, -1):
        moment = end - timedelta(hours=17 * number)
        body = json.dumps(
            {
                "id": f"evt_{number}",
                "type": "payment_intent.succeeded",
                "data": {"object": {"id": f"pi_{number}", "amount": 1000 * dice.randrange(1, 90), "currency": "eur"}},
            }
        )
        await pool.execute(
            _EVENT, "stripe", "payment_intent.succeeded", f"evt_{number}", f"stripe:payment:pi_{number}", moment,
            body.encode(), "processed", 1, moment, f"payment pi_{number} recorded on invoice 2026-0{number:02}", "",
        )  # fmt: skip


async def _door(pool: asyncpg.Pool, end: datetime) -> None:
    """A webhook of Taiga that was signed with another key, an old key, and somebody who knocked without any."""
    body = b'{"action":"test","type":"test","by":null,"date":"2026-11-21T10:00:00Z","data":{"test":"test"}}'
    told = "X-TAIGA-WEBHOOK-SIGNATURE is not the HMAC of the body with any of our keys"
    signed = {"x-taiga-webhook-signature": sign_taiga(body, "secret\n"), "content-type": "application/json"}
    moment, store = end - timedelta(minutes=40), RejectionStore(pool)
    await store.add(
        [
            Rejections("taiga", "missing_signature", "no signature", "203.0.113.9", moment, moment, sample=b"x" * 2048),
            Rejections("taiga", "wrong_signature", told, "192.0.2.44", moment, end, 3, signed, body),
            Rejections("stripe", "unknown_source", "webhooks of stripe are not enabled", "198.51.100.2", moment, end),
        ]
    )
    uses = {("taiga", fingerprint("secret")): end, ("taiga", fingerprint("old")): end - timedelta(days=40)}
    await store.keys_used(uses)


async def _reviews(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO reviews (subject, kind, summary, details) VALUES ('taiga:task:12', 'credit_proposal',"
        " 'task #12 (https://taiga.example/project/acme/task/12): 4.5 h were invoiced, now 3 h are right: credit"
        " 1.5 h?',"
        """ '{"billed_hours": "4.5", "hours": "3"}')"""
    )


async def _attempt(pool: asyncpg.Pool, event_id: int, tried: Tried) -> None:
    calls = [
        {"system": "taiga", "method": "GET", "path": "/api/v1/tasks/41", "status": 200, "ms": 38, "error": ""},
        {"system": "invoiceninja", "method": "POST", "path": "/api/v1/tasks", "status": tried.status, "ms": 112}
        | {"error": ""},
    ]
    await pool.execute(
        "INSERT INTO attempts (event_id, number, started_at, duration_ms, outcome, reason, calls)"
        " VALUES ($1, $2, $3, 163, $4, $5, $6)",
        event_id,
        tried.number,
        tried.moment,
        tried.outcome,
        tried.reason,
        calls,
    )


def _task(number: int, title: str, project: int, person: str, moment: datetime) -> bytes:
    return json.dumps(
        {
            "action": "change",
            "type": "task",
            "date": moment.isoformat(),
            "by": {"id": 5, "username": person, "full_name": person.capitalize()},
            "data": {
                "id": number,
                "ref": number,
                "subject": title,
                "permalink": f"https://taiga.example/project/p{project}/task/{number}",
                "project": {"id": project, "name": f"Project {project}"},
                "assigned_to": {"username": person},
                "status": {"name": "Closed", "is_closed": True},
                "custom_attributes_values": {"Billable": True, "Duration (Hours)": 2},
            },
        }
    ).encode()


async def _books(pool: asyncpg.Pool, end: datetime) -> None:
    names = dict(zip(_CLIENTS, ("Acme GmbH", "Globex Ltd", "Initech SA"), strict=True))
    books = BookStore(pool)
    await books.save_clients([(client_id, name, "EUR") for client_id, name in names.items()])
    told = (
        ("1", 0, 30),
        ("2", 1, 30),
        ("3", 0, 12),
        ("2", 2, -8),
        ("2", 0, -44),
        ("4", 1, -30),
        ("4", 2, -60),
        ("5", 1, 0),
    )
    invoices = []
    for number, (status, client, due_in) in enumerate(told):
        amount = Decimal(400 + 137 * number)
        balance = {"4": Decimal(0), "5": Decimal(0), "3": amount / 2}.get(status, amount)
        due = (end + timedelta(days=due_in)).date()
        invoices.append(
            Invoice(
                id=f"inv{number}",
                number=f"2026-01{number}",
                client_id=_CLIENTS[client],
                status_id=status,
                amount=amount,
                balance=balance,
                paid_to_date=amount - balance,
                total_taxes=Decimal(0),
                date=(due - timedelta(days=30)).isoformat(),
                due_date=due.isoformat(),
                lines=(),
                updated_at=1_790_000_000 + number,
            )
        )
    await books.save_invoices(invoices)
    await books.read_to_the_end(end)


async def _payments(pool: asyncpg.Pool, end: datetime) -> None:
    payments = PaymentStore(pool)
    told = (
        ("paid", 53700, 0, "inv5"),
        ("refunded", 80000, 80000, "inv6"),
        ("partial", 33700, 0, "inv2"),
        ("paid", 12000, 0, ""),
    )
    for number, (status, amount, refunded, invoice) in enumerate(told, start=1):
        await payments.save(
            PaymentRecord(
                identity=f"pi_3SeedPayment{number:04}",
                subject=f"stripe:payment:pi_3SeedPayment{number:04}",
                status=status,
                reason="recorded" if invoice else "paid through Invoice Ninja's own gateway",
                currency="eur",
                amount=amount,
                refunded=refunded,
                payer="billing@acme.example",
                paid_at=end - timedelta(days=number - 1),
                client_id=_CLIENTS[0],
                invoice_id=invoice,
                invoice_number=f"2026-01{invoice[3:]}" if invoice else "",
                livemode=True,
            )
        )
    candidates = (
        Candidate("inv1", "2026-011", _CLIENTS[1], "537.00", "open for 537.00 EUR, the payment has 530.00 EUR"),
        Candidate("inv3", "2026-013", _CLIENTS[2], "811.00", "open for 811.00 EUR, the payment has 530.00 EUR"),
    )
    await payments.save(
        PaymentRecord(
            identity=UNMATCHED,
            subject=f"stripe:payment:{UNMATCHED}",
            status="unmatched",
            reason="nothing names an invoice: neither its metadata nor a payment page of ours",
            currency="eur",
            amount=53000,
            payer="office@globex.example",
            paid_at=end - timedelta(hours=9),
            candidates=candidates,
        )
    )
    await pool.execute(
        "INSERT INTO reviews (subject, kind, summary) VALUES ($1, 'unmatched_payment',"
        " '530.00 EUR from office@globex.example are for no invoice yet')",
        f"stripe:payment:{UNMATCHED}",
    )


async def _plan(pool: asyncpg.Pool) -> None:
    period = parse_period("2026-10", "Europe/Brussels")
    invoices = tuple(
        planned_invoice(client_id, name) for client_id, name in zip(_CLIENTS, ("Acme GmbH", "Globex Ltd"), strict=False)
    )
    left_out = (LeftOut(_CLIENTS[2], "Initech SA", "#203: Texts of the imprint", 0, "event 243 is not done (dead)"),)
    await PlanStore(pool).save(InvoicePlan(PLAN, period, invoices, left_out))
    await pool.execute(
        "INSERT INTO reviews (subject, kind, summary, details) VALUES ('invoices:run:monthly', 'invoice_plan',"
        " 'invoices of 2 clients for 2026-10 wait for you', $1)",
        {"plan_id": PLAN},
    )


def planned_invoice(client_id: str, name: str, scope: str = "") -> PlannedInvoice:
    """An invoice of a plan over three tasks."""
    tax = Tax("VAT", Decimal(21))
    lines = tuple(
        Line(f"ninja{number}", f"Task #{number}: {_WORK[number % len(_WORK)]}", Decimal(hours), Decimal(75), (tax,))
        for number, hours in ((61, "4.25"), (62, "1.5"), (64, "3"))
    )
    entries = tuple(
        Entry(
            task_id=line.task_id,
            number=line.task_id.replace("ninja", "TAIGA-T"),
            client_id=client_id,
            project_id="",
            project="",
            description=line.notes,
            person="mira",
            first_day=date(2026, 10, 5),
            day=date(2026, 10, 6),
            seconds=int(line.quantity * 3600),
            rate=line.cost,
            taxes=(tax,),
            product_key="",
            subject=line.task_id.replace("ninja", "taiga:task:"),
        )
        for line in lines
    )
    totals = Totals(Decimal("656.25"), Decimal(0), ((tax, Decimal("137.81")),), Decimal("137.81"), Decimal("794.06"))
    terms = Terms("net30", "run_day", "Europe/Brussels", "custom_value4")
    return PlannedInvoice(client_id, name, scope, scope, "EUR", 2, entries, lines, totals, terms, "review")
