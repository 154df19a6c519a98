"""What an author wrote that is no YAML, or is YAML and means something else, and what to type instead. Pure.

Knows the words and the tokens of the parser, and never calls it.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol


class Mark(Protocol):
    """A place in the text, all from 0."""

    line: int
    column: int
    index: int


class Mistake(NamedTuple):
    """What the parser says, and what an author should hear. `at_opening`: the mistake is where it began."""

    said: str
    message: str
    cure: str
    at_opening: bool = False


_TAB = Mistake("tab", "a tab stands where YAML wants spaces", "Replace the tab with spaces.")
_ESCAPE = Mistake("escape", "a backslash in double quotes starts an escape", "Use single quotes, or write \\\\.")
BRACES = Mistake("", "text that begins with {{ needs quotes", 'Write "{{ … }} …", with quotes around the whole text.')
_BEHIND_QUOTE = Mistake(
    "", "more text stands behind a closing quote", 'Put the whole text in double quotes; write \\" for one inside.'
)
_QUOTE_TOO_LONG = Mistake(
    "",
    "a quote is opened here, and behind the one that closes it stands more text",
    'Close it at the end of the text; write \\" for one inside.',
)
_NEVER_CLOSED = Mistake(
    "flow", "a bracket is opened here and never closed", "Close it, or write one value a line with '- '.", True
)
_NEVER_OPENED = Mistake("", "a bracket is closed here that was never opened", "Remove it, or put the text in quotes.")
_IN_TEXT = Mistake("", "a bracket stands inside a text without quotes", "Put the whole text in quotes.")
_COLON_IN_TEXT = Mistake("", "a colon stands inside a text without quotes", "Put the whole text in quotes.")
_COMMENT = Mistake(
    "", "what stands behind # is a comment, and the bracket that is closed there stays open", "Put the text in quotes."
)
_SIGN = Mistake(
    "cannot start any token", "this text begins with a sign that YAML keeps for itself", "Put the text in quotes."
)
_COMMA = Mistake("", "a comma stands where a value is expected", "Remove it, or write the value before it.")
_EXCLAMATION = Mistake(
    "while scanning a tag", "text that begins with ! needs quotes", "Put the whole text in quotes.", True
)
_SPACES = Mistake(
    "", "a space that is none for YAML stands before the text", "Delete the line's beginning and indent it again."
)
_NO_SPACE_BEHIND_DASH = Mistake("", "a dash needs a space behind it", "Write '- ' before the field.")
_MISTAKES = (
    _NEVER_CLOSED,
    _EXCLAMATION,
    Mistake(
        "block sequence entries",
        "a dash stands where no list begins",
        "Begin a line with it, or put text that begins with - in quotes.",
    ),
    Mistake("quoted scalar", "a quote is opened here and never closed", "Close it at the end of the text.", True),
    Mistake(
        "mapping values are not allowed",
        "a colon stands where YAML expects none",
        "Put text that contains ': ' in quotes, or check the indentation.",
    ),
    Mistake("alias", "text that begins with * or & needs quotes", 'Write it in quotes, such as "*".'),
    Mistake("anchor", "text that begins with * or & needs quotes", 'Write it in quotes, such as "*".'),
    _SIGN,
    Mistake("expected ':'", "a line has no colon after its field's name", "Write 'field: value'.", True),
    Mistake("YAML document", "the line that begins with % asks for another YAML", "Remove it."),
    Mistake("directive", "the line that begins with % is not understood", "Remove it."),
    Mistake("block", "the indentation does not fit the lines above", "Indent fields of one level alike."),
    Mistake("expected", "the indentation does not fit the lines above", "Indent fields of one level alike."),
    Mistake("", "this is not YAML", "Check quotes and indentation."),
)
_STRANGE_SPACE = re.compile(r" *[^\S \t\r\n]")  # such as a Japanese keyboard's, or one that does not break
_OPENS_WITH_BRACES = re.compile(r"\s*(?:- +)*(?:[^\s:]+: +)?\{\{")
_DASH_WITHOUT_SPACE = re.compile(r"\s*-(?=[A-Za-z_]+:(?:\s|\Z))")
_GLUED = re.compile(r"([A-Za-z_]+)(:[^\S \t\r\n]*(?![\s/])|：\s*)(.+)", re.DOTALL)  # wide signs: Japanese keyboards
_GLUED_LINE = re.compile(r"\s*(?:- +)*" + _GLUED.pattern)
_GLUED_BRACKET = re.compile(r"(?:^\s*(?:- +)*|[{,]\s*)([A-Za-z_]+)([:：])([\[{\"'].*)")
_MAY_BE_GLUED = re.compile(r"\A[-\s]|[:：]")
_FIELD = re.compile(r"[a-z]+(?:_[a-z]+)+")
_CURLY = "“”„‟«»「」"
_OPENING, _CLOSING = {"{": "}", "[": "]"}, {"}", "]"}
_SCALAR = "<scalar>"


# ── what the parser cannot read ───────────────────────────────────────────────────────────────────────────────


def why_unread(
    text: str, said: str, mark: Mark | None, opening: Mark | None, tokens: Callable[[int], list[Any]]
) -> tuple[Mistake, int, int]:
    """Return the mistake that stopped the parser, with the line and column, from 1, where the author must type.

    `said` are its words, `mark` is where it stopped, and `opening` where it began what it could not end. `tokens` gives
    the signs and scalars up to the one at an index.
    """
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = ["", *text.splitlines(), ""]
    here, before = lines[min(line, len(lines) - 1)], lines[line - 1]
    if "tab" in said or "\\t" in said or "\t" in here[: column + 1]:
        mistake = _TAB
    elif strange := _STRANGE_SPACE.match(here):
        mistake, column = _SPACES, strange.end()
    elif "escape" in said:
        mistake = _ESCAPE
    elif opened := _OPENS_WITH_BRACES.match(here):
        mistake, column = BRACES, opened.end() - 1
    elif "mapping values" in said and (glued := _GLUED_LINE.match(before)):
        mistake, line, column = _glued_mistake(glued), line - 1, glued.start(2) + 1
    elif "could not find expected ':'" in said and opening and (glued := _GLUED_LINE.match(lines[opening.line + 1])):
        mistake, line, column = _glued_mistake(glued), opening.line + 1, glued.start(2) + 1
    elif (glued := _GLUED_BRACKET.search(here)) and glued.start(2) < column:
        mistake, column = _glued_mistake(glued), glued.start(2) + 1
    elif said.startswith("while parsing") and (dash := _DASH_WITHOUT_SPACE.match(here)):
        mistake, column = _NO_SPACE_BEHIND_DASH, dash.end()
    elif said.startswith("while parsing") and mark and (stopped := _stopped(text, mark.index, tokens(mark.index))):
        mistake, index = stopped
        line, column = line_and_column(text, index)
    else:
        mistake = next(mistake for mistake in _MISTAKES if mistake.said in said)
        if mistake.at_opening and opening is not None:
            line, column = opening.line + 1, opening.column + 1
    return mistake, line, column


def _stopped(text: str, index: int, tokens: list[Any]) -> tuple[Mistake, int] | None:
    """Return why the parser stopped at a token, and the index where an author must type; None for other reasons.

    Every text of an author that is not in quotes may hold a sign that YAML takes for its own, and what the parser
    says then is that a bracket is not closed.
    """
    token = tokens.pop() if tokens and tokens[-1].start_mark.index == index else None
    opened = _opened(tokens)
    if opened and (comment := _comment_that_closes(text, tokens[tokens.index(opened[-1]) :], index)):
        return _COMMENT, comment
    if token is not None and token.id in _CLOSING:
        if not opened:
            return _NEVER_OPENED, index
        message = f"the bracket of line {opened[-1].start_mark.line + 1} is closed by one of another kind"
        return Mistake("", message, f"Write {_OPENING[opened[-1].id]} here, or put the text in quotes."), index
    last = tokens[-1] if tokens else None
    if token is not None and last is not None and last.end_mark.line == token.start_mark.line:
        if last.id == _SCALAR and last.style in ("'", '"'):
            is_one_line = last.start_mark.line == last.end_mark.line
            return (_BEHIND_QUOTE, index) if is_one_line else (_QUOTE_TOO_LONG, last.start_mark.index)
        if token.id in _OPENING or (last.id in _CLOSING and token.id == _SCALAR):
            return _IN_TEXT, index
        if opened and token.id == ":" and last.start_mark.line == last.end_mark.line:
            return _COLON_IN_TEXT, index
        if opened and token.id == ",":
            return _COMMA, index
        if opened and token.id in ("-", "?"):
            return _SIGN, index
    return (_NEVER_CLOSED, opened[-1].start_mark.index) if opened else None


def _opened(tokens: list[Any]) -> list[Any]:
    """Return the brackets that are still open behind these tokens, the innermost last."""
    opened: list[Any] = []
    for token in tokens:
        if token.id in _OPENING:
            opened.append(token)
        elif token.id in _CLOSING and opened:
            opened.pop()
    return opened


def _comment_that_closes(text: str, tokens: list[Any], index: int) -> int:
    """Return the index of a comment behind these tokens that holds a bracket's end, or 0."""
    ends = [*(token.start_mark.index for token in tokens[1:]), index]
    for token, end in zip(tokens, ends, strict=True):
        if found := re.search(r"#[^\n]*[}\]]", text[token.end_mark.index : end]):
            return int(token.end_mark.index + found.start())
    return 0


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """Return the line and column, from 1, of an index in a text."""
    before = re.split(r"\r\n?|\n", text[:index])
    return len(before), len(before[-1]) + 1


