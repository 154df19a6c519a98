"""A person plays the caller: typed lines become what the simulated caller says and does, in a call of the real host.

The lines come from a terminal or a pipe; either way the next one is played when the agent has answered the last. At
the end of the lines, and at Ctrl-C, the caller hangs up.
"""

import asyncio
import contextlib
import math
import os
import re
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from runtime.catalog import Catalog
from runtime.commands import Record
from runtime.errors import did_you_mean
from runtime.foreign import inner
from runtime.incoming import Headers
from runtime.outcome import Outcome
from runtime.ringing import CALLERS, Background, Hands, loopback
from runtime.runner import Runner, Witness
from runtime.saving import Conversation, Saved, addition, outputs_of
from runtime.scenarios import is_scenario_file
from runtime.screen import HERE, Screen, errors_told
from runtime.session import line_of
from runtime.settings import Endpoint
from runtime.simulator.mind import Asked, Mind
from runtime.simulator.script import Reply, Script, ToolUse
from runtime.terminal import Paint, width

PACE = 0.6  # of speech at a terminal: a person reads faster than anybody speaks
PIPED_PACE = 0.2  # where nobody waits to read it
PATIENCE_SECONDS = 5.0  # for an answer that does not come, before the next line is played all the same
LOST_SECONDS = 60.0  # without a sign of an agent that was to say something
ENDING_SECONDS = 6.0  # a host that is told that the caller left tries no longer
MAX_SAID = 2_000  # characters: nobody says more in one go
BREATH_SECONDS = 0.3  # before the next line that waits already: an agent ends calls when its last words were heard

_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

PROMPT = "> "
HELP = """Type what you say, and press Enter. Besides:
  /keys 1#            press keys: 0 to 9, * and #
  /silent 10          say nothing for so many seconds
  /interrupt words    speak while the agent is speaking
  /hangup             hang up, as Ctrl-D and Ctrl-C do
  /help               this"""
_AS_CALLS_END = {
    Outcome.CALLER_HUNG_UP, Outcome.AGENT_HUNG_UP, Outcome.TRANSFERRED, Outcome.SILENT, Outcome.NOBODY_SPOKE,
    Outcome.TOO_LONG,
}  # fmt: skip
_VERBS = ("/keys", "/silent", "/interrupt", "/hangup", "/help")


@dataclass(frozen=True, slots=True)
class Number:
    """What is rung: the called number, who rings, and more SIP headers of the call."""

    called: str
    caller: str = CALLERS[0]
    headers: tuple[tuple[str, str], ...] = ()


def run(
    catalog: Catalog,
    number: Number,
    mind: Mind | None,
    told: str,
    *,
    background: Background = (),
    live: Endpoint | None = None,
    save: Path | None = None,
    witness: Witness | None = None,
    pace: float | None = None,
) -> int:
    """Hold one call, and return 0, or 1 where it did not go as calls do, as when nobody answers.

    `told` says who plays the model; `live` is where the real service does, without a mind. `save` is a file to add the
    conversation to, as a scenario; `witness` is told of all that happens. Raises `OSError` when nobody reads what is
    shown, or the file cannot be written, and `SettingsError` for one that no scenario can be added to.
    """
    by_person = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    lines = _Terminal() if by_person else _Pipe()
    screen = Screen(Paint(), lines.write)
    handset = _Handset(catalog, number, mind, screen, lines, PACE if by_person else PIPED_PACE, live)
    if pace is not None:
        handset.pace = pace
    with errors_told(screen), lines.held():
        asyncio.run(handset.call(told, background, witness))
    if screen.unreadable is not None:
        raise screen.unreadable
    if save is not None:
        more = addition(save.read_bytes() if save.exists() else b"", str(save), handset.saved())
        with save.open("ab") as file:
            file.write(more)
        found = "" if is_scenario_file(save.name) else "; 'switchboard test' finds files that end with .scenarios.yaml"
        print(f"\nSaved as a scenario: {save}{found}")
    return 0 if "confirmed" in screen.seen and handset.outcome in _AS_CALLS_END else 1


