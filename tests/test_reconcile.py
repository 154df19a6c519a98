from runtime.catalog import Draft, draft
from runtime.reconcile import Reconciled, reconcile
from tests.house import MINIMAL, source

BROKEN = "name: desk\nvoice: nobody\n"


def made(file: str, text: str) -> Draft:
    return draft(source(text, file), None)


def one(file: str, name: str, number: str = "+15550100001") -> Draft:
    return made(file, MINIMAL.replace("desk", name).replace("+15550100001", number))


def chosen(live: list[Draft], new: list[Draft], **touched: int) -> Reconciled:
    return reconcile({d.file: d for d in live}, new, {f"{name}.yaml": count for name, count in touched.items()})


def test_a_file_with_problems_keeps_its_last_good_version_and_others_go_on() -> None:
    old, other, better = one("a.yaml", "a"), one("b.yaml", "b", "+1"), one("b.yaml", "b", "+2222")
    found = chosen([old, other], [made("a.yaml", BROKEN), better], a=1, b=1)
    assert found.serving == {"a.yaml": old, "b.yaml": better}
    assert found.older == ("a",)
    assert found.problems


def test_a_deleted_file_takes_its_agent_with_it() -> None:
    assert chosen([one("a.yaml", "a")], []).serving == {}


def test_a_broken_file_that_never_was_good_is_not_served() -> None:
    assert chosen([], [made("a.yaml", BROKEN)]).serving == {}


def test_a_tie_is_laid_at_the_door_of_the_file_that_changed_last() -> None:
    a, b, b_tied = one("a.yaml", "a"), one("b.yaml", "b", "+1666"), one("b.yaml", "b")
    found = chosen([a, b], [a, b_tied], b=1)
    assert found.serving == {"a.yaml": a, "b.yaml": b}
    assert [problem.file for problem in found.problems] == ["b.yaml"]
    a_tied = one("a.yaml", "a", "+1666")
    found = chosen([a, b], [a_tied, b], a=2, b=1)
    assert found.serving == {"a.yaml": a, "b.yaml": b}
    assert [problem.file for problem in found.problems] == ["a.yaml"]
    assert "b.yaml:2" in found.problems[0].message


def test_a_duplicate_name_is_laid_at_the_door_of_the_file_that_changed_last() -> None:
    a, new = one("b.yaml", "desk"), one("a.yaml", "desk", "+1777")
    found = chosen([a], [new, a], a=1)
    assert found.serving == {"b.yaml": a}
    assert [problem.file for problem in found.problems] == ["a.yaml"]


def test_two_agents_may_swap_their_numbers_at_once() -> None:
    a, b = one("a.yaml", "a", "+1"), one("b.yaml", "b", "+2")
    a, b = one("a.yaml", "a", "+11"), one("b.yaml", "b", "+22")
    new_a, new_b = one("a.yaml", "a", "+22"), one("b.yaml", "b", "+11")
    found = chosen([a, b], [new_a, new_b], a=1, b=1)
    assert found.serving == {"a.yaml": new_a, "b.yaml": new_b}
    assert not found.problems


def test_half_a_swap_waits_for_the_other_half() -> None:
    a, b = one("a.yaml", "a", "+11"), one("b.yaml", "b", "+22")
    new_a = one("a.yaml", "a", "+22")
    found = chosen([a, b], [new_a, b], a=1)
    assert found.serving == {"a.yaml": a, "b.yaml": b}
    new_b = one("b.yaml", "b", "+11")
    found = reconcile(found.serving, [new_a, new_b], {"a.yaml": 1, "b.yaml": 2})
    assert found.serving == {"a.yaml": new_a, "b.yaml": new_b}


def test_what_is_served_never_conflicts_whatever_conflicts_there_are() -> None:
    """Three files that all want one number and one name, one after another."""
    drafts = [one(f"{name}.yaml", "same") for name in "abc"]
    found = chosen([], drafts, a=3, b=2, c=1)
    assert list(found.serving) == ["c.yaml"]
    assert {problem.file for problem in found.problems} == {"a.yaml", "b.yaml"}


# ── handoffs ──────────────────────────────────────────────────────────────────────────────────────────────────


def handing(file: str, name: str, *others: str, more: str = "") -> Draft:
    listed = ", ".join(f"{{agent: {other}, when: It fits.}}" for other in others)
    return made(file, f"name: {name}\ninstructions: Hi.\nhandoffs: [{listed}]\n{more}")


def test_who_hands_over_to_a_deleted_agent_stays_as_it_is_with_a_problem_at_its_door() -> None:
    desk, billing = handing("desk.yaml", "desk", "billing"), handing("billing.yaml", "billing")
    found = chosen([desk, billing], [desk])
    assert found.serving == {"desk.yaml": desk}
    assert [str(problem) for problem in found.problems] == [
        "desk.yaml:3:20: handoffs[1].agent: there is no agent 'billing'. There is no other agent to hand over to."
    ]
    assert chosen(list(found.serving.values()), [desk]) == found, "the next reload tells the same"
    better = handing("desk.yaml", "desk")
    assert chosen([desk], [better]).problems == ()


def test_who_hands_over_to_an_agent_that_was_never_there_keeps_its_last_good_version() -> None:
    old, new = handing("desk.yaml", "desk"), handing("desk.yaml", "desk", "billing")
    found = chosen([old], [new], desk=1)
    assert found.serving == {"desk.yaml": old}
    assert found.older == ("desk",)
    assert [problem.file for problem in found.problems] == ["desk.yaml"]
    assert chosen([], [new]).serving == {}, "a new file has no last good version"


def test_who_hands_over_to_an_agent_with_problems_is_told_whose_they_are() -> None:
    old, new = handing("desk.yaml", "desk"), handing("desk.yaml", "desk", "billing")
    broken = handing("billing.yaml", "billing", more="voice: nobody\n")
    found = chosen([old], [new, broken])
    assert found.serving == {"desk.yaml": old}
    assert "the agent 'billing' has problems of its own. Correct its file first." in str(found.problems[-1])


def test_a_circle_is_laid_at_the_door_of_the_file_that_closed_it() -> None:
    a, b = handing("a.yaml", "a", "b"), handing("b.yaml", "b")
    closing = handing("b.yaml", "b", "a")
    found = chosen([a, b], [a, closing], b=1)
    assert found.serving == {"a.yaml": a, "b.yaml": b}
    assert [problem.file for problem in found.problems] == ["b.yaml"]
    found = chosen([], [a, closing], a=1, b=2)
    assert set(found.serving) == set(), "of two new files in a circle neither leads anywhere"


def test_a_warning_between_agents_is_told_and_keeps_nobody_from_being_served() -> None:
    a, b = handing("a.yaml", "a", "b"), handing("b.yaml", "b", more="voice: cedar\n")
    found = chosen([], [a, b])
    assert found.serving == {"a.yaml": a, "b.yaml": b}
    assert [problem.severity for problem in found.problems] == ["warning"]


def test_a_handoff_that_a_hundred_agents_share_may_lead_nowhere() -> None:
    drafts = [handing(f"a{n}.yaml", f"a{n}", "operator") for n in range(100)]
    found = chosen(drafts, drafts)
    assert len(found.serving) == len(found.problems) == 100
    assert chosen([], drafts).serving == {}
