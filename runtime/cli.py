"""The verbs of the command `switchboard`. Each reads its words, calls one piece of the house, and prints."""

import argparse
import contextlib
import errno
import gc
import json
import logging
import os
import re
import shlex
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from runtime import catalog as catalogs
from runtime import changes, doctor, document, fields, files, git, graph, init, recorded, reports, results
from runtime import schema as schemas
from runtime.abilities import ToolReader
from runtime.built_in import name_of
from runtime.catalog import Catalog, demand_environment, unknown_agent
from runtime.definition import AgentDefinition
from runtime.draft import Draft, Source, document_of, draft
from runtime.errors import CatalogError, SettingsError, SwitchboardError, did_you_mean, errors, listing
from runtime.incoming import SAMPLE_CALL, Headers
from runtime.phone import number_in
from runtime.routing import Match, explain
from runtime.scenarios import Scenario
from runtime.session import settings_for
from runtime.settings import chosen_environment, inspect, read_settings
from runtime.sip_codes import explain as explain_code
from runtime.terminal import Bar, Paint, width
from runtime.tools import Tools

if TYPE_CHECKING:
    from runtime.repertoire import Repertoire
    from runtime.simulator.mind import Mind

_PROBLEMS, _USAGE, _STOPPED = 1, 2, 130
_EVERY_SECONDS = 30.0  # between two looks at a followed branch: soon enough for a merge, rare enough for a remote
_UNWRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 fine, 1 problems, 2 usage."""
    try:
        return _run(words)
    except CatalogError as error:
        return _fail(str(error), _PROBLEMS)
    except SettingsError as error:
        return _fail(f"switchboard: {error}", _USAGE)
    except SwitchboardError as error:
        return _fail(f"switchboard: {error}", _PROBLEMS)
    except BrokenPipeError:  # whoever read our output has left; there is nobody to tell
        _abandon(sys.stdout, sys.stderr)
        return _PROBLEMS
    except OSError as error:
        _abandon(sys.stdout)
        unwritten = error.errno in _UNWRITTEN and not error.filename
        what = "The output cannot be written" if unwritten else f"{error.filename or 'The system'} cannot be used"
        return _fail(f"switchboard: {what} ({error.strerror or error}).", _USAGE)
    except KeyboardInterrupt:
        return _STOPPED


def _run(words: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(words)
        code: int = arguments.verb(arguments)
        return code
    finally:
        if sys.stdout is not None:  # there is none after `>&-`
            sys.stdout.flush()


def _fail(said: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(said, file=sys.stderr)
    return code


def _abandon(*streams: TextIO) -> None:
    """Send what streams still hold nowhere, so that the interpreter does not fall over it at its end."""
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):  # one without a file has no number
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# ── check ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _check(arguments: argparse.Namespace) -> int:
    paths = [_existing(path, "switchboard check FOLDER") for path in arguments.paths]
    sources = files.sources(paths)
    if arguments.format == "text":
        print(f"Checking {reports.count(len(sources), 'agent file')} …", file=sys.stderr, flush=True)
    _find_modules(paths)
    problems = files.without_agents(paths, sources) + files.ignored_defaults(paths)
    whole = all(path.is_dir() or path.name in files.DEFAULTS for path in paths)
    chosen = chosen_environment() if whole else ""  # a file alone does not name all environments
    problems += catalogs.check(sources, _tool_reader(arguments), chosen, whole=whole)
    from runtime import repertoire

    found, scenario_files = repertoire.check(paths)
    print(reports.REPORTERS[arguments.format](sorted([*problems, *found]), len(sources), scenario_files), end="")
    problems += found
    return _PROBLEMS if errors(problems) else 0


def _tool_reader(arguments: argparse.Namespace) -> ToolReader | None:
    return None if arguments.no_tools else Tools().read


def _find_modules(paths: Sequence[Path]) -> None:
    """Let tool modules be imported from the working directory and from the folders that hold the catalog."""
    sys.path[:0] = [folder for folder in files.import_folders(paths) if folder not in sys.path]


def _catalog(arguments: argparse.Namespace, read_tool: ToolReader | None) -> Catalog:
    """Return the catalog of a folder; warnings go to standard error. Raises `CatalogError`."""
    folder, found = _sources(arguments)
    drafts = _drafts(found, read_tool, arguments.environment)
    return _assembled(drafts, git.stand(folder, found).revision(drafts))


def _sources(arguments: argparse.Namespace) -> tuple[Path, list[Source]]:
    """Return the catalog's folder and its sources; its tools can be imported from now on. Raises `CatalogError`."""
    folder = _existing(arguments.agents)
    _find_modules([folder])
    found = files.sources([folder])
    if problems := files.without_agents([folder], found):
        raise CatalogError(problems)
    return folder, found


