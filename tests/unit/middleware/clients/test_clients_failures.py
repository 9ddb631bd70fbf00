"""Every way in which a request fails has one name."""

import inspect
from datetime import UTC, datetime

import httpx
import pytest

from handlers.errors import (
    Doubtful,
    NotFound,
    Refused,
    Rejected,
    RemoteError,
    ServerError,
    Throttled,
    Unreachable,
)
from middleware.clients.connect import connect_invoice_ninja, connect_taiga
from middleware.clients.http.failures import retry_after
from middleware.clients.taiga import Credentials
from tests.support.scripted_server import Answer, ScriptedServer, recorded_answer, recorded_request

_NOT_SENT = {httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError}
_BAD_ADDRESS = {httpx.UnsupportedProtocol, httpx.InvalidURL}

_HTTPX_ERRORS = sorted(
    {kind for _, kind in inspect.getmembers(httpx, inspect.isclass) if issubclass(kind, Exception)},
    key=lambda kind: kind.__name__,
)


def _instance(kind: type[Exception]) -> Exception:
    if kind is httpx.HTTPStatusError:
        request = httpx.Request("GET", "https://x.example")
        return httpx.HTTPStatusError("boom", request=request, response=httpx.Response(500))
    takes_message = "message" in inspect.signature(kind).parameters
    return kind("boom") if takes_message else kind()


async def _failure(system: str, method: str, *answers: Answer) -> RemoteError:
    """What the client of the system raises when the server answers so."""
    server = ScriptedServer(*answers)
    client = (
        connect_invoice_ninja("https://ninja.example", "tok", server.transport)
        if system == "invoiceninja"
        else connect_taiga("https://taiga.example", Credentials(token="tok"), server.transport)
    )
    try:
        with pytest.raises(RemoteError) as raised:
            await client._request(method, "/tasks/1", body=None if method == "GET" else {})
    finally:
        await client.aclose()
    return raised.value


