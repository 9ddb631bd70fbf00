"""Opens the clients from plain values. Who opens one closes it with `aclose`."""

from dataclasses import dataclass

import httpx

from middleware.clients.http.address import API_PATH, api_base
from middleware.clients.http.client import open_http
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.stripe.client import Stripe
from middleware.clients.taiga import Credentials, Taiga
from middleware.clients.taiga.session import TaigaSession

_HOSTED_TAIGA = {"https://api.taiga.io": "https://tree.taiga.io"}
"""Taiga's own service keeps its web pages on another host than its API."""


@dataclass(frozen=True, slots=True)
class Systems:
    """The clients of the remote systems; Taiga and Stripe are None without credentials."""

    ninja: InvoiceNinja
    taiga: Taiga | None = None
    stripe: Stripe | None = None


def connect_invoice_ninja(address: str, token: str, transport: httpx.AsyncBaseTransport | None = None) -> InvoiceNinja:
    """Invoice Ninja at this address (`INVOICE_NINJA_API`) with this token; `transport` replaces the network in tests.

    Raises:
        ValueError: the address or the token cannot be one; the message names the setting.
    """
    trimmed = token.strip()
    if not trimmed or not trimmed.isascii() or not trimmed.isprintable() or " " in trimmed:
        raise ValueError("INVOICE_NINJA_TOKEN is empty or holds characters that no token has; paste it again")
    # X-Requested-With as well as Accept: without them a refusal is a redirect with a page of HTML.
    headers = {"X-API-TOKEN": trimmed, "X-Requested-With": "XMLHttpRequest"}
    return InvoiceNinja(open_http(api_base(address, "INVOICE_NINJA_API"), headers, transport))


def connect_taiga(address: str, credentials: Credentials, transport: httpx.AsyncBaseTransport | None = None) -> Taiga:
    """Taiga at this address (`TAIGA_API`); `transport` replaces the network in tests.

    Raises:
        ValueError: the address cannot be one; the message names the setting.
    """
    base = api_base(address, "TAIGA_API")
    http = open_http(base, {}, transport)
    pages = base.removesuffix(API_PATH)
    return Taiga(http, TaigaSession(http, credentials), front=_HOSTED_TAIGA.get(pages, pages))
