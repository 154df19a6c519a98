"""The fields of a kind of file as Markdown, out of nothing but its schema: names, meanings, limits, defaults. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime.errors import listing
from runtime.schema import KINDS, Schema

Node = Mapping[str, Any]

_INTRODUCTION = """\
# The fields of {file}

Written by `switchboard schema` out of the schema that editors read. `a.b` is the field `b` inside `a`, `a[]`
stands for each entry of the list `a`, and `a.NAME` for each name that you choose inside `a`.
"""


def table(schema: Schema) -> str:
    """Return the fields of the first level as a Markdown table: name, meaning, default."""
    rows = [
        f"| `{field.path}` | {_cell(field.meaning)} | {_cell(_default(field))} |"
        for field in fields(schema)
        if not re.search(r"[.\[]", field.path)
    ]
    return "\n".join(["| Field | Meaning | Default |", "| --- | --- | --- |", *rows, ""])


def reference(schema: Schema, file: str) -> str:
    """Return every field at every depth, after the table: meaning, kinds, limits, default and examples.

    `file` says whose fields they are: `an agent file`.
    """
    return "\n".join([_INTRODUCTION.format(file=file), table(schema), *map(_section, fields(schema))])


@dataclass(frozen=True)
class Field:
    """A field with its path; `when` names what its mapping must hold for it: a field, or one with a value.

    `others` are what it means where the mapping holds something else.
    """

    path: str
    node: Node
    required: bool
    when: tuple[str, ...] = ()
    others: tuple["Field", ...] = ()

    @property
    def meaning(self) -> str:
        return str(self.node["description"])


def fields(schema: Schema) -> list[Field]:
    """Return every field at every depth, each before those inside it; one of several variants once.

    Of a file that is a list, the fields are those of an entry.
    """
    found: dict[str, Field] = {}
    for field in _walk(schema.raw.get("items", schema.raw)):
        found[field.path] = _joined(found[field.path], field) if field.path in found else field
    return list(found.values())


def _joined(known: Field, other: Field) -> Field:
    """Return a field with one more variant: with the same meaning as one that it has, or with another."""
    if known.meaning == other.meaning:
        return replace(known, when=tuple(dict.fromkeys(known.when + other.when)))
    for place, variant in enumerate(known.others):
        if variant.meaning == other.meaning:
            others = (*known.others[:place], _joined(variant, other), *known.others[place + 1 :])
            return replace(known, others=others)
    return replace(known, others=(*known.others, other))


def _walk(node: Node, path: str = "", when: tuple[str, ...] = ()) -> Iterator[Field]:
    for name, child in node.get("properties", {}).items():
        if isinstance(child, dict) and "description" in child:  # others limit or forbid a field that is told elsewhere
            inner = f"{path}.{name}" if path else name
            chooses = f"`{name}`" in when  # what makes the variant what it is needs no word about it
            required = not chooses and name in (*node.get("required", ()), *node.get("x-required", ()))
            yield Field(inner, child, required, () if chooses else when)
            yield from _walk(child, inner)
    if "items" in node:
        yield from _walk(node["items"], f"{path}[]", when)
    values = node.get("additionalProperties")
    if isinstance(values, dict) and path.rpartition(".")[2] not in values.get("properties", ()):  # else all over again
        yield from _walk(values, f"{path}.NAME", when)
    for part in node.get("allOf", ()):
        yield from _walk(part, path, when)
    for branch in ("then", "else"):
        if branch in node:
            yield from _walk(node[branch], path, (_chosen(node["if"]) if branch == "then" else ()) or when)


def _chosen(condition: Node) -> tuple[str, ...]:
    """Return what a mapping must hold for a condition: values of fields, or fields."""
    values = condition.get("properties", {}).items()
    chosen = tuple(f"`{name}: {value['const']}`" for name, value in values if "const" in value)
    return chosen or tuple(f"`{name}`" for name in condition.get("required", ()))


def _section(field: Field) -> str:
    heading = "#" * (2 + field.path.count(".")) + f" `{field.path}`"
    told = [heading, "", field.meaning, "", *_facts(field), ""]
    for other in field.others:
        told += [f"With {listing(other.when)}: {other.meaning}", "", *_facts(replace(other, when=())), ""]
    return "\n".join(told)


def _facts(field: Field) -> list[str]:
    facts = [f"with {listing(field.when)}"] if field.when else []
    facts += ["required"] if field.required else []
    facts += _limits(field.node)
    if not field.required and (default := _default(field)):
        facts.append(f"default: {default}")
    examples = field.node.get("examples", ())
    told = examples[:1] if _choices(field.node) else examples  # all the choices are told already
    facts += [f"for example: {', '.join(map(_code, told))}"] if told else []
    return [f"- {fact}" for fact in facts]


def _choices(node: Node) -> list[Any]:
    parts = (node, node.get("then", {}), node.get("else", {}))
    return [value for part in parts for value in part.get("enum", ())]


def _limits(node: Node, entry: str = "") -> list[str]:
    """Return what may stand at a node, in words; `entry` begins each sentence about a list's entries."""
    facts = [entry + _kinds(node)] if "type" in node else []
    facts += [entry + fact for fact in _bounds(node)]
    if "if" in node and "type" in node:
        text_first = node["if"].get("type") == "string"
        for branch, is_text in (("then", text_first), ("else", not text_first)):
            facts += [f"{entry}{'as text: ' if is_text else ''}{fact}" for fact in _bounds(node.get(branch, {}))]
            items = node.get(branch, {}).get("items")
            facts += _limits(items, f"{entry}each entry: ") if items and "if" not in items else []
    if "items" in node:
        facts += _limits(node["items"], f"{entry}each entry: ")
    if isinstance(values := node.get("additionalProperties"), dict):
        facts.append(f"{entry}values: {_kinds(values)}")
    if means := node.get("propertyNames", {}).get("x-means"):
        facts.append(f"{entry}names: {means}")
    if ends := node.get("x-shutdown"):
        for date, use in sorted({(end["date"], end["use"]) for end in ends.values()}):
            ending = [_code(value) for value, end in ends.items() if (end["date"], end["use"]) == (date, use)]
            facts.append(f"ends on {date}, use {_code(use)} instead of {listing(ending)}")
    return facts


