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


TRANSFER = """\
tools:
  - use: transfer
    destinations:
      - {name: kitchen, to: "tel:+1555", when: An order., announce: One moment please., if_it_fails: Nobody is there.}
      - {name: night, to: "tel:+1666", when: At night.}
  - use: hang_up
    farewell: Goodbye.
  - entrypoint: "a:find"
    while_running: {lines: [One moment., Still looking.]}
handoffs:
  - {agent: other, when: An invoice., announce: One moment.}
limits:
  silence: {lines: [Are you there?]}
  concurrent_calls: 20
on_failure:
  quota: {transfer: kitchen}
  over_capacity: {say: We are busy.}
guardrails: {never_say: [guarantee, free], instead: I cannot.}
lookup: {entrypoint: "a:guest", defaults: {guest: guest}}
"""


@pytest.mark.parametrize(
    ("one", "two", "risk", "sentence"),
    [
        ("tel:+1555", "tel:+1777", Risk.REACH, "puts callers for kitchen through to tel:+1777 now; it was tel:+1555"),
        ("name: night", "name: moon", Risk.REACH, "can put callers through to moon now (tel:+1666)"),
        ("name: night", "name: moon", Risk.REACH, "cannot put callers through to night any more (tel:+1666)"),
        ("At night.}", "At night., hours: office}", Risk.REACH,
         "the destination night: hours is now office; it was not set"),
        ("An order.", "A new order.", Risk.ABILITIES, "the destination kitchen: when says other words"),
        ("One moment please", "Please hold", Risk.WORDS, "the destination kitchen: announce says other words"),
        (", if_it_fails: Nobody is there.", "", Risk.WORDS, "the destination kitchen: if_it_fails is gone"),
        ("    farewell: Goodbye.\n", "", Risk.WORDS, "the tool hang_up: farewell is gone"),
        ("use: transfer\n", "use: transfer\n    confirm_seconds: 5\n", Risk.ABILITIES,
         "the tool transfer changed: confirm_seconds is now 5; it was 20"),
        ("Still looking", "Still here", Risk.WORDS, "the tool find: while_running.lines says other words"),
        ("{lines: [One moment., Still looking.]}", "{lines: [One moment., Still looking.], after_seconds: 4}",
         Risk.ABILITIES, "the tool find changed: while_running.after_seconds is now 4; it was 2"),
        ("  - use: hang_up\n    farewell: Goodbye.\n", "", Risk.ABILITIES, "cannot use hang_up any more"),
        ("An invoice.", "Any invoice.", Risk.ABILITIES, "the handoff to other: when says other words"),
        ("announce: One moment.}", "announce: Hold on.}", Risk.WORDS,
         "the handoff to other: announce says other words"),
        ("Are you there?", "Hello?", Risk.WORDS, "limits.silence.lines says other words"),
        ("{lines: [Are you there?]}", "null", Risk.WORDS,
         "limits.silence is off now; it was lines: Are you there?, after_seconds: 12"),
        ("concurrent_calls: 20", "concurrent_calls: 5", Risk.REACH, "limits.concurrent_calls is now 5; it was 20"),
        ("concurrent_calls: 20", "tool_calls: 5", Risk.REACH, "limits.concurrent_calls is not set any more; it was 20"),
        ("concurrent_calls: 20", "tool_calls: 5", Risk.ABILITIES, "limits.tool_calls is now 5; it was 100"),
        ("quota: {transfer: kitchen}", "quota: {reject: 503}", Risk.REACH,
         "on_failure.quota is now reject: 503; it was transfer: kitchen"),
        ("  over_capacity: {say: We are busy.}\n", "", Risk.REACH,
         "on_failure.over_capacity is not set any more; it was say: We are busy."),
        ("[guarantee, free]", "[free, promise]", Risk.WORDS,
         "guardrails.never_say has promise now and has guarantee no more"),
        ("I cannot.", "I must not.", Risk.WORDS, "guardrails.instead says other words"),
        ("{guest: guest}", "{guest: friend}", Risk.WORDS, "lookup.defaults.guest is now friend; it was guest"),
        ("a:guest", "a:friend", Risk.WORDS, "lookup.entrypoint is now a:friend; it was a:guest"),
    ],
)  # fmt: skip
def test_how_calls_behave_is_told_in_sentences_by_risk(one: str, two: str, risk: Risk, sentence: str) -> None:
    assert TRANSFER.count(one) == 1
    hours = 'hours: {office: {timezone: Europe/Berlin, weekly: {mon: ["09:00-17:00"]}}}\n'
    told = between(MINIMAL + hours + TRANSFER, MINIMAL + hours + TRANSFER.replace(one, two), OTHER)
    assert (risk, sentence) in [(change.risk, change.sentence) for change in told]
    assert len(told) <= 2, "nothing else changed"