def _existing(written: str, command: str = "") -> Path:
    """Return a path that exists. Raises `SettingsError`, which says how the command is told of another."""
    path = Path(written)
    if not path.exists():
        how = f": {command}" if command else " with --agents"
        raise SettingsError(str(path), "is no file or folder", f"Name the folder that holds the agents{how}.")
    return path


def _drafts(sources: Sequence[Source], read_tool: ToolReader | None, environment: str) -> list[Draft]:
    """Return the drafts of an environment. Raises `SettingsError` when no file names it."""
    drafts = [draft(source, read_tool, environment) for source in sources]
    demand_environment(environment, drafts)
    return drafts


def _assembled(drafts: Sequence[Draft], revision: str) -> Catalog:
    problems = catalogs.problems(drafts)
    if errors(problems):
        raise CatalogError(problems)
    for problem in problems:
        print(problem, file=sys.stderr)
    return catalogs.assemble((made.definition for made in drafts if made.definition), revision)


# ── show ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _show(arguments: argparse.Namespace) -> int:
    _, sources = _sources(arguments)
    agent = _one(_drafts(sources, Tools().read if arguments.accept else None, arguments.environment), arguments.name)
    if arguments.accept:
        print(reports.as_json(settings_for(agent, SAMPLE_CALL).accept()))
    elif arguments.why:
        source = next(source for source in sources if source.file == agent.file)
        data = {"name": agent.name, **agent.data}
        print(reports.why(document_of(source, arguments.environment), data), end="")
    else:
        print(document.write(_complete(agent)), end="")
    return 0


def _one(drafts: list[Draft], name: str) -> AgentDefinition:
    for made in drafts:
        if made.name == name:
            if made.definition is None:
                raise CatalogError(list(made.problems))
            return made.definition
    known = catalogs.assemble(made.definition for made in drafts if made.definition)
    raise unknown_agent(name, known)


def _complete(agent: AgentDefinition) -> dict[str, Any]:
    """Return the agent's data as a file that stands alone: what was short or elsewhere is written out."""
    data = {key: value for key, value in agent.data.items() if key != "instructions_file"}
    if (greeting := agent.greeting) is not None:
        whether = {"interruptible": greeting.interruptible, "wait_for_caller": greeting.wait_for_caller}
        data["greeting"] = {"text": greeting.text.text, **whether}
    data["tools"] = [
        {"entrypoint": written["entrypoint"], "name": name_of(written)} | written
        if "entrypoint" in written
        else written
        for written in data["tools"]
    ]
    return {"name": data.pop("name"), **data, "instructions": agent.instructions.text}


# ── serve ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _serve(arguments: argparse.Namespace) -> int:
    if arguments.revision and arguments.follow:
        raise SettingsError("--revision", "cannot be used with --follow", "Serve a commit, or follow a branch.")
    if arguments.watch and (arguments.revision or arguments.follow):
        raise SettingsError("--watch", "cannot be used with --revision or --follow", "A commit does not change.")
    for option, given in (("--every", arguments.every), ("--fetch", arguments.fetch)):
        if given is not None and not arguments.follow:
            raise SettingsError(option, "does nothing without --follow", "Name the branch: --follow main.")
    if arguments.record_speech and arguments.record is None:
        raise SettingsError("--record-speech", "does nothing without --record", "Name a folder: --record recordings.")
    settings = read_settings()
    gc.disable()  # nothing of the imports below becomes garbage; server.run enables it again
    from runtime import log, server
    from runtime.call_log import CallLog
    from runtime.current import Current
    from runtime.host import Host
    from runtime.modules import ToolModules
    from runtime.realtime.webhook import check_secret
    from runtime.recording import Recorder, folder_for
    from runtime.reload import Drafts, Reloader, follow, watch

    for secret in settings.webhook_secrets:
        check_secret(secret)
    log.configure(logging.getLevelNamesMapping()[arguments.log_level.upper()])
    folder = Path(arguments.path)
    if not folder.is_dir():
        cure = "Name the folder that holds the agents: switchboard serve FOLDER."
        raise SettingsError(str(folder), "is no folder", cure)
    _find_modules([folder])
    tools = Tools(serving=True)
    modules = ToolModules(files.import_folders([folder]), tools.imports)
    read, drafts = git.reader(folder, arguments.follow or arguments.revision), Drafts(tools.read, arguments.environment)
    if problems := files.without_agents([folder], read(None).sources):
        raise CatalogError(problems)
    current = Current(Catalog({}))
    reloader = Reloader(current, read, drafts, modules, strict=not arguments.watch)
    reloader.start()
    background: list[Callable[[], Coroutine[Any, Any, None]]] = [tools.kept_open]
    if arguments.watch:
        background.append(lambda: watch(reloader, folder, modules))
    if arguments.follow:
        fetch = git.fetcher(folder, arguments.fetch, arguments.follow) if arguments.fetch else None
        background.append(lambda: follow(reloader, arguments.follow, arguments.every or _EVERY_SECONDS, fetch))
    call_log = _call_log(arguments.call_log, current.get())
    recorder = None
    if arguments.record is not None:
        recorder = Recorder(folder_for(arguments.record), arguments.environment, speech=arguments.record_speech)
        background.append(recorder.kept_open)
    listener = server.listen(arguments.host, arguments.port)
    host = Host(
        current,
        settings,
        (log.record_to_log, CallLog(call_log)),
        max_calls=arguments.max_calls,
        reload=reloader.reload,
        background=background,
        witness=recorder,
    )
    address = "http://{}:{}".format(*listener.getsockname()[:2])
    catalog = current.get()
    agents = reports.count(len(catalog.agents), "agent")
    agents += f" in the environment {arguments.environment}" if arguments.environment else ""
    print(f"{agents} at revision {catalog.revision}; the webhook is {address}/openai/webhook", flush=True)
    server.run(host, listener, arguments.drain_seconds)
    return 0


