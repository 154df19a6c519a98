import pytest

from runtime import schema as schemas
from runtime.changes import RISKS, Change, Risk, changed_fields, compare, word_diff
from tests.house import MINIMAL, catalog

OTHER = 'name: other\nanswers: ["+1555*"]\ninstructions: x\n'


def between(old: str, new: str, *both: str) -> list[Change]:
    return compare(catalog(old, *both), catalog(new, *both))


def sentences(old: str, new: str, *both: str) -> list[str]:
    return [f"{change.agent}: {change.sentence}" for change in between(old, new, *both)]


def test_every_field_of_an_agent_has_its_risk() -> None:
    assert {*RISKS, "environments"} == set(schemas.load("agent").raw["properties"])


@pytest.mark.parametrize(
    "same",
    [
        "# a comment\n" + MINIMAL,
        'instructions: Be brief.\nanswers:\n  - "+15550100001"\nname: desk\n',
        MINIMAL + "voice: marin\nspeed: 1\nnoise_reduction: null\n",
        MINIMAL + "answers_: 1\n".replace("answers_: 1\n", ""),
    ],
)
def test_comments_order_and_written_defaults_are_no_change(same: str) -> None:
    assert between(MINIMAL, same) == []


def test_numbers_that_reach_another_agent_come_first() -> None:
    told = between(MINIMAL, MINIMAL.replace("+15550100001", "+15550100002") + "voice: cedar\n", OTHER)
    assert [change.sentence for change in told] == [
        "calls to +15550100002 reach desk now; it was other",
        "calls to +15550100001 reach other now; it was desk",
        "voice is now cedar; it was marin",
    ]
    assert [change.risk for change in told] == [Risk.REACH, Risk.REACH, Risk.WORDS]


def test_a_number_that_nobody_answers_any_more_is_told() -> None:
    assert "desk: calls to +15550100001 reach nobody now; it was desk" in sentences(
        MINIMAL, MINIMAL.replace("+15550100001", "+1777")
    )


def test_rules_with_conditions_are_told_one_by_one() -> None:
    rule = 'answers: ["+15550100001", {called: "+1999", caller: "+49*"}]'
    assert sentences(MINIMAL, MINIMAL.replace('answers: ["+15550100001"]', rule)) == [
        "desk: takes calls with called +1999, caller +49* now"
    ]


def test_agents_come_and_go() -> None:
    one, two = catalog(MINIMAL), catalog(MINIMAL, OTHER)
    assert "is new" in [change.sentence for change in compare(one, two) if change.agent == "other"]
    assert "is gone" in [change.sentence for change in compare(two, one) if change.agent == "other"]


def test_greetings_and_instructions_are_word_diffs() -> None:
    (greeting,) = between(MINIMAL + "greeting: Hello there my friend.\n", MINIMAL + "greeting: Hello here my friend.\n")
    assert greeting.words == (("same", "Hello"), ("removed", " there"), ("added", " here"), ("same", " my friend."))
    (instructions,) = between(MINIMAL, MINIMAL.replace("brief", "long"))
    assert (instructions.field, instructions.risk) == ("instructions", Risk.WORDS)


def test_a_word_diff_loses_nothing() -> None:
    old, new = "one two\n  three four", "one 2 three\nfour five"
    diff = word_diff(old, new)
    assert "".join(text for kind, text in diff if kind != "added").split() == old.split()
    assert "".join(text for kind, text in diff if kind != "removed").split() == new.split()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ('tools: [{entrypoint: "a:find"}]\n', "can use find now (a:find)"),
        ("noise_reduction: {type: near_field}\n", "noise_reduction is now type: near_field; it was off"),
        ("turn_detection: null\n", "turn_detection is off now; it was type: semantic_vad, eagerness: auto, "
         "create_response: on, interrupt_response: on"),
        ("turn_detection: {type: semantic_vad, eagerness: low}\n", "turn_detection.eagerness is now low; it was auto"),
        ("tracing: {workflow_name: x}\n", "tracing.workflow_name is now x; it was {{ agent.name }}"),
        ("max_output_tokens: 100\n", "max_output_tokens is now 100; it was inf"),
    ],
)  # fmt: skip
def test_each_kind_of_change_is_a_sentence(more: str, sentence: str) -> None:
    assert sentences(MINIMAL, MINIMAL + more) == [f"desk: {sentence}"]


def test_a_tool_that_changed_or_went_is_told() -> None:
    with_tool = MINIMAL + 'tools: [{entrypoint: "a:find", timeout_seconds: 5}]\n'
    assert sentences(with_tool, with_tool.replace("5}", "6}")) == [
        "desk: the tool find changed: timeout_seconds is now 6; it was 5"
    ]
    assert sentences(with_tool, MINIMAL) == ["desk: cannot use find any more"]


def test_the_names_of_changed_fields_are_those_of_the_file() -> None:
    old, new = catalog(MINIMAL), catalog(MINIMAL.replace("+15550100001", "+1777") + "voice: cedar\ngreeting: Hi.\n")
    assert changed_fields(old.agents["desk"], new.agents["desk"]) == ["answers", "greeting", "voice"]
