"""Looks at Taiga's webhooks: registered, sent to the right address, signed with a key of ours, and delivered."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace

from handlers.errors import RemoteError
from middleware.checks.findings import Finding, Level
from middleware.clients.taiga import Taiga
from middleware.clients.taiga.decode import TaigaProject, Webhook, WebhookLog
from middleware.sources.addresses import leads_here, taiga_refusal, webhook_address
from middleware.sources.taiga import keys_for

SHOWN_WORDS = 200


@dataclass(frozen=True, slots=True)
class Expected:
    """What webhooks should be like. `public_url` "" is not known; `secrets` are the keys that we accept."""

    public_url: str
    secrets: Sequence[str]

    def accepts(self, key: str) -> bool:
        """Whether deliveries signed with this key are taken."""
        return any(hmac.compare_digest(key.encode(), secret.encode()) for secret in self.secrets)

    def of_project(self, project_id: int) -> "Expected":
        """The same, with the keys that may sign for a project."""
        return replace(self, secrets=keys_for(self.secrets, project_id))

    @property
    def address(self) -> str:
        """The address as people should type it."""
        return webhook_address(self.public_url or "https://your-host", "taiga")


async def check_webhooks(taiga: Taiga, where: str, project: TaigaProject, expected: Expected) -> list[Finding]:
    """The findings about the webhooks of one project; only its administrators may see them."""
    name = f"{where} webhook"
    if not project.i_am_admin:
        hint = "make our Taiga user an administrator of the project (project settings, members), or look there yourself"
        return [Finding(name, "warning", "cannot be seen: our user is not an administrator of this project", hint)]
    try:
        hooks = await taiga.webhooks(project.id)
        ours = [hook for hook in hooks if leads_here(hook.url, expected.public_url, "taiga")]
        logs = {hook.id: await taiga.webhook_logs(hook.id) for hook in ours}
    except RemoteError as error:
        return [Finding(name, "failed", str(error), "try again")]
    return hook_findings(name, hooks, ours, logs, expected.of_project(project.id))


def hook_findings(
    name: str,
    hooks: Sequence[Webhook],
    ours: Sequence[Webhook],
    logs: dict[int, list[WebhookLog]],
    expected: Expected,
) -> list[Finding]:
    """What the webhooks of a project say: `ours` are those among `hooks` that lead here."""
    if not ours:
        others = ", ".join(hook.url for hook in hooks)
        message = f"none leads to {expected.address}" + (f", only to {others}" if others else "")
        hint = "run taiga-billing setup, or add it in Taiga (project settings, integrations, webhooks)"
        return [Finding(name, "failed", message, hint)]
    findings = []
    if len(ours) > 1:
        hint = "remove all but one in Taiga; duplicates do no harm, but each costs a request"
        findings.append(Finding(name, "warning", f"{len(ours)} lead here: everything comes as often", hint))
    for hook in ours:
        findings += _one(name, hook, logs.get(hook.id, []), expected)
    return findings


def _one(name: str, hook: Webhook, logs: Sequence[WebhookLog], expected: Expected) -> list[Finding]:
    if not expected.accepts(hook.key):
        message = f'"{hook.name}" signs with a key that is not in TAIGA_WEBHOOK_SECRETS: its deliveries are refused'
        hint = "run taiga-billing setup, or put the same key into both places (a comma separates several)"
        return [Finding(name, "failed", message, hint)]
    if refusal := taiga_refusal(hook.url):
        return [Finding(name, "warning", refusal, "")]
    return [delivery_finding(name, hook, logs)]


def delivery_finding(name: str, hook: Webhook, logs: Sequence[WebhookLog]) -> Finding:
    """How the last deliveries went, by Taiga's own log (the last ten)."""
    if not logs:
        hint = "nothing happened in this project yet, or Taiga cannot send: press the test button of the webhook there"
        return Finding(name, "ok", f'"{hook.name}" is registered; Taiga has sent nothing yet', hint)
    wrong = [log for log in logs if log.error or not _is_good(log)]
    if not wrong:
        return Finding(name, "ok", f'"{hook.name}": the last {len(logs)} deliveries arrived')
    newest = wrong[0]
    said = " ".join(newest.error.split())[:SHOWN_WORDS]
    answer = f"answered {newest.status}" if newest.status else "could not be sent"
    message = f"{len(wrong)} of the last {len(logs)} deliveries failed; the one of {newest.created} {answer}: {said}"
    level: Level = "failed" if logs[0] is newest else "warning"
    return Finding(name, level, message, repair_hint(newest))


def _is_good(log: WebhookLog) -> bool:
    return 200 <= log.status < 300  # noqa: PLR2004 - the range of success


def repair_hint(log: WebhookLog) -> str:
    """What to do about a failed delivery."""
    lost = "; Taiga sends nothing twice: taiga-billing reconcile taiga finds what was lost"
    if "Private IP" in log.error:
        return "start taiga-back with WEBHOOKS_ALLOW_PRIVATE_ADDRESS=True" + lost
    if log.status == 403:  # noqa: PLR2004 - what our receiver answers
        return "the key differs, or a proxy changes the body on its way: taiga-billing verify tells which" + lost
    if log.status == 0:
        return "can Taiga's machine reach this address, and does it trust the certificate?" + lost
    return "look at the log of the proxy and of the receiver at that time" + lost
