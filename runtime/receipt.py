"""The receipt: what the service confirmed, beside what the agent declares. Pure comparison."""

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any, Literal

Likeness = Literal["exact", "near", "different"]

_NEAR = 0.8  # of a sentence's words: a model that changes "How can I help" to "How may I help" is near


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: as declared, as confirmed, and whether they agree. Values are in the API's own words."""

    field: str
    declared: Any
    confirmed: Any

    @property
    def agrees(self) -> bool:
        return holds(self.declared, self.confirmed)

    def told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the row as fields for a log, and as private ones: tracing may hold a caller's number."""
        values = {"declared": self.declared, "confirmed": self.confirmed}
        return ({"field": self.field}, values) if self.field == "tracing" else ({"field": self.field, **values}, {})


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a call got: each setting, how close the spoken greeting came, and which version of the agent it ran.

    `revision` is the catalog's, `digest` that of the agent's file.
    """

    rows: tuple[Row, ...] = ()
    greeting: Likeness | None = None
    revision: str = ""
    digest: str = ""

    @property
    def differences(self) -> tuple[Row, ...]:
        """The settings that the service holds otherwise than declared."""
        return tuple(row for row in self.rows if not row.agrees)

    def with_greeting(self, likeness: Likeness) -> "Receipt":
        """Return the receipt with the greeting's likeness."""
        return replace(self, greeting=likeness)

    def with_rows(self, rows: tuple[Row, ...]) -> "Receipt":
        """Return the receipt with the settings as they stand now."""
        return replace(self, rows=rows)


def compare(declared: Mapping[str, Any], echo: Mapping[str, Any]) -> tuple[Row, ...]:
    """Compare the declared session with the one that `session.updated` echoed.

    What is declared must be confirmed; more detail in the echo, such as the service's own defaults, is no
    difference. A setting that is off must be confirmed as off.
    """
    audio = _mapping(echo.get("audio"))
    heard, spoken = _mapping(audio.get("input")), _mapping(audio.get("output"))
    wanted = declared["audio"]
    return (
        Row("model", declared["model"], echo.get("model")),
        Row("voice", wanted["output"]["voice"], spoken.get("voice")),
        Row("instructions", _extent(declared["instructions"]), _extent(echo.get("instructions"))),
        Row("tools", _names(declared["tools"]), _names(echo.get("tools"))),
        Row("turn_detection", wanted["input"]["turn_detection"], heard.get("turn_detection")),
        Row("transcription", wanted["input"].get("transcription"), heard.get("transcription")),
        Row("noise_reduction", wanted["input"].get("noise_reduction"), heard.get("noise_reduction")),
        Row("tracing", declared.get("tracing"), echo.get("tracing")),
    )


def likeness(declared: str, spoken: str) -> Likeness:
    """Say how close a spoken sentence came to the declared one, by its words alone."""
    one, other = (re.findall(r"\w+", text.casefold()) for text in (declared, spoken))
    if one == other:
        return "exact"
    return "near" if SequenceMatcher(None, one, other).ratio() >= _NEAR else "different"


def holds(declared: Any, confirmed: Any) -> bool:
    """Tell whether a value is confirmed; more detail in what is confirmed does not matter."""
    if isinstance(declared, Mapping) and isinstance(confirmed, Mapping):
        return all(holds(value, confirmed.get(key)) for key, value in declared.items())
    if isinstance(declared, bool) or isinstance(confirmed, bool):
        return declared is confirmed
    if isinstance(declared, int | float) and isinstance(confirmed, int | float):
        return math.isclose(declared, confirmed, rel_tol=1e-5)  # echoes come as 32-bit floats: 0.30000001192
    return bool(declared == confirmed)


def _names(tools: Any) -> list[str]:
    return sorted(str(tool.get("name", tool.get("type"))) for tool in tools or () if isinstance(tool, Mapping))


def _extent(text: Any) -> str:
    """Return a text's length and checksum: instructions are compared, never shown."""
    if not isinstance(text, str):
        return "none"
    return f"{len(text)} characters, {zlib.crc32(text.encode()):08x}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
