"""The tools of `agents/clinic.yaml`: appointments with a practice's doctors. Holds no medical knowledge.

A result always has `say`, a sentence for the caller; the other keys tell the model what happened. Whether an
appointment exists, and whose, is told to nobody who does not know both its reference and the date of birth.
"""

import asyncio
import sqlite3
from datetime import date, datetime, time, timedelta
from typing import Any, Literal, get_args

from runtime import CallContext
from samples import parse_moment, speak_digits, speak_moment
from samples.storage import new_reference, transaction

Doctor = Literal["Dr. Adams", "Dr. Osei"]
Visit = Literal["checkup", "follow-up", "vaccination"]

DOCTORS: tuple[Doctor, ...] = get_args(Doctor)
LENGTHS: dict[Visit, timedelta] = {
    "checkup": timedelta(minutes=30),
    "follow-up": timedelta(minutes=20),
    "vaccination": timedelta(minutes=10),
}
HOURS = ((time(8, 30), time(12, 0)), (time(14, 0), time(17, 0)))
DAYS_AHEAD = 28

# Appointments begin on every tenth minute: the shortest visit leaves no gap that nothing fits into.
_STEP = timedelta(minutes=10)
# Two in the morning and two in the afternoon are as many as anybody remembers on the telephone.
_OFFERS_PER_SESSION = 2

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS clinic_appointments (
        reference TEXT PRIMARY KEY,
        doctor TEXT NOT NULL,
        visit TEXT NOT NULL,
        starts TEXT NOT NULL,
        ends TEXT NOT NULL,
        patient TEXT NOT NULL,
        date_of_birth TEXT NOT NULL,
        caller TEXT NOT NULL,
        call_id TEXT NOT NULL
    );
