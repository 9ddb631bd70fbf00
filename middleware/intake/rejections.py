"""What the receiver writes down beside its work: refused requests and used keys. In memory first, off the request path.

Bounded whatever arrives: like requests of a minute share a note, and beyond `MAX_NOTES` all addresses share one.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog

from middleware.sources.table import SOURCES
from middleware.store.database import STORE_ERRORS, Pool, StoreUnavailableError
from middleware.store.events.rejections import Rejections, RejectionStore

log = structlog.get_logger()

MAX_NOTES = 500
SAMPLE_BYTES = 2048
HEADER_CHARACTERS = 300
SECONDS_BETWEEN_WRITES = 2.0
BETWEEN_USES = timedelta(minutes=1)
MANY = "(many addresses)"
KEPT_HEADERS = ("user-agent", "content-type", "content-length", "x-forwarded-for")


def fingerprint(secret: str) -> str:
    """What a key is called where it may be seen: the first 8 hex digits of its SHA-256."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8]


class RejectionRecorder:
    """Takes notes at once; a task of its own writes them."""

    def __init__(self, pool: Pool) -> None:
        self._store = RejectionStore(pool)
        self._rejections: dict[tuple[str, str, str, datetime], Rejections] = {}
        self._uses: dict[tuple[str, str], datetime] = {}
        self._noted: dict[tuple[str, str], datetime] = {}
        self._writer: asyncio.Task[None] | None = None

    def refused(
        self, source: str, reason: str, message: str, *, address: str, headers: Mapping[str, str], body: bytes = b""
    ) -> None:
        """Note a refused request; of its body only the beginning is kept, and of like requests only the first one's."""
        now = datetime.now(UTC)
        minute = now.replace(second=0, microsecond=0)
        key = (source, reason, address, minute)
        if key not in self._rejections and len(self._rejections) >= MAX_NOTES:
            key = (source, reason, MANY, minute)
        known = self._rejections.get(key)
        if known is not None:
            known.requests += 1
            known.last_at = now
            return
        wanted = (*KEPT_HEADERS, *(name for one in SOURCES.values() for name in one.signature_headers))
        kept = {name: headers[name][:HEADER_CHARACTERS] for name in wanted if name in headers}
        self._rejections[key] = Rejections(
            source, reason, message[:HEADER_CHARACTERS], key[2], now, now, headers=kept, sample=body[:SAMPLE_BYTES]
        )

    def key_used(self, source: str, mark: str, at: datetime) -> None:
        """Note that the key with this fingerprint proved a delivery; at most once a minute it is written down."""
        key = (source, mark)
        last = self._noted.get(key)
        if last is None or at - last >= BETWEEN_USES:
            self._noted[key] = self._uses[key] = at

    async def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write_for_ever(), name="door notes")

    async def stop(self) -> None:
        """Write what is left, if PostgreSQL takes it."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.write()

    async def write(self) -> None:
        """Write the notes taken until now; while PostgreSQL is away they are dropped: the metrics count them all."""
        rejections, self._rejections = self._rejections, {}
        uses, self._uses = self._uses, {}
        try:
            if rejections:
                await self._store.add(list(rejections.values()))
            if uses:
                await self._store.keys_used(uses)
        except (StoreUnavailableError, *STORE_ERRORS) as error:
            self._noted.clear()
            log.warning("notes.lost", count=len(rejections), error=str(error))

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_WRITES)
            try:
                await self.write()
            except Exception:
                # A mistake of ours must not end the notes for good.
                log.exception("notes.failed")
