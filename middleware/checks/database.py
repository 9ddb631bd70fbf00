"""Looks at PostgreSQL and what lies in it: schema, age of the queue, workers, what waits for a person."""

from collections.abc import Sequence

from middleware.checks.findings import Finding, Level
from middleware.settings import Settings
from middleware.store.database import STORE_ERRORS, Pool, StoreUnavailableError, connect, migrations, open_pool
from middleware.store.events.events import Backlog, backlog
from middleware.store.operations.attention import AttentionStore
from middleware.store.operations.workers import WorkerStore
from middleware.store.pooler import REFUSED_BY_POOLERS, is_pooled
from middleware.web.health import STALE_HEARTBEAT_SECONDS

OLD_SECONDS, TOO_OLD_SECONDS = 60.0, 900.0
MOST_REVIEWS = 100

POOLED = "a pooler spreads one connection's statements over several sessions, so our locks protect nothing"
POOLED_HINT = "point DATABASE_URL at PostgreSQL itself, not at PgBouncer (docs/deployment.md, PgBouncer)"


async def check_database(settings: Settings) -> list[Finding]:
    """Whether PostgreSQL answers and has the present schema, and how the work in it stands."""
    url = settings.database_url.get_secret_value()
    try:
        if await is_pooled(url):
            return [Finding("postgresql", "failed", POOLED, POOLED_HINT)]
        connection = await connect(url)
    except (*STORE_ERRORS, ValueError) as error:
        hint = POOLED_HINT if REFUSED_BY_POOLERS in str(error) else "start PostgreSQL, or correct DATABASE_URL"
        return [Finding("postgresql", "failed", str(error), hint)]
    try:
        version = await connection.fetchval("SHOW server_version")
        has_table = await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL")
        rows = await connection.fetch("SELECT version FROM migrations") if has_table else []
    finally:
        await connection.close()
    schema = schema_finding(version, {row["version"] for row in rows})
    if schema.level != "ok":
        return [schema]
    async with open_pool(url, size=2) as pool:
        try:
            return [schema, *await _work(pool)]
        except (StoreUnavailableError, *STORE_ERRORS) as error:
            return [
                schema,
                Finding("queue", "failed", str(error), "PostgreSQL stopped answering during the check; try again"),
            ]


def schema_finding(version: str, present: set[int]) -> Finding:
    """Whether every migration was applied, and none of a newer program."""
    known = {migration.version: migration.name for migration in migrations()}
    missing = [name for number, name in known.items() if number not in present]
    if newer := present - known.keys():
        message = f"{version}: has migration {max(newer)} of a newer version of this program"
        return Finding("postgresql", "failed", message, "install the newer version again, or restore the backup")
    if missing:
        message = f"{version}: these migrations are missing: {', '.join(missing)}"
        return Finding("postgresql", "warning", message, "run taiga-billing migrate (every start does it, too)")
    return Finding("postgresql", "ok", f"{version}, schema {max(present)}")


async def _work(pool: Pool) -> list[Finding]:
    waiting = await backlog(pool)
    beat = await WorkerStore(pool).seconds_since_beat()
    reviews = await AttentionStore(pool).open_reviews(MOST_REVIEWS)
    return [worker_finding(beat), queue_finding(waiting), *people_findings(waiting, [row.kind for row in reviews])]


def worker_finding(age: float | None) -> Finding:
    """Whether a worker is alive."""
    hint = "start it: taiga-billing up (or worker); its log says why it ended"
    if age is None or age > STALE_HEARTBEAT_SECONDS:
        said = "no worker is running" if age is None else f"the last sign of a worker was {age:.0f} s ago"
        return Finding("worker", "warning", said, hint)
    return Finding("worker", "ok", f"last sign {age:.0f} s ago")


def queue_finding(waiting: Backlog) -> Finding:
    """Whether events wait for a worker longer than they should."""
    count = waiting.received + waiting.retrying
    message = f"{count} events are waiting; the oldest has been due for {waiting.oldest_due_seconds:.0f} s"
    if waiting.oldest_due_seconds > OLD_SECONDS:
        hint = "look into the worker's log; raise WORKER_CONCURRENCY, or start another worker"
        level: Level = "failed" if waiting.oldest_due_seconds > TOO_OLD_SECONDS else "warning"
        return Finding("queue", level, message, hint)
    return Finding("queue", "ok", message if count else "nothing is waiting")


def people_findings(waiting: Backlog, reviews: Sequence[str]) -> list[Finding]:
    """What needs a person; it is work, not a fault of the installation."""
    findings = []
    if waiting.dead:
        hint = "taiga-billing events list --status dead"
        findings.append(Finding("dead events", "warning", f"{waiting.dead} events need a person", hint))
    if reviews:
        kinds = ", ".join(f"{reviews.count(kind)} {kind.replace('_', ' ')}" for kind in dict.fromkeys(reviews))
        hint = "see the dashboard"
        findings.append(Finding("reviews", "warning", f"waiting for a decision: {kinds}", hint))
    return findings
