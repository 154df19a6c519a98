"""The chain that a call takes, step by step: what was seen becomes what it means and what to do. Pure.

Values in, `Step`s out. Who asks the service, the network and the host is `examination`; this knows no clock and
waits for nothing. No step ever holds a secret, or the part of an address that may hold one.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from runtime import schema as schemas
from runtime.catalog import Catalog
from runtime.errors import Problem, SettingsError, count, errors, listing

INCOMING: Final = "realtime.call.incoming"
WEBHOOK_PATH = "/openai/webhook"
FRESH_SECONDS = 60.0  # a webhook that looks older is of a call that is over (host.FRESH_SECONDS)
TOLERANCE_SECONDS = 300.0  # of a signature's age, both ways (protocol 1.2)
SIP_PORT = 5061
_NOTABLE_SECONDS = 5.0  # a clock that is kept by NTP is never so far off
_SOON_DAYS = 90  # a shutdown that is nearer is told first thing


class Mark(StrEnum):
    """How a step went."""

    FINE = "fine"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the chain: its name, how it went, what was seen, what that means, what to do, and a list to read."""

    name: str
    mark: Mark
    saw: str
    means: str = ""
    do: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered: `status` None when nothing came, `said` in its words, and what was asked for.

    `ahead` is by how many seconds this machine's clock is ahead of the service's.
    """

    status: int | None
    said: str = ""
    data: Any = None
    ahead: float | None = None
    code: str = ""

    @property
    def good(self) -> bool:
        """Whether the service gave what was asked for."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook of the project, as the service holds it."""

    id: str
    url: str
    event_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reached:
    """How far the SIP address was reached: addresses of its name, a connection, TLS. `said` is why not further."""

    addresses: tuple[str, ...] = ()
    connected: bool = False
    version: str = ""
    names: tuple[str, ...] = ()
    said: str = ""
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """A model that agents use, to speak or to transcribe."""

    model: str
    transcribes: bool
    agents: tuple[str, ...] = field(default=(), compare=False)


def exit_code(steps: Sequence[Step]) -> int:
    """Return 0 when a call can come through, warnings or not, and 1 when a step failed."""
    return int(any(step.mark is Mark.FAILED for step in steps))


# ── settings and secrets ──────────────────────────────────────────────────────────────────────────────────────

_WITHOUT = {
    "OPENAI_API_KEY": "Without the key no call is accepted.",
    "OPENAI_WEBHOOK_SECRET": "Without the secret every webhook is refused, so that no call comes.",
}


def settings(api_key: str, secrets: Sequence[str], base_url: str, wrong: Sequence[SettingsError]) -> list[Step]:
    """Return the steps of the environment: what is wrong with its values, and what they seem to be."""
    steps = [
        Step("settings", Mark.FAILED, f"{error.name} {error.message}", _means(error.name), error.cure)
        for error in wrong
    ]
    swapped = api_key.startswith("whsec_") or any(secret.startswith("sk-") for secret in secrets)
    if swapped:
        saw = "the key stands where the webhook's secret belongs, or the other way round"
        do = "OPENAI_API_KEY begins with sk-, OPENAI_WEBHOOK_SECRET with whsec_."
        steps.append(Step("settings", Mark.FAILED, saw, "Neither can do its work.", do))
    elif unusual := [secret for secret in secrets if not secret.startswith("whsec_")]:
        saw = f"{count(len(unusual), 'webhook secret')} {_verb(unusual)} not begin with whsec_"
        means = "OpenAI's do; a signature is then compared with the text as it stands."
        do = "Copy it again from the webhook's page, with its beginning."
        steps.append(Step("settings", Mark.WARNING, saw, means, do))
    if len(set(secrets)) < len(secrets):
        saw, do = "a webhook secret stands there twice", "Write each once; two are for the time of a rotation."
        steps.append(Step("settings", Mark.WARNING, saw, "Nothing breaks.", do))
    if not steps:
        saw = f"the key and {count(len(secrets), 'webhook secret')} are well formed, for {shown(base_url)}"
        steps.append(Step("settings", Mark.FINE, saw))
    return steps


def _means(names: str) -> str:
    told = [means for name, means in _WITHOUT.items() if name in names]
    return " ".join(told) or "'switchboard serve' does not begin with it."