# ── lines ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Pipe:
    """Lines out of a pipe or a file, read beside the loop; without standard input there are none."""

    is_live = False

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    @contextmanager
    def held(self) -> Iterator[None]:
        yield

    def write(self, text: str) -> None:
        print(text, flush=True)

    async def read(self) -> AsyncIterator[str]:
        """Yield each line without its end."""
        loop = asyncio.get_running_loop()

        def work() -> None:
            for line in self._lines():
                with contextlib.suppress(RuntimeError):  # the call is over, and its loop with it
                    loop.call_soon_threadsafe(self._queue.put_nowait, line)

        threading.Thread(target=work, name="switchboard-lines", daemon=True).start()
        while (line := await self._queue.get()) is not None:
            yield line

    def _lines(self) -> Iterator[str | None]:
        # Not through sys.stdin: whoever waits in it holds a lock that the interpreter wants at its end.
        left = b""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            while part := os.read(sys.stdin.fileno(), 65536):
                *whole, left = (left + part).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in whole)
        if left:
            yield left.decode("utf-8", "replace")
        yield None


class _Terminal(_Pipe):
    """Lines that a person edits, with what happens shown above the line that is being typed."""

    is_live = True

    def __init__(self) -> None:
        super().__init__()
        self._prompting = False
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Leave the terminal as it was, also while somebody waits for a line."""
        import termios

        before = termios.tcgetattr(sys.stdin)
        try:
            yield
        finally:
            with self._lock:
                if self._prompting:
                    print("\r\x1b[J", end="", flush=True)
                    self._prompting = False
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)

    def write(self, text: str) -> None:
        with self._lock:
            if not self._prompting:
                print(text, flush=True)
                return
            typed = self._typed()
            up = f"\x1b[{rows}A" if (rows := (len(PROMPT) + len(typed)) // width()) else ""
            print(f"\r{up}\x1b[J{text}\n{PROMPT}{typed}", end="", flush=True)

    def _typed(self) -> str:
        import readline

        return readline.get_line_buffer()

    def _lines(self) -> Iterator[str | None]:
        import readline  # gives `input` its editing

        readline.set_auto_history(True)
        while True:
            self._prompting = True
            try:
                line = input(PROMPT)
            except (EOFError, OSError, ValueError):
                line = None
            with self._lock:
                if not self._prompting:  # the call is over
                    return
                self._prompting = False
                rows = 1 + (len(PROMPT) + len(line or "")) // width() if line is not None else 0
                up = f"\x1b[{rows}A" if rows else ""
                print(f"{up}\r\x1b[J", end="", flush=True)  # what was typed is shown again when it is said
            yield line
            if line is None:
                return


# ── the call ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Handset:
    """One call and the hands of its caller."""

    catalog: Catalog
    number: Number
    mind: Mind | None
    screen: Screen
    lines: _Pipe
    pace: float
    live: Endpoint | None = None
    conversation: Conversation = field(default_factory=Conversation)
    agent: str = ""
    outcome: str = ""
    began: datetime = field(default_factory=lambda: datetime.now().astimezone())
    _greets: bool = False
    _awaited: int = 0
    _deed_at: float = 0.0
    _is_silent: bool = False
    _attached: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, told: str, background: Background, witness: Witness | None) -> None:
        """Ring, play the lines, and wait until the host knows that the call is over."""
        async with loopback(
            self.catalog,
            self.observe,
            background,
            live=self.live,
            witness=witness,
            pace=self.pace,
            mind=self,
            script=Script(hangs_up=False),
        ) as line:
            call = line.new_call(self.number.called, self.number.caller, self.hear)
            title = "A call to the real service: it takes tokens of your project." if self.live else HERE
            whole = f"You are the caller. {told} Everything else is what answers real calls."
            self.screen.begin(title, whole, self.number.headers)
            self.screen.print(f"{HELP}\n")
            await line.ring(call, self.number.headers)
            with _interrupts(lambda: self._hang_up(call)):
                playing = asyncio.create_task(self._play(call))
                over = asyncio.create_task(call.ended.wait())
                unread = asyncio.create_task(self.screen.ended.wait())
                await asyncio.wait({playing, over, unread}, return_when=asyncio.FIRST_COMPLETED)
                for task in (playing, over, unread):
                    task.cancel()
                await asyncio.gather(playing, over, unread, return_exceptions=True)
                call.hangs_up()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.screen.ended.wait(), ENDING_SECONDS)

    def observe(self, runner: Runner, record: Record) -> None:
        """Show what the host records, and keep what the next line and the scenario need."""
        match record.what:
            case "matched":
                self._matched(runner)
            case "looked up" if record.private["found"]:
                self.conversation.looked_up(record.private["found"])
            case "attached":
                self._attached.set()
            case "greeting":
                assert runner.call.conversation is not None, "a greeting is said in a conversation"
                self.conversation.greeted(runner.call.conversation.scene.settings.greeting or "")
            case "tool called":
                self.conversation.used(record.fields["tool"], record.private["arguments"])
            case "handed off":
                self.conversation.handed_off(record.fields["agent"])
            case "transferring":
                self.conversation.transferred(record.fields["destination"])
            case "ended":
                self.outcome = str(record.fields["outcome"])
        self.screen(runner, record)

    def _matched(self, runner: Runner) -> None:
        assert runner.match is not None, "a call that is matched has a match"
        agent = runner.match.agent
        team = self.catalog.team(agent).values()
        tools = {tool.name: tool.use for each in team for tool in each.tools}
        self.agent, self._deed_at = agent.name, asyncio.get_running_loop().time()
        self._greets = agent.greeting is not None and not agent.greeting.wait_for_caller
        self.conversation.answered(agent.name, tools, has_servers=any(each.abilities.servers for each in team))

    def hear(self, what: str, fields: Mapping[str, Any]) -> None:
        """Show the caller's words, and take down what the real service answered, which no mind was asked for."""
        self.screen.hear(what, fields)
        event = fields.get("event", {})
        response = inner(event, "response")
        match what, event.get("type"):
            case "server_event", "response.created" if line_of(response).startswith("silence "):
                self._was_silent()
            case "server_event", "response.done" if self.live is not None and (outputs := outputs_of(response)):
                self.conversation.model(outputs)

    async def reply(self, asked: Asked) -> Reply:
        """Ask the mind, and take its answer down."""
        assert self.mind is not None, "the real service asks nobody"
        reply = await self.mind.reply(asked)
        outputs = reply if isinstance(reply, tuple) else (reply,)
        self.conversation.model([(one.name, one.arguments) if isinstance(one, ToolUse) else one for one in outputs])
        return reply

    def saved(self) -> Saved:
        """Return the call as a scenario."""
        called, caller = self.number.called, self.number.caller
        headers = {"headers": dict(Headers(self.number.headers))} if self.number.headers else {}
        at = self.began.isoformat(timespec="seconds")
        told = {"called": called, "caller": caller, **headers, "at": at}
        return self.conversation.saved(f"a call to {self.agent or called}", told, self.outcome)

    # ── the caller's hands ────────────────────────────────────────────────────────────────────────────────────

    async def _play(self, call: Hands) -> None:
        await self._attached.wait()
        self._awaited = 1 if self._greets else 0
        async for line in self.lines.read():
            await self._take(call, "".join(sign if sign.isprintable() else " " for sign in line).strip())
            if call.ended.is_set():
                return
        await self._leave(call)

    async def _leave(self, call: Hands) -> None:
        """Hang up; a person does so at once, and lines that were written before hear the answer."""
        if not self.lines.is_live:
            await self._listen(call, self._awaited)
        self._hang_up(call)

    async def _take(self, call: Hands, line: str) -> None:
        """Play one line, or say what is wrong with it."""
        found = re.fullmatch(r"/(\w*)\s*(.*)", line)
        verb, rest = (found[1].lower(), found[2]) if found else ("", line)
        if found and verb == "keys":
            await self._press(call, rest.replace(" ", "").upper())
        elif found and verb == "silent":
            await self._stay_silent(call, rest)
        elif found and verb == "interrupt":
            await self._say(call, "interrupts", rest)
        elif found and verb == "hangup":
            await self._leave(call)
        elif found and verb == "help":
            self.screen.print(HELP)
        elif found:
            self._complain(f"There is no /{verb}. {did_you_mean(f'/{verb}', _VERBS) or 'Type /help.'}")
        elif line:
            await self._say(call, "says", rest)

    async def _say(self, call: Hands, how: str, words: str) -> None:
        if not words or len(words) > MAX_SAID:
            much = f"These are {len(words):,} characters. Nobody says more than {MAX_SAID:,} in one go."
            self._complain(much if words else "Write what you say: /interrupt Wait, make it five.")
            return
        if how == "says":
            await self._listen(call, self._awaited)
        else:
            await self._until(call, lambda: call.audible, busy=lambda: not call.quiet)
            how = how if call.audible else "says"  # nobody interrupts who is silent
        if call.ended.is_set():
            return
        self._note(how, words)
        self._awaited = call.heard + call.audible + 1
        await call.says(words)

    async def _press(self, call: Hands, keys: str) -> None:
        if not re.fullmatch(r"[0-9*#A-D]{1,64}", keys):
            self._complain("Write the keys that are pressed, 0 to 9, * and #: /keys 1#")
            return
        await self._listen(call, self._awaited)
        if call.ended.is_set():
            return
        self._note("keys", keys)
        self.screen.line("caller", f"presses {' '.join(keys)}")
        self._awaited = call.heard + call.audible + 1
        await call.presses(keys)

    async def _stay_silent(self, call: Hands, written: str) -> None:
        if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", written) or not 0 < float(written) <= 3600:
            self._complain("Write for how many seconds, up to 3600: /silent 10")
            return
        await self._listen(call, self._awaited)
        if call.ended.is_set():
            return
        seconds, self._is_silent = float(written), True
        self._note("silent", int(seconds) if seconds.is_integer() else seconds)
        self.screen.line("caller", f"is silent for {seconds:g} s")
        self._awaited = 0
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(call.ended.wait(), seconds)
        self._is_silent = False
        await call.stays_silent(seconds)

    def _hang_up(self, call: Hands) -> None:
        if not call.ended.is_set():
            self._note("hangs_up", True)
            self.screen.line("caller", "hangs up")
            call.hangs_up()

    def _note(self, what: str, value: Any) -> None:
        self.conversation.caller(what, value)
        self._deed_at = asyncio.get_running_loop().time()

    def _was_silent(self) -> None:
        """Take down that the caller said nothing for so long that the agent asks whether somebody is there."""
        if not self._is_silent:
            self._note("silent", math.ceil(asyncio.get_running_loop().time() - self._deed_at) or 1)

    def _complain(self, text: str) -> None:
        self.screen.print(text)

    async def _listen(self, call: Hands, awaited: int) -> None:
        """Until the agent was heard so often and has nothing left to say, or the caller's patience ends."""
        await self._until(
            call,
            lambda: call.heard >= awaited and call.quiet and not call.owes_answer,
            busy=lambda: not call.quiet,
        )
        if not self.lines.is_live:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(call.ended.wait(), BREATH_SECONDS)

    async def _until(self, call: Hands, met: Callable[[], bool], busy: Callable[[], bool]) -> None:
        """Until something is met; while nothing happens, no longer than the caller is patient."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        while not met() and not call.ended.is_set():
            if busy():
                lost = loop.time() + LOST_SECONDS
                await call.moved(lost)
                if loop.time() >= lost:
                    return
                deadline = loop.time() + PATIENCE_SECONDS
            elif loop.time() >= deadline:
                return
            else:
                await call.moved(deadline)


@contextmanager
def _interrupts(hang_up: Callable[[], None]) -> Iterator[None]:
    """Hang up at the first Ctrl-C, or when the terminal is closed; at the second one, everything ends at once."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        for each in _ENDS:
            loop.remove_signal_handler(each)
        hang_up()

    with contextlib.suppress(NotImplementedError):  # a system without signals in loops
        for each in _ENDS:
            loop.add_signal_handler(each, interrupted)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            for each in _ENDS:
                loop.remove_signal_handler(each)
