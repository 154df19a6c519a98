"""Plays one scenario with the real host: in this process with the simulator and a clock that jumps, or for real.

What happened is a `Played`, whoever answers for the model: the scenario's own lines, any other mind, or the service.
"""

import asyncio
import json
import logging
import math
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from runtime import catalog as catalogs
from runtime import threads
from runtime.call import State
from runtime.catalog import Catalog
from runtime.commands import Record
from runtime.context import CallContext
from runtime.definition import Abilities, AgentDefinition, ToolDefinition
from runtime.errors import ToolError, did_you_mean, listing
from runtime.expectations import (
    Moment,
    Played,
    PlayedTurn,
    Question,
    Received,
    Said,
    Used,
    arguments_told,
    compare,
    how_it_ended,
    questions,
)
from runtime.faults import FaultyLine
from runtime.realtime.live import LiveCall
from runtime.receipt import Receipt
from runtime.results import Run
from runtime.ringing import Background, Hands, loopback
from runtime.runner import Line, Runner
from runtime.scenarios import Canned, Deed, Response, Scenario, Turn, Use
from runtime.session import LINE, is_models_own
from runtime.settings import Endpoint, samples_kept_in
from runtime.simulator import clock
from runtime.simulator.clock import waiting_for_real
from runtime.simulator.mind import Asked, Mind
from runtime.simulator.script import Reply, ToolUse
from runtime.sound import samples, seconds_of
from runtime.verdict import Verdict

SETTLED_SECONDS = 2.0  # of the call, after which nothing more follows by itself: longer than keys are gathered
STUCK_SECONDS = 900.0  # of the call: the longest that a tool may take is 600
PATIENCE_SECONDS = 30.0  # without a sign of the real service while an answer is due
ENDING_SECONDS = 60.0  # of the call, for an end that a scenario waits for
CALL_SECONDS = 3 * 3600.0  # of the call: the service ends it after one hour
_NOWHERE = ["a-server-of-tools-that-is-down"]
NO_LINE = "I see."  # what a model says for which the scenario has no line, as the simulator's does

Invoke = Callable[[CallContext, str], Awaitable[str]]
"""What a `ToolDefinition` is run by."""

Judge = Callable[[Question], Awaitable[Verdict]]
"""Asks a judging model. What it raises is the caller's to hear."""


def rehearse(
    scenario: Scenario,
    catalog: Catalog,
    mind: Mind | None = None,
    judge: Judge | None = None,
    background: Background = (),
    live: Endpoint | None = None,
) -> Run:
    """Play a scenario once and compare it with what it expects.

    A mind takes the place of the scenario's model lines; `live` is where the real service does, in real time.
    `background` is the host's: what its tools need beside the call. Never raises for what agents or tools do.
    """
    began = time.monotonic()

    async def work() -> Run:
        played = await perform(scenario, catalog, mind, background, live)
        if played.broken:
            return Run(played, broken=played.broken)
        verdicts = {question: await judge(question) for question in questions(scenario, played)} if judge else {}
        return Run(played, tuple(compare(scenario, played, verdicts)))

    with (
        tempfile.TemporaryDirectory(prefix="switchboard-test-", ignore_cleanup_errors=True) as folder,
        samples_kept_in(Path(folder, "samples.sqlite3")),
    ):
        run = asyncio.run(work()) if live else clock.run(work(), threads.at_work)
    return replace(run, seconds=time.monotonic() - began)


