"""Plain Python functions as tools: the schema that the model sees, and one safe way to call them.

Importing this module imports the SDK, which takes seconds: light commands must not, unless a tool is named.
"""

import asyncio
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import pydantic_core
from agents.function_schema import FuncSchema, function_schema
from pydantic import TypeAdapter, ValidationError

from runtime.context import CallContext
from runtime.definition import ToolDefinition
from runtime.entrypoint import Entrypoint, resolve
from runtime.errors import EntrypointError, ToolError
from runtime.threads import as_plain, in_thread

T = TypeVar("T")


def read_tool(written: Mapping[str, Any], packages: Sequence[str] | None = None) -> ToolDefinition:
    """Make a tool out of one entry of `tools:`. Raises `EntrypointError`.

    Description and parameters come from the function's docstring and signature, read by the SDK. `packages` are the
    beginnings of the modules that the function may come from, None for any.
    """
    entrypoint = resolve(written["entrypoint"], packages)
    try:
        schema = function_schema(_as_the_model_sees(entrypoint), strict_json_schema=False)
    except Exception as error:  # the SDK and pydantic raise many kinds for a type that is not JSON's
        cure = "Use types that JSON knows, such as str, int, bool, list or a dataclass of them."
        raise EntrypointError(f"{_misfit(entrypoint)} has a type that no model can fill in", cure) from error
    description = written.get("description") or schema.description or ""
    parameters = _tidy(schema.params_json_schema)
    return ToolDefinition(written["name"], description, parameters, written, _invoker(entrypoint, schema))


def _misfit(entrypoint: Entrypoint) -> str:
    """Name the first parameter whose type JSON has not, or the whole entrypoint when none fails by itself."""
    for name, hint in _as_the_model_sees(entrypoint).__annotations__.items():
        try:
            TypeAdapter(hint).json_schema()
        except Exception:  # as above, many kinds
            return f"the parameter '{name}' of '{entrypoint.spec}'"
    return f"'{entrypoint.spec}'"


def _as_the_model_sees(entrypoint: Entrypoint) -> Callable[..., Any]:
    """Return a stand-in with the function's name, docstring and signature, without its `CallContext`."""
    function = entrypoint.function
    described = function if inspect.isroutine(function) else type(function).__call__
    signature = inspect.signature(function)
    hints = typing.get_type_hints(described, include_extras=True)
    parameters = list(signature.parameters.values())[1 if entrypoint.takes_context else 0 :]

    def stand_in() -> None:
        """Never called: only described."""

    stand_in.__name__ = getattr(function, "__name__", type(function).__name__)
    stand_in.__doc__ = inspect.getdoc(function)
    stand_in.__annotations__ = {parameter.name: hints[parameter.name] for parameter in parameters}
    stand_in.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return stand_in


def _tidy(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters' schema without the titles that pydantic adds: they repeat the names."""
    tidy = {key: value for key, value in schema.items() if key != "title"}
    fields = tidy.get("properties", {})
    tidy["properties"] = {
        name: {key: value for key, value in field.items() if key != "title"} for name, field in fields.items()
    }
    return tidy


def _invoker(entrypoint: Entrypoint, schema: FuncSchema) -> Callable[[CallContext, str], Any]:
    function = entrypoint.function
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object whose __call__ is async
    )

    async def invoke(context: CallContext, arguments: str) -> str:
        """Call the function with the model's arguments, and return its result as JSON text."""
        try:
            positional, named = schema.to_call_args(schema.params_pydantic_model.model_validate_json(arguments))
        except ValidationError as error:
            raise ToolError(f"The arguments do not fit. {_misfits(error)}") from error
        if entrypoint.takes_context:
            positional = [context, *positional]
        if is_async:
            result = await contained(function(*positional, **named))
        else:
            result = await in_thread(lambda: function(*positional, **named), "switchboard-tool")
        return pydantic_core.to_json(result, fallback=str).decode()

    return invoke


def _misfits(error: ValidationError) -> str:
    """Say which arguments do not fit and why, without repeating their values."""
    told = (
        f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)
    )
    return "; ".join(told) + "."


async def contained(work: Awaitable[T]) -> T:
    """Await a tool's own coroutine. What would stop the event loop, or pass for our own cancelling, is an error."""
    try:
        return await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ToolError("The tool gave up.") from error
    except Exception:
        raise
    except BaseException as error:
        raise as_plain(error) from error
