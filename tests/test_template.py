"""Templates: what is found wrong before a call, what is rendered in one, and that no text makes them fall."""

from datetime import UTC, datetime
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import TemplateError
from runtime.incoming import SAMPLE_CALL
from runtime.template import Template, template

SAMPLES: dict[str, Any] = {
    "restaurant": "Casa Nova",
    "opening_hours": "nine to five",
    "tables": 12,
    "zero": 0,
    "hours": {"monday": "nine"},
    "days": ["Monday"],
    "call": SAMPLE_CALL,
    "agent": {"name": "desk"},
}


def faults(text: str) -> list[str]:
    return [f"{fault.line} {fault.message} | {fault.cure}" for fault in Template(text).faults(SAMPLES)]


def test_a_template_that_was_fine_is_tried_again_with_other_values() -> None:
    made = Template("{{ hours.monday | upper }} {{ tables + 1 }}")
    for other in ({"hours": {}}, {"tables": "many"}, {"hours": None}):
        assert made.faults(SAMPLES) == []
        assert len(made.faults(SAMPLES | other)) == 1
    without = {name: value for name, value in SAMPLES.items() if name != "tables"}
    assert len(made.faults(without)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "plain { text } with 100 % and # signs",
        "{{ restaurant }} {{ call.caller }} {{ hours.monday }} {{ agent.name }}",
        "{{ call.headers['X-Tenant'] | default('') }} {{ call.headers.x | default('') }} {{ hours.sunday | d('-') }}",
        "{% if call.headers['X-Tenant'] is defined %}x{% endif %}",
        "{% for day in days %}{{ day }} {{ loop.index }}{% endfor %}",
        "{% set x = tables + 1 %}{% set y = 1 %}{{ x }}{{ x-y }}",
        '{{ call.started_at.strftime("%A") }}',
        "{{ range(3) | list }} {{ tables - zero }} {{ restaurant | upper }}",
        "{# {{ unknown }} #}{% raw %}{{ unknown }}{% endraw %}",
        "{{ '}}' }} {{ {'a': 1}['a'] }}",
        "{{ 'a }} {{ b' }} {{ restaurant }}",
        "{{ '-' * 20 }} {{ [0] * 3 }} {{ 3 * days }} {{ 2 ** 10 }} {{ 1.5 * tables }} {{ '%02d' % tables }}",
        "{{ 'a' | center(9) }} {{ '%s' % restaurant | indent(4) }} {{ '%5.1f %%' % 2 }}",
    ],
)
def test_a_good_template_has_no_faults_and_renders(text: str) -> None:
    assert faults(text) == []
    Template(text).render(SAMPLES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ restaurnt }}", "1 the template uses 'restaurnt', which does not exist | Did you mean 'restaurant'?"),
        ("{% if false %}\n{{ restaurnt }}{% endif %}", "2 the template uses 'restaurnt'"),
        ("a\n\n{{ call.calld }}", "3 'call' has no 'calld' | Did you mean 'called'?"),
        ("{{ call.numbr }}", "| Known here: called, caller, headers, id and started_at."),
        ("{{ call['numbr'] }}", "1 'call' has no 'numbr'"),
        ("{{ call.caller.first }}", "1 'call.caller' has no 'first' | Write {{ call.caller }}."),
        ("{{ call.headers['X-T'] }}", "| If a call may lack it, write {{ call.headers['X-T'] | default('') }}."),
        ("{{ call.headers.X-Tenant-Id }}", "| Write call.headers['X-Tenant-Id']."),
        ("{{ opening-hours }}", "1 'opening-hours' is read as a minus | Write opening_hours."),
        ("{{ opening hours }}", "1 the braces should close before 'hours' |"),
        ("{{ restaurant | uppr }}", "1 there is no filter 'uppr' | Did you mean 'upper'?"),
        ("{{ restaurant is defned }}", "1 there is no test 'defned' | Did you mean 'defined'?"),
        ("a\n{% if tables %}\nb\n{% for d in days %}{% endfor %}", "2 {% if … %} is never closed | Write {% endif %}"),
        ("{% iff %}", "1 the template cannot be read (encountered unknown tag 'iff')"),
        ("a\n{{{ restaurant }}", "2 the template cannot be read"),
        ("{{ restaurant }", "1 the template cannot be read (unexpected '}')"),
        ("a\n{% include 'x' %}", "2 a template cannot use other files | Write the text here."),
        ("{% extends 'x' %}", "1 a template cannot use other files"),
        ("a\n{{ 12 // zero }}", "2 cannot be filled in: it divides by zero"),
        ("{{ tables + restaurant }}", "1 cannot be filled in: its values do not fit together"),
        ("{{ restaurant() }}", "1 cannot be filled in: its values do not fit together"),
        ("{% for i in range(1000000) %}{% endfor %}", "1 cannot be filled in: it counts too far"),
        ("{{ ''.__class__ }}", "1 cannot be filled in: it uses what templates may not use"),
        ("{{ days[7] }}", "1 cannot be filled in: there is no"),
        ("{% set y = hours %}{{ y.sunday }}", "1 cannot be filled in: there is no 'sunday'"),
        ("{{ days.append(1) }}", "1 'days' has no 'append' | Write {{ days }}."),
        ("{% set y = days %}{{ y.append(1) }}", "1 cannot be filled in: it uses what templates may not use"),
        ("{{ 'a' * 1000000000 }}", "1 cannot be filled in: it makes more than 200,000 characters"),
        ("{{ 1000000000 * days }}", "1 cannot be filled in: it makes a list that is too long"),
        ("{{ 9 ** (9 ** 9) }}", "1 cannot be filled in: it counts too far"),
        ("{{ (2 ** 4000) * (2 ** 4000) }}", "1 cannot be filled in: it counts too far"),
        ("{{ 2.0 ** 99999 }}", "1 cannot be filled in: it counts too far"),
        ("{{ '%999999999d' % 1 }}", "1 cannot be filled in: it makes more than 200,000 characters"),
        ("{{ '%*d' % (999999999, 1) }}", "1 cannot be filled in: it makes more than 200,000 characters"),
        ("{{ 'a' | center(999999999) }}", "1 cannot be filled in: it makes more than 200,000 characters"),
        ("{{ 'a' | indent(999999999, true) }}", "1 cannot be filled in: it makes more than 200,000 characters"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
            "1 cannot be filled in: it makes more than 200,000 characters",
        ),
    ],
)
def test_a_fault_says_its_line_what_is_wrong_and_what_to_write(text: str, said: str) -> None:
    (found,) = faults(text)
    assert said in found


