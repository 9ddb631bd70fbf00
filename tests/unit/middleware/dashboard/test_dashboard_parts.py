"""Charts, filters, words and addresses of the dashboard."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.config.file import parse_mapping
from middleware.clients.invoiceninja.web_pages import NinjaPages
from middleware.dashboard.charts import HEIGHT, day_chart, shares
from middleware.dashboard.filters import AskedFilter, event_filter, read_filter
from middleware.dashboard.labels import notice, review_name, review_page
from middleware.dashboard.names import Names
from middleware.dashboard.pages import invoices, mapping, overview, payments, time
from middleware.dashboard.render import linked
from middleware.dashboard.visit import id_of, local_path
from middleware.store.billing.invoice_words import invoice_word
from middleware.store.billing.mirror import BookInvoice, OpenSum
from middleware.store.operations.attention import Attention
from middleware.web.health import Check

DAY = date(2026, 11, 21)


class TestCharts:
    """Columns of days and bars."""

    def test_columns_stack_up_to_the_highest(self) -> None:
        """The highest day fills the drawing; a day without events has no segment."""
        counts = {(DAY, "taiga"): 6, (DAY, "stripe"): 2, (date(2026, 11, 19), "taiga"): 4}
        chart = day_chart(counts, date(2026, 11, 19), DAY, ["taiga", "stripe"])
        assert [column.total for column in chart.columns] == [4, 0, 8]
        assert [segment.height for segment in chart.columns[2].segments] == ["75.00", "25.00"]
        assert [segment.y for segment in chart.columns[2].segments] == ["25.00", "0.00"]
        assert chart.columns[1].segments == ()
        assert chart.description == "12 from 19 Nov 2026 to 21 Nov 2026; most on 21 Nov 2026 with 8"

    def test_nothing_is_no_error(self) -> None:
        """A new installation has a flat chart."""
        chart = day_chart({}, DAY, DAY, ["taiga"])
        assert (chart.highest, chart.description) == (0, "0 from 21 Nov 2026 to 21 Nov 2026")

    @given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=31))
    def test_no_column_leaves_the_drawing(self, numbers: list[tuple[int, int]]) -> None:
        """Whatever the counts, every segment lies between top and bottom."""
        first = date(2026, 1, 1)
        days = [date.fromordinal(first.toordinal() + index) for index in range(len(numbers))]
        counts = {
            (day, name): pair[index] for day, pair in zip(days, numbers, strict=True) for index, name in enumerate("ab")
        }
        chart = day_chart(counts, first, days[-1], "ab")
        for column in chart.columns:
            for segment in column.segments:
                top, height = Decimal(segment.y), Decimal(segment.height)
                assert -Decimal("0.02") <= top
                assert top + height <= HEIGHT + Decimal("0.02")

    def test_shares(self) -> None:
        """Bars are compared with the longest; zeros are no error."""
        assert shares([Decimal(4), Decimal(1), Decimal(0)]) == ["100.0", "25.0", "0.0"]
        assert shares([Decimal(0)]) == ["0.0"]
        assert shares([]) == []


class TestFilters:
    """The filter of the event list in addresses."""

    def test_there_and_back(self) -> None:
        """What is set comes back out of the address, the rest stays away."""
        asked = read_filter({"status": " dead ", "since": "2026-11-01", "until": "nonsense", "other": "x"})
        assert asked == AskedFilter(status="dead", since="2026-11-01")
        assert asked.query(before="7") == "status=dead&since=2026-11-01&before=7"
        assert asked.fields() == {"status": "dead", "since": "2026-11-01"}

    def test_days_are_of_the_viewer(self) -> None:
        """Both days are included, as they begin and end where the viewer is."""
        found = event_filter(AskedFilter(since="2026-11-20", until="2026-11-20"), ZoneInfo("Europe/Brussels"))
        assert found.since is not None
        assert found.until is not None
        assert found.since.astimezone(UTC) == datetime(2026, 11, 19, 23, tzinfo=UTC)
        assert found.until.astimezone(UTC) == datetime(2026, 11, 20, 23, tzinfo=UTC)

    @given(st.text(max_size=30), st.text(max_size=30))
    def test_any_text_is_taken(self, since: str, text: str) -> None:
        """Nothing that people write into an address is an error."""
        event_filter(read_filter({"since": since, "until": since, "text": text}), UTC)

    @pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
    def test_days_without_neighbours(self, day: str) -> None:
        """The ends of the calendar are left out."""
        assert read_filter({"since": day, "until": day}) == AskedFilter()


class TestAddresses:
    """Where links and redirects lead."""

    @pytest.mark.parametrize("path", ["/events", "/events?status=dead", "/"])
    def test_paths_of_ours(self, path: str) -> None:
        """After signing in people go where they wanted."""
        assert local_path(path) == path

    @pytest.mark.parametrize(
        "path", ["//evil.example", "https://evil.example", "/\\evil.example", "events", "", "/a\r\nb"]
    )
    def test_other_hosts(self, path: str) -> None:
        """And nowhere else."""
        assert local_path(path) == ""

    def test_pages_of_invoice_ninja(self) -> None:
        """Records open on Invoice Ninja's own pages; without an address there are none."""
        pages = NinjaPages("https://ninja.example/api/v1")
        assert pages.task("abc") == "https://ninja.example/#/tasks/abc/edit"
        assert pages.client("abc") == "https://ninja.example/#/clients/abc"
        assert NinjaPages("https://invoicing.co/api/v1").invoice("x") == "https://app.invoicing.co/#/invoices/x/edit"
        assert NinjaPages("").payment("abc") == ""
        assert pages.payment("") == ""

    @pytest.mark.parametrize(
        ("text", "number"), [("12", 12), ("", None), ("-1", None), ("1e3", None), ("9" * 19, None), ("٣", None)]
    )
    def test_ids(self, text: str, number: int | None) -> None:
        """Only what PostgreSQL can hold is an id."""
        assert id_of(text) == number


