"""Requests that were refused at the door, with what is wrong with each; and when each webhook key was used last."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from middleware.dashboard.visit import RefusedError, Visit
from middleware.intake.diagnosis import Case, Diagnosis, diagnose
from middleware.intake.rejections import SAMPLE_BYTES, fingerprint
from middleware.settings import Settings
from middleware.sources.base import Delivery
from middleware.sources.table import SOURCES
from middleware.store.events.rejections import KeyUse, RejectionRow, RejectionStore

LIMIT = 50


@dataclass(frozen=True, slots=True)
class Key:
    """A webhook key by its fingerprint. `place` is its number in the setting, 0 for one that is not configured now."""

    source: str
    mark: str
    place: int
    use: KeyUse | None


async def show(visit: Visit) -> Response:
    """The keys, and the refused requests, newest first."""
    asked = {name: visit.asked(name) for name in ("source", "reason", "address")}
    before = visit.asked_id("before")
    store = RejectionStore(visit.services.pool)
    rows = await store.page(
        source=asked["source"], reason=asked["reason"], address=asked["address"], before_id=before, limit=LIMIT + 1
    )
    query = {name: value for name, value in asked.items() if value}
    return visit.page(
        "rejections.html",
        keys=keys(visit.services.settings, await store.key_uses()),
        rows=rows[:LIMIT],
        asked=asked,
        sources=[*SOURCES, "unknown"],
        next_query=urlencode({**query, "before": rows[LIMIT - 1].id}) if len(rows) > LIMIT else "",
        is_first=before is None,
    )


async def show_one(visit: Visit) -> Response:
    """One refused request: what arrived, which mistake it is, and how to look into it further."""
    row = await _known(visit, visit.request.path_params["rejection_id"])
    # In a thread: it tries many ways in which the body may have been changed.
    finding = await asyncio.to_thread(found, row, visit.services.settings)
    return visit.page(
        "rejection.html",
        row=row,
        finding=finding,
        body=row.sample.decode("utf-8", "replace"),
        is_whole=is_whole(row),
        command=verify_command(row),
        fingerprint=_mark(finding, row, visit.services.settings),
    )


def keys(settings: Settings, uses: Sequence[KeyUse]) -> list[Key]:
    """Every configured key in its order, then those that proved deliveries once and are not configured any more."""
    used = {(use.source, use.fingerprint): use for use in uses}
    listed = []
    for source in SOURCES:
        for place, secret in enumerate(settings.webhook_secrets(source), start=1):
            mark = fingerprint(secret)
            use = used.pop((source, mark), None)
            listed.append(Key(source, mark, place, use))
    return listed + [Key(use.source, use.fingerprint, 0, use) for use in used.values()]


def is_whole(row: RejectionRow) -> bool:
    """Whether the whole body is kept: only then a signature can be looked into."""
    return len(row.sample) < SAMPLE_BYTES


def found(row: RejectionRow, settings: Settings) -> Diagnosis | None:
    """What `verify` says of the kept request; None where nothing can be said of its signature."""
    source = SOURCES.get(row.source)
    secrets = settings.webhook_secrets(source.name) if source else ()
    if source is None or not secrets or not row.sample or not is_whole(row):
        return None
    return diagnose(Case(source, Delivery(row.sample, row.headers, row.first_at), settings.stripe_tolerance), secrets)


def verify_command(row: RejectionRow) -> str:
    """The command that looks into a saved body; "" for a source that has no keys."""
    source = SOURCES.get(row.source)
    if source is None:
        return ""
    parts = [f"taiga-billing verify --source {row.source} --body FILE"]
    parts += [
        f"--header {_quoted(f'{name}: {value}')}"
        for name, value in sorted(row.headers.items())
        if name in source.signature_headers
    ]
    if source.signs_time:
        parts.append(f"--at {int(row.first_at.timestamp())}")
    return " ".join(parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _mark(finding: Diagnosis | None, row: RejectionRow, settings: Settings) -> str:
    if finding is None or finding.key is None:
        return ""
    return fingerprint(settings.webhook_secrets(row.source)[finding.key])


async def _known(visit: Visit, rejection_id: int) -> RejectionRow:
    rows = []
    if rejection_id < 2**63 - 1:
        rows = await RejectionStore(visit.services.pool).page(before_id=rejection_id + 1, limit=1)
    if not rows or rows[0].id != rejection_id:
        raise RefusedError(404, f"There is no refused request {rejection_id}; only the newest are kept.")
    return rows[0]
