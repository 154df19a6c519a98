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

from runtime.errors import Problem

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

    def problem(self, path: Path, message: str, cure: str = "", *, key: bool = False, **more: Any) -> Problem:
        """Return a problem at `path`, or at its key."""
        place = self.place(path, key=key)
        return Problem(place.file or self.file, place.line, place.column, dotted(path), message, cure, **more)

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
        line, column = _line_and_column(text, position if isinstance(position, int) else 0)
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


class _Saying(NamedTuple):
    """What the parser says, and what an author should hear. `at_opening`: the mistake is where it began."""

    said: str
    message: str
    cure: str
    at_opening: bool = False


_TAB = _Saying("tab", "a tab stands where YAML wants spaces", "Replace the tab with spaces.")
_ESCAPE = _Saying("escape", "a backslash in double quotes starts an escape", "Use single quotes, or write \\\\.")
_BRACES = _Saying("", "text that begins with {{ needs quotes", 'Write "{{ … }} …", with quotes around the whole text.')
_BEHIND_QUOTE = _Saying(
    "", "more text stands behind a closing quote", 'Put the whole text in double quotes; write \\" for one inside.'
)
_QUOTE_TOO_LONG = _Saying(
    "",
    "a quote is opened here, and behind the one that closes it stands more text",
    'Close it at the end of the text; write \\" for one inside.',
)
_NEVER_CLOSED = _Saying(
    "flow", "a bracket is opened here and never closed", "Close it, or write one value a line with '- '.", True
)
_NEVER_OPENED = _Saying("", "a bracket is closed here that was never opened", "Remove it, or put the text in quotes.")
_IN_TEXT = _Saying("", "a bracket stands inside a text without quotes", "Put the whole text in quotes.")
_COLON_IN_TEXT = _Saying("", "a colon stands inside a text without quotes", "Put the whole text in quotes.")
_COMMENT = _Saying(
    "", "what stands behind # is a comment, and the bracket that is closed there stays open", "Put the text in quotes."
)
_SIGN = _Saying(
    "cannot start any token", "this text begins with a sign that YAML keeps for itself", "Put the text in quotes."
)
_COMMA = _Saying("", "a comma stands where a value is expected", "Remove it, or write the value before it.")
_EXCLAMATION = _Saying(
    "while scanning a tag", "text that begins with ! needs quotes", "Put the whole text in quotes.", True
)
_SPACES = _Saying(
    "", "a space that is none for YAML stands before the text", "Delete the line's beginning and indent it again."
)
_SAYINGS = (
    _NEVER_CLOSED,
    _EXCLAMATION,
    _Saying(
        "block sequence entries",
        "a dash stands where no list begins",
        "Begin a line with it, or put text that begins with - in quotes.",
    ),
    _Saying("quoted scalar", "a quote is opened here and never closed", "Close it at the end of the text.", True),
    _Saying(
        "mapping values are not allowed",
        "a colon stands where YAML expects none",
        "Put text that contains ': ' in quotes, or check the indentation.",
    ),
    _Saying("alias", "text that begins with * or & needs quotes", 'Write it in quotes, such as "*".'),
    _Saying("anchor", "text that begins with * or & needs quotes", 'Write it in quotes, such as "*".'),
    _SIGN,
    _Saying("expected ':'", "a line has no colon after its field's name", "Write 'field: value'.", True),
    _Saying("YAML document", "the line that begins with % asks for another YAML", "Remove it."),
    _Saying("directive", "the line that begins with % is not understood", "Remove it."),
    _Saying("block", "the indentation does not fit the lines above", "Indent fields of one level alike."),
    _Saying("expected", "the indentation does not fit the lines above", "Indent fields of one level alike."),
    _Saying("", "this is not YAML", "Check quotes and indentation."),
)
_STRANGE_SPACE = re.compile(r" *[^\S \t\r\n]")  # such as a Japanese keyboard's, or one that does not break
_OPENS_WITH_BRACES = re.compile(r"\s*(?:- +)*(?:[^\s:]+: +)?\{\{")
_DASH_WITHOUT_SPACE = re.compile(r"\s*-(?=[A-Za-z_]+:(?:\s|\Z))")
_GLUED = re.compile(r"([A-Za-z_]+)(:[^\S \t\r\n]*(?![\s/])|：\s*)(.+)", re.DOTALL)  # wide signs: Japanese keyboards
_GLUED_LINE = re.compile(r"\s*(?:- +)*" + _GLUED.pattern)
_GLUED_BRACKET = re.compile(r"(?:^\s*(?:- +)*|[{,]\s*)([A-Za-z_]+)([:：])([\[{\"'].*)")
_NO_SPACE_BEHIND_DASH = _Saying("", "a dash needs a space behind it", "Write '- ' before the field.")