"""
_UNKNOWN_DAY = "I didn't get the day. Which day would you like?"


def free_times(doctor: Doctor, visit: Visit, day: str) -> dict[str, Any]:
    """Look up when a doctor is free on one day. Books nothing.

    Args:
        doctor: The doctor to see.
        visit: What the appointment is for; a checkup is the right one for any new complaint.
        day: The day as an ISO date, such as 2026-11-27.
    """
    midnight = parse_moment(day, "00:00")
    if midnight is None:
        return {"free": False, "say": _UNKNOWN_DAY}
    with transaction(_SCHEMA) as connection:
        free = _free_starts(connection, doctor, visit, midnight.date())
    return _offer(doctor, midnight.date(), free)


async def next_free_time(doctor: Doctor, visit: Visit, day: str) -> dict[str, Any]:
    """Look up the first day with a free time, from one day onwards and up to four weeks ahead. Books nothing.

    Args:
        doctor: The doctor to see.
        visit: What the appointment is for; a checkup is the right one for any new complaint.
        day: The first day that suits the caller, as an ISO date, such as 2026-11-27.
    """
    midnight = parse_moment(day, "00:00")
    if midnight is None:
        return {"free": False, "say": _UNKNOWN_DAY}
    # An async tool runs in the event loop, where every other call would wait for the disk as well.
    return await asyncio.to_thread(_first_free_day, doctor, visit, midnight.date())


def book_appointment(
    call: CallContext, patient: str, date_of_birth: str, doctor: Doctor, visit: Visit, day: str, time: str
) -> dict[str, Any]:
    """Book an appointment, once the caller has agreed to the doctor, the day and the time.

    Args:
        patient: The patient's first and last name; the caller may ring for somebody else.
        date_of_birth: The patient's date of birth as an ISO date, such as 1958-03-14.
        doctor: The doctor to see.
        visit: What the appointment is for; a checkup is the right one for any new complaint.
        day: The day as an ISO date, such as 2026-11-27.
        time: When the appointment begins, on the 24 hour clock, such as 09:20.
    """
    patient = patient.strip()
    starts, born = parse_moment(day, time), parse_moment(date_of_birth, "00:00")
    if not patient:
        return {"booked": False, "say": "What is the patient's first and last name?"}
    if born is None:
        return {"booked": False, "say": "I didn't get the date of birth. Could you say it again?"}
    if starts is None:
        return {"booked": False, "say": "I didn't get the day and the time. Which day, and at what time?"}
    with transaction(_SCHEMA) as connection:
        # A model may ask twice for one wish; the second time it hears about the appointment that it has.
        same = connection.execute(
            "SELECT reference FROM clinic_appointments"
            " WHERE call_id = ? AND patient = ? AND doctor = ? AND visit = ? AND starts = ?",
            [call.call_id, patient, doctor, visit, _text(starts)],
        ).fetchone()
        if same is None:
            free = _free_starts(connection, doctor, visit, starts.date())
            if starts not in free:
                offer = _offer(doctor, starts.date(), free)
                return offer | {"booked": False, "say": f"{starts:%H:%M} is not free. {offer['say']}"}
            reference = new_reference(connection, "clinic_appointments")
            connection.execute(
                "INSERT INTO clinic_appointments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    reference,
                    doctor,
                    visit,
                    _text(starts),
                    _text(starts + LENGTHS[visit]),
                    patient,
                    f"{born:%Y-%m-%d}",
                    call.caller,
                    call.call_id,
                ],
            )
        else:
            reference = str(same["reference"])
    return {
        "booked": True,
        "reference": reference,
        "doctor": doctor,
        "day": f"{starts:%Y-%m-%d}",
        "time": f"{starts:%H:%M}",
        "say": f"The {visit} with {doctor} is booked on {speak_moment(starts)}. "
        f"Your reference is {speak_digits(reference)}.",
    }


def cancel_appointment(reference: str, date_of_birth: str) -> dict[str, Any]:
    """Cancel an appointment, once the caller has said its reference and the patient's date of birth.

    Args:
        reference: The six digits of the appointment's reference, such as 481029.
        date_of_birth: The patient's date of birth as an ISO date, such as 1958-03-14.
    """
    digits = "".join(filter(str.isdecimal, reference))
    born = parse_moment(date_of_birth, "00:00")
    with transaction(_SCHEMA) as connection:
        appointment = connection.execute(
            "SELECT doctor, starts FROM clinic_appointments WHERE reference = ? AND date_of_birth = ?",
            [digits, f"{born:%Y-%m-%d}" if born else ""],
        ).fetchone()
        if appointment is None:
            return {
                "cancelled": False,
                "say": "I can't find an appointment with that reference and that date of birth. "
                "Could you say both again?",
            }
        connection.execute("DELETE FROM clinic_appointments WHERE reference = ?", [digits])
    starts = speak_moment(datetime.fromisoformat(appointment["starts"]))
    return {
        "cancelled": True,
        "reference": digits,
        "say": f"The appointment with {appointment['doctor']} on {starts} is cancelled.",
    }


def _first_free_day(doctor: Doctor, visit: Visit, first: date) -> dict[str, Any]:
    with transaction(_SCHEMA) as connection:
        for ahead in range(DAYS_AHEAD):
            day = first + timedelta(days=ahead)
            if free := _free_starts(connection, doctor, visit, day):
                return _offer(doctor, day, free)
    return {"free": False, "say": f"{doctor} has nothing free in the four weeks from then."}


def _free_starts(connection: sqlite3.Connection, doctor: Doctor, visit: Visit, day: date) -> list[datetime]:
    """Find every moment of a day at which the visit could begin and end without meeting another one."""
    if day.isoweekday() > 5:
        return []
    taken = [
        (datetime.fromisoformat(row["starts"]), datetime.fromisoformat(row["ends"]))
        for row in connection.execute(
            "SELECT starts, ends FROM clinic_appointments WHERE doctor = ? AND date(starts) = ?",
            [doctor, day.isoformat()],
        )
    ]
    free = []
    for opens, closes in HOURS:
        starts = datetime.combine(day, opens)
        while (ends := starts + LENGTHS[visit]) <= datetime.combine(day, closes):
            if not any(starts < other_ends and other_starts < ends for other_starts, other_ends in taken):
                free.append(starts)
            starts += _STEP
    return free


def _offer(doctor: Doctor, day: date, free: list[datetime]) -> dict[str, Any]:
    """Say a few of the free times, of the morning and of the afternoon; the model gets them all."""
    date_words = f"{day:%A} {day.day} {day:%B}"
    if not free:
        return {"free": False, "times": [], "say": f"{doctor} has nothing free on {date_words}."}
    some = [
        f"{starts:%H:%M}"
        for opens, closes in HOURS
        for starts in [moment for moment in free if opens <= moment.time() < closes][:_OFFERS_PER_SESSION]
    ]
    return {
        "free": True,
        "day": day.isoformat(),
        "times": [f"{starts:%H:%M}" for starts in free],
        "say": f"On {date_words}, {doctor} is free at {' or '.join(some)}.",
    }


def _text(moment: datetime) -> str:
    """Write a moment so that SQLite orders it as text."""
    return moment.isoformat(timespec="minutes")
