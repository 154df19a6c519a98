"""Compile templates, find what is wrong with them, render them; sandboxed and strict.

Knows nothing about agents: the names that a template may use, with sample values, are given to it.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property, lru_cache
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError
from jinja2.filters import do_center, do_indent
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runtime.errors import TemplateError, did_you_mean, listing

MAX_CHARACTERS = 200_000  # twenty times the longest instructions that we have seen; a model takes no more
_MAX_BITS = 4096  # of a whole number: more than anything that can be counted, and quick to write out
_WIDTH = re.compile(r"%[^a-zA-Z%]*?(\*|[0-9]{4,})")  # a padding that makes long texts out of short ones


class _TooLong(Exception):
    """What an expression would make is longer than anything that can be said."""


class _Environment(ImmutableSandboxedEnvironment):
    """Refuses, before they are worked out, the operations that turn a short text into an endless one."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str) and _WIDTH.search(left):
            raise _TooLong(_TOO_MANY)
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            _count(left.bit_length() * max(right, 0))
        if operator == "*":
            if isinstance(left, int) and isinstance(right, int):
                _count(left.bit_length() + right.bit_length())
            for one, other in ((left, right), (right, left)):
                repeated = isinstance(one, str | list | tuple) and isinstance(other, int)
                if repeated and len(one) * other > MAX_CHARACTERS:
                    raise _TooLong(_TOO_MANY if isinstance(one, str) else "it makes a list that is too long")
        return super().call_binop(context, operator, left, right)


_TOO_MANY = f"it makes more than {MAX_CHARACTERS:,} characters"


def _count(bits: int) -> None:
    if bits > _MAX_BITS:
        raise OverflowError


def _center(value: str, width: int = 80) -> str:
    return do_center(value, _bounded(width))


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    return do_indent(text, _bounded(width) if isinstance(width, int) else width, first, blank)


def _bounded(width: int) -> int:
    if width > MAX_CHARACTERS:
        raise _TooLong(_TOO_MANY)
    return width


_environment = _Environment(undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
_environment.filters |= {"center": _center, "indent": _indent}
_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_SAFE = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr)  # cannot fail when known
_EXPRESSION = re.compile(r"(?<!\{)\{\{[^{}]*\}\}")
_LINKS = (nodes.Getattr, nodes.Getitem)
_DEFAULT_CURE = "If it may be missing, write {{ … | default('') }}."


Finish = Callable[[Any], str]
"""Makes the text for a value that an expression fills in, such as its escaped form."""


@cache
def _environment_with(finish: Finish | None) -> jinja2.Environment:
    return _environment.overlay(finalize=finish) if finish else _environment


