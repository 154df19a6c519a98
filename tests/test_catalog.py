"""Many files to one catalog: drafts, ties, names, digests, and that no bytes make them fall."""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import catalog, files
from runtime.catalog import Catalog, Draft, Source
from runtime.definition import Abilities, AgentDefinition, construct, rules_of
from runtime.document import Place
from runtime.errors import CatalogError, SettingsError
from tests.house import calls_made

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
    claimed = rules_of(rules, {}, lambda path: Place(3, 5))
    made = construct(data, file=f"{name}.yaml", digest="", instructions="", answers=claimed, abilities=Abilities())
    return Draft(f"{name}.yaml", made, (), name, rules=claimed)


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


@settings(max_examples=60)
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
    nearest = "There is no agent 'front_desk'. Did you mean 'front-desk'?"
    assert str(catalog.unknown_agent("front_desk", agents)) == nearest
    assert str(catalog.unknown_agent("x", agents)).endswith("There are clinic and front-desk.")
    assert str(catalog.unknown_agent("x", made(answering("clinic")))).endswith("There is only clinic.")
    assert str(catalog.unknown_agent("x", made())) == "There is no agent 'x'. The catalog has no agent at all."
    many = made(*(answering(f"agent-{n}") for n in range(20)))
    assert str(catalog.unknown_agent("x", many)) == "There is no agent 'x'. There are 20 others."


# ── families and environments ─────────────────────────────────────────────────────────────────────────────────


def member(name: str, defaults: str, more: str = "", **beside: bytes) -> Source:
    family = Source("_defaults.yaml", defaults.encode(), beside.__getitem__)
    return replace(source(name, more), defaults=family)


def made_in(environment: str, one: Source) -> AgentDefinition:
    made = catalog.draft(one, None, environment)
    assert made.definition is not None, made.problems
    return made.definition


def test_an_agent_inherits_what_its_own_file_does_not_say() -> None:
    defaults = INSTRUCTIONS + "voice: cedar\nspeed: 1.2\nvariables: {shop: All}\n"
    made = made_in("", member("desk", defaults, "speed: 0.9\nvariables: {wait: 5}\n"))
    assert (made.data["voice"], made.data["speed"]) == ("cedar", 0.9)
    assert made.variables == {"shop": "All", "wait": 5}
    assert made.file == "desk.yaml"


def test_an_environment_changes_who_is_reached_and_is_no_part_of_the_complete_data() -> None:
    one = source("desk", INSTRUCTIONS + 'answers: ["+15551"]\nenvironments: {staging: {answers: ["+15559"]}}\n')
    for environment, number in (("", "+15551"), ("staging", "+15559"), ("elsewhere", "+15551")):
        made = made_in(environment, one)
        assert [rule.called for rule in made.answers] == [number]
        assert "environments" not in made.data


FAMILY_HOURS = (
    INSTRUCTIONS
    + """hours:
  office: {timezone: Europe/Berlin, weekly: {mon: ["09:00-17:00"]}}
  lunch: {timezone: Europe/Berlin, weekly: {mon: ["12:00-13:00"]}}
"""
)


def test_hours_are_inherited_by_name_and_an_agent_changes_a_day_of_them() -> None:
    made = made_in("", member("desk", FAMILY_HOURS, 'hours: {office: {weekly: {tue: ["10:00-11:00"]}}}\n'))
    assert sorted(made.hours) == ["lunch", "office"]
    assert made.hours["office"].weekly[:3] == (((540, 1020),), ((600, 660),), ())


def on_one_number(when: str, other: str, more: str = "") -> list[str]:
    """Return the ties of two agents that answer one number, each when its hours say so."""
    rule = 'answers: [{{called: "+1555", {}}}]\n'.format
    one, two = member("a", FAMILY_HOURS, rule(when)), member("b", FAMILY_HOURS, rule(other) + more)
    return ties(*(catalog.draft(each, None) for each in (one, two)))


def test_rules_that_no_moment_lets_meet_are_no_tie() -> None:
    assert on_one_number("hours: office", "outside: office") == []
    assert on_one_number("hours: lunch", "outside: office") == []
    other_office = 'hours: {office: {weekly: {mon: ["17:00-22:00"]}}}\n'
    assert on_one_number("hours: office", "hours: office", other_office) == []
    told = "b.yaml: called +1555, hours lunch is answered by a.yaml:2 too, equally well"
    assert on_one_number("hours: office", "hours: lunch") == [told]
    assert len(on_one_number("outside: office", "outside: office", other_office)) == 1


