"""Plays the recorded Taiga exchanges in their order, on the sandbox or on a real server.

Beside the keys of `replay.py` an exchange may have:

* `as`: who asks; `headers`: names that the answer must have; `at`: the time it was;
* `sample`: of a list only the first row was kept; `count`: the number of rows is fixed; `types`: only types count;
* `creates` and `creates_list`: recorded ids of what it makes; `save`: values of the answer that later requests use as
  `$name`; `switch`: settings of the sandbox from here on;
* `otherwise`: the status when webhooks are sent by celery, not within the request;
* `webhooks`: names of the recorded deliveries it causes; `silent`: it causes none.

Steps called `step_..` were done while recording, too, but their answers were not kept: only their status is checked.
Recorded ids in paths, queries and bodies are replaced by those of the run. Epics are left out (`epics` is null).
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx

from tests.contract.replay import RECORDINGS, Comparison
from tests.contract.taiga_volatile import HOOK_TYPE_ONLY, TYPE_ONLY
from tests.support.recorded import taiga_webhook

FOLDER = RECORDINGS / "taiga" / "rest"

_ID_KEYS = {
    "project": "project",
    "project_id": "project",
    "user_story": "userstory",
    "user_story_id": "userstory",
    "us_id": "userstory",
    "milestone": "milestone",
    "milestone_id": "milestone",
    "assigned_to": "user",
    "member": "user",
    "role": "role",
    "task_id": "task",
    "webhook": "webhook",
    "bulk_userstories": "userstory",
}
_STATUS_KEYS = ("status", "exclude_status", "status_id", "moveTo")
_PAIRED = {
    "task_status": "task_statuses",
    "userstory_status": "us_statuses",
    "issue_status": "issue_statuses",
    "role": "roles",
}
_TABLES = {
    "tasks": "task",
    "userstories": "userstory",
    "issues": "issue",
    "milestones": "milestone",
    "projects": "project",
    "webhooks": "webhook",
    "task-statuses": "task_status",
    "task-custom-attributes": "task_attribute",
    "userstory-custom-attributes": "userstory_attribute",
    "issue-custom-attributes": "issue_attribute",
    "history/task": "task",
}


def load() -> list[dict[str, Any]]:
    """All exchanges of all stories, in order."""
    found: list[dict[str, Any]] = []
    for path in sorted(FOLDER.glob("*.json")):
        found += json.loads(Path(path).read_text(encoding="utf-8"))["exchanges"]
    return found


@dataclass
class Played:
    """How one exchange went: a reason why it was skipped, or its differences."""

    skipped: str = ""
    differences: list[str] = field(default_factory=list)


@dataclass
class Run:
    """One pass over all exchanges.

    Attributes:
        client: talks to `.../api/v1`.
        authorization: the Authorization header of each role.
        variables: values for `$name`.
        offers: what this server can do beside the plain API (see `needs` of the exchanges).
        take_deliveries: bodies of the webhooks since the last call; None when they cannot be seen.
        switch: changes a setting of the sandbox.
        volatile: more keys of which only the type is compared.
    """

    client: httpx.AsyncClient
    authorization: dict[str, str]
    variables: dict[str, Any]
    offers: frozenset[str]
    take_deliveries: Callable[[], list[bytes]] | None = None
    switch: Callable[[str, Any], None] | None = None
    volatile: frozenset[str] = frozenset()
    ids: defaultdict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    async def play(self, exchange: dict[str, Any]) -> Played:
        """Send one request and compare what came back."""
        missing = set(exchange.get("needs", "").split()) - self.offers
        if missing:
            return Played(skipped=f"needs {', '.join(sorted(missing))}")
        if self.switch is not None:
            self._switch(exchange)
        try:
            response = await self._send(exchange)
        except LookupError as error:
            return Played(skipped=f"an earlier exchange was skipped: {error}")
        found = list(self._differences(exchange, response))
        self._remember(exchange, response)
        return Played(differences=found + list(self._webhook_differences(exchange)))

    def _switch(self, exchange: dict[str, Any]) -> None:
        assert self.switch is not None
        if "at" in exchange:
            self.switch("at", exchange["at"])
        for name, value in exchange.get("switch", {}).items():
            self.switch(name, value)

    async def _send(self, exchange: dict[str, Any]) -> httpx.Response:
        request = exchange["request"]
        path = self._path(request["path"])
        headers = dict(request.get("headers", {}))
        authorization = self.authorization.get(exchange.get("as", "admin"))
        if authorization is not None:
            headers["Authorization"] = authorization
        body = request.get("body")
        if body is None:
            return await self.client.request(request["method"], path, headers=headers)
        text = body if isinstance(body, str) else json.dumps(self._body(body, _kind_of(request["path"])))
        headers["Content-Type"] = "application/json"
        return await self.client.request(request["method"], path, headers=headers, content=text.encode())

    def _path(self, path: str) -> str:
        path, _, query = path.partition("?")
        path = re.sub(r"\$(\w+)", lambda match: str(self.variables[match[1]]), path)
        found = re.match(r"/([a-z-]+(?:/task(?=/))?)(/custom-attributes-values)?/(\d+)", path)
        if found is not None and found[1] in _TABLES:
            path = path[: found.start(3)] + str(self._id(_TABLES[found[1]], int(found[3]))) + path[found.end(3) :]
        if not query:
            return path
        kind = _kind_of(path)
        pairs = [(name, self._query_value(name, value, kind)) for name, value in parse_qsl(query)]
        return f"{path}?{urlencode(pairs)}"

    def _query_value(self, name: str, value: str, kind: str) -> str:
        if value.startswith("$"):
            return str(self.variables[value[1:]])
        return str(self._value(name, int(value), kind)) if value.isdigit() else value

    def _body(self, value: Any, kind: str, key: str = "") -> Any:
        if key == "attributes_values":
            ids = self.ids[f"{kind}_attribute"]
            return {str(ids.get(int(name), name)) if name.isdigit() else name: item for name, item in value.items()}
        if isinstance(value, dict):
            return {name: self._body(item, kind, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._body(item, kind, key) for item in value]
        if isinstance(value, str) and value.startswith("$"):
            return self.variables[value[1:]]
        return self._value(key, value, kind)

    def _value(self, key: str, value: Any, kind: str) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        table = f"{kind.removesuffix('_status')}_status" if key in _STATUS_KEYS else _ID_KEYS.get(key)
        return value if table is None else self._id(table, value)

    def _id(self, table: str, recorded: int) -> int:
        return self.ids[table].get(recorded, recorded)

    def _remember(self, exchange: dict[str, Any], response: httpx.Response) -> None:
        if not response.headers.get("content-type", "").startswith("application/json"):
            return
        answer, recorded = response.json(), exchange.get("response")
        for table, key in exchange.get("creates", {}).items():
            self.ids[table][key] = answer.get("id", key)
        for table, keys in exchange.get("creates_list", {}).items():
            self.ids[table].update(zip(keys, (row["id"] for row in answer), strict=False))
        if (
            exchange["request"]["method"] == "POST"
            and isinstance(recorded, dict)
            and "id" in answer
            and "id" in recorded
        ):
            self.ids[_kind_of(exchange["request"]["path"])][recorded["id"]] = answer["id"]
        if isinstance(recorded, dict) and "task_statuses" in recorded:
            for table, name in (
                ("task_status", "task_statuses"),
                ("userstory_status", "us_statuses"),
                ("role", "roles"),
            ):
                self._pair(table, recorded[name], answer.get(name, []))
            self._pair("issue_status", recorded["issue_statuses"], answer.get("issue_statuses", []))
        for name, path in exchange.get("save", {}).items():
            with suppress(LookupError):
                self.variables[name] = _at(answer, path)

    def _pair(self, table: str, recorded: list[dict[str, Any]], actual: list[dict[str, Any]]) -> None:
        by_name = {row["name"]: row["id"] for row in actual}
        self.ids[table].update({row["id"]: by_name[row["name"]] for row in recorded if row["name"] in by_name})

    def _differences(self, exchange: dict[str, Any], response: httpx.Response) -> Iterator[str]:
        expected = exchange["status"]
        if "otherwise" in exchange and "sync" not in self.offers:
            expected = exchange["otherwise"]
        if response.status_code != expected:
            yield f"status: expected {expected}, got {response.status_code}: {response.text[:300]}"
        if response.status_code == exchange["status"]:
            yield from _header_differences(exchange, response)
            yield from self._body_differences(exchange, response)

    def _body_differences(self, exchange: dict[str, Any], response: httpx.Response) -> Iterator[str]:
        if "response" not in exchange:
            return
        recorded, actual = unkeyed(exchange["response"]), unkeyed(response.json())
        if exchange.get("sample") and isinstance(actual, list):
            if exchange.get("count") and response.headers["x-pagination-count"] != str(len(recorded)):
                yield f"rows: expected {len(recorded)}, got {response.headers['x-pagination-count']}"
            actual = actual[:1]
        by_type = TYPE_ONLY.union(self.volatile, exchange.get("volatile", ()))
        comparison = Comparison(by_type, exact_keys=True)
        yield from comparison.walk(recorded, actual, "", by_type=exchange.get("types", False))

    def _webhook_differences(self, exchange: dict[str, Any]) -> Iterator[str]:
        if self.take_deliveries is None:
            return
        bodies = self.take_deliveries()
        names = exchange.get("webhooks", [])
        if exchange.get("silent") and bodies:
            yield f"webhooks: expected none, got {len(bodies)}"
        if not names:
            return
        if len(bodies) != len(names):
            yield f"webhooks: expected {names}, got {[json.loads(body)['action'] for body in bodies]}"
        for name, body in zip(names, bodies, strict=False):
            comparison = Comparison(HOOK_TYPE_ONLY, exact_keys=True)
            recorded = taiga_webhook(name).payload
            for line in comparison.walk(_shared(recorded), _shared(json.loads(body)), ""):
                yield f"webhook {name}: {line}"


def _header_differences(exchange: dict[str, Any], response: httpx.Response) -> Iterator[str]:
    content_type = response.headers.get("content-type", "").split(";")[0]
    if exchange.get("content_type", content_type) != content_type:
        yield f"content type: expected {exchange['content_type']}, got {content_type or 'none'}"
    for name in set(exchange.get("headers", ())) - set(response.headers):
        if not (exchange.get("sample") and name in ("x-pagination-next", "x-pagination-prev")):
            yield f"header {name} is missing"


def unkeyed(value: Any) -> Any:
    """The value with ids as keys replaced by their rank: `{"2": 4.5, "10": 1}` becomes `{"#0": 4.5, "#1": 1}`."""
    if isinstance(value, list):
        return [unkeyed(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return {f"#{rank}": unkeyed(value[key]) for rank, key in enumerate(sorted(value, key=int))}
    return {key: unkeyed(item) for key, item in value.items()}


def _shared(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload without what depends on earlier silent reordering of a board in the recording."""
    diff = payload.get("change", {}).get("diff", {})
    for name in ("taskboard_order", "sprint_order", "kanban_order"):
        if isinstance(diff.get(name), dict):
            diff[name] = dict.fromkeys(diff[name], 0)
    if isinstance(diff.get("finish_date"), dict):
        diff["finish_date"] = dict.fromkeys(diff["finish_date"], "")
    return payload


def _kind_of(path: str) -> str:
    first = path.lstrip("/").split("/")[0].split("?")[0]
    return _TABLES.get(first, first)


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value[int(part)] if part.isdigit() else value[part]
    return value
