"""Many files to one catalog: drafts, ties, names, digests, and that no bytes make them fall."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import catalog, files
from runtime.catalog import Catalog, Draft, Source
from runtime.definition import construct
from runtime.errors import CatalogError

INSTRUCTIONS = "instructions: Be kind.\n"


def nothing_beside(relative: str) -> bytes:
    raise FileNotFoundError(relative)


def source(name: str, more: str = INSTRUCTIONS, **beside: bytes) -> Source:
    return Source(f"{name}.yaml", f"name: {name}\n{more}".encode(), beside.__getitem__ if beside else nothing_beside)


def draft(name: str, more: str = INSTRUCTIONS) -> Draft:
    return catalog.draft(source(name, more), None)


def answering(name: str, *rules: Any) -> Draft:
    """Return the draft of an agent that was checked, without its file."""
    data = {"name": name, "answers": list(rules), "greeting": None, "variables": {}}
    made = construct(data, file=f"{name}.yaml", digest="", instructions="", places=lambda path: (3, 5), tools=())
    return Draft(f"{name}.yaml", made, (), name)


def ties(*drafts: Draft) -> list[str]:
    return [f"{problem.file}: {problem.message}" for problem in catalog.problems(drafts)]


# ── drafts ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_good_file_becomes_a_definition_with_its_rules_where_they_stand() -> None:
    made = draft("desk", INSTRUCTIONS + 'answers:\n  - called: ["+15550100001", "+1555*"]\n    caller: "*"\n')
    assert made.definition is not None
    assert [(rule.called, rule.conditions, rule.line, rule.column) for rule in made.definition.answers] == [
        ("+15550100001", 0, 4, 5),
        ("+1555*", 0, 4, 5),
    ]


def test_a_good_agent_stays_beside_a_bad_one() -> None:
    good, bad = draft("good"), draft("bad", "instructions: Be kind.\nvoice: marine\n")
    assert good.definition is not None
    assert bad.definition is None
    assert bad.name == "bad"
    assert [problem.field for problem in catalog.problems([good, bad])] == ["voice"]


def test_a_catalog_with_any_error_is_refused_with_all_of_them() -> None:
    with pytest.raises(CatalogError) as caught:
        catalog.build([source("a", "speed: 9\n"), source("b", INSTRUCTIONS + "voice: x\n"), source("c")], None)
    assert [problem.file for problem in caught.value.problems] == ["a.yaml", "a.yaml", "b.yaml"]


def test_a_warning_refuses_nothing() -> None:
    assert "desk" in catalog.build([source("desk", INSTRUCTIONS + "model: gpt-realtime\n")], None).agents


def test_templates_are_tried_even_where_fields_are_wrong() -> None:
    found = catalog.problems([draft("desk", "instructions: '{{ nobody }}'\nspeed: 9\nvariables: 3\n")])
    assert [problem.field for problem in found] == ["instructions", "speed", "variables"]


def test_the_same_bytes_have_the_same_digest_and_other_bytes_another() -> None:
    def digest(text: bytes, file: bytes) -> str:
        beside: Callable[[str], bytes] = lambda relative: file  # noqa: E731
        made = catalog.draft(Source("a.yaml", b"name: a\ninstructions_file: a.md\n" + text, beside), None)
        assert made.definition is not None
        return made.definition.digest

    assert digest(b"", b"Hello") == digest(b"", b"Hello")
    assert len({digest(b"", b"Hello"), digest(b"# \n", b"Hello"), digest(b"", b"Good day")}) == 3


def test_instructions_come_from_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "desk.md").write_text("Be kind to {{ agent.name }}.\n")
    (tmp_path / "desk.yaml").write_text("name: desk\ninstructions_file: texts/desk.md\n")
    made = catalog.build(files.sources([tmp_path]), None).agents["desk"]
    assert made.instructions.text == "Be kind to {{ agent.name }}.\n"


@pytest.mark.parametrize("target", ["../secret.md", "inside/../../secret.md", "link.md", "folder/secret.md"])
def test_instructions_never_leave_the_catalog_not_even_through_a_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret.md").write_text("secret")
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "link.md").symlink_to(tmp_path / "secret.md")
    (agents / "folder").symlink_to(tmp_path)
    (agents / "desk.yaml").write_text(f"name: desk\ninstructions_file: {target}\n")
    (found,) = catalog.problems([catalog.draft(one, None) for one in files.sources([agents])])
    assert found.message == f"'{target}' is outside the catalog, or not readable"


@pytest.mark.parametrize("relative", ["/etc/hostname", "C:\\\\desk.md", "texts\\\\desk.md", '"a\\0b"'])
def test_a_path_that_is_not_relative_is_never_opened(relative: str) -> None:
    (found,) = draft("desk", f"instructions_file: {relative}\n").problems
    assert "is not a relative path" in found.message


def test_problems_of_an_instructions_file_stand_in_that_file() -> None:
    one = Source("a/desk.yaml", b"name: desk\ninstructions_file: ../b/desk.md\n", lambda _: b"Hi\n\n  {{ nobody }}\n")
    (found,) = catalog.draft(one, None).problems
    assert (found.file, found.line, found.column) == ("b/desk.md", 3, 6)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(
    st.binary(max_size=120)
    | st.text(max_size=60).map(lambda text: f"name: a\ninstructions: |\n  {text}".encode())
    | st.text(max_size=20).map(lambda text: f"name: a\ninstructions_file: '{text}'\nvoice: {text}".encode())
)
def test_any_bytes_give_a_definition_or_problems_within_the_file(raw: bytes) -> None:
    made = catalog.draft(Source("a.yaml", raw, nothing_beside), None)
    assert made.definition is not None or made.problems
    lines = [*raw.decode("utf-8", "replace").splitlines(), ""]
    for problem in made.problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1].encode()) + 2


# ── rules between files ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+15550100001", "+15550100001"),
        ("+1555*", "+1555*"),
        ("*", {"caller": "*"}),
        ({"called": ["+1555", "+1556"]}, "+1556"),
        ({"called": "*", "caller": "+49*"}, {"called": "*", "headers": {"X-A": "1"}}),
        ({"called": "*", "caller": "+49*"}, {"called": "*", "caller": ["+1*", "+4930*"]}),
        ({"called": "*", "headers": {"X-A": "1"}}, {"called": "*", "headers": {"X-B": "1"}}),
        ({"called": "*", "headers": {"X-A": "a*"}}, {"called": "*", "headers": {"x-a": "ab"}}),
        ({"called": "*", "headers": {"X-A": "1", "X-B": "2"}}, {"called": "*", "headers": {"X-A": "1", "X-C": "2"}}),
    ],
)
def test_two_rules_that_could_take_the_same_call_are_a_problem(one: Any, other: Any) -> None:
    (found,) = ties(answering("a", one), answering("b", other))
    assert found.startswith("b.yaml: ")
    assert found.endswith(" is answered by a.yaml:3 too, equally well")
    assert ties(answering("b", other), answering("a", one)) == [found], "whatever the order of the files"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+15550100001", "+15550100002"),
        ("+15550100001", "+1555*"),
        ("+1555*", "+155*"),
        ("*", {"caller": "+49*"}),
        ({"called": "*", "caller": "+49*"}, {"called": "*", "caller": "+1*"}),
        ({"called": "*", "headers": {"X-A": "1"}}, {"called": "*", "headers": {"X-A": "2"}}),
        ({"called": "*", "headers": {"X-A": "a*"}}, {"called": "*", "headers": {"X-A": "b"}}),
        ({"called": "*", "caller": "+49*"}, {"called": "*", "caller": "+4930*", "headers": {"X-A": "1"}}),
    ],
)
def test_two_rules_of_which_one_is_more_specific_or_that_never_meet_are_none(one: Any, other: Any) -> None:
    assert ties(answering("a", one), answering("b", other)) == []


def test_an_agent_does_not_tie_with_itself() -> None:
    assert ties(answering("a", "+15550100001", "+15550100001")) == []


def calls_made(work: Callable[[], object]) -> int:
    """Return how many Python functions are called in a piece of work: a clock that no busy machine slows."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def tenants(number: int) -> Sequence[Draft]:
    rules = ({"called": "+15550100001", "headers": {"X-Tenant": f"tenant-{index}"}} for index in range(number))
    return [answering(f"tenant-{index:04}", rule) for index, rule in enumerate(rules)]


