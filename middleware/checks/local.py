"""Looks at what is ours: mapping file, PostgreSQL, Redis."""

from pathlib import Path

from mappings.config import MappingFile
from mappings.errors import MappingErrors
from middleware.bootstrap import load_mapping
from middleware.checks.findings import Finding
from middleware.health import check_redis
from middleware.queue import open_queue
from middleware.settings import Settings, SettingsError
from middleware.store.database import STORE_ERRORS, connect, migrations


def check_mapping(file: Path) -> tuple[list[Finding], MappingFile | None]:
    """Every mistake of the mapping file, or what it maps."""
    try:
        mapping = load_mapping(file)
    except SettingsError as error:
        hint = "copy mappings.example.json and name your projects and clients"
        return [Finding("mapping file", "failed", "; ".join(error.problems), hint)], None
    except MappingErrors as error:
        return [
            Finding("mapping file", "failed", f"{file}: {problem.path or 'the file'}: {problem.message}", problem.hint)
            for problem in error.problems
        ], None
    count = len(mapping.project_mappings)
    if not count:
        return [Finding("mapping file", "warning", f"{file} maps no project", "add one to project_mappings")], mapping
    return [Finding("mapping file", "ok", f"{file} maps {count} project{'s' if count != 1 else ''}")], mapping


async def check_database(settings: Settings) -> Finding:
    """Whether PostgreSQL answers and has the present schema."""
    try:
        connection = await connect(settings.database_url.get_secret_value())
    except (*STORE_ERRORS, ValueError) as error:
        return Finding("postgresql", "failed", str(error), "start PostgreSQL, or correct DATABASE_URL")
    try:
        version = await connection.fetchval("SHOW server_version")
        has_table = await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL")
        present = await connection.fetchval("SELECT max(version) FROM migrations") if has_table else 0
    finally:
        await connection.close()
    newest = migrations()[-1].version
    if present != newest:
        return Finding(
            "postgresql", "warning", f"{version}: schema {present}, needed is {newest}", "run taiga-billing migrate"
        )
    return Finding("postgresql", "ok", f"{version}, schema {present}")


async def check_queue(settings: Settings) -> Finding:
    """Whether Redis answers."""
    queue = open_queue(settings.redis_url.get_secret_value())
    try:
        check = await check_redis(queue)
    finally:
        await queue.aclose()
    return Finding("redis", "ok" if check.state == "ok" else "failed", check.message, check.hint)
