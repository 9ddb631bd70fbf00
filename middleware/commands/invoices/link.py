"""`taiga-billing invoices link`: the payment page of one invoice (docs/payments.md)."""

import click

from handlers.errors import NeedsPerson, RemoteError
from handlers.payment_links.link import PaymentLink, payment_link
from middleware.bootstrap import open_context
from middleware.commands.common import (
    FailedError,
    json_option,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.commands.interactive import interactive_traffic
from middleware.mapping.load import load_mapping
from middleware.settings import Settings


@click.command("link")
@click.argument("invoice")
@json_option
def link_command(invoice: str, *, as_json: bool) -> None:
    """Make or show the Stripe payment page of INVOICE (its number or id), and put its address into the invoice.

    Asking twice gives the same page. When the open balance has changed, the old page is closed and a new one made.
    """
    with servers_behind(settings_or_exit()) as settings:
        link = run(_link(settings, invoice))
    if as_json:
        print_json(link)
    else:
        _print(link)


async def _link(settings: Settings, invoice: str) -> PaymentLink:
    mapping = load_mapping(settings.mappings_file)
    async with (
        store(settings) as pool,
        interactive_traffic(settings, pool) as traffic,
        open_context(settings, mapping, pool, traffic) as context,
    ):
        try:
            return await payment_link(invoice, context)
        except NeedsPerson as error:
            raise FailedError(f"{error.reason}\n{error.hint}") from error
        except RemoteError as error:
            raise FailedError(f"{error}\nnothing is lost: try again, and it continues where it stopped") from error


def _print(link: PaymentLink) -> None:
    click.echo(link.url)
    made = "new" if link.is_new else "as before"
    where = f", written into {link.written_to}" if link.written_to else ""
    click.echo(f"invoice {link.invoice_number}: {link.amount} {link.currency} open, {made}{where}", err=True)
    if link.remark:
        click.echo(link.remark, err=True)
