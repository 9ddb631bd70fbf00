"""Who gets an invoice by e-mail. Source: docs/facts/invoice-ninja-2.md sections 6 and 7."""

import re
from collections.abc import Collection

from mappings.invoiceninja.models import Contact, Invitation, Invoice, NinjaClient

_MADE_UP = re.compile(r"[a-z]{15}@example\.com", re.ASCII | re.IGNORECASE)
"""What Invoice Ninja writes into a contact without an address when somebody opens the link of its invoice."""


def recipients(invoice: Invoice, client: NinjaClient) -> tuple[str, ...]:
    """The addresses to which Invoice Ninja would send the invoice; made-up ones do not count.

    These are the contacts that are invited to the invoice, get mail and have an address.
    """
    invited = {invitation.contact_id for invitation in invoice.invitations}
    return tuple(one.email for one in client.contacts if one.id in invited and _is_real(one))


def has_address(client: NinjaClient) -> bool:
    """Whether an invoice of the client would reach anybody."""
    return any(_is_real(contact) for contact in client.contacts)


def _is_real(contact: Contact) -> bool:
    return contact.gets_mail and "@" in contact.email and not _MADE_UP.fullmatch(contact.email)


def message_ids(invitations: Collection[Invitation]) -> frozenset[str]:
    """The ids of the mails that were handed over: a new one proves a mail, nothing else does."""
    return frozenset(one.message_id for one in invitations if one.message_id)
