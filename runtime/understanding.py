"""What typed English words ask for, by simple rules: the tool that clearly matches, and its arguments. Pure.

It guesses nothing: two tools that match alike match both, and what is not in the words is missing. Days that are
said as "tomorrow" or "Friday" are counted from a day that is given.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import product
from typing import Any

from runtime.foreign import data_in

Tool = Mapping[str, Any]
"""A function tool as the service is told of it: `name`, `description` and `parameters`, a JSON Schema."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that can be asked for: a tool, or one choice of it such as a destination, with that argument."""

    tool: Tool
    title: str
    purpose: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    by_purpose: int = 1  # the weight of a word of the purpose; 2 where it is written to say when


# ── which tool ────────────────────────────────────────────────────────────────────────────────────────────────

_CLEARLY = 2  # a word of a name, or two of a description
_COMMON_WORDS = """
    a about after again all am an and any anything are as ask asked asks at be because been before but by call
    called caller can could day did do does each else for from get give go goes had has have he hello her here
    hi him his how i if in is it its just keep know let like look lookup make many may me more much my need new
    no not nothing of on once one only or other our out over own please read return returns right said say says
    see set she should so some somebody such take tell than thank thanks that the their them then there these
    they this those time to today tomorrow tonight tool two up us use used want wants was we were what when
    where whether which who will with would yes you your
"""
_LOOKING_WORDS = "check find free get list look next search see show tell"
"""Words of a name that say that a tool changes nothing."""
_SAME = {"reservation": "book", "reserve": "book", "rebook": "move", "reschedule": "move"}


def matching(words: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return what the words ask for: none, one that matches clearly, or several that match alike.

    A word of a name counts more than one of a description, one that only this tool has more than one that others
    share. Of those whose names match alike one that only looks something up goes first: it does no harm.
    """
    said = _stems(words)
    names = [_stems(one.title) for one in candidates]
    scored = []
    for one, name in zip(candidates, names, strict=True):
        hits = (name & said) - _COMMON
        alone = sum(1 for hit in hits if sum(hit in other for other in names) == 1)
        purposes = (_stems(one.purpose) & said) - _COMMON - name
        score = 2 * len(hits) + alone + one.by_purpose * len(purposes)
        scored.append((score, len(hits) / max(1, len(name)), hits, one))
    best = max(((score, share) for score, share, *_ in scored), default=(0, 0.0))
    if best[0] < _CLEARLY:
        return []
    alike = [(hits, one) for score, share, hits, one in scored if (score, share) == best]
    named = alike[0][0]
    looking = [one for *_, hits, one in scored if named and hits == named and _stems(one.title) & _LOOKS]
    return looking if len(looking) == 1 else [one for _, one in alike]


def _stems(text: str) -> frozenset[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return frozenset(_stem(word) for word in re.findall(r"[^\W_]+", spaced.lower()))


def _stem(word: str) -> str:
    """Return a word without its usual endings, so that `tables` is `table` and `cancelled` is `cancel`."""
    word = _SAME.get(word, word)
    for ending in ("lling", "lled", "ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending) + ("l" if ending.startswith("ll") else "")
            break
    return word.removesuffix("e") if len(word) > 3 else word


_COMMON = frozenset(map(_stem, _COMMON_WORDS.split()))
_LOOKS = frozenset(map(_stem, _LOOKING_WORDS.split()))


# ── what the arguments are ────────────────────────────────────────────────────────────────────────────────────


def required(tool: Tool) -> list[str]:
    """Return the names of the arguments that a tool must have."""
    return [str(name) for name in tool.get("parameters", {}).get("required", ())]


def properties(tool: Tool) -> Mapping[str, Any]:
    """Return a tool's arguments by name, each with its schema."""
    found: Mapping[str, Any] = tool.get("parameters", {}).get("properties", {})
    return found


def arguments_in(words: str, tool: Tool, names: Collection[str], today: date, asked: str = "") -> dict[str, Any]:
    """Return those of the named arguments that the words hold, by the tool's schema.

    `asked` is the one that was just asked for: where it is a text, the words as a whole are its value.
    """
    text = _Text(words)
    kinds = {name: kind_of(name, schema) for name, schema in properties(tool).items() if name in names}
    found: dict[str, Any] = {}
    for kind, name in product(_IN_THIS_ORDER, kinds):
        if kinds[name] == kind:
            value = _taken(kind, text, name, properties(tool)[name], today, name == asked)
            if value is not None:
                found[name] = value
    return found


def kind_of(name: str, schema: Mapping[str, Any]) -> str:
    """Return what kind of value an argument is: a JSON type, or for texts what its name and description say."""
    choices = [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if any("enum" in choice for choice in choices):
        return "choice"
    types = [kind for choice in choices for kind in _listed(choice.get("type")) if kind != "null"]
    if types and types[0] != "string":
        return types[0] if types[0] in _IN_THIS_ORDER else "object"
    about = f"{name} {schema.get('format', '')} {schema.get('description', '')}".lower().replace("_", " ")
    title = name.lower().replace("_", " ")
    if "birth" in title:
        return "birthday"
    for kind, pattern in _TOLD_BY.items():
        if re.search(pattern, title) or (kind in _TOLD_BY_DESCRIPTION and re.search(pattern, about)):
            return kind
    return "text"


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if value else []


_IN_THIS_ORDER = (
    "email", "birthday", "date", "time", "phone", "digits", "choice", "text", "name", "place", "integer", "number",
    "boolean", "array", "object",
)  # fmt: skip
"""A value that was taken is not taken again: the surest kinds come first."""

_TOLD_BY = {
    "email": r"\be-?mail\b",
    "phone": r"\bphone\b|\bcallback\b|\btelephone\b",
    "time": r"\btime\b|24[- ]hour",
    "date": r"\bdate\b|\bday\b|\biso date\b",
    "digits": r"\bdigits\b|\breference\b|\bcode\b|\bpin\b",
    "place": r"\bcity\b|\bplace\b|\btown\b|\blocation\b",
    "name": r"\bname\b|\bpatient\b|\bguest\b|\bcustomer\b",
}
_TOLD_BY_DESCRIPTION = {"email", "digits"}


_ENGLISH = re.IGNORECASE | re.ASCII  # otherwise an old long s is an s too, and what was found has no meaning
_ANY = re.IGNORECASE  # for what authors and callers name


class _Text:
    """Words out of which values are taken: what was taken is not there any more."""

    def __init__(self, words: str) -> None:
        self.whole = words.strip()
        self.quoted: list[str] = [next(filter(None, groups)) for groups in _QUOTED.findall(words)]
        self.rest = _QUOTED.sub(" ", words)

    def take(self, pattern: str, flags: int = _ENGLISH) -> "re.Match[str] | None":
        found = re.search(pattern, self.rest, flags)
        if found:
            self.drop(found)
        return found

    def drop(self, found: "re.Match[str]") -> None:
        self.rest = f"{self.rest[: found.start()]} · {self.rest[found.end() :]}"


_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|(?<!\w)'([^']+)'(?!\w)")


