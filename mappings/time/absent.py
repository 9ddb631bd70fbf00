"""Absence is not "no": an attribute that a project does not have says nothing about its work. Pure.

Taiga sends no event when an attribute is renamed or deleted; from then on its values have another name, or none
(docs/facts/taiga.md section 3).
"""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mappings.codes import Code
from mappings.config.rules import AttributeNames
from mappings.errors import BadInput
from mappings.taiga.models import WorkItem
from mappings.time.recorded import Recorded

NEEDED = ("billable", "hours")
"""Without these nothing can be billed."""


def check_attributes(
    item: WorkItem, names: AttributeNames, present: Collection[str] | None, recorded: Recorded | None
) -> None:
    """Do not judge closed work by attributes that its project does not have.

    Args:
        item: the work.
        names: of the attributes, as mappings.json calls them.
        present: the names of the attributes that the project has; None when that is not known. Then an attribute of
            recorded work counts as absent when the item has one that looks like it instead.
        recorded: what was recorded of the work, None when nothing is.

    Raises:
        BadInput: an attribute that decides here is absent.
    """
    if recorded is not None and recorded.project_id not in (0, item.project_id) and not item.attributes:
        raise _left_behind(item)
    known = item.attributes or {} if present is None else present
    for field, name in _names(names):
        if name in known:
            continue
        renamed = looks_like(name, known, names)
        if present is None:
            is_absent = renamed != "" and (recorded is not None)
        else:
            is_absent = field in NEEDED or _is_used(field, recorded) or renamed in (item.attributes or {})
        if is_absent:
            raise _absent(field, name, renamed, item)


def seems_renamed(item: WorkItem, names: AttributeNames) -> bool:
    """Whether the item has values of attributes that look like those of mappings.json in place of them."""
    values: Mapping[str, Any] = item.attributes or {}
    return any(name not in values and looks_like(name, values, names) for _, name in _names(names))


def looks_like(name: str, others: Collection[str], names: AttributeNames) -> str:
    """The attribute of a project that is most likely this one under another name, "" for none."""
    folded = {_folded(other): other for other in others if other not in dict(_names(names)).values()}
    mine = _folded(name)
    parts = [other for key, other in folded.items() if mine in key or (key and key in mine)]
    near = [folded[key] for key in get_close_matches(mine, folded, n=1, cutoff=0.75)]
    return next(iter([*parts, *near]), "")


def _names(names: AttributeNames) -> Iterator[tuple[str, str]]:
    for field in ("billable", "hours", "hourly_rate", "client"):
        yield field, getattr(names, field)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _is_used(field: str, recorded: Recorded | None) -> bool:
    """Whether what is recorded was recorded by this attribute."""
    if recorded is None:
        return False
    return (field == "hourly_rate" and recorded.kind == "task") or (field == "client" and bool(recorded.own_client))


def _absent(field: str, name: str, renamed: str, item: WorkItem) -> BadInput:
    where = f"project {item.project_id} ({item.project_name})" if item.project_name else f"project {item.project_id}"
    hint = f'add the attribute "{name}" to the project in Taiga'
    if renamed:
        hint = (
            f'"{renamed}" looks like its new name: rename it back, or run taiga-billing mappings adopt-attribute '
            f'{item.project_id} {field} "{renamed}"'
        )
    problem = f"{where} has no attribute of this name; what is recorded stays as it is"
    return BadInput(Code.ATTRIBUTE_MISSING, name, None, problem, hint)


def _left_behind(item: WorkItem) -> BadInput:
    problem = "it was moved from another project, and Taiga leaves the values of its attributes there"
    hint = f"type them again in project {item.project_id}; until then what is recorded stays as it is"
    return BadInput(Code.VALUES_LEFT_BEHIND, "custom attributes", None, problem, hint)
