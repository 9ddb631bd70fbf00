"""What is remembered of runs of reconciling."""

from types import SimpleNamespace

from middleware.store.database import Pool


async def latest_runs(pool: Pool, source: str) -> list[SimpleNamespace]:
    """The runs of a source, newest first."""
    rows = await pool.fetch("SELECT * FROM reconcile_runs WHERE source = $1 ORDER BY id DESC", source)
    return [SimpleNamespace(**row) for row in rows]