def parted(typed: str) -> str:
    """Return what is wrong with a field and a value that no space parts, such as `says:hi`, as sentences, or `""`."""
    if not (glued := _GLUED.fullmatch(typed)):
        return ""
    saying = _no_space(glued)
    return f"{saying.message[0].upper()}{saying.message[1:]}. {saying.cure}"


def _no_space(glued: re.Match[str]) -> _Saying:
    name, colon, value = glued.groups()
    message = "a colon needs a space behind it"
    if colon != ":":
        message = (
            f"{'a wide ： is no colon' if colon[0] == '：' else 'what stands behind the colon is no space'} for YAML"
        )
    plain = re.split(r"[,\]}\n]", value)[0].strip()
    shown = {"{": "{…}", "[": "[…]", '"': '"…"', "'": "'…'"}.get(value[0], plain if len(plain) <= 40 else "…")
    return _Saying("", message, f"Write {name}: {shown.removesuffix('.')}.")


def _unreadable_yaml(error: yaml.MarkedYAMLError, text: str) -> _Unreadable:
    """Turn the parser's words into the author's, at the line where the author must type."""
    said = f"{error.context or ''} {error.problem or ''}"
    mark, opening = error.problem_mark or error.context_mark, error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = ["", *text.splitlines(), ""]
    here, before = lines[min(line, len(lines) - 1)], lines[line - 1]
    if "tab" in said or "\\t" in said or "\t" in here[: column + 1]:
        saying = _TAB
    elif strange := _STRANGE_SPACE.match(here):
        saying, column = _SPACES, strange.end()
    elif "escape" in said:
        saying = _ESCAPE
    elif opened := _OPENS_WITH_BRACES.match(here):
        saying, column = _BRACES, opened.end() - 1
    elif "mapping values" in said and (glued := _GLUED_LINE.match(before)):
        saying, line, column = _no_space(glued), line - 1, glued.start(2) + 1
    elif "could not find expected ':'" in said and opening and (glued := _GLUED_LINE.match(lines[opening.line + 1])):
        saying, line, column = _no_space(glued), opening.line + 1, glued.start(2) + 1
    elif (glued := _GLUED_BRACKET.search(here)) and glued.start(2) < column:
        saying, column = _no_space(glued), glued.start(2) + 1
    elif said.startswith("while parsing") and (dash := _DASH_WITHOUT_SPACE.match(here)):
        saying, column = _NO_SPACE_BEHIND_DASH, dash.end()
    elif said.startswith("while parsing") and mark and (stopped := _stopped(text, mark.index)):
        saying, index = stopped
        line, column = _line_and_column(text, index)
    else:
        saying = next(saying for saying in _SAYINGS if saying.said in said)
        if saying.at_opening and opening is not None:
            line, column = opening.line + 1, opening.column + 1
    return _Unreadable(saying.message, saying.cure, line, column)


