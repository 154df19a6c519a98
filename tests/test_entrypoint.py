"""`module:function` to a callable: what resolves, and one sentence for each way to fail."""

import sys
from pathlib import Path

import pytest

from runtime.context import CallContext
from runtime.entrypoint import resolve
from runtime.errors import EntrypointError


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent / "data" / "tools"), *sys.path])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Write the test's text as a module that can be imported, and forget it afterwards."""
    name = f"made_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(request.param, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def failure(spec: str) -> EntrypointError:
    with pytest.raises(EntrypointError) as caught:
        resolve(spec)
    return caught.value


def test_a_function_resolves() -> None:
    found = resolve("corpus_tools.good:greet")
    assert found.function("Ann") == "Hello, Ann."
    assert not found.takes_context


def test_a_first_parameter_that_is_the_call_context_is_noticed() -> None:
    assert resolve("corpus_tools.good:remember").takes_context


@pytest.mark.parametrize(
    "module",
    ["from __future__ import annotations\nfrom runtime import CallContext\ndef f(c: CallContext, n: int): ..."],
    indirect=True,
)
def test_annotations_written_as_text_are_understood(module: str) -> None:
    assert resolve(f"{module}:f").takes_context


OBJECT = "class Tool:\n    def __call__(self, n: int): ...\n    def f(self, n: int): ...\ntool = Tool()"


@pytest.mark.parametrize("module", [OBJECT], indirect=True)
@pytest.mark.parametrize("attribute", ["tool", "tool.f"])
def test_objects_that_can_be_called_and_their_methods_resolve(module: str, attribute: str) -> None:
    assert resolve(f"{module}:{attribute}").spec == f"{module}:{attribute}"


@pytest.mark.parametrize(
    ("spec", "message", "cure"),
    [
        ("corpus_tools.god:greet", "there is no module 'corpus_tools.god'", "Check the spelling"),
        ("nobody_has_this:f", "there is no module 'nobody_has_this'", "modules are found from here"),
        ("corpus_tools.needs:f", "'corpus_tools.needs' needs the module 'a_table_plan_nobody_has'", "Install"),
        ("corpus_tools.raises:f", "(ValueError: no connection to the table plan)", "engineer"),
        ("corpus_tools.exits:f", "(SystemExit: usage: exits.py TABLE)", "engineer"),
        ("corpus_tools.broken:f", "(SyntaxError: invalid syntax (broken.py, line 3))", "engineer"),
        ("corpus_tools.good:gret", "'corpus_tools.good' has no 'gret'", "Did you mean 'greet'?"),
        ("corpus_tools.good:Booking", "is a class, not a function", "Name a function."),
        ("corpus_tools.good:OPENING_HOURS", "is a value, not a function", "Name a function."),
        ("corpus_tools.other:typing", "is a module, not a function", "Name a function."),
        ("corpus_tools.parameters:untyped", "the parameter 'name' of", "'name: str'"),
        ("corpus_tools.parameters:stars", "takes *names", "names"),
        ("corpus_tools.parameters:two_stars", "takes **names", "names"),
        ("corpus_tools.parameters:by_position", "by position only", "remove the '/'"),
        ("corpus_tools.parameters:context_second", "takes CallContext as a later parameter", "first"),
        ("corpus_tools.parameters:unknown_type", "(NameError: name 'Nmae' is not defined)", "engineer"),
    ],
)
def test_each_way_to_fail_has_its_sentence_and_its_cure(spec: str, message: str, cure: str) -> None:
    error = failure(spec)
    assert message in error.message
    assert cure in error.cure


def test_the_machines_folders_stay_out_of_the_sentence() -> None:
    assert "/" not in failure("corpus_tools.wrong_import:greet").message


def test_a_broken_module_is_told_again_at_the_second_attempt() -> None:
    assert str(failure("corpus_tools.raises:f")) == str(failure("corpus_tools.raises:f"))


@pytest.mark.parametrize("module", ["raise KeyboardInterrupt"], indirect=True)
def test_a_module_that_raises_what_ctrl_c_does_breaks_like_any_other(module: str) -> None:
    assert f"'{module}' breaks when it is imported (KeyboardInterrupt: " in failure(f"{module}:f").message


def test_a_context_can_be_made_by_hand() -> None:
    context = CallContext(call_id="test", called="+15550100001", caller="", agent="desk")
    assert dict(context.headers) == dict(context.variables) == {}


@pytest.mark.parametrize(
    "spec",
    [
        "os:system",
        "os.path:join",
        "builtins:exec",
        "subprocess:run",
        "samples.storage:os.system",
        "samples.storage:tempfile.gettempdir",
        "samples.storage:closing.__init__",
        "samples.storage:contextmanager",
    ],
)
def test_the_standard_library_is_never_a_tool_by_whatever_way(spec: str) -> None:
    error = failure(spec)
    assert error.message.endswith("is a part of Python itself, and no module for tools")
    assert "Ask an engineer" in error.cure


@pytest.mark.parametrize("packages", [["corpus_tools"], ["samples", "corpus_tools.good"]])
def test_a_module_within_the_packages_for_tools_resolves(packages: list[str]) -> None:
    assert resolve("corpus_tools.good:greet", packages).spec == "corpus_tools.good:greet"


@pytest.mark.parametrize("packages", [["corpus"], ["corpus_tools.goo", "samples"], ["corpus_tools.good.more"]])
def test_a_module_outside_the_packages_for_tools_is_refused(packages: list[str]) -> None:
    with pytest.raises(EntrypointError, match="is not one for tools") as caught:
        resolve("corpus_tools.good:greet", packages)
    assert "SWITCHBOARD_TOOL_PACKAGES" in caught.value.cure
    assert packages[0] in caught.value.cure


@pytest.mark.parametrize("module", ["raise SystemExit('this ran')"], indirect=True)
def test_a_module_that_is_not_for_tools_is_not_even_imported(module: str) -> None:
    with pytest.raises(EntrypointError, match="is not one for tools"):
        resolve(f"{module}:f", ["samples"])


def test_a_module_for_tools_is_no_way_to_one_that_is_not() -> None:
    with pytest.raises(EntrypointError, match="the module 'samples' is not one for tools"):
        resolve("corpus_tools.through:samples.speak_digits", ["corpus_tools"])