def test_a_new_handoff_and_new_tools_are_told() -> None:
    more = "handoffs: [{agent: other, when: An invoice.}]\n"
    (handoff,) = between(MINIMAL, MINIMAL + more, OTHER)
    assert handoff.sentence == "hands callers over to other now"
    assert handoff.words == (("added", "An invoice."),)
    assert sentences(MINIMAL + more, MINIMAL, OTHER) == ["desk: hands no caller over to other any more"]
    web = """tools:
  - {http: {url: "https://shop.example.com/{{ n }}"}, name: order, description: Asks., arguments: {n: {type: string}}}
  - mcp: {url: "https://tools.example.com/mcp"}
  - use: hang_up
"""
    assert sentences(MINIMAL, MINIMAL + web) == [
        "desk: can use hang_up now (one of ours)",
        "desk: can use order now (GET https://shop.example.com/{{ n }})",
        "desk: can use the tools of https://tools.example.com/mcp now",
    ]
    assert sentences(MINIMAL + web, MINIMAL + web.replace("shop.", "mail.").replace("Asks.", "Asks for it.")) == [
        "desk: the tool order changed: http.url is now https://mail.example.com/{{ n }}; "
        "it was https://shop.example.com/{{ n }}",
        "desk: the tool order: description says other words",
    ]


def test_what_a_reader_sees_is_never_pythons() -> None:
    empty = MINIMAL + "guardrails: null\n"
    for old, new in ((empty, MINIMAL + TRANSFER), (MINIMAL + TRANSFER, empty)):
        told = " ".join(change.sentence for change in between(old, new, OTHER))
        assert not any(sign in told for sign in ("{'", "['", "None", "True", "False", "object")), told


def test_the_names_of_changed_fields_are_those_of_the_file() -> None:
    old, new = catalog(MINIMAL), catalog(MINIMAL.replace("+15550100001", "+1777") + "voice: cedar\ngreeting: Hi.\n")
    assert changed_fields(old.agents["desk"], new.agents["desk"]) == ["answers", "greeting", "voice"]


OFFICE = """hours:
  office:
    timezone: Europe/Berlin
    weekly: {mon: ["09:00-17:00"], sat: ["22:00-02:00"]}
    holidays: ["2026-12-25"]
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("", "", []),
        ('["09:00-17:00"]', '["14:00-24:00", "09:00-12:00"]',
         ["Monday is now 09:00-12:00 and 14:00-24:00; it was 09:00-17:00"]),
        ('mon: ["09:00-17:00"], ', "", ["Monday is now closed; it was 09:00-17:00"]),
        ("sat", "sun", ["Saturday is now closed; it was 22:00-02:00", "Sunday is now 22:00-02:00; it was closed"]),
        ("Europe/Berlin", "Europe/Paris", ["the time zone is now Europe/Paris; it was Europe/Berlin"]),
        ("2026-12-25", "2026-12-26", ["2026-12-25 is now as every Friday; it was closed",
                                      "2026-12-26 is now closed; it was as every Saturday"]),
        ('    holidays: ["2026-12-25"]\n', '    exceptions: {"2026-12-25": []}\n', []),
        ('["2026-12-25"]\n', '["2026-12-25"]\n    exceptions: {"2026-12-25": ["09:00-10:00"]}\n',
         ["2026-12-25 is now 09:00-10:00; it was closed"]),
    ],
)  # fmt: skip
def test_hours_that_changed_are_told_day_by_day(old: str, new: str, told: list[str]) -> None:
    changed = between(MINIMAL + OFFICE, MINIMAL + OFFICE.replace(old, new))
    assert [change.sentence for change in changed] == [f"the hours office: {what}" for what in told]
    assert {(change.risk, change.field) for change in changed} <= {(Risk.REACH, "hours.office")}


def test_hours_come_and_go() -> None:
    assert sentences(MINIMAL, MINIMAL + OFFICE) == ["desk: the hours office are new"]
    assert sentences(MINIMAL + OFFICE, MINIMAL) == ["desk: the hours office are gone"]


def test_a_rule_with_hours_is_told_with_them() -> None:
    rule = MINIMAL.replace('["+15550100001"]', '["+15550100001", {called: "+1999", outside: office}]') + OFFICE
    assert sentences(MINIMAL + OFFICE, rule) == ["desk: takes calls with called +1999, outside office now"]