class Template:
    """One template's text. Cheap to make: nothing is parsed before it is asked for.

    `finish` writes each value that is filled in; without it they are written as Python's `str` does.
    """

    def __init__(self, text: str, finish: Finish | None = None) -> None:
        self.text = text
        self._finish = finish
        self._constant = not any(mark in text for mark in ("{{", "{%", "{#"))

    @cached_property
    def _compiled(self) -> jinja2.Template:
        return _environment_with(self._finish).from_string(self.text)

    @cached_property
    def _alone(self) -> TemplateExpression | None:
        """The one expression that is all of the text, if it is: `{{ people }}`."""
        body = () if self._constant else _environment.parse(self.text.strip()).body
        parts = [part for output in body for part in (output.nodes if isinstance(output, nodes.Output) else [output])]
        if len(parts) != 1 or not isinstance(parts[0], nodes.Expr) or isinstance(parts[0], nodes.TemplateData):
            return None
        inner = re.sub(r"^\{\{[-+]?|[-+]?\}\}$", "", self.text.strip())
        return _environment.compile_expression(inner, undefined_to_none=False)

    def faults(self, samples: Mapping[str, Any]) -> list[TemplateError]:
        """Return what is wrong with the template, given sample values for every name that it may use.

        Finds bad syntax and unknown names, also in branches that the samples do not reach, and then renders it
        once. A value that is missing in the samples counts as one that may be missing in a call.
        """
        found: dict[str, TemplateError] = {}
        for first_line, part in self._tried:
            for fault in part.faults(samples):
                near = fault.near or part.text.partition("\n")[0]
                found.setdefault(fault.message, replace(fault, line=first_line + fault.line - 1, near=near))
        if not found and self._may_be_too_long(samples):
            try:
                self.render(samples)
            except TemplateError as error:
                return [error]
        return list(found.values())

    @cached_property
    def _tried(self) -> list[tuple[int, "_Part"]]:
        """What of the template is tried by itself, with its first line."""
        parts = [(line, _part(text)) for line, text in _parts(self.text)]
        if any(part.is_broken for _, part in parts) and not _part(self.text).is_broken:
            return [(1, _part(self.text))]  # braces inside quotes looked like an expression's end
        return parts

    def _may_be_too_long(self, samples: Mapping[str, Any]) -> bool:
        """Whether the whole is worth a try after its parts: plain text and long variables count too."""
        values = sum(len(value) for value in samples.values() if isinstance(value, str))
        return len(self.text) + values > MAX_CHARACTERS

    def render(self, names: Mapping[str, Any]) -> str:
        """Return the text for these names, without white space around it. Raises `TemplateError`."""
        try:
            return self._text([self.text] if self._constant else self._compiled.generate(names))
        except Exception as error:  # a template runs its author's expressions, which may raise anything
            raise _failure(error) from error

    def value(self, names: Mapping[str, Any]) -> Any:
        """Return what one expression alone gives as JSON data of its own kind, such as a number; else the text.

        Raises `TemplateError`.
        """
        try:
            if self._alone is not None:
                return _as_data(self._alone(names))
        except Exception as error:  # as in render
            raise _failure(error) from error
        return self.render(names)

    @staticmethod
    def _text(pieces: Iterable[str]) -> str:
        """Join what a template makes, and stop at the piece that is too much."""
        made, length = [], 0
        for piece in pieces:
            made.append(piece)
            length += len(piece)
            if length > MAX_CHARACTERS:
                raise _TooLong(_TOO_MANY)
        return "".join(made).strip()


def _as_data(value: Any) -> Any:
    """Return what JSON can say of a value: what is none of its kinds as text, which raises for what is missing."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _as_data(inner) for key, inner in value.items()}
    return [_as_data(item) for item in value] if isinstance(value, list | tuple) else str(value)


def _failure(error: Exception) -> TemplateError:
    cure = _DEFAULT_CURE if isinstance(error, jinja2.UndefinedError) else "Check the words in the braces."
    return TemplateError(f"cannot be filled in: {_reason(error)}", _line_of(error), cure)


@lru_cache(maxsize=4096)
def template(text: str, finish: Finish | None = None) -> Template:
    """Return the template for a text; equal texts share one, so defaults are compiled once."""
    return Template(text, finish)


class _Part:
    """What of a template is tried by itself: one expression in its braces, or the whole text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._template = Template(text)
        self._fine: tuple[Any, ...] | None = None  # the samples that it uses, when last it had no fault

    @cached_property
    def _nodes(self) -> list[nodes.Node] | TemplateError:
        try:
            return list(_every(_environment.parse(self._template.text)))
        except jinja2.TemplateSyntaxError as error:
            return _syntax(self._template.text, error)
        except RecursionError:
            return TemplateError("the template is nested too deeply", 1, "Make it simpler.")

    @cached_property
    def _names(self) -> list[str]:
        tree = () if isinstance(self._nodes, TemplateError) else self._nodes
        return list({node.name for node in tree if isinstance(node, nodes.Name)})

    @property
    def is_broken(self) -> bool:
        """Whether the part cannot even be read."""
        return isinstance(self._nodes, TemplateError)

    def faults(self, samples: Mapping[str, Any]) -> list[TemplateError]:
        """Return what is wrong with this part, with lines that count from its own first."""
        tree = self._nodes
        if isinstance(tree, TemplateError):
            return [tree]
        used = tuple(samples.get(name, _nothing) for name in self._names)
        if self._fine is not None and all(map(operator.is_, used, self._fine)):
            return []  # a family of ten thousand agents gives most of its templates the same values
        found = [*_file_access(tree), *_unknown_filters(tree), *_dashes(tree, samples)]
        found = found or [*_unknown_names(tree, samples), *_unknown_attributes(tree, samples)]
        if not found and not all(isinstance(node, _SAFE) for node in tree):
            try:
                self._template.render(samples)
            except TemplateError as error:
                found.append(error)
        self._fine = None if found else used
        return found


