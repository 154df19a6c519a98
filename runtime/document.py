"""YAML text to JSON-model data with the position of every value. The one owner of PyYAML.

YAML is read as YAML 1.2's core schema, as editors read it: `no` is a word, `17:30` is a word, `012` is twelve,
dates are words, a repeated key is a problem and not a silent loss. Knows nothing about agents.
"""

import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from runtime import misreadings
from runtime.errors import Problem
from runtime.misreadings import BRACES

Path = tuple[str | int, ...]

MAX_BYTES = 1_000_000  # a hundred times the longest agent file that we have seen
MAX_VALUES = 20_000  # an alias repeats what it names; a bomb of ten lines would fill the memory
MAX_DEPTH = 60

EMPTY = "the file is empty"


class Place(NamedTuple):
    """Where a value stands: line and column from 1, the scalar as it was typed (`""` for collections), and the
    line where it ends. `file` names another file than the document's own, `environment` the one it was written for."""

    line: int
    column: int
    typed: str = ""
    last_line: int = 0
    file: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One file's data with positions. `places` holds each value's place, `keys` each key's, by path; `texts` the
    file's text under `""`, and by name those of other files that places name."""

    file: str
    data: Any
    places: Mapping[Path, Place] = field(repr=False)
    keys: Mapping[Path, Place] = field(repr=False)
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return where `path` stands, or its nearest parent that was written."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1))

    def written_at(self, path: Path, *, key: bool = False) -> Place:
        """Return where `path` stands, or its key, with the file in which it does."""
        place = self.place(path, key=key)
        return place._replace(file=place.file or self.file)

    def below(self, path: Path) -> "Document":
        """Return what stands at a path as a document of its own, with its places in this file."""
        places, keys = (
            {where[len(path) :]: place for where, place in known.items() if where[: len(path)] == path}
            for known in (self.places, self.keys)
        )
        return Document(self.file, value_at(self.data, path), places, keys, self.texts)

    def problem(self, path: Path, message: str, cure: str = "", *, key: bool = False, **more: Any) -> Problem:
        """Return a problem at `path`, or at its key."""
        place = self.written_at(path, key=key)
        return Problem(place.file, place.line, place.column, dotted(path), message, cure, **more)

    def problem_in(self, path: Path, line: int, message: str, cure: str = "", *, near: str = "") -> Problem:
        """Return a problem at a line (from 1) inside the text value at `path`.

        A block scalar's first line of text is the one below its `|`. Other texts are folded, and their lines are
        not the file's: there the first place where `near` is written counts.
        """
        place = self.place(path)
        file, lines = place.file or self.file, self.texts.get(place.file, "").splitlines()
        if lines[place.line - 1 :] and lines[place.line - 1][place.column - 1 :].startswith("|"):
            at = min(place.line + line, len(lines))
            return Problem(file, at, column_of(near, lines[at - 1]), dotted(path), message, cure)
        for at in range(place.line, min(place.last_line, len(lines)) + 1):
            start = place.column - 1 if at == place.line else 0
            if near and near in lines[at - 1][start:]:
                return Problem(file, at, lines[at - 1].index(near, start) + 1, dotted(path), message, cure)
        return Problem(file, place.line, place.column, dotted(path), message, cure)


def column_of(near: str, line: str) -> int:
    """Return the column (from 1) where `near` is written in a line, or where the line's text begins."""
    found = line.find(near) if near else -1
    return 1 + (found if found >= 0 else len(line) - len(line.lstrip()))


def dotted(path: Path) -> str:
    """Return a path as an author says it: `tools[1].entrypoint`; the first element of a list is 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def value_at(data: Any, path: Path) -> Any:
    """Return what stands at a path of a document's data."""
    for part in path:
        data = data[part]
    return data


