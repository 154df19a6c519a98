"""The tools of `agents/front-desk.yaml`: find, book and cancel a table. Holds no words of the agent's own.

A result always has `say`, a sentence for the caller; the other keys tell the model what happened. Nothing
here raises because of what a caller said.
"""

import re
import sqlite3
from datetime import datetime, time, timedelta
from typing import Any

from runtime import CallContext
from samples import parse_moment, speak_digits, speak_moment
from samples.storage import new_reference, transaction

FIRST_TABLE = time(17, 30)
LAST_TABLE = time(21, 30)
CLOSED_ON = "Monday"
STAY = timedelta(hours=2)

# Other times are offered on the half hour, and three are as many as anybody remembers on the telephone.
_STEP = timedelta(minutes=30)
_OFFERS = 3

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS restaurant_tables (number INTEGER PRIMARY KEY, seats INTEGER NOT NULL);
    INSERT OR IGNORE INTO restaurant_tables VALUES
        (1, 2), (2, 2), (3, 2), (4, 2), (5, 4), (6, 4), (7, 4), (8, 4), (9, 4), (10, 6), (11, 6), (12, 8);
    CREATE TABLE IF NOT EXISTS restaurant_bookings (
        reference TEXT PRIMARY KEY,
        table_number INTEGER NOT NULL REFERENCES restaurant_tables (number),
        starts TEXT NOT NULL,
        ends TEXT NOT NULL,
        name TEXT NOT NULL,
        people INTEGER NOT NULL,
        caller TEXT NOT NULL,
        call_id TEXT NOT NULL
    );
