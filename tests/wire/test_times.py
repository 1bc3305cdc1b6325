"""Times as devices write them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.times import BEIJING, parse_time, write_time

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=BEIJING)


@pytest.mark.trap(20)
@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00:00",
        "2026-11-22T12:00:00+08:00",
        "2026-11-22T12:00:00+0800",
        "2026-11-22T12:00:00+08",
        "2026-11-22T04:00:00Z",
        "2026-11-22T12:00:00.000",
        "2026-11-22 12:00:00",
        "2026/11/22 12:00",
        "2026-11-22T03:30:00-00:30",
        "20261122T120000",
        "20261122120000",
        " 2026-11-22T11:59:60 ",
    ],
)
def test_the_same_noon_is_read_in_every_form(text: str) -> None:
    assert parse_time(text) == NOON


def test_milliseconds_and_the_end_of_the_day_are_read() -> None:
    assert parse_time("2026-11-22T12:00:00.250") == NOON + timedelta(milliseconds=250)
    assert parse_time("2026-11-22T24:00:00") == NOON + timedelta(hours=12)


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-13-01T00:00:00", "2026-02-30T00:00:00", "0001-01-01T00:00:00"),
        *("2026-11-22T25:00:00", "9999-12-31T24:00:00", "2026-11-22T12:00:00+99:00", "2026-11-22", "１２"),
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.trap(20)
def test_a_time_is_written_in_beijing_time_without_zone_and_fraction() -> None:
    moment = datetime(2026, 11, 22, 4, 0, 0, 250_000, tzinfo=UTC)
    assert write_time(moment) == "2026-11-22T12:00:00"


@given(st.datetimes(datetime(1900, 1, 2), datetime(9998, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_whole_seconds_survive(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    assert parse_time(write_time(whole)) == whole


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none(text: str) -> None:
    moment = parse_time(text)
    if moment is not None:
        assert parse_time(write_time(moment)) is not None