def each_of(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """Return what an author wrote alone or in a list, each with its path; `path` is that of the value."""
    return [((*path, at), each) for at, each in enumerate(value)] if isinstance(value, list) else [(path, value)]


def read(raw: bytes, file: str) -> tuple[Document | None, list[Problem]]:
    """Read one file's bytes: the document, or None and why not. Never raises, whatever the bytes are."""
    try:
        text = _decode(raw)
        node = _compose(text)
        builder = _Builder(file, text)
        data = builder.build(node, ())
    except _Unreadable as unreadable:
        return None, [Problem(file, unreadable.line, unreadable.column, "", unreadable.message, unreadable.cure)]
    if builder.problems:
        return None, builder.problems
    return Document(file, data, builder.places, builder.keys, {"": text}), []


@dataclass
class _Unreadable(Exception):
    message: str
    cure: str = ""
    line: int = 1
    column: int = 1


def _decode(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _Unreadable(f"the file has {len(raw):,} bytes", f"A file may have {MAX_BYTES:,}.")
    try:
        return raw.decode("utf-8-sig").translate(_STAND_INS)
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        cure = "Save the file as UTF-8 in your editor."
        raise _Unreadable("the file is not UTF-8 text", cure, line, column) from None


# YAML 1.2 ends no line at these three (section 5.4); libyaml, which reads 1.1, does. They come with text that is
# pasted from web pages, so while it reads, signs of the private use area stand in for them.
_STAND_INS = {0x85: "\uf885", 0x2028: "\uf828", 0x2029: "\uf829"}
_STOOD_FOR = {ord(sign): chr(code) for code, sign in _STAND_INS.items()}

_CORE = (  # YAML 1.2, section 10.3.2: what a plain scalar means
    ("null", re.compile(r"(?:~|null|Null|NULL|)\Z")),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")),
    ("int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")),
    (
        "float",
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
    ),
)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser is seven times faster


class _Node(NamedTuple):
    """One value of the text: `kind` is scalar, seq or map; `value` text, nodes, or pairs of nodes. `start` and `end`
    are a scalar's in the text, `in_braces` tells how a mapping is written."""

    kind: str
    value: Any
    line: int
    column: int
    tag: str | None = None
    plain: bool = False
    last_line: int = 0
    start: int = 0
    end: int = 0
    in_braces: bool = False


def _compose(text: str, mends: int = 50) -> _Node:
    """Parse one document. From events, since the parser's own composer overflows its stack when nested deeply.

    A tab that YAML 1.2 allows and libyaml does not is mended and the text parsed again, `mends` times at most.
    """
    loader = _Loader(text)
    try:
        loader.get_event()  # the stream's start
        if loader.check_event(yaml.StreamEndEvent):
            raise _Unreadable(EMPTY, "Begin with 'name: ' and the agent's name.")
        loader.get_event()  # the document's start
        node = _node(loader, {}, 0)
        loader.get_event()  # the document's end
        if not loader.check_event(yaml.StreamEndEvent):
            mark: Any = loader.get_event().start_mark
            cure = "Move it to a file of its own, or remove the line with ---."
            raise _Unreadable("a second document begins here", cure, mark.line + 1, mark.column + 1)
    except yaml.MarkedYAMLError as error:
        mended = _without_tab(text, error)
        if mends and mended != text:
            return _compose(mended, mends - 1)
        raise _unreadable_yaml(error, text) from None
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        line, column = misreadings.line_and_column(text, position if isinstance(position, int) else 0)
        message = "a character that a text file cannot have stands here"
        raise _Unreadable(message, "Delete it and type the line again.", line, column) from None
    finally:
        loader.dispose()
    if node.kind == "scalar" and node.plain and not node.value:
        raise _Unreadable(EMPTY, "Begin with 'name: ' and the agent's name.")
    return node


_ALLOWED_TABS = re.compile(r" *\t[ \t]*(?=#|\r?\Z)| *-[ \t]+")  # empty lines, before a comment, behind a dash


def _without_tab(text: str, error: yaml.MarkedYAMLError) -> str:
    """Return the text with spaces for allowed tabs at the beginning of the line that the parser stopped at."""
    lines = text.split("\n")
    at = error.problem_mark.line if error.problem_mark else 0
    if at < len(lines) and (tabs := _ALLOWED_TABS.match(lines[at])):
        lines[at] = tabs[0].replace("\t", " ") + lines[at][tabs.end() :]
    return "\n".join(lines)


def _node(loader: Any, anchors: dict[str, _Node | None], depth: int) -> _Node:
    event = loader.get_event()
    start, end = event.start_mark.index, event.end_mark.index
    line, column, last_line = event.start_mark.line + 1, event.start_mark.column + 1, event.end_mark.line + 1
    if depth > MAX_DEPTH:
        raise _Unreadable("the file is nested too deeply", f"Write fewer levels; {MAX_DEPTH} are read.", line, column)
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            cure = "Text that begins with * needs quotes."
            raise _Unreadable(f"*{event.anchor} names an anchor that does not exist", cure, line, column)
        target = anchors[event.anchor]
        if target is None:
            raise _Unreadable(f"*{event.anchor} holds itself", "Write the values out.", line, column)
        return target._replace(line=line, column=column, start=start, end=end)
    if event.anchor is not None:
        anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent) and not event.value and not event.style:
            cure = f'Write it in quotes, such as "&{event.anchor}".'
            raise _Unreadable("text that begins with & needs quotes", cure, line, column)
    value: Any
    if isinstance(event, yaml.ScalarEvent):
        plain = event.implicit[0] and not event.style
        value = event.value.translate(_STOOD_FOR)
        node = _Node("scalar", value, line, column, event.tag, plain, last_line, start, end)
    elif isinstance(event, yaml.SequenceStartEvent):
        value = []
        while not loader.check_event(yaml.SequenceEndEvent):
            value.append(_node(loader, anchors, depth + 1))
        loader.get_event()
        node = _Node("seq", value, line, column, event.tag)
    else:
        value = []
        while not loader.check_event(yaml.MappingEndEvent):
            key = _node(loader, anchors, depth + 1)
            value.append((key, _node(loader, anchors, depth + 1)))
        loader.get_event()
        node = _Node("map", value, line, column, event.tag, in_braces=bool(event.flow_style))
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


