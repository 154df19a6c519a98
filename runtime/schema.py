"""Load a JSON Schema, check a document against it, fill in its defaults. The one owner of jsonschema.

Knows nothing about agents: names, limits, defaults and words all come out of the schema file. Beside the standard
keywords it reads our own: `x-means` (what a pattern stands for), `x-problem` and `x-cure` (the sentence for a
field that may not be here), `x-required` (what a complete document must have and a layer of it need not; editors
see layers and pass over it), `x-instead` (fields that would do as well as a missing one), `x-shorthand` (words that
stand for objects), `x-shutdown` (values with an end), `x-synonyms` (what authors call a field as well) and
`x-elsewhere` (what a file of another kind looks like, with the sentence for it).
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, reduce
from importlib import resources
from operator import getitem
from pathlib import Path as FilePath
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.validators import extend

from runtime.document import Document, Path
from runtime.errors import Problem, did_you_mean, listing
from runtime.misreadings import parted

KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of fields",
    "null": "null",
}

_ENDING = ".schema.json"


class Schema:
    """One schema, ready to check and to fill. Immutable, safe to share between threads."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw: Mapping[str, Any] = _inlined(raw, raw)
        self._validator = _Validator(self.raw)
        self._conditions: dict[int, Any] = {}
        self._defaults: dict[int, Any] = {}
        self._filled: dict[tuple[int, int], tuple[Any, Any]] = {}

    def check(self, document: Document, *, complete: bool = True) -> list[Problem]:
        """Return every problem of the document, sorted by place; of a layer, when it need not be complete."""
        found = [error for error in self._validator.iter_errors(document.data) if complete or not _is_gap(error)]
        mistyped = _widest(error for error in found if error.validator == "type")
        strange = {_path(error): _strange(error) for error in found if _is_closed(error)}
        return sorted(
            {
                problem
                for error in found
                if mistyped.get(_path(error), error) is error and not _is_echo(error, strange)
                for problem in _problems(error, document, self.raw, self._known_above(_path(error), document.data))
            }
        )

    def _known_above(self, path: Path, data: Any) -> frozenset[str]:
        """Return the fields that the mapping around the value at a path may have and has not."""
        around = path[:-1] if path and isinstance(path[-1], str) else path[:-2]
        if not path:
            return frozenset()
        nodes, value = [self.raw], data
        for name in around:
            field = ("items",) if isinstance(name, int) else ("properties", name)
            parts = [part for node in nodes for part in self._parts(node, value)]
            nodes = [node for part in parts if (node := reduce(lambda at, key: at.get(key, {}), field, part))]
            value = value[name]
        if not isinstance(value, dict):
            return frozenset()
        return frozenset(name for node in nodes for part in self._parts(node, value) for name in _named(part)) - set(
            value
        )

    def fill(self, data: Any) -> Any:
        """Return a new value with defaults and shorthands filled in. Idempotent; `data` stays as it is.

        Only for data without errors: elsewhere the defaults of a variant could not be chosen.
        """
        return _copy(self._fill(self.raw, data))

    def _fill(self, node: Any, value: Any) -> Any:
        """Return a value with its defaults. It may share what it holds with `value` and with other results."""
        if isinstance(value, str):
            return node.get("x-shorthand", {}).get(value, value) if isinstance(node, dict) else value
        if isinstance(value, dict):
            value = dict(value)
            for part in self._parts(node, value):
                self._fill_fields(part, value)
        elif isinstance(value, list):
            for part in self._parts(node, value):
                if "items" in part:
                    value = [self._fill(part["items"], item) for item in value]
        return value

    def _fill_fields(self, part: Mapping[str, Any], value: dict[str, Any]) -> None:
        for name, child in part.get("properties", {}).items():
            if name in value:
                value[name] = self._fill_once(child, value[name])
            elif isinstance(child, dict) and "default" in child:
                value[name] = self._default(child)

    def _fill_once(self, node: Any, value: Any) -> Any:
        """Return a field's value with its defaults, made once for all documents that inherit it."""
        known = self._filled.get((id(node), id(value)))
        if known is None:
            if len(self._filled) >= _MOST:
                self._filled.clear()
            known = self._filled[id(node), id(value)] = (value, self._fill(node, value))
        return known[1]

    def _default(self, node: dict[str, Any]) -> Any:
        """Return a node's default, itself filled. It is the same for every document, so it is made once."""
        if id(node) not in self._defaults:
            self._defaults[id(node)] = self._fill(node, node["default"])
        return self._defaults[id(node)]

    def _parts(self, node: Any, value: Any) -> Iterator[dict[str, Any]]:
        """Yield the subschemas that hold for `value` at one place: the node, its allOf, its chosen branch."""
        if not isinstance(node, dict):
            return
        yield node
        for part in node.get("allOf", ()):
            yield from self._parts(part, value)
        if "if" in node:
            branch = "then" if self._holds(node["if"], value) else "else"
            if branch in node:
                yield from self._parts(node[branch], value)

    def _holds(self, condition: Mapping[str, Any], value: Any) -> bool:
        validator = self._conditions.get(id(condition))
        if validator is None:
            validator = self._conditions.setdefault(id(condition), _Validator(condition))
        return bool(validator.is_valid(value))