def test_hours_that_are_wrong_make_no_tie_beside_their_problem() -> None:
    wrong = "hours: {office: {timezone: Europe/Berln}}\n"
    assert on_one_number("hours: office", "hours: office", wrong) == ["b.yaml: there is no time zone 'Europe/Berln'"]
    assert on_one_number("hours: office", "hours: ofice") == ["b.yaml: there are no hours 'ofice'"]
    assert len(on_one_number("hours: office", "hours: office", "hours: {bar: 3}\n")) == 1


def test_inherited_instructions_files_are_relative_to_the_defaults() -> None:
    one = member("desk", "instructions_file: family.md\n", **{"family.md": b"Be kind."})
    assert made_in("", one).instructions.text == "Be kind."
    own = member("desk", "instructions_file: family.md\n", "instructions: Be brief.\n")
    assert made_in("", own).instructions.text == "Be brief."


def test_the_digest_knows_the_defaults_and_the_environment() -> None:
    staged = INSTRUCTIONS + "environments: {staging: {speed: 1.1}}\n"
    digests = [
        made_in(environment, one).digest
        for one in (
            source("desk", staged),
            member("desk", "voice: cedar\n", staged),
            member("desk", "speed: 1\n", staged),
        )
        for environment in ("", "staging")
    ]
    assert len(set(digests)) == len(digests)
    assert made_in("elsewhere", source("desk", staged)).digest == made_in("", source("desk", staged)).digest


def test_problems_of_defaults_are_told_once_for_all_agents_and_keep_all_from_being_served() -> None:
    drafts = [catalog.draft(member(name, INSTRUCTIONS + "voice: marine\n"), None) for name in ("a", "b", "c")]
    (found,) = catalog.problems(drafts)
    assert (found.file, found.line, found.field) == ("_defaults.yaml", 2, "voice")
    assert [made.definition for made in drafts] == [None] * 3


def test_what_defaults_lack_for_some_agents_names_them() -> None:
    defaults = "instructions: '{{ shop }}'\n"
    drafts = [catalog.draft(member(name, defaults), None) for name in "abcde"]
    good = catalog.draft(member("good", defaults, "variables: {shop: x}\n"), None)
    assert "(" not in catalog.problems(drafts)[0].message
    (found,) = catalog.problems([*drafts, good])
    assert found.message.endswith(" (for a, b and 3 others)")


def test_check_tells_each_problem_once_and_in_which_environments() -> None:
    more = INSTRUCTIONS + "greeting: '{{ nobody }}'\nenvironments:\n"
    more += "  staging: {greeting: '{{ somebody }}'}\n  test: {speed: 1.1}\n  night: {instructions: '{{ no }}'}\n"
    more += "  late: &late {tracing: {group_id: '{{ no }}'}}\n  later: *late\n"
    assert [problem.message.partition("exist")[2] for problem in catalog.check([source("desk", more)], None)] == [
        "",
        " (in the environment staging)",
        " (in the environment night)",
        " (in the environments late and later)",
    ]


@pytest.mark.parametrize("wrong", ["voice: marine", "name: x", "greeting: '{{ nobody }}'", "turn_detection: {type: x}"])
@pytest.mark.parametrize("place", ["agent", "defaults"])
def test_what_is_wrong_in_one_environment_keeps_no_other_from_being_served(wrong: str, place: str) -> None:
    more = "voice: sage\nenvironments:\n  staging: {" + wrong + "}\n  test: {speed: 1.1}\n"
    one = source("desk", INSTRUCTIONS + more) if place == "agent" else member("desk", INSTRUCTIONS + more)
    assert made_in("", one).data["voice"] == made_in("test", one).data["voice"] == "sage"
    (found,) = catalog.draft(one, None, "staging").problems
    (checked,) = catalog.check([one], None)
    assert (found.file, found.line) == (checked.file, checked.line)
    assert found.message in checked.message


@pytest.mark.parametrize("place", ["agent", "defaults"])
def test_what_an_environment_replaces_is_not_judged_in_it(place: str) -> None:
    more = INSTRUCTIONS + "voice: marine\nenvironments: {staging: {voice: sage}}\n"
    one = source("desk", more) if place == "agent" else member("desk", more)
    assert made_in("staging", one).data["voice"] == "sage"
    assert len(catalog.draft(one, None).problems) == len(catalog.check([one], None)) == 1


@pytest.mark.parametrize("named", ["3", "{Staging: {}}"])
def test_environments_that_cannot_be_named_are_a_problem_of_every_one(named: str) -> None:
    drafts = [
        catalog.draft(source("desk", INSTRUCTIONS + f"environments: {named}\n"), None, name) for name in ("", "x")
    ]
    assert [len(made.problems) for made in drafts] == [1, 1]


