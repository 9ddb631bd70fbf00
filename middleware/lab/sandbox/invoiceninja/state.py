"""Everything the sandbox remembers: tables, company, sent mails, the clock and the one-second guards."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from middleware.lab.sandbox.invoiceninja.reference import PAYMENT_TERM_DAYS, TASK_STATUSES, TIMEZONES, new_company
from middleware.lab.sandbox.invoiceninja.table import Row, Table

DEFAULT_TOKEN = "sandbox-token"  # noqa: S105 - the made-up token of the sandbox
GUARD_SECONDS = 1.0
"""How long the server refuses an equal payment or bulk action as a duplicate (facts section 1)."""

GUARD_LIMIT = 1000
"""Guards kept before the expired ones are dropped."""


@dataclass(frozen=True)
class Mail:
    """A mail that the real server would have sent: `kind` is invoice, payment_receipt or refund."""

    kind: str
    entity_id: str
    to: tuple[str, ...]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class NinjaState:
    """The memory of one sandbox server.

    Attributes:
        token: what `X-API-TOKEN` must be.
        clock: gives the current time as an aware datetime; tests replace it.
        tables: by the name in the path, e.g. `tables["invoices"]`.
        company: the company record with its `settings`.
        mails: mails that would have been sent, oldest first.
        is_mail_down: no mail is handed over, and no answer says so (facts 2, section 6).
    """

    def __init__(self, token: str = DEFAULT_TOKEN, clock: Callable[[], datetime] = _utc_now) -> None:
        self.token = token
        self.clock = clock
        self.tables = {
            "clients": Table("Client", ["id_number"]),
            "projects": Table("Project", ["client_id"]),
            "tasks": Table("Task", ["client_id", "project_id", "invoice_id"]),
            "invoices": Table("Invoice", ["client_id", "status_id"]),
            "payments": Table("Payment", ["client_id"]),
            "credits": Table("Credit", ["client_id"]),
            "webhooks": Table("Webhook"),
            "users": Table("User"),
            "task_statuses": Table("TaskStatus"),
            "payment_terms": Table("PaymentTerm"),
            "activities": Table("Activity"),
            "group_settings": Table("GroupSetting"),
        }
        self.mails: list[Mail] = []
        self.is_mail_down = False
        self.company: dict[str, Any] = new_company(self.now())
        self.rights: dict[str, Any] = {"permissions": "", "is_owner": True, "is_admin": True}
        self.idempotency_keys: dict[str, Row] = {}
        self.payments_of_invoice: dict[str, list[Row]] = {}
        self.project_seconds: dict[str, int] = {}
        self.reports_of_minute: dict[int, int] = {}
        self.contact_count = 0
        self.password_was_given = False
        self.paymentable_count = 0
        self._guards: dict[tuple[Any, ...], datetime] = {}
        self._add_basics()

    def now(self) -> int:
        """The current time in unix seconds."""
        return int(self.clock().timestamp())

    def today(self) -> str:
        """The current date in UTC."""
        return self.clock().astimezone(UTC).date().isoformat()

    def company_today(self) -> str:
        """The current date in the company's time zone: of a fresh company often yesterday (facts section 2)."""
        return self.company_time(self.now()).date().isoformat()

    def company_time(self, unix_seconds: int) -> datetime:
        """The local time of the company."""
        zone = TIMEZONES.get(str(self.setting("timezone_id")), TIMEZONES["1"])
        return datetime.fromtimestamp(unix_seconds, ZoneInfo(zone.name))

    def setting(self, name: str) -> Any:
        """A company setting, None when there is none."""
        return self.company["settings"].get(name)

    def client_setting(self, client: Row | None, name: str) -> Any:
        """A setting of the client, else of its group, else of the company (facts 2, sections 1 and 2).

        An empty text at the client leaves it to the next level, at the group it decides. An archived group is none.
        """
        if client is None:
            return self.setting(name)
        own = client["settings"].get(name)
        if own not in (None, ""):
            return own
        group = self.tables["group_settings"].get(client["group_settings_id"])
        is_live = group is not None and not group["archived_at"] and not group["is_deleted"]
        of_group = group["settings"].get(name) if group is not None and is_live else None
        return self.setting(name) if of_group is None else of_group

    def next_number(self, entity: str) -> str:
        """Draw the next free number of the server's own sequence, e.g. `0001` (pattern and padding from settings)."""
        counter, pattern = f"{entity}_number_counter", self.setting(f"{entity}_number_pattern")
        table = self.tables[f"{entity}s"]
        settings = self.company["settings"]
        while True:
            plain = str(settings[counter]).zfill(settings["counter_padding"])
            settings[counter] += 1
            drawn = self._in_pattern(pattern, plain) if pattern else plain
            if table.numbered(drawn) is None:
                return drawn

    def is_repeated(self, *marks: Any) -> bool:
        """Tell whether the same marks were seen within a second; if not, remember them (server cache in reality)."""
        now = self.clock()
        until = self._guards.get(marks)
        if until is not None and now < until:
            return True
        if len(self._guards) > GUARD_LIMIT:
            self._guards = {old: ends for old, ends in self._guards.items() if now < ends}
        self._guards[marks] = now + timedelta(seconds=GUARD_SECONDS)
        return False

    def _in_pattern(self, pattern: str, plain: str) -> str:
        year = self.company_today()[:4]
        return re.sub(r"\{\$year\}", year, pattern).replace("{$counter}", plain)

    def _add_basics(self) -> None:
        now = {"created_at": self.now(), "updated_at": self.now(), "archived_at": 0, "is_deleted": False}
        self.tables["users"].add({**USER, **now})
        for order, name in enumerate(TASK_STATUSES, 1):
            self.tables["task_statuses"].add({"name": name, "color": "#fff", "status_order": order, **now})
        for days in PAYMENT_TERM_DAYS:
            self.tables["payment_terms"].add({"num_days": days, "name": f"Net {days}", **now})


USER: dict[str, Any] = {
    "first_name": "Lab",
    "last_name": "Owner",
    "email": "owner@example.test",
    "last_login": 0,
    "phone": "",
    "email_verified_at": 0,
    "signature": "",
    "custom_value1": "",
    "custom_value2": "",
    "custom_value3": "",
    "custom_value4": "",
    "oauth_provider_id": "",
    "last_confirmed_email_address": "",
    "google_2fa_secret": False,
    "has_password": True,
    "oauth_user_token": "",
    "verified_phone_number": False,
    "language_id": "",
    "user_logged_in_notification": True,
    "referral_code": "",
    "referral_meta": {"free": 0, "pro": 0, "enterprise": 0},
}
