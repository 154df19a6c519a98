"""`"module:attribute"` to a callable that can be a tool. Imports user code; knows nothing about agents."""

import importlib
import inspect
import re
import sys
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from runtime.context import CallContext
from runtime.errors import EntrypointError, did_you_mean, listing

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """A resolved entrypoint. `takes_context`: its first parameter is a `CallContext`, which the model never sees."""

    spec: str
    function: Callable[..., Any]
    takes_context: bool


def resolve(spec: str, packages: Sequence[str] | None = None) -> Entrypoint:
    """Import what `spec` names and make sure that it can be a tool.

    `packages` are the beginnings of the modules that tools may come from, None for any; the standard library is
    never one of them. What may not be used is not even imported. Raises `EntrypointError` with one sentence for
    each way to fail: a module that is not for tools, no module, a module that breaks on import, no attribute, not
    callable, a parameter without a type or name.
    """
    module_name, _, attribute = spec.partition(":")
    _demand_module_for_tools(module_name, packages)
    function: Any = _module(module_name)
    for part in attribute.split("."):
        if isinstance(function, ModuleType):  # a module shows all that it imports, such as `os`
            _demand_module_for_tools(function.__name__, packages)
        if not hasattr(function, part):
            near = did_you_mean(part, [name for name in dir(function) if not name.startswith("_")])
            raise EntrypointError(f"'{module_name}' has no '{attribute}'", near or "Check the function's name.")
        function = getattr(function, part)
    if isinstance(function, type | ModuleType) or not callable(function):
        kinds = {type: "a class", ModuleType: "a module"}
        kind = next((words for kind, words in kinds.items() if isinstance(function, kind)), "a value")
        raise EntrypointError(f"'{spec}' is {kind}, not a function", "Name a function.")
    if inspect.isroutine(function):  # other objects name the module of their class, as partials do
        _demand_no_library(getattr(function, "__module__", None) or "")
    return Entrypoint(spec, function, _takes_context(spec, function))


def _demand_module_for_tools(name: str, packages: Sequence[str] | None) -> None:
    _demand_no_library(name)
    if packages is not None and not any(f"{name}.".startswith(f"{package}.") for package in packages):
        cure = f"Tools come from {listing(packages, 'and')}, as SWITCHBOARD_TOOL_PACKAGES says on this machine."
        raise EntrypointError(f"the module '{name}' is not one for tools", cure)


def _demand_no_library(name: str) -> None:
    """Refuse Python's own modules: what they do with a caller's words nobody has thought of."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        cure = "Ask an engineer for a function that does just what the agent needs, in a module of your own."
        raise EntrypointError(f"'{name}' is a part of Python itself, and no module for tools", cure)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            cure = "Check the spelling; modules are found from here and from the folder that holds the catalog."
            raise EntrypointError(f"there is no module '{error.name}'", cure) from error
        cure = "Install what it needs, in the same environment as Switchboard."
        raise EntrypointError(f"'{name}' needs the module '{error.name}', which is not installed", cure) from error
    except BaseException as error:  # a module may raise anything on import; nobody presses Ctrl-C in its thread
        said = _first_line(error)
        raise EntrypointError(f"'{name}' breaks when it is imported ({said})", "Show this to its engineer.") from error


def _first_line(error: BaseException) -> str:
    """Return what an error says, for an engineer: its kind and its first line, without the machine's folders."""
    said = (str(error) or "no message").splitlines()[0]
    return f"{type(error).__name__}: {re.sub(r' [(]/.*[.]py[)]$', '', said)[:200]}"


def _takes_context(spec: str, function: Callable[..., Any]) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())
        target = function if inspect.isroutine(function) else type(function).__call__
        hints = typing.get_type_hints(target)
    except Exception as error:  # evaluates the annotations, which are user code
        said = _first_line(error)
        raise EntrypointError(f"the types of '{spec}' cannot be read ({said})", "Show this to its engineer.") from error
    takes_context = False
    for index, parameter in enumerate(parameters):
        if parameter.kind in _VARIADIC:
            stars = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
            cure = "A model can only fill in parameters that have names."
            raise EntrypointError(f"'{spec}' takes {stars}{parameter.name}", cure)
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            cure = "Tools are called with names: remove the '/'."
            raise EntrypointError(f"'{spec}' takes '{parameter.name}' by position only", cure)
        if parameter.name not in hints:
            cure = f"Write one, such as '{parameter.name}: str'."
            raise EntrypointError(f"the parameter '{parameter.name}' of '{spec}' has no type", cure)
        if hints[parameter.name] is CallContext:
            if index > 0:
                cure = "Make it the first one."
                raise EntrypointError(f"'{spec}' takes CallContext as a later parameter", cure)
            takes_context = True
    return takes_context
