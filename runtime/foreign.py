"""Data that came from outside, read without trust: what is not there, or is of another kind, reads as nothing. Pure."""

import json
from collections.abc import Mapping
from typing import Any


def data_in(text: str | bytes, otherwise: Any = None) -> Any:
    """Return what JSON text says; `otherwise` where it is none, or is nested too deeply to be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


def mapping_in(text: str | bytes) -> dict[str, Any]:
    """Return the object that JSON text is, or an empty one."""
    data = data_in(text)
    return data if isinstance(data, dict) else {}


def inner(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the mapping at a key, or an empty one."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def text(data: Mapping[str, Any], key: str) -> str:
    """Return the text at a key, or `""`."""
    value = data.get(key)
    return value if isinstance(value, str) else ""
