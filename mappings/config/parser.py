"""Reads a JSON configuration text and says everything that is wrong with it, in a person's words."""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mappings.config.checks import cross_checks
from mappings.errors import MappingErrors, Problem, printable, shown

_Model = TypeVar("_Model", bound=BaseModel)
_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_-]*", re.ASCII)

_MESSAGES = {
    "missing": ("is missing", "add it; docs/mapping.md shows an example"),
    "string_type": ("must be a text, not {shown}", "write it in quotes"),
    "int_type": ("must be a whole number, not {shown}", "write it without quotes and without a fraction"),
    "bool_type": ("must be true or false, not {shown}", "write true or false without quotes"),
    "list_type": ("must be a list, not {shown}", "write it in square brackets: [...]"),
    "tuple_type": ("must be a list, not {shown}", "write it in square brackets: [...]"),
    "dict_type": ("must be an object, not {shown}", "write it in curly brackets: {{...}}"),
    "model_type": ("must be an object, not {shown}", "write it in curly brackets: {{...}}"),
    "literal_error": ("must be {expected}, not {shown}", "write one of them"),
    "greater_than": ("must be more than {gt}, not {shown}", "correct the number"),
    "greater_than_equal": ("must be at least {ge}, not {shown}", "correct the number"),
    "less_than": ("must be less than {lt}, not {shown}", "correct the number"),
    "less_than_equal": ("must be at most {le}, not {shown}", "correct the number"),
    "decimal_max_places": ("must have at most {decimal_places} decimals, not {shown}", "round it"),
    "string_too_long": ("must have at most {max_length} characters", "shorten it"),
    "too_short": ("must not be empty", "write at least {min_length}"),
    "too_long": ("must have at most {max_length} entries", "remove some"),
    "string_pattern_mismatch": (
        "is not an id: {shown}",
        "copy it from the address of its page in Invoice Ninja: letters and digits, such as VolejRejNm",
    ),
    "mapping": ("{problem}", "{hint}"),
}


def read_json(text: str) -> Any:
    """Decode the text; fractions become Decimal.

    Raises:
        MappingErrors: it is no JSON (with line and column), or an object has a key twice.
    """
    repeated: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        repeated.extend({key for key in keys if keys.count(key) > 1})
        return dict(items)

    try:
        # NaN and Infinity stay texts: the field that holds one then complains with its path.
        data = json.loads(text.removeprefix("\ufeff"), parse_float=Decimal, parse_constant=str, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        hint = "check for a missing or extra comma, quote or bracket there or just before"
        raise MappingErrors([Problem(place, f"is not JSON: {error.msg}", hint)]) from error
    except (ValueError, RecursionError) as error:
        hint = "check for a number with thousands of digits or for thousands of nested brackets"
        raise MappingErrors([Problem("", "is JSON that cannot be read", hint)]) from error
    if repeated:
        hint = "keep one of them; JSON would silently take the last"
        raise MappingErrors(
            [Problem("", f'has the key "{printable(key)}" twice in one object', hint) for key in repeated]
        )
    return data


def validate(model: type[_Model], data: Any) -> _Model:
    """Make the model from decoded JSON.

    Raises:
        MappingErrors: every mistake at once.
    """
    problems = list(cross_checks(data))
    try:
        result = model.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        schema = model.model_json_schema(by_alias=True)
        raise MappingErrors([_problem(detail, schema) for detail in details] + problems) from error
    if problems:
        raise MappingErrors(problems)
    return result


def _problem(detail: ErrorDetails, schema: dict[str, Any]) -> Problem:
    path = path_of(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return Problem(path, "is not a setting", _did_you_mean(detail["loc"], schema))
    message, hint = _MESSAGES.get(
        detail["type"], (detail["msg"].replace("{", "{{").replace("}", "}}"), "see docs/mapping.md")
    )
    values = {"shown": shown(detail["input"]), **detail.get("ctx", {})}
    return Problem(path, message.format(**values), hint.format(**values))


def path_of(loc: Sequence[int | str]) -> str:
    """A place in the file as people write it: `project_mappings[2].user_rates["j.doe"]`."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.startswith("["):
            # No part of the file: pydantic's mark for the key of an object, or ours for one of several kinds of value.
            continue
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{part}"
        else:
            path += f'["{printable(part)}"]'
    return path.removeprefix(".")


def _did_you_mean(loc: Sequence[int | str], schema: dict[str, Any]) -> str:
    wrong = str(loc[-1])
    known = sorted(_keys_at(loc[:-1], schema))
    close = difflib.get_close_matches(wrong.casefold(), known, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    elsewhere = sorted(section for section, keys in _sections(schema) if wrong in keys)
    if elsewhere:
        return f'move it into "{elsewhere[0]}"'
    return f"remove it; known here: {', '.join(known)}"


def _sections(schema: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """The parts of the file that are objects of settings, with their keys."""
    for name in schema["properties"]:
        yield name, _keys_at([name], schema)


def _keys_at(loc: Sequence[int | str], schema: dict[str, Any]) -> set[str]:
    """The keys that the schema knows at a place."""
    node = schema
    for part in loc:
        if isinstance(part, str) and part.startswith("["):
            continue
        node = _resolve(node, schema)
        step = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        node = step if step is not None else _any_key(node)
    return set(_resolve(node, schema).get("properties", {}))


def _any_key(node: dict[str, Any]) -> dict[str, Any]:
    """What stands under the keys that people choose themselves, such as client ids."""
    choices = (*node.get("patternProperties", {}).values(), node.get("additionalProperties"))
    return next((choice for choice in choices if isinstance(choice, dict)), {})


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and the one choice that has parts, of what may also be another kind of value or nothing."""
    for choice in (*node.get("anyOf", []), *node.get("oneOf", [])):
        if choice.keys() & {"$ref", "items", "oneOf"}:
            return _resolve(choice, schema)
    if "$ref" in node:
        found: dict[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]]
        return found
    return node
