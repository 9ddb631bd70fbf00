"""What each look of `check` says of what it sees."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from mappings.config.rules import AttributeNames, BillingRules
from mappings.invoiceninja.models import Company, Currency, Statics
from mappings.taiga.models import AttributeDefinition
from middleware.checks.clock import check_clock
from middleware.checks.database import people_findings, queue_finding, schema_finding, worker_finding
from middleware.checks.findings import Finding
from middleware.checks.invoiceninja import company_findings
from middleware.checks.machine import check_disk, check_names, check_secrets_file, check_settings
from middleware.checks.stripe import WANTED_EVENTS, ExpectedEndpoint, endpoint_findings
from middleware.checks.taiga import attribute_findings
from middleware.checks.taiga_webhooks import Expected, hook_findings
from middleware.clients.http.clock_skew import RemoteClock
from middleware.clients.stripe.client import STRIPE_VERSION
from middleware.clients.taiga.decode import Webhook, WebhookLog
from middleware.settings import Settings
from middleware.sources.addresses import leads_here, private_name, taiga_refusal, webhook_address
from middleware.store.database import migrations
from middleware.store.events.events import Backlog

PUBLIC = "https://billing.example"
COMPANY = Company(
    id="c",
    name="Lab",
    currency_id="3",
    timezone_id="1",
    lock_invoices="off",
    locks_invoiced_tasks=False,
    updates_products=True,
    mails_receipts=True,
    default_task_rate=Decimal(0),
)
TABLES = Statics({"3": Currency("3", "EUR", 2)}, {"1": "UTC", "2": "Europe/Brussels"})


def levels(findings: list[Finding]) -> list[str]:
    """The levels alone."""
    return [finding.level for finding in findings]


class TestAddresses:
    """Where webhooks go, and what Taiga takes."""

    @pytest.mark.parametrize(
        "url",
        ["https://billing.example/webhooks/taiga", "https://Billing.example:443/webhooks/taiga/?token=x"],
    )
    def test_leads_here(self, url: str) -> None:
        """Case, the usual port, a slash at the end and a query make no difference."""
        assert leads_here(url, PUBLIC, "taiga")

    @pytest.mark.parametrize(
        "url",
        [
            "http://billing.example/webhooks/taiga",
            "https://other.example/webhooks/taiga",
            "https://billing.example/webhooks/stripe",
        ],
    )
    def test_leads_elsewhere(self, url: str) -> None:
        """Another scheme, host or path is another place."""
        assert not leads_here(url, PUBLIC, "taiga")

    def test_without_a_public_address_the_path_counts(self) -> None:
        """When our own address is not known, every address with our path may be ours."""
        assert leads_here("http://10.0.0.7:8000/webhooks/taiga", "", "taiga")
        assert not leads_here("http://10.0.0.7:8000/other", "", "taiga")

    @pytest.mark.parametrize(
        ("host", "word"),
        [
            ("middleware:8000", "dot"),
            ("my_host.internal", "dot"),
            ("127.0.0.1", "WEBHOOKS_ALLOW_PRIVATE_ADDRESS"),
            ("[::1]:8000", "private"),
            ("192.168.1.5", "private"),
            ("x.example/" + "a" * 200, "200 characters"),
        ],
    )
    def test_taiga_refuses(self, host: str, word: str) -> None:
        """Names without a dot, private addresses and long ones are refused, each with what to do."""
        assert word in taiga_refusal(f"http://{host}/webhooks/taiga")

    @pytest.mark.parametrize("host", ["localhost", "x.local", "host.docker.internal", "8.8.8.8", "billing.example"])
    def test_taiga_takes(self, host: str) -> None:
        """What the recorded server took is not complained of."""
        assert taiga_refusal(f"http://{host}:8000/webhooks/taiga") == ""

    def test_a_name_of_a_private_address(self) -> None:
        """Taiga takes a name that leads to a private address, and then sends nothing."""
        assert "sends nothing" in private_name("billing.internal", ["10.0.0.1", "10.0.0.1"])
        assert private_name("billing.example", ["203.0.114.5"]) == ""
        assert private_name("10.0.0.1", ["10.0.0.1"]) == ""


class TestClocks:
    """Clock skew."""

    @pytest.mark.parametrize(
        ("skew", "tolerance", "expected"),
        [(None, None, []), (2.0, None, ["ok"]), (-45.0, 300, ["warning"]), (301.0, 300, ["failed"])],
    )
    def test_levels(self, skew: float | None, tolerance: int | None, expected: list[str]) -> None:
        """Half a minute is worth a word, more than the tolerance of signatures is a fault."""
        assert levels(check_clock("stripe", skew, tolerance)) == expected

    async def test_read_of_the_date_header(self) -> None:
        """The Date header of the answers tells their clock; what is not a date does not count."""
        dates = iter(["Sat, 21 Nov 2026 12:00:10 GMT", "Sat, 21 Nov 2026 12:00:10 GMT", "yesterday"])
        transport = httpx.MockTransport(lambda _request: httpx.Response(200, headers={"Date": next(dates)}))
        clock = RemoteClock(lambda: 1795262400.0)
        async with httpx.AsyncClient(transport=transport) as http:
            clock.watch(http)
            for _ in range(3):
                await http.get("http://taiga.example")
        assert clock.skew == 10.5
        assert RemoteClock().skew is None


class TestMachine:
    """Settings, secrets, disk."""

    def test_disk(self, tmp_path: Path) -> None:
        """Room is measured where the folder will be made."""
        assert check_disk(tmp_path / "not" / "yet").name == "disk"

    def test_readable_secrets(self, tmp_path: Path) -> None:
        """A `.env` that others can read is worth a warning; a closed or missing one is not."""
        file = tmp_path / ".env"
        assert check_secrets_file(file) == []
        file.write_text("")
        file.chmod(0o644)
        assert "chmod 600" in check_secrets_file(file)[0].hint
        file.chmod(0o600)
        assert check_secrets_file(file) == []

    def test_names_that_are_no_settings(self, tmp_path: Path) -> None:
        """A mistyped name has no effect, so it is told with what was meant; keys of sources and files are names."""
        file = tmp_path / ".env"
        file.write_text("TAIGA_PASWORD=x\nFOO=1\nECHO_WEBHOOK_SECRETS=k\nTAIGA_TOKEN_FILE=/x\nPORT=1\nPGUSER=u\n")
        found = check_names(file)
        assert [(one.message.split()[0], one.hint) for one in found] == [
            ("TAIGA_PASWORD", "did you mean TAIGA_PASSWORD?"),
            ("FOO", "remove it, or correct its name"),
        ]
        assert check_names(tmp_path / "nothing") == []

    def test_settings(self) -> None:
        """Without a public address and anybody to tell there are warnings, with both none."""
        bare = Settings(_env_file=None, taiga_webhook_secrets="key")
        assert levels(check_settings(bare)) == ["ok", "warning", "warning"]
        full = bare.model_copy(update={"public_url": PUBLIC, "alert_urls": ("ntfy://x/y",)})
        assert levels(check_settings(full)) == ["ok"]


class TestStore:
    """What lies in PostgreSQL."""

    def test_schema(self) -> None:
        """A missing migration is named, and a newer one is a fault."""
        known = {migration.version for migration in migrations()}
        assert schema_finding("18", known).level == "ok"
        assert "0009_alerts" in schema_finding("18", known - {9}).message
        assert schema_finding("18", known | {999}).level == "failed"

    @pytest.mark.parametrize(("age", "level"), [(None, "warning"), (61.0, "warning"), (5.0, "ok")])
    def test_worker(self, age: float | None, level: str) -> None:
        """A worker that was not heard of for a minute is missing."""
        assert worker_finding(age).level == level

    @pytest.mark.parametrize(("age", "level"), [(0.0, "ok"), (61.0, "warning"), (901.0, "failed")])
    def test_queue(self, age: float, level: str) -> None:
        """Work that waits a minute is worth a word, a quarter of an hour is a fault."""
        assert queue_finding(Backlog(1, 0, 0, 0, age)).level == level

    def test_people(self) -> None:
        """What needs a person is counted by kind."""
        findings = people_findings(Backlog(0, 0, 0, 3, 0), ["invoice_plan", "unmatched_payment", "invoice_plan"])
        assert [finding.message for finding in findings] == [
            "3 events need a person",
            "waiting for a decision: 2 invoice plan, 1 unmatched payment",
        ]
        assert people_findings(Backlog(0, 0, 0, 0, 0), []) == []


class TestInvoiceNinja:
    """Settings of the company."""

    def test_all_is_well(self) -> None:
        """The defaults give one line of information."""
        assert levels(company_findings(COMPANY, TABLES, BillingRules())) == ["ok"]

    @pytest.mark.parametrize(
        ("changes", "rules", "word"),
        [
            ({"lock_invoices": "when_sent"}, {}, "payment link"),
            ({}, {"product_key": "Work"}, "prices of that product"),
            ({"timezone_id": "2"}, {}, "Europe/Brussels"),
            ({}, {"currency": "USD"}, "its currency is EUR"),
        ],
    )
    def test_what_matters(self, changes: dict[str, object], rules: dict[str, object], word: str) -> None:
        """Each setting that would change what we send is worth a warning."""
        company = replace(COMPANY, **changes)  # type: ignore[arg-type]  # fields by name
        findings = company_findings(company, TABLES, BillingRules.model_validate(rules))
        (warning,) = [finding for finding in findings if finding.level == "warning"]
        assert word in warning.message

    def test_locked_tasks_are_fine(self) -> None:
        """Locked tasks change nothing, which is said."""
        company = replace(COMPANY, locks_invoiced_tasks=True)
        assert levels(company_findings(company, TABLES, BillingRules())) == ["ok", "ok"]


class TestTaigaAttributes:
    """Custom attributes of tasks."""

    definitions = (
        AttributeDefinition(1, "Billable", "checkbox"),
        AttributeDefinition(2, "Duration (Hours)", "number"),
        AttributeDefinition(3, "Hourly Rate", "number"),
        AttributeDefinition(4, "Client Invoice ID", "text"),
        AttributeDefinition(5, "Invoice Status", "dropdown"),
    )

    def test_complete(self) -> None:
        """The five attributes with their types leave nothing to say."""
        assert attribute_findings("x", AttributeNames(), self.definitions) == []

    def test_missing(self) -> None:
        """Without the first two nothing is billed; the others are only missed."""
        assert levels(attribute_findings("x", AttributeNames(), ())) == ["failed"] * 2 + ["warning"] * 3

    def test_of_stories(self) -> None:
        """When user stories are billed, theirs are looked at."""
        findings = attribute_findings("x", AttributeNames(), (), "userstory")
        assert findings[0].message == 'has no userstory attribute "Billable"'

    def test_almost_the_name(self) -> None:
        """A name that differs by case is pointed at."""
        findings = attribute_findings("x", AttributeNames(), (AttributeDefinition(1, "billable", "checkbox"),))
        assert 'there is "billable"' in findings[0].message

    def test_wrong_type(self) -> None:
        """A type that cannot hold the value is named with what is needed."""
        wrong = (AttributeDefinition(1, "Billable", "date"), *self.definitions[1:])
        (finding,) = attribute_findings("x", AttributeNames(), wrong)
        assert (finding.level, "needed is checkbox" in finding.message) == ("failed", True)


class TestTaigaWebhooks:
    """Registered, right, and delivered."""

    expected = Expected(PUBLIC, ("new-key", "old-key"))
    hook = Webhook(1, 1, "billing", f"{PUBLIC}/webhooks/taiga", "old-key")

    def _look(self, *hooks: Webhook, logs: list[WebhookLog] | None = None) -> list[Finding]:
        ours = [hook for hook in hooks if leads_here(hook.url, PUBLIC, "taiga")]
        return hook_findings("webhook", hooks, ours, {1: logs or []}, self.expected)

    def test_none_leads_here(self) -> None:
        """What is registered instead is shown."""
        (finding,) = self._look(replace(self.hook, url="http://elsewhere.example/x"))
        assert (finding.level, "only to http://elsewhere.example/x" in finding.message) == ("failed", True)

    def test_a_key_that_we_do_not_accept(self) -> None:
        """A foreign key is a fault, and is not shown."""
        (finding,) = self._look(replace(self.hook, key="foreign-key"))
        assert finding.level == "failed"
        assert "foreign-key" not in finding.message

    def test_any_of_our_keys_is_right(self) -> None:
        """While keys are changed both are accepted."""
        (finding,) = self._look(self.hook)
        assert (finding.level, "sent nothing yet" in finding.message) == ("ok", True)

    def test_two_lead_here(self) -> None:
        """A second webhook to us is harmless and worth a word."""
        assert levels(self._look(self.hook, replace(self.hook, id=2))) == ["warning", "ok", "ok"]

    @pytest.mark.parametrize(
        ("statuses", "level"), [((202, 200), "ok"), ((202, 500), "warning"), ((403, 202), "failed"), ((0,), "failed")]
    )
    def test_deliveries(self, statuses: tuple[int, ...], level: str) -> None:
        """The newest delivery decides; an older failure is shown."""
        logs = [
            WebhookLog(index, status, "2026-11-21", "" if 200 <= status < 300 else "error-in-request: refused")
            for index, status in enumerate(statuses)
        ]
        assert levels(self._look(self.hook, logs=logs)) == [level]

    def test_the_reason_leads_to_the_hint(self) -> None:
        """Taiga's own words are shown and explained."""
        log = WebhookLog(1, 0, "2026-11-21", "error-in-request: Private IP Address not allowed")
        (finding,) = self._look(self.hook, logs=[log])
        assert "Private IP Address not allowed" in finding.message
        assert "WEBHOOKS_ALLOW_PRIVATE_ADDRESS" in finding.hint

    def test_an_address_that_taiga_refuses(self) -> None:
        """A private address is warned of even when it is registered."""
        expected = Expected("http://10.0.0.5", ("old-key",))
        hook = replace(self.hook, url="http://10.0.0.5/webhooks/taiga")
        (finding,) = hook_findings("webhook", [hook], [hook], {}, expected)
        assert finding.level == "warning"