def _kinds(node: Node) -> str:
    kinds = [node["type"]] if isinstance(node["type"], str) else node["type"]
    return listing([KINDS[kind] for kind in kinds])


def _bounds(node: Node) -> list[str]:
    facts = [f"one of {', '.join(map(_code, node['enum']))}"] if "enum" in node else []
    if any(node.get(least, 0) for least in ("minLength", "minItems", "minProperties")):
        facts.append("not empty")
    facts += ["each entry once"] if node.get("uniqueItems") else []
    facts += [node["x-means"]] if "pattern" in node and "x-means" in node else []
    facts += [f"at most {node['maxLength']} characters"] if "maxLength" in node else []
    words = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
    numbers = [f"{word} {node[limit]}" for limit, word in words.items() if limit in node]
    return facts + ([", ".join(numbers)] if numbers else [])


def _default(field: Field) -> str:
    if field.required:
        return "required"
    if "default" not in field.node:
        return ""
    value = field.node["default"]
    if value == {} and any("default" in inner.node for inner in _walk(field.node) if inner.path[0] != "."):
        return "that of each field inside"
    return "none" if value in ({}, [], "") else _code(value)


def _code(value: Any) -> str:
    return f"`{value if isinstance(value, str) else _flow(value)}`"


def _flow(value: Any) -> str:
    """Return a value as YAML on one line, as an author would write it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w ./-]*", value) and value not in _NOT_TEXT
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


_NOT_TEXT = ("null", "true", "false")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
