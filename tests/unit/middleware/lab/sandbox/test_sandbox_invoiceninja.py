"""What the recordings cannot show of the sandbox Invoice Ninja: memory, mails, clock, currencies, pages."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, Mail, NinjaState, create_app

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Ninja:
    """A sandbox with a client, one customer and a clock that stands still."""

    def __init__(self, http: httpx.AsyncClient, state: NinjaState, faults: Faults) -> None:
        self.http = http
        self.state = state
        self.faults = faults
        self.now = START
        state.clock = lambda: self.now

    async def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """POST and give the `data` of the answer, else the whole answer."""
        return self._data(await self.http.post(f"/api/v1/{path}", json=body), status)

    async def put(self, path: str, body: Any, status: int = 200) -> Any:
        """PUT, as above."""
        return self._data(await self.http.put(f"/api/v1/{path}", json=body), status)

    async def get(self, path: str, status: int = 200) -> Any:
        """GET, as above."""
        return self._data(await self.http.get(f"/api/v1/{path}"), status)

    async def delete(self, path: str) -> Any:
        """DELETE, as above."""
        return self._data(await self.http.delete(f"/api/v1/{path}"), 200)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    async def invoice(self, client_id: str, cost: float, **more: Any) -> Any:
        """Make a sent invoice with one line."""
        lines = [{"notes": "x", "quantity": 1, "cost": cost}]
        return await self.post("invoices?mark_sent=true", {"client_id": client_id, "line_items": lines, **more})

    @staticmethod
    def _data(response: httpx.Response, status: int) -> Any:
        assert response.status_code == status, response.text
        answer = response.json()
        return answer.get("data", answer) if isinstance(answer, dict) else answer


@pytest.fixture
async def ninja() -> AsyncIterator[Ninja]:
    """A fresh sandbox, in-process."""
    app = create_app()
    headers = {"X-API-TOKEN": DEFAULT_TOKEN, "Accept": "application/json"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as http:
        yield Ninja(http, app.state.ninja, app.state.faults)


@pytest.fixture
async def client_id(ninja: Ninja) -> str:
    """A customer with a mail address."""
    client = await ninja.post("clients", {"name": "Acme", "contacts": [{"email": "eva@acme.example"}]})
    return str(client["id"])


@pytest.mark.parametrize(("receipt", "mailed"), [("false", False), (None, True), ("true", True)])
async def test_receipts_go_out_unless_refused(
    ninja: Ninja, client_id: str, receipt: str | None, *, mailed: bool
) -> None:
    """A payment without `email_receipt` mails the customer, because the company setting is on by default."""
    body = {"client_id": client_id, "amount": 5} | ({} if receipt is None else {"email_receipt": receipt})
    payment = await ninja.post("payments", body)
    expected = [Mail("payment_receipt", payment["id"], ("eva@acme.example",))] if mailed else []
    assert ninja.state.mails == expected


async def test_bulk_email_sends_drafts(ninja: Ninja, client_id: str) -> None:
    """The bulk action marks a draft as sent, notes the day and the mail."""
    draft = await ninja.post("invoices", {"client_id": client_id, "line_items": [{"quantity": 2, "cost": 50}]})
    await ninja.post("invoices/bulk", {"action": "email", "ids": [draft["id"]]})
    sent = await ninja.get(f"invoices/{draft['id']}")
    assert (sent["status_id"], sent["balance"], sent["last_sent_date"]) == ("2", 100, "2026-11-21")
    assert [mail.kind for mail in ninja.state.mails] == ["invoice"]


async def test_guards_end_after_a_second(ninja: Ninja, client_id: str) -> None:
    """Equal payments and equal bulk actions are duplicates for one second, even for different records."""
    first, second = await ninja.invoice(client_id, 10), await ninja.invoice(client_id, 10)
    for row, status in ((first, 200), (second, 400)):
        used = [{"invoice_id": row["id"], "amount": 10}]
        await ninja.post("payments", {"client_id": client_id, "amount": 10, "invoices": used}, status)
        await ninja.post("invoices/bulk", {"action": "archive", "ids": [row["id"]]}, status)
    ninja.pass_time(1.0)
    used = [{"invoice_id": second["id"], "amount": 10}]
    await ninja.post("payments", {"client_id": client_id, "amount": 10, "invoices": used})


async def test_sums_of_a_client_follow_its_documents(ninja: Ninja, client_id: str) -> None:
    """Sending, paying, crediting, refunding, cancelling and deleting keep the client's sums right."""
    paid, open_one = await ninja.invoice(client_id, 100), await ninja.invoice(client_id, 40)
    used = [{"invoice_id": paid["id"], "amount": 100}]
    payment = await ninja.post("payments", {"client_id": client_id, "amount": 130, "invoices": used})
    assert await _sums(ninja, client_id) == (40, 130, 30, 0)
    back = [{"invoice_id": paid["id"], "amount": 25}]
    await ninja.post("payments/refund", {"id": payment["id"], "date": "2026-11-21", "invoices": back})
    assert (await _sums(ninja, client_id))[:2] == (65, 105)
    await ninja.http.get(f"/api/v1/invoices/{open_one['id']}/cancel")
    assert (await _sums(ninja, client_id))[:2] == (25, 105)
    credit = await ninja.post(
        "credits?mark_sent=true", {"client_id": client_id, "line_items": [{"quantity": 1, "cost": 20}]}
    )
    assert (await _sums(ninja, client_id))[3] == 20
    body = {"client_id": client_id, "amount": 0, "invoices": [{"invoice_id": paid["id"], "amount": 20}]}
    await ninja.post("payments", body | {"credits": [{"credit_id": credit["id"], "amount": 20}]})
    assert await _sums(ninja, client_id) == (5, 125, 5, 0)
    await ninja.delete(f"payments/{payment['id']}")
    assert (await _sums(ninja, client_id))[:2] == (80, 20)


