"""Missing custom attributes and webhooks of the mapped projects (docs/facts/taiga.md sections 1, 4 and 7)."""

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mappings.config.file import MappingFile, ProjectRules
from middleware.clients.taiga import Taiga
from middleware.clients.taiga.decode import TaigaProject, Webhook
from middleware.clients.taiga.projects import AttributeType
from middleware.setup.steps import Step
from middleware.sources.addresses import leads_here, webhook_address
from middleware.sources.taiga import keys_for

HOOK_NAME = "taiga-billing"
TYPES: dict[str, AttributeType] = {
    "billable": "checkbox",
    "hours": "number",
    "hourly_rate": "number",
    "client": "text",
    "invoice_status": "dropdown",
}
REFUSED_HINT = (
    "Taiga needs a host name with a dot and, unless WEBHOOKS_ALLOW_PRIVATE_ADDRESS is set there, a public address;"
    " then run setup again"
)


@dataclass(frozen=True, slots=True)
class TaigaPlan:
    """The steps, and what a person must do because we may not."""

    steps: tuple[Step, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hooks:
    """Where webhooks lead, and the keys that we accept: the first is for new ones."""

    public_url: str
    secrets: Sequence[str]

    def accepts(self, key: str, project_id: int) -> bool:
        """Whether a webhook of this project with this key is understood here."""
        return any(hmac.compare_digest(key.encode(), secret.encode()) for secret in keys_for(self.secrets, project_id))


async def plan_taiga(taiga: Taiga, mapping: MappingFile, hooks: Hooks) -> TaigaPlan:
    """What is missing in the mapped projects.

    Raises:
        RemoteError: Taiga cannot be read.
    """
    steps: list[Step] = []
    remarks = []
    for mapped in mapping.project_mappings:
        project = await taiga.project(mapped.taiga_project_id)
        missing = [*_attributes(taiga, project, mapping.rules_for(project.id))]
        if project.i_am_admin:
            steps += [*missing, *_webhook(taiga, project, await taiga.webhooks(project.id), hooks)]
            if hooks.public_url and not keys_for(hooks.secrets, project.id):
                remarks.append(
                    f"{project.name}: every key of TAIGA_WEBHOOK_SECRETS is bound to another project: "
                    f"add {project.id}:KEY and run setup again."
                )
        else:
            undone = "".join(f"\n    - {step.title}" for step in missing)
            remarks.append(
                f"{project.name}: our Taiga user is not an administrator of this project, so its webhook cannot be"
                f" seen nor made. Make it one (project settings, members) and run setup again, or do it there"
                f" yourself.{undone}"
            )
    if not hooks.public_url:
        remarks.append("Without PUBLIC_URL no webhook of Taiga is registered.")
    return TaigaPlan(tuple(steps), tuple(remarks))


def _attributes(taiga: Taiga, project: TaigaProject, rules: ProjectRules) -> Iterator[Step]:
    for kind in rules.rules.billable_types:
        present = {definition.name for definition in project.attributes.get(kind, ())}
        for field, wanted in TYPES.items():
            name: str = getattr(rules.attributes, field)
            if name not in present:
                options = _options(rules) if wanted == "dropdown" else ()
                title = f'{project.name}: add the {kind} attribute "{name}" ({wanted})'
                yield Step(title, partial(taiga.create_attribute, kind, project.id, name, wanted, options))


def _options(rules: ProjectRules) -> tuple[str, ...]:
    return (rules.statuses.not_billable, rules.statuses.pending, rules.statuses.invoiced)


def _webhook(taiga: Taiga, project: TaigaProject, present: Sequence[Webhook], hooks: Hooks) -> Iterator[Step]:
    """A webhook with our address gets a key that we accept; one of our name gets our address; else one is made."""
    if not hooks.public_url:
        return
    keys = keys_for(hooks.secrets, project.id)
    if not keys:
        # Every key is bound to another project: a person has to decide on one for this.
        return
    url, key = webhook_address(hooks.public_url, "taiga"), keys[0]
    ours = [hook for hook in present if leads_here(hook.url, hooks.public_url, "taiga")]
    for hook in ours:
        if not hooks.accepts(hook.key, project.id):
            title = f'{project.name}: give the webhook "{hook.name}" the key of TAIGA_WEBHOOK_SECRETS'
            yield Step(title, partial(taiga.update_webhook, hook.id, key=key))
    named = next((hook for hook in present if hook.name == HOOK_NAME), None)
    if not ours and named is not None:
        title = f"{project.name}: change the address of the webhook {HOOK_NAME} from {named.url} to {url}"
        yield Step(title, partial(taiga.update_webhook, named.id, url=url, key=key), REFUSED_HINT)
    elif not ours:
        title = f"{project.name}: register the webhook {url}"
        yield Step(title, partial(taiga.create_webhook, project.id, HOOK_NAME, url, key), REFUSED_HINT)