def _taken(kind: str, text: _Text, name: str, schema: Mapping[str, Any], today: date, asked: bool) -> Any:
    match kind:
        case "email":
            found = text.take(r"[^\s@,;]+@[^\s@,;]+\.[a-z]{2,}", _ANY)
            return found[0] if found else None
        case "date" | "birthday":
            return _date(text, today, past=kind == "birthday", alone=asked)
        case "time":
            return _time(text, alone=asked)
        case "phone":
            found = text.take(r"\+?\d[\d ()/-]{4,}\d")
            return re.sub(r"[^\d+]", "", found[0]) if found else _empty(text, schema, asked)
        case "digits":
            found = text.take(r"\b\d(?:[ -]?\d){3,}\b") or (text.take(r"\b\d+\b") if asked else None)
            return re.sub(r"\D", "", found[0]) if found else None
        case "choice":
            return _choice(text, schema)
        case "integer" | "number":
            return _number(text, name, whole=kind == "integer")
        case "boolean":
            found = text.take(r"\b(yes|yeah|sure|true|no|not|false)\b") if asked else None
            return found[0].lower() in ("yes", "yeah", "sure", "true") if found else None
        case "name" | "place":
            return _named(text, kind, asked)
        case "array" | "object":
            return _structure(text, kind, asked)
    if text.quoted:
        return text.quoted.pop(0)
    return (_empty(text, schema, asked) or text.whole) if asked else None


