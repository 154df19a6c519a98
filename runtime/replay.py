"""Plays the service's side of a recorded call against the agents of today, and tells what the runtime does otherwise.

The real state table (`runtime.call`) takes what was recorded, at the recorded times; tools, lookups and rules give
what they gave then. No clock runs and nothing waits: a timer fires when its time is passed, or with the recording's
own where both know it. What today asks for and was not asked for then is answered as a service would to which nothing
happens: a line is said at once, and an answer to what nobody asks for today is left out.
"""

import json
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from runtime import doubts
from runtime import events as e
from runtime.call import Call, State
from runtime.catalog import Catalog
from runtime.commands import (
    Accept,
    Attach,
    CancelTimer,
    CheckWords,
    Command,
    HangUp,
    LookUp,
    Refer,
    RunTool,
    Send,
    StartTimer,
)
from runtime.definition import AgentDefinition, Greeting, Rule, ToolDefinition
from runtime.deviations import Deviation, compare, in_lines, quoted
from runtime.errors import TemplateError, UnexpectedEvent, count
from runtime.foreign import inner
from runtime.incoming import Headers, IncomingCall
from runtime.outcome import Outcome
from runtime.realtime import messages
from runtime.receipt import holds
from runtime.recorded import ENDED, STOPPED, Entry, Recording, declared_by, entries_of, event_of, redacted
from runtime.redaction import declared_in
from runtime.roles import Roles, roles_for
from runtime.routing import Match, NoMatch, route
from runtime.session import GREETING, SessionSettings, line_of
from runtime.tool_calls import TOO_SLOW

NEAR_SECONDS = 1.0  # a request of today is the recorded one when no more lies between them
_BEGIN = 1_000.0  # the clock's time at the webhook: any would do
AT_ONCE_SECONDS = 0.25  # in which even a busy host has done what it does at once: behind a cut, nobody knows of it
_TOLD_SECONDS = 0.1  # between a tool's result and the event that tells of it, on a busy host
_MOST_STEPS = 100_000
_ANSWERS = {
    "accepted": "accept", "accept_failed": "accept", "attached": "attach", "attach_failed": "attach",
    "referred": "refer", "refer_failed": "refer", "hung_up": "hang_up", "looked_up": "look_up",
}  # fmt: skip
_OF_ITSELF = {"drain_ended", "host_stopped", "failed", "sideband_closed"}


@dataclass(frozen=True, slots=True)
class Replayed:
    """How one recording went today. `notes` say what could not be compared, and what may explain a deviation."""

    file: str
    agent: str | None
    seconds: float
    deviations: tuple[Deviation, ...]
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        found = [{"at": one.at, "about": one.about, "text": one.text} for one in self.deviations]
        told = {"file": self.file, "agent": self.agent, "seconds": self.seconds, "same": not found}
        return {**told, "deviations": found, "notes": list(self.notes)}


def replay(recording: Recording, catalog: Catalog, environment: str = "") -> Replayed:
    """Play a recording against a catalog, which is that of an environment."""
    away = recording.webhook.get("turned_away")
    if isinstance(away, dict):
        return _turned_away(recording, catalog, away)
    arrived = _arrival(recording, catalog)
    notes = _notes(recording, catalog, environment)
    if arrived.doubt:
        notes += (arrived.doubt,)
    if arrived.arrival is None:
        return Replayed(recording.file, recording.head["agent"], recording.seconds, tuple(arrived.found), notes)
    playing = _Playing(recording, arrived.arrival)
    playing.play()
    known_until = math.inf if recording.is_whole else recording.seconds - AT_ONCE_SECONDS  # what followed was cut off
    then = [entry for entry in recording.entries if entry.at <= playing.until or entry.type == ENDED]
    then, now = (_before(known_until, entries) for entries in (then, playing.done))
    doubtful = doubts.texts(recording, arrived.arrival)
    compared, unknown = compare(then, now, speech=recording.has_speech, doubtful=doubtful)
    found = [*arrived.found, *(each for each in playing.found if each.at < known_until), *compared]
    notes += tuple(playing.notes)
    if unknown:
        notes += (doubts.told(unknown),)
    if sum(one.about != "session" for one in found) > 1:
        notes += ("The caller and the model do what they did then: a difference may come of one before it.",)
    agent = arrived.arrival.match.agent.name
    return Replayed(recording.file, agent, round(recording.seconds, 3), tuple(sorted(found)), notes)


