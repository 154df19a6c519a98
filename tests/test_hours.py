"""Opening hours, by hand where clocks jump, and against a model that only counts minutes."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runtime.hours import Hours, Opening, hours_in, opening, read_hours, read_range, write_range, zones

steady = settings(max_examples=60)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def hours(timezone: str = "Europe/Berlin", **more: Any) -> Hours:
    weekly = {day: more.pop(day) for day in DAYS if day in more}
    return read_hours({"timezone": timezone, "weekly": weekly, **more})


def daily(*times: str, days: tuple[str, ...] = DAYS) -> dict[str, list[str]]:
    return {day: [*times] for day in days}


def berlin(written: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)


OFFICE = hours(**daily("09:00-12:30", "14:00-18:00", days=DAYS[:5]), sat=["22:00-02:00"])

# ── the week ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-23 08:59:59", False),
        ("2026-11-23 09:00", True),
        ("2026-11-23 12:29:59.999999", True),
        ("2026-11-23 12:30", False),
        ("2026-11-23 14:00", True),
        ("2026-11-28 09:00", False),
        ("2026-11-28 22:00", True),
        ("2026-11-29 01:59", True),
        ("2026-11-29 02:00", False),
        ("2026-11-29 22:00", False),
    ],
)
def test_a_range_is_open_from_its_first_minute_to_the_one_before_its_end(moment: str, is_open: bool) -> None:
    assert OFFICE.is_open(berlin(moment)) is is_open


def test_the_moment_may_come_from_anywhere() -> None:
    assert OFFICE.is_open(datetime(2026, 11, 23, 8, 0, tzinfo=UTC))
    assert not OFFICE.is_open(datetime(2026, 11, 23, 9, 0, tzinfo=ZoneInfo("Asia/Tokyo")))


def test_a_whole_day_ends_at_24_00_and_touches_the_next() -> None:
    both = hours(mon=["00:00-24:00"], tue=["00:00-24:00"])
    assert both.is_open(berlin("2026-11-23 23:59"))
    assert both.is_open(berlin("2026-11-24 00:00"))
    assert both.next_change(berlin("2026-11-23 12:00")) == berlin("2026-11-25 00:00")
    assert not both.is_open(berlin("2026-11-25 00:00"))


def test_midnight_as_an_end_is_the_end_of_the_day() -> None:
    assert hours(mon=["18:00-00:00"]) == hours(mon=["18:00-24:00"])


def test_days_that_overlap_at_midnight_are_open_throughout() -> None:
    weekend = hours(fri=["18:00-02:00"], sat=["00:00-24:00"])
    assert weekend.next_change(berlin("2026-11-27 18:00")) == berlin("2026-11-29 00:00")


def test_ranges_are_written_as_they_were_read() -> None:
    for written in ("09:00-12:30", "22:00-02:00", "00:00-24:00", "00:01-00:00"):
        assert write_range(read_range(written)).replace("24:00", "00:00") == written.replace("24:00", "00:00")


# ── holidays and exceptions ───────────────────────────────────────────────────────────────────────────────────

CHRISTMAS = hours(
    **daily("09:00-18:00", "22:00-02:00"),
    holidays=["2026-12-25", "2026-12-26"],
    exceptions={"2026-12-24": ["09:00-12:00"], "2026-12-26": ["10:00-11:00"], "2026-12-31": []},
)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-12-24 11:59", True),
        ("2026-12-24 12:00", False),
        ("2026-12-25 01:00", False),  # the 24th has other times than its day of the week, and none past midnight
        ("2026-12-25 10:00", False),
        ("2026-12-26 10:30", True),
        ("2026-12-26 12:00", False),
        ("2026-12-27 01:00", False),
        ("2026-12-31 01:00", True),  # begun on the 30th
        ("2026-12-31 10:00", False),
        ("2027-01-01 10:00", True),
    ],
)
def test_exceptions_beat_holidays_beat_the_week(moment: str, is_open: bool) -> None:
    assert CHRISTMAS.is_open(berlin(moment)) is is_open


def test_a_range_belongs_to_the_day_it_begins_on_so_it_goes_on_into_a_holiday() -> None:
    bar = hours(thu=["22:00-02:00"], fri=["22:00-02:00"], holidays=["2026-12-25"])
    assert bar.is_open(berlin("2026-12-25 01:59"))
    assert not bar.is_open(berlin("2026-12-25 22:00"))
    assert not bar.is_open(berlin("2026-12-26 01:00"))


# ── when clocks jump: Berlin leaves out 02:00-03:00 on 2027-03-28 and has it twice on 2026-10-25 ──────────────


def utc(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def test_an_hour_that_is_left_out_never_comes() -> None:
    gone = hours(sun=["02:00-03:00"])
    assert gone.next_change(utc("2027-03-22 00:00")) == utc("2027-04-04 00:00")
    begins_inside = hours(sun=["02:30-03:30"])
    assert not begins_inside.is_open(utc("2027-03-28 00:59:59"))
    assert begins_inside.next_change(utc("2027-03-28 00:00")) == utc("2027-03-28 01:00")
    assert begins_inside.next_change(utc("2027-03-28 01:00")) == utc("2027-03-28 01:30")
    ends_inside = hours(sun=["01:00-02:30"])
    assert ends_inside.next_change(utc("2027-03-28 00:00")) == utc("2027-03-28 01:00")
    assert ends_inside.told(utc("2027-03-28 00:00")) == "open until 03:00"


def test_an_hour_that_comes_twice_is_open_twice() -> None:
    twice = hours(sun=["02:00-03:00"])
    assert twice.is_open(berlin("2026-10-25 02:30"))
    assert twice.is_open(berlin("2026-10-25 02:30", fold=1))
    assert twice.next_change(utc("2026-10-24 23:00")) == utc("2026-10-25 00:00")
    assert twice.next_change(utc("2026-10-25 00:00")) == utc("2026-10-25 02:00")
    ends_inside = hours(sun=["01:00-02:30"])
    changes = [utc("2026-10-24 23:00")]
    while changes[-1] < utc("2026-10-25 03:00"):
        change = ends_inside.next_change(changes[-1])
        assert change is not None
        changes.append(change)
    assert [f"{change:%H:%M}" for change in changes[1:4]] == ["00:30", "01:00", "01:30"]


def test_a_night_is_an_hour_shorter_or_longer() -> None:
    night = hours(sat=["22:00-06:00"])
    for evening, length in (("2027-03-27 22:00", 7), ("2026-10-24 22:00", 9), ("2026-11-28 22:00", 8)):
        start = berlin(evening).astimezone(UTC)
        assert night.next_change(start) == start + timedelta(hours=length)


def test_a_zone_that_jumps_at_midnight_has_no_first_hour() -> None:
    cairo = hours("Africa/Cairo", fri=["00:00-02:00"])  # 2026-04-24 begins at 01:00
    assert cairo.next_change(utc("2026-04-23 12:00")) == utc("2026-04-23 22:00")
    assert cairo.told(utc("2026-04-23 12:00")) == "closed until Friday 01:00"
    assert cairo.next_change(utc("2026-04-23 22:00")) == utc("2026-04-23 23:00")


# ── the next change, and words ────────────────────────────────────────────────────────────────────────────────


def test_hours_that_never_change_say_so() -> None:
    always, never = hours(**daily("00:00-24:00")), hours(holidays=["2026-12-25"])
    assert (always.next_change(utc("2026-11-27 12:00")), never.next_change(utc("2026-11-27 12:00"))) == (None, None)
    assert always.told(utc("2026-11-27 12:00")) == "open all the time"
    assert never.told(utc("2026-11-27 12:00")) == "closed all the time"


def test_a_change_years_ahead_is_found() -> None:
    once = hours(exceptions={"2031-05-01": ["09:00-10:00"]})
    assert once.next_change(utc("2026-11-27 12:00")) == utc("2031-05-01 07:00")
    holiday = hours(**daily("00:00-24:00"), holidays=["2031-05-01"])
    assert holiday.next_change(utc("2026-11-27 12:00")) == utc("2031-04-30 22:00")


def test_a_long_holiday_is_passed_over() -> None:
    away = hours(mon=["09:00-10:00"], holidays=[str(date(2026, 12, 1) + DAY * number) for number in range(60)])
    assert away.told(berlin("2026-11-30 10:00")) == "closed until Monday 2027-02-01 09:00"


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2026-11-23 09:00", "open until 12:30"),
        ("2026-11-23 13:00", "closed until 14:00"),
        ("2026-11-23 18:00", "closed until Tuesday 09:00"),
        ("2026-11-28 22:00", "open until Sunday 02:00"),
        ("2026-11-29 02:00", "closed until Monday 09:00"),
    ],
)
def test_what_is_told_names_the_day_unless_it_is_today(moment: str, told: str) -> None:
    assert OFFICE.told(berlin(moment)) == told


def test_midnight_is_told_as_midnight_and_a_week_ahead_with_its_date() -> None:
    mondays = hours(mon=["00:00-24:00"])
    assert mondays.told(berlin("2026-11-23 12:00")) == "open until midnight"
    assert mondays.told(berlin("2026-11-24 00:00")) == "closed until Monday 00:00"
    assert hours(mon=["09:00-10:00"]).told(berlin("2026-11-23 10:00")) == "closed until Monday 2026-11-30 09:00"


# ── what cannot be ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("zone", ["Europe/Berln", "europe/berlin", "../Berlin", "Europe", "", "localtime", "a\0b"])
def test_a_zone_that_not_every_host_knows_is_none(zone: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        hours(zone)


def test_every_zone_can_be_used() -> None:
    assert len(zones()) > 500
    assert all(hours(zone, mon=["09:00-10:00"]).next_change(utc("2026-11-27 12:00")) for zone in zones())


def test_sets_that_cannot_be_are_left_out_and_the_others_stay() -> None:
    sound: dict[str, Any] = {"timezone": "UTC", "weekly": {}}
    written = {"a": sound, "b": {**sound, "timezone": "UCT+1"}, "c": {**sound, "holidays": ["2026-02-30"]}}
    assert set(hours_in({"hours": written})) == {"a"}
    assert hours_in({}) == {}


def test_equal_hours_are_equal_however_they_are_written() -> None:
    assert hours(mon=["14:00-18:00", "09:00-12:00"], tue=[]) == hours(mon=["09:00-12:00", "14:00-18:00"])
    assert len({hours(mon=["09:00-12:00"]), hours(mon=["09:00-12:00"], exceptions={})}) == 1


# ── when something counts ─────────────────────────────────────────────────────────────────────────────────────

KNOWN = {"office": OFFICE, "bar": hours(fri=["18:00-02:00"]), "lunch": hours(mon=["11:00-13:00"])}


def counting(**written: str) -> Opening:
    return opening({"name": "kitchen", **written}, KNOWN)


def test_without_conditions_it_always_counts() -> None:
    assert counting() == Opening()
    assert counting().unmet(berlin("2026-11-29 03:00")) is None
    assert (counting().conditions, str(counting())) == (0, "")


def test_why_it_does_not_count_is_a_sentence_that_says_until_when() -> None:
    sunday, monday = berlin("2026-11-29 12:00"), berlin("2026-11-30 12:00")
    assert counting(hours="office").unmet(sunday) == "it is outside of the hours office: closed until Monday 09:00"
    assert counting(hours="office").unmet(monday) is None
    assert counting(outside="office").unmet(monday) == "it is within the hours office: open until 12:30"
    assert counting(outside="office").unmet(sunday) is None
    both = counting(hours="office", outside="lunch")
    assert both.unmet(monday) == "it is within the hours lunch: open until 13:00"
    assert both.unmet(berlin("2026-11-30 10:00")) is None
    assert (both.conditions, str(both)) == (2, "hours office, outside lunch")


def test_openings_meet_when_there_is_a_moment_for_both() -> None:
    assert not counting(hours="office").meets(counting(outside="office"))
    assert not counting(outside="office").meets(counting(hours="office"))
    assert not counting(hours="office").meets(counting(hours="bar"))
    assert counting(hours="office").meets(counting(hours="lunch"))
    assert counting(outside="office").meets(counting(outside="bar"))
    assert counting(outside="office").meets(counting(hours="lunch"))
    assert not counting(hours="office", outside="lunch").meets(counting(hours="lunch"))
    assert counting().meets(counting(hours="office"))
    assert counting().meets(counting())


def test_a_single_day_is_enough_to_meet_also_past_its_midnight() -> None:
    morning = Opening(hours=("morning", hours(sat=["01:00-03:00"])))
    for exception, is_met in ({"2026-12-25": ["22:00-02:00"]}, True), ({"2026-12-25": ["22:00-01:00"]}, False):
        late = Opening(hours=("late", hours(mon=["09:00-10:00"], exceptions=exception)))
        assert late.meets(morning) is morning.meets(late) is is_met


def test_hours_in_different_zones_may_always_meet() -> None:
    one, other = (Opening(hours=("x", hours(zone, mon=["09:00-10:00"]))) for zone in ("Europe/Berlin", "Asia/Tokyo"))
    assert one.meets(other)


def test_an_exception_for_every_day_never_lets_them_meet() -> None:
    never = Opening(hours=("never", hours()))
    assert not never.meets(counting(hours="office"))
    assert not Opening(outside=("always", hours(**daily("00:00-24:00")))).meets(Opening())


# ── against a model that knows nothing but minutes ────────────────────────────────────────────────────────────

JUMPS = [  # a day on which clocks jump, or the like, and its zone
    ("Europe/Berlin", "2026-10-25"),
    ("Europe/Berlin", "2027-03-28"),
    ("America/New_York", "2026-11-01"),
    ("America/New_York", "2027-03-14"),
    ("Australia/Lord_Howe", "2026-10-04"),  # half an hour
    ("Australia/Lord_Howe", "2027-04-04"),
    ("Africa/Cairo", "2026-04-24"),  # at midnight
    ("America/Havana", "2026-11-01"),
    ("America/St_Johns", "2006-10-29"),  # one minute past midnight, into the day before
    ("Pacific/Apia", "2011-12-30"),  # a day that never was
    ("Asia/Kathmandu", "2026-11-27"),
    ("UTC", "2026-11-27"),
]
quarters = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
minutes = st.builds("{:02}:{:02}".format, st.integers(0, 4), st.integers(0, 59))
ends = quarters | minutes | st.just("24:00")
times = st.lists(st.builds("{}-{}".format, quarters | minutes, ends), max_size=3)
weeks = st.dictionaries(st.sampled_from(DAYS), times)
offsets = st.integers(-4, 6)


class Naive:
    """Hours as a set of minutes on the wall, each written down."""

    def __init__(self, written: dict[str, Any], around: date) -> None:
        self.zone = ZoneInfo(written["timezone"])
        self.open: set[datetime] = set()
        for number in range(-8, 30):
            day = around + DAY * number
            for text in self.times(written, day):
                self.add(day, *text.split("-"))

    def times(self, written: dict[str, Any], day: date) -> list[str]:
        if str(day) in written["exceptions"]:
            return list(written["exceptions"][str(day)])
        return [] if str(day) in written["holidays"] else list(written["weekly"].get(DAYS[day.weekday()], []))

    def add(self, day: date, start: str, end: str) -> None:
        wall = datetime.fromisoformat(f"{day} {start}")
        last = datetime.fromisoformat(f"{day} {end.replace('24:00', '00:00')}")
        if end == "24:00" or end < start:
            last += DAY
        while wall < last:
            self.open.add(wall)
            wall += MINUTE

    def is_open(self, moment: datetime) -> bool:
        return moment.astimezone(self.zone).replace(tzinfo=None, fold=0, second=0, microsecond=0) in self.open

    def next_change(self, moment: datetime, within: timedelta) -> datetime | None:
        until, is_open = moment + within, self.is_open(moment)
        while (moment := moment.replace(second=0, microsecond=0) + MINUTE) <= until:
            if self.is_open(moment) != is_open:
                return moment
        return None


@steady
@given(st.data(), st.sampled_from(JUMPS), weeks)
def test_hours_agree_with_counted_minutes(data: st.DataObject, jump: tuple[str, str], weekly: dict[str, Any]) -> None:
    timezone, around = jump[0], date.fromisoformat(jump[1])
    near = offsets.map(lambda number: str(around + DAY * number))
    written = {
        "timezone": timezone,
        "weekly": weekly,
        "holidays": data.draw(st.lists(near, max_size=3)),
        "exceptions": data.draw(st.dictionaries(near, times, max_size=3)),
    }
    ours, naive = read_hours(written), Naive(written, around)
    seconds = data.draw(st.integers(-36 * 3600, 36 * 3600))
    moment = datetime(around.year, around.month, around.day, tzinfo=UTC) + timedelta(seconds=seconds)
    assert ours.is_open(moment) == naive.is_open(moment)
    found, counted = ours.next_change(moment), naive.next_change(moment, timedelta(days=4))
    if counted is None:
        assert found is None or found > moment + timedelta(days=4)
    else:
        assert found == counted


@steady
@given(weeks, weeks, st.booleans(), st.integers(0, 7 * 24 * 60))
def test_openings_that_cannot_meet_never_count_at_once(
    one: dict[str, Any], other: dict[str, Any], outside: bool, minute: int
) -> None:
    kind = "outside" if outside else "hours"
    first = Opening(hours=("one", hours("UTC", **one)))
    second = opening({kind: "other"}, {"other": hours("UTC", **other)})
    assume(not first.meets(second))
    moment = utc("2026-11-23 00:00") + MINUTE * minute
    assert first.unmet(moment) is not None or second.unmet(moment) is not None
