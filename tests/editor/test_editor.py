"""What an author's editor shows agrees with `switchboard check`: the YAML extension's real server over the corpus."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import schema
from runtime.init import init
from tests.editor.language_server import SERVER, LanguageServer

pytestmark = pytest.mark.skipif(
    not SERVER.exists() or shutil.which("node") is None,
    reason="the editor's language server is not installed: 'make editor' installs and asks it",
)

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests/data/agents"
GOOD, BAD = CORPUS / "good", CORPUS / "bad"
GOOD_FILES = sorted([*GOOD.rglob("*.yaml"), *(ROOT / "agents").rglob("*.yaml")])
BAD_FILES = sorted(BAD.rglob("*.yaml"))
DIFFERENCES = Path(__file__).with_name("differences.md")
SAMPLE = "agents/front-desk.yaml"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalog repository as `switchboard init` makes it: its settings are the ones under test."""
    folder = tmp_path_factory.mktemp("catalog")
    assert all(new for _, new in init(folder))
    return folder


@pytest.fixture(scope="module")
def editor(workspace: Path) -> Iterator[LanguageServer]:
    with LanguageServer(workspace) as server:
        yield server


@pytest.fixture(scope="module")
def underlined(editor: LanguageServer) -> dict[Path, list[str]]:
    """Return what the editor underlines in each file, opened as if it stood in the catalog."""
    texts = {in_catalog(file): file.read_bytes().decode("utf-8-sig", "replace") for file in [*GOOD_FILES, *BAD_FILES]}
    said = editor.diagnose(texts)
    return {file: said[in_catalog(file)] for file in [*GOOD_FILES, *BAD_FILES]}


def in_catalog(file: Path) -> str:
    return f"agents/{file.relative_to(CORPUS if file.is_relative_to(CORPUS) else ROOT / 'agents').as_posix()}"


def named(file: Path) -> str:
    return file.relative_to(BAD).as_posix().replace("/", "-")


def with_problems() -> set[str]:
    """Return the bad files that `switchboard check` says something about, out of the texts beside them."""
    lines = [line for text in BAD.glob("*.txt") for line in text.read_text("utf-8").splitlines()]
    return {line.partition(":")[0] for line in lines}


