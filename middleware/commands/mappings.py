"""`taiga-billing mappings`: what mappings.json means, and what another one would change."""

import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from handlers.errors import RemoteError
from mappings.config.effective import differences, effective_rules, project_label, shown_value
from mappings.config.file import MappingFile, parse_mapping
from mappings.config.rules import AttributeNames
from mappings.errors import MappingErrors
from mappings.taiga.models import WorkKind
from mappings.time.preview import Changed, Result, compare, try_rules
from middleware.bootstrap import open_systems
from middleware.clients.http.json_codec import read_json
from middleware.commands.common import (
    DIFFERENCES,
    WrongUseError,
    json_option,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.mapping.load import load_mapping
from middleware.mapping.recorded import UnreadableError, read_webhooks
from middleware.mapping.references import Looked, look_up
from middleware.settings import Settings
from middleware.setup.files import adopted_attribute, write_whole
from middleware.store.events.newest import newest_events

KINDS: tuple[WorkKind, ...] = ("task", "userstory", "issue")

Payloads = list[tuple[str, Mapping[str, Any]]]
JsonFile = click.Path(exists=True, dir_okay=False, path_type=Path)
Golden = dict[str, dict[str, str]]

mapping_option = click.option("--mapping", "file", type=JsonFile, help="Instead of the file named by MAPPINGS_FILE.")


@click.group("mappings")
def command() -> None:
    """Show the rules as they apply, and try them on what really happened."""


@command.command("show")
@click.option("--project", "project_id", type=int, help="Only this Taiga project (also one that is not mapped).")
@click.option("--all", "everything", is_flag=True, help="Also show rules at their default.")
@mapping_option
@json_option
def show(*, project_id: int | None, everything: bool, file: Path | None, as_json: bool) -> None:
    """Show the effective rules of each project, everything merged, and the names in it that mean nothing."""
    mapping = _loaded(file)
    ids = [one.taiga_project_id for one in mapping.project_mappings] if project_id is None else [project_id]
    rules = {one: effective_rules(mapping.rules_for(one)) for one in ids}
    looked = _looked_up(mapping)
    numbers = {one.taiga_project_id: number for number, one in enumerate(mapping.project_mappings)}
    found = {one: list(looked.of_project(numbers.get(one))) for one in ids}
    if as_json:
        names = {one: {"unresolved": found[one], "not_looked_up": looked.unread} for one in ids}
        print_json({str(one): {"is_mapped": one in numbers, **rules[one], **names[one]} for one in ids})
        return
    defaults = effective_rules(MappingFile().rules_for(0))
    for one in ids:
        mapped = "" if mapping.rules_for(one).is_mapped else " is not mapped; the general rules"
        click.echo(f"{project_label(mapping, one)}{mapped}")
        doubtful = {problem.path.removeprefix(f"project_mappings[{numbers.get(one)}].") for problem in found[one]}
        for name, value in rules[one].items():
            if everything or value != defaults.get(name):
                click.echo(f"  {name:32} {shown_value(value)}{'  <- see below' if name in doubtful else ''}")
    if not ids:
        click.echo("no project is mapped; add one to project_mappings, or run taiga-billing setup")
    for problem in dict.fromkeys(problem for one in ids for problem in found[one]):
        click.echo(f"means nothing: {problem}")
    for reason in looked.unread:
        click.echo(f"names were not looked up: {reason}")


def _looked_up(mapping: MappingFile) -> Looked:
    """What its names mean now; `unread` says why nobody could look."""

    async def ask(settings: Settings) -> Looked:
        async with open_systems(settings) as systems:
            return await look_up(mapping, systems)

    try:
        return run(ask(settings_or_exit()))
    except (RemoteError, WrongUseError) as error:
        return Looked((), (" ".join(str(error).split()),))


@command.command("test")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=30,
    show_default=True,
    help="Use the stored events of the last 30d, 12h ...",
)
@click.option(
    "--events",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Recorded webhooks (*.json) of a folder instead of stored ones; needs no database.",
)
@click.option("--against", type=JsonFile, help="Show what this mapping file would change.")
@click.option("--golden", type=click.Path(dir_okay=False, path_type=Path), help="Compare with the results kept here.")
@click.option("--write", is_flag=True, help="Keep the results in the golden file instead.")
@mapping_option
@json_option
def test(
    *,
    days: int,
    folder: Path | None,
    against: Path | None,
    golden: Path | None,
    write: bool,
    file: Path | None,
    as_json: bool,
) -> None:
    """Run the rules over the newest event of each task and print what would be recorded. Nothing is changed.

    With --against or --golden the differences are printed, and the exit code is 3 when there are any.
    """
    if write and golden is None:
        raise WrongUseError("--write needs --golden FILE, the file to be written")
    mapping = _loaded(file, needs_settings=folder is None)
    payloads = _recorded(folder) if folder is not None else _stored(days)
    results = [try_rules(payload, mapping, name) for name, payload in payloads]
    if against is not None:
        new = _loaded(against)
        after = [try_rules(payload, new, name) for name, payload in payloads]
        _show_differences(differences(mapping, new), compare(_by_subject(results), _by_subject(after)), as_json=as_json)
    elif golden is not None and not write:
        _show_differences([], compare(_read_golden(golden), _by_subject(results)), as_json=as_json)
    else:
        _show_results(results, as_json=as_json)
        if golden is not None:
            golden.write_text(json.dumps(_by_subject(results), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@command.command("adopt-attribute")
@click.argument("project_id", type=int)
@click.argument("field", type=click.Choice(list(AttributeNames.model_fields)))
@click.argument("name")
@mapping_option
def adopt_attribute(*, project_id: int, field: str, name: str, file: Path | None) -> None:
    """Call an attribute of a Taiga project by its new NAME in mappings.json, after it was renamed in Taiga."""
    chosen = _chosen(file, needs_settings=True)
    mapping = _loaded(chosen)
    try:
        text = adopted_attribute(chosen.read_text(encoding="utf-8"), project_id, field, name)
        new = parse_mapping(text)
        write_whole(chosen, text, stat.S_IMODE(chosen.stat().st_mode))
    except KeyError as error:
        raise WrongUseError(f"{chosen} does not map Taiga project {project_id}") from error
    except MappingErrors as error:
        raise WrongUseError(str(error)) from error
    except OSError as error:
        raise WrongUseError(f"{chosen} cannot be written: {error}") from error
    for line in differences(mapping, new):
        click.echo(line)
    click.echo(
        "the workers read the file again by themselves; taiga-billing events replay --code attribute_missing settles "
        "what waited for the attribute"
    )


def _chosen(file: Path | None, *, needs_settings: bool) -> Path:
    if file is None and needs_settings:
        file = settings_or_exit().mappings_file
    return file or Path(os.environ.get("MAPPINGS_FILE", "mappings.json"))


def _loaded(file: Path | None, *, needs_settings: bool = True) -> MappingFile:
    async def read(chosen: Path) -> MappingFile:
        return load_mapping(chosen)

    return run(read(_chosen(file, needs_settings=needs_settings)))


def _recorded(folder: Path) -> Payloads:
    try:
        return read_webhooks(folder)
    except UnreadableError as error:
        raise WrongUseError(str(error)) from error


def _stored(days: int) -> Payloads:
    async def read(settings: Settings) -> Payloads:
        since = datetime.now(UTC) - timedelta(days=days)
        async with store(settings) as pool:
            return [
                (f"event {event.id}", _decoded(event.body))
                async for event in newest_events(pool, "taiga", KINDS, since)
            ]

    with servers_behind(settings_or_exit()) as settings:
        return run(read(settings))


def _decoded(body: bytes) -> Mapping[str, Any]:
    """The payload; an empty one for a body that cannot be read, such as one sealed with a key that is not there."""
    try:
        payload = read_json(body)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, Mapping) else {}


def _by_subject(results: list[Result]) -> Golden:
    return {result.subject: result.as_json() for result in results}


def _read_golden(file: Path) -> Golden:
    try:
        kept: Golden = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongUseError(f"{file} cannot be read ({error}); --write makes it") from error
    return kept


def _show_results(results: list[Result], *, as_json: bool) -> None:
    if as_json:
        print_json(results)
        return
    for result in results:
        click.echo(f"{result.subject} {result.title}\n    {result.text}")
    counts = {word: sum(result.outcome == word for result in results) for word in ("recorded", "nothing", "person")}
    click.echo(
        f"{len(results)} looked at: {counts['recorded']} recorded, {counts['nothing']} not billed,"
        f" {counts['person']} need a person"
    )


def _show_differences(rules: list[str], changed: list[Changed], *, as_json: bool) -> None:
    if as_json:
        print_json({"rules": rules, "results": changed})
    else:
        for line in rules:
            click.echo(line)
        for one in changed:
            title = (one.after or one.before or {}).get("title", "")
            click.echo(f"{one.subject} {title}\n  - {_line(one.before)}\n  + {_line(one.after)}")
        click.echo(f"{len(changed)} results differ" if changed else "no result differs")
    if rules or changed:
        raise click.exceptions.Exit(DIFFERENCES)


def _line(kept: Mapping[str, str] | None) -> str:
    if kept is None:
        return "not there"
    hidden = {"subject", "title"}
    return ", ".join(f"{name} {value}" for name, value in kept.items() if name not in hidden)