_OPENING = (yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSING = (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_CLOSES = {yaml.FlowMappingStartToken: "}", yaml.FlowSequenceStartToken: "]"}


def _stopped(text: str, index: int) -> tuple[_Saying, int] | None:
    """Return why the parser stopped at a token, and the index where an author must type; None for other reasons.

    Every text of an author that is not in quotes may hold a sign that YAML takes for its own, and what the parser
    says then is that a bracket is not closed.
    """
    tokens = _tokens(text, index)
    token = tokens.pop() if tokens and tokens[-1].start_mark.index == index else None
    opened = _opened(tokens)
    if opened and (comment := _comment_that_closes(text, tokens[tokens.index(opened[-1]) :], index)):
        return _COMMENT, comment
    if isinstance(token, _CLOSING):
        if not opened:
            return _NEVER_OPENED, index
        message = f"the bracket of line {opened[-1].start_mark.line + 1} is closed by one of another kind"
        return _Saying("", message, f"Write {_CLOSES[type(opened[-1])]} here, or put the text in quotes."), index
    last = tokens[-1] if tokens else None
    if token is not None and last is not None and last.end_mark.line == token.start_mark.line:
        if isinstance(last, yaml.ScalarToken) and last.style in ("'", '"'):
            is_one_line = last.start_mark.line == last.end_mark.line
            return (_BEHIND_QUOTE, index) if is_one_line else (_QUOTE_TOO_LONG, last.start_mark.index)
        if isinstance(token, _OPENING) or (isinstance(last, _CLOSING) and isinstance(token, yaml.ScalarToken)):
            return _IN_TEXT, index
        if opened and isinstance(token, yaml.ValueToken) and last.start_mark.line == last.end_mark.line:
            return _COLON_IN_TEXT, index
        if opened and isinstance(token, yaml.FlowEntryToken):
            return _COMMA, index
        if opened and isinstance(token, yaml.BlockEntryToken | yaml.KeyToken):
            return _SIGN, index
    return (_NEVER_CLOSED, opened[-1].start_mark.index) if opened else None


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


def _opened(tokens: list[Any]) -> list[Any]:
    """Return the brackets that are still open behind these tokens, the innermost last."""
    opened: list[Any] = []
    for token in tokens:
        if isinstance(token, _OPENING):
            opened.append(token)
        elif isinstance(token, _CLOSING) and opened:
            opened.pop()
    return opened


def _comment_that_closes(text: str, tokens: list[Any], index: int) -> int:
    """Return the index of a comment behind these tokens that holds a bracket's end, or 0."""
    ends = [*(token.start_mark.index for token in tokens[1:]), index]
    for token, end in zip(tokens, ends, strict=True):
        if found := re.search(r"#[^\n]*[}\]]", text[token.end_mark.index : end]):
            return int(token.end_mark.index + found.start())
    return 0


def _line_and_column(text: str, index: int) -> tuple[int, int]:
    """Return the line and column, from 1, of an index in a text."""
    before = re.split(r"\r\n?|\n", text[:index])
    return len(before), len(before[-1]) + 1


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
                self._problem(node, path, _BRACES.message, _BRACES.cure)
                continue
            if key_node.kind != "scalar":
                self._problem(key_node, path, "a field's name is a list or a mapping", "Field names are words.")
                continue
            key = key_node.value
            if self._is_glued(key_node, value_node, path, in_braces=node.in_braces):
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
                message, cure = _broken_off(key.value, value.value, rest)
                self._problem(value, (*path, key.value), message, cure)
            yield key, value

    def _continues(self, key: _Node, value: _Node) -> bool:
        is_text = _is_text(key) and not _FIELD.fullmatch(key.value) and not _GLUED.fullmatch(key.value)
        return is_text and _is_text(value, empty=True) and self._is_bare(key, value)

    def _is_glued(self, key: _Node, value: _Node, path: Path, *, in_braces: bool) -> bool:
        """Tell of a key that is a dash or a field's name with something behind it that a space should part, or begins
        with a space that YAML takes for a sign."""
        if not key.plain or not _MAY_BE_GLUED.search(key.value):
            return False
        if key.value[0].isspace():
            self._problem(key, path, _SPACES.message, _SPACES.cure)
            return True
        if _DASH_WITHOUT_SPACE.match(f"{key.value}:"):
            self._problem(key, path, _NO_SPACE_BEHIND_DASH.message, _NO_SPACE_BEHIND_DASH.cure)
            return True
        glued = _GLUED.fullmatch(key.value)
        if not glued or not (glued[3][0] in "[{\"'" or (in_braces and self._is_bare(key, value))):
            return False
        saying = _no_space(glued)
        self._problem(key._replace(column=key.column + len(glued[1])), path, saying.message, saying.cure)
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


_MAY_BE_GLUED = re.compile(r"\A[-\s]|[:：]")
_FIELD = re.compile(r"[a-z]+(?:_[a-z]+)+")
_CURLY = "“”„‟«»「」"


def _is_text(node: _Node, *, empty: bool = False) -> bool:
    return node.kind == "scalar" and bool(node.value) is not empty


def _broken_off(key: str, text: str, rest: list[str]) -> tuple[str, str]:
    """Return what is wrong with a field's text that YAML ends at a comma, and the cure."""
    if text.isdecimal() and len(rest) == 1 and rest[0].isdecimal():
        return "a comma stands inside a number", f"Write it with a point: {text}.{rest[0]}."
    whole = ", ".join([text, *rest])
    quotes = "straight quotes" if whole[0] in _CURLY else "quotes"
    shown = whole.strip(_CURLY).replace("\\", "\\\\").replace('"', '\\"')
    shown = shown if len(shown) <= 80 else f"{shown[:77]}…"
    return "the text ends at its comma", f'A text with a comma needs {quotes}: {key}: "{shown}".'


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
    misread = any((misread, _NUMBER.match(text), _GLUED_BRACKET.match(text), _DASH_WITHOUT_SPACE.match(f"{text}:")))
    style = '"' if misread else "|" if "\n" in text and not text.startswith((" ", "\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
