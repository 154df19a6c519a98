"""The README tells the truth: its agent works, and nothing of the house is undocumented."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from runtime import cast, demo
from runtime import catalog as catalogs
from runtime import schema as schemas
from runtime.cli import _parser
from runtime.company import company_of
from runtime.draft import draft
from runtime.realtime.tools import read_tool
from runtime.rehearsal import rehearse
from runtime.scenarios import read
from tests.house import source
from tests.test_architecture import FLOORS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
AGENT = next(re.finditer(r"```yaml\n(.*?)```", README, re.DOTALL)).group(1)


def test_the_agent_of_the_readme_checks_and_answers_in_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    changed = AGENT.replace("What can I get you?", "I am listening.")
    catalog = catalogs.build([source(changed, "agents/pizzeria.yaml")], read_tool)
    assert demo.run(catalog, "pizzeria", pace=0) == 0
    assert "Pizzeria Aurora, good evening! I am listening." in capsys.readouterr().out


def test_the_family_of_the_readme_answers_other_numbers_on_staging() -> None:
    defaults, member = (part for part in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "staging:" in part)
    family = source(defaults, "agents/_defaults.yaml")
    inheriting = replace(source(member, "agents/aurora.yaml"), defaults=family)
    assert catalogs.check([inheriting], None) == []
    for environment, number in (("", "+15550100042"), ("staging", "+15550100942")):
        made = draft(inheriting, None, environment).definition
        assert made is not None
        assert [rule.called for rule in made.answers] == [number]


def test_the_agent_of_the_readme_has_about_fifteen_lines() -> None:
    assert len(AGENT.splitlines()) <= 17


@pytest.mark.parametrize("field", sorted(schemas.load("agent").raw["properties"]))
def test_every_field_is_documented(field: str) -> None:
    assert f"`{field}`" in README


def test_every_command_and_option_is_documented() -> None:
    verbs = next(action for action in _parser()._actions if action.choices)
    assert verbs.choices is not None
    for verb, parser in dict(verbs.choices).items():
        assert f"`switchboard {verb}" in README
        options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
        missing = [option for option in sorted(options - {"--help", "--agents"}) if option not in README]
        assert not missing, f"switchboard {verb} has undocumented options: {missing}"


@pytest.mark.parametrize("name", sorted(set().union(*FLOORS) - {"__main__"}))
def test_every_module_is_on_the_map(name: str) -> None:
    written = f"{name}/" if (ROOT / "runtime" / name).is_dir() else f"{name}.py"
    assert f"`{written}`" in README


def test_every_environment_variable_is_documented() -> None:
    source_text = (ROOT / "runtime" / "settings.py").read_text("utf-8")
    for name in set(re.findall(r'"((?:OPENAI|SWITCHBOARD)_[A-Z_]+)"', source_text)):
        assert f"`{name}`" in README


def test_the_targets_of_the_makefile_are_the_ones_it_names() -> None:
    targets = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("make demo", "make test", "make bench"):
        assert target in targets
        assert target in README


def test_the_scenario_of_the_readme_passes_with_its_agent() -> None:
    scenarios = next(part for part in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "- scenario:" in part)
    company = company_of([source(AGENT, "agents/pizzeria.yaml")], read_tool)
    file, problems = read(scenarios.encode(), "agents/pizzeria.scenarios.yaml")
    assert file is not None, problems
    assert cast.problems(file, company) == []
    for scenario in file.scenarios:
        assert rehearse(scenario, company.catalog).differences == ()
