"""Mistakes in mappings.json that no single value shows: they are looked for in the decoded JSON, whatever its shape."""

from collections.abc import Iterator, Mapping
from typing import Any

from mappings.config.rules import AttributeNames, BillingRules
from mappings.errors import Problem

_DAYS_OF_WEEK = 7


def cross_checks(data: Any) -> Iterator[Problem]:
    """Mistakes that need two values to be seen. Values of a wrong type are passed over: they have their own message."""
    if isinstance(data, dict):
        yield from _projects_named_twice(data)
        for path, layers in _rule_layers(data):
            yield from _weekly_day(path, layers)
            yield from _one_field_for_two(path, layers)
        yield from _same_attribute_names(data)


def _projects(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    projects = data.get("project_mappings")
    for index, project in enumerate(projects if isinstance(projects, list) else []):
        if isinstance(project, dict):
            yield f"project_mappings[{index}]", project


def _part(data: Mapping[str, Any], name: object) -> Mapping[str, Any]:
    part = data.get(name) if isinstance(name, str) else None
    return part if isinstance(part, dict) else {}


def _projects_named_twice(data: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[int, str] = {}
    for path, project in _projects(data):
        taiga_id = project.get("taiga_project_id")
        if not isinstance(taiga_id, int):
            continue
        if taiga_id in first:
            hint = "keep one of them: hours of a project go to one client (a task's own client attribute may differ)"
            yield Problem(f"{path}.taiga_project_id", f"{taiga_id} is mapped in {first[taiga_id]} already", hint)
        first.setdefault(taiga_id, path)


def _rule_layers(data: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Every place that may write rules, with the wider places behind it."""
    general = _part(data, "billing_rules")
    clients = _part(data, "client_rules")
    yield "billing_rules", [general]
    for client_id in clients:
        yield f"client_rules.{client_id}", [_part(clients, client_id), general]
    for path, project in _projects(data):
        client = _part(clients, project.get("invoiceninja_client_id"))
        yield path, [project, client, general]


def _weekly_day(path: str, layers: list[Mapping[str, Any]]) -> Iterator[Problem]:
    """A week has seven days; reported once, at the layer that sets one of the two values."""
    frequency, day = (_first(layers, key) for key in ("frequency", "generation_day"))
    if not layers[0].keys() & {"frequency", "generation_day"} or frequency not in ("weekly", "biweekly"):
        return
    if isinstance(day, int) and day > _DAYS_OF_WEEK:
        hint = "write 1 (Monday) to 7 (Sunday), or take the frequency monthly"
        yield Problem(f"{path}.generation_day", f"must be a day of the week when the frequency is {frequency}", hint)


def _one_field_for_two(path: str, layers: list[Mapping[str, Any]]) -> Iterator[Problem]:
    """The mark by which an invoice is found again must not be overwritten by its payment link."""
    default = BillingRules.model_fields["invoice_mark_field"].default
    link, mark = _first(layers, "payment_link_field"), _first(layers, "invoice_mark_field") or default
    if link == mark and layers[0].keys() & {"payment_link_field", "invoice_mark_field"}:
        hint = "give the payment link and invoice_mark_field two different fields"
        yield Problem(f"{path}.payment_link_field", f"{mark} holds the mark of the bridge (invoice_mark_field)", hint)


def _first(layers: list[Mapping[str, Any]], key: str) -> Any:
    return next((layer[key] for layer in layers if key in layer), None)


def _same_attribute_names(data: Mapping[str, Any]) -> Iterator[Problem]:
    default = AttributeNames().model_dump()
    general = {**default, **_part(data, "attributes")}
    yield from _same_names("attributes", _part(data, "attributes"), default)
    for path, project in _projects(data):
        yield from _same_names(f"{path}.attributes", _part(project, "attributes"), general)


def _same_names(path: str, written: Mapping[str, Any], general: Mapping[str, Any]) -> Iterator[Problem]:
    names = {**general, **written}
    for key in written:
        others = [other for other in names if other != key and names[other] == names[key]]
        if others and isinstance(names[key], str):
            yield Problem(
                f"{path}.{key}", f'"{names[key]}" is the name of {others[0]} too', "name five different attributes"
            )
