"""E-mail that was not sent is not called sent: recipients first, afterwards only a message id proves a mail."""

from typing import Any

import pytest

from handlers.errors import RetryLater
from handlers.event import Event
from handlers.invoices.send import MAIL, NOT_MAILED
from mappings.codes import Code
from mappings.invoiceninja.decode import read_invoice
from mappings.invoiceninja.models import Contact, NinjaClient
from mappings.invoiceninja.recipients import message_ids, recipients
from middleware.lab.sandbox.invoiceninja import ledger
from tests.support.invoicing.invoicing_bench import Office, as_event
from tests.unit.handlers.invoices.test_send_invoices import to_send


async def _draft(bureau: Office, **client: Any) -> Event:
    """A draft over 10 for a client, and the event that asks to send it."""
    acme = await bureau.client(**client)
    line = {"notes": "work", "quantity": 1, "cost": 10, "type_id": "1"}
    await bureau.ninja._request("POST", "/invoices", body={"client_id": acme, "line_items": [line]})
    (draft,) = await bureau.invoices()
    return to_send(1, draft.id, draft.number, "10")


@pytest.mark.parametrize(
    "contacts",
    [
        [],
        [{"first_name": "Ann"}],
        [{"email": "abcdefghijklmno@example.com"}],
        [{"first_name": "Ann"}, {"email": "ben@acme.test", "send_email": False}],
    ],
)
async def test_nobody_would_get_it(bureau: Office, contacts: list[dict[str, Any]]) -> None:
    """Without a real address of somebody who gets mail the invoice stays a draft, and a review names the client."""
    event = await _draft(bureau, contacts=contacts)
    outcome = await bureau.once(event)
    assert outcome.code is Code.NOTHING_TO_SEND
    assert outcome.reason == (
        "invoice 0001 was not sent: client Acme has no contact with an e-mail address that gets its invoices"
    )
    (draft,) = await bureau.invoices()
    assert (draft.status_id, bureau.state.mails) == ("1", [])
    assert bureau.reviews.kinds == [NOT_MAILED]


async def test_the_address_is_entered(bureau: Office) -> None:
    """Replayed after somebody entered the address, the invoice goes out and the review is closed."""
    event = await _draft(bureau, contacts=[])
    await bureau.once(event)
    for row in bureau.state.tables["clients"]:
        row.data["contacts"][0]["email"] = "ann@acme.test"
    assert (await bureau.once(event)).reason == "invoice 0001 sent"
    assert [mail.to for mail in bureau.state.mails] == [("ann@acme.test",)]
    assert bureau.reviews.kinds == []


async def test_the_mail_server_is_down(bureau: Office) -> None:
    """Invoice Ninja calls it sent at once; after a quarter of an hour without a mail a person is asked."""
    event = await _draft(bureau)
    bureau.state.is_mail_down = True
    for _minute in range(2):
        with pytest.raises(RetryLater, match="invoice 0001: Invoice Ninja has not sent the mail yet") as later:
            await bureau.once(event)
        assert later.value.code is Code.MAIL_AWAITED
        bureau.clock.wait(later.value.delay)
    bureau.clock.wait(15 * 60)
    outcome = await bureau.once(event)
    assert outcome.reason == "invoice 0001 was marked sent, but no mail was sent"
    assert bureau.reviews.kinds == [NOT_MAILED]
    assert not [link for link in bureau.links.rows.values() if link.kind == MAIL]
    assert (await bureau.once(event)).reason == "invoice 0001 is marked sent, but no e-mail of it is known"


async def test_a_queue_hands_the_mail_over_later(bureau: Office) -> None:
    """The message id appears minutes after the request: until then the event waits, nothing is sent twice."""
    event = await _draft(bureau)
    bureau.state.is_mail_down = True
    with pytest.raises(RetryLater):
        await bureau.once(event)
    (row,) = bureau.state.tables["invoices"]
    row.data["invitations"] = [{**one, "message_id": "1@mail"} for one in row.data["invitations"]]
    bureau.clock.wait(60)
    outcome = await bureau.once(event)
    assert (outcome.code, outcome.reason) == (Code.INVOICES_SENT, "invoice 0001 sent")


