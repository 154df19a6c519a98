"""Stand-ins for what a recording does not hold, which tell whether anybody looked at them. Pure.

A template that only prints a number makes a text of the right length from its stand-in; one that compares it, cuts it
or counts with it makes a text about which nothing can be known. Of texts the length is known, of numbers nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_WRITING = {"__str__", "__repr__", "__format__"}
_COMPARING = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__"}
_OF_EACH_OBJECT = set(dir(object)) - _COMPARING - _WRITING  # what Python itself calls to make and find an object


class Watch:
    """Whether a stand-in was looked at."""

    def __init__(self) -> None:
        self.is_touched = False

    def touch(self) -> None:
        """Note that somebody looked."""
        self.is_touched = True

    def over(self, value: Any) -> Any:
        """Return a stand-in for a value of JSON's kinds, or for a mapping of such. What is true or null stays."""
        if isinstance(value, str):
            return _Text(value).watched_by(self)
        if isinstance(value, Mapping):
            return _Mapping(value, self)
        if isinstance(value, list):
            return [self.over(inner) for inner in value]
        if value is None or isinstance(value, bool):
            return value
        return _Number(1).watched_by(self)


class _Mapping(Mapping[str, Any]):
    """A mapping of stand-ins. Which keys it has is known of those that stay readable only."""

    def __init__(self, values: Mapping[str, Any], watch: Watch) -> None:
        self._values = values
        self._watch = watch

    def __getitem__(self, key: str) -> Any:
        if key not in self._values:
            self._watch.touch()
        return self._watch.over(self._values[key])

    def __iter__(self) -> Iterator[str]:
        self._watch.touch()
        return iter(self._values)

    def __len__(self) -> int:
        self._watch.touch()
        return len(self._values)


def _watched_by(self: Any, watch: Watch) -> Any:
    self.watch = watch
    return self


def _looking(method: Callable[..., Any]) -> Callable[..., Any]:
    def look(self: Any, *given: Any, **named: Any) -> Any:
        self.watch.touch()
        return method(self, *given, **named)

    return look


def _stand_in(kind: type[Any], unwatched: set[str], **more: Any) -> Any:
    """Return a subclass whose methods tell its watch, but those that are not watched."""
    methods = {name: getattr(kind, name) for name in dir(kind) if name not in unwatched}
    watching = {name: _looking(method) for name, method in methods.items() if callable(method)}
    return type(f"Unreadable{kind.__name__}", (kind,), {**watching, "watched_by": _watched_by, **more})


def _itself(self: Any) -> Any:
    return self  # filters make plain texts of what they get before they look at it


_Text = _stand_in(str, _OF_EACH_OBJECT | _WRITING | {"__len__"}, __str__=_itself)
_Number = _stand_in(int, _OF_EACH_OBJECT)