# ── what the parser reads as something else ───────────────────────────────────────────────────────────────────


def parted(typed: str) -> str:
    """Return what is wrong with a field and a value that no space parts, such as `says:hi`, as sentences, or `""`."""
    if not (glued := _GLUED.fullmatch(typed)):
        return ""
    mistake = _glued_mistake(glued)
    return f"{mistake.message[0].upper()}{mistake.message[1:]}. {mistake.cure}"


def _glued_mistake(glued: re.Match[str]) -> Mistake:
    name, colon, value = glued.groups()
    message = "a colon needs a space behind it"
    if colon != ":":
        message = (
            f"{'a wide ： is no colon' if colon[0] == '：' else 'what stands behind the colon is no space'} for YAML"
        )
    plain = re.split(r"[,\]}\n]", value)[0].strip()
    shown = {"{": "{…}", "[": "[…]", '"': '"…"', "'": "'…'"}.get(value[0], plain if len(plain) <= 40 else "…")
    return Mistake("", message, f"Write {name}: {shown.removesuffix('.')}.")


def in_key(key: str, *, is_bare: bool) -> tuple[Mistake, int] | None:
    """Return the mistake in a key without quotes, and how far from its beginning: a dash or a field's name with
    something behind it that a space should part, or a space that YAML takes for a sign.

    `is_bare`: it is a word in braces that YAML reads as a key without a value.
    """
    if not _MAY_BE_GLUED.search(key):
        return None
    if key[0].isspace():
        return _SPACES, 0
    if _DASH_WITHOUT_SPACE.match(f"{key}:"):
        return _NO_SPACE_BEHIND_DASH, 0
    glued = _GLUED.fullmatch(key)
    if not glued or not (is_bare or glued[3][0] in "[{\"'"):
        return None
    return _glued_mistake(glued), len(glued[1])


def is_field(word: str) -> bool:
    """Tell whether a word alone in braces may be meant as a field's name, such as hangs_up, also with its value."""
    return _FIELD.fullmatch(word) is not None or _GLUED.fullmatch(word) is not None


def broken_off(key: str, text: str, rest: Sequence[str]) -> tuple[str, str]:
    """Return what is wrong with a field's text that YAML ends at a comma, and the cure."""
    if text.isdecimal() and len(rest) == 1 and rest[0].isdecimal():
        return "a comma stands inside a number", f"Write it with a point: {text}.{rest[0]}."
    whole = ", ".join([text, *rest])
    quotes = "straight quotes" if whole[0] in _CURLY else "quotes"
    shown = whole.strip(_CURLY).replace("\\", "\\\\").replace('"', '\\"')
    shown = shown if len(shown) <= 80 else f"{shown[:77]}…"
    return "the text ends at its comma", f'A text with a comma needs {quotes}: {key}: "{shown}".'


def is_taken_for_mistake(text: str) -> bool:
    """Tell whether a text would be told as one of these mistakes if it stood without quotes."""
    return bool(_GLUED_BRACKET.match(text) or _DASH_WITHOUT_SPACE.match(f"{text}:"))