def test_a_tie_in_one_environment_is_found_though_only_one_of_the_two_names_it() -> None:
    one = source("a", INSTRUCTIONS + 'answers: ["+15551"]\n')
    other = source("b", INSTRUCTIONS + 'environments: {staging: {answers: ["+15551"]}, test: {answers: ["+15551"]}}\n')
    found = [problem.message for problem in catalog.check([one, other], None)]
    assert [message.rpartition(" (")[2] for message in found] == [
        "in the environment staging)",
        "in the environment test)",
    ]
    assert catalog.problems([catalog.draft(each, None) for each in (one, other)]) == []


@pytest.mark.parametrize(
    ("wanted", "cure"),
    [("stagin", "Did you mean 'staging'?"), ("x", "There are staging and test."), ("", None), ("test", None)],
)
def test_an_environment_that_no_file_names_is_told(wanted: str, cure: str | None) -> None:
    drafts = [catalog.draft(source("a", INSTRUCTIONS + "environments: {staging: {}}\n"), None)]
    drafts.append(catalog.draft(member("b", INSTRUCTIONS + "environments: {test: {}}\n"), None))
    with pytest.raises(SettingsError) if cure else nullcontext() as caught:
        catalog.demand_environment(wanted, drafts)
    assert cure is None or (caught is not None and caught.value.cure == cure)
    unreadable = catalog.draft(member("c", "a: ["), None)
    catalog.demand_environment(wanted, [*drafts, unreadable])


def test_only_the_top_folder_has_defaults_and_a_file_named_alone_finds_them(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "_defaults.yaml").write_text("voice: cedar\n")
    (tmp_path / "deep" / "desk.yaml").write_text("name: desk\ninstructions: x\n")
    (alone,) = files.sources([tmp_path / "deep" / "desk.yaml"])
    assert made_in("", alone).data["voice"] == "cedar"
    assert [one.file for one in files.sources([tmp_path / "_defaults.yaml"])] == [alone.file]
    (tmp_path / "deep" / "_defaults.yaml").write_text("voice: sage\n")
    (one,) = files.sources([tmp_path])
    assert made_in("", one).data["voice"] == "cedar"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("gone.md", "(it is a link to nothing: gone.md). Make that file, or delete the link."),
        ("good.yaml/in.yaml", "(it is a link to nothing: good.yaml/in.yaml). Make that file, or delete the link."),
        ("desk.yaml", "(it is a link that leads to itself). Link to the file that is meant, or delete it."),
        (os.devnull, "(not a plain file). Put a plain file in its place, or delete it."),
    ],
)
@pytest.mark.parametrize("name", ["desk.yaml", "_defaults.yaml"])
def test_a_link_that_cannot_be_read_is_told_as_what_it_is(tmp_path: Path, name: str, target: str, said: str) -> None:
    (tmp_path / "good.yaml").write_text("name: good\ninstructions: x\n")
    (tmp_path / name).symlink_to(name if target == "desk.yaml" else target)
    (found,) = catalog.check(files.sources([tmp_path]), None)
    assert str(found) == f"{tmp_path / name}: it cannot be read {said}"


def test_a_look_at_files_that_stay_the_same_asks_little_of_each(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"agent-{number}.yaml").write_text(f"name: agent-{number}\n")
    folder = files.Folder(tmp_path)
    first = folder.sources()
    assert calls_made(folder.sources) < 200 * 12
    assert [each.raw for each in folder.sources()] == [each.raw for each in first]


@pytest.mark.parametrize("folder", [".", "deep", "./deep/", "deep/../deep"])
def test_an_agents_file_is_named_as_its_folder_was(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "deep" / "deeper" / "desk.yaml").write_text("name: desk\n")
    (found,) = files.Folder(Path(folder)).sources()
    assert found.file == (Path(folder) / ("deep/deeper" if folder == "." else "deeper") / "desk.yaml").as_posix()


def test_defaults_that_cannot_be_opened_are_a_problem_and_agents_are_still_checked(tmp_path: Path) -> None:
    (tmp_path / "_defaults.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "desk.yaml").write_text("name: desk\nspeed: 9\n")
    found = catalog.check(files.sources([tmp_path]), None)
    assert [(Path(problem.file).name, problem.field) for problem in found] == [
        ("_defaults.yaml", ""),
        ("desk.yaml", "speed"),
    ]
