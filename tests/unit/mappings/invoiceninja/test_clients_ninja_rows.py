"""Rows of Invoice Ninja become records, whatever form their numbers have."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.invoiceninja.decode import (
    amount,
    flag,
    read_client,
    read_company,
    read_invoice,
    read_payment,
    read_statics,
    read_task,
    whole,
)
from mappings.invoiceninja.models import Paymentable

_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2)
)


@pytest.mark.parametrize("value", [80, Decimal("80.00"), "80", "80.000000", Decimal("8E+1")])
def test_forms_of_a_number(value: object) -> None:
    """Whole numbers, decimals and texts mean the same."""
    assert amount({"rate": value}, "rate") == Decimal(80)
    assert whole({"rate": value}, "rate") == 80


@pytest.mark.parametrize("row", [{}, {"rate": None}, {"rate": ""}])
def test_a_missing_number_is_zero(row: dict[str, object]) -> None:
    """Invoice Ninja writes an empty reference as an empty text, never as null; both are read."""
    assert amount(row, "rate") == Decimal(0)


@pytest.mark.parametrize("value", ["abc", "NaN", True, [], {}, "1,5"])
def test_money_is_never_guessed(value: object) -> None:
    """What is no number is an error that names the record and the field."""
    with pytest.raises(ValueError, match=r"record 'x': rate is .*, not a number"):
        amount({"id": "x", "rate": value}, "rate")


@pytest.mark.parametrize(
    ("value", "meaning"),
    [(True, True), (1, True), ("1", True), ("true", True), (False, False), (0, False), ("0", False), (None, False)],
)
def test_forms_of_yes_and_no(value: object, meaning: object) -> None:
    """Booleans come in several forms."""
    assert flag({"is_deleted": value}, "is_deleted") is meaning


def test_a_row_with_nothing_but_an_id() -> None:
    """Missing fields have their empty values; a record without id is none."""
    task = read_task({"id": "a"})
    assert (task.number, task.client_id, task.rate, task.spans) == ("", "", Decimal(0), ())
    assert (task.is_invoiced, task.is_deleted, task.is_archived) == (False, False, False)
    assert read_invoice({"id": "a"}).lines == ()
    assert read_payment({"id": "a"}).paymentables == ()
    assert read_company({"id": "a"}).lock_invoices == "off"
    with pytest.raises(ValueError, match="without id"):
        read_task({"number": "TAIGA-1"})


def test_odd_rows() -> None:
    """Lists that are none, settings that are none and fields of other types do no harm."""
    assert read_client({"id": "a", "settings": [], "display_name": "Shown"}).name == "Shown"
    assert read_client({"id": "a", "settings": None}).currency_id == ""
    assert read_invoice({"id": "a", "line_items": {"1": {}}}).lines == ()
    assert read_payment({"id": "a", "paymentables": [None, {"amount": "5"}]}).paymentables == (
        Paymentable(Decimal(5), Decimal(0)),
    )
    assert read_statics({}).currencies == {}


@given(st.dictionaries(st.sampled_from(["number", "client_id", "description", "time_log", "is_deleted"]), _anything))
def test_any_task_row_is_read(row: dict[str, object]) -> None:
    """No text, list or null in a field that holds no number can stop the reading."""
    assert read_task({"id": "a"} | row).id == "a"