async def _sums(ninja: Ninja, client_id: str) -> tuple[float, ...]:
    client = await ninja.get(f"clients/{client_id}")
    return tuple(client[key] for key in ("balance", "paid_to_date", "payment_balance", "credit_balance"))


async def test_deleted_invoice_comes_back_with_its_balance(ninja: Ninja, client_id: str) -> None:
    """Restoring gives the old number back when it is still free, and the client owes again."""
    invoice = await ninja.invoice(client_id, 70, number="INV-7")
    assert (await ninja.delete(f"invoices/{invoice['id']}"))["number"] == "INV-7_Deleted"
    assert (await _sums(ninja, client_id))[0] == 0
    restored = await ninja.post("invoices/bulk", {"action": "restore", "ids": [invoice["id"]]})
    assert (restored[0]["number"], restored[0]["is_deleted"]) == ("INV-7", False)
    assert (await _sums(ninja, client_id))[0] == 70


async def test_number_patterns_and_reset_counters(ninja: Ninja, client_id: str) -> None:
    """The invoice sequence follows pattern and padding, and skips what is taken after its counter was reset."""
    settings = {"invoice_number_pattern": "R-{$year}-{$counter}", "counter_padding": 3}
    company = await ninja.put("companies/VolejRejNm", {"settings": settings})
    assert (await ninja.invoice(client_id, 1))["number"] == "R-2026-001"
    await ninja.put("companies/VolejRejNm", {"settings": {"invoice_number_counter": 1}})
    assert (await ninja.invoice(client_id, 1))["number"] == "R-2026-002"
    assert company["settings"]["currency_id"] == "1"


async def test_amounts_follow_the_currency_of_the_client(ninja: Ninja) -> None:
    """A yen invoice has no decimals, a Kuwaiti one has three."""
    amounts = []
    for code in ("JPY", "KWD", "EUR"):
        client = await ninja.post("clients", {"name": code, "currency_code": code})
        amounts.append((await ninja.invoice(client["id"], 10.0455))["amount"])
    assert amounts == [10, 10.046, 10.05]


async def test_document_taxes_discounts_and_surcharges(ninja: Ninja, client_id: str) -> None:
    """A fixed discount is spread over the lines for their tax, document taxes and surcharges come on top."""
    lines = [{"quantity": 1, "cost": 100, "tax_name1": "A", "tax_rate1": 10}, {"quantity": 1, "cost": 100}]
    body = {"client_id": client_id, "line_items": lines, "discount": 20, "is_amount_discount": True}
    more = {"tax_name1": "BB", "tax_rate1": 5, "custom_surcharge1": 3}
    invoice = await ninja.post("invoices", {**body, **more})
    assert (invoice["total_taxes"], invoice["amount"]) == (18, 201)


