"""Asks for addresses and credentials until they work: each is tried at once, and the server's words are passed on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from handlers.errors import RemoteError
from middleware.clients.connect import connect_invoice_ninja, connect_taiga
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.stripe.client import Stripe, connect_stripe
from middleware.clients.taiga import Credentials, Taiga
from middleware.setup.prompts import Asker

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Interview:
    """How and with what previous knowledge it is asked. `again`: also for what is known and works."""

    asker: Asker
    known: Values
    again: bool = False

    def _asks(self, attempt: int, *names: str) -> bool:
        """Whether a person is asked: not at first, when everything is known."""
        return self.again or attempt > 0 or not all(self.known.get(name) for name in names)

    async def invoice_ninja(self, now: datetime) -> tuple[Values, InvoiceNinja]:
        """Address and token of Invoice Ninja, and a client with them."""
        attempt = 0
        values = {name: self.known.get(name, "") for name in ("INVOICE_NINJA_API", "INVOICE_NINJA_TOKEN")}
        while True:
            if self._asks(attempt, *values):
                question = "Address of Invoice Ninja (https://..., hosted: https://invoicing.co)"
                values["INVOICE_NINJA_API"] = self._text(question, "INVOICE_NINJA_API", values)
                question = "API token of an administrator (Settings, Account Management, API Tokens)"
                values["INVOICE_NINJA_TOKEN"] = self._text(question, "INVOICE_NINJA_TOKEN", values, hidden=True)
            attempt += 1
            try:
                ninja = connect_invoice_ninja(values["INVOICE_NINJA_API"], values["INVOICE_NINJA_TOKEN"])
            except ValueError as error:
                self._refused(str(error), values)
                continue
            try:
                account = await ninja.ping()
                is_admin = await ninja.is_admin(now)
            except RemoteError as error:
                await ninja.aclose()
                self._refused(str(error), values)
                continue
            self.asker.say(f"Invoice Ninja answers as {account.user_name} of {account.company_name}.")
            if not is_admin:
                self.asker.say(
                    "  Warning: this token does not belong to an administrator; it does not see every record."
                )
            return values, ninja

    async def taiga(self) -> tuple[Values, Taiga]:
        """Address and credentials of Taiga, and a client with them."""
        attempt = 0
        names = ("TAIGA_API", "TAIGA_USERNAME", "TAIGA_PASSWORD", "TAIGA_TOKEN")
        values = {name: self.known.get(name, "") for name in names}
        while True:
            way = ("TAIGA_TOKEN",) if values["TAIGA_TOKEN"] else ("TAIGA_USERNAME", "TAIGA_PASSWORD")
            if self._asks(attempt, "TAIGA_API", *way):
                self._ask_taiga(values)
            attempt += 1
            try:
                credentials = Credentials(values["TAIGA_TOKEN"], values["TAIGA_USERNAME"], values["TAIGA_PASSWORD"])
                taiga = connect_taiga(values["TAIGA_API"], credentials)
            except ValueError as error:
                self._refused(str(error), {"TAIGA_API": values["TAIGA_API"]})
                continue
            try:
                user_id = await taiga.user_id()
            except RemoteError as error:
                await taiga.aclose()
                self._refused(str(error), {})
                continue
            self.asker.say(f"Taiga answers; we are {values['TAIGA_USERNAME'] or 'user'} ({user_id}) there.")
            return values, taiga

    def _ask_taiga(self, values: dict[str, str]) -> None:
        question = "Address of Taiga (https://..., hosted: https://api.taiga.io)"
        values["TAIGA_API"] = self._text(question, "TAIGA_API", values)
        question = "Taiga user for this program, ideally its own (empty: use a token)"
        values["TAIGA_USERNAME"] = self._text(question, "TAIGA_USERNAME", values)
        if values["TAIGA_USERNAME"]:
            values["TAIGA_PASSWORD"] = self._text("Its password", "TAIGA_PASSWORD", values, hidden=True)
        else:
            values["TAIGA_TOKEN"] = self._text("Token of Taiga", "TAIGA_TOKEN", values, hidden=True)

    async def stripe(self) -> tuple[Values, Stripe | None]:
        """The key of Stripe, and a client with it; None when no payments are taken with Stripe."""
        attempt = 0
        base = self.known.get("STRIPE_API_BASE") or "https://api.stripe.com"
        key = self.known.get("STRIPE_API_KEY", "")
        while True:
            if self._asks(attempt, "STRIPE_API_KEY"):
                question = "Secret or restricted key of Stripe (empty: no payments with Stripe)"
                key = self.asker.text(question, "STRIPE_API_KEY", key, hidden=True)
            attempt += 1
            if not key:
                return {}, None
            try:
                stripe = connect_stripe(base, key)
            except ValueError as error:
                self.asker.refused(str(error))
                continue
            try:
                balance = await stripe.get("/v1/balance")
            except RemoteError as error:
                await stripe.aclose()
                self.asker.refused(str(error))
                continue
            self.asker.say(f"Stripe answers in {'live' if balance.get('livemode') is True else 'test'} mode.")
            return {"STRIPE_API_KEY": key}, stripe

    def _text(self, question: str, name: str, values: Values, *, hidden: bool = False) -> str:
        return self.asker.text(question, name, values[name], hidden=hidden)

    def _refused(self, message: str, values: Values) -> None:
        missing = [name for name, value in values.items() if not value]
        shown = f"missing: {', '.join(missing)} ({message})" if missing else message
        self.asker.refused(shown, is_missing=bool(missing))
