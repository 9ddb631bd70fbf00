"""Where the address of a payment page stands in a text, what a page is asked for, and fields that cannot be shared."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.config.file import parse_mapping
from mappings.errors import MappingErrors
from mappings.stripe.payment_links import bears, link_form, with_address

NEW, OLD, LONGER = "https://buy.stripe.com/new1", "https://buy.stripe.com/old1", "https://buy.stripe.com/old12"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", f"Pay online: {NEW}"),
        ("Thanks\n", f"Thanks\nPay online: {NEW}"),
        ("<p>Thanks</p>", f"<p>Thanks</p><p>Pay online: {NEW}</p>"),
        (f"a {OLD} b", f"a {NEW} b"),
        (f'<a href="{OLD}">{OLD}</a>', f'<a href="{NEW}">{NEW}</a>'),
        (f"already {NEW}", f"already {NEW}"),
        (f"not ours: {LONGER}", f"not ours: {LONGER}\nPay online: {NEW}"),
    ],
)
def test_notes(text: str, expected: str) -> None:
    """People's text stays; ours is replaced in its place, in HTML too; a longer address is another one."""
    assert with_address(text, NEW, [OLD, NEW], is_notes=True) == expected


def test_custom_fields() -> None:
    """The bare address, behind what a person wrote there."""
    assert with_address("", NEW, [], is_notes=False) == NEW
    assert with_address("PO 7", NEW, [], is_notes=False) == f"PO 7 {NEW}"
    assert with_address(OLD, NEW, [OLD], is_notes=False) == NEW


@given(st.text(max_size=60), st.booleans())
def test_writing_twice_changes_nothing(text: str, is_notes: bool) -> None:
    """Whatever people wrote."""
    once = with_address(text, NEW, [OLD], is_notes=is_notes)
    assert with_address(once, NEW, [OLD, NEW], is_notes=is_notes) == once
    assert NEW in once


def test_the_mark_finds_its_link_only() -> None:
    """Also among links of others that have no metadata at all."""
    form = link_form(invoice_id="a", number="1", amount=100, currency="EUR", token="t1")
    assert bears(form, "t1")
    assert not bears(form, "t2")
    assert not bears({"metadata": None}, "t1")


@pytest.mark.parametrize(
    ("rules", "is_refused"),
    [
        ({"payment_link_field": "custom_value4"}, True),
        ({"payment_link_field": "custom_value1", "invoice_mark_field": "custom_value1"}, True),
        ({"payment_link_field": "custom_value1"}, False),
        ({"payment_link_field": "none", "invoice_mark_field": "custom_value1"}, False),
    ],
)
def test_link_and_mark_need_fields_of_their_own(rules: dict[str, str], is_refused: bool) -> None:
    """An address beside our mark would spoil the mark."""
    text = json.dumps({"billing_rules": rules})
    if not is_refused:
        parse_mapping(text)
        return
    with pytest.raises(MappingErrors, match="payment_link_field"):
        parse_mapping(text)
