"""What the sample agents promise: their files name real tools, and the tools keep their word."""

import asyncio
import importlib
import inspect
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from sqlite3 import Row, connect
from typing import Any

import pytest
import yaml

from runtime import CallContext
from runtime.errors import ToolError
from runtime.hosts import Hosts
from runtime.http_tools import HttpTools
from runtime.scenarios import is_scenario_file
from runtime.simulator.service import serving
from samples import clinic, restaurant
from samples.clinic import book_appointment, cancel_appointment, free_times, next_free_time
from samples.messages import leave_message
from samples.orders import TOKEN_VARIABLE, book
from samples.restaurant import book_table, cancel_table, find_table
from samples.storage import database_path, transaction
from samples.weather import forecast
from tests.house import run

AGENTS = Path(__file__).parent.parent / "agents"
FRIDAY = "2026-11-27"
SATURDAY = "2026-11-28"
MONDAY = "2026-11-30"


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "samples.sqlite3"
    monkeypatch.setenv("SWITCHBOARD_SAMPLES_DB", str(path))
    return path


def rows(database: Path, table: str) -> list[dict[str, Any]]:
    with closing(connect(database)) as connection:
        connection.row_factory = Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]


def a_call(call_id: str = "rtc_1", caller: str = "+15557654321") -> CallContext:
    return CallContext(call_id=call_id, called="+15550100001", caller=caller, agent="front-desk")


def at_once(function: Callable[[int], dict[str, Any]], times: int = 8) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(function, range(times)))