_nothing = object()


@lru_cache(maxsize=4096)
def _part(text: str) -> _Part:
    """Return the part with this text; agents that say the same share it, so it is parsed and compiled once."""
    return _Part(text)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Yield the parts of a template with their first lines.

    Expressions between plain text do not know of each other; statements and comments keep a text together.
    """
    rest = _EXPRESSION.sub("", text)
    if any(mark in rest for mark in ("{{", "}}", "{%", "{#")):
        yield 1, text
        return
    for found in _EXPRESSION.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, found.group()


_CHECK = "Check the braces and the words between them."
_STATEMENT = re.compile(r"\{%-?\s*(end)?(if|for|set|filter|macro|call|with|raw|block)\b")


def _syntax(text: str, error: jinja2.TemplateSyntaxError) -> TemplateError:
    said = (error.message or "unreadable").rstrip(".").replace("\n", " ")
    if "end of template" in said and (opened := _never_closed(text)):
        word, line = opened
        return TemplateError(f"{{% {word} … %}} is never closed", line, f"Write {{% end{word} %}} where it ends.", "{%")
    if got := re.search(r"expected token 'end of (?:print|statement).*', got '(.*)'", said):
        cure = "Names in braces are one word, with underscores; text there needs quotes."
        return TemplateError(f"the braces should close before '{got[1]}'", error.lineno, cure)
    return TemplateError(f"the template cannot be read ({said[:1].lower()}{said[1:]})", error.lineno, _CHECK)


def _never_closed(text: str) -> tuple[str, int] | None:
    """Return the innermost statement that no `end…` closes, and its line."""
    opened: list[tuple[str, int]] = []
    for found in _STATEMENT.finditer(text):
        if not found[1]:
            opened.append((found[2], text.count("\n", 0, found.start()) + 1))
        elif opened and opened[-1][0] == found[2]:
            opened.pop()
    return opened[-1] if opened else None


def _reason(error: Exception) -> str:
    """Return why a template failed, in words that are not Python's."""
    match error:
        case ZeroDivisionError():
            return "it divides by zero"
        case SecurityError():
            return "it uses what templates may not use"
        case OverflowError():
            return "it counts too far"
        case jinja2.UndefinedError():
            missing = re.search(r"(?:no (?:attribute|element) )?('?[^' ]+'?)(?: is undefined)?$", str(error))
            return f"there is no {missing[1]}" if missing else "something in it does not exist"
        case TypeError() | ValueError():
            return "its values do not fit together"
        case _:
            return str(error).rstrip(".") or "it fails"


def _every(tree: nodes.Template) -> Iterator[nodes.Node]:
    """Yield each node of a tree, in the order of the text."""
    todo: list[nodes.Node] = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(reversed(list(node.iter_child_nodes())))


def _file_access(tree: Sequence[nodes.Node]) -> Iterator[TemplateError]:
    for node in tree:
        if isinstance(node, _FILES):
            yield TemplateError("a template cannot use other files", node.lineno, "Write the text here.")


def _unknown_filters(tree: Sequence[nodes.Node]) -> Iterator[TemplateError]:
    for node in tree:
        if isinstance(node, nodes.Filter | nodes.Test):
            kind = "filter" if isinstance(node, nodes.Filter) else "test"
            known = _environment.filters if kind == "filter" else _environment.tests
            if node.name not in known:
                cure = did_you_mean(node.name, known) or "Check its spelling."
                yield TemplateError(f"there is no {kind} '{node.name}'", node.lineno, cure, node.name)