def _before(at: float, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.at < at]


def _notes(recording: Recording, catalog: Catalog, environment: str) -> tuple[str, ...]:
    known, notes = recording.head, []
    if known["environment"] != environment:
        there, here = (
            f"in the environment '{name}'" if name else "in none" for name in (known["environment"], environment)
        )
        notes.append(f"It was recorded {there}, and is played {here}: see --environment.")
    agent = catalog.agents.get(known["agent"] or "")
    if agent is not None and known["digest"] and agent.digest != known["digest"]:
        since = f"; it was recorded at revision {known['revision']}" if known["revision"] else ""
        notes.append(f"The file of {agent.name} has changed since{since}.")
    if not recording.has_speech:
        notes.append(
            "Words and numbers are not recorded: words are compared by their lengths, and who answers by name."
        )
    if not recording.is_whole:
        notes.append(f"The recording is cut off after {recording.seconds:.1f} s.")
    return tuple(notes)


# ── who answers ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Arrived:
    arrival: e.CallArrived | None
    found: list[Deviation] = field(default_factory=list)
    doubt: str = ""


def _incoming(recording: Recording) -> IncomingCall:
    known, told = recording.head, recording.webhook
    headers = told.get("headers")
    pairs = [(name, str(value)) for name, value in headers.items()] if isinstance(headers, dict) else []
    started_at = datetime.fromisoformat(told["started_at"])
    return IncomingCall(known["call_id"], known["called"], known["caller"], Headers(pairs), started_at)


def _turned_away(recording: Recording, catalog: Catalog, away: Mapping[str, Any]) -> Replayed:
    """Judge a call that was not taken: whether somebody answers it today."""
    outcome = str(away.get("outcome"))
    found, notes = list[Deviation](), list[str]()
    if outcome != Outcome.NO_AGENT:
        notes.append(f"The call was not taken ({outcome}): there is nothing to play.")
    elif not recording.has_speech:
        notes.append("Numbers are not recorded: who answers this one today cannot be told.")
    elif isinstance(match := route(catalog, _incoming(recording)), Match):
        found.append(Deviation(0.0, "agent", f"Nobody answered then, and {match.agent.name} answers now."))
    return Replayed(recording.file, None, recording.seconds, tuple(found), tuple(notes))


def _arrival(recording: Recording, catalog: Catalog) -> _Arrived:
    """Return the call's arrival as it would be today, and what is otherwise about who answers."""
    call, name = _incoming(recording), recording.head["agent"]
    match = route(catalog, call) if recording.has_speech else _by_name(catalog, name)
    found: list[Deviation] = []
    if isinstance(match, NoMatch):
        return _Arrived(None, [Deviation(0.0, "agent", f"{name} answered then, and nobody answers now.")])
    if match.agent.name != name:
        found.append(Deviation(0.0, "agent", f"{name} answered then, and {match.agent.name} answers now."))
    team = {member: _equipped(agent, recording) for member, agent in catalog.team(match.agent).items()}
    match = replace(match, agent=team[match.agent.name])
    try:
        roles = roles_for(match.agent, call, team)
    except TemplateError as error:
        text = f"A template of {match.agent.name} fails now: {error}. The call is rejected."
        if not recording.has_speech and doubts.may_be_made(match.agent, team, call):
            return _Arrived(None, found, f"{text} With what was not recorded it may not: nothing is compared.")
        return _Arrived(None, [*found, Deviation(0.0, "agent", text)])
    doubt = ""
    greeting = match.agent.greeting
    if greeting and not recording.has_speech and doubts.is_in(greeting.text.text, match.agent, call):
        doubt = doubts.told(["the greeting"])
        first = roles[match.agent.name]
        roles = {
            **roles,
            match.agent.name: replace(first, settings=_greeting_as_then(first.settings, greeting, recording)),
        }
    unable = str(recording.webhook.get("unable", ""))
    if unable and unable not in next(iter(roles.values())).conduct.on_failure:
        text = f"The call is not answered now for {unable}: on_failure says nothing of it any more."
        return _Arrived(None, [*found, Deviation(0.0, "agent", text)])
    return _Arrived(e.CallArrived(call, match, roles, unable), found, doubt)