def _inlined(node: Any, root: Mapping[str, Any]) -> Any:
    """Return a schema with each `$ref` replaced by what it names, so that nobody has to look it up again."""
    if isinstance(node, list):
        return [_inlined(part, root) for part in node]
    if not isinstance(node, dict):
        return node
    inlined = {key: _inlined(value, root) for key, value in node.items() if key not in ("$defs", "$ref")}
    if "$ref" not in node:
        return inlined
    file, _, path = node["$ref"].partition("#/")
    there = json.loads(text(file.removesuffix(_ENDING))) if file else root
    target: Any = reduce(getitem, path.split("/"), there)
    return {**_inlined(target, there), **inlined}


def _copy(data: Any) -> Any:
    """Return a deep copy of JSON data; `copy.deepcopy` asks ten times as many questions."""
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_copy(item) for item in data]
    return data


def _shutdown(_: Any, ends: Mapping[str, Any], value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and value in ends:
        yield ValidationError("has an announced end")


def _widest(mistyped: Iterable[ValidationError]) -> dict[Path, ValidationError]:
    """Return for each value of a wrong kind the error that names the most kinds: others are those of a branch."""
    widest: dict[Path, ValidationError] = {}
    for error in sorted(mistyped, key=lambda each: isinstance(each.validator_value, list)):
        widest[_path(error)] = error
    return widest


def _path(error: ValidationError) -> Path:
    return tuple(error.absolute_path)


def _is_closed(error: ValidationError) -> bool:
    return bool(error.validator == "additionalProperties" and error.validator_value is False)


def _strange(error: ValidationError) -> dict[str, list[str]]:
    """Return the fields that a mapping may not have, each with the fields beside it that have one of that name."""
    fields: Any = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    written: Any = error.instance
    return {
        name: [home for home, node in fields.items() if name in _named_below(node)]
        for name in set(written) - set(fields)
    }


def _is_echo(error: ValidationError, strange: Mapping[Path, Mapping[str, Sequence[str]]]) -> bool:
    """Tell whether an error comes of fields that stand at the wrong place: there are too many, or another is empty."""
    path, limit, value = _path(error), error.validator_value, error.instance
    if error.validator == "not" and isinstance(limit, dict) and limit.keys() == {"minProperties"}:
        return isinstance(value, dict) and len(value.keys() - strange.get(path, {}).keys()) < limit["minProperties"]
    homes = strange.get(path[:-1], {}).values()
    return error.validator == "type" and value is None and any(path[-1] in each for each in homes)


def _named(node: Any) -> Iterator[str]:
    """Yield the fields that a schema's node names and that may be there."""
    for name, child in node.get("properties", {}).items() if isinstance(node, dict) else ():
        if child is True or child.get("not") != {}:
            yield name


def _named_below(node: Any) -> set[str]:
    """Return the fields that a value may have itself, or its entries where it is a list."""
    if not isinstance(node, dict):
        return set()
    below = [node[key] for key in ("then", "else", "items") if key in node] + list(node.get("allOf", ()))
    return set(_named(node)).union(*map(_named_below, below))


def _is_gap(error: ValidationError) -> bool:
    return bool(error.validator == "x-required")


_MOST = 4096  # fields that are remembered: those that a family shares, and an agent's own for a while
_verdicts: dict[tuple[int, int], tuple[Any, bool]] = {}  # each with its value, or another could come to have its id


def _properties(validator: Any, fields: Mapping[str, Any], value: Any, _: Any) -> Iterator[ValidationError]:
    """Check each field of a mapping. One value, inherited by many documents, is checked once."""
    if not isinstance(value, dict):
        return
    for name, node in fields.items():
        if name in value and not _is_well(validator, node, value[name]):
            yield from validator.descend(value[name], node, path=name, schema_path=name)


def _is_well(validator: Any, node: Any, value: Any) -> bool:
    """Tell whether a value has no problem. The verdict on a value stays: documents are never changed."""
    known = _verdicts.get((id(node), id(value)))
    if known is None:
        if len(_verdicts) >= _MOST:
            _verdicts.clear()
        known = _verdicts[id(node), id(value)] = (value, validator.evolve(schema=node).is_valid(value))
    return known[1]


_KEYWORDS = {
    "properties": _properties,
    "x-shutdown": _shutdown,
    "x-required": Draft202012Validator.VALIDATORS["required"],
}
_Validator: Any = extend(Draft202012Validator, _KEYWORDS)  # type: ignore[no-untyped-call]
_evolve, _evolved = _Validator.evolve, dict[int, Any]()


def _evolve_once(validator: Any, **changes: Any) -> Any:
    """Return the validator of a subschema, made once: jsonschema makes it again for every value of every document.

    Right only for schemas without `$ref`, where a subschema means the same wherever it is come from.
    """
    subschema = id(changes["schema"])  # never another's: the validator that is kept keeps its subschema
    if subschema not in _evolved:
        _evolved[subschema] = _evolve(validator, **changes)
    return _evolved[subschema]


_Validator.evolve = _evolve_once


def fault(schema: Mapping[str, Any]) -> str:
    """Return what is wrong with a JSON Schema that an author wrote, as the end of a sentence, or `""`."""
    if _refers(schema):
        return "cannot refer to another schema with $ref"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        field = ".".join(map(str, error.absolute_path))
        return f"has no sound '{field}'" if field else "is no JSON Schema"
    return ""


def _refers(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_refers, schema))
    if not isinstance(schema, dict):
        return False
    return any(isinstance(schema.get(key), str) for key in ("$ref", "$dynamicRef")) or any(
        map(_refers, schema.values())
    )


