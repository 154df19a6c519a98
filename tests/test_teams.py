"""What must hold between agents that hand over to each other, found in every shape of a team."""

import time
from collections.abc import Iterable

import pytest

from runtime.catalog import assemble, check, problems
from runtime.conflicts import Handing, Handoff, Standing
from runtime.draft import draft
from runtime.errors import errors
from runtime.teams import misfits, reached
from tests.house import catalog, source

HANG_UP = "tools: [{use: hang_up}]\n"


def written(name: str, *handoffs: str, more: str = "") -> str:
    listed = "".join(f"\n  - agent: {other}\n    when: It fits." for other in handoffs) or " []"
    return f"name: {name}\ninstructions: Hi.\nhandoffs:{listed}\n{more}"


def told(*texts: str, whole: bool = True) -> list[str]:
    sources = [source(text, f"{text.split()[1]}.yaml") for text in texts]
    return [str(problem) for problem in check(sources, None, whole=whole)]


def messages(*texts: str) -> list[str]:
    return [line.split(": ", 1)[1] for line in told(*texts)]


def standing(name: str, handoffs: Iterable[str] = (), has_exit: bool = False) -> Standing:
    places = tuple(Handoff(agent, "handoffs[1].agent", f"{name}.yaml", 3, 5) for agent in handoffs)
    return Standing(f"{name}.yaml", name, (1, 1), (), Handing(places, has_exit))


# ── who is there ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_handoff_to_an_agent_of_the_catalog_is_no_problem() -> None:
    assert told(written("desk", "billing"), written("billing", more=HANG_UP)) == []


def test_a_handoff_to_an_unknown_agent_is_told_with_the_nearest_name() -> None:
    assert told(written("desk", "biling"), written("billing")) == [
        "desk.yaml:4:12: handoffs[1].agent: there is no agent 'biling'. Did you mean 'billing'?"
    ]


@pytest.mark.parametrize(
    ("others", "cure"),
    [
        ((), "There is no other agent to hand over to."),
        (("a",), "There is a."),
        (("a", "b"), "There are a and b."),
        (tuple(f"a{n}" for n in range(12)), "There are 12 others."),
    ],
)
def test_where_no_name_is_near_the_cure_is_who_there_is(others: tuple[str, ...], cure: str) -> None:
    (line,) = told(written("desk", "billing"), *map(written, others))
    assert line.endswith(f"there is no agent 'billing'. {cure}")


def test_files_that_are_checked_alone_know_no_other_agents() -> None:
    assert told(written("desk", "billing"), whole=False) == []


def test_a_file_that_cannot_be_read_may_be_the_agent() -> None:
    assert [line.split(":")[0] for line in told(written("desk", "billing"), "name: [")] == ["[.yaml"]


def test_in_each_environment_the_agents_of_that_environment_count() -> None:
    text = written("desk", "billing", more="environments:\n  staging: {handoffs: [{agent: biling, when: It fits.}]}\n")
    assert messages(text, written("billing")) == [
        "handoffs[1].agent: there is no agent 'biling' (in the environment staging). Did you mean 'billing'?"
    ]


def test_what_all_agents_inherit_is_told_in_the_file_of_the_defaults() -> None:
    from dataclasses import replace

    defaults = source("handoffs:\n  - {agent: operator, when: x}\n", "_defaults.yaml")
    texts = ("name: a\ninstructions: Hi.\n", "name: b\ninstructions: Hi.\n")
    sources = [replace(source(text, f"{n}.yaml"), defaults=defaults) for n, text in enumerate(texts)]
    assert [str(problem) for problem in check(sources, None)] == [
        "_defaults.yaml:2:13: handoffs[1].agent: there is no agent 'operator'. There is a.",
        "_defaults.yaml:2:13: handoffs[1].agent: there is no agent 'operator'. There is b.",
    ]


# ── circles ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_circle_without_an_exit_is_told_once_with_its_way() -> None:
    assert told(written("a", "b"), written("b", "c"), written("c", "a")) == [
        "c.yaml:4:12: handoffs[1].agent: no agent of this circle can end the call: a → b → c → a. Give one of them "
        "'- use: hang_up' or '- use: transfer' in 'tools:', or a handoff out of the circle."
    ]


@pytest.mark.parametrize(
    "other",
    [
        written("b", "a", more=HANG_UP),
        written("b", "a", more="tools: [{use: transfer, destinations: [{name: x, to: 'tel:+1555', when: y}]}]\n"),
        written("b", "a", "c"),
    ],
    ids=["hang_up", "transfer", "handoff"],
)
def test_a_circle_with_an_exit_is_none(other: str) -> None:
    assert told(written("a", "b"), other, written("c")) == []


def test_tools_that_cannot_be_read_are_no_reason_to_speak_of_a_circle() -> None:
    (line,) = messages(written("a", "b"), written("b", "a", more="tools: [{use: hangup}]\n"))
    assert "circle" not in line