def _empty(text: _Text, schema: Mapping[str, Any], asked: bool) -> str | None:
    """Return an empty text where it is declared as a value and the caller gives none."""
    allowed = "empty" in str(schema.get("description", "")).lower()
    none = re.fullmatch(r"(no|none|nothing|the same|this one|empty|no thanks?)\W*", text.whole, _ENGLISH)
    return "" if asked and allowed and none else None


def _choice(text: _Text, schema: Mapping[str, Any]) -> Any:
    options = [option for one in (schema, *schema.get("anyOf", ())) for option in one.get("enum", ())]
    for option in sorted(options, key=lambda option: -len(str(option))):
        if text.take(rf"\b{re.escape(str(option))}(?!\w)", _ANY):
            return option
    said = _stems(text.rest)
    alone = [option for option in options if (_stems(str(option)) - _COMMON) & said]
    return alone[0] if len(alone) == 1 else None


_COUNTING = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBERS = {word: number for number, word in enumerate(_COUNTING.split())} | {
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "hundred": 100,
    "dozen": 12,
    "couple": 2,
}
_COUNTED = rf"(?a:-?\d+(?:[.,]\d+)?|{'|'.join(_NUMBERS)})"


def _number(text: _Text, name: str, *, whole: bool) -> int | float | None:
    """Return a number, rather the one that stands beside the argument's own name."""
    title = re.escape(name.replace("_", " "))
    found = text.take(rf"\b({_COUNTED})\s+{title}\b", _ANY) or text.take(rf"\b{title}\s+({_COUNTED})\b", _ANY)
    found = found or text.take(rf"(?<![\w.])({_COUNTED})(?![\w])", _ANY)
    if not found:
        return None
    said = found[1].lower()
    return _NUMBERS[said] if said in _NUMBERS else _as_number(said.replace(",", "."), whole=whole)


def _as_number(digits: str, *, whole: bool) -> int | float | None:
    """Return a number that is written in digits, to its last one; None where it has more than numbers can have."""
    before, _, behind = digits.partition(".")
    try:
        value = int(before) if whole or not behind.strip("0") else float(digits)
    except ValueError:
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


_NAME = r"([^\W\d_][\w'’-]*(?:\s+(?:van|von|de|der|da|[A-Z][\w'’-]*)){0,3})"
_BEFORE_A_NAME = r"\bname(?:\s+is|\s+of|'s)?|\bi am|\bi'm|\bthis is|\bunder(?!\s+the\s+name)"
_CAPITAL = r"([A-Z][\w'’-]*(?:\s+(?:van|von|de|der|da|[A-Z][\w'’-]*)){0,3})"


def _named(text: _Text, kind: str, asked: bool) -> str | None:
    before = r"in|at|near" if kind == "place" else r"for|from|with|by|of"
    if kind == "name":
        for found in re.finditer(rf"(?i:{_BEFORE_A_NAME})\s+{_NAME}", text.rest):
            if found[1].split()[0].lower() not in {*_COMMON_WORDS.split(), *_NUMBERS}:
                text.drop(found)
                return str(found[1])
    if text.quoted:
        return text.quoted.pop(0)
    for found in re.finditer(rf"\b(?:{before})\s+{_CAPITAL}", text.rest):
        if not _is_calendar(found[1]):
            text.drop(found)
            return found[1]
    return text.whole.strip(" .!") or None if asked else None


def _is_calendar(word: str) -> bool:
    return word.split()[0].lower() in {*_WEEKDAYS, *_MONTHS}


def _structure(text: _Text, kind: str, asked: bool) -> Any:
    value = data_in(text.whole)
    if isinstance(value, list if kind == "array" else dict):
        return value
    if kind == "array":
        if text.quoted:
            quoted, text.quoted = text.quoted, []
            return quoted
        if asked:
            return [part for part in re.split(r"\s*(?:,|\band\b)\s*", text.whole) if part]
    return None


# ── days and times ────────────────────────────────────────────────────────────────────────────────────────────

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" if len(month) > 3 else month for month in _MONTHS)


def _date(text: _Text, today: date, *, past: bool, alone: bool) -> str | None:
    """Return a day as an ISO date; of several the first one that lies on the right side of today."""
    for found, day in _days(text.rest, today):
        if day is not None and (day < today) == past:
            text.drop(found)
            return day.isoformat()
    if alone:
        for found, day in _days(text.rest, today):
            if day is not None:
                text.drop(found)
                return day.isoformat()
    return None