def _call_log(written: str | None, catalog: Catalog) -> Path | None:
    """Return the call log's file. Raises `SettingsError` where agents take messages and there is none."""
    taking = sorted(
        agent.name for agent in catalog.agents.values() if any(tool.use == "take_message" for tool in agent.tools)
    )
    if written is None and taking:
        who = f"{listing(taking[:3], 'and')} {'takes' if len(taking) == 1 else 'take'} messages"
        raise SettingsError("--call-log", f"is missing: {who}", "Name a file to keep them in: --call-log calls.jsonl.")
    if written is not None and not Path(written).absolute().parent.is_dir():
        raise SettingsError("--call-log", f"cannot be written: there is no folder for '{written}'", "Make it first.")
    return None if written is None else Path(written)


def _reload(arguments: argparse.Namespace) -> int:
    from runtime.realtime.webhook import check_secret, sign

    body = json.dumps({"revision": arguments.revision}).encode()
    secret = read_settings().webhook_secrets[0]
    check_secret(secret)
    headers = sign(secret, f"reload_{time.time_ns()}", int(time.time()), body)
    status = _ask(arguments.url, "/control/reload", body, headers)
    if "error" in status:
        raise SettingsError("the host", f"refused: {status['error']['message']}")
    print(reports.status(status))
    return _PROBLEMS if status["result"] in ("refused", "partly") else 0


def _status(arguments: argparse.Namespace) -> int:
    answer = _ask(arguments.url, "/readyz")
    print(
        f"{answer['status']}: {reports.count(answer['agents'], 'agent')}, {reports.count(answer['calls'], 'live call')}"
    )
    print(reports.status(answer["reload"]))
    return 0 if answer["status"] == "ready" and answer["reload"]["result"] in ("loaded", "unchanged") else _PROBLEMS


def _ask(url: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """Ask a running host and return its answer as data. Raises `SettingsError` when nobody answers."""
    try:
        request = urllib.request.Request(url.rstrip("/") + path, body, dict(headers or {}))
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError):
            return json.load(error)
        raise SettingsError(url, f"answered {error.code}", "Is a Switchboard host there?") from error
    except (OSError, ValueError) as error:
        cure = "Start one with 'switchboard serve', or say where it is with --url."
        raise SettingsError(url, f"is no running host ({getattr(error, 'reason', error)})", cure) from error


# ── diff ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _diff(arguments: argparse.Namespace) -> int:
    folder = _existing(arguments.agents)
    if len(arguments.revisions) > 2:
        raise SettingsError("diff", "takes two revisions at most")
    old, new = [*(arguments.revisions or ["HEAD"]), None][:2]
    before, after = (git.reader(folder, revision)(None) for revision in (old, new))
    drafts = [draft(source, None, arguments.environment) for source in before.sources]
    earlier = catalogs.assemble((made.definition for made in drafts if made.definition), before.revision(drafts))
    try:
        drafts = _drafts(after.sources, None, arguments.environment)
        later = _assembled(drafts, after.revision(drafts))
    except CatalogError as error:  # 1 would say that there are changes, which nobody can tell
        print(error, file=sys.stderr)
        return _USAGE
    found = changes.compare(earlier, later)
    print(reports.DIFFS[arguments.format](found, Paint()), end="")
    return 1 if found else 0


# ── replay ────────────────────────────────────────────────────────────────────────────────────────────────────


