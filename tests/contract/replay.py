"""Replay recorded exchanges against a server and say, path by path, where its answers differ.

A story is a JSON file in tests/recordings: `{"story", "source", "exchanges": [...]}`, played in order because later
requests depend on earlier ones. An exchange is
`{"name", "request": {"method", "path", "headers"?, "body"?}, "status", "content_type"?, "response"?, "match"?,
"volatile"?, "unordered"?, "advance"?, "needs"?}`:

* a `body` that is a string is sent as it stands, anything else as JSON;
* `match` is `all` (default: the keys must be the same) or `some` (the answer may have more keys than the recording);
* `volatile` adds key names whose values may differ, but not their types;
* `unordered` sorts the rows of `data` by id before comparing (the server promised no order);
* `advance` is the number of seconds that pass before the request (guards of one second and the like);
* `needs` names a special set-up of the server; a server without it skips the exchange.

Nothing here knows a particular server.
"""

import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

RECORDINGS = Path(__file__).parent.parent / "recordings"


@dataclass(frozen=True)
class Exchange:
    """One recorded request and the answer that the real server gave."""

    name: str
    method: str
    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str | None = None
    response: Any = None
    match: str = "all"
    volatile: frozenset[str] = frozenset()
    unordered: bool = False
    advance: float = 0.0
    needs: str = ""


@dataclass(frozen=True)
class Story:
    """Exchanges that were recorded in this order on a fresh server."""

    name: str
    source: str
    exchanges: tuple[Exchange, ...]


def load_story(path: Path) -> Story:
    """Read a story file (see the module text for its shape)."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    return Story(raw["story"], raw["source"], tuple(_exchange(item) for item in raw["exchanges"]))


def load_stories(folder: str) -> list[Story]:
    """Read all stories in `tests/recordings/<folder>`, in the order of their file names."""
    return [load_story(path) for path in sorted((RECORDINGS / folder).glob("*.json"))]


def _exchange(raw: dict[str, Any]) -> Exchange:
    known = {
        key: raw[key] for key in ("content_type", "response", "match", "unordered", "advance", "needs") if key in raw
    }
    request = raw["request"]
    return Exchange(
        name=raw["name"],
        method=request["method"],
        path=request["path"],
        headers=request.get("headers", {}),
        body=request.get("body"),
        status=raw["status"],
        volatile=frozenset(raw.get("volatile", ())),
        **known,
    )


async def send(client: httpx.AsyncClient, exchange: Exchange) -> httpx.Response:
    """Send the request of an exchange, without following redirects; headers of the exchange win over the client's."""
    headers = dict(exchange.headers)
    content: bytes | None = None
    if isinstance(exchange.body, str):
        content = exchange.body.encode()
    elif exchange.body is not None:
        content = json.dumps(exchange.body).encode()
        headers.setdefault("Content-Type", "application/json")
    return await client.request(
        exchange.method, exchange.path, headers=headers, content=content, follow_redirects=False
    )


def differences(exchange: Exchange, response: httpx.Response, volatile: Collection[str] = ()) -> list[str]:
    """Compare status, content type and JSON body with the recording; an empty list means equal."""
    found = []
    if response.status_code != exchange.status:
        found.append(f"status: expected {exchange.status}, got {response.status_code}: {response.text[:300]}")
    content_type = response.headers.get("content-type", "").split(";")[0]
    if exchange.content_type and content_type != exchange.content_type:
        found.append(f"content type: expected {exchange.content_type}, got {content_type or 'none'}")
    if found or exchange.response is None:
        return found
    try:
        actual = response.json()
    except ValueError:
        return [f"body: expected JSON, got {response.text[:200]!r}"]
    comparison = Comparison(frozenset(volatile) | exchange.volatile, exact_keys=exchange.match == "all")
    arrange = _by_id if exchange.unordered else _as_it_is
    return list(comparison.walk(arrange(exchange.response), arrange(actual), ""))


def _as_it_is(body: Any) -> Any:
    return body


def _by_id(body: Any) -> Any:
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        return body
    return {**body, "data": sorted(body["data"], key=lambda row: str(row.get("id")))}


@dataclass(frozen=True)
class Comparison:
    """How two JSON values are compared: `volatile` keys by type only; with `exact_keys` no key may be added."""

    volatile: frozenset[str]
    exact_keys: bool

    def walk(self, expected: Any, actual: Any, path: str, *, by_type: bool = False) -> Iterator[str]:
        """Yield one line for each difference, starting with its path."""
        if kind(expected) != kind(actual):
            yield f"{path or 'body'}: expected {kind(expected)} {short(expected)}, got {kind(actual)} {short(actual)}"
        elif isinstance(expected, dict):
            yield from self._objects(expected, actual, path, by_type=by_type)
        elif isinstance(expected, list):
            yield from self._lists(expected, actual, path, by_type=by_type)
        elif not by_type and not same(expected, actual):
            yield f"{path or 'body'}: expected {short(expected)}, got {short(actual)}"

    def _objects(self, expected: Any, actual: Any, path: str, *, by_type: bool) -> Iterator[str]:
        for key, value in expected.items():
            inner = f"{path}.{key}" if path else key
            if key not in actual:
                yield f"{inner}: missing, expected {short(value)}"
            else:
                yield from self.walk(value, actual[key], inner, by_type=by_type or key in self.volatile)
        if self.exact_keys and not by_type:
            for key in actual.keys() - expected.keys():
                yield f"{path}.{key}".lstrip(".") + f": not in the recording, got {short(actual[key])}"

    def _lists(self, expected: Any, actual: Any, path: str, *, by_type: bool) -> Iterator[str]:
        if by_type:
            return
        if len(expected) != len(actual):
            yield f"{path}: expected {len(expected)} items, got {len(actual)}"
        for index, (wanted, got) in enumerate(zip(expected, actual, strict=False)):
            yield from self.walk(wanted, got, f"{path}[{index}]")


def same(expected: Any, actual: Any) -> bool:
    """Compare two plain values; numbers up to the noise of binary fractions: a real server shows some."""
    if kind(expected) == "number":
        return math.isclose(expected, actual, abs_tol=1e-9)
    return bool(expected == actual)


def kind(value: Any) -> str:
    """Name the JSON type of a value; whole and broken numbers are both `number`."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    names = {dict: "object", list: "list", str: "string", int: "number", float: "number"}
    return names[type(value)]


def short(value: Any) -> str:
    """Show a value on part of a line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 90 else text[:87] + "..."
