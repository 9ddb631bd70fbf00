"""Everything the sandbox Stripe knows: data, clock, switches, outbox. The rules are in the modules beside it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from middleware.lab.sandbox.stripe import errors, shapes
from middleware.lab.sandbox.stripe.outbox import Delivery, Outbox, Sender, send_by_http
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.table import Table
from middleware.lab.sandbox.stripe.versions import NEWEST, as_in, is_sent_in

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


class StripeState:
    """The data of one sandbox Stripe account.

    Switches:
        livemode: whether its money is real; only keys of the same mode are accepted.
        hold: the web application leaves deliveries in the outbox.
        record_events: False makes no events at all, for seeding very many payments.
        rate_limited: every request is answered with 429.

    Args:
        clock: gives the present as aware UTC datetime.
        sender: takes the events away; posts them by HTTP unless told otherwise.
        api_version: in which events are rendered, unless their endpoint has a version of its own.
    """

    def __init__(
        self,
        *,
        clock: Clock = utc_now,
        sender: Sender = send_by_http,
        livemode: bool = False,
        api_version: str = NEWEST,
    ) -> None:
        self.clock = clock
        self.sender = sender
        self.livemode = livemode
        self.api_version = api_version
        self.hold = False
        self.record_events = True
        self.rate_limited = False
        self.tables: dict[str, Table] = {
            "payment_intent": Table("customer"),
            "charge": Table("payment_intent", "customer"),
            "refund": Table("payment_intent", "charge"),
            "dispute": Table("payment_intent", "charge"),
            "checkout.session": Table("payment_intent", "payment_link", "customer"),
            "payment_link": Table(),
            "invoice": Table("customer"),
            "invoice_payment": Table("invoice"),
            "balance_transaction": Table("source"),
            "customer": Table("email"),
            "webhook_endpoint": Table(),
            "event": Table("type"),
        }
        self.lines: dict[str, list[Json]] = {}
        self.secrets: dict[str, str] = {}
        self.intent_data: dict[str, Json] = {}
        self.intent_of_invoice: dict[str, str] = {}
        self.invoice_of_intent: dict[str, str] = {}
        self.answers: dict[str, tuple[str, int, Json]] = {}
        self.outbox = Outbox()
        self.undelivered: list[Delivery] = []
        self._made = 0

    def now(self) -> int:
        """The present in unix seconds."""
        return int(self.clock().timestamp())

    def new_id(self, prefix: str) -> str:
        """A new id; the same story gives the same ids."""
        self._made += 1
        return f"{prefix}Sandbox{self._made:017d}"

    def create(self, kind: str, prefix: str, **fields: Any) -> Json:
        """Make and keep a new object."""
        made = shapes.new(kind, id=self.new_id(prefix), **fields)
        for name, value in (("created", self.now()), ("livemode", self.livemode)):
            if name in made and name not in fields:
                made[name] = value
        return self.tables[kind].save(made)

    def change(self, item: Json, **fields: Any) -> Json:
        """Keep a changed copy of an object, so that events that showed it stay as they were."""
        return self.tables[item["object"]].save({**item, **fields})

    def find(self, kind: str, key: str | None, *, param: str = "id", status: int = 404) -> Json:
        """The object, or the answer that there is none."""
        found = self.tables[kind].get(key)
        if found is None:
            raise errors.no_such(kind, key or "", param=param, status=status)
        return found

    def emit(self, event_type: str, shown: Json, previous: Json | None = None, request: str | None = None) -> None:
        """Make an event about an object as it is now, and put it into the outbox for every endpoint that wants it."""
        if not self.record_events:
            return
        event = self._event(self.api_version, event_type, shown, previous, request)
        self.tables["event"].save(event)
        for endpoint in self.tables["webhook_endpoint"]:
            wanted = endpoint["enabled_events"]
            version = endpoint["api_version"] or self.api_version
            if (
                endpoint["status"] == "enabled"
                and ("*" in wanted or event_type in wanted)
                and is_sent_in(version, event_type)
            ):
                rendered = self.in_version(version, shown)
                sent = {**event, "api_version": version, "data": {**event["data"], "object": rendered}}
                self.outbox.append(Delivery(endpoint["url"], self.secrets[endpoint["id"]], sent))

    def in_version(self, version: str, shown: Json) -> Json:
        """An object as an API version shows it."""
        kind, key = shown["object"], shown.get("id", "")
        if kind == "invoice":
            intent = self.intent_of_invoice.get(key)
            charge = (self.tables["payment_intent"].get(intent) or {}).get("latest_charge")
            return as_in(version, shown, key, intent, charge)
        paid = key if kind == "payment_intent" else shown.get("payment_intent")
        return as_in(version, shown, self.invoice_of_intent.get(paid or ""), None, None)

    async def deliver(self) -> int:
        """Send everything that waits and return how many there were; what is refused is kept in `undelivered`."""
        sent = 0
        while waiting := self.outbox.take():
            for delivery in waiting:
                await self._send(delivery)
            sent += len(waiting)
        return sent

    async def retry(self) -> int:
        """Send again what was refused, as Stripe does for three days; each one is signed anew."""
        self.outbox.extend(self.undelivered)
        self.undelivered.clear()
        return await self.deliver()

    async def _send(self, delivery: Delivery) -> None:
        body = delivery.body
        try:
            status = await self.sender(delivery.url, body, delivery.headers(body, self.now()))
        except (OSError, httpx.HTTPError):
            status = 0
        if not 200 <= status < 300:  # noqa: PLR2004 - any 2xx is a success
            self.undelivered.append(delivery)

    def _event(self, version: str, event_type: str, shown: Json, previous: Json | None, request: str | None) -> Json:
        data: Json = {"object": self.in_version(version, shown)}
        if previous is not None:
            data["previous_attributes"] = previous
        return {
            "id": self.new_id("evt_"),
            "object": "event",
            "api_version": version,
            "created": self.now(),
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": len(self.tables["webhook_endpoint"]),
            "request": {"id": request, "idempotency_key": None},
            "type": event_type,
        }