async def test_moving_a_task_moves_its_hours(ninja: Ninja, client_id: str) -> None:
    """The hours of a project follow its tasks: moved, deleted and restored."""
    ids = [(await ninja.post("projects", {"name": n, "client_id": client_id}))["id"] for n in "ab"]
    body = {"number": "T", "time_log": "[[1795240800,1795248000]]"}
    task = await ninja.post("tasks", {**body, "project_id": ids[0]})
    await ninja.put(f"tasks/{task['id']}", {**body, "project_id": ids[1]})
    assert [(await ninja.get(f"projects/{key}"))["current_hours"] for key in ids] == [0, 2]
    await ninja.delete(f"tasks/{task['id']}")
    await ninja.post("tasks/bulk", {"action": "restore", "ids": [task["id"]]})
    assert (await ninja.get(f"projects/{ids[1]}"))["current_hours"] == 2


async def test_running_tasks_stop_with_the_clock(ninja: Ninja) -> None:
    """Start opens an entry at the present time, stop closes it."""
    task = await ninja.post("tasks", {"number": "T"})
    await ninja.post("tasks/bulk", {"action": "start", "ids": [task["id"]]})
    assert len(await ninja.get("tasks?client_status=is_running")) == 1
    ninja.pass_time(90)
    await ninja.post("tasks/bulk", {"action": "stop", "ids": [task["id"]]})
    now = int(START.timestamp())
    stopped = await ninja.get(f"tasks/{task['id']}")
    assert (stopped["time_log"], stopped["is_running"]) == (f"[[{now},{now + 90}]]", False)


async def test_notes_are_kept_per_record(ninja: Ninja, client_id: str) -> None:
    """A note is found again in the history of its record only."""
    first, second = await ninja.invoice(client_id, 1), await ninja.invoice(client_id, 2)
    await ninja.post("activities/notes", {"entity": "invoices", "entity_id": first["id"], "notes": "disputed"})
    history = await ninja.post("activities/entity", {"entity": "invoice", "entity_id": first["id"]})
    assert [item["notes"] for item in history] == ["disputed"]
    assert await ninja.post("activities/entity", {"entity": "invoice", "entity_id": second["id"]}) == []


async def test_webhook_subscriptions_end(ninja: Ninja) -> None:
    """A deleted subscription is gone, and its id is not used again."""
    body = {"event_id": 4, "target_url": "http://127.0.0.1:9/hook"}
    first = await ninja.post("webhooks", body)
    await ninja.delete(f"webhooks/{first['id']}")
    second = await ninja.post("webhooks", body)
    changed = await ninja.put(f"webhooks/{second['id']}", {**body, "rest_method": "put"})
    assert (changed["rest_method"], first["id"] != second["id"]) == ("put", True)
    assert [hook["id"] for hook in await ninja.get("webhooks")] == [second["id"]]


async def test_statics_know_currencies(ninja: Ninja) -> None:
    """The currencies have ids, codes and Invoice Ninja's own precision."""
    known = {item["code"]: (item["id"], item["precision"]) for item in (await ninja.get("statics"))["currencies"]}
    assert known["EUR"] == ("3", 2)
    assert known["HUF"] == ("69", 0)


async def test_reports_are_throttled_without_a_hint(ninja: Ninja) -> None:
    """The 21st report within a minute is a 429 without Retry-After."""
    statuses = [(await ninja.http.post("/api/v1/reports/clients", json={})).status_code for _ in range(21)]
    assert statuses == [200] * 20 + [429]
    ninja.pass_time(60)
    await ninja.post("reports/clients", {}, 200)


async def test_lost_answer_leaves_the_payment(ninja: Ninja, client_id: str) -> None:
    """With a cut after the work the client sees a broken connection, but the payment is there to be found."""
    ninja.faults.add(method="POST", path="/payments$", action="cut", when="after")
    with pytest.raises(httpx.RemoteProtocolError):
        await ninja.post("payments", {"client_id": client_id, "amount": 9, "number": "pi_1"})
    assert [row["amount"] for row in await ninja.get("payments?number=pi_1")] == [9]
    assert ninja.faults.count("POST", "/payments") == 1


