"""Sending: what still is the draft that was made goes out by mail, in requests as Invoice Ninja takes them."""

from datetime import UTC, datetime

import pytest

from handlers.errors import RetryLater
from handlers.event import SCHEDULE, Event, Work
from handlers.invoices.events import SEND, SEND_SUBJECT
from handlers.registry import dispatch
from tests.support.invoicing.invoicing_bench import Office

NOW = datetime(2026, 1, 1, 6, tzinfo=UTC)


def to_send(number: int, invoice_id: str, name: str, amount: str) -> Event:
    """The event that asks to send an invoice."""
    payload = {"invoice_id": invoice_id, "number": name, "amount": amount}
    return Event(number, SCHEDULE, SEND, f"send:{invoice_id}", SEND_SUBJECT, NOW, NOW, payload)


async def _drafts(bureau: Office, count: int) -> list[Event]:
    """Drafts over 10 for one client, and the events that ask to send them."""
    acme = await bureau.client()
    line = {"notes": "work", "quantity": 1, "cost": 10, "type_id": "1"}
    for _ in range(count):
        await bureau.ninja._request("POST", "/invoices", body={"client_id": acme, "line_items": [line]})
    drafts = await bureau.invoices()
    return [to_send(number, one.id, one.number, "10") for number, one in enumerate(drafts, 1)]


async def test_more_than_go_with_one_request(bureau: Office) -> None:
    """Fifty go at once; the others follow after the second in which Invoice Ninja takes no second request."""
    events = await _drafts(bureau, 51)
    work = Work(SEND_SUBJECT, tuple(events), events[-1])
    with pytest.raises(RetryLater, match="invoice 0050 sent; the others follow") as later:
        await dispatch(work, bureau.context)
    assert len(bureau.state.mails) == 50
    bureau.clock.wait(later.value.delay)
    assert (await dispatch(work, bureau.context)).reason.endswith("invoice 0050 is sent already; invoice 0051 sent")
    assert len(bureau.state.mails) == 51


async def test_an_invoice_that_was_purged(bureau: Office) -> None:
    """One that Invoice Ninja does not know any more is told, and hinders none of the others."""
    (event,) = await _drafts(bureau, 1)
    told = await bureau.settle_together([to_send(9, "Wpmbk5ezJn", "0007", "10"), event])
    assert told == "invoice 0007 is gone; invoice 0001 sent"


async def test_asked_twice_it_goes_once(bureau: Office) -> None:
    """Two events about one invoice send one mail."""
    (event,) = await _drafts(bureau, 1)
    assert await bureau.settle_together([event, event]) == "invoice 0001 sent"
    assert len(bureau.state.mails) == 1
