"""A request to an address on the web as an author declares it: judged, filled in for a call, its answer read. Pure.

Who sends it, and where it may go, is the business of `runtime.http_tools` and `runtime.hosts`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote

from runtime import schema as schemas
from runtime.context import CallContext
from runtime.definition import names
from runtime.document import Document, Path
from runtime.errors import Problem, TemplateError, ToolError
from runtime.incoming import SAMPLE_CALL
from runtime.template import template

PORTS = {"http": 80, "https": 443}
MAX_SAID = 500  # characters of a refusal that the model gets: enough for a reason, too little for a page

_ADDRESS = re.compile(r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:(?P<port>[0-9]{1,5}))?")
_MARK = "\0"  # stands before each value that was filled into an address; no escaped value can hold it
_WRITTEN = "%/:?[]@!$&'()*+,;=~"  # signs that an author's own part of an address keeps (RFC 3986, section 2.2)
_OURS = ("host", "content-length", "transfer-encoding", "connection", "accept-encoding")
_SECRETS = ("authorization", "proxy-authorization", "cookie", "x-api-key")


@dataclass(frozen=True, slots=True)
class CallSeen:
    """What the templates of a request see as `call`."""

    id: str
    called: str
    caller: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request goes: `https` or `http`, the host without brackets, the port."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Filled:
    """A request for one call: the path with the query, ASCII throughout; the headers but for the secret ones; the
    body, or None."""

    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Request:
    """A declared request. `secrets` are pairs of a header and the environment variable that holds its value."""

    method: str
    origin: Origin
    rest: str
    headers: tuple[tuple[str, str], ...]
    secrets: tuple[tuple[str, str], ...]
    body: Any
    pick: str

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> "Request":
        """Return the request of a complete `http:` without problems."""
        found = origin(written["url"])
        assert found is not None, "its address was checked"
        headers = tuple((name, value) for name, value in written["headers"].items() if isinstance(value, str))
        secrets = tuple((name, value["env"]) for name, value in written["headers"].items() if isinstance(value, dict))
        body, pick = written.get("body"), written.get("pick", "")
        return cls(written["method"], found[0], found[1], headers, secrets, body, pick)

    def fill(self, seen: Mapping[str, Any]) -> Filled:
        """Return the request for the names that its templates see.

        Raises `TemplateError`, and `ToolError` for values that an address or a header cannot hold.
        """
        headers = {"accept": "application/json"}
        if self.body is not None:
            headers["content-type"] = "application/json"
        headers |= {name.lower(): _header(value, seen) for name, value in self.headers}
        body = None if self.body is None else json.dumps(_body(self.body, seen), allow_nan=False).encode()
        return Filled(_target(self.rest, seen), tuple(headers.items()), body)


def origin(url: str) -> tuple[Origin, str] | None:
    """Return where an address goes and its rest, which alone is a template; None when it can be no address."""
    found = _ADDRESS.match(url)
    if found is None or url[found.end() :][:1] not in ("", "/", "?", "#"):
        return None
    port = int(found["port"] or PORTS[found["scheme"]])
    if not 0 < port < 65536:
        return None
    return Origin(found["scheme"], found["host"].strip("[]"), port), url[found.end() :]


def parameters(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of an object with these arguments. Those without a default are required."""
    required = [name for name, schema in arguments.items() if "default" not in schema]
    properties = {name: dict(schema) for name, schema in arguments.items()}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def arguments_of(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's arguments, defaults filled in. Raises `ToolError` when they do not fit `parameters`."""
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise ToolError("The arguments do not fit. They are not JSON.") from error
    if found := schemas.misfits(schema, given):
        raise ToolError(f"The arguments do not fit. {'; '.join(found)}.")
    defaults = {name: one["default"] for name, one in schema["properties"].items() if "default" in one}
    return {**defaults, **given}


def seen_by(context: CallContext, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the templates of a request see: the variables, the arguments over them, `call` and `agent`."""
    call = CallSeen(context.call_id, context.called, context.caller, context.headers)
    return {**context.variables, **arguments, "call": call, "agent": {"name": context.agent}}


# ── filling in ────────────────────────────────────────────────────────────────────────────────────────────────


def _target(rest: str, seen: Mapping[str, Any]) -> str:
    """Fill in what follows the host. No value can leave its segment of the path or its place in the query."""
    filled = template(rest, _escaped).render(seen).partition("#")[0]
    path, question, query = filled.partition("?")
    if not all(map(_stays, path.split("/"))):
        raise ToolError("This cannot be asked: a value is empty, or holds a slash or only dots.")
    whole = f"{path if path.startswith('/') else '/'}{question}{query}"
    return quote(whole.replace(_MARK, ""), safe=_WRITTEN)


def _escaped(value: Any) -> str:
    text = _text(value).replace(_MARK, "")  # what a template has filled in before has one
    return _MARK + quote(text, safe="", errors="replace")


def _stays(segment: str) -> bool:
    """Tell whether a segment is one still when a server has decoded it: many do so before they look at the path."""
    if _MARK not in segment:
        return True
    decoded = unquote(segment.replace(_MARK, ""))
    return decoded not in ("", ".", "..") and not {"/", "\\"} & set(decoded)


def _header(written: str, seen: Mapping[str, Any]) -> str:
    value = template(written, _text).render(seen)
    if not value.isprintable():
        raise ToolError("This cannot be asked: a value has a line break or another sign that nobody can see.")
    return value


def _body(written: Any, seen: Mapping[str, Any]) -> Any:
    if isinstance(written, dict):
        return {key: _body(inner, seen) for key, inner in written.items()}
    if isinstance(written, list):
        return [_body(inner, seen) for inner in written]
    return template(written, _text).value(seen) if isinstance(written, str) else written


def _text(value: Any) -> str:
    """Return a value as text that is no Python: what is not text itself as JSON."""
    return json.dumps(value) if value is None or isinstance(value, bool | dict | list) else str(value)


# ── the answer ────────────────────────────────────────────────────────────────────────────────────────────────


def answered(status: int, raw: bytes, charset: str, pick: str) -> str:
    """Return what the model hears of an answer, as JSON text. Raises `ToolError` with a sentence for the model.

    What is not JSON is given as text. Of a refusal (4xx) the beginning is told, for it says what is wrong.
    """
    text = _decoded(raw, charset)
    if 300 <= status < 400:
        raise ToolError(f"The service sends us elsewhere ({status}), and we do not follow. It cannot be asked now.")
    if status >= 500:
        raise ToolError(f"The service has failed ({status}). Tell the caller that this does not work at the moment.")
    if status >= 400:
        said = f" It says: {text[:MAX_SAID]}" if text.strip() else ""
        raise ToolError(f"The service refused this ({status}).{said}")
    try:
        answer = json.loads(text, parse_constant=_no_json) if text.strip() else None
    except (ValueError, RecursionError):
        answer = text
    picked = _picked(answer, pick) if pick else answer
    return json.dumps(picked, ensure_ascii=False).encode("utf-8", "replace").decode()


def _decoded(raw: bytes, charset: str) -> str:
    try:
        return raw.decode(charset or "utf-8-sig", "replace")
    except LookupError:  # a charset that nobody knows
        return raw.decode("utf-8", "replace")


def _no_json(word: str) -> Any:
    raise ValueError(word)


def _picked(answer: Any, pick: str) -> Any:
    """Return the part of an answer at names and positions that are joined by dots; positions count from 0."""
    for part in pick.split("."):
        if isinstance(answer, dict) and part in answer:
            answer = answer[part]
        elif isinstance(answer, list) and part.isdecimal() and int(part) < len(answer):
            answer = answer[int(part)]
        else:
            raise ToolError(f"The service answered, and its answer has no '{pick}'. It may know nothing of this.")
    return answer


# ── problems ──────────────────────────────────────────────────────────────────────────────────────────────────


def problems(document: Document, data: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the requests of one agent's complete data, beyond what its schema can say."""
    found: list[Problem] = []
    known = {**names(data, SAMPLE_CALL), "call": _SAMPLE}
    for index, tool in enumerate(data.get("tools", ())):
        if "http" in tool:
            path: Path = ("tools", index)
            found += _of_arguments(document, path, tool)
            samples = {**known, **{name: _sample(schema) for name, schema in tool["arguments"].items()}}
            found += _of_request(document, (*path, "http"), tool["http"], samples)
    if "http" in (data.get("lookup") or {}):  # its fields are not known before it has answered
        known = {**names({**data, "lookup": None}, SAMPLE_CALL), "call": _SAMPLE}
        found += _of_request(document, ("lookup", "http"), data["lookup"]["http"], known)
    return found


_SAMPLE = CallSeen(SAMPLE_CALL.id, SAMPLE_CALL.called, SAMPLE_CALL.caller, SAMPLE_CALL.headers)
_OF_KIND = {"string": "sample", "integer": 1, "number": 1.5, "boolean": True}


def _sample(schema: Mapping[str, Any]) -> Any:
    """Return a value that an argument may have: an example, or one made of its kind."""
    for written in (schema.get("examples"), schema.get("enum")):
        if isinstance(written, list) and written:
            return written[0]
    if "default" in schema:
        return schema["default"]
    if schema.get("type") == "array":
        return [_sample(schema["items"])] if isinstance(schema.get("items"), dict) else ["sample"]
    if schema.get("type") == "object":
        fields = schema.get("properties")
        inner = {name: _sample(one) for name, one in (fields if isinstance(fields, dict) else {}).items()}
        return inner or MappingProxyType(inner)  # what no schema tells may be there
    return _OF_KIND.get(str(schema.get("type")), "sample")


def _of_arguments(document: Document, path: Path, tool: Mapping[str, Any]) -> Iterator[Problem]:
    texts = " ".join(text for _, text in _templates(tool["http"], ()))
    for name, schema in tool["arguments"].items():
        place = (*path, "arguments", name)
        if said := schemas.fault(schema):
            yield document.problem(place, said, "Describe it as JSON Schema does: {type: string, minLength: 3}.")
        elif "default" in schema and schemas.misfits(schema, schema["default"]):
            cure = f"It {schemas.misfits(schema, schema['default'])[0]}."
            yield document.problem((*place, "default"), "does not fit the argument itself", cure)
        elif not re.search(rf"\b{name}\b", texts):
            cure = f"Write {{{{ {name} }}}} in the url or the body, or remove it."
            yield document.problem(place, "is asked for and sent nowhere", cure, key=True, severity="warning")


def _of_request(
    document: Document, path: Path, http: Mapping[str, Any], samples: Mapping[str, Any]
) -> Iterator[Problem]:
    faulty = False
    for place, text in _templates(http, path):
        for fault in template(text).faults(samples):
            faulty = True
            yield document.problem_in(place, fault.line, fault.message, fault.cure, near=fault.near)
    yield from _of_address(document, (*path, "url"), http["url"], {} if faulty else samples)
    yield from _of_headers(document, (*path, "headers"), http["headers"])
    if "body" in http and http["method"] == "GET":
        yield document.problem((*path, "body"), "a GET request carries no body", "Write method: POST.", key=True)
    if "" in http.get("pick", "-").split("."):
        cure = "Write names and positions with one dot between, such as items.0.name."
        yield document.problem((*path, "pick"), "has nothing before or after a dot", cure)


def _of_address(document: Document, path: Path, url: str, samples: Mapping[str, Any]) -> Iterator[Problem]:
    """Judge the address; without samples only where it goes."""
    found = origin(url)
    if found is None:
        cure = "Write it as in https://shop.example.com:8443/orders, and other letters in the form with xn--."
        yield document.problem(path, "has a host or a port that cannot be one", cure)
    elif samples:
        try:
            _target(found[1], samples)
        except (ToolError, TemplateError):
            cure = "Write slashes as they are, and what holds them, or may be empty, behind a '?'."
            yield document.problem(path, "a value in its path is empty, or holds a slash or only dots", cure)


def _of_headers(document: Document, path: Path, headers: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in headers.items():
        if name.lower() in _OURS:
            yield document.problem((*path, name), "is set by Switchboard", "Remove it.", key=True)
        elif isinstance(value, str) and name.lower() in _SECRETS:
            cure = f"Keep it on the host and write {name}: {{env: NAME_OF_A_VARIABLE}}."
            yield document.problem((*path, name), "is a secret, which no file should hold", cure, severity="warning")


def _templates(written: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the texts of a request that are templates, with their paths."""
    for key in ("url", "headers", "body"):
        yield from _texts(written.get(key), (*path, key))


def _texts(written: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(written, str):
        yield path, written
    elif isinstance(written, dict):
        for key, inner in written.items():
            if not (key == "env" and path[-2:-1] == ("headers",)):
                yield from _texts(inner, (*path, key))
    elif isinstance(written, list):
        for index, inner in enumerate(written):
            yield from _texts(inner, (*path, index))