def test_two_thousand_tenants_on_one_number_cost_ten_times_two_hundred_and_not_a_hundred_times() -> None:
    few, many = tenants(200), tenants(2000)
    assert catalog.problems(many) == []
    assert calls_made(lambda: catalog.problems(many)) < 15 * calls_made(lambda: catalog.problems(few))


def test_one_tenant_twice_among_two_thousand_is_found() -> None:
    again = answering("late", {"called": "+15550100001", "headers": {"X-Tenant": "tenant-77"}})
    (found,) = ties(*tenants(2000), again)
    assert found.startswith("tenant-0077.yaml: ")


def test_a_name_that_two_files_give_is_a_problem_of_the_second() -> None:
    one, other = Source("a.yaml", source("x").raw, nothing_beside), Source("b.yaml", source("x").raw, nothing_beside)
    (found,) = ties(*(catalog.draft(each, None) for each in (other, one)))
    assert found == "b.yaml: 'x' is also the name of a.yaml:1"


# ── the catalog ───────────────────────────────────────────────────────────────────────────────────────────────


def made(*drafts: Draft) -> Catalog:
    return catalog.assemble((one.definition for one in drafts if one.definition), "abc")


def test_candidates_come_from_the_most_specific_to_the_least() -> None:
    agents = made(
        answering("all", "*"),
        answering("beginning", "+1*"),
        answering("longer", "+1555*"),
        answering("exact", "+15550100001"),
        answering("exact-with-condition", {"called": "+15550100001", "caller": "+49*"}),
        answering("other", "+15550100002"),
    )
    found = [agent.name for _, agent in agents.candidates("+15550100001")]
    assert found == ["exact-with-condition", "exact", "longer", "beginning", "all"]


def test_a_call_without_a_number_has_only_the_rules_for_all() -> None:
    agents = made(answering("all", "*"), answering("beginning", "+*"), answering("exact", "+15550100001"))
    assert [agent.name for _, agent in agents.candidates("")] == ["all"]


def test_an_unknown_agent_is_answered_with_the_nearest_or_with_all() -> None:
    agents = made(answering("front-desk"), answering("clinic"))
    assert catalog.unknown_agent("front_desk", agents) == "There is no agent 'front_desk'. Did you mean 'front-desk'?"
    assert catalog.unknown_agent("x", agents).endswith("There are clinic and front-desk.")
