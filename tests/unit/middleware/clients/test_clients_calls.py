"""What is noted of outbound requests."""

from middleware.clients.http.calls import Call, record, recorded_calls
from middleware.metrics import REGISTRY


def test_a_call_is_collected_and_counted() -> None:
    """Each request belongs to the running try, and to the metric by system, method and status."""
    labels = {"system": "test", "method": "GET", "status": "503"}
    with recorded_calls() as calls:
        record(Call("test", "GET", "/x", 503, 1500))
        record(Call("test", "GET", "/x", None, 20, "Unreachable"))
    assert [call.status for call in calls] == [503, None]
    assert REGISTRY.get_sample_value("taiga_billing_remote_seconds_sum", labels) == 1.5
    assert REGISTRY.get_sample_value("taiga_billing_remote_seconds_count", labels | {"status": ""}) == 1


def test_outside_of_a_try() -> None:
    """A request outside of a try is only counted."""
    record(Call("test", "PUT", "/x", 200, 10))
    labels = {"system": "test", "method": "PUT", "status": "200"}
    assert REGISTRY.get_sample_value("taiga_billing_remote_seconds_count", labels) == 1
