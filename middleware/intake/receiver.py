"""POST /webhooks/{source}: read a bounded body, verify it, store it, answer. Never waits for a third party."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from handlers.event import Enqueued
from mappings.errors import NotUnderstood
from middleware.intake.forwarded import warn_unless_believed
from middleware.intake.ingest import Ingest
from middleware.intake.rejections import RejectionRecorder, fingerprint
from middleware.metrics import ACK_SECONDS, RECEIVED, REJECTED
from middleware.settings import Settings
from middleware.sources.base import Delivery, NotJsonError, Source, decode
from middleware.sources.signing import SignatureError
from middleware.store.database import StoreUnavailableError

log = structlog.get_logger()

# One line a second for each reason is enough to see an attack or a wrong key; the counter has the numbers.
SECONDS_BETWEEN_LINES = 1.0
# Digits of a declared length that are worth reading as a number.
LONGEST_LENGTH = 18
SERVICE_UNAVAILABLE = 503
# The guard's clock begins a little before ours.
ALMOST = 0.95
JSON = "application/json"
ACCEPTED = b'{"status":"accepted","event_id":%d}'
DUPLICATE = b'{"status":"duplicate","event_id":%d}'


class RejectedDeliveryError(Exception):
    """The request is refused: `status` and `reason` are sent to the sender and counted."""

    def __init__(self, status: int, reason: str, message: str, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.body = body


class Receiver:
    """The endpoint of one source: an ASGI application, for what Starlette wraps around a function is not needed."""

    def __init__(self, source: Source, settings: Settings, ingest: Ingest, notes: RejectionRecorder) -> None:
        self._source = source.name
        self._rules = source
        self._secrets = settings.webhook_secrets(source.name)
        self._fingerprints = [fingerprint(secret) for secret in self._secrets]
        self._notes = notes
        self._tolerance = settings.stripe_tolerance
        self._max_body = settings.max_body_bytes
        self._body_timeout = settings.body_timeout
        self._ingest = ingest
        self._last_line: dict[str, float] = {}
        self._ack_seconds = ACK_SECONDS.labels(source.name)
        self._accepted = RECEIVED.labels(source.name, "accepted")
        self._duplicates = RECEIVED.labels(source.name, "duplicate")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        started = time.perf_counter()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        address = scope["client"][0] if scope["client"] else ""
        try:
            if len(headers) != len(scope["headers"]):
                self._refuse_two_signatures(scope)
            stored = await self._take(receive, headers)
        except RejectedDeliveryError as rejection:
            warn_unless_believed(scope)
            await self._refused(rejection, headers, address)(scope, receive, send)
            return
        self._ack_seconds.observe(time.perf_counter() - started)
        await self._acknowledged(stored)(scope, receive, send)

    def _refuse_two_signatures(self, scope: Scope) -> None:
        """Which of two is meant, a proxy and we might see differently."""
        names = [name.decode("latin-1") for name, _ in scope["headers"]]
        twice = next((name for name in self._rules.signature_headers if names.count(name) > 1), None)
        if twice is not None:
            raise RejectedDeliveryError(403, "malformed_signature", f"the request has two headers {twice}")

    async def _take(self, receive: Receive, headers: Mapping[str, str]) -> Enqueued:
        now = time.monotonic()
        delivery = Delivery(await self._body(receive, headers, now), headers, datetime.now(UTC))
        body = delivery.body
        try:
            used = self._rules.verify(delivery, self._secrets, self._tolerance)
            self._notes.key_used(self._source, self._fingerprints[used], delivery.received_at)
            payload = decode(body)
            if not self._rules.may_sign(self._secrets, used, payload):
                message = "the signature is right, but its key is bound to another project"
                raise RejectedDeliveryError(403, "key_of_another_project", message, body)
            event = self._rules.read(delivery, payload)
            return (await self._ingest.enqueue([event]))[0]
        except SignatureError as error:
            raise RejectedDeliveryError(403, error.reason, str(error), body) from error
        except NotJsonError as error:
            raise RejectedDeliveryError(400, "not_json", str(error), body) from error
        except NotUnderstood as error:
            message = f"not a {self._source} webhook: {error}"
            raise RejectedDeliveryError(400, "not_understood", message, body) from error
        except StoreUnavailableError as error:
            raise RejectedDeliveryError(503, "store_unavailable", "not stored; please send it again") from error

    async def _body(self, receive: Receive, headers: Mapping[str, str], began: float) -> bytes:
        declared = headers.get("content-length", "")
        if declared.isdecimal() and (len(declared) > LONGEST_LENGTH or int(declared) > self._max_body):
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise self._gone(began)
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body:
                raise self._too_large()
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _gone(self, began: float) -> RejectedDeliveryError:
        # Who is too slow is answered and cut off by the guard of the connection (`middleware.web.connection`).
        if time.monotonic() - began >= ALMOST * self._body_timeout:
            return RejectedDeliveryError(408, "too_slow", "the body did not arrive in time")
        return RejectedDeliveryError(400, "disconnected", "the sender went away")

    def _too_large(self) -> RejectedDeliveryError:
        message = f"the body may have {self._max_body} bytes (MAX_BODY_BYTES)"
        return RejectedDeliveryError(413, "too_large", message)

    def _acknowledged(self, stored: Enqueued) -> Response:
        if stored.is_duplicate:
            self._duplicates.inc()
            return Response(DUPLICATE % stored.event_id, 200, media_type=JSON)
        self._accepted.inc()
        return Response(ACCEPTED % stored.event_id, 202, media_type=JSON)

    def _refused(self, rejection: RejectedDeliveryError, headers: Mapping[str, str], address: str) -> Response:
        REJECTED.labels(self._source, rejection.reason).inc()
        self._notes.refused(
            self._source, rejection.reason, str(rejection), address=address, headers=headers, body=rejection.body
        )
        now = time.monotonic()
        if now - self._last_line.get(rejection.reason, -SECONDS_BETWEEN_LINES) >= SECONDS_BETWEEN_LINES:
            self._last_line[rejection.reason] = now
            log.warning(
                "delivery.rejected",
                source=self._source,
                reason=rejection.reason,
                message=str(rejection),
                cause=str(rejection.__cause__) if rejection.status == SERVICE_UNAVAILABLE else None,
                sender=address or None,
            )
        answered = {"Retry-After": "5"} if rejection.status == SERVICE_UNAVAILABLE else None
        return JSONResponse(
            {"status": "rejected", "reason": rejection.reason, "message": str(rejection)},
            status_code=rejection.status,
            headers=answered,
        )
