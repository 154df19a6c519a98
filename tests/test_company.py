"""A rehearsal's agents after their files were saved, or deleted."""

import pytest

from runtime.company import Company, company_of
from runtime.document import Document, read
from runtime.errors import CatalogError
from tests.house import MINIMAL, source

DESK = MINIMAL + "voice: sage\nlimits: {tool_calls: 4}\nenvironments: {staging: {voice: echo}}\n"
NIGHT = 'name: night\nanswers: ["*"]\ninstructions: Take messages.\n'


def company(environment: str = "") -> Company:
    files = {"agents/desk.yaml": DESK, "agents/night.yaml": NIGHT}
    return company_of([source(text, file) for file, text in files.items()], None, environment)


def saved(text: str) -> Document:
    document, _ = read(text.encode(), "agents/x.scenarios.yaml")
    assert document is not None
    return document


def test_a_saved_file_says_what_was_written_over_it_and_otherwise_what_it_said() -> None:
    before = company()
    desk = before.after({"desk": saved("limits: {silence: null}\nvoice: ash\n")}).catalog.agents["desk"]
    assert (desk.data["voice"], desk.data["limits"]["tool_calls"], desk.data["limits"]["silence"]) == ("ash", 4, None)
    assert desk.file == "agents/desk.yaml"
    assert desk.digest != before.catalog.agents["desk"].digest


def test_what_is_saved_later_is_written_over_what_was_saved_before() -> None:
    first, second = saved("voice: ash\nspeed: 1.2\n"), saved("voice: coral\n")
    desk = company().after({"desk": first}).after({"night": saved("voice: ash\n")}).after({"desk": second}).catalog
    assert [desk.agents["desk"].data[name] for name in ("voice", "speed")] == ["coral", 1.2]
    assert desk.agents["night"].data["voice"] == "ash"


def test_what_an_environment_says_stays_stronger_than_what_is_saved_for_all() -> None:
    desk = company("staging").after({"desk": saved("voice: ash\n")}).catalog.agents["desk"]
    assert desk.data["voice"] == "echo"


def test_a_deleted_file_has_no_agent_and_a_name_that_nobody_has_changes_nothing() -> None:
    left = company().after({"desk": None, "nobody": None, "neither": saved("voice: ash\n")})
    assert list(left.catalog.agents) == ["night"]


def test_what_is_wrong_is_told_where_it_is_saved() -> None:
    with pytest.raises(CatalogError) as raised:
        _ = company().after({"desk": saved("speed: 1\nvoice: marine\n")}).catalog
    (problem,) = raised.value.problems
    assert str(problem).startswith("agents/x.scenarios.yaml:2:8: voice: 'marine' is not one of")