def test_a_chain_is_no_circle_and_two_circles_are_two() -> None:
    assert misfits([standing("a", "b"), standing("b", "c"), standing("c")]) == []
    found = misfits(
        [standing("a", "b"), standing("b", "a"), standing("x", "y"), standing("y", "x"), standing("q", "a")]
    )
    assert [conflict.files for conflict in found] == [("a.yaml", "b.yaml"), ("x.yaml", "y.yaml")]


def test_a_long_circle_is_told_shortly_and_found_without_recursion() -> None:
    names = [f"a{n:05}" for n in range(5000)]
    (found,) = misfits([standing(name, [names[n - 1]]) for n, name in enumerate(names)])
    assert "a00000 → a04999 → a04998 → a04997 → a04996 → a04995 → 4,994 more → a00000" in found.sites[0].problem.message
    assert len(found.files) == 5000


def test_ten_thousand_agents_without_handoffs_cost_nothing_and_with_them_little() -> None:
    names = [f"a{n:05}" for n in range(10_000)]
    alone = [standing(name) for name in names]
    chain = [standing(name, names[n + 1 : n + 3], True) for n, name in enumerate(names)]
    began = time.perf_counter()
    assert misfits(alone) == []
    half = time.perf_counter()
    assert misfits(chain) == []
    assert half - began < 0.25
    assert time.perf_counter() - half < 2.5


# ── one voice ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("voice: cedar\n", "'b' has the voice cedar and 'a' marin, and a call keeps the voice that it began with. "
         "Give both the same voice."),
        ("voice: {id: voice_1}\n", "'b' has the voice voice_1 and 'a' marin, and a call keeps the voice that it began "
         "with. Give both the same voice."),
        ("model: gpt-realtime-2.1-mini\n", "'b' has the model gpt-realtime-2.1-mini and 'a' gpt-realtime-2.1, and a "
         "call keeps the model that it began with. Give both the same model."),
        ("tracing: null\n", "'b' is traced otherwise than 'a', and a call keeps the tracing that it began with. Give "
         "both the same tracing."),
    ],
    ids=["voice", "custom-voice", "model", "tracing"],
)  # fmt: skip
def test_what_cannot_change_within_a_call_and_differs_is_a_warning(more: str, said: str) -> None:
    assert told(written("a", "b"), written("b", more=more)) == [f"a.yaml:4:12: warning: handoffs[1].agent: {said}"]
    drafts = [draft(source(text, text.split()[1]), None) for text in (written("a", "b"), written("b", more=more))]
    assert not errors(problems(drafts))


# ── one file by itself ────────────────────────────────────────────────────────────────────────────────────────


def test_a_handoff_to_itself_is_told_and_is_no_circle() -> None:
    assert messages(written("a", "a")) == [
        "handoffs[1].agent: 'a' hands the caller over to itself. Remove it, or name another agent."
    ]


def test_two_handoffs_to_one_agent_are_told() -> None:
    assert messages(written("a", "b", "b"), written("b")) == [
        "handoffs[2].agent: a handoff to 'b' already stands in line 4. Remove one of them, and say all of it in one "
        "'when'."
    ]


def test_a_tool_that_has_the_name_of_a_handoff_is_told() -> None:
    tool = 'tools:\n  - entrypoint: "a:b"\n    name: hand_off_to_b-c\n'
    assert messages(written("a", "b-c", more=tool), written("b-c")) == [
        "handoffs[1].agent: the tool 'hand_off_to_b-c' that stands for it is already there in line 7. Give that tool "
        "another name with 'name:'."
    ]


def test_a_name_that_is_too_long_for_a_tool_is_told_with_its_limit() -> None:
    assert messages(written("a", "b" * 53), written("b" * 53))[0].endswith(
        "Give that agent a name of at most 52 characters."
    )


# ── what a call may need ──────────────────────────────────────────────────────────────────────────────────────


def test_a_team_is_everybody_who_can_come_after_an_agent_itself_first() -> None:
    texts = (
        written("a", "b", "c", more=HANG_UP),
        written("b", "a"),
        written("c", "d"),
        written("d"),
        written("e", "a"),
    )
    found = catalog(*texts)
    assert list(found.team(found.agents["a"])) == ["a", "b", "c", "d"]
    assert list(found.team(found.agents["d"])) == ["d"]


def test_a_team_holds_the_agent_that_was_asked_for_though_the_catalog_has_a_newer_one() -> None:
    older, newer = (catalog(written("a", "b", more=HANG_UP), written("b", "a")) for _ in range(2))
    team = newer.team(older.agents["a"])
    assert team["a"] is older.agents["a"]
    assert team["b"] is newer.agents["b"]


def test_an_agent_that_is_named_and_no_longer_there_is_in_no_team() -> None:
    found = catalog(written("a", "b", "c"), written("b"), written("c"))
    left = assemble(agent for agent in found.agents.values() if agent.name != "b")
    assert list(left.team(left.agents["a"])) == ["a", "c"]


def test_whoever_is_reached_is_named_once_and_the_nearest_first() -> None:
    edges = {"a": "bbc", "b": "da", "c": "", "d": "c"}
    assert reached("a", lambda name: edges[name]) == ["a", "b", "c", "d"]
