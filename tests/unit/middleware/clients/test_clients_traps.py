"""Every trap of the real servers that a client must know, and the test that holds it to that."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[3]

_INVOICE_NINJA: Mapping[str, str] = {
    "403 is a bad token, 401 a locked record": "test_refusals_recorded_from_invoice_ninja",
    "a refusal without Accept is a 302": "test_headers_and_limits",
    "a wrong GET path is 200 with HTML": "test_html_from_invoice_ninja",
    "an unread body creates an empty record": "test_an_empty_record_is_noticed",
    "a lone surrogate makes a body unreadable": "test_lone_surrogates_are_replaced",
    "errors are lists, texts, nested or a bare string": "test_fields_of_a_refusal",
    "unknown ids are 400": "test_a_missing_task",
    "unknown bulk ids are 200 with a text": "test_actions_on_invoices",
    "429 has no Retry-After, and 400 is a guard of one second": "test_waits_of_throttled_requests",
    "numbers are ints, decimals or texts": "test_forms_of_a_number",
    "the page beyond the end is empty": "test_lists_end",
    "unknown filters give the whole list": "test_other_numbers_are_not_taken_for_it",
    "deleted rows are in every list": "test_unbilled_tasks_are_rechecked",
    "a deleted task keeps its number": "test_a_deleted_task_is_found",
    "clients are found by texts that people type": "test_a_client_by_the_number_that_a_person_typed",
    "a time log is a JSON text": "test_a_task_is_sent_whole",
    "a missing rate becomes another rate": "test_a_task_without_a_rate_is_not_sent",
    "a PUT of a task is not partial": "test_an_update_is_a_whole_document",
    "a PUT without number takes our key away": "test_a_put_that_lost_the_number_is_noticed",
    "deleting twice is 200": "test_delete_and_delete_again",
    "a PUT makes a cancelled invoice paid": "test_changes_of_an_invoice",
    "cancelling a draft does nothing, with 200": "test_changes_and_actions",
    "a text search finds more than the mark": "test_invoices_by_mark",
    "a payment without key is doubled, without email_receipt mailed": "test_a_payment_is_recorded",
    "negative payments are accepted": "test_a_payment_that_cannot_be",
    "a payment's reference can only be searched": "test_payments_are_found",
    "a refund answers with old parts": "test_a_refund_reads_again",
    "a PUT with invoices applies again": "test_texts_of_a_payment",
    "what is done may be answered by an error": "test_lost_answers_are_doubtful",
}

_TAIGA: Mapping[str, str] = {
    "two error shapes, translated texts": "test_refusals_recorded_from_taiga",
    "a trailing slash, a proxy: 404 that is no missing task": "test_other_answers",
    "403 is no missing task": "test_an_item_that_is_gone",
    "401 ends a session": "test_many_requests_with_an_ended_token_make_one_login",
    "logins are throttled": "test_a_refused_login_is_not_repeated_at_once",
    "application tokens have their own scheme": "test_tokens_with_and_without_their_scheme",
    "X-Throttle-Wait-Seconds instead of Retry-After": "test_waits_of_throttled_requests",
    "lists are cut after 30": "test_an_item_with_its_values_by_name",
    "pages are in headers, the one too far is 404": "test_a_list_that_became_shorter",
    "unknown filters are ignored": "test_closed_items_page_by_page",
    "values are keyed by id, per kind and project": "test_every_kind_has_its_own_paths",
    "attributes appear later": "test_a_new_attribute_is_looked_up",
    "values are any JSON": "test_values_as_taiga_sends_them",
    "values are written whole": "test_values_are_written_whole",
    "a moved task keeps foreign values": "test_values_of_another_project_are_dropped",
    "the version is the values' own": "test_values_that_stay_refused",
    "webhook keys are shown in plain text": "test_webhooks",
}


@pytest.fixture(scope="module")
def all_tests() -> frozenset[str]:
    """The names of all tests of the clients."""
    files = [*_TESTS.glob("unit/**/test_clients_*.py"), *_TESTS.glob("integration/test_clients_*.py")]
    return frozenset(
        re.findall(r"^(?:async )?def (test_\w+)", "\n".join(file.read_text("utf-8") for file in files), re.MULTILINE)
    )


@pytest.mark.parametrize("trap", [*_INVOICE_NINJA, *_TAIGA])
def test_every_trap_has_its_test(trap: str, all_tests: frozenset[str]) -> None:
    """A trap whose test is renamed or removed is noticed."""
    assert {**_INVOICE_NINJA, **_TAIGA}[trap] in all_tests