def _replay(arguments: argparse.Namespace) -> int:
    recordings = [_recording(file) for file in arguments.files]
    try:
        catalog = _catalog(arguments, Tools().read)
    except CatalogError as error:  # 1 would say that calls go otherwise, which nobody can tell
        print(error, file=sys.stderr)
        return _USAGE
    from runtime import replay

    played = [replay.replay(recording, catalog, arguments.environment) for recording in recordings]
    print(replay.REPLAYS[arguments.format](played), end="")
    return 1 if any(one.deviations for one in played) else 0


def _recording(written: str) -> recorded.Recording:
    """Return the recording in a file. Raises `SettingsError`."""
    file = Path(written)
    if not file.is_file():
        raise SettingsError(written, "is no file", "Name one that 'switchboard serve --record' wrote.")
    return recorded.read(file.read_bytes().decode("utf-8", "replace"), written)


# ── who-answers ───────────────────────────────────────────────────────────────────────────────────────────────


def _who_answers(arguments: argparse.Namespace) -> int:
    called = _number("--called", arguments.called)
    caller = _number("--caller", arguments.caller) if arguments.caller is not None else ""
    headers = [_header(written) for written in arguments.header]
    headers += [("Diversion", f"<sip:{called}@command>")]
    headers += [("From", f"<sip:{caller}@command>")] if caller else []
    at = datetime.now() if arguments.at is None else _moment(arguments.at)
    call = replace(SAMPLE_CALL, called=called, caller=caller, headers=Headers(headers), started_at=at.astimezone())
    catalog = _catalog(arguments, None)
    found, losses = explain(catalog, call)
    print(reports.answer(found, losses, call.called))
    return 0 if isinstance(found, Match) else _PROBLEMS


def _number(option: str, written: str) -> str:
    number = number_in(written)
    cure = 'Write "+15550100001".'
    if not number:
        raise SettingsError(option, f"is no phone number: '{written}'", cure)
    if number.startswith("+00"):
        raise SettingsError(option, f"is written with 00 and not with a plus: '{written}'", f'Write "+{number[3:]}".')
    if number.startswith("+0"):
        raise SettingsError(option, f"is written without its country code: '{written}'", cure)
    return number