def _greeting_as_then(settings: SessionSettings, greeting: Greeting, recording: Recording) -> SessionSettings:
    """Return settings with a greeting where there was one: whether there is, holds the caller's first turns or not."""
    asked = (inner(entry.event, "response") for entry in recording.entries if entry.type == "response.create")
    lines = (str(one.get("instructions")) for one in asked if line_of(one) == GREETING)
    if (words := next(lines, None)) is not None:
        greets = replace(settings, greeting=quoted(words), interruptible=greeting.interruptible)
        return replace(greets, wait_for_caller=greeting.wait_for_caller)
    accepted: Mapping[str, Any] = next(
        (entry.event["session"] for entry in recording.entries if entry.type == "accept"), {}
    )
    detection = inner(inner(inner(accepted, "audio"), "input"), "turn_detection")
    return settings if detection.get("create_response") is False else replace(settings, greeting=None)


def _by_name(catalog: Catalog, name: str) -> Match | NoMatch:
    """Return the agent that answered then: numbers that nobody can read reach who they reached."""
    agent = catalog.agents.get(name)
    if agent is None or not agent.answers:
        return NoMatch("")
    return Match(agent, Rule("*"), catalog.revision)


def _equipped(agent: AgentDefinition, recording: Recording) -> AgentDefinition:
    """Return an agent with the tools that its servers offered then; nobody asks them for a replay."""
    servers = agent.abilities.servers
    if not servers:
        return agent
    known = {tool.name for tool in agent.tools}
    told = (entry.event["session"].get("tools", ()) for entry in recording.entries if entry.type == "accept")
    offered = {tool["name"]: tool for tools in told for tool in tools if tool["name"] not in known}
    # Which of the servers offers a tool was not recorded: the most patient one.
    written = {"mcp": {}, "timeout_seconds": max(server["timeout_seconds"] for server in servers)}
    return agent.with_tools(
        ToolDefinition(name, tool["description"], tool["parameters"], written) for name, tool in offered.items()
    )


# ── the call ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Request:
    """Something that the runtime asked for then, and the entry that answered it, if one did."""

    at: float
    answer: int | None = None
    is_used: bool = False


