"""What can be done to an invoice besides editing: flags, actions by GET, bulk actions (facts section 8)."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from middleware.lab.sandbox.invoiceninja import ledger, records
from middleware.lab.sandbox.invoiceninja.call import Call, RefusedError, invalid, refuse
from middleware.lab.sandbox.invoiceninja.clients import invited_addresses
from middleware.lab.sandbox.invoiceninja.listing import paged
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.state import Mail, NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import ZERO, decimal, number, text

_PAYABLE = (ledger.DRAFT, ledger.SENT, ledger.PARTIAL)
_PDF = b"%PDF-1.4\n1 0 obj\n<</Title (sandbox)>>\nendobj\ntrailer\n<<>>\n%%EOF\n"


def link_tasks(state: NinjaState, invoice: Row) -> None:
    """Unlink all tasks of the invoice, then link those of its lines, whatever they were linked to (the trap).

    Archived and deleted tasks stay as they are: linked or not, whatever the lines bill.
    """
    tasks = state.tables["tasks"]
    for task in tasks.having("invoice_id", invoice.id):
        if not task["archived_at"]:
            records.change(state, "tasks", task, {"invoice_id": ""})
    for line in invoice["line_items"]:
        task_row = tasks.get(line["task_id"])
        if task_row is not None and not task_row["archived_at"]:
            records.change(state, "tasks", task_row, {"invoice_id": invoice.id})


def trigger(call: Call, invoice: Row) -> None:
    """Do what the flags in query or body ask for; only `true` counts."""
    state, reference = call.state, text(call.given("reference"))
    if call.flag("mark_sent") or call.flag("auto_bill"):
        ledger.mark_sent(state, invoice)
    if call.flag("paid") and invoice["status_id"] in _PAYABLE:
        _pay_rest(state, invoice, reference)
    paid = decimal(call.given("amount_paid"))
    if paid > 0:
        ledger.pay_invoice(state, invoice, paid, state.today(), reference)
    if call.flag("send_email"):
        send_mail(state, invoice)
    if call.flag("cancel"):
        cancel(state, invoice)


def send_mail(state: NinjaState, invoice: Row) -> None:
    """Send the invoice: it becomes sent, also when nobody has an address; only a `message_id` tells of a mail."""
    ledger.mark_sent(state, invoice)
    addresses = {} if state.is_mail_down else invited_addresses(state, invoice)
    if addresses:
        state.mails.append(Mail("invoice", invoice.id, tuple(addresses.values())))
    invitations = [
        {**one, "message_id": f"{len(state.mails):08}{one['client_contact_id']}@sandbox"}
        if one["client_contact_id"] in addresses
        else one
        for one in invoice["invitations"]
    ]
    records.change(state, "invoices", invoice, {"last_sent_date": state.today(), "invitations": invitations})


def cancel(state: NinjaState, invoice: Row) -> None:
    """Cancel what is sent or partially paid; anything else stays as it is. Tasks stay linked."""
    if invoice["status_id"] not in (ledger.SENT, ledger.PARTIAL):
        return
    ledger.change_client(state, invoice["client_id"], balance=-decimal(invoice["balance"]))
    records.change(state, "invoices", invoice, {"status_id": ledger.CANCELLED, "balance": 0})


def delete_invoice(state: NinjaState, invoice: Row) -> None:
    """Delete softly: the number is freed, tasks are unlinked, payments lose what they paid."""
    if invoice["is_deleted"]:
        return
    for task in state.tables["tasks"].having("invoice_id", invoice.id):
        records.change(state, "tasks", task, {"invoice_id": ""})
    for payment in state.payments_of_invoice.get(invoice.id, []):
        _take_from_payment(state, payment, invoice)
    ledger.change_client(state, invoice["client_id"], balance=-decimal(invoice["balance"]))
    records.change(state, "invoices", invoice, {"number": _freed_number(state, invoice["number"])})
    records.delete(state, "invoices", invoice)


def restore_invoice(state: NinjaState, invoice: Row) -> None:
    """Bring an invoice back: with its old number if that is free, else a new one."""
    if invoice["is_deleted"]:
        old = invoice["number"].partition("_Deleted")[0]
        taken = state.tables["invoices"].numbered(old) is not None
        fresh = state.next_number("invoice") if taken else old
        records.change(state, "invoices", invoice, {"number": fresh})
        ledger.change_client(state, invoice["client_id"], balance=decimal(invoice["balance"]))
    records.restore(state, "invoices", invoice)


def _take_from_payment(state: NinjaState, payment: Row, invoice: Row) -> None:
    """Reduce a payment by what it paid of a deleted invoice; one that paid nothing else goes with it."""
    used = sum((decimal(item["amount"]) for item in payment["paymentables"] if _is_for(item, invoice)), ZERO)
    refunded = sum((decimal(item["refunded"]) for item in payment["paymentables"] if _is_for(item, invoice)), ZERO)
    values = {
        "amount": number(decimal(payment["amount"]) - used),
        "applied": number(decimal(payment["applied"]) - used),
        "paymentables": [item for item in payment["paymentables"] if not _is_for(item, invoice)],
    }
    records.change(state, "payments", payment, values)
    ledger.change_client(state, payment["client_id"], paid_to_date=refunded - used)
    if payment["amount"] == 0:
        records.delete(state, "payments", payment)


def _is_for(item: Mapping[str, Any], invoice: Row) -> bool:
    return item.get("invoice_id") == invoice.id


def _freed_number(state: NinjaState, old: str) -> str:
    freed, attempt = f"{old}_Deleted", 0
    while state.tables["invoices"].numbered(freed) is not None:
        attempt += 1
        freed = f"{old}_Deleted_{attempt}"
    return freed


def _pay_rest(state: NinjaState, invoice: Row, reference: str) -> None:
    ledger.mark_sent(state, invoice)
    ledger.pay_invoice(state, invoice, decimal(invoice["balance"]), state.company_today(), reference)


def _mark_paid(state: NinjaState, invoice: Row) -> None:
    if invoice["status_id"] in _PAYABLE:
        _pay_rest(state, invoice, "")


def _archive(state: NinjaState, invoice: Row) -> None:
    records.archive(state, "invoices", invoice)


def _do_nothing(_: NinjaState, __: Row) -> None:
    """Stand for a bulk action that the server does not know and silently accepts."""


ACTIONS: Mapping[str, Callable[[NinjaState, Row], None]] = {
    "mark_sent": ledger.mark_sent,
    "mark_paid": _mark_paid,
    "paid": _mark_paid,
    "auto_bill": ledger.mark_sent,
    "email": send_mail,
    "send_email": send_mail,
    "cancel": cancel,
    "archive": _archive,
    "restore": restore_invoice,
    "delete": delete_invoice,
}


def act(call: Call, row_id: str, action: str) -> Any:
    """Answer GET /invoices/<id>/<action>."""
    row = call.row("invoices", row_id)
    if action == "download":
        return pdf(row)
    if action not in ACTIONS:
        refuse(400, f"The requested action {action} is not available.")
    if action == "mark_paid" and row["status_id"] not in _PAYABLE:
        raise RefusedError(400, {"error": {"message": "Invoice cannot be marked as paid"}})
    before = one(call, "invoices", row)
    ACTIONS[action](call.state, row)
    if action == "cancel":
        return Response(b"", media_type="text/html")
    # The delete action answers with the invoice as it was.
    return before if action == "delete" else one(call, "invoices", row)


def bulk(call: Call) -> Any:
    """Answer POST /invoices/bulk: a second equal action within a second is refused, unknown ones do nothing."""
    action = text(call.data.get("action"))
    if not action:
        invalid({"action": ["The action field is required."]})
    if call.state.is_repeated("bulk", call.ip, action):
        refuse(400, "Duplicate request")
    rows = records.rows_named(call, "invoices")
    if not rows:
        return {"message": "No Invoices Found"}
    perform = ACTIONS.get(action, _do_nothing)
    for row in rows:
        perform(call.state, row)
    return paged(call, "invoices", rows)


def pdf(invoice: Row) -> Response:
    """Give a tiny PDF under the file name of the real one."""
    ascii_number = unicodedata.normalize("NFKD", invoice["number"]).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.-]", "", ascii_number.replace(" ", "_"))
    headers = {"Content-Disposition": f"attachment; filename=Invoice_{name}.pdf"}
    return Response(_PDF, media_type="application/pdf", headers=headers)


def pdf_by_key(call: Call) -> Any:
    """Answer GET /invoice/<invitation key>/download."""
    key = call.segments[-2]
    for invoice in call.state.tables["invoices"]:
        if any(invitation["key"] == key for invitation in invoice["invitations"]):
            return pdf(invoice)
    return refuse(400, "no record found")