def clock(ahead: float) -> Step:
    """Judge how many seconds this machine's clock is ahead of the service's."""
    apart = abs(ahead)
    saw = f"this machine's clock is {apart:.0f} s {'ahead of' if ahead > 0 else 'behind'} the service's"
    do = "Let the system keep its time (NTP), and look at the host's machine too."
    if apart > TOLERANCE_SECONDS:
        means = "Signatures count for five minutes: every webhook would be refused."
        return Step("clock", Mark.FAILED, saw, means, do)
    if ahead > FRESH_SECONDS:
        means = "Every call looks older than a minute, so that none would be taken (outcome stale)."
        return Step("clock", Mark.FAILED, saw, means, do)
    if apart > _NOTABLE_SECONDS:
        return Step("clock", Mark.WARNING, saw, "Calls come through, but nobody keeps this clock.", do)
    return Step("clock", Mark.FINE, "agrees with the service's")


# ── the key and the models ────────────────────────────────────────────────────────────────────────────────────


def uses(catalog: Catalog) -> list[Use]:
    """Return each model that the agents use, with their names; the schema's default where there is no agent."""
    agents: dict[Use, list[str]] = {}
    for agent in catalog.agents.values():
        agents.setdefault(Use(agent.data["model"], False), []).append(agent.name)
        if transcription := agent.data.get("transcription"):
            agents.setdefault(Use(transcription["model"], True), []).append(agent.name)
    found = [Use(use.model, use.transcribes, tuple(names)) for use, names in agents.items()]
    return found or [Use(schemas.load("agent").raw["properties"]["model"]["default"], False)]


def no_key() -> Step:
    """Return the step for a key, or an address of the service, that cannot be used."""
    means = "Models and webhooks are not looked at."
    return Step("key", Mark.WARNING, "there is none that the service can be asked with", means, "Correct the settings.")


def key(answers: Sequence[Answer], base_url: str) -> Step:
    """Judge the key by what the service answered when it was asked for models."""
    if all(answer.status is None for answer in answers):
        saw = f"{shown(base_url)} cannot be reached ({answers[0].said})"
        do = "Look at the network, a proxy between, and OPENAI_BASE_URL."
        return Step("key", Mark.FAILED, saw, "From here no call can be accepted.", do)
    statuses = {answer.status for answer in answers}
    if 401 in statuses:
        do = "Make a new key for the project that the webhook belongs to, and copy it whole."
        return Step("key", Mark.FAILED, "the service does not know it (401)", "No call can be accepted.", do)
    if any(answer.code == "insufficient_quota" for answer in answers):
        saw, do = "the project has no credit left (insufficient_quota)", "Look at billing and the project's limits."
        return Step("key", Mark.FAILED, saw, "Calls are accepted, and the agent cannot speak.", do)
    if any(answer.good or answer.status == 404 for answer in answers):
        return Step("key", Mark.FINE, "the service knows it")
    if 403 in statuses:
        means = "It may be a restricted key, which takes calls all the same; nobody can tell from here."
        do = "Allow it to read models and webhooks for this look, and Realtime for calls."
        return Step("key", Mark.WARNING, "may not ask for models (403)", means, do)
    answer = next(answer for answer in answers if answer.status is not None)
    means = "Whether the key is right cannot be told now."
    return Step("key", Mark.WARNING, f"the service answers {_told(answer)}", means, "Try again in a minute.")


def model(use: Use, answer: Answer, today: date) -> Step | None:
    """Judge one model, or return None when the key's step tells all that can be known."""
    name = "transcription" if use.transcribes else "model"
    who = f" ({_some(use.agents)})" if use.agents else ""
    if answer.status == 404:
        do = f"Correct {'transcription.model' if use.transcribes else 'model'}, or give the key's project access to it."
        if use.transcribes:
            means = "Calls may be refused, or go on without the caller's words in logs and traces."
            return Step(name, Mark.WARNING, f"there is no {use.model} for this project{who}", means, do)
        means = "Calls are accepted and cannot start: SIP 400 for the caller."
        return Step(name, Mark.FAILED, f"there is no {use.model} for this project{who}", means, do)
    announced = _announced(use)
    day = str(answer.data or announced.get("date") or "") if answer.good or answer.status == 403 else ""
    if not day:
        return Step(name, Mark.FINE, f"{use.model}{who}") if answer.good else None
    do = f"Write {announced['use']} instead." if announced else "Choose another model."
    left = _days(day, today)
    if left is not None and left <= 0:
        means = "Calls cannot start any more." if not use.transcribes else "Nothing is transcribed any more."
        return Step(name, Mark.FAILED, f"{use.model} was shut down on {day}{who}", means, do)
    when = f", in {count(left, 'day')}" if left is not None and left <= _SOON_DAYS else ""
    means = "Calls cannot start from that day on." if not use.transcribes else "Nothing is transcribed from then on."
    return Step(name, Mark.WARNING, f"{use.model} shuts down on {day}{when}{who}", means, do)


