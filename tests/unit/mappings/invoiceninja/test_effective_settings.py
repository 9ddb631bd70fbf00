"""Invoice Ninja's settings hold key by key: the client's, else its group's, else the company's."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.invoiceninja.decode import read_client, read_company, read_group
from mappings.invoiceninja.models import Company, NinjaClient, Tax
from mappings.invoiceninja.settings import SETTINGS, EffectiveSettings, Rounding, effective_settings


def _settings(
    client: dict[str, Any] | None = None, group: dict[str, Any] | None = None, company: dict[str, Any] | None = None
) -> EffectiveSettings:
    groups = {} if group is None else {"g": group}
    ours = Company("c", "Us", "1", "1", "off", False, False, False, Decimal(0), company or {})  # noqa: FBT003 - a record
    return effective_settings(NinjaClient("a", "1", "Acme", group_id="g", settings=client or {}), ours, groups)


@pytest.mark.parametrize(
    ("client", "group", "company", "expected"),
    [
        ({}, {}, {}, Rounding(1, is_up=False, level="company")),
        ({}, {}, {"task_round_to_nearest": 0, "task_round_up": True}, Rounding(1, is_up=True, level="company")),
        (
            {"task_round_to_nearest": 3600, "task_round_up": False},
            {"task_round_to_nearest": 900, "task_round_up": True},
            {"task_round_to_nearest": 1, "task_round_up": True},
            Rounding(3600, is_up=False, level="client"),
        ),
        (
            {"task_round_to_nearest": None, "task_round_up": ""},
            {"task_round_to_nearest": 900, "task_round_up": False},
            {"task_round_to_nearest": 1, "task_round_up": True},
            Rounding(900, is_up=False, level="group"),
        ),
        (
            {"task_round_to_nearest": 1800},
            {},
            {"task_round_to_nearest": 900, "task_round_up": True},
            Rounding(1800, is_up=True, level="client"),
        ),
    ],
)
def test_rounding(client: dict[str, Any], group: dict[str, Any], company: dict[str, Any], expected: Rounding) -> None:
    """Step and direction may come from two levels; an empty text or null at the client is no word."""
    assert _settings(client, group, company).rounding == expected


def test_rounding_in_words() -> None:
    """People read where the rounding is set, because there it must be switched off."""
    assert str(Rounding()) == "none"
    assert str(Rounding(900, is_up=True, level="client")) == "up to 900 s (set at the client)"
    assert str(Rounding(900, level="group")) == "down to 900 s (set at the group)"


def test_a_word_of_the_client_wins_also_when_it_is_no() -> None:
    """A client's false beats the company's true."""
    company = {"enable_rappen_rounding": True, "inclusive_taxes": True, "counter_number_applied": "when_sent"}
    assert _settings({}, {}, company).rounds_to_rappen
    assert _settings({}, {}, company).inclusive_taxes
    assert _settings({}, {}, company).numbers_when_sent
    own = {"enable_rappen_rounding": False, "inclusive_taxes": False, "counter_number_applied": "when_saved"}
    theirs = _settings(own, {}, company)
    said = (theirs.rounds_to_rappen, theirs.inclusive_taxes, theirs.numbers_when_sent)
    assert said == (False, False, False)


def test_an_empty_text_of_a_group_decides() -> None:
    """A group's empty payment terms hide the company's, a client's do not."""
    company = {"payment_terms": "14", "language_id": "1"}
    assert _settings({"payment_terms": ""}, {}, company).payment_terms == "14"
    assert _settings({}, {"payment_terms": "", "language_id": "3"}, company).payment_terms == ""
    assert _settings({}, {"language_id": "3"}, company).language_id == "3"


def test_default_taxes() -> None:
    """Only a tax with a name and a rate is one; each slot is decided by itself."""
    company = {"tax_name1": "BTW", "tax_rate1": 21, "tax_name2": "", "tax_rate2": 5, "tax_name3": "X", "tax_rate3": 0}
    assert _settings({}, {}, company).taxes == (Tax("BTW", Decimal(21)),)
    assert _settings({"tax_rate1": "6"}, {}, company).taxes == (Tax("BTW", Decimal(6)),)
    assert _settings({"tax_rate1": "none"}, {}, company).taxes == ()


@pytest.mark.parametrize(
    ("rate", "has"), [("late_fee_amount1", True), ("late_fee_percent3", True), ("tax_rate1", False)]
)
def test_late_fees(rate: str, *, has: bool) -> None:
    """An amount or a share of any reminder raises sent invoices."""
    assert _settings({}, {}, {rate: 5}).has_late_fees is has


def test_currency() -> None:
    """The client's own, else the group's, else the company's."""
    company = Company("c", "Us", "1", "1", "off", False, False, False, Decimal(0))  # noqa: FBT003 - a record
    grouped = NinjaClient("a", "1", "Acme", group_id="g")
    assert effective_settings(None, company, {}).currency_id == "1"
    assert effective_settings(grouped, company, {"g": {"currency_id": "3"}}).currency_id == "3"
    own = NinjaClient("a", "1", "Acme", group_id="g", currency_id="7")
    assert effective_settings(own, company, {"g": {"currency_id": "3"}}).currency_id == "7"


def test_what_is_read_of_each_level() -> None:
    """Of a client, a group and the company the keys that matter are kept; an archived group decides nothing."""
    given = {"task_round_to_nearest": 900, "entity": "x"}
    client = read_client({"id": "a", "group_settings_id": "g", "settings": given})
    assert (client.group_id, client.settings) == ("g", {"task_round_to_nearest": 900})
    assert read_group({"id": "g", "settings": given}) == ("g", {"task_round_to_nearest": 900})
    assert read_group({"id": "g", "settings": given, "archived_at": 5}) == ("g", {})
    assert read_group({"id": "g", "settings": given, "is_deleted": True}) == ("g", {})
    assert read_company({"id": "c", "settings": given}).settings == {"task_round_to_nearest": 900}


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9))


@given(
    client=st.dictionaries(st.sampled_from(sorted(SETTINGS)), _VALUES),
    group=st.dictionaries(st.sampled_from(sorted(SETTINGS)), _VALUES),
    company=st.dictionaries(st.sampled_from(sorted(SETTINGS)), _VALUES),
)
def test_no_value_breaks_a_plan(client: dict[str, Any], group: dict[str, Any], company: dict[str, Any]) -> None:
    """Whatever people have typed into settings, something holds: a step of at least a second, taxes with a rate."""
    theirs = _settings(client, group, company)
    assert theirs.rounding.step >= 1
    assert all(tax.name and tax.rate > 0 for tax in theirs.taxes)