async def test_pages_of_a_large_table_are_complete(ninja: Ninja, client_id: str) -> None:
    """Walking the pages of filtered tasks gives each task once, in order, also after some were invoiced."""
    project = await ninja.post("projects", {"name": "p", "client_id": client_id})
    for index in range(30):
        await ninja.post("tasks", {"number": f"T{index}", "project_id": project["id"] if index % 2 else ""})
    task = (await ninja.get("tasks?number=T3"))[0]
    await ninja.invoice(client_id, 1, line_items=[{"type_id": "2", "task_id": task["id"]}])
    path = f"tasks?client_status=uninvoiced&status=active&project_tasks={project['id']}&per_page=4&sort=id|asc"
    pages = [await ninja.get(f"{path}&page={page}") for page in range(1, 6)]
    assert [row["number"] for page in pages for row in page] == [f"T{i}" for i in range(1, 30, 2) if i != 3]


async def test_projects_and_credits_can_be_changed(ninja: Ninja, client_id: str) -> None:
    """A project takes a new rate and number; a changed credit keeps what was used of it."""
    project = await ninja.post("projects", {"name": "p", "client_id": client_id})
    changed = await ninja.put(f"projects/{project['id']}", {"number": "P-9", "task_rate": "80.5", "name": "q"})
    assert (changed["number"], changed["task_rate"], changed["name"]) == ("P-9", 80.5, "q")
    credit = await ninja.post("credits", {"client_id": client_id, "line_items": [{"quantity": 1, "cost": 20}]})
    sent = await ninja.put(f"credits/{credit['id']}?mark_sent=true", {"number": "C-9"})
    assert (sent["number"], sent["status_id"], sent["balance"]) == ("C-9", "2", 20)
    raised = await ninja.put(f"credits/{credit['id']}", {"line_items": [{"quantity": 1, "cost": 50}]})
    assert (raised["amount"], raised["balance"]) == (50, 50)
    assert (await _sums(ninja, client_id))[3] == 50


async def test_part_of_a_payment_survives_its_invoice(ninja: Ninja, client_id: str) -> None:
    """Deleting one of two paid invoices takes only its part of the payment."""
    first, second = await ninja.invoice(client_id, 30), await ninja.invoice(client_id, 70)
    used = [{"invoice_id": first["id"], "amount": 30}, {"invoice_id": second["id"], "amount": 70}]
    payment = await ninja.post("payments", {"client_id": client_id, "amount": 100, "invoices": used})
    await ninja.delete(f"invoices/{first['id']}")
    left = await ninja.get(f"payments/{payment['id']}")
    assert (left["amount"], left["applied"], left["is_deleted"]) == (70, 70, False)
    assert [item["invoice_id"] for item in left["paymentables"]] == [second["id"]]
    assert (await _sums(ninja, client_id))[:2] == (0, 70)


async def test_unapplied_payment_is_refunded_without_invoices(ninja: Ninja, client_id: str) -> None:
    """Money that paid no invoice is given back by its amount, at most once."""
    payment = await ninja.post("payments", {"client_id": client_id, "amount": 50})
    body = {"id": payment["id"], "date": "2026-11-21", "amount": 50, "send_email": True}
    assert (await ninja.post("payments/refund", body))["status_id"] == "6"
    await ninja.post("payments/refund", body, 422)
    assert [mail.kind for mail in ninja.state.mails] == ["payment_receipt", "refund"]
    assert await _sums(ninja, client_id) == (0, 0, 0, 0)


async def test_pdf_opens_by_the_key_of_the_invitation(ninja: Ninja, client_id: str) -> None:
    """The link that a customer gets leads to the PDF without a token."""
    invoice = await ninja.invoice(client_id, 1)
    key = invoice["invitations"][0]["key"]
    pdf = await ninja.http.get(f"/api/v1/invoice/{key}/download", headers={"X-API-TOKEN": ""})
    assert (pdf.status_code, pdf.headers["content-type"], pdf.content[:5]) == (200, "application/pdf", b"%PDF-")


async def test_task_rates_fall_back(ninja: Ninja) -> None:
    """Without a rate the project's counts, then the client's, then the company's."""
    await ninja.put("companies/VolejRejNm", {"settings": {"default_task_rate": 10}})
    plain = await ninja.post("clients", {"name": "a"})
    rich = await ninja.post("clients", {"name": "b", "settings": {"default_task_rate": 20}})
    project = await ninja.post("projects", {"name": "p", "client_id": rich["id"], "task_rate": 30})
    bodies = [{}, {"client_id": plain["id"]}, {"client_id": rich["id"]}, {"project_id": project["id"]}, {"rate": 40}]
    assert [(await ninja.post("tasks", body))["rate"] for body in bodies] == [10, 10, 20, 30, 40]
