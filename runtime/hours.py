"""Opening hours: whether they are open at a moment, until when, and which rules they let meet. Pure; told the time.

Hours are open while the clock on the wall in their time zone shows a time within a range. So an hour that comes twice
is open both times, and one that is left out never comes. A range belongs to the day on which it begins: Friday's
22:00-02:00 goes on into a Saturday that is a holiday. Exceptions beat holidays, holidays beat the week.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

Range = tuple[int, int]
"""The first minute of its day and the one after the last; more than 1440 where a range goes past midnight."""

WEEKDAYS = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
"""The days of the week as an author writes them, and as they are said."""

MINUTES = 24 * 60
_DAY = timedelta(days=1)
_WINDOW = 17  # days in which a week's times must change: yesterday, two weeks (the clocks may eat one time), and two


@dataclass(frozen=True, slots=True)
class Hours:
    """One named set of hours. `weekly` has the ranges of seven days, Monday first; equal hours open alike."""

    timezone: str
    weekly: tuple[tuple[Range, ...], ...]
    holidays: frozenset[date] = frozenset()
    exceptions: Mapping[date, tuple[Range, ...]] = field(default_factory=dict, hash=False)
    _zone: ZoneInfo = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_zone", ZoneInfo(self.timezone))  # kept, so that no call waits for its file

    def is_open(self, moment: datetime) -> bool:
        """Tell whether it is open at an aware moment."""
        wall = moment.astimezone(self._zone)
        return self.shows(wall.date(), wall.hour * 60 + wall.minute)

    def next_change(self, moment: datetime) -> datetime | None:
        """Return the first moment after this one at which it opens or closes, in UTC; None when it never does."""
        moment = moment.astimezone(UTC)
        is_open, today = self.is_open(moment), moment.astimezone(self._zone).date()
        for day in (today, *sorted(day for day in self.special_days if day > today)):
            for instant in self._instants(day - _DAY):
                if instant > moment and self.is_open(instant) != is_open:
                    return instant
        return None

    def told(self, moment: datetime) -> str:
        """Return `"open until 18:00"` or `"closed until Monday 09:00"`, in the hours' own time zone."""
        state = "open" if self.is_open(moment) else "closed"
        change = self.next_change(moment)
        if change is None:
            return f"{state} all the time"
        then, today = change.astimezone(self._zone), moment.astimezone(self._zone).date()
        ahead, time = (then.date() - today).days, f"{then:%H:%M}"
        if ahead == 1 and time == "00:00":
            return f"{state} until midnight"
        day = f"{weekday(then)} {then:%Y-%m-%d} " if ahead > 6 else f"{weekday(then)} " if ahead else ""
        return f"{state} until {day}{time}"

    @property
    def special_days(self) -> frozenset[date]:
        """The days that are not as their day of the week."""
        return self.holidays | self.exceptions.keys()

    def ranges(self, day: date) -> tuple[Range, ...]:
        """Return the ranges that begin on a day."""
        if day in self.exceptions:
            return self.exceptions[day]
        return () if day in self.holidays else self.weekly[day.weekday()]

    def shows(self, day: date, minute: int) -> bool:
        """Tell whether it is open when the clock on the wall shows this minute of a day."""
        return any(start <= minute < end for start, end in self.ranges(day)) or any(
            minute + MINUTES < end for _, end in self.ranges(day - _DAY)
        )

    def turns(self, day: date) -> set[int]:
        """Return the minutes of a day between which nothing opens or closes, while the clock goes on evenly."""
        begun = {minute for each in self.ranges(day) for minute in each if minute < MINUTES}
        return {0} | begun | {end - MINUTES for _, end in self.ranges(day - _DAY) if end > MINUTES}

    def _instants(self, first: date) -> list[datetime]:
        """Return every moment at which something may change in the days from `first` on, in order, in UTC."""
        days = [first + _DAY * number for number in range(_WINDOW)]
        walls = (
            datetime(day.year, day.month, day.day, *divmod(minute, 60), tzinfo=self._zone, fold=fold)
            for day in days
            for minute in self.turns(day)
            for fold in (0, 1)  # a time that comes twice
        )
        return sorted({*(wall.astimezone(UTC) for wall in walls), *self._clock_changes(days)})

    def _clock_changes(self, days: list[date]) -> list[datetime]:
        """Return the moments at which the clock on the wall jumps. No zone does so twice within a day."""
        midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
        return [
            self._jump(before, after)
            for before, after in pairwise(midnights)
            if self._offset(before) != self._offset(after)
        ]

    def _jump(self, before: datetime, after: datetime) -> datetime:
        """Return the first second with the later one of two offsets from UTC."""
        old = self._offset(before)
        while (seconds := int((after - before).total_seconds())) > 1:
            middle = before + timedelta(seconds=seconds // 2)
            before, after = (middle, after) if self._offset(middle) == old else (before, middle)
        return after

    def _offset(self, moment: datetime) -> timedelta | None:
        return moment.astimezone(self._zone).utcoffset()


NamedHours = tuple[str, Hours]


@dataclass(frozen=True, slots=True)
class Opening:
    """When a rule or a transfer destination counts: within `hours`, outside of `outside`; always without either."""

    hours: NamedHours | None = None
    outside: NamedHours | None = None

    @property
    def conditions(self) -> int:
        """How many of the two there are."""
        return (self.hours is not None) + (self.outside is not None)

    def unmet(self, moment: datetime) -> str | None:
        """Return why it does not count at an aware moment, as a sentence without its point, or None when it does."""
        if self.hours and not self.hours[1].is_open(moment):
            return f"it is outside of the hours {self.hours[0]}: {self.hours[1].told(moment)}"
        if self.outside and self.outside[1].is_open(moment):
            return f"it is within the hours {self.outside[0]}: {self.outside[1].told(moment)}"
        return None

    def meets(self, other: "Opening") -> bool:
        """Tell whether there may be a moment at which both count.

        Hours in different time zones may always meet. Others are compared on each day that is special to one of
        them, on the day after it, and in a week that has none.
        """
        within = [named[1] for named in (self.hours, other.hours) if named]
        outside = [named[1] for named in (self.outside, other.outside) if named]
        if any(hours in outside for hours in within):
            return False
        every = [*within, *outside]
        if len({hours.timezone for hours in every}) != 1:
            return True
        return any(
            all(hours.shows(day, minute) for hours in within) and not any(hours.shows(day, minute) for hours in outside)
            for day in _telling_days(every)
            for minute in set[int]().union(*(hours.turns(day) for hours in every))
        )

    def __str__(self) -> str:
        parts = [f"hours {self.hours[0]}"] if self.hours else []
        parts += [f"outside {self.outside[0]}"] if self.outside else []
        return ", ".join(parts)


ALWAYS = Opening()


def _telling_days(every: Collection[Hours]) -> frozenset[date]:
    """Return days that together show all that these hours can be."""
    special = frozenset[date]().union(*(hours.special_days for hours in every))
    ordinary = max(special, default=date(2000, 1, 1)) + 2 * _DAY
    return special | {day + _DAY for day in special} | {ordinary + _DAY * number for number in range(7)}


def opening(written: Mapping[str, Any], known: Mapping[str, Hours]) -> Opening:
    """Return when a checked rule or transfer destination counts, by its `hours` and `outside`."""
    return Opening(*((written[key], known[written[key]]) if key in written else None for key in ("hours", "outside")))


def hours_in(data: Mapping[str, Any]) -> dict[str, Hours]:
    """Return the named hours of an agent's data that pass its schema, without those that cannot be."""
    found = {}
    for name, written in data.get("hours", {}).items():
        with suppress(ValueError):
            found[name] = read_hours(written)
    return found


def read_hours(written: Mapping[str, Any]) -> Hours:
    """Make hours of one complete set. Raises `ValueError` for an unknown time zone or a date that does not exist."""
    if written["timezone"] not in zones():
        raise ValueError(f"unknown time zone {written['timezone']}")
    return Hours(
        written["timezone"],
        tuple(_ranges(written["weekly"].get(day, ())) for day in WEEKDAYS),
        frozenset(map(date.fromisoformat, written.get("holidays", ()))),
        {date.fromisoformat(day): _ranges(times) for day, times in written.get("exceptions", {}).items()},
    )


def _ranges(times: Collection[str]) -> tuple[Range, ...]:
    return tuple(sorted(map(read_range, times)))


def read_range(text: str) -> Range:
    """Return the minutes of `"22:00-02:00"`; equal ones for `"09:00-09:00"`, which is never open."""
    start, end = (int(time[:2]) * 60 + int(time[3:]) for time in text.split("-"))
    return start, end + MINUTES if end < start else end


def write_range(minutes: Range) -> str:
    """Return a range as it is written; the end of a day is 24:00."""
    start, end = minutes
    return "-".join(
        f"{minute // 60:02}:{minute % 60:02}" for minute in (start, end - MINUTES if end > MINUTES else end)
    )


def weekday(day: date) -> str:
    """Return the day of the week in English, whatever the host's language is."""
    return list(WEEKDAYS.values())[day.weekday()]


@cache
def zones() -> frozenset[str]:
    """Return the names of all time zones, spelled as every host knows them (PEP 615, "zones").

    A file system without regard to case would find europe/berlin, and the host that it is deployed to would not.
    """
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())