async def perform(
    scenario: Scenario,
    catalog: Catalog,
    mind: Mind | None = None,
    background: Background = (),
    live: Endpoint | None = None,
) -> Played:
    """Play a scenario once on this event loop, whose clock may jump, and return what happened."""
    is_scripted = mind is None and live is None
    stage = _Stage(scenario, is_scripted=is_scripted, patience_seconds=PATIENCE_SECONDS if live else STUCK_SECONDS)
    cast = _recast(catalog, scenario, is_scripted=is_scripted)
    now, rung_at = asyncio.get_running_loop().time, math.inf

    def shown() -> datetime:
        return scenario.clock + timedelta(seconds=max(0.0, now() - rung_at))

    with _logged(stage):
        async with loopback(
            cast,
            stage.observe,
            background,
            live=live,
            clock=shown,
            max_calls=0 if "over_capacity" in scenario.down else None,
            through=lambda line: _with_faults(line, scenario, catalog),
            pace=1.0,
            mind=mind or stage,
        ) as made:
            call = made.new_call(scenario.called, scenario.caller, stage.hear)
            stage.begin(call, cast)
            rung_at = now()
            await made.ring(call, scenario.headers, at=int(scenario.at.timestamp()))
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    await stage.play()
            except TimeoutError:
                stage.get_stuck()
            call.hangs_up()
            await made.host.idle()
    return stage.played()


def _with_faults(line: Line, scenario: Scenario, catalog: Catalog) -> Line:
    """Return a line on which what the scenario says goes wrong; where nothing does, the line itself."""
    tools = [tool for agent in catalog.agents.values() for tool in agent.tools if tool.use == "transfer"]
    given = [canned.error for name in {tool.name for tool in tools} for canned in scenario.canned.get(name, ())]
    return FaultyLine(line, scenario.down, given) if scenario.down or given else line


