"""The sentences that an author declares for a call, wherever in an agent they stand: found, and rendered. Pure.

A line is said word for word, as the greeting is; each is a template.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from runtime.document import Path
from runtime.template import template

_AREAS = ("tools", "handoffs", "limits", "on_failure", "guardrails")
LINES = frozenset(
    {"announce", "farewell", "if_it_fails", "instead", "lines", "on_timeout", "say", "warning"}
)  # the fields that hold a line, or a list of them


def lines_in(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield every line of an agent's data, checked or not, with its path."""
    for area in _AREAS:
        yield from _found(data.get(area), (area,), False)


def _found(value: Any, path: Path, is_line: bool) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _found(inner, (*path, key), key in LINES)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _found(inner, (*path, index), is_line)
    elif is_line and isinstance(value, str):
        yield path, value


def rendered(value: Any, names: Mapping[str, Any], is_line: bool = False) -> Any:
    """Return part of an agent's data with its lines rendered for a call. Raises `TemplateError`."""
    if isinstance(value, Mapping):
        return {key: rendered(inner, names, key in LINES) for key, inner in value.items()}
    if isinstance(value, list):
        return [rendered(inner, names, is_line) for inner in value]
    return template(value).render(names) if is_line and isinstance(value, str) else value