class TestWords:
    """Sentences that addresses and rows choose."""

    def test_notices(self) -> None:
        """An address chooses one of our sentences and brings none of its own."""
        assert notice("replayed-1200") == "Done: 1,200 queued again."
        assert notice("replayed-0").startswith("Nothing was done")
        assert notice("<b>pay here</b>") == ""
        assert notice("surprised-1") == ""

    def test_reviews(self) -> None:
        """Known kinds have a name and a page, unknown ones speak for themselves."""
        assert review_name("something_new") == "Something new"
        assert review_page("unmatched_payment") == "/payments"
        assert review_page("a b") == "/reviews?kind=a+b"

    def test_verdict(self) -> None:
        """A part that is down comes first, then what waits for a person."""
        fine, broken = Check("redis", "ok", ""), Check("redis", "degraded", "away")
        nothing, two = Attention(0, 0), Attention(1, 2)
        assert overview.verdict([fine], nothing, 0) == "well"
        assert overview.verdict([fine], two, 0) == "attention"
        assert overview.verdict([fine], nothing, 3) == "attention"
        assert overview.verdict([fine, broken], two, 0) == "trouble"
        assert overview.things_to_do(two, 3) == 3


def book_invoice(status: str, balance: str = "100", due: date | None = DAY, **changes: object) -> BookInvoice:
    """An invoice over 100 as the books show it."""
    values: dict[str, object] = {"is_deleted": False, "payments": (), **changes}
    return BookInvoice(
        invoice_id="i",
        number="1",
        client_id="c",
        client_name="",
        currency="EUR",
        status_id=status,
        amount=Decimal(100),
        balance=Decimal(balance),
        day=DAY,
        due_date=due,
        **values,  # type: ignore[arg-type]  # two fields of known names
    )


class TestInvoiceWords:
    """How an invoice stands."""

    @pytest.mark.parametrize(
        ("invoice", "word"),
        [
            (book_invoice("1"), "draft"),
            (book_invoice("2"), "sent"),
            (book_invoice("2", due=None), "sent"),
            (book_invoice("3", "40"), "partial"),
            (book_invoice("2", due=date(2026, 11, 20)), "overdue"),
            (book_invoice("3", "40", due=date(2026, 11, 20)), "overdue"),
            (book_invoice("4", "0", due=date(2026, 11, 20)), "paid"),
            (book_invoice("4", "0", payments=("refunded",)), "refunded"),
            (book_invoice("4", "0", payments=("paid", "partially_refunded")), "partially refunded"),
            (book_invoice("4", "0", payments=("disputed",)), "disputed"),
            (book_invoice("5", "0"), "cancelled"),
            (book_invoice("6", "0"), "reversed"),
            (book_invoice("99"), "unknown"),
            (book_invoice("2", is_deleted=True), "deleted"),
        ],
    )
    def test_words(self, invoice: BookInvoice, word: str) -> None:
        """One word for each state, also for those that nobody knows yet."""
        assert invoice_word(invoice, DAY) == word

    def test_ages(self) -> None:
        """Every age has a bar; currencies are kept apart."""
        found = invoices.ages(
            [OpenSum("EUR", 0, Decimal(50), 2), OpenSum("EUR", 4, Decimal(100), 1), OpenSum("JPY", 1, Decimal(9), 1)]
        )
        assert [(one.currency, one.percent) for one in found if one.invoices] == [
            ("EUR", "50.0"),
            ("EUR", "100.0"),
            ("JPY", "100.0"),
        ]
        assert len(found) == 10


