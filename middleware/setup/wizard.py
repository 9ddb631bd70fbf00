"""The set-up from the first question to the last step."""

import asyncio
import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from mappings.config.file import MappingFile, parse_mapping
from mappings.invoiceninja.models import Company
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.stripe.client import Stripe
from middleware.clients.taiga import Taiga
from middleware.setup.credentials import Interview
from middleware.setup.files import PRIVATE, PUBLIC, changed_env, changed_mapping, read_env, write_whole
from middleware.setup.projects import (
    Choices,
    Matchmaker,
    Wish,
    date_entries,
    read_projects,
    read_targets,
)
from middleware.setup.prompts import Asker
from middleware.setup.steps import Step
from middleware.setup.stripe import StripePlan, plan_stripe
from middleware.setup.taiga import Hooks, plan_taiga
from middleware.sources.addresses import private_name, taiga_refusal, webhook_address

FRESH_COMPANY_ZONE = "Pacific/Midway"
"""The time zone of a company where nobody chose one."""


@dataclass(frozen=True, slots=True)
class Files:
    """What is written. `example` is the text a new `.env` begins with."""

    env: Path
    mapping: Path
    example: Path


@dataclass(frozen=True, slots=True)
class Options:
    """What was given on the command line. `given` are settings of options and the environment."""

    given: Mapping[str, str]
    files: Files
    wishes: Sequence[Wish] = ()
    rate: Decimal | None = None
    again: bool = False
    is_attended: bool = True
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is to be done, and what remains for a person."""

    steps: tuple[Step, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConnectedSystems:
    """The systems, signed in."""

    ninja: InvoiceNinja
    taiga: Taiga
    stripe: Stripe | None


class Wizard:
    """Prepares the steps; the clients stay open until the stack is closed."""

    def __init__(self, asker: Asker, options: Options, stack: AsyncExitStack) -> None:
        self._asker = asker
        self._options = options
        self._stack = stack
        self._env_text = _read(options.files.env)
        self._in_file = read_env(self._env_text)
        self._known = {**self._in_file, **options.given}

    async def prepare(self) -> Prepared:
        """Ask and look; nothing is changed.

        Raises:
            RemoteError: a system that answered before cannot be read.
            MappingErrors: the mapping file that is there is broken.
        """
        values, systems = await self._connect()
        values["PUBLIC_URL"] = await self._public_url()
        keys = self._known.get("TAIGA_WEBHOOK_SECRETS") or secrets.token_urlsafe(32)
        values["TAIGA_WEBHOOK_SECRETS"] = keys
        if not self._known.get("DATABASE_URL") and not self._known.get("POSTGRES_PASSWORD"):
            # compose.yaml asks for it before it starts anything.
            values["POSTGRES_PASSWORD"] = secrets.token_hex(24)
        choices, text = await self._mapping(systems)
        mapping = parse_mapping(text)
        hooks = Hooks(values["PUBLIC_URL"], [key.strip() for key in keys.split(",") if key.strip()])
        taiga = await plan_taiga(systems.taiga, mapping, hooks)
        stripe = await self._stripe(systems.stripe, values)
        steps = [*self._env_step(values), *self._mapping_step(choices, text), *taiga.steps, *stripe.steps]
        return Prepared(tuple(steps), (*choices.remarks, *taiga.remarks, *stripe.remarks))

    async def _connect(self) -> tuple[dict[str, str], ConnectedSystems]:
        interview = Interview(self._asker, self._known, self._options.again)
        ninja_values, ninja = await interview.invoice_ninja(self._options.now)
        self._stack.push_async_callback(ninja.aclose)
        taiga_values, taiga = await interview.taiga()
        self._stack.push_async_callback(taiga.aclose)
        stripe_values, stripe = await interview.stripe()
        if stripe is not None:
            self._stack.push_async_callback(stripe.aclose)
        self._known.update(stripe_values)
        return {**ninja_values, **taiga_values}, ConnectedSystems(ninja, taiga, stripe)

    async def _public_url(self) -> str:
        known = self._known.get("PUBLIC_URL", "")
        url = known
        if not known or self._options.again:
            question = "Address under which Taiga and Stripe reach this program, such as https://billing.example"
            url = self._asker.text(question, "PUBLIC_URL", known).rstrip("/")
        if not url:
            return ""
        if not url.startswith(("http://", "https://")):
            url = f"https://{url}"
        address = webhook_address(url, "taiga")
        host = urlsplit(address).hostname or ""
        for warning in (taiga_refusal(address), private_name(host, await _addresses(host))):
            if warning:
                self._asker.say(f"  Warning: {warning}.")
        return url

    async def _mapping(self, systems: ConnectedSystems) -> tuple[Choices, str]:
        """What was chosen, and the text of mappings.json with it."""
        present = _read(self._options.files.mapping)
        mapping = parse_mapping(present) if present.strip() else MappingFile()
        company = await systems.ninja.company()
        matchmaker = Matchmaker(
            asker=self._asker,
            mapping=mapping,
            company=company,
            targets=await read_targets(systems.ninja),
            wishes={wish.taiga_project_id: wish for wish in self._options.wishes},
            rate=self._options.rate,
            is_attended=self._options.is_attended,
            again=self._options.again,
        )
        choices = matchmaker.choose(await read_projects(systems.taiga))
        rules = await _first_rules(systems.ninja, company)
        zone = mapping.billing_rules.timezone if present.strip() else rules.get("timezone", "UTC")
        date_entries(choices, self._asker, self._options.now.astimezone(ZoneInfo(zone)).date())
        if present.strip() and not choices.entries and not choices.declined:
            return choices, present
        return choices, changed_mapping(present, choices.entries, rules, choices.declined)

    async def _stripe(self, stripe: Stripe | None, values: dict[str, str]) -> StripePlan:
        if stripe is None:
            return StripePlan()
        key = {"STRIPE_API_KEY": self._known["STRIPE_API_KEY"]}
        present = self._known.get("STRIPE_WEBHOOK_SECRETS", "")

        async def keep(secret: str) -> None:
            # With the key alone the program would not start: it could not verify what it is sent.
            self._write_env({**key, "STRIPE_WEBHOOK_SECRETS": ",".join(part for part in (present, secret) if part)})

        plan = await plan_stripe(stripe, values["PUBLIC_URL"], keep, has_secret=bool(present))
        if plan.needs_secret:
            question = "Signing secret of the endpoint in Stripe (whsec_...; empty: later)"
            present = self._asker.text(question, "STRIPE_WEBHOOK_SECRETS", hidden=True)
        if present:
            values.update(key, STRIPE_WEBHOOK_SECRETS=present)
        return plan

    def _env_step(self, values: Mapping[str, str]) -> Iterable[Step]:
        changed = {name: value for name, value in values.items() if value and self._in_file.get(name, "") != value}
        if changed:
            # Refused before anything is done, not in the middle.
            changed_env(self._env_text, changed)

            async def write() -> None:
                self._write_env(changed)

            yield Step(f"{self._options.files.env}: set {', '.join(changed)}", write)

    def _write_env(self, values: Mapping[str, str]) -> None:
        file = self._options.files.env
        text = _read(file) or _read(self._options.files.example)
        write_whole(file, changed_env(text, values), PRIVATE)

    def _mapping_step(self, choices: Choices, text: str) -> Iterable[Step]:
        file = self._options.files.mapping
        if text != _read(file):

            async def write() -> None:
                write_whole(file, text, PUBLIC)

            yield Step(f"{file}: {_told(choices)}", write)


def _told(choices: Choices) -> str:
    added = ", ".join(_named(entry) for entry in choices.entries)
    left_out = ", ".join(f'"{one["taiga_project_name"]}"' for one in choices.declined)
    told = [f"add {added}" if added else "", f"leave out {left_out}" if left_out else ""]
    return "; ".join(filter(None, told)) or "add an empty one"


def _named(entry: Mapping[str, Any]) -> str:
    rate = entry["default_hourly_rate"]
    inner = f"/{entry['invoiceninja_project_id']}" if entry["invoiceninja_project_id"] else ""
    at = f" at {rate}" if rate is not None else ""
    return f'"{entry["taiga_project_name"]}" -> {entry["invoiceninja_client_id"]}{inner}{at}'


async def _first_rules(ninja: InvoiceNinja, company: Company) -> dict[str, Any]:
    """The billing rules of a new file: the company's time zone, where somebody chose one."""
    zone = (await ninja.statics()).timezones.get(company.timezone_id, "")
    return {"timezone": zone} if zone and zone != FRESH_COMPANY_ZONE else {}


async def _addresses(host: str) -> list[str]:
    """What the name means here; nothing when it means nothing."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(entry[4][0]) for entry in found]


def _read(file: Path) -> str:
    """The text of a file; "" when there is none."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