def _unreadable_yaml(error: yaml.MarkedYAMLError, text: str) -> _Unreadable:
    """Turn the parser's words into the author's, at the line where the author must type."""
    said, opening = f"{error.context or ''} {error.problem or ''}", error.context_mark
    mark = error.problem_mark or opening
    mistake, line, column = misreadings.why_unread(text, said, mark, opening, lambda index: _tokens(text, index))
    return _Unreadable(mistake.message, mistake.cure, line, column)


def _tokens(text: str, index: int) -> list[Any]:
    """Return the signs and scalars of a text up to the one at an index."""
    loader, found = _Loader(text), []
    try:
        while loader.check_token():
            token = loader.get_token()
            if token.start_mark.index > index:
                break
            if token.end_mark.index > token.start_mark.index:  # others are the scanner's own, such as a block's end
                found.append(token)
    except yaml.YAMLError:
        pass  # the parser says why
    finally:
        loader.dispose()
    return found


_TAG_CURE = "Remove it, or put text that begins with ! in quotes."


class _Builder:
    """Walks the parser's nodes once, making data and positions, and collecting problems."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._text = text
        self.places: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def build(self, node: _Node, path: Path) -> Any:
        self._values += 1
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:
            message = "the file holds too many values through its aliases"
            raise _Unreadable(message, "Write the values out.", node.line, node.column)
        typed = node.value if node.plain else ""
        self.places[path] = Place(node.line, node.column, typed, node.last_line)
        if node.kind == "scalar":
            return self._scalar(node, path)
        if node.tag not in (None, f"tag:yaml.org,2002:{node.kind}"):
            self._problem(node, path, f"the tag {_tag_of(node)} is not understood", _TAG_CURE)
        if node.kind == "seq":
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return {key: self.build(value, (*path, key)) for key, value in self._entries(node, path)}

    def _entries(self, node: _Node, path: Path) -> Iterator[tuple[str, _Node]]:
        seen: dict[str, int] = {}
        for key_node, value_node in self._whole(node, path) if node.in_braces else node.value:
            if key_node.kind == "map" and (key_node.line, key_node.column) == (node.line, node.column + 1):
                self._problem(node, path, BRACES.message, BRACES.cure)
                continue
            if key_node.kind != "scalar":
                self._problem(key_node, path, "a field's name is a list or a mapping", "Field names are words.")
                continue
            key = key_node.value
            if self._tell_of_key(key_node, value_node, path, in_braces=node.in_braces):
                continue
            if key == "<<" and key_node.plain:
                cure = "Write the fields out; editors and Switchboard read YAML 1.2, which has no merge keys."
                self._problem(key_node, path, "'<<' is not understood", cure)
                continue
            if key in seen:
                message = f"'{key}' is written twice, first in line {seen[key]}"
                self._problem(key_node, (*path, key), message, "Keep one of the two.")
                continue
            seen[key] = key_node.line
            self.keys[(*path, key)] = Place(key_node.line, key_node.column)
            yield key, value_node

    def _whole(self, node: _Node, path: Path) -> Iterator[tuple[_Node, _Node]]:
        """Yield the entries of braces without the rest of a text that ends at a comma, and tell of that text.

        YAML takes what stands behind the comma for a key without a value. Only a word such as hangs_up is left to
        whoever knows the fields.
        """
        entries = deque(node.value)
        while entries:
            key, value = entries.popleft()
            rest: list[str] = []
            while _is_text(value) and entries and self._continues(*entries[0]):
                rest.append(entries.popleft()[0].value)
            if rest and key.kind == "scalar":
                message, cure = misreadings.broken_off(key.value, value.value, rest)
                self._problem(value, (*path, key.value), message, cure)
            yield key, value

    def _continues(self, key: _Node, value: _Node) -> bool:
        is_text = _is_text(key) and not misreadings.is_field(key.value)
        return is_text and _is_text(value, empty=True) and self._is_bare(key, value)

    def _tell_of_key(self, key: _Node, value: _Node, path: Path, *, in_braces: bool) -> bool:
        """Tell of a key that is none, if it is so."""
        is_bare = in_braces and self._is_bare(key, value)
        found = misreadings.in_key(key.value, is_bare=is_bare) if key.plain else None
        if found is None:
            return False
        mistake, offset = found
        self._problem(key._replace(column=key.column + offset), path, mistake.message, mistake.cure)
        return True

    def _is_bare(self, key: _Node, value: _Node) -> bool:
        """Tell whether an entry in braces is a key without a colon, which YAML reads as one that has no value."""
        return value.plain and not value.value and ":" not in self._text[key.end : value.start]

    def _scalar(self, node: _Node, path: Path) -> Any:
        value: str = node.value
        if node.plain and node.tag is None:
            kind = next((kind for kind, pattern in _CORE if pattern.match(value)), "str")
        else:
            kind = (node.tag or "str").removeprefix("tag:yaml.org,2002:")
        if kind == "str":
            return value
        pattern = dict(_CORE).get(kind)
        if pattern is None or not pattern.match(value):
            self._problem(node, path, f"the tag {_tag_of(node)} is not understood here", _TAG_CURE)
            return None
        if kind == "null":
            return None
        if kind == "bool":
            return value.lower() == "true"
        try:
            number = _number(value) if kind == "int" else float(value)
        except ValueError:
            number = math.inf  # .inf, .nan, or more digits than Python converts
        if math.isfinite(number):
            return number
        self._problem(node, path, f"{value[:40]} is not a number that can be used", "Write a plain number.")
        return None

    def _problem(self, node: _Node, path: Path, message: str, cure: str) -> None:
        self.problems.append(Problem(self.file, node.line, node.column, dotted(path), message, cure))


def _is_text(node: _Node, *, empty: bool = False) -> bool:
    return node.kind == "scalar" and bool(node.value) is not empty


def _number(typed: str) -> int:
    return int(typed, 0) if typed[:2] in ("0o", "0x") else int(typed)


def _tag_of(node: _Node) -> str:
    return (node.tag or "").replace("tag:yaml.org,2002:", "!!")


_NUMBER = re.compile(r"\+[0-9]|.*\*\Z")  # a phone number, or the beginning of one: quoted, as authors must write them


def write(data: Any) -> str:
    """Return data as YAML text that `read` understands again as the same data."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def in_line(data: Any) -> str:
    """Return a list or a mapping as an author would write it on one line, for a cure."""
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=math.inf)
    return str(text).strip()


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer that quotes what YAML 1.2 *or* 1.1 would misread, and writes long text as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    misread = any(pattern.match(text) for _, pattern in _CORE) or any(map(text.count, map(chr, _STAND_INS)))
    misread = any((misread, _NUMBER.match(text), misreadings.is_taken_for_mistake(text)))
    style = '"' if misread else "|" if "\n" in text and not text.startswith((" ", "\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