class TestMonths:
    """The month of the time page, and places between pages."""

    def test_reading(self) -> None:
        """What is no month is the present one."""
        assert time.read_month("2026-02", DAY) == date(2026, 2, 1)
        for text in ("", "2026-13", "0001-01", "x", "2026-02-03"):
            assert time.read_month(text, DAY) == date(2026, 11, 1)

    def test_moving(self) -> None:
        """Years change in December and January."""
        assert time.moved(date(2026, 12, 1), 1) == date(2027, 1, 1)
        assert time.moved(date(2026, 1, 1), -1) == date(2025, 12, 1)

    def test_span(self) -> None:
        """A month begins and ends at midnight of its zone."""
        first, last = time.span(date(2026, 3, 1), ZoneInfo("Europe/Brussels"))
        assert (first, last) == (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))

    @given(st.text(max_size=60))
    def test_places_of_anybody(self, text: str) -> None:
        """Nothing in an address is an error."""
        time.read_place(text)
        payments.read_place(text)
        invoices.read_place(text)

    def test_places_there_and_back(self) -> None:
        """A page goes on where the one before ended, undated invoices included."""
        assert invoices.read_place(invoices.place(book_invoice("1"))) == (DAY, "i")
        assert invoices.read_place("|i") == (None, "i")


MAPPING = parse_mapping(
    '{"project_mappings": [{"taiga_project_id": 1, "taiga_project_name": "Shop", "invoiceninja_client_id": "abc",'
    ' "rounding": "half_hour", "default_hourly_rate": 75}], "billing_rules": {"taxes": [{"name": "VAT", "rate": 21}]}}'
)


class TestMapping:
    """Effective rules and names."""

    def test_own_rules_stand_out(self) -> None:
        """What a project changes is told apart from the general rules."""
        project = mapping.mapped_project(MAPPING, 1)
        own = {name: value for name, value, is_own in project.rows if is_own}
        assert own == {"rounding": "half hour", "default hourly rate": "75"}
        assert ("taxes", "VAT 21") in mapping.rule_rows(MAPPING.rules_for(1))

    def test_names(self) -> None:
        """Invoice Ninja's own name wins, then the projects, then the id."""
        assert Names(MAPPING, {"abc": "Acme"}).client("abc") == "Acme"
        assert Names(MAPPING).client("abc") == "Shop"
        assert Names(MAPPING).client("xyz") == "xyz"
        assert Names(MAPPING).taiga_project(1) == "Shop"
        assert Names(MAPPING).taiga_project(7) == "Taiga project 7"
        assert Names(MAPPING).taiga_project(None) == "not known"

    def test_next_run(self) -> None:
        """The next run is the first after now; without projects there is none."""
        now = datetime(2026, 11, 21, 12, tzinfo=UTC)
        run = overview.next_run(MAPPING, now)
        assert run is not None
        assert run.due_at == datetime(2026, 12, 1, 6, tzinfo=UTC)
        assert run.period.name == "2026-11"
        assert overview.next_run(parse_mapping("{}"), now) is None


class TestLinked:
    """Addresses in sentences can be followed, and nothing else of a text means anything to a browser."""

    def test_an_address_in_brackets(self) -> None:
        """The bracket and the colon behind it are no part of the address."""
        told = str(linked("task #12 (https://taiga.example/task/12): 4.5 h"))
        assert 'href="https://taiga.example/task/12" rel="noreferrer">https://taiga.example/task/12</a>): 4.5 h' in told

    def test_markup_is_text(self) -> None:
        """Whatever stands around or within an address is escaped; other schemes are no links."""
        told = str(linked('<b>javascript:alert(1) https://x.example/?a=1&b="><script> mail@x.example'))
        assert "<b>" not in told
        assert "<script>" not in told
        assert told.count("<a ") == 1
        assert "a=1&amp;b=" in told