def _dashes(tree: Sequence[nodes.Node], samples: Mapping[str, Any]) -> Iterator[TemplateError]:
    """Find names that were written with dashes, which a template reads as minus: `opening-hours`, `X-Tenant`."""
    known = {*samples, *_stored(tree)}
    for node in tree:
        if isinstance(node, nodes.Sub) and isinstance(node.right, nodes.Name):
            left: nodes.Expr = node.left
            name = f"-{node.right.name}"
            while isinstance(left, nodes.Sub) and isinstance(left.right, nodes.Name):
                name = f"-{left.right.name}{name}"
                left = left.left
            parts = _chain(left)
            if parts is None or {parts[0], node.right.name} <= known:
                continue
            whole, parent, word = ".".join(parts) + name, ".".join(parts[:-1]), parts[-1] + name
            cure = f"Write {parent}['{word}']." if parent else f"Write {word.replace('-', '_')}."
            yield TemplateError(f"'{whole}' is read as a minus", node.lineno, cure, whole)
            return


def _unknown_names(tree: Sequence[nodes.Node], samples: Mapping[str, Any]) -> Iterator[TemplateError]:
    loaded = [node for node in tree if isinstance(node, nodes.Name) and node.ctx == "load"]
    unknown = [node for node in loaded if node.name not in samples and node.name not in _environment.globals]
    if not unknown:
        return
    template = next(node for node in tree if isinstance(node, nodes.Template))
    undeclared = meta.find_undeclared_variables(template)  # knows loops and {% set %}, and costs accordingly
    for node in unknown:
        if node.name in undeclared:
            cure = did_you_mean(node.name, samples) or _known(samples)
            yield TemplateError(f"the template uses '{node.name}', which does not exist", node.lineno, cure, node.name)


def _unknown_attributes(tree: Sequence[nodes.Node], samples: Mapping[str, Any]) -> Iterator[TemplateError]:
    """Follow chains such as `call.caller` or `call.headers['X-Tenant']` through the samples."""
    links = [node for node in tree if isinstance(node, _LINKS)]
    if not links:
        return
    stored = _stored(tree)
    guarded = {id(node.node) for node in tree if isinstance(node, nodes.Filter) and node.name in ("default", "d")}
    guarded |= {
        id(node.node) for node in tree if isinstance(node, nodes.Test) and node.name in ("defined", "undefined")
    }
    for node in links:
        chain = _chain(node)
        if chain is None or chain[0] in stored or chain[0] not in samples or id(node) in guarded:
            continue
        value = samples[chain[0]]
        for depth, part in enumerate(chain[1:], 1):
            inside = _environment.getitem(value, part)
            if isinstance(inside, jinja2.Undefined):
                if depth == len(chain) - 1:
                    parent = ".".join(chain[:depth])
                    cure = _cure(parent, value, node, part)
                    yield TemplateError(f"'{parent}' has no '{part}'", node.lineno, cure, part)
                break
            value = inside


def _stored(tree: Sequence[nodes.Node]) -> set[str]:
    """Return the names that the template itself gives values: in loops, with `{% set %}`, in macros."""
    return {node.name for node in tree if isinstance(node, nodes.Name) and node.ctx != "load"}


def _chain(node: nodes.Node) -> list[str] | None:
    """Return `["call", "headers", "X-Tenant"]` for `call.headers['X-Tenant']`; None for what is no such chain."""
    parts: list[str] = []
    while isinstance(node, _LINKS):
        part = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
        if not isinstance(part, str):
            return None
        parts.append(part)
        node = node.node
    return [node.name, *reversed(parts)] if isinstance(node, nodes.Name) else None


def _cure(parent: str, value: Any, node: nodes.Node, part: str) -> str:
    """Return what to write instead of a part that `value` has not: another part, none, or a default."""
    if isinstance(value, str | int | float | bool | list):
        return f"Write {{{{ {parent} }}}}."
    if isinstance(value, Mapping) and not isinstance(value, dict):  # headers: every call brings others
        written = f".{part}" if isinstance(node, nodes.Getattr) else f"['{part}']"
        return f"If a call may lack it, write {{{{ {parent}{written} | default('') }}}}."
    known = value if isinstance(value, dict) else [name for name in dir(value) if not name.startswith("_")]
    return did_you_mean(part, known) or _known(known)


def _known(names: Iterable[str]) -> str:
    return f"Known here: {listing(sorted(names), 'and')}." if names else _CHECK


def _line_of(error: BaseException) -> int:
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