def misfits(schema: Mapping[str, Any], value: Any) -> list[str]:
    """Return why JSON data does not fit an author's schema, one end of a sentence each, without the data's values."""
    found = {
        (".".join(map(str, error.absolute_path)), _misfit(error))
        for error in Draft202012Validator(schema).iter_errors(value)
    }
    return [f"{field}: {said}".removeprefix(": ") for field, said in sorted(found)]


def _misfit(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    match error.validator:
        case "type":
            return f"must be {listing([KINDS[kind] for kind in ([wanted] if isinstance(wanted, str) else wanted)])}"
        case "enum":
            return f"must be {listing([_shown(choice) for choice in wanted])}"
        case "required":
            return error.message.replace("is a required property", "is missing")
        case "additionalProperties":
            return "there is more than it knows"
        case _:
            return f"does not keep to {error.validator} {json.dumps(wanted)}"


@cache
def load(name: str) -> Schema:
    """Return the schema `schemas/<name>.schema.json`, read once."""
    return Schema(json.loads(text(name)))


def text(name: str) -> str:
    """Return the schema's file as it is written.

    In a checkout it stands beside the package, in an installed wheel inside it.
    """
    file = f"{name}{_ENDING}"
    beside = FilePath(__file__).parents[1] / "schemas" / file
    source = beside if beside.is_file() else resources.files("runtime") / "schemas" / file
    return source.read_text("utf-8")


def _problems(
    error: ValidationError, document: Document, root: Mapping[str, Any], above: Collection[str]
) -> Iterator[Problem]:
    """Turn one of jsonschema's errors into problems in the author's words. `above` are the fields one level up."""
    path = _path(error)
    of_name = "propertyNames" in error.schema_path  # then the value is a field's name
    if of_name:
        path = (*path, str(error.instance))
    limit: Any = error.validator_value
    value: Any = error.instance
    schema: Any = error.schema if isinstance(error.schema, dict) else {}
    cure = schema.get("x-cure", "")
    match error.validator:
        case "additionalProperties" if limit is False:
            known = sorted(_named(schema))
            for name, below in sorted(_strange(error).items()):
                homes = [home for home in below if (home,) != path[-1:]]  # where it is already
                advice = _meant(name, schema) or _home(name, homes, value, above) or did_you_mean(name, known)
                advice = advice or f"Known here: {listing(known, 'and')}."
                yield document.problem((*path, name), "is not a field here", advice, key=True)
        case "required" | "x-required":
            missing = error.message.removesuffix(" is a required property").strip("'")
            wanted = (missing, *schema.get("x-instead", ()))
            if _is_misspelt(wanted, value, schema.get("properties") or root.get("properties", {})):
                return
            inner = _property(schema, missing) or _property(root, missing)
            advice = inner.get("x-cure") or cure or _example(missing, inner)
            yield document.problem(path, f"'{missing}' is missing", advice, key=True)
        case "type":
            yield _wrong_type(document, path, value, limit, schema)
        case "enum":
            words = [word for word in limit if isinstance(word, str)]
            advice = did_you_mean(value, words) if isinstance(value, str) else ""
            choices = ", ".join(_shown(word) for word in limit)
            message = f"{_shown(value)} is not {'' if len(limit) == 1 else 'one of '}{choices}"
            pick = f"Write {limit[0]}." if len(limit) == 1 else "Write one of these."
            yield document.problem(path, message, advice or cure or pick)
        case "const":
            yield document.problem(path, f"{_shown(value)} is not {_shown(limit)}", cure)
        case "pattern":
            meant = schema.get("x-means", "of the expected form")
            message = f"{_shown(value)} is not {meant}" if value else "is empty"
            example = _example(_last_name(path), schema)
            yield document.problem(path, message, _repaired(value, limit) or cure or example, key=of_name)
        case "minimum" | "exclusiveMinimum":
            least = f"at least {limit}" if error.validator == "minimum" else f"more than {limit}"
            yield document.problem(path, f"{_shown(value)} is too small", f"Write {least}.")
        case "maximum":
            yield document.problem(path, f"{_shown(value)} is too large", f"Write at most {limit}.")
        case "minLength" | "minItems" | "minProperties":
            yield document.problem(path, "is empty", cure or "Write something, or remove the field.")
        case "maxLength":
            yield document.problem(path, f"has {len(value)} characters", f"Write at most {limit}.")
        case "maxItems" | "maxProperties":
            yield document.problem(path, f"has {len(value)} entries", cure or f"Write at most {limit}.")
        case "uniqueItems":
            again = next(index for index, item in enumerate(value) if item in value[:index])
            yield document.problem(
                (*path, again), f"{_shown(value[again])} stands there already", "Remove one of them."
            )
        case "x-shutdown":
            end = limit[value]
            message = f"'{value}' shuts down on {end['date']}"
            yield document.problem(path, message, f"Use '{end['use']}'.", severity="warning")
        case "not":
            yield document.problem(path, schema.get("x-problem", "cannot stand here"), cure, key=True)
        case _:
            yield document.problem(path, error.message, cure)


def _meant(name: str, schema: Mapping[str, Any]) -> str:
    """Return the field that a word means for which authors take it, as a question, or `""`."""
    word = name.lower()
    for field, node in schema.get("properties", {}).items():
        if isinstance(node, dict) and word in node.get("x-synonyms", ()):
            return f"Did you mean '{field}'?"
    return ""


def _home(name: str, homes: Sequence[str], written: Mapping[str, Any], above: Collection[str]) -> str:
    """Return where a field belongs that is indented too little or too much, or `""`."""
    empty = [home for home in homes if home in written and written[home] is None]
    if 0 < len(empty or homes) <= 3:
        return f"It belongs below {listing([f'{home}:' for home in empty or homes])}, indented more."
    return "It belongs one level up, indented less." if name in above else ""


def _property(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = schema.get("properties", {}).get(name, {})
    return found if isinstance(found, dict) else {}


def _is_misspelt(missing: Sequence[str], written: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Tell whether one of these missing fields is there under a name that we already suggest to correct."""
    wanted, schema = {f"Did you mean '{name}'?" for name in missing}, {"properties": known}
    strange = [name for name in written if name not in known]
    return any((_meant(name, schema) or did_you_mean(name, known)) in wanted for name in strange)


def _wrong_type(document: Document, path: Path, value: Any, wanted: Any, schema: Mapping[str, Any]) -> Problem:
    kinds = [wanted] if isinstance(wanted, str) else list(wanted)
    typed = document.place(path).typed
    wants = f"not {listing([KINDS[kind] for kind in kinds])}"
    message = f"{_shown(value, typed)} is {wants}"
    if not path:
        shape = "a list" if isinstance(value, list) else "one mapping" if isinstance(value, dict) else "one text"
        message = f"the file is {shape} and {wants}"
        for other in schema.get("x-elsewhere", ()):
            if _Validator(other["if"]).is_valid(value):
                return document.problem(path, other["x-problem"], other["x-cure"])
    if value is None:
        message = "null cannot stand here" if typed else "has no value"
    return document.problem(path, message, _type_cure(path, value, typed, kinds, schema))


def _type_cure(path: Path, value: Any, typed: str, kinds: list[str], schema: Mapping[str, Any]) -> str:
    """Return what to type instead of a value that is of another kind than the field."""
    cure = str(schema.get("x-cure", ""))
    closed = "enum" in schema or "enum" in schema.get("then", {})  # quotes alone would not help there
    word = value.lower() if isinstance(value, str) else ""
    example = _example(_last_name(path), schema)
    if isinstance(value, str) and "object" in kinds and (advice := parted(value)):
        return advice
    if isinstance(value, str) and "array" in kinds and re.match(r"-\S", value):
        return "A dash needs a space behind it: write '- ' before each entry."
    if path and "object" in kinds and "array" not in kinds and _is_dashed(value):
        return "Remove the '- ' before its fields, for they are no list."
    if value is None:
        return cure or (example if closed else "Write a value, or remove the field.")
    if "null" in kinds and (value is False or word in _NOTHING):
        return "Write null."
    if "string" in kinds and isinstance(value, bool | int | float) and not closed:
        pattern = schema.get("pattern") or schema.get("then", {}).get("pattern", "")
        in_form = not pattern or re.search(pattern, typed)
        advice = _repaired(typed, pattern) or cure or str(schema.get("then", {}).get("x-cure", "")) or example
        if not in_form and advice:  # quotes alone would not help there either
            return advice
        lost = ", or its plus is lost" if typed.startswith("+") else ""
        return f'Put it in quotes{lost}: "{typed}".'
    if "boolean" in kinds and word in _SPOKEN:
        return f"Write {_SPOKEN[word]}."
    if "number" in kinds or "integer" in kinds:
        if _is_number(word):
            return f"Write it without quotes: {word}."
        if _is_number(word.replace(",", ".")):
            return f"Write it with a point: {word.replace(',', '.')}."
    if "array" in kinds and not isinstance(value, list):
        return cure or "Begin each entry on its own line with '- '."
    return cure or example or f"Write {listing([KINDS[kind] for kind in kinds])}."


def _is_dashed(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


_NOTHING = ("none", "off", "no", "false", "nothing", "nil")
_SPOKEN = {
    "yes": "true",
    "on": "true",
    "y": "true",
    "true": "true",
    "no": "false",
    "off": "false",
    "n": "false",
    "false": "false",
}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(value: Any, typed: str = "") -> str:
    if value is None:
        return typed or "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        text = value if len(value) <= 60 else value[:57] + "…"
        return f"'{text}'"
    return typed or json.dumps(value)


def _last_name(path: Path) -> str:
    return path[-1] if path and isinstance(path[-1], str) else ""


def _example(name: str, schema: Mapping[str, Any]) -> str:
    examples = schema.get("examples")
    if not examples:
        return ""
    shown = examples[0] if isinstance(examples[0], str) else json.dumps(examples[0], ensure_ascii=False)
    return f"For example: {name}: {shown}" if name else f"For example: {shown}"


def _straightened(text: str) -> Iterator[str]:
    """Yield a word without the quotes of a word processor, and a date and time as computers write it."""
    yield text.strip("“”„‟‘’‚«»「」\"' ")
    yield re.sub(r"(?<=\d) +(?=\d)", "T", text.upper())
    yield re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text)


def _repaired(value: Any, pattern: str) -> str:
    """Suggest the value without its spaces, with hyphens or in another case, with a plus, if that is all it lacks."""
    if not isinstance(value, str):
        return ""
    bare = re.sub(r"[\s().\-/“”„‘’\"']", "", value)
    trimmed = value.strip()
    candidates = [bare] if re.fullmatch(r"\+?[0-9]+\*?", bare) else []
    if re.fullmatch(r"[1-9][0-9]{10,14}", bare):  # with fewer digits it may lack the country code as well
        candidates.append(f"+{bare}")
    if bare.startswith("00"):
        candidates.append(f"+{bare[2:]}")
    hyphened = re.sub(r"[\s_]+", "-", trimmed)
    candidates += [trimmed, trimmed.lower(), hyphened, hyphened.lower(), re.sub(r"[\s-]+", "_", trimmed)]
    module = re.sub(r"\.py(?=:|$)", "", trimmed.removesuffix("()")).replace("/", ".")
    candidates += [module, ":".join(module.rsplit(".", 1)), trimmed.upper(), *_straightened(trimmed)]
    for candidate in candidates:
        if candidate != value and re.search(pattern, candidate):
            return f'Write "{candidate}".'
    return ""