class _Playing:
    """One call of today with the recorded service. `done` is what it did, as entries; `found` what it could not do, and
    `notes` say what nobody can know."""

    def __init__(self, recording: Recording, arrival: e.CallArrived) -> None:
        self.call = Call()
        self.at = 0.0
        self.done: list[Entry] = []
        self.found: list[Deviation] = []
        self.notes: list[str] = []
        self._recording = recording
        self._entries = recording.entries
        self._arrival = arrival
        self._roles: Roles = arrival.roles
        self._declared = declared_by(arrival.roles) | _declared_then(recording)
        self._guarded = any(role.agent.data["guardrails"] is not None for role in arrival.roles.values())
        self._requests, self._answers = _requests(recording.entries)
        self._firings = _firings(recording.entries)
        self._timers: dict[str, float] = {}
        self._asked: set[int] = set()
        self._left_out: set[str] = set()
        self._running: dict[str, str] = {}
        self._took = _tools_took(recording.entries)
        self._late: dict[str, tuple[float, e.ToolFinished]] = {}
        self._moving: deque[str] = deque()
        self._checked: set[str] = set()
        self._held_then: Mapping[str, Any] = {}
        self._index = 0
        self._steps = 0
        self._waiting: deque[e.Event] = deque()
        self._is_busy = False

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self.call.state is State.ENDED

    @property
    def until(self) -> float:
        """Up to when the two calls can be compared: what came then after the end of today's is no difference more."""
        return self.at + NEAR_SECONDS if self.is_over else float("inf")

    def play(self) -> None:
        """Play it from the webhook to its end, or to the recording's."""
        self._feed(self._arrival)
        for index, entry in enumerate(self._entries[1:], 1):
            if self.is_over:
                break
            self._index = index
            self._let_pass(entry.at)
            if not self.is_over:
                self.at = max(self.at, entry.at)
                self._take(index, entry)

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _let_pass(self, until: float) -> None:
        """Fire the timers, and give up the tools, whose time ends before another, unless the recording does soon."""
        while not self.is_over and self._steps < _MOST_STEPS:
            due = [(at, name) for name, at in self._timers.items() if at < until and not self._fires_soon(name, at)]
            late = [(at, tool_call_id) for tool_call_id, (at, _) in self._late.items() if at < until]
            if not due and not late:
                return
            at, name = min(due + late)
            self.at = max(self.at, at)
            if (at, name) in late:
                self._feed(self._late.pop(name)[1])
            else:
                self._fire(name)

    def _fires_soon(self, name: str, due: float) -> bool:
        return any(index >= self._index and abs(at - due) <= NEAR_SECONDS for index, at in self._firings[name])

    def _fire(self, name: str) -> None:
        del self._timers[name]
        self._feed(e.TimerFired(name))

    # ── what was recorded ─────────────────────────────────────────────────────────────────────────────────────

    def _take(self, index: int, entry: Entry) -> None:
        if entry.direction == "in":
            self._hear(index, entry)
        elif entry.type == "timer_fired":
            name = str(entry.event.get("name"))
            if self._timers.get(name, float("inf")) <= entry.at + NEAR_SECONDS:
                self._fire(name)
        elif entry.type == "accept":
            self._held_then = entry.event["session"]
        elif entry.type == "session.update":
            self._held_then = _merged(self._held_then, entry.event["session"])
        elif entry.type == STOPPED:
            self._stop_words(str(entry.event.get("response_id")))
        elif entry.direction in ("http", "host"):
            self._happen(index, entry)

    def _hear(self, index: int, entry: Entry) -> None:
        """Take an event of the service's, unless it answers what nobody asks for today."""
        response = entry.event.get("response_id") or inner(entry.event, "response").get("id")
        if index in self._answers and index not in self._asked:
            if isinstance(response, str):
                self._left_out.add(response)
            return
        if isinstance(response, str) and response in self._left_out:
            return
        event = messages.read(json.dumps(entry.event), hear_all=self._guarded)
        if isinstance(event, e.SessionConfirmed):
            event = e.SessionConfirmed(self._as_told(event.session))
        if event is not None:
            self._feed(event)

    def _as_told(self, echo: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the session as the service would confirm it today: what it took as it was told, it takes again."""
        talk = self.call.conversation
        assert talk is not None, "a session is confirmed in a conversation"
        return _overlaid(echo, self._held_then, talk.scene.settings.declared(held=talk.turns.held))

    def _stop_words(self, response_id: str) -> None:
        """Forbidden words were heard that the recording does not hold: today's rules cannot read them."""
        talk = self.call.conversation
        if not self._recording.has_speech and talk is not None and talk.scene.conduct.never_say:
            self._feed(e.WordsRefused(response_id, "never_say"))

    def _happen(self, index: int, entry: Entry) -> None:
        event = event_of(entry)
        match event:
            case None:
                return
            case e.ToolFinished():
                if self._running.pop(event.tool_call_id, None) is not None:
                    self._feed(event)
            case e.HandedOff():
                if self._moving:
                    self._feed(e.HandedOff(self._moving.popleft()))
            case e.WordsRefused():
                if event.response_id in self._checked:
                    self._feed(event)
            case _ if index in self._asked or entry.type in _OF_ITSELF:
                self._feed(event)

    # ── what the call does ────────────────────────────────────────────────────────────────────────────────────

    def _feed(self, event: e.Event) -> None:
        """Tell the call what happened, and after it what followed at once from what it did."""
        self._waiting.append(event)
        if self._is_busy:
            return
        self._is_busy = True
        while self._waiting and not self.is_over and self._steps < _MOST_STEPS:
            self._steps += 1
            next_event = self._waiting.popleft()
            try:
                done = self.call.handle(next_event, _BEGIN + self.at)
            except UnexpectedEvent:  # it answers what the call of today is past
                continue
            self._note(next_event, done)
            for command in done:
                self._obey(command)
        self._is_busy = False

    def _note(self, event: e.Event, done: Sequence[Command]) -> None:
        possible = [one for one in done if not isinstance(one, RunTool) or self._tool(one.name) is not None]
        for entry in entries_of(event, possible, self.at):
            self.done.append(entry if self._recording.has_speech else redacted(entry, self._declared))

    def _obey(self, command: Command) -> None:
        match command:
            case StartTimer():
                self._timers[command.name] = self.at + command.seconds
            case CancelTimer():
                self._timers.pop(command.name, None)
            case Accept():
                self._ask("accept", e.Accepted())
            case Attach():
                self._ask("attach", e.AttachFailed("the call is over", gone=True) if command.again else e.Attached())
            case Refer():
                self._ask("refer", e.Referred())
            case HangUp():
                self._ask("hang_up", e.HungUp())
            case LookUp():
                self._ask("look_up", e.LookedUp())
            case RunTool():
                self._run(command)
            case CheckWords():
                self._checked.add(command.response_id)
            case Send():
                self._send(command.event)

    def _send(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "session.update":
            talk = self.call.conversation
            assert talk is not None, "a session is told in a conversation"
            self._ask("update", e.SessionConfirmed(talk.scene.settings.declared(held=talk.turns.held)))
        elif event["type"] == "response.create":
            line = line_of(event["response"])
            self._ask(f"say {line}", *_said(f"resp_replay_{self._steps}", line))

    def _ask(self, what: str, *otherwise: e.Event) -> None:
        """Wait for the recorded answer to a request that was made then too; let another be answered at once."""
        for request in self._requests[what]:
            if not request.is_used and abs(request.at - self.at) <= NEAR_SECONDS:
                request.is_used = True
                if request.answer is None:
                    return
                if request.answer > self._index:
                    self._asked.add(request.answer)
                    return
                break
        self._waiting.extend(otherwise)

    @property
    def _agent(self) -> AgentDefinition:
        """Who has the caller."""
        assert self.call.conversation is not None, "made at the call's arrival"
        return self.call.conversation.scene.role.agent

    def _tool(self, name: str) -> ToolDefinition | None:
        return next((tool for tool in self._agent.tools if tool.name == name), None)

    def _run(self, command: RunTool) -> None:
        """Let a tool give its recorded result; one that the agent does not have any more fails, as it would."""
        tool = self._tool(command.name)
        if tool is None:
            text = f"The model called {command.name}, which {self._agent.name} does not have now."
            self.found.append(Deviation(round(self.at, 3), "tool", text))
            output = f"Tool {command.name} not found"
            self._waiting.append(e.ToolFinished(command.tool_call_id, command.name, output, failed=True))
        elif tool.use == "hand_off" and tool.written["agent"] in self._roles:
            self._running[command.tool_call_id] = command.name
            self._moving.append(tool.written["agent"])
        elif self._requests[f"tool {command.tool_call_id}"] or not self._recording.is_whole:
            self._await_result(command, tool)
        else:
            self._waiting.append(e.ToolFinished(command.tool_call_id, command.name, ""))

    def _await_result(self, command: RunTool, tool: ToolDefinition) -> None:
        """Wait for the recorded result, unless the host would give the tool up before it came."""
        took, given_up = self._took.get(command.tool_call_id, (0.0, False))
        limit = tool.timeout_seconds
        if given_up and limit > took:
            text = f"The tool {command.name} was given up after {took:.1f} s then, and may take {limit:g} s now"
            self.notes.append(f"{text}: what it would give is not recorded.")
        if took <= limit + _TOLD_SECONDS:
            self._running[command.tool_call_id] = command.name
            return
        text = f"The tool {command.name} took {took:.1f} s then, and is given up after {limit:g} s now."
        self.found.append(Deviation(round(self.at, 3), "tool", text))
        late = e.ToolFinished(command.tool_call_id, command.name, TOO_SLOW, limit, failed=True, too_slow=True)
        self._late[command.tool_call_id] = (self.at + limit, late)


def _said(response_id: str, line: str) -> tuple[e.Event, ...]:
    """Return what the service tells of a line that is said in no time."""
    return (
        e.ResponseCreated(response_id, line),
        e.PlaybackStarted(response_id),
        e.ResponseDone(response_id, "completed", line=line),
        e.PlaybackEnded(response_id),
    )


# ── what was asked for then ───────────────────────────────────────────────────────────────────────────────────


def _tools_took(entries: Iterable[Entry]) -> dict[str, tuple[float, bool]]:
    """Return after how many seconds tools were over, and whether they were given up, by the ids of their calls."""
    finished = (event_of(entry) for entry in entries if entry.type == "tool_finished")
    return {one.tool_call_id: (one.seconds, one.too_slow) for one in finished if isinstance(one, e.ToolFinished)}


def _requests(entries: Sequence[Entry]) -> tuple[dict[str, list[_Request]], set[int]]:
    """Return the requests of a recording by what was asked for, and the entries that answer one."""
    requests: dict[str, list[_Request]] = defaultdict(list)
    answers: set[int] = set()
    open_requests: dict[str, deque[_Request]] = defaultdict(deque)

    def answered(what: str, index: int, *, latest: bool = False) -> None:
        waiting = open_requests[what]
        if waiting:
            request = waiting.pop() if latest else waiting.popleft()
            request.answer = index
            answers.add(index)
            if latest:
                waiting.clear()

    for index, entry in enumerate(entries):
        if what := _request(entry):
            made = _Request(entry.at)
            requests[what].append(made)
            open_requests[what].append(made)
        elif entry.type in _ANSWERS:
            answered(_ANSWERS[entry.type], index)
        elif entry.type == "session.updated" or _refuses_update(entry):
            answered("update", index)
        elif entry.type == "response.created" and (line := line_of(inner(entry.event, "response"))):
            answered(f"say {line}", index, latest=True)
    return requests, answers


def _request(entry: Entry) -> str:
    """Return what an entry asks for, or `""`."""
    if entry.direction == "out":
        if entry.type == "session.update":
            return "update"
        if entry.type == "response.create":
            return f"say {line_of(inner(entry.event, 'response'))}"
        return ""
    if entry.type == "run_tool":
        return f"tool {entry.event.get('tool_call_id')}"
    return entry.type if entry.type in _ANSWERS.values() else ""


def _refuses_update(entry: Entry) -> bool:
    return entry.type == "error" and str(inner(entry.event, "error").get("event_id")).startswith("update_")


def _firings(entries: Iterable[Entry]) -> dict[str, list[tuple[int, float]]]:
    """Return when each timer fired then, by its name, with the entry's index."""
    firings: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for index, entry in enumerate(entries):
        if entry.type == "timer_fired":
            firings[str(entry.event.get("name"))].append((index, entry.at))
    return firings


def _declared_then(recording: Recording) -> frozenset[str]:
    told = (inner(entry.event, "session").get("tools") for entry in recording.entries if entry.direction != "in")
    return declared_in([tool for tools in told if isinstance(tools, list) for tool in tools if isinstance(tool, dict)])


def _merged(session: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the service was told of a session, with one more update."""
    audio = {**inner(session, "audio"), **inner(update, "audio")}
    return {**session, **update, "audio": audio}


def _overlaid(echo: Mapping[str, Any], then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return an echo in which each value that was confirmed as told then is as it is told now."""
    result = dict(echo)
    for key, value in now.items():
        told, heard = then.get(key), echo.get(key)
        if isinstance(value, Mapping) and isinstance(heard, Mapping):
            result[key] = _overlaid(heard, told if isinstance(told, Mapping) else {}, value)
        elif key not in then or holds(told, heard):
            result[key] = value
    return result


# ── telling ───────────────────────────────────────────────────────────────────────────────────────────────────


def as_text(replayed: Sequence[Replayed]) -> str:
    """Return replays for people: a line for each recording, and below it what is otherwise now."""
    return "\n".join(map(_text, replayed))


def _text(one: Replayed) -> str:
    found = count(len(one.deviations), "difference") if one.deviations else "the same as then"
    head = f"{one.file}: {one.agent or 'nobody'}, {one.seconds:.1f} s: {found}\n"
    return head + in_lines(one.deviations) + "".join(f"  {note}\n" for note in one.notes)


def as_json(replayed: Sequence[Replayed]) -> str:
    """Return replays for programs."""
    return json.dumps([one.as_data() for one in replayed], ensure_ascii=False, indent=2) + "\n"


REPLAYS: dict[str, Callable[[Sequence[Replayed]], str]] = {"text": as_text, "json": as_json}