# ── the stage ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Act:
    """What happened in one turn, while it is played."""

    said: list[Said] = field(default_factory=list)
    used: dict[str, Used] = field(default_factory=dict)
    handoffs: list[str] = field(default_factory=list)
    transfers: list[str] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    milliseconds: float | None = None
    reached: bool = False
    unasked: int = 0
    impossible: list[tuple[Response, str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    spoke_over: bool = True
    agent: str = ""
    outcome: str = ""
    received: Received = field(default_factory=Received)

    def tell(self, who: str, what: str) -> None:
        self.moments.append(Moment(who, what))


class _Stage:
    """Moves the caller's hands through a scenario, speaks its model lines, and notes what happens in which turn.

    What follows from a deed belongs to the deed's turn, until the model speaks a line of a later one. Where the model
    is not scripted, its lines are passed over, and such a turn looks at all that followed.
    """

    def __init__(self, scenario: Scenario, *, is_scripted: bool, patience_seconds: float) -> None:
        self._scenario = scenario
        self._is_scripted = is_scripted
        self._patience_seconds = patience_seconds
        self._opening = _Act()
        self._acts = [_Act() for _ in scenario.turns]
        self._act = self._opening if scenario.turns[0].deed else self._acts[0]
        self._lines: deque[tuple[_Act, Response]] = deque()
        self._stirred = asyncio.Event()
        self._over = asyncio.Event()
        self._deed_at = 0.0
        self._agent = self._outcome = self._reason = self._broken = ""
        self._runner: Runner | None = None
        self._line_of: dict[str, str] = {}
        self._act_of: dict[str, _Act] = {}
        self._running: dict[str, _Act] = {}
        self._waits_for_caller: set[tuple[str, str]] = set()
        self._is_done = False

    def begin(self, call: Hands, cast: Catalog) -> None:
        """Take the call that is about to ring."""
        self._call = call
        tools = [(agent.name, tool) for agent in cast.agents.values() for tool in agent.tools]
        self._waits_for_caller = {(agent, tool.name) for agent, tool in tools if tool.use == "keypad"}
        self._deed_at = asyncio.get_running_loop().time()

    async def play(self) -> None:
        """Play the turns, until the call is over or nothing of the scenario is left."""
        turns = self._scenario.turns
        if self._act is self._opening:
            await self._settle(until_audible=_interrupts(turns[0]))
            self._conclude([self._opening])
        for first, end in exchanges(turns):
            if self._over.is_set():
                break
            acts = self._acts[first:end]
            self._act = acts[0]
            if self._is_scripted:
                scripted = zip(acts, turns[first:end], strict=True)
                self._lines = deque((act, each) for act, turn in scripted for each in turn.model)
            await self._do(turns[first])
            is_interrupted = end < len(turns) and _interrupts(turns[end])
            await self._settle(until_audible=is_interrupted)
            if not is_interrupted and any(
                each.field == "ended_by" for turn in turns[first:end] for each in turn.expect
            ):
                await self._within(ENDING_SECONDS, self._over)
            self._conclude(acts)
        self._is_done = True

    async def _do(self, turn: Turn) -> None:
        """Let the caller do what the turn says."""
        if turn.deed is None:
            return
        self._act.tell("caller", _told(turn.deed.kind, turn.deed.value))
        match turn.deed.kind:
            case "says" if turn.deed.audio and isinstance(self._call, LiveCall):
                await self._play(turn.deed, self._call)
                return
            case "says" | "interrupts":
                # In writing an answer may be whole before anybody can speak over it.
                is_late = not self._call.audible and not isinstance(self._call, LiveCall)
                self._act.spoke_over = turn.deed.kind == "says" or not is_late
                await self._call.says(turn.deed.value)
            case "keys":
                await self._call.presses(turn.deed.value)
            case "silent":
                self._deed_at = asyncio.get_running_loop().time()
                await self._within(turn.deed.value, self._over)
                await self._call.stays_silent(turn.deed.value)
                return
            case "hangs_up":
                self._call.hangs_up()
        self._deed_at = asyncio.get_running_loop().time()

    async def _play(self, deed: Deed, call: LiveCall) -> None:
        """Let the caller be heard, and count from the end of the words: the service may answer before we know."""
        file = Path(self._scenario.file).parent / deed.audio
        sound = samples(file.read_bytes(), file.as_posix())
        self._deed_at = asyncio.get_running_loop().time() + seconds_of(sound)
        await call.plays(sound)

    async def _settle(self, *, until_audible: bool = False) -> None:
        """Wait until nothing more follows by itself, or the agent is heard where it is to be interrupted."""
        while not self._over.is_set() and not (until_audible and self._call.audible):
            self._stirred.clear()
            busy = STUCK_SECONDS if self._running else self._patience_seconds
            if not await self._within(busy if self._is_busy else SETTLED_SECONDS, self._stirred):
                if self._is_busy:
                    self.note("the service was waited for, and gave no sign")
                return

    @property
    def _is_busy(self) -> bool:
        """Whether something is under way that nobody but the agent, its tools or the service ends."""
        settled = self._runner is not None and self._runner.call.state is State.ACTIVE
        return not settled or not self._call.quiet or self._call.ended.is_set() or bool(self._running)

    async def _within(self, seconds: float, event: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True

    def _conclude(self, acts: Sequence[_Act]) -> None:
        """Keep how things stand at the end of an exchange's turns."""
        for act, _ in self._lines:
            act.unasked += 1
        self._lines.clear()
        receipt = self._runner.call.receipt if self._runner else Receipt()
        received = Received(receipt.rows, receipt.greeting, str(self._call.session.get("instructions", "")))
        for act in acts:
            act.reached, act.agent, act.outcome, act.received = True, self._agent, self._outcome, received

    # ── the model's part, where the scenario has it ───────────────────────────────────────────────────────────

    async def reply(self, asked: Asked) -> Reply:
        """Return the scenario's next line, as a mind does. One without tools waits for a response that may use them."""
        if not self._lines or (self._lines[0][1].uses and not asked.may_use_tools):
            return NO_LINE
        self._act, line = self._lines.popleft()
        parameters = {tool["name"]: tool["parameters"] for tool in asked.tools}
        self._act.impossible += [(line, *why) for use in line.uses if (why := _why_impossible(use, parameters))]
        uses = [ToolUse(use.tool, json.dumps(use.arguments, ensure_ascii=False)) for use in line.uses]
        return (*line.says, *uses)

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────

    def get_stuck(self) -> None:
        """Note that the call never came to an end."""
        self._end("failed", "it got stuck and never ended")

    def note(self, words: str) -> None:
        """Note what was logged."""
        self._act.tell("log", words)

    def tool_broke(self, tool: str, how: str) -> None:
        """Note of a tool that raised, or took too long, that no caller should ever hear of it."""
        if tool not in self._scenario.canned:
            self._act.broken.append(f"{tool} {how}")

    def observe(self, runner: Runner, record: Record) -> None:
        """Note a record of the host's."""
        self._runner = runner
        fields = record.fields
        match record.what:
            case "accepted":
                assert runner.match is not None, "nobody accepts a call that no agent takes"
                self._agent = runner.match.agent.name
            case "handed off":
                self._agent = fields["agent"]
                self._act.handoffs.append(self._agent)
                self._act.tell("call", f"handed over to {self._agent}")
            case "transferring":
                self._act.transfers.append(fields["destination"])
                self._act.tell("call", f"being put through to {fields['destination']}")
            case "hanging up":
                self._reason = fields["reason"]
            case "ended":
                self._end(fields["outcome"], fields.get("reason", ""))
            case _ if record.level >= logging.WARNING:
                more = ", ".join(f"{name}: {value}" for name, value in fields.items())
                self.note(f"{record.what} ({more})" if more else record.what)
        self._stirred.set()

    def _end(self, outcome: str, reason: str) -> None:
        if not self._is_done:
            self._outcome, self._reason = outcome, reason or self._reason
            self._act.tell("call", how_it_ended(Played((), outcome=outcome, reason=self._reason)))
        self._over.set()

    def hear(self, what: str, fields: Mapping[str, Any]) -> None:
        """Note what the service and the host send each other."""
        self._stirred.set()
        event = fields.get("event", {})
        item, response = event.get("item") or {}, event.get("response") or {}
        match what, event.get("type"):
            case "client_event", "conversation.item.create" if item["type"] == "function_call_output":
                self._give_result(item["call_id"], item["output"])
            case "server_event", "response.created":
                self._line_of[str(response.get("id"))] = (response.get("metadata") or {}).get(LINE, "")
            case "server_event", "output_audio_buffer.started":
                self._act_of[str(event.get("response_id"))] = self._act
                if self._act.milliseconds is None:
                    self._act.milliseconds = (asyncio.get_running_loop().time() - self._deed_at) * 1000
            case "server_event", "response.output_audio_transcript.done":
                self._say(str(event.get("response_id")), event.get("transcript", "").strip())
            case "server_event", "response.output_item.done" if item.get("type") == "function_call":
                self._use(item)
            case "mind_failed", _:
                self._broken = self._broken or f"Who plays the model gave no answer: {fields['error']}"

    def _say(self, response_id: str, text: str) -> None:
        """Note what was said, in the turn in which it began to be heard: the caller may have interrupted it since."""
        act, line = self._act_of.get(response_id, self._act), self._line_of.get(response_id, "")
        if text:
            act.said.append(Said(text, "" if is_models_own(line) else line))
            is_missing = self._is_scripted and text == NO_LINE
            act.tell("agent", f"{text} (the scenario has no model line here)" if is_missing else text)

    def _use(self, item: Mapping[str, Any]) -> None:
        if item.get("status", "completed") != "completed":
            return  # it was interrupted, and nobody runs it
        self._act.used[item["call_id"]] = Used(item["name"], item["arguments"])
        self._act.tell("tool", f"{item['name']}{arguments_told(item['arguments'])}")
        if (self._agent, item["name"]) not in self._waits_for_caller:
            self._running[item["call_id"]] = self._act

    def _give_result(self, call_id: str, output: str) -> None:
        self._running.pop(call_id, None)
        act = next((act for act in (self._opening, *self._acts) if call_id in act.used), None)
        if act is not None and act.used[call_id].result is None:
            act.used[call_id] = replace(act.used[call_id], result=output)
            self._act.tell("result", output)

    # ── what was played ───────────────────────────────────────────────────────────────────────────────────────

    def played(self) -> Played:
        """Return what happened, turn by turn."""
        begins = {at: first for first, end in exchanges(self._scenario.turns) for at in range(first, end)}
        turns = [
            _as_played(act, self._acts[begins[at] : at + 1] if turn.looks_back or not self._is_scripted else [act])
            for at, (turn, act) in enumerate(zip(self._scenario.turns, self._acts, strict=True))
        ]
        last = [act for act in (self._opening, *self._acts) if act.reached][-1:]
        received = last[0].received if last else Received()
        return Played(
            tuple(
                turn if turn.reached else replace(turn, agent=self._agent, outcome=self._outcome, received=received)
                for turn in turns
            ),
            _as_played(self._opening, [self._opening]),
            self._outcome,
            self._reason,
            self._broken,
        )


def exchanges(turns: Sequence[Turn]) -> list[tuple[int, int]]:
    """Return the turns as ranges that begin where the caller does something."""
    starts = [at for at, turn in enumerate(turns) if at == 0 or turn.deed is not None]
    return list(zip(starts, [*starts[1:], len(turns)], strict=True))


def _as_played(act: _Act, seen: Sequence[_Act]) -> PlayedTurn:
    """Return one turn as it was, with all that it sees of what happened."""
    return PlayedTurn(
        agent=act.agent,
        said=tuple(said for each in seen for said in each.said),
        used=tuple(used for each in seen for used in each.used.values()),
        handoffs=tuple(name for each in seen for name in each.handoffs),
        transfers=tuple(name for each in seen for name in each.transfers),
        milliseconds=next((each.milliseconds for each in seen if each.milliseconds is not None), None),
        outcome=act.outcome,
        reached=act.reached,
        unasked=act.unasked,
        impossible=tuple(act.impossible),
        broken=tuple(act.broken),
        spoke_over=act.spoke_over,
        received=act.received,
        moments=tuple(act.moments),
    )


def _why_impossible(use: Use, parameters: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return what stands in a model's line and why no model can do it: it has no such tool, or no such argument."""
    if use.tool not in parameters:
        return f"the model uses {use.tool}", "the model does not have it"
    known = parameters[use.tool].get("properties", {})
    if known and (unknown := [name for name in use.arguments if name not in known]):
        near = did_you_mean(unknown[0], known) or f"It has {listing(list(known), 'and')}."
        return f"the model uses {use.tool} with {unknown[0]}", f"it has no such argument. {near}"
    return None


def _interrupts(turn: Turn) -> bool:
    return turn.deed is not None and turn.deed.kind == "interrupts"


def _told(kind: str, value: Any) -> str:
    """Return what the caller does, for people."""
    match kind:
        case "keys":
            return f"(presses {' '.join(value)})"
        case "silent":
            return f"(is silent for {value:g} s)"
        case "interrupts":
            return f"(interrupts) {value}"
        case "hangs_up":
            return "(hangs up)"
    return str(value)


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _recast(catalog: Catalog, scenario: Scenario, *, is_scripted: bool) -> Catalog:
    """Return the catalog with tools that give what the scenario says; whatever else runs for real takes real time.

    A tool that no agent declares comes from a server: agents with servers get it, and these are not asked then, nor
    where a scripted scenario has nothing to do with them.
    """
    known = {tool.name for agent in catalog.agents.values() for tool in agent.tools} | {"lookup"}
    cans = {name: _Can(given) for name, given in scenario.canned.items()}
    from_servers = tuple(_unknown(name, can) for name, can in cans.items() if name not in known)
    needs_servers = not from_servers and (not is_scripted or not _named(scenario) <= known)

    def tool(tool: ToolDefinition) -> ToolDefinition:
        return _played(tool, cans.get(tool.name))

    def recast(agent: AgentDefinition) -> AgentDefinition:
        abilities = agent.abilities
        tools = (*map(tool, abilities.tools), *(from_servers if abilities.servers else ()))
        lookup = abilities.lookup and _played(abilities.lookup, cans.get("lookup"))
        rules = tuple(_played(rule, None) for rule in abilities.rules)
        servers = abilities.servers if needs_servers else ()
        if "tools_unavailable" in scenario.down:
            servers = tuple({**server, "mcp": {"command": _NOWHERE}} for server in abilities.servers)
        return replace(agent, abilities=Abilities(tools, servers, lookup, rules))

    return catalogs.assemble(map(recast, catalog.agents.values()), catalog.revision)


def _named(scenario: Scenario) -> set[str]:
    """Return the tools that a scenario's model uses or should have, and what no agent declares where one is away."""
    used = {use.tool for turn in scenario.turns for response in turn.model for use in response.uses}
    expected = [each for turn in scenario.turns for each in turn.expect]
    listed = {each.wanted for each in expected if each.field == "receipt.tools"}
    away = {"" for each in expected if (each.field, each.wanted) == ("ended_by", "tools")}
    return used | listed | away


def _played(tool: ToolDefinition, can: "_Can | None") -> ToolDefinition:
    """Return a tool that gives what it is told to, or runs for real."""
    real = tool.invoke
    if real is None:
        return tool

    async def for_real(context: CallContext, arguments: str) -> str:
        with waiting_for_real():
            text: str = await real(context, arguments)
        return text

    return replace(tool, invoke=can.invoking(for_real) if can else for_real)


def _unknown(name: str, can: "_Can") -> ToolDefinition:
    """Return a tool that only its server knows, with whatever arguments."""
    written = {"name": name, "mcp": {}, "timeout_seconds": 20.0}

    async def nowhere(context: CallContext, arguments: str) -> str:
        raise ToolError(f"The scenario says nothing that {name} gives.")

    return ToolDefinition(name, "", {"type": "object", "properties": {}}, written, can.invoking(nowhere))


class _Can:
    """What one tool gives, use by use, over all agents of a call."""

    def __init__(self, given: Sequence[Canned]) -> None:
        self._given = deque(given)

    def invoking(self, real: Invoke) -> Invoke:
        """Return what takes the place of a tool's own way to its result."""

        async def invoke(context: CallContext, arguments: str) -> str:
            given = self._given.popleft() if len(self._given) > 1 else self._given[0]
            await asyncio.sleep(given.delay)
            if given.error:
                raise ToolError(given.error)
            return json.dumps(given.result, ensure_ascii=False) if given.given else await real(context, arguments)

        return invoke


# ── the log ───────────────────────────────────────────────────────────────────────────────────────────────────


class _Handler(logging.Handler):
    """Notes what is logged as a warning or worse, with the exception that it tells of."""

    def __init__(self, stage: _Stage) -> None:
        super().__init__(logging.WARNING)
        self._stage = stage

    def emit(self, record: logging.LogRecord) -> None:
        error, words = record.exc_info[1] if record.exc_info else None, record.getMessage()
        self._stage.note(f"{words}: {_shown(error)}" if error else words)
        tool = getattr(record, "tool", "")
        if tool and record.levelno >= logging.ERROR and not isinstance(error, ToolError):
            self._stage.tool_broke(tool, f"raised {_shown(error)}" if error else "took too long")


def _shown(error: BaseException) -> str:
    """Return an exception and where it was raised: `ValueError: no such table (restaurant.py:40)`."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


@contextmanager
def _logged(stage: _Stage) -> Iterator[None]:
    """Tell warnings to the stage and nobody else. At DEBUG the house logs exceptions with their words."""
    root, house, handler = logging.getLogger(), logging.getLogger("runtime"), _Handler(stage)
    before, level = root.handlers, house.level
    root.handlers = [handler]
    house.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.handlers = before
        house.setLevel(level)