def listed() -> list[str]:
    return re.findall(r"^- `(.+?)`", DIFFERENCES.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("file", GOOD_FILES, ids=lambda file: file.stem)
def test_nothing_is_underlined_in_a_good_file(file: Path, underlined: dict[Path, list[str]]) -> None:
    assert underlined[file] == []


@pytest.mark.parametrize("file", BAD_FILES, ids=named)
def test_the_editor_and_check_agree_or_the_difference_is_listed(file: Path, underlined: dict[Path, list[str]]) -> None:
    name = file.relative_to(BAD).as_posix()
    agree = bool(underlined[file]) == (name in with_problems())
    assert agree or name in listed(), f"the editor says {underlined[file]}: write why into {DIFFERENCES.name}"
    assert not agree or name not in listed(), f"they agree now: remove it from {DIFFERENCES.name}"


def test_each_difference_is_a_file_that_is_listed_once_under_a_reason() -> None:
    names = {file.relative_to(BAD).as_posix() for file in BAD_FILES}
    assert sorted(set(listed())) == sorted(listed())
    assert set(listed()) <= names
    for part in DIFFERENCES.read_text("utf-8").split("\n## ")[1:]:
        assert re.search(r"\n\n[A-Z][^\n]+", part.partition("\n- ")[0]), f"no reason under {part.splitlines()[0]}"


def test_the_agent_of_a_new_catalog_is_not_underlined(editor: LanguageServer, workspace: Path) -> None:
    assert editor.diagnose({SAMPLE: (workspace / SAMPLE).read_text("utf-8")}) == {SAMPLE: []}


def test_resting_on_a_field_tells_its_meaning(editor: LanguageServer) -> None:
    file = "agents/rest.yaml"
    editor.diagnose({file: "name: rest\ninstructions: Hi.\nvoice: marin\n"})
    assert schema.load("agent").raw["properties"]["voice"]["description"][:40] in editor.hover(file, 3, 2)


def test_fields_and_voices_are_proposed(editor: LanguageServer) -> None:
    file, voices = "agents/proposals.yaml", schema.load("agent").raw["properties"]["voice"]["then"]["enum"]
    editor.diagnose({file: "name: proposals\n\ninstructions: Hi.\nvoice: \n"})
    assert {"greeting", "tools", "turn_detection"} <= set(editor.complete(file, 2, 1))
    assert sorted(editor.complete(file, 4, 8)) == voices


TOOL = "name: x\ninstructions: Hi.\ntools:\n  - "


@pytest.mark.parametrize(
    ("text", "proposed"),
    [
        (TOOL, {"entrypoint", "use", "http", "mcp"}),
        (TOOL + "use: ", {"hang_up", "transfer", "keypad", "take_message", "wait"}),
        (TOOL + "use: hang_up\n    ", {"description", "farewell"}),
        (TOOL + "use: transfer\n    destinations:\n      - ", {"name", "to", "when", "hours", "announce"}),
        (TOOL + "entrypoint: a:b\n    ", {"while_running", "timeout_seconds", "max_parallel"}),
        (TOOL + "http:\n      ", {"method", "url", "headers", "body", "pick"}),
        ("on_failure:\n  attach_failed:\n    ", {"transfer"}),
        ("hours:\n  office:\n    weekly:\n      ", {"mon", "sun"}),
        ("limits:\n  silence:\n    ", {"after_seconds", "lines", "farewell"}),
    ],
)
def test_the_fields_of_how_calls_behave_are_proposed_where_they_stand(
    editor: LanguageServer, text: str, proposed: set[str]
) -> None:
    *lines, last = text.split("\n")
    file = f"agents/proposals-{len(text)}-{len(proposed)}.yaml"
    editor.diagnose({file: text + "\n"})
    said = editor.complete(file, len(lines) + 1, len(last) + 1)
    assert proposed <= set(said)
    assert "mcp" not in said or "mcp" in proposed, "what an entry cannot be any more is not proposed"


@pytest.mark.parametrize(
    ("line", "column", "told"),
    [(3, 6, "One of our own tools"), (4, 6, "Seconds in which the caller"), (6, 10, "The destination's name"),
     (10, 6, "Seconds after which the model"), (12, 4, "The project's quota"), (12, 12, "The SIP code")],
)  # fmt: skip
def test_resting_on_a_field_deep_inside_tells_its_meaning(
    editor: LanguageServer, line: int, column: int, told: str
) -> None:
    file = "agents/deep.yaml"
    text = (
        "name: deep\ntools:\n  - use: transfer\n    confirm_seconds: 5\n    destinations:\n      - name: a\n"
        "        to: tel:+1555\n        when: x\n  - entrypoint: a:b\n    timeout_seconds: 4\n"
        "on_failure:\n  quota: {reject: 503}\n"
    )
    editor.diagnose({file: text})
    assert told in editor.hover(file, line, column)


def test_a_file_without_the_first_line_that_names_the_schema_is_explained_too(editor: LanguageServer) -> None:
    text = "name: plain\ninstructions: Hi.\nvoice: Marin\n"
    assert editor.diagnose({"agents/deeper/plain.yaml": text})["agents/deeper/plain.yaml"]


def test_what_all_agents_inherit_is_explained_by_a_schema_of_its_own(editor: LanguageServer) -> None:
    file = "agents/_defaults.yaml"
    assert editor.diagnose({file: "voice: marin\ngreeting:\n  interruptible: false\n"}) == {file: []}


def test_a_mistake_in_what_all_agents_inherit_is_underlined(editor: LanguageServer) -> None:
    (said,) = editor.diagnose({"agents/_defaults.yml": "voice: Marin\n"}).values()
    assert len(said) == 1


def test_a_file_that_is_no_agent_is_left_alone(editor: LanguageServer) -> None:
    assert editor.diagnose({"agents/_notes.yaml": "voice: Marin\n"}) == {"agents/_notes.yaml": []}


def test_a_file_elsewhere_is_explained_by_its_first_line(editor: LanguageServer) -> None:
    text = "# yaml-language-server: $schema=../schemas/agent.schema.json\nname: x\ninstructions: Hi.\nvoice: Marin\n"
    assert editor.diagnose({"drafts/plain.yaml": text})["drafts/plain.yaml"]
    assert not editor.diagnose({"drafts/other.yaml": "name: x\nvoice: Marin\n"})["drafts/other.yaml"]