def _announced(use: Use) -> Mapping[str, str]:
    node = schemas.load("agent").raw["properties"]
    node = node["transcription"]["properties"]["model"] if use.transcribes else node["model"]
    announced: Mapping[str, str] = node.get("x-shutdown", {}).get(use.model, {})
    return announced


def _days(day: str, today: date) -> int | None:
    try:
        return (date.fromisoformat(day[:10]) - today).days
    except ValueError:
        return None


# ── the project's webhooks ────────────────────────────────────────────────────────────────────────────────────

_MAKE_ONE = f"Project settings, Webhooks: make one for {INCOMING} at https://YOUR-HOST{WEBHOOK_PATH}."


def hearing(answer: Answer) -> list[Endpoint]:
    """Return the webhooks that hear of calls."""
    return [endpoint for endpoint in answer.data or () if INCOMING in endpoint.event_types]


def webhooks(answer: Answer, *, local: bool = False) -> list[Step]:
    """Judge the webhooks of the key's project. `local`: the service is a simulator, which reaches this machine."""
    if not answer.good:
        saw = f"the service does not show the project's webhooks ({_told(answer)})"
        means = "A restricted key may not ask for them." if answer.status in (401, 403) else "Not this time, at least."
        do = f"Look at the project's settings, Webhooks: {INCOMING}, at https://YOUR-HOST{WEBHOOK_PATH}."
        return [Step("webhook", Mark.WARNING, saw, means, do)]
    if not answer.data:
        means = "Nobody is told of a call: SIP 400 for the caller."
        return [Step("webhook", Mark.FAILED, "the key's project has none", means, _MAKE_ONE)]
    heard = hearing(answer)
    if not heard:
        saw = f"none of {count(len(answer.data), 'webhook')} hears {INCOMING}"
        return [Step("webhook", Mark.FAILED, saw, "Nobody is told of a call: SIP 400 for the caller.", _MAKE_ONE)]
    steps = [_judge_address(endpoint.url, local=local) for endpoint in heard]
    if len(heard) > 1:
        saw = f"{len(heard)} webhooks of the project hear of each call"
        means = "Each of their hosts is told, and whoever answers first takes it or rejects it."
        steps.append(Step("webhook", Mark.WARNING, saw, means, "One project per environment."))
    return steps


def _judge_address(url: str, *, local: bool) -> Step:
    parts = urlsplit(url)
    saw = f"{shown(url)} hears {INCOMING}"
    if not local and (parts.scheme != "https" or _is_private(parts.hostname or "")):
        means = "The service reaches only https addresses on the internet."
        return Step("webhook", Mark.FAILED, saw, means, f"Write https://YOUR-HOST{WEBHOOK_PATH}.")
    if parts.path != WEBHOOK_PATH:
        means = f"The host answers at {WEBHOOK_PATH}; this is right only if a proxy between changes the path."
        return Step("webhook", Mark.WARNING, saw, means, f"Write https://YOUR-HOST{WEBHOOK_PATH}.")
    return Step("webhook", Mark.FINE, saw)


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".local", ".internal", ".localhost"))


# ── the running host, and a test event ────────────────────────────────────────────────────────────────────────


def host(url: str, ready: Mapping[str, Any] | None, said: str = "") -> Step:
    """Judge what a running host says of itself at `/readyz`; None when it said nothing; then `said` is why."""
    if ready is None:
        do = "Start it with 'switchboard serve', or correct --url."
        return Step("host", Mark.FAILED, f"{shown(url)} {said}", "No call is taken there.", do)
    saw = f"{ready['status']}, with {count(ready['agents'], 'agent')} at revision {ready['revision']}"
    if ready["status"] != "ready":
        return Step("host", Mark.WARNING, saw, "It takes no new calls.", "Start another before this one ends.")
    if (ready.get("reload") or {}).get("result") in ("refused", "partly"):
        means = "The last reload had problems, so that older agents are served."
        return Step("host", Mark.WARNING, saw, means, "Run 'switchboard status'.")
    return Step("host", Mark.FINE, saw)