"""


def find_table(people: int, day: str, time: str) -> dict[str, Any]:
    """Look up whether a table is free, and which other times are when it is not. Books nothing.

    Args:
        people: How many people will sit at the table, children included.
        day: The day as an ISO date, such as 2026-11-27.
        time: When they want to sit down, on the 24 hour clock, such as 20:00 for eight in the evening.
    """
    with transaction(_SCHEMA) as connection:
        starts = _bookable(connection, people, day, time)
        if isinstance(starts, str):
            return {"available": False, "say": starts}
        if _free_table(connection, people, starts) is None:
            return _fully_booked(connection, people, starts) | {"available": False}
    return {
        "available": True,
        "people": people,
        "day": f"{starts:%Y-%m-%d}",
        "time": f"{starts:%H:%M}",
        "say": f"Yes, we have a table for {people} on {speak_moment(starts)}. Shall I book it?",
    }


def book_table(call: CallContext, name: str, people: int, day: str, time: str) -> dict[str, Any]:
    """Book a table, once the caller has agreed to the day, the time and the number of people.

    Args:
        name: The name for the booking, as the caller said it.
        people: How many people will sit at the table, children included.
        day: The day as an ISO date, such as 2026-11-27.
        time: When they want to sit down, on the 24 hour clock, such as 20:00 for eight in the evening.
    """
    name = name.strip()
    if not name:
        return {"booked": False, "say": "What name may I put the table under?"}
    with transaction(_SCHEMA) as connection:
        starts = _bookable(connection, people, day, time)
        if isinstance(starts, str):
            return {"booked": False, "say": starts}
        # A model may ask twice for one wish; the second time it hears about the booking that it has.
        reference = _same_booking(connection, call, name, people, starts)
        if reference is None:
            table = _free_table(connection, people, starts)
            if table is None:
                return _fully_booked(connection, people, starts) | {"booked": False}
            reference = new_reference(connection, "restaurant_bookings")
            connection.execute(
                "INSERT INTO restaurant_bookings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    reference,
                    table,
                    _text(starts),
                    _text(starts + STAY),
                    name,
                    people,
                    call.caller,
                    call.call_id,
                ],
            )
    return {
        "booked": True,
        "reference": reference,
        "name": name,
        "people": people,
        "day": f"{starts:%Y-%m-%d}",
        "time": f"{starts:%H:%M}",
        "say": f"Your table for {people} is booked on {speak_moment(starts)}, under the name {name}. "
        f"Your reference is {speak_digits(reference)}.",
    }


def find_guest(call: CallContext) -> dict[str, Any]:
    """Find the name that this caller booked by last. Asked while it rings; knows nobody who withholds the number."""
    with transaction(_SCHEMA) as connection:
        found = connection.execute(
            "SELECT name FROM restaurant_bookings WHERE caller = ? AND caller <> '' ORDER BY starts DESC", [call.caller]
        ).fetchone()
    return {"guest": found[0] if found else ""}


def promises_a_discount(words: str) -> bool:
    """Tell whether the agent is about to promise what only the staff may: a rule of its guardrails.

    Args:
        words: What the agent has said so far in this answer.
    """
    return re.search(r"\b(discount|for free|on the house|[0-9]+ ?(%|percent) off)\b", words, re.IGNORECASE) is not None


def cancel_table(reference: str) -> dict[str, Any]:
    """Cancel a booking, once the caller has said its reference and agreed to cancel it.

    Args:
        reference: The six digits of the booking's reference, such as 481029.
    """
    digits = "".join(filter(str.isdecimal, reference))
    with transaction(_SCHEMA) as connection:
        booking = connection.execute(
            "SELECT starts, people FROM restaurant_bookings WHERE reference = ?", [digits]
        ).fetchone()
        if booking is None:
            return {
                "cancelled": False,
                "say": "I can't find a booking with that reference. Could you read me the six digits again?",
            }
        connection.execute("DELETE FROM restaurant_bookings WHERE reference = ?", [digits])
    starts = speak_moment(datetime.fromisoformat(booking["starts"]))
    return {
        "cancelled": True,
        "reference": digits,
        "say": f"Your table for {booking['people']} on {starts} is cancelled.",
    }


def _bookable(connection: sqlite3.Connection, people: int, day: str, time: str) -> datetime | str:
    """Read the wish; a sentence when it is one that no table can ever fulfil."""
    starts = parse_moment(day, time)
    if starts is None:
        return "I didn't get the day and the time. Which day, and at what time?"
    if people < 1:
        return "For how many people is the table?"
    largest = connection.execute("SELECT max(seats) FROM restaurant_tables").fetchone()[0]
    if people > largest:
        return f"Our largest table has {largest} seats. For a bigger party, please ask for a call back."
    if f"{starts:%A}" == CLOSED_ON:
        return f"We are closed on {CLOSED_ON}s. Would another day suit you?"
    if not FIRST_TABLE <= starts.time() <= LAST_TABLE:
        return f"We seat guests from {FIRST_TABLE:%H:%M} to {LAST_TABLE:%H:%M}. What time would you like?"
    return starts


def _free_table(connection: sqlite3.Connection, people: int, starts: datetime) -> int | None:
    """Find the smallest table that seats them and that nobody has during their stay."""
    row = connection.execute(
        """
        SELECT number FROM restaurant_tables WHERE seats >= ? AND number NOT IN (
            SELECT table_number FROM restaurant_bookings WHERE starts < ? AND ends > ?
        ) ORDER BY seats, number LIMIT 1
        """,
        [people, _text(starts + STAY), _text(starts)],
    ).fetchone()
    return None if row is None else int(row["number"])


def _same_booking(
    connection: sqlite3.Connection, call: CallContext, name: str, people: int, starts: datetime
) -> str | None:
    row = connection.execute(
        "SELECT reference FROM restaurant_bookings WHERE call_id = ? AND name = ? AND people = ? AND starts = ?",
        [call.call_id, name, people, _text(starts)],
    ).fetchone()
    return None if row is None else str(row["reference"])


def _fully_booked(connection: sqlite3.Connection, people: int, starts: datetime) -> dict[str, Any]:
    """Say no, and offer the nearest times of that evening that are free."""
    moment = datetime.combine(starts, FIRST_TABLE)
    evening = []
    while moment <= datetime.combine(starts, LAST_TABLE):
        evening.append(moment)
        moment += _STEP
    free = [moment for moment in evening if _free_table(connection, people, moment) is not None]
    nearest = sorted(sorted(free, key=lambda moment: abs(moment - starts))[:_OFFERS])
    times = [f"{moment:%H:%M}" for moment in nearest]
    offer = f"I could offer {' or '.join(times)}." if times else "Would another day suit you?"
    return {"other_times": times, "say": f"We have no table for {people} on {speak_moment(starts)}. {offer}"}


def _text(moment: datetime) -> str:
    """Write a moment so that SQLite orders it as text."""
    return moment.isoformat(timespec="minutes")