def agent(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((AGENTS / f"{name}.yaml").read_text("utf-8"))
    return document


class TestStorage:
    def test_the_database_is_where_the_environment_says(self, database: Path) -> None:
        assert database_path() == database

    def test_without_the_variable_the_database_is_in_the_temporary_directory(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SWITCHBOARD_SAMPLES_DB")
        assert database_path() == Path(tempfile.gettempdir()) / "switchboard-samples.sqlite3"

    def test_a_transaction_that_raises_leaves_nothing_behind(self, database: Path) -> None:
        schema = "CREATE TABLE IF NOT EXISTS notes (text TEXT);"

        def write_half() -> None:
            with transaction(schema) as connection:
                connection.execute("INSERT INTO notes VALUES ('half')")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_half()
        with transaction(schema):
            pass
        assert rows(database, "notes") == []


class TestRestaurant:
    def test_an_empty_evening_has_a_table(self) -> None:
        assert find_table(4, FRIDAY, "20:00") == {
            "available": True,
            "people": 4,
            "day": FRIDAY,
            "time": "20:00",
            "say": "Yes, we have a table for 4 on Friday 27 November at 20:00. Shall I book it?",
        }

    def test_finding_a_table_books_nothing(self, database: Path) -> None:
        find_table(4, FRIDAY, "20:00")
        assert rows(database, "restaurant_bookings") == []

    def test_a_booking_keeps_the_name_and_the_callers_number(self, database: Path) -> None:
        booked = book_table(a_call(), " Rivera ", 4, FRIDAY, "20:00")
        assert booked["booked"]
        assert rows(database, "restaurant_bookings") == [
            {
                "reference": booked["reference"],
                "table_number": 5,
                "starts": "2026-11-27T20:00",
                "ends": "2026-11-27T22:00",
                "name": "Rivera",
                "people": 4,
                "caller": "+15557654321",
                "call_id": "rtc_1",
            }
        ]

    def test_a_booking_is_confirmed_with_a_reference_read_digit_by_digit(self) -> None:
        booked = book_table(a_call(), "Rivera", 4, FRIDAY, "20:00")
        assert booked["say"] == (
            "Your table for 4 is booked on Friday 27 November at 20:00, under the name Rivera. "
            f"Your reference is {' '.join(booked['reference'])}."
        )
        assert len(booked["reference"]) == 6

    def test_the_only_big_table_is_booked_once(self) -> None:
        assert book_table(a_call("rtc_1"), "Rivera", 8, FRIDAY, "20:00")["booked"]
        refused = book_table(a_call("rtc_2"), "Chen", 8, FRIDAY, "20:00")
        assert not refused["booked"]
        assert "reference" not in refused

    def test_a_stay_that_overlaps_is_refused_and_one_that_follows_is_not(self) -> None:
        book_table(a_call(), "Rivera", 8, FRIDAY, "19:00")
        assert not find_table(8, FRIDAY, "17:30")["available"]
        assert not find_table(8, FRIDAY, "20:59")["available"]
        assert find_table(8, FRIDAY, "21:00")["available"]
        assert find_table(8, SATURDAY, "19:00")["available"]

    def test_the_nearest_free_times_of_the_evening_are_offered(self) -> None:
        book_table(a_call(), "Rivera", 8, FRIDAY, "19:30")
        refused = find_table(8, FRIDAY, "20:00")
        assert refused["other_times"] == ["17:30", "21:30"]
        assert refused["say"] == (
            "We have no table for 8 on Friday 27 November at 20:00. I could offer 17:30 or 21:30."
        )

    def test_no_more_than_three_times_are_offered(self) -> None:
        book_table(a_call(), "Rivera", 8, FRIDAY, "17:30")
        assert find_table(8, FRIDAY, "17:30")["other_times"] == ["19:30", "20:00", "20:30"]

    def test_another_day_is_offered_when_the_evening_is_full(self) -> None:
        for call_id, time in [("rtc_1", "17:30"), ("rtc_2", "19:30"), ("rtc_3", "21:30")]:
            assert book_table(a_call(call_id), "Rivera", 8, FRIDAY, time)["booked"]
        refused = book_table(a_call("rtc_4"), "Chen", 8, FRIDAY, "20:00")
        assert refused["other_times"] == []
        assert refused["say"].endswith("Would another day suit you?")

    def test_two_people_get_the_smallest_table_and_a_larger_one_when_those_are_taken(self, database: Path) -> None:
        for number in range(5):
            book_table(a_call(f"rtc_{number}"), "Rivera", 2, FRIDAY, "20:00")
        assert [row["table_number"] for row in rows(database, "restaurant_bookings")] == [1, 2, 3, 4, 5]

    def test_eight_calls_at_once_never_share_a_table(self, database: Path) -> None:
        results = at_once(lambda n: book_table(a_call(f"rtc_{n}"), f"Guest {n}", 6, FRIDAY, "20:00"))
        assert sum(result["booked"] for result in results) == 3
        tables = [row["table_number"] for row in rows(database, "restaurant_bookings")]
        assert sorted(tables) == [10, 11, 12]

    def test_booking_twice_in_one_call_is_one_booking(self, database: Path) -> None:
        first = book_table(a_call(), "Rivera", 4, FRIDAY, "20:00")
        assert book_table(a_call(), "Rivera", 4, FRIDAY, "20:00") == first
        assert len(rows(database, "restaurant_bookings")) == 1

    def test_cancelling_frees_the_table(self) -> None:
        booked = book_table(a_call(), "Rivera", 8, FRIDAY, "20:00")
        assert cancel_table(booked["reference"]) == {
            "cancelled": True,
            "reference": booked["reference"],
            "say": "Your table for 8 on Friday 27 November at 20:00 is cancelled.",
        }
        assert find_table(8, FRIDAY, "20:00")["available"]

    def test_a_reference_is_understood_as_it_is_spoken(self) -> None:
        booked = book_table(a_call(), "Rivera", 8, FRIDAY, "20:00")
        assert cancel_table(" - ".join(booked["reference"]))["cancelled"]

    def test_cancelling_twice_says_that_there_is_nothing_to_cancel(self) -> None:
        booked = book_table(a_call(), "Rivera", 8, FRIDAY, "20:00")
        cancel_table(booked["reference"])
        assert not cancel_table(booked["reference"])["cancelled"]
        assert not cancel_table("")["cancelled"]

    @pytest.mark.parametrize(
        ("people", "day", "time", "say"),
        [
            (0, FRIDAY, "20:00", "For how many people is the table?"),
            (-2, FRIDAY, "20:00", "For how many people is the table?"),
            (9, FRIDAY, "20:00", "Our largest table has 8 seats."),
            (4, "Friday", "20:00", "I didn't get the day and the time."),
            (4, "2026-02-30", "20:00", "I didn't get the day and the time."),
            (4, FRIDAY, "eight", "I didn't get the day and the time."),
            (4, FRIDAY, "25:00", "I didn't get the day and the time."),
            (4, FRIDAY, "20:00+01:00", "I didn't get the day and the time."),
            (4, FRIDAY, "08:00", "We seat guests from 17:30 to 21:30."),
            (4, FRIDAY, "21:31", "We seat guests from 17:30 to 21:30."),
            (4, MONDAY, "20:00", "We are closed on Mondays."),
        ],
    )
    def test_a_wish_that_cannot_be_fulfilled_is_answered_with_a_sentence(
        self, people: int, day: str, time: str, say: str
    ) -> None:
        found = find_table(people, day, time)
        booked = book_table(a_call(), "Rivera", people, day, time)
        assert not found["available"]
        assert not booked["booked"]
        assert found["say"] == booked["say"]
        assert found["say"].startswith(say)

    def test_a_booking_needs_a_name(self) -> None:
        assert book_table(a_call(), "  ", 4, FRIDAY, "20:00") == {
            "booked": False,
            "say": "What name may I put the table under?",
        }


class TestClinic:
    def book(self, call_id: str = "rtc_1", time: str = "09:00", day: str = FRIDAY) -> dict[str, Any]:
        return book_appointment(a_call(call_id), "Ana Silva", "1958-03-14", "Dr. Adams", "follow-up", day, time)

    def test_free_times_are_named_for_the_morning_and_the_afternoon(self) -> None:
        free = free_times("Dr. Adams", "checkup", FRIDAY)
        assert free["say"] == ("On Friday 27 November, Dr. Adams is free at 08:30 or 08:40 or 14:00 or 14:10.")
        assert free["times"][-1] == "16:30"
        assert "11:40" not in free["times"]

    def test_an_appointment_blocks_every_start_that_would_meet_it(self) -> None:
        self.book(time="09:00")
        assert free_times("Dr. Adams", "checkup", FRIDAY)["times"][:2] == ["08:30", "09:20"]
        assert "09:00" in free_times("Dr. Osei", "checkup", FRIDAY)["times"]

    def test_an_appointment_keeps_the_patient_and_the_callers_number(self, database: Path) -> None:
        booked = self.book()
        assert rows(database, "clinic_appointments") == [
            {
                "reference": booked["reference"],
                "doctor": "Dr. Adams",
                "visit": "follow-up",
                "starts": "2026-11-27T09:00",
                "ends": "2026-11-27T09:20",
                "patient": "Ana Silva",
                "date_of_birth": "1958-03-14",
                "caller": "+15557654321",
                "call_id": "rtc_1",
            }
        ]
        assert booked["say"] == (
            "The follow-up with Dr. Adams is booked on Friday 27 November at 09:00. "
            f"Your reference is {' '.join(booked['reference'])}."
        )

    def test_a_taken_time_is_refused_with_other_times(self) -> None:
        self.book("rtc_1", "09:00")
        refused = self.book("rtc_2", "09:10")
        assert not refused["booked"]
        assert refused["say"] == (
            "09:10 is not free. On Friday 27 November, Dr. Adams is free at 08:30 or 08:40 or 14:00 or 14:10."
        )

    def test_of_eight_calls_at_once_one_gets_the_time(self, database: Path) -> None:
        results = at_once(lambda n: self.book(f"rtc_{n}"))
        assert sum(result["booked"] for result in results) == 1
        assert len(rows(database, "clinic_appointments")) == 1

    def test_booking_twice_in_one_call_is_one_appointment(self, database: Path) -> None:
        assert self.book() == self.book()
        assert len(rows(database, "clinic_appointments")) == 1

    @pytest.mark.parametrize("time", ["08:20", "09:05", "11:50", "13:00", "17:00"])
    def test_a_time_outside_the_hours_or_between_the_steps_is_not_free(self, time: str) -> None:
        assert not self.book(time=time)["booked"]

    def test_nobody_works_on_a_saturday(self) -> None:
        assert free_times("Dr. Osei", "vaccination", SATURDAY) == {
            "free": False,
            "times": [],
            "say": "Dr. Osei has nothing free on Saturday 28 November.",
        }

    def test_the_next_free_time_skips_the_weekend(self) -> None:
        found = asyncio.run(next_free_time("Dr. Osei", "vaccination", SATURDAY))
        assert found["day"] == MONDAY
        assert found["times"][0] == "08:30"

    def test_four_full_weeks_are_admitted(self) -> None:
        self.book()
        with transaction("") as connection:
            for ahead in range(clinic.DAYS_AHEAD):
                day = date.fromisoformat(FRIDAY) + timedelta(days=ahead)
                connection.execute(
                    "INSERT INTO clinic_appointments"
                    " SELECT ?, doctor, visit, ?, ?, patient, date_of_birth, caller, call_id"
                    " FROM clinic_appointments LIMIT 1",
                    [f"full {ahead}", f"{day}T00:00", f"{day}T23:59"],
                )
        found = asyncio.run(next_free_time("Dr. Adams", "vaccination", FRIDAY))
        assert found == {"free": False, "say": "Dr. Adams has nothing free in the four weeks from then."}

    def test_cancelling_frees_the_time(self) -> None:
        booked = self.book()
        cancelled = cancel_appointment(booked["reference"], "1958-03-14")
        assert cancelled["cancelled"]
        assert cancelled["say"] == ("The appointment with Dr. Adams on Friday 27 November at 09:00 is cancelled.")
        assert self.book("rtc_2")["booked"]

    def test_a_date_of_birth_is_compared_as_a_date(self) -> None:
        assert cancel_appointment(self.book()["reference"], "1958-3-14")["cancelled"]

    def test_a_reference_alone_cancels_nothing_and_does_not_tell_what_was_wrong(self, database: Path) -> None:
        booked = self.book()
        wrong_birth = cancel_appointment(booked["reference"], "1990-01-01")
        assert not wrong_birth["cancelled"]
        assert wrong_birth == cancel_appointment("000000", "1958-03-14")
        assert len(rows(database, "clinic_appointments")) == 1

    def test_what_was_not_understood_is_asked_again(self) -> None:
        ask = book_appointment
        assert "the day" in free_times("Dr. Adams", "checkup", "tomorrow")["say"]
        assert "the day" in asyncio.run(next_free_time("Dr. Adams", "checkup", ""))["say"]
        assert "name" in ask(a_call(), "", "1958-03-14", "Dr. Adams", "checkup", FRIDAY, "09:00")["say"]
        assert "birth" in ask(a_call(), "Ana Silva", "14/3/58", "Dr. Adams", "checkup", FRIDAY, "09:00")["say"]
        assert "time" in ask(a_call(), "Ana Silva", "1958-03-14", "Dr. Adams", "checkup", FRIDAY, "nine")["say"]


class TestWeather:
    def test_a_forecast_is_the_same_when_it_is_asked_for_again(self) -> None:
        day = date.today().isoformat()
        told = forecast("Bergen", day)
        assert told["known"]
        assert told["sky"] in told["say"]
        assert forecast(" bergen ", day) == told

    @pytest.mark.parametrize("days", [-1, 8])
    def test_nobody_knows_the_weather_of_a_day_that_is_over_or_far(self, days: int) -> None:
        told = forecast("Bergen", (date.today() + timedelta(days=days)).isoformat())
        assert told == {"known": False, "say": "I only know the weather of the next 7 days."}

    def test_a_day_that_is_no_date_is_asked_for(self) -> None:
        assert forecast("Bergen", "soon") == {"known": False, "say": "Which day do you mean?"}


class TestMessages:
    def test_a_message_is_kept_with_the_number_that_rings(self, database: Path) -> None:
        kept = leave_message(a_call(), "Mr. Okafor", "The delivery comes on Tuesday.", "")
        assert kept == {
            "kept": True,
            "callback_number": "+15557654321",
            "say": "Thank you, Mr. Okafor. I have your message. We will ring you back on 1 5 5 5 7 6 5 4 3 2 1.",
        }
        assert rows(database, "messages") == [
            {
                "call_id": "rtc_1",
                "message": "The delivery comes on Tuesday.",
                "name": "Mr. Okafor",
                "callback_number": "+15557654321",
                "called": "+15550100001",
                "caller": "+15557654321",
            }
        ]

    def test_another_number_to_ring_back_is_kept_as_it_can_be_dialled(self) -> None:
        assert leave_message(a_call(), "Okafor", "Please ring.", "+1 (555) 010-2000")["callback_number"] == (
            "+15550102000"
        )
        assert leave_message(a_call(), "Okafor", "Please ring.", "555 010 2000")["callback_number"] == ("5550102000")

    def test_a_correction_in_the_same_call_replaces_the_first_try(self, database: Path) -> None:
        leave_message(a_call(), "Okafur", "Please ring.", "")
        leave_message(a_call(), "Okafor", "Please ring.", "555 010 2000")
        [message] = rows(database, "messages")
        assert (message["name"], message["callback_number"]) == ("Okafor", "5550102000")

    def test_a_caller_without_a_number_is_asked_for_one(self) -> None:
        withheld = a_call(caller="")
        assert leave_message(withheld, "Okafor", "Please ring.", "") == {
            "kept": False,
            "say": "On which number can we ring you back?",
        }
        assert not leave_message(withheld, "Okafor", "Please ring.", "12")["kept"]
        assert leave_message(withheld, "Okafor", "Please ring.", "555 010 2000")["kept"]

    def test_a_message_needs_a_name_and_words(self) -> None:
        assert not leave_message(a_call(), " ", "Please ring.", "")["kept"]
        assert not leave_message(a_call(), "Okafor", " ", "")["kept"]

    def test_messages_of_eight_calls_at_once_are_all_kept(self, database: Path) -> None:
        at_once(lambda n: leave_message(a_call(f"rtc_{n}"), "Okafor", "Please ring.", ""))
        assert len(rows(database, "messages")) == 8


NAMES = ["catch-all", "clinic", "front-desk"]
ENTRYPOINTS = [tool["entrypoint"] for name in NAMES for tool in agent(name)["tools"] if "entrypoint" in tool]


class TestAgentFiles:
    def test_every_sample_agent_is_tested_here(self) -> None:
        assert sorted(path.stem for path in AGENTS.glob("*.yaml") if not is_scenario_file(path.name)) == NAMES

    @pytest.mark.parametrize("name", NAMES)
    def test_an_agent_is_named_like_its_file(self, name: str) -> None:
        assert agent(name)["name"] == name

    @pytest.mark.parametrize("entrypoint", ENTRYPOINTS)
    def test_an_entrypoint_is_a_function_that_tells_the_model_about_each_parameter(self, entrypoint: str) -> None:
        module, _, attribute = entrypoint.partition(":")
        function = getattr(importlib.import_module(module), attribute)
        documentation = inspect.getdoc(function)
        assert documentation
        for parameter in inspect.signature(function).parameters.values():
            if parameter.annotation is not CallContext:
                assert f"\n    {parameter.name}: " in documentation

    def test_the_hours_that_the_front_desk_says_are_the_hours_that_it_books(self) -> None:
        variables = agent("front-desk")["variables"]
        assert variables["first_table"] == f"{restaurant.FIRST_TABLE:%H:%M}"
        assert variables["last_table"] == f"{restaurant.LAST_TABLE:%H:%M}"
        assert variables["closed_on"] == restaurant.CLOSED_ON

    def test_the_doctors_that_the_clinic_names_are_the_doctors_that_can_be_booked(self) -> None:
        variables = agent("clinic")["variables"]
        assert variables["doctors"] == list(clinic.DOCTORS)
        for session in clinic.HOURS:
            for hour in session:
                assert f"{hour.hour}:{hour:%M}" in variables["hours"]


# ── the order book ────────────────────────────────────────────────────────────────────────────────────────────


def ask_the_book(url: str, given: str = "{}", token: str | None = None, **http: Any) -> Any:
    """Ask a new order book through a tool without Python, as an agent file declares one."""

    async def work() -> Any:
        async with serving(book()) as address:
            host = address.removeprefix("http://")
            tools = HttpTools(Hosts([host]), {"TOKEN": token}.get, serving=token is not None)
            headers = {"Authorization": {"env": "TOKEN"}} if token else {}
            written = {"method": "GET", "headers": headers, "url": address + url, **http}
            arguments = {"number": {"type": "string"}}
            tool = tools.read({"name": "ask", "timeout_seconds": 5, "arguments": arguments, "http": written})
            assert tool.invoke is not None
            try:
                return json.loads(await tool.invoke(a_call(), given))
            finally:
                await tools.close()

    return run(work())


def test_an_order_is_told_and_one_that_is_not_there_is_refused() -> None:
    assert ask_the_book("/orders/{{ number }}", '{"number": "1017"}', pick="order.status") == "in the oven"
    with pytest.raises(ToolError, match="there is no order 7"):
        ask_the_book("/orders/{{ number }}", '{"number": "7"}')


def test_a_note_is_added_to_an_order() -> None:
    http = {"method": "POST", "body": {"note": "{{ call.caller }} asks for napkins"}, "pick": "order.notes"}
    noted = ask_the_book("/orders/{{ number }}/notes", '{"number": "1017"}', **http)
    assert noted == [f"{a_call().caller} asks for napkins"]


def test_a_guest_is_known_by_number() -> None:
    number = '{"number": "+15557654321"}'
    assert ask_the_book("/guests?number={{ number }}", number) == {"guest": "Rivera", "regular": True}
    assert not ask_the_book("/guests?number={{ number }}", '{"number": ""}', pick="regular")


def test_the_order_book_asks_for_its_token_where_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "Bearer 1")
    assert ask_the_book("/orders/1017", '{"number": "1"}', token="Bearer 1", pick="order.minutes") == 10
    with pytest.raises(ToolError, match="the token is not right"):
        ask_the_book("/orders/1017", '{"number": "1"}', token="Bearer 2")