def test_a_text_that_is_too_long_is_a_fault_and_is_not_rendered() -> None:
    plain, filled = "x" * 200_001, "{{ restaurant }}" + "x" * 199_999
    for text in (plain, filled):
        (found,) = faults(text)
        assert "it makes more than 200,000 characters" in found
        with pytest.raises(TemplateError, match="200,000 characters"):
            Template(text).render(SAMPLES)


def test_a_long_variable_counts_before_a_call_comes() -> None:
    samples = {"menu": "x" * 200_001}
    assert len(Template("{{ menu }}").faults(samples)) == 1
    assert Template("{{ menu | truncate(20) }}").faults(samples) == []


def test_all_faults_are_told_at_once_and_each_of_them_once() -> None:
    assert len(faults("{{ a }}\n{{ b }} {{ a }}\n{{ call.x }}")) == 3


def test_a_fault_knows_the_word_that_it_is_about() -> None:
    (found,) = Template("{{ call.calld }}").faults(SAMPLES)
    assert found.near == "calld"


def test_deep_nesting_is_a_fault_and_no_crash() -> None:
    (found,) = faults("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}")
    assert "nested too deeply" in found


def test_rendering_trims_the_ends_and_keeps_the_lines() -> None:
    assert Template("\n one\n{% if true %}\n two\n{% endif %}\n\n").render({}) == "one\n two"


