"""One request as the views see it, and the helpers all views share."""

from collections.abc import Callable
from dataclasses import dataclass

from middleware.lab.sandbox.stripe import errors
from middleware.lab.sandbox.stripe.expanding import as_list
from middleware.lab.sandbox.stripe.forms import Params
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.state import StripeState
from middleware.lab.sandbox.stripe.table import Query

_PAGE = 10
_LARGEST_PAGE = 100


@dataclass(frozen=True, slots=True)
class Call:
    """A request: its parameters (of the body or the query) and the id in its path."""

    state: StripeState
    params: Params
    id: str = ""

    def one(self, kind: str) -> Json:
        """The object that the path names."""
        return self.state.find(kind, self.id)


View = Callable[[Call], Json]


def listing(kind: str, url: str, *, indexed: tuple[str, ...] = (), exact: tuple[str, ...] = ()) -> View:
    """A view that lists one kind, newest first, filtered by `created` and by the values of these fields."""

    def view(call: Call) -> Json:
        return page_of(call, kind, url, indexed=indexed, exact=exact)

    return view


def page_of(
    call: Call,
    kind: str,
    url: str,
    *,
    indexed: tuple[str, ...] = (),
    exact: tuple[str, ...] = (),
    matches: Callable[[Json], bool] = lambda _: True,
) -> Json:
    """One page of a list as the request asks for it."""
    wanted = {name: value for name in exact if (value := call.params.optional(name))}
    within = created_filter(call.params)

    def fits(item: Json) -> bool:
        return within(item) and matches(item) and all(_shown(item[name]) == value for name, value in wanted.items())

    query = Query(
        limit=_limit(call.params),
        starting_after=_cursor(call, kind, "starting_after"),
        ending_before=_cursor(call, kind, "ending_before"),
        indexed={name: value for name in indexed if (value := call.params.optional(name))},
        matches=fits,
    )
    page = call.state.tables[kind].page(query)
    return as_list(page.items, url, has_more=page.has_more)


def created_filter(params: Params) -> Callable[[Json], bool]:
    """`created=...` or `created[gte]=...` and its kind."""
    if isinstance(params.data.get("created"), str):
        exact = params.integer("created")
        return lambda item: bool(item["created"] == exact)
    inner = params.inner("created")
    limits = {name: inner.integer(name) for name in ("gt", "gte", "lt", "lte")}
    tests: dict[str, Callable[[int, int], bool]] = {
        "gt": lambda value, limit: value > limit,
        "gte": lambda value, limit: value >= limit,
        "lt": lambda value, limit: value < limit,
        "lte": lambda value, limit: value <= limit,
    }
    active = [(tests[name], limit) for name, limit in limits.items() if limit is not None]
    return lambda item: all(test(item["created"], limit) for test, limit in active)


def _shown(value: object) -> object:
    """A value as a parameter would spell it."""
    return str(value).lower() if isinstance(value, bool) else value


def _limit(params: Params) -> int:
    limit = params.integer("limit")
    if limit is None:
        return _PAGE
    if not 1 <= limit <= _LARGEST_PAGE:
        bound = "less than or equal to 100" if limit > 1 else "greater than or equal to 1"
        raise errors.invalid(f"This value must be {bound} (it currently is '{limit}').", param="limit")
    return limit


def _cursor(call: Call, kind: str, name: str) -> str | None:
    key = call.params.optional(name)
    if key is not None:
        call.state.find(kind, key, param=name, status=400)
    return key
