"""Looks at what is ours: mapping file, webhook keys, Redis."""

from pathlib import Path

from mappings.config.file import MappingFile
from mappings.errors import MappingErrors
from middleware.checks.findings import Finding
from middleware.intake.rejections import fingerprint
from middleware.mapping.load import load_mapping
from middleware.pipeline.wakeups import open_queue
from middleware.settings import Settings, SettingsError
from middleware.store.database import STORE_ERRORS, StoreUnavailableError, open_pool
from middleware.store.events.rejections import RejectionStore
from middleware.web.health import check_redis


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


async def check_keys(settings: Settings) -> list[Finding]:
    """When each webhook key was last used: an old one that is no longer used can be removed."""
    try:
        async with open_pool(settings.database_url.get_secret_value(), size=1) as pool:
            used = {(use.source, use.fingerprint): use.last_at for use in await RejectionStore(pool).key_uses()}
    except (StoreUnavailableError, *STORE_ERRORS, ValueError):
        return []
    findings = []
    for source in settings.enabled_sources:
        secrets = settings.webhook_secrets(source)
        for index, secret in enumerate(secrets):
            last = used.get((source, fingerprint(secret)))
            name = f"{source} key {index + 1} of {len(secrets)}"
            when = f"used last {last:%Y-%m-%d %H:%M} UTC" if last else "never used"
            findings.append(Finding(name, "ok", f"fingerprint {fingerprint(secret)}, {when}"))
    return findings


async def check_queue(settings: Settings) -> Finding:
    """Whether Redis answers."""
    queue = open_queue(settings.redis_url.get_secret_value())
    try:
        check = await check_redis(queue)
    finally:
        await queue.aclose()
    return Finding("redis", "ok" if check.state == "ok" else "failed", check.message, check.hint)