def _days(words: str, today: date) -> Iterator["tuple[re.Match[str], date | None]"]:
    """Yield the days that are named in some words, the plainest form first."""
    for found in re.finditer(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b", words, re.ASCII):
        yield found, _day(int(found[1]), int(found[2]), int(found[3]))
    dayfirst = rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\.?\s+(?:of\s+)?({_MONTH})\b\.?,?(?:\s+(\d{{4}}))?"
    for found in re.finditer(dayfirst, words, _ENGLISH):
        yield found, _coming(today, found[3], _month(found[2]), int(found[1]))
    monthfirst = rf"\b({_MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b,?(?:\s+(\d{{4}}))?"
    for found in re.finditer(monthfirst, words, _ENGLISH):
        yield found, _coming(today, found[3], _month(found[1]), int(found[2]))
    for found in re.finditer(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})?", words, re.ASCII):
        yield found, _coming(today, found[3], int(found[2]), int(found[1]))
    for found in re.finditer(r"\bthe day after tomorrow\b|\btomorrow\b|\btoday\b|\btonight\b", words, _ENGLISH):
        ahead = {"the day after tomorrow": 2, "tomorrow": 1}.get(found[0].lower(), 0)
        yield found, today + timedelta(ahead)
    for found in re.finditer(rf"\b(?:on\s+|next\s+|this\s+)*({'|'.join(_WEEKDAYS)})\b", words, _ENGLISH):
        ahead = (_WEEKDAYS.index(found[1].lower()) - today.weekday()) % 7 or 7
        yield found, today + timedelta(ahead)


def _month(word: str) -> int:
    return 1 + next(index for index, month in enumerate(_MONTHS) if month.startswith(word.lower()[:3]))


def _coming(today: date, year: str | None, month: int, day: int) -> date | None:
    """Return a day of that year, or the next one of its kind from today on."""
    if year:
        return _day(int(year), month, day)
    this = _day(today.year, month, day)
    return _day(today.year + 1, month, day) if this is None or this < today else this


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


_HOUR = rf"(\d{{1,2}}|{'|'.join(word for word, number in _NUMBERS.items() if 1 <= number <= 12 and word != 'couple')})"
_LATE = r"\b(evening|tonight|afternoon|night|p\.?m\.?)(?!\w)"
_EARLY = r"\b(morning|a\.?m\.?)(?!\w)"
_EVENING = 8  # "at eight" is in the evening, "at nine" in the morning


def _time(text: _Text, *, alone: bool) -> str | None:
    """Return a time on the 24 hour clock: `20:00`."""
    late = re.search(_LATE, text.whole, _ENGLISH) is not None
    early = re.search(_EARLY, text.whole, _ENGLISH) is not None
    if found := text.take(r"\b(\d{1,2})[:.](\d{2})\b(?!\.\d)(\s*(?:[ap]\.?m\.?)(?!\w))?"):
        hour, minute = int(found[1]), int(found[2])
        return _clock(hour + (12 if late and hour < 12 else 0), minute)
    if found := text.take(r"\b(?:at\s+)?(noon|midnight)\b"):
        return "12:00" if found[1].lower() == "noon" else "00:00"
    if found := text.take(rf"\b(half|quarter) (past|to) {_HOUR}\b"):
        hour = _hour(found[3], late, early)
        minute = 30 if found[1].lower() == "half" else 15
        return _clock(hour, minute) if found[2].lower() == "past" else _clock(hour - 1, 60 - minute)
    marked = rf"\b{_HOUR}\s*(?:o'?clock\b|[ap]\.?m\.?(?!\w)|in the (?:evening|morning|afternoon)\b)"
    found = text.take(marked) or text.take(rf"\b(?:at|by|around|about)\s+{_HOUR}\b(?!\s+people)")
    found = found or (text.take(rf"\b{_HOUR}\b") if alone else None)
    return _clock(_hour(found[1], late, early), 0) if found else None


def _hour(said: str, late: bool, early: bool) -> int:
    hour = _NUMBERS.get(said.lower(), 0) or int(said)
    if early:
        return hour % 12 if hour == 12 else hour
    return hour + 12 if hour < 12 and (late or hour <= _EVENING) else hour


def _clock(hour: int, minute: int) -> str | None:
    return f"{hour:02}:{minute:02}" if 0 <= hour < 24 and 0 <= minute < 60 else None
