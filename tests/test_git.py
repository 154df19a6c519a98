"""The catalog in git, on repositories made here."""

import os
import subprocess
from pathlib import Path

import pytest

from runtime.draft import draft
from runtime.errors import SettingsError
from runtime.git import around, fetcher, reader
from tests.house import MINIMAL


def git(folder: Path, *words: str) -> str:
    environment = {
        **os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
    }  # fmt: skip
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


def commit(folder: Path, message: str = "x") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")[:12]


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """Return the catalog's folder of a repository with one commit."""
    git(tmp_path, "init", "-q", "-b", "main")
    folder = tmp_path / "deep" / "agents"
    (folder / "texts").mkdir(parents=True)
    (folder / "desk.yaml").write_text(MINIMAL)
    (folder / "_defaults.yaml").write_text("x: 1\n")
    (folder / "texts" / "a.md").write_text("Be brief.")
    commit(tmp_path)
    return folder


def revision(folder: Path) -> str:
    reading = reader(folder, None)(None)
    return reading.revision([draft(source, None) for source in reading.sources])


def test_a_clean_folder_stands_at_its_commit(agents: Path) -> None:
    assert revision(agents) == git(agents, "rev-parse", "HEAD")[:12]


def test_a_changed_folder_adds_a_plus_and_a_digest_of_its_content(agents: Path) -> None:
    head = revision(agents)
    (agents / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    first = revision(agents)
    assert first.startswith(f"{head}+")
    (agents / "desk.yaml").write_text(MINIMAL + "voice: sage\n")
    assert revision(agents) not in (first, head)


def test_changed_defaults_are_another_revision(agents: Path) -> None:
    (agents / "_defaults.yaml").write_text("x: 2\n")
    first = revision(agents)
    (agents / "_defaults.yaml").write_text("x: 3\n")
    assert len({first, revision(agents), git(agents, "rev-parse", "HEAD")[:12]}) == 3


def test_changed_instructions_beside_an_agent_are_another_revision(agents: Path) -> None:
    (agents / "desk.yaml").write_text(MINIMAL.replace("instructions: Be brief.", "instructions_file: texts/a.md"))
    revisions = {git(agents, "rev-parse", "HEAD")[:12], revision(agents), revision(agents)}
    for text in ("Be kind.", "Be quick.", "{{ nobody }}"):
        (agents / "texts" / "a.md").write_text(text)
        revisions.add(revision(agents))
    (agents / "texts" / "a.md").unlink()
    assert len(revisions | {revision(agents)}) == 6


def test_a_change_elsewhere_in_the_repository_is_none_of_the_catalogs(agents: Path) -> None:
    (agents.parent / "other.txt").write_text("x")
    assert "+" not in revision(agents)


def test_without_a_repository_the_revision_is_the_digest(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text(MINIMAL)
    assert around(tmp_path) is None
    assert len(revision(tmp_path)) == 8
    with pytest.raises(SettingsError, match="is in no git repository"):
        reader(tmp_path, "main")(None)


def test_a_revision_is_read_without_touching_the_work_tree(agents: Path) -> None:
    first = git(agents, "rev-parse", "HEAD")[:12]
    git(agents, "tag", "v1")
    (agents / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    (agents / "new.yaml").write_text(MINIMAL.replace("desk", "new"))
    commit(agents)
    (agents / "desk.yaml").write_text("not even YAML: [")
    for name in ("v1", first, "HEAD~1"):
        reading = reader(agents, name)(None)
        assert reading.commit == reading.revision(()) == first
        assert [(Path(source.file).name, source.raw.decode()) for source in reading.sources] == [("desk.yaml", MINIMAL)]
    assert (agents / "desk.yaml").read_text() == "not even YAML: ["
    assert len(reader(agents, "main")(None).sources) == 2


def test_a_file_whose_name_is_not_utf_8_is_read_as_any_other(agents: Path) -> None:
    odd = agents / os.fsdecode(b"b\xff.yaml")
    odd.write_text(MINIMAL.replace("desk", "odd"))
    repository = around(agents)
    assert repository is not None
    assert repository.changed_since("HEAD") == {odd}
    assert "+" in revision(agents)
    commit(agents)
    assert [source.file for source in repository.sources("HEAD")] == [str(odd), str(agents / "desk.yaml")]


def test_files_of_a_revision_know_their_siblings_and_no_way_out(agents: Path) -> None:
    (source,) = reader(agents, "HEAD")(None).sources
    assert source.sibling("texts/a.md") == b"Be brief."
    assert source.defaults is not None
    assert (source.defaults.raw, source.defaults.sibling("texts/a.md")) == (b"x: 1\n", b"Be brief.")
    with pytest.raises(FileNotFoundError):
        source.sibling("texts/b.md")
    with pytest.raises(PermissionError):
        source.sibling("../../secret")


def test_an_unknown_revision_is_told(agents: Path) -> None:
    with pytest.raises(SettingsError, match="'nothing' is no commit, tag or branch"):
        reader(agents, "nothing")(None)
    with pytest.raises(SettingsError, match="is no commit"):
        reader(agents, "--help")(None)


def test_a_reader_goes_to_another_revision_when_asked(agents: Path) -> None:
    first = revision(agents)
    (agents / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    second = commit(agents)
    read = reader(agents, "main")
    assert (read(None).commit, read(first).commit, read(None).commit) == (second, first, second)


def test_a_followed_branch_can_be_fetched(agents: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(tmp_path), str(clone))
    (agents / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    second = commit(agents)
    read = reader(clone / "deep" / "agents", "main")
    assert read(None).commit != second
    assert fetcher(clone / "deep" / "agents", "origin", "main")() == ""
    assert read(None).commit == second
    assert fetcher(clone / "deep" / "agents", "nowhere", "main")() != ""
