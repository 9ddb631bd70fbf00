"""`.env` and mappings.json as texts: read, changed where something is missing, written whole or not at all."""

import io
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

Json = Mapping[str, Any]

PRIVATE, PUBLIC = 0o600, 0o644
ADDED = "# Added by taiga-billing setup"
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+,=%~^!*?&-]*", re.ASCII)
# Control characters, and what counts as the end of a line.
_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
# A number is kept as it is written: 75.00 does not become 75.0. No text of people begins with this character.
_MARK = "\x00"
_MARKED = re.compile(r'"\\u0000([-+0-9.eE]+)"')


class UnwritableError(ValueError):
    """A value that the file cannot hold."""


def read_env(text: str) -> dict[str, str]:
    """The variables that a text of `.env` sets, as the program will read them."""
    values = dotenv_values(stream=io.StringIO(text), interpolate=True)
    return {name: value for name, value in values.items() if value is not None}


def changed_env(text: str, values: Mapping[str, str]) -> str:
    """The text with these values; all other lines stay, a value that was commented out is switched on in its place.

    Raises:
        UnwritableError: a value has a line break, or `${`, which would be replaced when it is read.
    """
    lines = text.removesuffix("\n").split("\n") if text else []
    added = []
    for name, value in values.items():
        line = f"{name}={_quoted(name, value)}"
        place = _place(lines, name)
        if place is None:
            added.append(line)
        else:
            lines[place] = line
    if added:
        lines += [*([""] if lines else []), ADDED, *added]
    return "\n".join(lines) + "\n"


def _place(lines: Sequence[str], name: str) -> int | None:
    """The line that sets the variable (the last one wins), else the one that shows its default."""
    for pattern in (rf"\s*(export\s+)?{name}\s*=", rf"#\s?{name}="):
        found = [index for index, line in enumerate(lines) if re.match(pattern, line)]
        if found:
            return found[-1]
    return None


def _quoted(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if "${" in value or any(unicodedata.category(char) in _BREAKING for char in value):
        raise UnwritableError(f"{name} holds a line break, ${{ or a control character, which .env cannot hold")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def changed_mapping(text: str, entries: Sequence[Json], rules: Json, declined: Sequence[Json] = ()) -> str:
    """The text of mappings.json with these projects added, and with these billing rules where it has none at all.

    `declined` are the projects that are to be left out from now on; a project that is added is declined no more.
    """
    data = json.loads(text.removeprefix("\ufeff"), parse_float=_marked) if text.strip() else {}
    data.setdefault("project_mappings", []).extend(_plain(entry) for entry in entries)
    _decline(data, {entry["taiga_project_id"] for entry in entries}, declined)
    if rules and not text.strip():
        data["billing_rules"] = _plain(rules)
    return _MARKED.sub(r"\1", json.dumps(data, indent=2, ensure_ascii=False)) + "\n"


def adopted_attribute(text: str, project_id: int, field: str, name: str) -> str:
    """The text of mappings.json in which an attribute of one project has this name in Taiga.

    Raises:
        KeyError: the project is not mapped.
    """
    data = json.loads(text.removeprefix("\ufeff"), parse_float=_marked)
    for project in data.get("project_mappings", []):
        if project["taiga_project_id"] == project_id:
            project.setdefault("attributes", {})[field] = name
            return _MARKED.sub(r"\1", json.dumps(data, indent=2, ensure_ascii=False)) + "\n"
    raise KeyError(project_id)


def _decline(data: dict[str, Any], added: Collection[int], declined: Sequence[Json]) -> None:
    before = data.get("declined_projects", [])
    left_out = [*(one for one in before if one["taiga_project_id"] not in added), *declined]
    if left_out:
        data["declined_projects"] = left_out
    else:
        data.pop("declined_projects", None)


def _marked(number: str) -> str:
    return _MARK + number


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _marked(f"{value:f}") if isinstance(value, Decimal) else value
        for name, value in entry.items()
        if value is not None
    }


def write_whole(file: Path, text: str, mode: int) -> None:
    """Write the file with this mode so that nobody ever sees half of it; a link stays a link.

    Raises:
        OSError: it cannot be written; the old content is still there.
    """
    target = file.resolve()
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.chmod(mode)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
