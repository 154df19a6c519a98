"""Data that came from outside, read without trust: what is not there, or is of another kind, reads as nothing. Pure."""

from collections.abc import Mapping
from typing import Any


def inner(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the mapping at a key, or an empty one."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}