class TestStripeEndpoint:
    """Events, version, state."""

    expected = ExpectedEndpoint(PUBLIC, is_live=False, has_secret=True)
    endpoint: ClassVar[dict[str, object]] = {
        "id": "we_1",
        "url": webhook_address(PUBLIC, "stripe"),
        "status": "enabled",
        "enabled_events": list(WANTED_EVENTS),
        "api_version": STRIPE_VERSION,
    }

    def test_complete(self) -> None:
        """An endpoint with all events, or with everything, is right; our own types are not asked of Stripe."""
        assert levels(endpoint_findings([self.endpoint], self.expected)) == ["ok"]
        assert levels(endpoint_findings([self.endpoint | {"enabled_events": ["*"]}], self.expected)) == ["ok"]
        assert not any("reconcile" in kind for kind in WANTED_EVENTS)

    @pytest.mark.parametrize(
        ("changes", "level", "word"),
        [
            ({"status": "disabled"}, "failed", "disabled"),
            ({"enabled_events": ["payment_intent.succeeded"]}, "failed", "does not send"),
            ({"api_version": None}, "warning", "of the account"),
            ({"url": "https://elsewhere.example"}, "failed", "no endpoint leads to"),
        ],
    )
    def test_wrong(self, changes: dict[str, object], level: str, word: str) -> None:
        """Each mistake is named."""
        (finding,) = endpoint_findings([self.endpoint | changes], self.expected)
        assert (finding.level, word in finding.message) == (level, True)

    def test_twice_and_without_secret(self) -> None:
        """Two endpoints are worth a word, and without a secret nothing can be verified."""
        expected = replace(self.expected, has_secret=False)
        findings = endpoint_findings([self.endpoint, self.endpoint], expected)
        assert levels(findings) == ["warning", "failed", "ok", "ok"]
