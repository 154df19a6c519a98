"""The words for what goes wrong: problems as values, and the exceptions by whose fault they are.

    SwitchboardError
    ├── CatalogError         the catalog has problems; it carries them (the author's)
    ├── SettingsError        the environment or a command's words are wrong (the operator's)
    ├── EntrypointError      an entrypoint or an address is nothing that can be a tool (the engineer's)
    ├── ToolError            a tool cannot be called so; its words are fit for the model (the model's)
    ├── TemplateError        a template could not be rendered for a call (the author's)
    ├── WebhookError         a request to the webhook is not what the service sends (the sender's)
    ├── CallControlError     the Calls API refused or could not be reached (the service's)
    ├── SidebandError        the sideband socket could not be opened (the service's)
    ├── TextModelError       a text model gave no answer (its server's, or the operator's)
    ├── SoundError           a file holds no words that a caller can be heard with (the author's)
    └── UnexpectedEvent      an event that the call's table does not know (ours)

Nothing here reads, waits or logs.
"""

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a document. Lines and columns count from 1; `field` is the author's own path.

    Line 0 is no line: the problem is about a whole file or folder, a revision or an environment.
    """

    file: str
    line: int
    column: int
    field: str
    message: str
    cure: str = ""
    severity: Literal["error", "warning"] = "error"

    @property
    def text(self) -> str:
        """What is wrong and what to do, without the place: `turn_detection: is not … Write …`."""
        subject = f"{self.field}: " if self.field else ""
        warning = "warning: " if self.severity == "warning" else ""
        cure = f" {self.cure}" if self.cure else ""
        return f"{warning}{subject}{self.message}.{cure}"

    def as_data(self) -> dict[str, Any]:
        """Return the fields for JSON; line and column are null where the problem is about no line."""
        return asdict(self) | ({} if self.line else {"line": None, "column": None})

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{place}: {self.text}"


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that keep a catalog from being served; warnings do not."""
    return [problem for problem in problems if problem.severity == "error"]


def warnings(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that a catalog is served with."""
    return [problem for problem in problems if problem.severity == "warning"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `"Did you mean 'voice'?"` for the nearest known word, or the only one that begins so, or `""`."""
    candidates = list(known)
    lowered = {candidate.lower(): candidate for candidate in candidates}
    longer = [candidate for candidate in lowered if candidate.startswith(word.lower())] if len(word) > 2 else []
    near = longer if len(longer) == 1 else get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f"Did you mean '{lowered[near[0]]}'?" if near else ""


def listing(words: Sequence[str], joiner: str = "or") -> str:
    """Return `"a, b or c"`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joiner} {words[-1]}"


def count(number: int, noun: str) -> str:
    """Return `"1 agent"` or `"3 agents"`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(words: Sequence[str]) -> str:
    """Return `"a, b and c"`, or `"a, b and 38 others"` where they are many."""
    return listing(words if len(words) < 4 else [*words[:2], f"{len(words) - 2:,} others"], "and")


def frames(error: BaseException) -> str:
    """Return where an exception and its cause came from, without their words: they may hold a caller's."""
    places = [f"{trace.filename}:{trace.lineno} {trace.name}" for trace in traceback.extract_tb(error.__traceback__)]
    told = " < ".join([type(error).__name__, *reversed(places[-6:])])
    return f"{told}, from {frames(error.__cause__)}" if error.__cause__ is not None else told


class SwitchboardError(Exception):
    """The root of everything that Switchboard raises on purpose."""


@dataclass
class CatalogError(SwitchboardError):
    """A catalog that cannot be served. `problems` is sorted by file and line."""

    problems: list[Problem]

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


@dataclass
class SettingsError(SwitchboardError):
    """The environment or a command's words are wrong. `cure` is what to do.

    `name` is the variable or option, or `""` where `message` is a whole sentence.
    """

    name: str
    message: str
    cure: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.name, f"{self.message}.", self.cure) if part)


@dataclass
class EntrypointError(SwitchboardError):
    """An entrypoint, or another tool, that cannot be used: what is wrong and what to do.

    `path` leads to the place within the tool's own field, and `others` are what is wrong with it beside this.
    """

    message: str
    cure: str = ""
    path: tuple[str, ...] = ()
    others: tuple["EntrypointError", ...] = ()

    def __str__(self) -> str:
        return f"{self.message}. {self.cure}".strip()


class ToolError(SwitchboardError):
    """A tool that cannot be called with these arguments. Its words go to the model."""


@dataclass
class TemplateError(SwitchboardError):
    """A template that failed. `line` counts from 1 inside the template's own text; `near` is written there."""

    message: str
    line: int = 1
    cure: str = ""
    near: str = ""

    def __str__(self) -> str:
        return self.message


@dataclass
class WebhookError(SwitchboardError):
    """A webhook request to be answered with `status` and `code`; never tells the sender a secret."""

    code: str
    message: str
    status: int = 400

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass
class CallControlError(SwitchboardError):
    """The Calls API said no, or nothing. `status` is None when no answer came.

    `code` and `param` are the service's own (protocol: `call_id_not_found`, `session.voice`); `sent` tells that
    the request may have been carried out all the same: no answer came back, or a gateway's.
    """

    message: str
    status: int | None = None
    code: str | None = None
    param: str | None = None
    sent: bool = False

    def __str__(self) -> str:
        about = " ".join(str(part) for part in (self.status, self.code) if part)
        return f"{about}: {self.message}" if about else self.message


@dataclass
class SidebandError(SwitchboardError):
    """The sideband socket could not be opened. `status` 404 means that the service knows no such call."""

    message: str
    status: int | None = None

    def __str__(self) -> str:
        return f"{self.status}: {self.message}" if self.status else self.message


@dataclass
class TextModelError(SwitchboardError):
    """A text model gave no answer. `lasting`: it will give none to the next question either."""

    message: str
    cure: str = ""
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.message}. {self.cure}".strip()


@dataclass
class SoundError(SwitchboardError):
    """A file that a caller cannot be heard with, and what to do."""

    message: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.message}. {self.cure}".strip()


@dataclass
class UnexpectedEvent(SwitchboardError):
    """An event that the call's table has no row for in this state: a bug of ours; nothing was changed."""

    state: str
    event: str

    def __str__(self) -> str:
        return f"a call that is {self.state} knows no {self.event}"
