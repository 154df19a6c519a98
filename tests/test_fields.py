"""The field reference comes out of the schema, whole, and the README's table is the same one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import schema as schemas
from runtime.cli import main
from runtime.fields import fields, reference, table

README = Path(__file__).parents[1] / "README.md"
MARKED = re.compile(r"(?<=<!-- fields -->\n)(.*?)(?=<!-- /fields -->)", re.DOTALL)
SCHEMA = schemas.load("agent")
TOLD = reference(SCHEMA, "an agent file")


def descriptions(node: Any) -> Iterator[str]:
    """Yield every description below a schema's root, wherever it stands. Environments repeat the fields."""
    if isinstance(node, list):
        for part in node:
            yield from descriptions(part)
    elif isinstance(node, dict):
        if isinstance(node.get("description"), str):
            yield node["description"]
        for key, part in node.items():
            if key not in ("default", "examples", "if"):
                yield from descriptions(part)


def section(path: str) -> str:
    """Return what is told about one field."""
    return re.split(r"\n#+ ", TOLD.partition(f" `{path}`\n")[2])[0]


def test_the_table_in_the_readme_is_the_schemas() -> None:
    written = MARKED.search(README.read_text("utf-8"))
    assert written, "the README has lost the markers <!-- fields --> and <!-- /fields -->"
    assert written[1] == table(SCHEMA), "the README's table is older than the schema: run 'make fields'"


@pytest.mark.parametrize("field", sorted(SCHEMA.raw["properties"]))
def test_every_field_of_the_first_level_is_a_line_of_the_table(field: str) -> None:
    assert table(SCHEMA).count(f"| `{field}` |") == 1


def test_every_description_at_every_depth_is_told() -> None:
    missing = {told for told in descriptions(SCHEMA.raw["properties"]) if told not in TOLD}
    assert not missing


def test_every_field_is_told_once() -> None:
    headings = re.findall(r"^#+ `(.+)`$", TOLD, re.MULTILINE)
    assert headings == [field.path for field in fields(SCHEMA)]
    assert len(headings) == len(set(headings)) > 50


def test_a_field_is_told_with_kind_limits_default_and_example() -> None:
    assert section("speed").splitlines()[-5:] == [
        "",
        "- a number",
        "- at least 0.25, at most 1.5",
        "- default: `1`",
        "- for example: `1.1`",
    ]


def test_a_field_of_a_variant_tells_which() -> None:
    assert "- with `type: server_vad`\n" in section("turn_detection.silence_duration_ms")
    assert "- with `type: semantic_vad` or `type: server_vad`\n" in section("turn_detection.create_response")


def test_a_field_of_a_kind_of_tool_tells_which() -> None:
    assert "- with `use: transfer`\n" in section("tools[].destinations")
    assert "- with `use: hang_up`, `use: transfer`, `use: keypad`, `use: take_message` or `use: wait`\n" in (
        section("tools[].description")
    )
    assert "- with `http`\n" in section("tools[].arguments")
    for kind in ("entrypoint", "use", "http", "mcp"):
        assert "- with" not in section(f"tools[].{kind}"), "what a tool is needs no word about it"
        assert "- required" not in section(f"tools[].{kind}")


def test_a_field_that_means_something_else_in_another_variant_is_told_for_each() -> None:
    told = section("tools[].timeout_seconds")
    assert told.startswith("\nSeconds of pause after which the digits so far are taken.\n\n- with `use: keypad`\n")
    assert told.count("default: `") == 2
    assert "\nWith `http`, `mcp` or `entrypoint`: Seconds after which the model is told" in told


def test_fields_below_names_that_authors_choose_are_told() -> None:
    assert "Monday." in section("hours.NAME.weekly.mon")
    assert "Each agent" not in section("environments")
    assert not [field.path for field in fields(SCHEMA) if field.path.startswith("environments.")]


def test_choices_of_text_beside_another_kind_are_told() -> None:
    assert "- text or a mapping of fields\n- as text: one of `alloy`, `ash`," in section("voice")
    assert "- required\n" in section("voice.id")


def test_entries_of_lists_are_told() -> None:
    assert "- required\n" in section("handoffs[].agent")
    assert "- each entry: as text: a number such as" in section("answers")


def test_no_word_is_of_json() -> None:
    said = re.sub(r"`[^`]*`", "", TOLD)  # an author does write a JSON Schema's words for the arguments of `http`
    assert not re.search(r"\b(?:object|boolean|integer|array|None|True|False)\b|\$ref", said)


@pytest.mark.parametrize("field", fields(SCHEMA), ids=lambda field: field.path)
def test_words_beside_another_kind_are_examples_too(field: Any) -> None:
    """An editor proposes the examples of a field, and never the choices inside `then`."""
    proposed = [*field.node.get("examples", ()), field.node.get("default")]
    assert [word for word in field.node.get("then", {}).get("enum", ()) if word not in proposed] == []


def test_switchboard_schema_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == TOLD


if __name__ == "__main__":  # what 'make fields' runs
    README.write_text(MARKED.sub(lambda _: table(SCHEMA), README.read_text("utf-8")), "utf-8")
