"""Runs the rules over one event: what would be recorded, why nothing, or what a person would have to repair. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from mappings.config.file import MappingFile
from mappings.errors import BadInput, NotUnderstood
from mappings.taiga.webhook import read_webhook
from mappings.time.entry import plan_time
from mappings.time.models import NotBillable


@dataclass(frozen=True, slots=True)
class Result:
    """What the rules make of a piece of work. `outcome`: recorded, nothing (`reason`) or person (`reason`)."""

    subject: str
    title: str
    outcome: str
    reason: str = ""
    client: str = ""
    project: str = ""
    hours: Decimal | None = None
    rate: Decimal | None = None

    @property
    def text(self) -> str:
        """One line for people."""
        if self.outcome == "recorded":
            project = f", project {self.project}" if self.project else ""
            return f"{self.hours} h at {self.rate} for client {self.client}{project}"
        return f"{'needs a person' if self.outcome == 'person' else 'nothing'}: {self.reason}"

    def as_json(self) -> dict[str, str]:
        """Every field that is filled in, as text: what golden files hold."""
        return {name: str(value) for name, value in asdict(self).items() if value not in ("", None)}


def try_rules(payload: Mapping[str, Any], mapping: MappingFile, source: str) -> Result:
    """What would be recorded for the state that a Taiga webhook tells; `source` names it when it cannot be read."""
    try:
        item = read_webhook(payload)
    except NotUnderstood as error:
        return Result(source, "", "person", f"this is not a webhook of a task, story or issue: {error}")
    subject, title = f"taiga:{item.kind}:{item.id}", f"#{item.ref}: {item.subject}"
    try:
        plan = plan_time(item, mapping.rules_for(item.project_id), existing_end=None)
    except BadInput as error:
        return Result(subject, title, "person", f"{error}; {error.hint}")
    if isinstance(plan, NotBillable):
        return Result(subject, title, "nothing", plan.reason)
    return Result(
        subject,
        title,
        "recorded",
        client=plan.client_ref,
        project=plan.project_id,
        hours=plan.hours,
        rate=plan.rate,
    )


@dataclass(frozen=True, slots=True)
class Changed:
    """A piece of work whose result differs; None where there was, or is, none."""

    subject: str
    before: Mapping[str, str] | None
    after: Mapping[str, str] | None


def compare(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> list[Changed]:
    """The results that differ, by subject."""
    subjects = dict.fromkeys([*before, *after])
    return [
        Changed(subject, before.get(subject), after.get(subject))
        for subject in subjects
        if before.get(subject) != after.get(subject)
    ]
