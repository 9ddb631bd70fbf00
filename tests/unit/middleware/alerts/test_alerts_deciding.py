"""What a look changes, what is told when, and in which words."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from middleware.alerts.conditions import Watched, away, learned_limit, mapping, refused, silent
from middleware.alerts.decide import changes, due
from middleware.alerts.messages import message_of
from middleware.alerts.models import Condition, Observation
from middleware.store.operations.alerts import Batch, KindState, KnownCondition
from middleware.store.operations.attention import Troubled

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=15)


def _dead(key: str = "1", summary: str = "event 1: broken") -> Condition:
    return Condition("stuck", key, summary)


def _known(key: str = "1", **changed: object) -> KnownCondition:
    row = KnownCondition("stuck", key, f"event {key}: broken", NOW - timedelta(hours=1))
    return replace(row, **changed)  # type: ignore[arg-type]  # fields by name


class TestChanges:
    """Memory against the present."""

    def test_new_is_written(self) -> None:
        """A condition that was never seen is remembered from now on, untold."""
        found = changes([], [Observation("stuck", (_dead(),))], NOW)
        assert found.written == (KnownCondition("stuck", "1", "event 1: broken", NOW),)

    def test_same_is_not_written(self) -> None:
        """Nothing is written for what stays as it is."""
        found = changes([_known(told_at=NOW)], [Observation("stuck", (_dead(),))], NOW)
        assert (found.written, found.forgotten) == ((), ())

    def test_told_and_gone_recovers(self) -> None:
        """What was told and is over is to be told once more."""
        row = _known(told_at=NOW)
        found = changes([row], [Observation("stuck", ())], NOW)
        assert found.written == (replace(row, recovered_at=NOW),)

    def test_untold_and_gone_is_forgotten(self) -> None:
        """What came and went between two messages bothers nobody."""
        found = changes([_known()], [Observation("stuck", ())], NOW)
        assert (found.written, found.forgotten) == ((), (_known(),))

    def test_back_before_its_end_was_told(self) -> None:
        """What comes back before its end was told never ended."""
        row = _known(told_at=NOW, recovered_at=NOW)
        found = changes([row], [Observation("stuck", (_dead(),))], NOW)
        assert found.written == (replace(row, recovered_at=None),)

    def test_a_reading_is_silent_about_other_keys(self) -> None:
        """A cut list ends nothing that lies beyond the cut, and no reading ends another kind."""
        cut = Observation("stuck", (_dead("9"),), lambda key: int(key) >= 9)
        found = changes([_known(told_at=NOW)], [cut, Observation("system_away", ())], NOW)
        assert [row.key for row in found.written] == ["9"]


class TestDue:
    """Grouping and pauses."""

    def test_first_is_told_at_once_and_together(self) -> None:
        """All that is new makes one message."""
        (batch,) = due([_known("1"), _known("2"), _known("3", told_at=NOW)], {}, WINDOW, NOW)
        assert ([row.key for row in batch.new], batch.lasting) == (["1", "2"], 1)

    @pytest.mark.parametrize(("minutes", "expected"), [(14, 0), (15, 1)])
    def test_next_waits_for_the_window(self, minutes: int, expected: int) -> None:
        """Within the window nothing of the kind is sent, then everything that gathered."""
        states = {"stuck": KindState(sent_at=NOW - timedelta(minutes=minutes))}
        assert len(due([_known()], states, WINDOW, NOW)) == expected

    def test_nothing_to_tell(self) -> None:
        """What was told and lasts is not told again."""
        assert due([_known(told_at=NOW)], {}, WINDOW, NOW) == ()

    @pytest.mark.parametrize(("failures", "minutes", "expected"), [(1, 1, 1), (3, 3, 0), (3, 4, 1), (40, 60, 1)])
    def test_failed_sending_is_tried_again_less_and_less(self, failures: int, minutes: int, expected: int) -> None:
        """The pause doubles from a minute to an hour, whatever the window is."""
        states = {"stuck": KindState(None, NOW - timedelta(minutes=minutes), failures)}
        assert len(due([_known()], states, WINDOW, NOW)) == expected


class TestWording:
    """What people read."""

    def test_one_links_to_itself(self) -> None:
        """A single subject leads to its own dead events."""
        message = message_of(Batch("stuck", (_known("taiga:task:4 2"),), (), 0), "https://billing.example")
        assert message.title == "taiga-billing: 1 task or payment is stuck"
        assert (
            message.body.splitlines()[-1] == "https://billing.example/events?status=dead&subject=taiga%3Atask%3A4%202"
        )
        assert not message.is_good_news

    def test_many_are_cut(self) -> None:
        """Ten are named, the others counted, and the list is linked."""
        rows = tuple(_known(str(key)) for key in range(25))
        body = message_of(Batch("stuck", rows, (), 0), "https://billing.example").body
        assert "- and 15 more" in body
        assert body.endswith("/events?status=dead")

    def test_recovered(self) -> None:
        """The end is good news, says what lasts, and needs no link without an address."""
        message = message_of(Batch("stuck", (), (_known(),), 2), "")
        assert message.is_good_news
        assert message.title == "taiga-billing: recovered: 1 task or payment is stuck no longer"
        assert "Recovered:\n- event 1: broken\n\n2 tasks or payments are stuck as reported before." in message.body

    def test_unknown_kind(self) -> None:
        """A kind of an older version is named by its word."""
        assert "old kind" in message_of(Batch("old_kind", (_known(),), (), 0), "").title


class TestConditions:
    """What counts as trouble."""

    def test_refused_at_once_and_away_after_minutes(self) -> None:
        """Refused credentials are told at once; a short absence is not."""
        rows = [
            Troubled("stripe", "away", NOW - timedelta(minutes=4), "no connection"),
            Troubled("taiga", "away", NOW - timedelta(minutes=6), "no connection"),
            Troubled("taiga", "away", NOW - timedelta(minutes=5), "no connection"),
            Troubled("invoiceninja", "refused", NOW, "403"),
        ]
        assert [one.key for one in refused(rows).conditions] == ["invoiceninja"]
        assert [one.key for one in away(rows, NOW).conditions] == ["taiga"]

    def test_the_usual_pause_is_learned(self) -> None:
        """Free weekends make the limit four days; a new installation has none."""
        week = [date(2026, 11, day) for day in (2, 3, 4, 5, 6, 9, 10)]
        assert learned_limit(week) == timedelta(days=4)
        assert learned_limit(week[:4]) is None

    def test_silent_source(self) -> None:
        """A source is silent when its last webhook is older than its limit."""
        last = {"taiga": NOW - timedelta(hours=49), "stripe": NOW - timedelta(hours=49)}
        reading = silent(last, {"taiga": timedelta(hours=48), "stripe": None}, NOW)
        (one,) = reading.conditions
        assert (one.key, "49 hours ago" in one.summary) == ("taiga", True)

    def test_the_mapping_file_of_another_host(self) -> None:
        """A worker speaks for the file of its own host only."""
        reading = mapping(Watched((), 0, "a", lambda: "line 3 is not JSON"))
        assert reading.conditions[0].summary == "a: line 3 is not JSON"
        assert (reading.speaks_of("a"), reading.speaks_of("b")) == (True, False)
