"""The corpus: each broken agent file with the very lines that `switchboard check` prints for it, and good ones."""

import sys
from pathlib import Path

import pytest

from runtime import catalog, document, files, schema
from runtime.cli import main

DATA = Path(__file__).parent / "data"
BAD, GOOD = DATA / "agents" / "bad", DATA / "agents" / "good"
TEXTS = sorted(BAD.glob("*.txt"))
PYTHONS = ("NoneType", "dict", "<class", "<built-in", "instance of", "Traceback", "' object")
CASES = sorted(path for path in BAD.iterdir() if path.suffix != ".txt")


@pytest.fixture(autouse=True)
def tools_beside_the_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the corpus' tool modules be found, and forget the path after each test."""
    monkeypatch.setattr(sys, "path", [str(DATA / "tools"), *sys.path])


def case_of(text: Path) -> Path:
    """Return the file or folder that a text belongs to."""
    file, folder = text.with_suffix(".yaml"), text.with_suffix("")
    assert file.exists() != folder.exists(), f"{text.name} belongs to one file {file.name} or one folder {folder.name}"
    return file if file.exists() else folder


def test_the_corpus_is_large_and_each_case_has_its_text() -> None:
    assert len(TEXTS) >= 70
    assert sorted(case_of(text) for text in TEXTS) == CASES


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.stem)
def test_check_prints_exactly_these_lines(
    text: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = text.read_text("utf-8")
    monkeypatch.chdir(BAD)
    code = main(["check", case_of(text).name])
    printed = capsys.readouterr().out.splitlines(keepends=True)
    assert "".join(printed[:-1]) == expected
    assert expected, "a bad file has a problem"
    assert code == (0 if all(": warning: " in line for line in printed[:-1]) else 1)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.stem)
def test_every_line_says_where_and_what_to_do_in_words_that_are_not_pythons(text: Path) -> None:
    for line in text.read_text("utf-8").splitlines():
        place, said = line.split(": ", 1)
        file, row, column = place.rsplit(":", 2)
        written = (BAD / file).read_text("latin-1")
        assert 1 <= int(row) <= written.count("\n") + 1
        assert int(column) >= 1
        assert ". " in said, f"no cure: {said}"
        assert said.endswith((".", "?")) or "For example: " in said
        assert not any(word in said for word in PYTHONS), said


@pytest.mark.parametrize("file", sorted(GOOD.glob("*.yaml")), ids=lambda file: file.stem)
class TestAGoodFile:
    def draft(self, file: Path) -> catalog.Draft:
        (source,) = files.sources([file])
        return catalog.draft(source, None)

    def data(self, file: Path) -> object:
        read, problems = document.read(file.read_bytes(), file.name)
        assert read is not None, problems
        return read.data

    def test_has_no_problems(self, file: Path) -> None:
        draft = self.draft(file)
        assert draft.problems == ()
        assert draft.definition is not None
        assert draft.name == file.stem

    def test_is_filled_with_concrete_formats(self, file: Path) -> None:
        filled = schema.load("agent").fill(self.data(file))
        for side in ("input", "output"):
            kind = filled["audio"][side]["format"]["type"]
            assert kind in ("audio/pcm", "audio/pcmu", "audio/pcma")

    def test_is_filled_once_and_stays_as_it_was(self, file: Path) -> None:
        agent, data = schema.load("agent"), self.data(file)
        filled = agent.fill(data)
        assert agent.fill(filled) == filled
        assert data == self.data(file)

    def test_can_be_written_out_complete_and_checks_again(self, file: Path) -> None:
        filled = schema.load("agent").fill(self.data(file))
        written = document.write(filled)
        read, problems = document.read(written.encode(), file.name)
        assert read is not None, problems
        assert read.data == filled
        assert schema.load("agent").check(read) == []


def test_the_good_files_use_every_field() -> None:
    used: set[str] = set()
    for file in GOOD.glob("*.yaml"):
        read, _ = document.read(file.read_bytes(), file.name)
        assert read is not None
        used |= {part for path in read.places for part in path if isinstance(part, str)}
    assert set(_names(schema.load("agent").raw)) <= used


def _names(node: object) -> set[str]:
    """Return the name of every field that a schema knows."""
    if isinstance(node, list):
        return set().union(*map(_names, node))
    if not isinstance(node, dict):
        return set()
    here = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
    return here.union(*(_names(part) for key, part in node.items() if key not in ("default", "examples", "if")))


def test_the_good_files_are_answered_beside_each_other() -> None:
    made = catalog.build(files.sources([GOOD]), None)
    assert len(made.agents) == len(list(GOOD.glob("*.yaml")))


def test_tools_of_good_files_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(GOOD)]) == 0
    assert capsys.readouterr().out.endswith("agent files: no problems.\n")