def _moment(written: str) -> datetime:
    """Return a date and time; one without a zone is the host's. A date alone is refused: hours differ by the time."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        moment = None
    far = moment is None or not 1970 < moment.year < 9000  # what clocks showed before then is not known everywhere
    if moment is None or far or not re.search(r"[T ]\d", written):
        cure = "Write the date and the time, such as 2026-12-24T18:30, and +01:00 or Z behind it for another time zone."
        raise SettingsError("--at", f"is no date and time: '{written}'", cure)
    return moment


def _header(written: str) -> tuple[str, str]:
    name, equals, value = written.partition("=")
    if not equals or not name:
        raise SettingsError("--header", f"is not NAME=VALUE: '{written}'", "For example: --header X-Tenant=acme")
    return name, value


# ── graph ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _graph(arguments: argparse.Namespace) -> int:
    print(graph.GRAPHS[arguments.format](graph.graph(_catalog(arguments, None))), end="")
    return 0


# ── demo ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _demo(arguments: argparse.Namespace) -> int:
    print("Starting the host and the simulator …", file=sys.stderr, flush=True)
    tools = Tools(serving=True)
    catalog = _catalog(arguments, tools.read)
    if arguments.name is not None and arguments.name not in catalog.agents:
        raise unknown_agent(arguments.name, catalog)
    from runtime import demo

    return demo.run(catalog, arguments.name, background=(tools.kept_open,))


# ── call ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _call(arguments: argparse.Namespace) -> int:
    save = _new_file("--save", arguments.save)
    print("Starting the host and the simulator …", file=sys.stderr, flush=True)
    tools = Tools(serving=True)
    catalog = _catalog(arguments, tools.read)
    rung = arguments.rung
    is_number = rung not in catalog.agents and re.match(r"\+|[0-9]", rung) is not None
    if not is_number and rung not in catalog.agents:
        raise unknown_agent(rung, catalog)
    from runtime import handset, ringing

    if is_number:
        number = handset.Number(_number("NUMBER", rung))
    else:
        found = ringing.ringing_for(catalog, rung)
        number = handset.Number(found.called, found.caller, found.headers)
    mind, told = _mind(arguments)
    return handset.run(catalog, number, mind, told, background=(tools.kept_open,), save=save)


def _mind(arguments: argparse.Namespace) -> "tuple[Mind, str]":
    """Return who plays the model in a call that a person holds, and a sentence that says so. Raises `SettingsError`."""
    if arguments.model:
        from runtime.minds import mind_for

        return mind_for(arguments.model), f"The text model {arguments.model} plays the model."
    from runtime.standin import StandIn

    return StandIn(), "A stand-in of simple rules plays the model."


def _new_file(option: str, written: str | None) -> Path | None:
    """Return a file that can be made. Raises `SettingsError` where one is there already, or no folder for it."""
    if written is None:
        return None
    path = Path(written)
    if path.exists():
        raise SettingsError(option, f"cannot be written: '{written}' is there already", "Name another file.")
    if not path.absolute().parent.is_dir():
        raise SettingsError(option, f"cannot be written: there is no folder for '{written}'", "Make it first.")
    return path


# ── doctor ────────────────────────────────────────────────────────────────────────────────────────────────────


def _doctor(arguments: argparse.Namespace) -> int:
    if arguments.sip_code is not None:
        return _explain_code(arguments)
    folder = _existing(arguments.path, "switchboard doctor FOLDER")
    _find_modules([folder])
    sources = files.sources([folder])
    print("Looking at each step that a call takes …", file=sys.stderr, flush=True)
    import asyncio

    from runtime import examination

    paint, seen, shows = Paint(), list[doctor.Step](), arguments.format == "text"

    def tell(step: doctor.Step) -> None:
        seen.append(step)
        if shows:
            print(reports.step(step, paint, width()), end="", flush=True)

    settings, wrong = inspect()
    for step in examination.look_at_settings(settings, wrong):
        tell(step)
    if any(error.name == "OPENAI_BASE_URL" for error in wrong):
        settings = replace(settings, api_key="", base_url="")  # a key is sent to no address but its own
    drafts = _drafts(sources, Tools().read, arguments.environment)
    problems = files.without_agents([folder], sources) + catalogs.problems(drafts)
    catalog = catalogs.assemble(made.definition for made in drafts if made.definition)
    url = arguments.url

    async def examine() -> None:
        ask = (lambda: _ask(url, "/readyz")) if url else None
        async for step in examination.examine(settings, catalog, problems, url=url, ask=ask):
            tell(step)

    asyncio.run(examine())
    print("\n" + reports.findings(seen, paint) if shows else reports.steps_as_json(seen), end="")
    return doctor.exit_code(seen)


def _explain_code(arguments: argparse.Namespace) -> int:
    code = explain_code(arguments.sip_code)
    if code is None:
        message = f"is neither a SIP code nor an error number of Twilio's: '{arguments.sip_code}'"
        raise SettingsError("--sip-code", message, "Write what the carrier logs, such as 400 or 32011.")
    told = reports.code(code, Paint(), width()) if arguments.format == "text" else reports.code_as_json(code)
    print(told, end="")
    return 0


# ── test ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _test(arguments: argparse.Namespace) -> int:
    from runtime import repertoire

    if arguments.recording:
        from runtime import retold

        print(retold.scenario_from(_recording(arguments.recording)), end="")
        return 0
    paths = [_existing(path, "switchboard test FOLDER") for path in arguments.paths]
    environment, began = chosen_environment(), time.monotonic()
    opened = repertoire.open_repertoires(paths, environment)
    parts = [
        (each, scenario)
        for each in opened
        for scenario in (_changed_since(each, arguments.changed, environment) if arguments.changed else each.scenarios)
    ]
    if not any(each.files or each.problems for each in opened):
        cure = "Write one beside an agent: its name ends in .scenarios.yaml."
        raise SettingsError(listing(arguments.paths, "and"), "holds no scenario file", cure)
    if arguments.watch:
        return _watch_scenarios(arguments, paths, environment, opened, parts)
    return _rehearsed(arguments, opened, parts, began)


def _changed_since(opened: "Repertoire", revision: str, environment: str) -> Sequence[Scenario]:
    around = git.around(opened.folder)
    if around is None:
        raise SettingsError(str(opened.folder), "is in no git repository", "A revision needs one.")
    from runtime.repertoire import catalog_at

    before = catalog_at(opened.folder, revision, environment)
    return opened.touched_by(around.changed_since(revision), before)


def _rehearsed(
    arguments: argparse.Namespace,
    opened: "Sequence[Repertoire]",
    wanted: "Sequence[tuple[Repertoire, Scenario]]",
    began: float,
) -> int:
    """Play scenarios, print what became of them, and return the exit code."""
    from runtime import players

    for folder in (each.folder for each in opened):
        _find_modules([folder])
    environment, done = chosen_environment(), list[results.Result]()
    if arguments.model:
        from runtime.minds import mind_for

        mind_for(arguments.model).close()  # a missing key is told once, and not for each scenario
    parts = [players.Part(each.folder, environment, scenario, arguments.model) for each, scenario in wanted]
    bar, stopped = Bar(len(parts)), False
    try:
        for result in players.play(parts):
            done.append(result)
            bar.show(len(done), sum(one.judgement == "failed" for one in done))
    except KeyboardInterrupt:
        stopped = True
    finally:
        bar.clear()
    order = {id(scenario): at for at, (_, scenario) in enumerate(wanted)}
    done.sort(key=lambda result: order[id(result.scenario)])
    problems = tuple(problem for each in opened for problem in each.problems)
    report = results.Report(tuple(done), problems, len(parts), time.monotonic() - began)
    print(results.FORMATS[arguments.format](report, Paint()), end="", flush=True)
    return _STOPPED if stopped else 0 if report.is_well else _PROBLEMS


def _watch_scenarios(
    arguments: argparse.Namespace,
    paths: Sequence[Path],
    environment: str,
    opened: "Sequence[Repertoire]",
    parts: "Sequence[tuple[Repertoire, Scenario]]",
) -> int:
    """Play scenarios, and then those that each change can touch, until interrupted."""
    from runtime import repertoire
    from runtime.reload import changes_in

    watched: set[Path] = set()
    began, code = time.monotonic(), 0
    while code != _STOPPED:
        if watched != (folders := {folder for each in opened for folder in each.folders}):
            watched, watching = folders, changes_in(sorted(folders))
            next(watching)  # what is saved from now on, also while scenarios are played, is not missed
        if parts or any(each.problems for each in opened):
            try:
                code = _rehearsed(arguments, opened, parts, began)
            except CatalogError as error:  # a tool that cannot be used; the next save may mend it
                print(error, flush=True)
        print("Watching; Ctrl-C ends this.", file=sys.stderr, flush=True)
        changed = next(filter(None, watching))
        began, before = time.monotonic(), {each.folder: each.catalog for each in opened}
        try:
            opened = repertoire.open_repertoires(paths, environment)
        except CatalogError as error:
            print(error, flush=True)
            parts = []
        else:
            parts = [(each, one) for each in opened for one in each.touched_by(changed, before.get(each.folder))]
    return code


# ── init and schema ───────────────────────────────────────────────────────────────────────────────────────────


def _init(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    made = set()
    for path, new in init.init(folder):
        print(f"  made  {path}" if new else f"  kept  {path} (it was there before)")
        made |= {path} if new else set()
    print(f"\n{folder.resolve()} is a catalog repository. Next:")
    if folder.resolve() != Path.cwd():
        print(f"  cd {shlex.quote(str(folder))}")
    print(
        "  switchboard check    finds every problem\n"
        "  switchboard demo     shows a call on this machine, without a key\n"
        "  switchboard test     plays the calls of scenario files, without a phone\n"
        "Open the folder in Visual Studio Code: it explains and completes every field."
        + (" README.md tells the rest." if "README.md" in made else "")
    )
    return 0


def _schema(_: argparse.Namespace) -> int:
    print(fields.reference(schemas.load("agent")), end="")
    return 0


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE, f"switchboard: {_in_our_words(message)}\nTry '{self.prog} --help'.\n")


_TO_BEGIN = """Say what to do, for example:
  switchboard demo     shows a call on this machine, without a key
  switchboard check    finds every problem of every agent file"""


def _in_our_words(message: str) -> str:
    """Return what argparse says as we say it: what is wrong with which word, and the nearest one that is right."""
    if message.endswith("required: COMMAND"):
        return _TO_BEGIN
    if found := re.fullmatch(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL):
        option, word, known = found[1], found[2], found[3].replace("'", "").split(", ")
        near = did_you_mean(word, known)
        if option == "COMMAND":
            return f"There is no command '{word}'. " + (near or f"There are {listing(known, 'and')}.")
        return f"{option} is not one of {listing(known, 'and')}: '{word}'. {near}".rstrip()
    if found := re.fullmatch(r"argument (\S+): (is not .*)", message, re.DOTALL):
        return f"{found[1]} {found[2]}."
    return message.replace("unrecognized arguments:", "This is not understood:").removeprefix("argument ")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib import metadata  # which no other command needs

        print(f"switchboard {metadata.version('switchboard')}")
        parser.exit()


class _EveryEnvironment(argparse.Action):
    """Refuses `check --environment`, which other verbs know."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        parser.error("There is no --environment here: check looks at every environment.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="switchboard",
        description="Voice agents on the telephone, one YAML file each.",
        epilog="Begin with 'switchboard demo' to see a call, and 'switchboard check' after each edit.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    check = _verb(verbs, "check", _check, "Find every problem of every agent file. Needs no network and no key.")
    check.epilog = "Exit code: 0 no problems (warnings are allowed), 1 problems, 2 usage."
    check.add_argument(
        "paths", nargs="*", default=["agents"], metavar="PATH", help="folders or files (default: agents)"
    )
    check.add_argument("--format", choices=sorted(reports.REPORTERS), default="text", help="how to print problems")
    check.add_argument("--no-tools", action="store_true", help="leave entrypoints alone: import no user code")
    check.add_argument("--environment", nargs="?", action=_EveryEnvironment, help=argparse.SUPPRESS)

    show = _verb(verbs, "show", _show, "Print an agent with every default filled in, as YAML that checks again.")
    show.add_argument("name", metavar="NAME", help="the agent's name")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--accept", action="store_true", help="print what the service is told for a sample call, as JSON")
    form.add_argument("--why", action="store_true", help="print each value with the file and line that it comes from")
    _agents(show)
    _environment(show)

    serve = _verb(verbs, "serve", _serve, "Take calls: run the host that receives the webhook.")
    serve.epilog = "Needs OPENAI_API_KEY and OPENAI_WEBHOOK_SECRET in the environment. SIGTERM drains and exits."
    serve.add_argument(
        "path", nargs="?", default="agents", metavar="PATH", help="the catalog's folder (default: agents)"
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument(
        "--port", type=_port, default=8080, help="port to listen on; 0 lets the system choose (default: 8080)"
    )
    serve.add_argument(
        "--drain-seconds",
        type=_seconds,
        default=60.0,
        help="time that live calls get to finish after SIGTERM (default: 60)",
    )
    serve.add_argument(
        "--max-calls", type=_count, metavar="N", help="take no more calls than this at once; more are busy (486)"
    )
    serve.add_argument(
        "--call-log",
        metavar="FILE",
        help="append a JSON line for each call that has ended, with the messages that callers left",
    )
    serve.add_argument(
        "--record", metavar="DIR", help="keep the events of each call in a file of its own, for 'switchboard replay'"
    )
    serve.add_argument(
        "--record-speech", action="store_true", help="record words and numbers as they are; without it none is readable"
    )
    serve.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        default="info",
        help="debug shows what people say (default: info)",
    )

    serve.add_argument(
        "--watch", action="store_true", help="staging: reload on each save; an agent with problems stays as it was"
    )
    serve.add_argument("--revision", metavar="REV", help="serve a commit, tag or branch instead of the work tree")
    serve.add_argument("--follow", metavar="BRANCH", help="serve a branch and move to each new commit of it")
    serve.add_argument(
        "--every",
        type=_pause,
        metavar="SECONDS",
        help=f"how often to look at a followed branch (default: {_EVERY_SECONDS:g})",
    )
    serve.add_argument("--fetch", metavar="REMOTE", help="fetch a followed branch from a remote first")
    _environment(serve)

    reload = _verb(verbs, "reload", _reload, "Make a running host take the catalog as it is now, all or nothing.")
    reload.epilog = (
        "Signs its request with OPENAI_WEBHOOK_SECRET. Exit code: 0 taken, 1 refused with problems, 2 usage."
    )
    reload.add_argument("--revision", metavar="REV", help="take a commit, tag or branch, an older one too")
    _url(reload)

    status = _verb(verbs, "status", _status, "Print what a running host serves and how its last reload went.")
    status.epilog = (
        "Exit code: 0 all well, 1 the last reload was refused, an agent has problems, or the host is draining, "
        "2 no host answers, or usage."
    )
    _url(status)

    diff = _verb(verbs, "diff", _diff, "Tell in sentences what changed for callers between two revisions.")
    diff.epilog = (
        "Without revisions: HEAD and the work tree. "
        "Exit code: 0 nothing, 1 changes, 2 usage, or a catalog with problems."
    )
    diff.add_argument("revisions", nargs="*", metavar="REV", help="one revision against the work tree, or two")
    diff.add_argument("--format", choices=sorted(reports.DIFFS), default="text", help="markdown for a pull request")
    _agents(diff)
    _environment(diff)

    again = _verb(verbs, "replay", _replay, "Play recorded calls against the agents of today and tell what differs.")
    again.epilog = "Exit code: 0 all go as then, 1 something differs, 2 usage, or a catalog with problems."
    again.add_argument("files", nargs="+", metavar="FILE", help="a file of 'switchboard serve --record'")
    again.add_argument("--format", choices=["json", "text"], default="text", help="how to print what differs")
    _agents(again)
    _environment(again)

    who = _verb(
        verbs,
        "who-answers",
        _who_answers,
        "Print which agent takes a call, and why every other candidate does not.",
    )
    who.epilog = "Exit code: 0 an agent answers, 1 nobody does, 2 usage."
    who.add_argument("--called", required=True, metavar="NUMBER", help="the number that is rung, such as +15550100001")
    who.add_argument("--caller", metavar="NUMBER", help="the number that rings")
    who.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a SIP header of the call; may be repeated",
    )
    who.add_argument(
        "--at",
        metavar="TIME",
        help="when the call comes, such as 2026-12-24T18:30; without a zone in this machine's (default: now)",
    )
    _agents(who)
    _environment(who)

    drawn = _verb(verbs, "graph", _graph, "Draw which agents hand calls over to whom, and put callers through where.")
    drawn.add_argument(
        "agents", nargs="?", default="agents", metavar="PATH", help="the catalog's folder (default: agents)"
    )
    drawn.add_argument(
        "--format", choices=sorted(graph.GRAPHS), default="text", help="mermaid for a page that draws it"
    )
    _environment(drawn)

    demo = _verb(
        verbs,
        "demo",
        _demo,
        "Show a call on this machine: the real host, a simulated caller and model, no key.",
    )
    demo.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="the agent to ring (default: front-desk, or the first that answers)",
    )
    _agents(demo)
    _environment(demo)

    call = _verb(verbs, "call", _call, "Ring an agent from this terminal: you are the caller, and type what you say.")
    call.epilog = "Exit code: 0 a call, 1 it was not taken or broke, 2 usage."
    call.add_argument("rung", metavar="NAME|NUMBER", help="the agent to ring, or a number such as +15550100001")
    call.add_argument("--save", metavar="FILE", help="write the conversation to a new file, as a scenario")
    call.add_argument(
        "--model", default="", metavar="NAME", help="a text model answers, instead of the stand-in of simple rules"
    )
    _agents(call)
    _environment(call)

    look = _verb(verbs, "doctor", _doctor, "Tell why calls fail: look at each step that a call takes, and what to do.")
    look.epilog = "Exit code: 0 nothing keeps a call away (warnings are allowed), 1 a step failed, 2 usage."
    look.add_argument(
        "path", nargs="?", default="agents", metavar="PATH", help="the catalog's folder (default: agents)"
    )
    look.add_argument("--url", help="a running host, such as http://127.0.0.1:8080: has a test event sent to it")
    look.add_argument(
        "--sip-code", metavar="CODE", help="explain a SIP code or a Twilio error number instead, such as 400 or 32011"
    )
    look.add_argument("--format", choices=["json", "text"], default="text", help="how to print the steps")
    _environment(look)

    test = _verb(
        verbs, "test", _test, "Play scenario files without a phone, and tell what went otherwise than expected."
    )
    test.epilog = (
        "Needs no network and no key. A skipped expectation is no pass. "
        "Exit code: 0 nothing failed, 1 scenarios failed or files have problems, 2 usage."
    )
    test.add_argument(
        "paths",
        nargs="*",
        default=["agents"],
        metavar="PATH",
        help="catalogs' folders, or scenario files (default: agents)",
    )
    test.add_argument("--format", choices=sorted(results.FORMATS), default="text", help="how to print the results")
    test.add_argument("--watch", action="store_true", help="then play the scenarios that a changed file touches")
    test.add_argument(
        "--model",
        default="",
        metavar="NAME",
        help="a text model plays the agent and judges, instead of the model's lines; needs a key or a local server",
    )
    test.add_argument(
        "--from", dest="recording", metavar="FILE", help="print a recorded call as a scenario, and play nothing"
    )
    test.add_argument(
        "--changed", metavar="REV", help="only the scenarios that a change since a commit, tag or branch can touch"
    )

    start = _verb(verbs, "init", _init, "Make a catalog repository: an agent, a tool, editor settings and checks.")
    start.epilog = "Never overwrites: a file that is there stays as it is."
    start.add_argument("folder", metavar="DIR", help="the folder, new or not")

    _verb(verbs, "schema", _schema, "Print every field of an agent file, as Markdown.")
    return parser