async def test_the_client_is_gone(bureau: Office) -> None:
    """A draft whose client was purged is not sent; the review names the client's id."""
    event = await _draft(bureau)
    (client,) = bureau.state.tables["clients"]
    bureau.state.tables["clients"].remove(client)
    assert client.id in (await bureau.once(event)).reason


async def test_a_number_that_comes_with_the_mail(bureau: Office) -> None:
    """Where drafts have no number, they are named by id and amount; the memory learns the number with the mail."""
    bureau.state.company["settings"]["counter_number_applied"] = "when_sent"
    acme = await bureau.client()
    bureau.rules(acme, auto_send=True)
    await bureau.synced(acme, "2", 7)
    (told,) = await bureau.bill()
    (draft,) = await bureau.invoices()
    assert told == f"invoice without a number yet ({draft.id}, 160): 160.00 USD for 2 h"
    assert draft.number == ""
    (send,) = [event for event in bureau.events.waiting.values() if event.type == "invoice.send"]
    assert await bureau.settle_together([as_event(send, 9)]) == "invoice 0001 sent"
    (sent,) = await bureau.invoices()
    assert sent.number == "0001"
    numbers = {
        link.state["invoice_number"] for link in bureau.links.rows.values() if link.kind in {"invoice", "invoiced"}
    }
    assert numbers == {"0001"}


def test_only_invited_contacts_count() -> None:
    """A contact who was not invited to this invoice does not get it; message ids are those that are there."""
    client = NinjaClient("c", "1", "Acme", contacts=(Contact("1", "a@x.test"), Contact("2", "b@x.test")))
    invoice = read_invoice({"id": "i", "invitations": [{"client_contact_id": "2", "message_id": "m1"}, {}]})
    assert recipients(invoice, client) == ("b@x.test",)
    assert message_ids(invoice.invitations) == {"m1"}


async def test_a_draft_that_became_sent_without_a_mail(bureau: Office) -> None:
    """A link preview opened it, which makes it sent: a person is asked, because nobody got it by mail."""
    event = await _draft(bureau)
    (row,) = bureau.state.tables["invoices"]
    ledger.mark_sent(bureau.state, row)
    assert (await bureau.once(event)).reason == "invoice 0001 is marked sent, but no e-mail of it is known"
    assert bureau.reviews.kinds == [NOT_MAILED]


async def test_a_plan_says_who_would_not_be_reached(bureau: Office) -> None:
    """Before the run: auto_send is on, and the client has no address."""
    acme = await bureau.client(contacts=[])
    bureau.rules(acme, auto_send=True)
    await bureau.work(acme, "2")
    assert (await bureau.plan()).warnings == (
        "Acme: no contact has an e-mail address, so its invoices stay drafts though auto_send is on",
    )


async def test_a_person_s_draft_without_a_number_is_seen(bureau: Office) -> None:
    """It bills 3 h whose link was lost: the plan leaves them out and names the draft, instead of billing them again."""
    bureau.state.company["settings"]["counter_number_applied"] = "when_sent"
    acme = await bureau.client()
    bureau.rules(acme)
    task = await bureau.work(acme, "3")
    line = {"type_id": "2", "task_id": task.id, "quantity": 3, "cost": 60}
    await bureau.ninja._request(
        "POST", "/invoices", body={"client_id": acme, "line_items": [line], "date": "2026-01-01"}
    )
    (draft,) = await bureau.invoices()
    row = bureau.state.tables["tasks"].get(task.id)
    assert row is not None
    bureau.state.tables["tasks"].change(row, {"invoice_id": ""})
    made = await bureau.plan()
    assert [one.reason for one in made.left_out] == [f"it is on invoice without a number yet ({draft.id}, 180) already"]
    assert made.invoices == ()