def event(endpoint: Endpoint, answer: Answer, before: Mapping[str, Any], after: Mapping[str, Any]) -> Step:
    """Judge a test event: what the service got for it, and what the running host says of webhooks before and after."""
    url, status = shown(endpoint.url), answer.data
    seen = after.get("received", 0) > before.get("received", 0)
    if not answer.good or not isinstance(status, int):
        saw = f"the service could not deliver one to {url} ({_told(answer)})"
        do = "Is the name public, the certificate whole and valid, the firewall open, and does it answer in a second?"
        return Step("test event", Mark.FAILED, saw, "A call would not be told of either.", do)
    if 200 <= status < 300:
        if seen and after.get("answer") == "ignored":
            return Step("test event", Mark.FINE, f"came from the service by {url} to the running host, rightly signed")
        saw = f"{url} answered {status}, and the host at --url saw nothing"
        means = "Another host stands behind that address, and takes the calls."
        return Step("test event", Mark.WARNING, saw, means, "Compare the webhook's address, the proxy's and --url.")
    if seen:
        saw = f"came by {url} to the running host, which refused it ({after.get('answer')})"
        means = "The secret is another webhook's, or the host's clock is wrong: every call would be refused."
        do = "Give the host this webhook's secret; it was shown once, and can be made anew on the webhook's page."
        return Step("test event", Mark.FAILED, saw, means, do)
    means, do = _UNSEEN.get(status, _UNSEEN[status // 100] if status // 100 in _UNSEEN else _UNSEEN[4])
    return Step("test event", Mark.FAILED, f"{url} answered {status}, and not the running host", means, do)


_UNSEEN = {
    3: ("It redirects, and the service does not follow.", "Name the address that it leads to."),
    4: ("Something before the host refuses it.", "Look at the proxy's rules."),
    5: ("The proxy is there, and the host behind it is not.", "Start the host, and compare the proxy's target."),
    401: ("Something before the host wants a password.", f"Let {WEBHOOK_PATH} through without one; it is signed."),
    403: ("Something before the host refuses it.", f"Let {WEBHOOK_PATH} through; it is signed."),
    404: ("The address leads elsewhere, or its path is wrong.", f"The path is {WEBHOOK_PATH}."),
}


# ── the SIP address ───────────────────────────────────────────────────────────────────────────────────────────

_HOSTS = {"api.openai.com": "sip.api.openai.com", "eu.api.openai.com": "sip-eu.api.openai.com"}  # protocol 1.7


def sip_host(base_url: str) -> str | None:
    """Return the SIP host of the region of the base URL, or None where none is known."""
    return _HOSTS.get((urlsplit(base_url).hostname or "").lower())


def is_local(base_url: str) -> bool:
    """Tell whether the service is on this machine: a simulator."""
    return _is_private(urlsplit(base_url).hostname or "")


def no_sip_host(base_url: str) -> Step:
    """Return the step for a service whose SIP address nobody knows."""
    saw = f"none is known that belongs to {shown(base_url)}"
    return Step("SIP address", Mark.WARNING, saw, "Whether carriers reach it is not looked at.", "Ask who runs it.")


def sip(name: str, port: int, reached: Reached) -> list[Step]:
    """Judge how far a SIP address was reached from here.

    Calls do not pass here: the carrier makes this connection. What fails may be this machine's own network.
    """
    if not reached.addresses:
        means = "If carriers cannot resolve it either, no call reaches the service."
        do = "Compare it with the Origination URI, and look at this machine's name service."
        return [Step("SIP address", Mark.FAILED, f"{name} has no address ({reached.said})", means, do)]
    steps = [Step("SIP address", Mark.FINE, f"{name} is {_some(reached.addresses)}")]
    elsewhere = "Calls do not pass here: the carrier connects by itself, and this may be a firewall of yours."
    if not reached.connected:
        saw = f"TCP {port} does not answer ({reached.said})"
        do = "If the carrier reports 408 or Twilio 32011 too: status.openai.com."
        return [*steps, Step("SIP port", Mark.WARNING, saw, elsewhere, do)]
    steps.append(Step("SIP port", Mark.FINE, f"TCP {port} answers"))
    if reached.expired:
        means, do = "Carriers refuse it as well: calls fail before they ring.", "status.openai.com"
        return [*steps, Step("SIP TLS", Mark.FAILED, "the certificate has expired", means, do)]
    if not reached.version:
        do = "Does something between open TLS connections, or are this machine's certificates old?"
        return [*steps, Step("SIP TLS", Mark.WARNING, f"no secure connection ({reached.said})", elsewhere, do)]
    if not any(_covers(pattern, name) for pattern in reached.names):
        saw = f"the certificate is for {_some(reached.names) if reached.names else 'no name'}"
        do = "Is this really OpenAI, or something between?"
        return [*steps, Step("SIP TLS", Mark.WARNING, saw, elsewhere, do)]
    return [*steps, Step("SIP TLS", Mark.FINE, f"{reached.version}, with a certificate for {_some(reached.names)}")]


def _covers(pattern: str, name: str) -> bool:
    """Tell whether a certificate's name is the host's. OpenAI's SIP host was seen with its API's (protocol 5.1)."""
    pattern, name, owner = pattern.lower(), name.lower(), ".openai.com"
    if pattern.endswith(owner) and name.endswith(owner):
        return True
    return pattern[1:] == f".{name.partition('.')[2]}" if pattern.startswith("*.") else pattern == name


# ── the routing table ─────────────────────────────────────────────────────────────────────────────────────────


def routing(catalog: Catalog, problems: Sequence[Problem]) -> list[Step]:
    """Judge the catalog: its problems, which number reaches which agent, and which agents no call reaches."""
    steps = []
    if wrong := errors(problems):
        means = "'switchboard serve' does not begin with them; a host that runs keeps its last good agents."
        lines = tuple(str(problem) for problem in wrong)
        saw = f"has {count(len(wrong), 'problem')}"
        steps.append(Step("catalog", Mark.FAILED, saw, means, "'switchboard check' shows each.", lines))
    elif problems:
        saw = f"{count(len(catalog.agents), 'agent')} with {count(len(problems), 'warning')}"
        do = "Each says what to write."
        steps.append(Step("catalog", Mark.WARNING, saw, "Calls come through.", do, tuple(map(str, problems))))
    else:
        steps.append(Step("catalog", Mark.FINE, f"{count(len(catalog.agents), 'agent')} without problems"))
    rules = [(rule, agent) for agent in catalog.agents.values() for rule in agent.answers]
    if not rules:
        means = "Every call is rejected with SIP 404."
        do = 'Give an agent a number: answers: ["+15550100042"]'
        return [*steps, Step("numbers", Mark.FAILED, "no agent answers any", means, do)]
    lines = tuple(sorted(f"{rule} → {agent.name} ({agent.file}:{rule.line})" for rule, agent in rules))
    everything = any(rule.called == "*" and not rule.conditions for rule, _ in rules)
    others = "" if everything else "; every other is rejected with SIP 404"
    saw = f"{count(len(rules), 'rule')} for {count(len({agent.name for _, agent in rules}), 'agent')}{others}"
    steps.append(Step("numbers", Mark.FINE, saw, lines=lines))
    if idle := _idle(catalog):
        saw = f"no call reaches {_some(idle)}"
        do = "Give them answers:, or name them in another agent's handoffs:."
        steps.append(Step("numbers", Mark.WARNING, saw, "No number and no handoff leads there.", do))
    return steps


def _idle(catalog: Catalog) -> list[str]:
    """Return the agents that neither a number nor a handoff reaches."""
    reached: set[str] = set()
    ahead = [agent for agent in catalog.agents.values() if agent.answers]
    while ahead:
        agent = ahead.pop()
        if agent.name not in reached:
            reached.add(agent.name)
            names = (handoff["agent"] for handoff in agent.data.get("handoffs") or ())
            ahead += [catalog.agents[name] for name in names if name in catalog.agents]
    return sorted(catalog.agents.keys() - reached)


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────


def shown(url: str) -> str:
    """Return an address without what may be secret in it: a user, a password, a query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}{port}{parts.path}{'?…' if parts.query else ''}"


def _told(answer: Answer) -> str:
    return f"{answer.status}: {answer.said}" if answer.status else answer.said


def _some(names: Sequence[str]) -> str:
    return listing(names if len(names) < 5 else [*names[:3], f"{len(names) - 3:,} others"], "and")


def _verb(things: Sequence[str]) -> str:
    return "does" if len(things) == 1 else "do"