def _verb(verbs: Any, name: str, run: Any, description: str) -> argparse.ArgumentParser:
    summary = description.partition(". ")[0].rstrip(".")
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=summary, description=description)
    verb.set_defaults(verb=run)
    return verb


def _agents(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--agents", default="agents", metavar="PATH", help="the catalog's folder (default: agents)")


def _environment(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--environment",
        default=chosen_environment(),
        metavar="NAME",
        help="whose overrides agents have (default: SWITCHBOARD_ENVIRONMENT, or none)",
    )


def _url(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--url", default="http://127.0.0.1:8080", help="the running host (default: http://127.0.0.1:8080)"
    )


def _count(written: str) -> int:
    if not written.isdecimal() or not int(written):
        raise argparse.ArgumentTypeError(f"'{written}' is no whole number from 1 on")
    return int(written)


def _seconds(written: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"is not between 0 and 3600 seconds: '{written}'")
    return seconds


def _pause(written: str) -> float:
    seconds = _seconds(written)
    if seconds < 1:
        raise argparse.ArgumentTypeError(f"is less than a second, which leaves no time for calls: '{written}'")
    return seconds


def _port(written: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", written) or int(written) > 65535:
        raise argparse.ArgumentTypeError(f"is not a number from 0 to 65535: '{written}'")
    return int(written)
