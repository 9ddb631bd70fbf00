"""What is counted. One registry for each process, scraped at `/metrics`."""

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

REGISTRY = CollectorRegistry(auto_describe=True)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ACK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
WORK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)

RECEIVED = Counter("taiga_billing_received", "Webhooks accepted.", ["source", "result"], registry=REGISTRY)
REJECTED = Counter("taiga_billing_rejected", "Webhooks refused.", ["source", "reason"], registry=REGISTRY)
ACK_SECONDS = Histogram(
    "taiga_billing_ack_seconds",
    "From the first byte of a webhook to its acknowledgement.",
    ["source"],
    buckets=ACK_BUCKETS,
    registry=REGISTRY,
)
WAKEUPS_LOST = Counter("taiga_billing_wakeups_lost", "Event ids Redis did not take.", registry=REGISTRY)
FINISHED = Counter(
    "taiga_billing_finished", "Events that left a worker, by status.", ["source", "status"], registry=REGISTRY
)
ATTEMPTS = Counter("taiga_billing_attempts", "Attempts, by how they ended.", ["source", "outcome"], registry=REGISTRY)
ATTEMPT_SECONDS = Histogram(
    "taiga_billing_attempt_seconds", "Duration of one attempt.", ["source"], buckets=WORK_BUCKETS, registry=REGISTRY
)
END_TO_END_SECONDS = Histogram(
    "taiga_billing_end_to_end_seconds",
    "From the acknowledgement of an event to its end.",
    ["source"],
    buckets=WORK_BUCKETS,
    registry=REGISTRY,
)
REMOTE_SECONDS = Histogram(
    "taiga_billing_remote_seconds",
    "Duration of a request to a remote system.",
    ["system", "method", "status"],
    buckets=WORK_BUCKETS,
    registry=REGISTRY,
)
QUEUE_DEPTH = Gauge("taiga_billing_events", "Events that are not done, by status.", ["status"], registry=REGISTRY)
OLDEST_DUE_SECONDS = Gauge(
    "taiga_billing_oldest_due_seconds", "Age of the oldest event that waits for a worker.", registry=REGISTRY
)
ALERTS = Counter("taiga_billing_alerts", "Messages to people, by kind.", ["kind", "result"], registry=REGISTRY)
MAPPING_VALID = Gauge(
    "taiga_billing_mapping_valid",
    "1: the mapping file is in use as it is; 0: broken, the last good one is used.",
    registry=None,
)


def mapping_is_valid(*, is_valid: bool) -> None:
    """Say so; a process that never reads the mapping file exports nothing of it."""
    MAPPING_VALID.set(is_valid)
    # Registered already.
    with suppress(ValueError):
        REGISTRY.register(MAPPING_VALID)


def render() -> bytes:
    """The metrics of this process in Prometheus' text format."""
    return generate_latest(REGISTRY)
