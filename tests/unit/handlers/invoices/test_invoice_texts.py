"""The texts of mappings.json reach the invoice whatever the client's own notes say."""

from typing import cast

from handlers.invoices.conclude import FLAGGED
from handlers.invoices.texts import missing_texts, put_texts
from handlers.ports.invoice_world import BillingBooks
from mappings.invoiceninja.decode import read_invoice
from mappings.invoiceninja.models import Invoice
from mappings.invoices.models import Terms
from tests.support.fakes import rejected
from tests.support.invoicing.invoicing_bench import Office
from tests.support.invoicing.race_fakes import Race, failing

BANK = "Thank you. IBAN BE00 0000 0000 0000"


async def _billed(bureau: Office, **rules: str) -> Invoice:
    acme = await bureau.client(public_notes="VIP customer")
    bureau.rules(acme, **rules)
    await bureau.work(acme, "2")
    await bureau.bill()
    (invoice,) = await bureau.invoices()
    return invoice


async def test_notes_win_over_those_of_the_client(bureau: Office) -> None:
    """A POST loses the notes to the client's; they are written again, and the invoice is as it should be."""
    invoice = await _billed(bureau, notes=BANK, terms="Net 30", footer="VAT BE 0123")
    assert (invoice.public_notes, invoice.terms, invoice.footer) == (BANK, "Net 30", "VAT BE 0123")
    assert bureau.reviews.kinds == []
    await bureau.check_books()


async def test_without_rules_the_client_s_notes_stay(bureau: Office) -> None:
    """What no rule names is left to Invoice Ninja."""
    bureau.state.company["settings"]["invoice_terms"] = "Company terms"
    invoice = await _billed(bureau)
    assert (invoice.public_notes, invoice.terms, invoice.footer) == ("VIP customer", "Company terms", "")


async def test_texts_that_cannot_be_written(bureau: Office, race: Race) -> None:
    """A refusal is shown to a person: bank details may be missing on the invoice."""
    race.before("update_invoice", failing(rejected("PUT /invoices", "number", "This invoice is locked")))
    await _billed(bureau, notes=BANK)
    assert bureau.reviews.kinds == [FLAGGED]


class _Forgetful:
    """An Invoice Ninja that answers a PUT with the invoice as it was."""

    async def update_invoice(self, _invoice_id: str, _changes: object) -> Invoice:
        """Change nothing."""
        return read_invoice({"id": "i", "public_notes": "VIP customer"})


async def test_texts_that_are_stored_otherwise() -> None:
    """What Invoice Ninja does not show after the second write is named for a person."""
    terms = Terms("net30", "run_day", "UTC", "custom_value4", notes=BANK, footer="VAT BE 0123")
    invoice = read_invoice({"id": "i", "footer": "VAT BE 0123"})
    _, flag = await put_texts(invoice, terms, cast("BillingBooks", _Forgetful()))
    assert flag == "Invoice Ninja shows its notes, footer otherwise than mappings.json has them"


def test_a_text_beside_ours_is_left_alone() -> None:
    """A payment link that was added to the notes is no reason to write them again."""
    terms = Terms("net30", "run_day", "UTC", "custom_value4", notes=f" {BANK} ")
    assert missing_texts(read_invoice({"id": "i", "public_notes": f"{BANK}\n\nPay: https://pay"}), terms) == {}


async def test_a_subject_with_reserved_words(bureau: Office) -> None:
    """What Invoice Ninja would replace by a year or render as markup stands on the line as it was typed."""
    acme = await bureau.client()
    bureau.rules(acme)
    await bureau.work(acme, "2", description="Fix List<String> for :YEAR report, $invoice.number")
    await bureau.bill()
    (invoice,) = await bureau.invoices()
    typed = invoice.lines[0].notes.partition("\n")[0].replace("\u2060", "")
    assert typed == "Fix List<String> for :YEAR report, $invoice.number"
