"""Problems as values, and the sentences that they and the exceptions make."""

import pytest

from runtime import errors
from runtime.errors import CatalogError, EntrypointError, Problem, SettingsError, SwitchboardError


def problem(line: int = 3, **more: str) -> Problem:
    return Problem("desk.yaml", line, 8, "voice", "'marine' is not a voice", **more)  # type: ignore[arg-type]


def test_a_problem_reads_file_line_column_field_message_cure() -> None:
    written = str(problem(cure="Did you mean 'marin'?"))
    assert written == "desk.yaml:3:8: voice: 'marine' is not a voice. Did you mean 'marin'?"


def test_a_warning_says_that_it_is_one() -> None:
    assert problem(severity="warning").text == "warning: voice: 'marine' is not a voice."


def test_a_problem_of_the_whole_file_names_no_field() -> None:
    assert str(Problem("desk.yaml", 1, 1, "", "the file is empty")) == "desk.yaml:1:1: the file is empty."


def test_a_problem_about_no_line_names_none() -> None:
    folder = Problem("agents", 0, 0, "", "there is no agent file in this folder", "Write one.")
    assert str(folder) == "agents: there is no agent file in this folder. Write one."
    assert (folder.as_data()["line"], folder.as_data()["column"]) == (None, None)
    assert (problem().as_data()["line"], problem().as_data()["column"]) == (3, 8)


def test_problems_sort_by_file_and_line_as_numbers() -> None:
    assert sorted([problem(10), problem(9)])[0].line == 9


def test_only_errors_keep_a_catalog_from_being_served() -> None:
    wrong = problem()
    assert errors.errors([problem(severity="warning"), wrong]) == [wrong]


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("vioce", ["voice", "speed"], "Did you mean 'voice'?"),
        ("VOICE", ["voice"], "Did you mean 'voice'?"),
        ("wait", ["wait_for_caller", "text"], "Did you mean 'wait_for_caller'?"),
        ("tr", ["tracing", "x"], ""),
        ("tra", ["tracing_at_all_times", "transcription_of_calls"], ""),
        ("colour", ["voice"], ""),
        ("anything", [], ""),
    ],
)
def test_the_nearest_known_word_is_suggested(word: str, known: list[str], said: str) -> None:
    assert errors.did_you_mean(word, known) == said


def test_words_are_listed_as_people_do() -> None:
    assert errors.listing(["a"]) == "a"
    assert errors.listing(["a", "b"]) == "a or b"
    assert errors.listing(["a", "b", "c"], "and") == "a, b and c"


def test_a_catalog_error_carries_its_problems_and_says_them_line_by_line() -> None:
    error = CatalogError([problem(1), problem(2)])
    assert str(error).splitlines() == [str(one) for one in error.problems]


def test_a_settings_error_says_which_variable_and_what_to_do() -> None:
    assert str(SettingsError("KEY", "is not set", "Set it.")) == "KEY is not set. Set it."
    assert str(SettingsError("KEY", "is not set")) == "KEY is not set."


def test_an_entrypoint_error_is_a_sentence() -> None:
    assert str(EntrypointError("there is no module 'x'", "Check it.")) == "there is no module 'x'. Check it."


def test_everything_raised_on_purpose_has_one_root_and_stands_in_the_drawn_tree() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, SwitchboardError) for kind in kinds)
    undrawn = [kind.__name__ for kind in kinds if kind.__name__ not in (errors.__doc__ or "")]
    assert not undrawn