@pytest.mark.parametrize("kind", _HTTPX_ERRORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_exception_of_httpx_is_named(kind: type[Exception], method: str) -> None:
    """Only a failure to connect leaves no doubt; an address that cannot be used stays so; all else is doubtful."""
    error = await _failure("invoiceninja", method, _instance(kind))
    expected = Unreachable if kind in _NOT_SENT else Rejected if kind in _BAD_ADDRESS else Doubtful
    assert type(error) is expected
    assert error.status is None
    assert error.request == f"{method} /api/v1/tasks/1"
    assert kind.__name__ in error.message
    assert isinstance(error.__cause__, kind)


_NINJA_TRAPS = [
    ("01 wrong_token", Refused, "Invalid token"),
    ("01 no_xhr_accept_star_validation_error", Doubtful, "redirected to http://127.0.0.1:9200; if this stays so"),
    ("01 garbage_id", NotFound, "No query results for model"),
    ("01 numeric_id", NotFound, "Record with value 1 not found"),
    ("01 method_not_allowed", Doubtful, "check the base address INVOICE_NINJA_API"),
    ("01 report_throttle_21", Throttled, "Too many requests"),
    ("01 user_create_without_password_header", Rejected, "Invalid Password"),
    ("01 unknown_include", Rejected, "is not a valid include"),
    ("03 task_unknown_client", Rejected, "client_id: The selected client id is invalid."),
    ("03 task_duplicate_number", Rejected, "number: The number has already been taken."),
    ("03 task_overlap", Rejected, "Please correct overlapping values"),
    ("03 task_create_time_log_as_array", ServerError, "Server Error"),
    ("03 bulk_unknown_action", ServerError, "Server Error"),
    ("03 put_deleted", Rejected, "Restore the record to enable editing"),
    ("04 action_mark_paid_again", Rejected, "Invoice cannot be marked as paid"),
    ("04 bulk_no_action", Rejected, "action: The action field is required."),
    ("05 dup_idempotency_key_again_within_1s", Throttled, "Duplicate request"),
    ("05 already_paid", Rejected, "invoices.0.invoice_id: The amount is greater than"),
    ("06 put_invoiced_task_locked", Rejected, "task may be locked"),
    ("06 put_sent_invoice_lock_when_sent", Rejected, "number: This invoice is locked"),
    ("06 bulk_archive_1", Throttled, "Duplicate request"),
    ("07 webhook_unknown_event", Rejected, "Invalid event"),
]


@pytest.mark.parametrize(("name", "kind", "said"), _NINJA_TRAPS, ids=[trap[0] for trap in _NINJA_TRAPS])
async def test_refusals_recorded_from_invoice_ninja(name: str, kind: type[RemoteError], said: str) -> None:
    """Each recorded refusal becomes its own error and keeps the server's words."""
    method = recorded_request("invoice_ninja", name).partition(" ")[0]
    answer = recorded_answer("invoice_ninja", name)
    error = await _failure("invoiceninja", method, answer)
    assert type(error) is kind
    assert said in error.message
    assert error.status == answer.status_code
    assert str(error).startswith(f"invoiceninja: {method} /api/v1/tasks/1 answered {answer.status_code}: ")


_TAIGA_TRAPS = [
    ("037", Rejected, "attributes_values: It contains invalid custom fields."),
    ("040", Rejected, "attributes_values"),
    ("082", Rejected, "url"),
    ("087", Refused, "check TAIGA_TOKEN, or TAIGA_USERNAME"),
    ("093", Refused, "Given token not valid"),
    ("094", Refused, "Authentication credentials were not provided."),
    ("101", NotFound, "no reason given"),
    ("109", Rejected, "You do not have permission"),
    ("112", NotFound, "No Task matches the given query."),
    ("122", ServerError, "Server application error"),
    ("145", Rejected, "version: The version parameter is not valid"),
    ("150", NotFound, "No TaskCustomAttributesValues"),
    ("153", Rejected, "version: The version doesn't match"),
    ("164", Rejected, "Method 'PUT' not allowed."),
    ("168", Throttled, "throttled"),
    ("173", Throttled, "throttled"),
    ("180", Refused, "Invalid token"),
    ("181", Doubtful, "check the base address TAIGA_API"),
    ("185", Rejected, "You do not have permission"),
    ("189", Rejected, "You do not have permission"),
    ("192", Doubtful, "check the base address TAIGA_API"),
    ("194", Rejected, "name: Already exists one with the same name."),
]


@pytest.mark.parametrize(("name", "kind", "said"), _TAIGA_TRAPS, ids=[trap[0] for trap in _TAIGA_TRAPS])
async def test_refusals_recorded_from_taiga(name: str, kind: type[RemoteError], said: str) -> None:
    """Both error shapes, pages of HTML and empty texts are understood, without matching on any text."""
    error = await _failure("taiga", "PATCH", recorded_answer("taiga", name))
    assert type(error) is kind
    assert said in error.message


async def test_fields_of_a_refusal() -> None:
    """`names` tells which fields are wrong: lists, bare texts, several at once, Taiga's at the top level."""
    paid = await _failure("invoiceninja", "POST", recorded_answer("invoice_ninja", "05 already_paid"))
    locked = await _failure(
        "invoiceninja", "PUT", recorded_answer("invoice_ninja", "06 put_sent_invoice_lock_when_sent")
    )
    version = await _failure("taiga", "PATCH", recorded_answer("taiga", "145"))
    whole = await _failure("taiga", "POST", httpx.Response(400, json={"__all__": ["No."]}))
    assert isinstance(paid, Rejected)
    assert paid.errors.keys() == {"invoices", "invoices.0.invoice_id"}
    assert isinstance(locked, Rejected)
    assert locked.names("number")
    assert isinstance(version, Rejected)
    assert version.errors == {"version": ("The version parameter is not valid",)}
    assert isinstance(whole, Rejected)
    assert whole.errors == {"": ("No.",)}
    assert whole.message == "No."


@pytest.mark.parametrize(
    ("system", "method", "answer", "kind"),
    [
        # A deleted task ends in a deleted time entry: another server's 404 must never look like one.
        ("taiga", "GET", httpx.Response(404, text="<h1>nginx</h1>"), Doubtful),
        ("taiga", "GET", httpx.Response(404, json={"detail": "Not found."}), Doubtful),
        ("taiga", "GET", httpx.Response(404, json=[]), Doubtful),
        ("invoiceninja", "GET", httpx.Response(404, text="<h1>nginx</h1>"), Doubtful),
        ("invoiceninja", "GET", httpx.Response(404, json={"message": "gone"}), NotFound),
        ("invoiceninja", "GET", httpx.Response(401, headers={"WWW-Authenticate": "Basic"}), Refused),
        ("invoiceninja", "POST", httpx.Response(408, text=""), Doubtful),
        ("invoiceninja", "POST", httpx.Response(500, text="<html>"), ServerError),
        ("invoiceninja", "POST", httpx.Response(502, text="<html>"), ServerError),
        ("invoiceninja", "POST", httpx.Response(503, json={}), ServerError),
        ("taiga", "POST", httpx.Response(504, text=""), ServerError),
        ("taiga", "GET", httpx.Response(301, headers={"Location": "https://taiga.example/x?token=hidden"}), Doubtful),
        ("taiga", "GET", httpx.Response(304), Doubtful),
        ("taiga", "GET", httpx.Response(200, text="<html>"), Doubtful),
        ("taiga", "PATCH", httpx.Response(200, text="<html>"), Doubtful),
        ("taiga", "PATCH", httpx.Response(200, content=b'{"a": "\xff"}'), Doubtful),
        ("taiga", "PATCH", httpx.Response(200, text="[" * 100_000), Doubtful),
        ("invoiceninja", "GET", httpx.Response(413, text="<html>"), Rejected),
        ("invoiceninja", "POST", httpx.Response(400, json=["first", {"message": "second"}, 3]), Rejected),
        ("invoiceninja", "POST", httpx.Response(422, json={"errors": {"a": {"b": 1}}}), Rejected),
        ("invoiceninja", "POST", httpx.Response(400, text=""), Doubtful),
        ("taiga", "GET", httpx.Response(403, text="<h1>blocked</h1>"), Doubtful),
    ],
)
async def test_other_answers(system: str, method: str, answer: httpx.Response, kind: type[RemoteError]) -> None:
    """Proxies, cut bodies and odd shapes: what is not from the API never ends an event, what is too large does."""
    error = await _failure(system, method, answer)
    assert type(error) is kind
    assert "hidden" not in str(error)


async def test_html_from_invoice_ninja() -> None:
    """A wrong path is 200 with a page: it names the base address, and after a write also the doubt."""
    read = await _failure("invoiceninja", "GET", recorded_answer("invoice_ninja", "01 unknown_route"))
    write = await _failure("invoiceninja", "POST", recorded_answer("invoice_ninja", "04 action_cancel_sent"))
    assert isinstance(read, Doubtful)
    assert "not known" not in read.message
    assert "check the base address INVOICE_NINJA_API" in read.message
    assert isinstance(write, Doubtful)
    assert "it is not known whether the request was carried out" in write.message


async def test_messages_are_short_and_on_one_line() -> None:
    """A server's text cannot flood the log, nor break its lines."""
    error = await _failure("invoiceninja", "GET", httpx.Response(400, json={"message": "no\n\u2028\x1b[31m" * 1000}))
    assert len(error.message) <= 300
    assert error.message.isprintable()


async def test_waits_of_throttled_requests() -> None:
    """Invoice Ninja never says how long, its guards need a little more than a second, Taiga has a header."""
    guard = await _failure("invoiceninja", "POST", recorded_answer("invoice_ninja", "06 bulk_archive_1"))
    hosted = await _failure("invoiceninja", "POST", recorded_answer("invoice_ninja", "01 report_throttle_21"))
    taiga = await _failure("taiga", "GET", httpx.Response(429, headers={"X-Throttle-Wait-Seconds": "7"}, json={}))
    waits = [error.retry_after for error in (guard, hosted, taiga) if isinstance(error, Throttled)]
    assert waits == [1.3, 60.0, 7.0]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60.0),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "999999999"}, 86_400.0),
        ({"retry-after": "soon"}, 60.0),
        ({"retry-after": "-5"}, 60.0),
        ({"retry-after": "١٢"}, 60.0),
        ({"retry-after": "", "x-throttle-wait-seconds": "59"}, 59.0),
        ({"retry-after": "inf"}, 60.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float) -> None:
    """Seconds or an HTTP date, never negative and never longer than a day."""
    assert retry_after(headers, datetime(2026, 11, 21, 12, tzinfo=UTC)) == seconds
