"""The mapping file of a running worker: read again when it changes or SIGHUP comes; a broken one is not taken."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import structlog

from mappings.config.effective import differences
from mappings.config.file import MappingFile, parse_mapping
from mappings.errors import MappingErrors
from middleware.mapping.load import mapping_text
from middleware.mapping.references import LOOK_UP
from middleware.metrics import mapping_is_valid
from middleware.settings import SettingsError
from middleware.store.database import STORE_ERRORS, Pool, StoreUnavailableError
from middleware.store.operations.audit import AuditEntry, AuditStore
from middleware.store.operations.timetable import Timetable

log = structlog.get_logger()

LOOK_SECONDS = 2.0
CHANGES_KEPT = 20
LOADED = "mapping.loaded"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file as it was read; `digest` is the SHA-256 of its text."""

    mapping: MappingFile
    digest: str


def load(file: Path) -> Loaded:
    """Read the file.

    Raises:
        SettingsError: it cannot be read.
        MappingErrors: every mistake in it.
    """
    text = mapping_text(file)
    return Loaded(parse_mapping(text), hashlib.sha256(text.encode()).hexdigest())


class WatchedMapping:
    """The last good content of the file. Handlers ask for `current` at each try, so a change counts from the next on.

    Raises:
        SettingsError, MappingErrors: the first content is not good; nothing starts with it.
    """

    def __init__(self, file: Path, look_seconds: float = LOOK_SECONDS) -> None:
        self._file = file
        self._look_seconds = look_seconds
        self._seen = self._stamp()
        self._loaded = load(file)
        self._problem = ""
        self._now = asyncio.Event()
        mapping_is_valid(is_valid=True)

    def current(self) -> MappingFile:
        """The mapping to work with."""
        return self._loaded.mapping

    def problem(self) -> str:
        """What is wrong with the file as it lies there; "" when it is the one in use."""
        return self._problem

    def look_now(self) -> None:
        """Read the file again, changed or not (SIGHUP)."""
        self._now.set()

    async def run(self, pool: Pool) -> None:
        """Watch until cancelled, and write into the audit what is loaded."""
        await self._remember(pool, ["read at the start"])
        changing = self._seen
        while True:
            is_asked = await self._wait()
            stamp = self._stamp()
            # Two equal looks: an editor may be in the middle of writing it.
            is_settled = stamp == changing
            changing = stamp
            if is_asked or (is_settled and stamp != self._seen):
                self._seen = stamp
                await self._reload(pool)

    async def _wait(self) -> bool:
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with a request to look.
            async with asyncio.timeout(self._look_seconds):
                await self._now.wait()
        except TimeoutError:
            return False
        self._now.clear()
        return True

    async def _reload(self, pool: Pool) -> None:
        try:
            loaded = load(self._file)
        except (SettingsError, MappingErrors) as error:
            self._refuse(error)
            return
        changed, before, self._problem = loaded.digest != self._loaded.digest, self._loaded, ""
        mapping_is_valid(is_valid=True)
        if not changed:
            log.info("mapping.unchanged", file=str(self._file), sha256=loaded.digest[:12])
            return
        self._loaded = loaded
        await self._remember(pool, differences(before.mapping, loaded.mapping))

    def _refuse(self, error: SettingsError | MappingErrors) -> None:
        problems = [str(problem) for problem in error.problems]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        self._problem = f"{self._file} is not used: {problems[0]}{more}"
        mapping_is_valid(is_valid=False)
        log.error(
            "mapping.refused",
            file=str(self._file),
            problems=problems[:CHANGES_KEPT],
            in_use=self._loaded.digest[:12],
            hint="the last valid content stays in use; taiga-billing check shows every error in the file",
        )

    async def _remember(self, pool: Pool, changes: list[str]) -> None:
        """One log line each time, one line of the audit for each content, whichever worker is first."""
        loaded, shown = self._loaded, changes[:CHANGES_KEPT]
        projects = len(loaded.mapping.project_mappings)
        log.info(LOADED, file=str(self._file), sha256=loaded.digest[:12], projects=projects, changes=shown)
        audit = AuditStore(pool)
        try:
            last = await audit.list(action=LOADED, limit=1)
            if not last or last[0].details.get("sha256") != loaded.digest:
                details = {"sha256": loaded.digest, "projects": projects, "changes": shown}
                summary = f"loaded {self._file.name} ({loaded.digest[:12]}), {projects} projects"
                await audit.record(AuditEntry("system", LOADED, summary, details))
                await Timetable(pool).bring_forward(LOOK_UP)
        except (StoreUnavailableError, *STORE_ERRORS) as error:
            log.warning("store.unreachable", error=str(error), hint="the mapping is used anyway")

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)
