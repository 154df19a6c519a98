"""`switchboard init` makes a catalog repository that is right at once, and hooks that refuse what is wrong."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.cli import main
from runtime.scenarios import is_scenario_file
from tests.test_git import git

ROOT = Path(__file__).parents[1]
SCAFFOLD = ROOT / "runtime" / "scaffold"
AGENT = "agents/front-desk.yaml"
FIRST_LINE = "# yaml-language-server: $schema=../schemas/agent.schema.json"

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def modules_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each catalog import a `tools` of its own."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "tools"]:
        del sys.modules[name]


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    """Return a new catalog, and work inside it."""
    folder = tmp_path / "hotel"
    assert main(["init", str(folder)]) == 0
    capsys.readouterr()
    monkeypatch.chdir(folder)
    return folder


def paths(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


# ── what it makes ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_catalog_has_no_problems(catalog: Path, capsys: Capture) -> None:
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "1 agent file and 1 scenario file: no problems.\n"


@pytest.mark.slow
def test_a_new_catalog_answers_in_the_demo(catalog: Path, capsys: Capture) -> None:
    assert main(["demo"]) == 0
    assert "The Lighthouse, hello!" in capsys.readouterr().out


def test_it_prints_each_file_and_what_to_do_next(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "two words"
    assert main(["init", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert set(re.findall(r"^  made  (.+)$", printed, re.MULTILINE)) == paths(folder)
    assert f"\n{folder} is a catalog repository. Next:\n  cd '{folder}'\n  switchboard check" in printed
    assert printed.endswith(" README.md tells the rest.\n")


def test_it_makes_the_files_of_the_scaffold_and_the_schemas_that_the_runtime_reads(catalog: Path) -> None:
    templates = {path for path in paths(SCAFFOLD) if "__pycache__" not in path}
    schemas = {file.relative_to(ROOT).as_posix() for file in (ROOT / "schemas").iterdir()}
    assert paths(catalog) == templates | schemas
    assert all((catalog / path).read_bytes() == (ROOT / path).read_bytes() for path in schemas)


def test_each_agent_file_begins_with_the_line_that_names_its_schema(catalog: Path) -> None:
    for file in (catalog / "agents").rglob("*.yaml"):
        kind = "scenario" if is_scenario_file(file.name) else "agent"
        assert file.read_text("utf-8").splitlines()[0] == FIRST_LINE.replace("agent.schema", f"{kind}.schema")
        assert (file.parent / f"../schemas/{kind}.schema.json").exists()


def test_the_editor_gets_the_schema_without_network(catalog: Path) -> None:
    settings = json.loads((catalog / ".vscode/settings.json").read_text("utf-8"))
    assert all((catalog / schema).exists() for schema in settings["yaml.schemas"])
    assert settings["yaml.schemaStore.enable"] is False
    assert "redhat.vscode-yaml" in (catalog / ".vscode/extensions.json").read_text("utf-8")


def test_the_workflow_tells_github_where_problems_are(catalog: Path) -> None:
    assert "run: switchboard check --format github\n" in (catalog / ".github/workflows/check.yml").read_text("utf-8")


def test_the_readme_is_for_people_who_never_wrote_a_program(catalog: Path) -> None:
    words = (catalog / "README.md").read_text("utf-8").lower()
    assert not [word for word in ("python", "module", "pip ", "import", "json", "schema.json") if word in words]


def test_the_readmes_example_of_a_problem_is_what_check_says(catalog: Path, capsys: Capture) -> None:
    file = catalog / AGENT
    file.write_text(file.read_text("utf-8").replace("voice: marin", "voice: Marin"), "utf-8")
    assert main(["check"]) == 1
    beginning, end = re.search(
        r"^(agents/.*)alloy, … (.*)$", (catalog / "README.md").read_text(), re.MULTILINE
    ).groups()  # type: ignore[union-attr]
    (said, _) = capsys.readouterr().out.replace("'alloy'", "alloy").splitlines()
    assert said.startswith(beginning)
    assert said.endswith(end)


# ── what it leaves alone ──────────────────────────────────────────────────────────────────────────────────────


def test_a_second_time_changes_nothing_and_tells_what_it_kept(catalog: Path, capsys: Capture) -> None:
    (catalog / "README.md").write_text("Ours.\n", "utf-8")
    before = {path: (catalog / path).read_bytes() for path in paths(catalog)}
    assert main(["init", "."]) == 0
    printed = capsys.readouterr().out
    assert {path: (catalog / path).read_bytes() for path in paths(catalog)} == before
    assert printed.count("  kept  ") == len(before)
    assert "  kept  README.md (it was there before)\n" in printed
    assert "  made  " not in printed
    assert "  cd " not in printed
    assert "README.md tells" not in printed, "theirs may tell anything"


def test_a_file_that_is_missing_comes_back(catalog: Path, capsys: Capture) -> None:
    (catalog / "schemas/agent.schema.json").unlink()
    assert main(["init", "."]) == 0
    assert capsys.readouterr().out.count("  made  schemas/agent.schema.json\n") == 1


def test_a_catalog_that_has_agents_gets_no_sample(catalog: Path, capsys: Capture) -> None:
    (catalog / AGENT).rename(catalog / "agents/reception.yaml")
    assert main(["init", "."]) == 0
    assert not (catalog / AGENT).exists()
    assert main(["check"]) == 0


def test_a_link_that_leads_nowhere_is_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").symlink_to(tmp_path / "nowhere")
    assert main(["init", str(tmp_path)]) == 0
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(("taken", "said"), [("", " is a file."), ("agents", "agents cannot be written (File exists)")])
def test_a_file_where_a_folder_should_be_is_a_clear_mistake(
    taken: str, said: str, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "hotel"
    file = folder / taken
    file.parent.mkdir(exist_ok=True)
    file.write_text("x", "utf-8")
    assert main(["init", str(folder)]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert "repository" not in told.out, "nothing is told that did not come to be"
    assert file.read_text("utf-8") == "x"


# ── the hooks, with the real pre-commit ───────────────────────────────────────────────────────────────────────


def pre_commit(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with this environment's `switchboard` and `pre-commit` in reach, and nothing of the user's."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(folder.parent / "pre-commit"),
        **dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"), os.devnull),
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "a"),
        **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@example.org"),
    }
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def repository(catalog: Path) -> Path:
    """Return a new catalog in git, its agent without tools, which take seconds to import, and so without scenarios."""
    (catalog / "agents/front-desk.scenarios.yaml").unlink()
    file = catalog / AGENT
    file.write_text(file.read_text("utf-8").partition("# What it can do.")[0], "utf-8")
    git(catalog, "init", "-q", "-b", "main")
    git(catalog, "add", "-A")
    return catalog


@pytest.mark.slow
def test_a_commit_with_a_problem_is_refused_with_our_words_and_a_good_one_passes(repository: Path) -> None:
    assert pre_commit(repository, "pre-commit", "install").returncode == 0
    good = pre_commit(repository, "git", "commit", "-m", "Begin")
    assert good.returncode == 0, good.stderr
    assert re.search(r"switchboard check\.+Passed", good.stderr)

    file = repository / AGENT
    file.write_text(file.read_text("utf-8").replace("voice: marin", "voice: marine"), "utf-8")
    refused = pre_commit(repository, "git", "commit", "-am", "Another voice")
    assert refused.returncode == 1
    assert f"{AGENT}:18:8: voice: 'marine' is not one of" in refused.stderr
    assert "Did you mean 'marin'?" in refused.stderr
    assert git(repository, "log", "--format=%s") == "Begin"


@pytest.mark.slow
def test_the_hook_that_this_repository_offers_works_in_a_catalogs(repository: Path, tmp_path: Path) -> None:
    """The real hook, without its environment of its own: to install that, pre-commit would need the network."""
    offering = tmp_path / "switchboard"
    offering.mkdir()
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", offering)
    git(offering, "init", "-q", "-b", "main")
    git(offering, "add", "-A")
    git(offering, "commit", "-qm", "Offer")
    revision = git(offering, "rev-parse", "HEAD")
    hook = f"{{repo: {offering}, rev: {revision}, hooks: [{{id: switchboard-check, language: system}}]}}"
    (repository / ".pre-commit-config.yaml").write_text(f"repos:\n  - {hook}\n", "utf-8")
    git(repository, "add", "-A")
    assert pre_commit(repository, "pre-commit", "run").returncode == 0
    file = repository / AGENT
    file.write_text(file.read_text("utf-8").replace("voice: marin", "voice: marine"), "utf-8")
    git(repository, "add", "-A")
    refused = pre_commit(repository, "pre-commit", "run")
    assert refused.returncode == 1
    assert "Did you mean 'marin'?" in refused.stdout


@pytest.mark.slow
def test_pre_commit_understands_the_hook_that_this_repository_offers(tmp_path: Path) -> None:
    manifest = str(ROOT / ".pre-commit-hooks.yaml")
    assert pre_commit(tmp_path, "pre-commit", "validate-manifest", manifest).returncode == 0


def test_the_hook_runs_for_agents_their_texts_and_tools_only() -> None:
    pattern = re.search(r"files: (.+)", (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert pattern
    assert f"files: {pattern[1]}\n" in (SCAFFOLD / ".pre-commit-config.yaml").read_text("utf-8")
    for path in (AGENT, "agents/instructions/clinic.md", "tools/prices.py"):
        assert re.search(pattern[1], path)
    for path in ("README.md", ".github/workflows/check.yml"):
        assert not re.search(pattern[1], path)
