"""Fixed data of a fresh server: a subset of GET /statics, task statuses, payment terms, the company record."""

from dataclasses import asdict, dataclass
from typing import Any

TASK_STATUSES = ("Backlog", "Ready to do", "In progress", "Done")
PAYMENT_TERM_DAYS = (0, 7, 10, 14, 15, 30, 60, 90)


@dataclass(frozen=True)
class Currency:
    """A currency; `id` is a plain integer as a string."""

    id: str
    code: str
    name: str
    symbol: str
    precision: int
    thousand_separator: str
    decimal_separator: str
    swap_currency_symbol: bool
    exchange_rate: int = 1


CURRENCIES = {
    currency.id: currency
    for currency in (
        Currency("1", "USD", "US Dollar", "$", 2, ",", ".", swap_currency_symbol=False),
        Currency("2", "GBP", "British Pound", "£", 2, ",", ".", swap_currency_symbol=False),
        Currency("3", "EUR", "Euro", "€", 2, ".", ",", swap_currency_symbol=False),
        Currency("5", "DKK", "Danish Krone", "kr", 2, ".", ",", swap_currency_symbol=True),
        Currency("7", "SEK", "Swedish Krona", "kr", 2, ".", ",", swap_currency_symbol=True),
        Currency("9", "CAD", "Canadian Dollar", "$", 2, ",", ".", swap_currency_symbol=False),
        Currency("12", "AUD", "Australian Dollar", "$", 2, ",", ".", swap_currency_symbol=False),
        Currency("17", "CHF", "Swiss Franc", "CHF", 2, "'", ".", swap_currency_symbol=False),
        Currency("45", "JPY", "Japanese Yen", "¥", 0, ",", ".", swap_currency_symbol=False),
        Currency("49", "PLN", "Polish Zloty", "zł", 2, " ", ",", swap_currency_symbol=True),
        Currency("51", "CZK", "Czech Koruna", "Kč", 2, " ", ",", swap_currency_symbol=True),
        Currency("69", "HUF", "Hungarian Forint", "Ft", 0, ".", ",", swap_currency_symbol=True),
        Currency("89", "KWD", "Kuwaiti Dinar", "KD", 3, ",", ".", swap_currency_symbol=False),
    )
}

COUNTRIES = {
    "40": ("AT", "Austria"),
    "56": ("BE", "Belgium"),
    "124": ("CA", "Canada"),
    "208": ("DK", "Denmark"),
    "250": ("FR", "France"),
    "276": ("DE", "Germany"),
    "348": ("HU", "Hungary"),
    "380": ("IT", "Italy"),
    "392": ("JP", "Japan"),
    "442": ("LU", "Luxembourg"),
    "528": ("NL", "Netherlands"),
    "616": ("PL", "Poland"),
    "724": ("ES", "Spain"),
    "752": ("SE", "Sweden"),
    "756": ("CH", "Switzerland"),
    "826": ("GB", "United Kingdom"),
    "840": ("US", "United States"),
}


@dataclass(frozen=True)
class Timezone:
    """A time zone that a company can choose; `utc_offset` in seconds, standard time."""

    id: str
    name: str
    location: str
    utc_offset: int


TIMEZONES = {
    zone.id: zone
    for zone in (
        Timezone("1", "Pacific/Midway", "(GMT-11:00) Midway Island", -39600),
        Timezone("15", "America/New_York", "(GMT-05:00) Eastern Time (US & Canada)", -18000),
        Timezone("33", "Europe/London", "(GMT) London", 0),
        Timezone("37", "Europe/Berlin", "(GMT+01:00) Berlin", 3600),
        Timezone("39", "Europe/Brussels", "(GMT+01:00) Brussels", 3600),
        Timezone("40", "Europe/Budapest", "(GMT+01:00) Budapest", 3600),
        Timezone("44", "Europe/Paris", "(GMT+01:00) Paris", 3600),
    )
}

PAYMENT_TYPES = {
    "4": ("ACH", 2),
    "7": ("American Express", 1),
    "1": ("Bank Transfer", 2),
    "2": ("Cash", None),
    "32": ("Credit", 14),
    "12": ("Credit Card Other", 1),
    "6": ("MasterCard", 1),
    "13": ("PayPal", 3),
    "29": ("SEPA Direct Debit", 9),
    "28": ("Sofort", 8),
    "5": ("Visa Card", 1),
}

COMPANY_SETTINGS: dict[str, Any] = {
    "name": "Lab GmbH",
    "lock_invoices": "off",
    "timezone_id": "1",
    "date_format_id": "1",
    "military_time": False,
    "language_id": "1",
    "currency_id": "1",
    "country_id": "840",
    "default_task_rate": 0,
    "payment_terms": "",
    "invoice_terms": "",
    "send_reminders": True,
    "inclusive_taxes": False,
    "counter_number_applied": "when_saved",
    "invoice_number_pattern": "",
    "invoice_number_counter": 1,
    "client_number_pattern": "",
    "client_number_counter": 1,
    "credit_number_pattern": "",
    "credit_number_counter": 1,
    "task_number_pattern": "",
    "task_number_counter": 1,
    "payment_number_pattern": "",
    "payment_number_counter": 1,
    "project_number_pattern": "",
    "project_number_counter": 1,
    "counter_padding": 4,
    "auto_bill": "off",
    "client_manual_payment_notification": True,
    "allow_billable_task_items": True,
    "task_round_up": True,
    "task_round_to_nearest": 1,
}

COMPANY: dict[str, Any] = {
    "id": "VolejRejNm",
    "company_key": "sandboxcompany",
    "update_products": True,
    "fill_products": True,
    "convert_products": False,
    "custom_fields": {},
    "size_id": "",
    "industry_id": "",
    "subdomain": "",
    "portal_mode": "subdomain",
    "portal_domain": "",
    "enabled_tax_rates": 0,
    "enabled_modules": 65535,
    "archived_at": 0,
    "is_large": True,
    "is_disabled": False,
    "invoice_task_timelog": True,
    "auto_start_tasks": False,
    "invoice_task_datelog": True,
    "invoice_task_project": False,
    "invoice_task_lock": False,
    "invoice_task_hours": False,
    "invoice_task_project_header": True,
    "invoice_task_item_description": True,
    "convert_rate_to_client": True,
    "markdown_enabled": False,
    "calculate_taxes": False,
}


def new_company(now: int) -> dict[str, Any]:
    """Make the record of a fresh company; `now` in unix seconds."""
    return {**COMPANY, "settings": dict(COMPANY_SETTINGS), "created_at": now, "updated_at": now}


def statics() -> dict[str, Any]:
    """Give the answer of GET /statics: the same keys as the real one for what the sandbox knows, fewer rows."""
    return {
        "countries": [{"id": key, "iso_3166_2": code, "name": name} for key, (code, name) in COUNTRIES.items()],
        "currencies": [asdict(currency) for currency in CURRENCIES.values()],
        "payment_types": [
            {"id": key, "name": name, "gateway_type_id": gateway} for key, (name, gateway) in PAYMENT_TYPES.items()
        ],
        "timezones": [asdict(zone) for zone in TIMEZONES.values()],
    }


def currency_id_of(code: Any) -> str | None:
    """Find the id of a currency by its ISO code."""
    return next((key for key, currency in CURRENCIES.items() if currency.code == code), None)


def country_id_of(code: Any) -> str | None:
    """Find the id of a country by its two-letter code."""
    return next((key for key, (iso, _) in COUNTRIES.items() if iso == code), None)