def test_a_value_that_a_call_lacks_raises_with_its_line() -> None:
    with pytest.raises(TemplateError) as caught:
        Template("a\n{{ call.headers['X-Tenant'] }}").render(SAMPLES)
    assert caught.value.line == 2
    assert str(caught.value) == "cannot be filled in: there is no 'X-Tenant'"


def test_what_callers_send_is_never_run_as_a_template() -> None:
    assert Template("{{ name }}").render({"name": "{{ 7 * 7 }}"}) == "{{ 7 * 7 }}"


def test_a_template_cannot_change_what_it_sees() -> None:
    with pytest.raises(TemplateError):
        Template("{{ days.append('Sunday') }}").render(SAMPLES)
    assert SAMPLES["days"] == ["Monday"]


def test_equal_texts_share_one_template() -> None:
    assert template("{{ a }}") is template("{{ a }}")


def test_the_same_words_are_judged_anew_for_other_names() -> None:
    assert Template("{{ only_here }}").faults({"only_here": 1}) == []
    assert len(Template("{{ only_here }}").faults({"other": 1})) == 1


braces = st.sampled_from(["{{", "}}", "{%", "%}", "{#", "#}", "-", "\n"])
nouns = st.sampled_from([" call", ".caller", " restaurant ", "days", "'a'", "0", "loop", "raw", " y "])
verbs = st.sampled_from(["if ", "endif", "for x in ", "set y = ", "is ", "not ", "|", "default", "//", "+", "~", ","])
pieces = braces | nouns | verbs | st.sampled_from("()[]")


@settings(max_examples=300)
@given(st.text(max_size=30) | st.lists(pieces, max_size=12).map("".join))
def test_any_text_gives_faults_within_it_or_renders(text: str) -> None:
    made = Template(text)
    found = made.faults(SAMPLES)
    for fault in found:
        assert 1 <= fault.line <= text.count("\n") + 1
        assert fault.message
        assert fault.cure
    if not found:
        made.render(SAMPLES)


def test_samples_may_be_any_mapping() -> None:
    call = SimpleNamespace(started_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert Template("{{ call.started_at.year }}").faults(MappingProxyType({"call": call})) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ tables }}", 12),
        (" {{- tables + 1 -}} ", 13),
        ("{{ days }}", ["Monday"]),
        ("{{ hours }}", {"monday": "nine"}),
        ("{{ tables > 3 }}", True),
        ("{{ '}}' }}", "}}"),
        ("{{ tables }} tables", "12 tables"),
        ("{{ tables }}{{ tables }}", "1212"),
        ("{% if true %}{{ tables }}{% endif %}", "12"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_one_expression_alone_keeps_the_kind_of_its_value(text: str, value: Any) -> None:
    assert Template(text).value(SAMPLES) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ hours.sunday }}", "there is no 'sunday'"),
        ("{{ tables // zero }}", "it divides by zero"),
        ("{{ days.append(1) }}", "it uses what templates may not use"),
        ("{{ 'a' * 1000000000 }}", "it makes more than 200,000 characters"),
        ("{{ hours.sunday }} and {{ tables }}", "there is no 'sunday'"),
    ],
)
def test_a_value_that_cannot_be_made_raises(text: str, said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        Template(text).value(SAMPLES)


def test_values_that_are_filled_in_can_be_finished_and_plain_text_is_not() -> None:
    def shouted(value: Any) -> str:
        return str(value).upper()

    assert template("a {{ days[0] }} {{ 'b' }}{% if tables %} c{% endif %}", shouted).render(SAMPLES) == "a MONDAY B c"
    assert template("a {{ days[0] }}").render(SAMPLES) == "a Monday"
