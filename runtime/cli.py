"""The verbs of the command `switchboard`. Each reads its words, calls one piece of the house, and prints."""

import argparse
import contextlib
import gc
import json
import logging
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from runtime import catalog as catalogs
from runtime import changes, document, files, git, reports
from runtime.catalog import Catalog, Draft, ToolReader, unknown_agent
from runtime.definition import AgentDefinition, ToolDefinition
from runtime.errors import CatalogError, SettingsError, SwitchboardError, errors
from runtime.incoming import SAMPLE_CALL, incoming_call
from runtime.routing import Match, explain
from runtime.session import settings_for
from runtime.settings import called_header, read_settings
from runtime.terminal import Paint

_PROBLEMS, _USAGE = 1, 2


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 fine, 1 problems, 2 usage."""
    arguments = _parser().parse_args(words)
    try:
        code: int = arguments.verb(arguments)
        sys.stdout.flush()
        return code
    except CatalogError as error:
        print(error, file=sys.stderr)
        return _PROBLEMS
    except SettingsError as error:
        print(f"switchboard: {error}", file=sys.stderr)
        return _USAGE
    except SwitchboardError as error:
        print(f"switchboard: {error}", file=sys.stderr)
        return _PROBLEMS
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; there is nobody to tell
        return _PROBLEMS
    except KeyboardInterrupt:
        return 130


# ── check ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _check(arguments: argparse.Namespace) -> int:
    paths = [Path(path) for path in arguments.paths]
    sources = files.sources(paths)
    if arguments.format == "text":
        print(f"Checking {reports.count(len(sources), 'agent file')} …", file=sys.stderr, flush=True)
    _find_modules(paths)
    drafts = [catalogs.draft(source, _tool_reader(arguments)) for source in sources]
    problems = catalogs.problems(drafts)
    print(reports.REPORTERS[arguments.format](problems, len(sources)), end="")
    return _PROBLEMS if errors(problems) else 0


def _tool_reader(arguments: argparse.Namespace) -> ToolReader | None:
    return None if arguments.no_tools else _read_tool


def _read_tool(written: Any) -> ToolDefinition:
    from runtime.realtime.tools import read_tool  # imports the SDK, which takes seconds: only for a tool

    return read_tool(written)


def _find_modules(paths: Sequence[Path]) -> None:
    """Let tool modules be imported from the working directory and from the folders that hold the catalog."""
    sys.path[:0] = [folder for folder in files.import_folders(paths) if folder not in sys.path]


def _catalog(path: str, read_tool: ToolReader | None = _read_tool) -> Catalog:
    """Return the catalog of a folder; warnings go to standard error. Raises `CatalogError`."""
    folder = Path(path)
    _find_modules([folder])
    found = files.sources([folder])
    return _assembled([catalogs.draft(source, read_tool) for source in found], git.current_revision(folder, found))


def _assembled(drafts: Sequence[Draft], revision: str) -> Catalog:
    problems = catalogs.problems(drafts)
    if errors(problems):
        raise CatalogError(problems)
    for problem in problems:
        print(problem, file=sys.stderr)
    return catalogs.assemble((draft.definition for draft in drafts if draft.definition), revision)


# ── show ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _show(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.agents)
    _find_modules([folder])
    reader = _read_tool if arguments.accept else None
    drafts = [catalogs.draft(source, reader) for source in files.sources([folder])]
    agent = _one(drafts, arguments.name)
    if arguments.accept:
        print(reports.as_json(settings_for(agent, SAMPLE_CALL).accept()))
    else:
        print(document.write(_complete(agent)), end="")
    return 0


def _one(drafts: list[Draft], name: str) -> AgentDefinition:
    for draft in drafts:
        if draft.name == name:
            if draft.definition is None:
                raise CatalogError(list(draft.problems))
            return draft.definition
    known = catalogs.assemble(draft.definition for draft in drafts if draft.definition)
    raise SettingsError("NAME", unknown_agent(name, known).removesuffix("."))


def _complete(agent: AgentDefinition) -> dict[str, Any]:
    """Return the agent's data as a file that stands alone: its instructions written into it."""
    data = {key: value for key, value in agent.data.items() if key != "instructions_file"}
    return {"name": data.pop("name"), **data, "instructions": agent.instructions.text}


# ── serve ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _serve(arguments: argparse.Namespace) -> int:
    if arguments.watch and (arguments.revision or arguments.follow):
        raise SettingsError("--watch", "cannot be used with --revision or --follow", "A commit does not change.")
    settings = read_settings()
    gc.disable()  # nothing of the imports below becomes garbage; server.run enables it again
    from runtime import log, server
    from runtime.current import Current, Status
    from runtime.host import Host
    from runtime.modules import ToolModules
    from runtime.realtime.webhook import check_secret
    from runtime.reload import Drafts, Reloader, follow, watch

    for secret in settings.webhook_secrets:
        check_secret(secret)
    log.configure(logging.getLevelNamesMapping()[arguments.log_level.upper()])
    folder = Path(arguments.path)
    _find_modules([folder])
    modules = ToolModules(files.import_folders([folder]))
    read, drafts = git.reader(folder, arguments.follow or arguments.revision), Drafts(_read_tool)
    reading = read(None)
    first = drafts.of(reading.sources, tools_changed=False)
    catalog = _assembled(first, reading.revision)
    current = Current(catalog, Status(catalog.revision, datetime.now().astimezone()))
    reloader = Reloader(current, read, drafts, modules, strict=not arguments.watch)
    reloader.start(first)
    background: list[Callable[[], Coroutine[Any, Any, None]]] = []
    if arguments.watch:
        background.append(lambda: watch(reloader, folder, modules))
    if arguments.follow:
        fetch = git.fetcher(folder, arguments.fetch, arguments.follow) if arguments.fetch else None
        background.append(lambda: follow(reloader, arguments.follow, arguments.every, fetch))
    listener = server.listen(arguments.host, arguments.port)
    host = Host(current, settings, (log.record_to_log,), reload=reloader.reload, background=background)
    address = "http://{}:{}".format(*listener.getsockname()[:2])
    agents = reports.count(len(catalog.agents), "agent")
    print(f"{agents} at revision {catalog.revision}; the webhook is {address}/openai/webhook", flush=True)
    server.run(host, listener, arguments.drain_seconds)
    return 0


def _reload(arguments: argparse.Namespace) -> int:
    from runtime.realtime.webhook import sign

    body = json.dumps({"revision": arguments.revision}).encode()
    secret = read_settings().webhook_secrets[0]
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
    folder = Path(arguments.agents)
    if len(arguments.revisions) > 2:
        raise SettingsError("diff", "takes two revisions at most")
    old, new = [*(arguments.revisions or ["HEAD"]), None][:2]
    before, after = (git.reader(folder, revision)(None) for revision in (old, new))
    drafts = [catalogs.draft(source, None) for source in before.sources]
    earlier = catalogs.assemble((draft.definition for draft in drafts if draft.definition), before.revision)
    later = _assembled([catalogs.draft(source, None) for source in after.sources], after.revision)
    found = changes.compare(earlier, later)
    print(reports.DIFFS[arguments.format](found, Paint()), end="")
    return 1 if found else 0


# ── who-answers ───────────────────────────────────────────────────────────────────────────────────────────────


def _who_answers(arguments: argparse.Namespace) -> int:
    catalog = _catalog(arguments.agents, None)
    headers = [_header(written) for written in arguments.header]
    headers += [("Diversion", f"<sip:{arguments.called}@command>")] if arguments.called else []
    headers += [("From", f"<sip:{arguments.caller}@command>")] if arguments.caller else []
    call = incoming_call("rtc_sample", headers, SAMPLE_CALL.started_at, called_header())
    if not call.called and not arguments.header:
        raise SettingsError("--called", f"is no phone number: '{arguments.called}'", 'Write "+15550100001".')
    found, losses = explain(catalog, call)
    print(reports.answer(found, losses, call.called))
    return 0 if isinstance(found, Match) else _PROBLEMS


def _header(written: str) -> tuple[str, str]:
    name, equals, value = written.partition("=")
    if not equals or not name:
        raise SettingsError("--header", f"is not NAME=VALUE: '{written}'", "For example: --header X-Tenant=acme")
    return name, value


# ── demo ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _demo(arguments: argparse.Namespace) -> int:
    print("Starting the host and the simulator …", file=sys.stderr, flush=True)
    catalog = _catalog(arguments.agents)
    if arguments.name is not None and arguments.name not in catalog.agents:
        raise SettingsError("NAME", unknown_agent(arguments.name, catalog).removesuffix("."))
    from runtime import demo, log

    log.configure(logging.ERROR)
    return demo.run(catalog, arguments.name)


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE, f"switchboard: {message}\nTry '{self.prog} --help'.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="switchboard",
        description="Voice agents on the telephone, one YAML file each.",
        epilog="Begin with 'switchboard demo' to see a call, and 'switchboard check' after each edit.",
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    check = _verb(verbs, "check", _check, "Find every problem of every agent file. Needs no network and no key.")
    check.epilog = "Exit code: 0 no problems (warnings are allowed), 1 problems, 2 usage."
    check.add_argument(
        "paths", nargs="*", default=["agents"], metavar="PATH", help="folders or files (default: agents)"
    )
    check.add_argument("--format", choices=sorted(reports.REPORTERS), default="text", help="how to print problems")
    check.add_argument("--no-tools", action="store_true", help="leave entrypoints alone: import no user code")

    show = _verb(verbs, "show", _show, "Print an agent with every default filled in, as YAML that checks again.")
    show.add_argument("name", metavar="NAME", help="the agent's name")
    show.add_argument("--accept", action="store_true", help="print what the service is told for a sample call, as JSON")
    _agents(show)

    serve = _verb(verbs, "serve", _serve, "Take calls: run the host that receives the webhook.")
    serve.epilog = "Needs OPENAI_API_KEY and OPENAI_WEBHOOK_SECRET in the environment. SIGTERM drains and exits."
    serve.add_argument(
        "path", nargs="?", default="agents", metavar="PATH", help="the catalog's folder (default: agents)"
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument(
        "--port", type=int, default=8080, help="port to listen on; 0 lets the system choose (default: 8080)"
    )
    serve.add_argument(
        "--drain-seconds",
        type=_seconds,
        default=60.0,
        help="time that live calls get to finish after SIGTERM (default: 60)",
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
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how often to look at a followed branch (default: 30)",
    )
    serve.add_argument("--fetch", metavar="REMOTE", help="fetch a followed branch from a remote first")

    reload = _verb(verbs, "reload", _reload, "Make a running host take the catalog as it is now, all or nothing.")
    reload.epilog = (
        "Signs its request with OPENAI_WEBHOOK_SECRET. Exit code: 0 taken, 1 refused with problems, 2 usage."
    )
    reload.add_argument("--revision", metavar="REV", help="take a commit, tag or branch, an older one too")
    _url(reload)

    status = _verb(verbs, "status", _status, "Print what a running host serves and how its last reload went.")
    _url(status)

    diff = _verb(verbs, "diff", _diff, "Tell in sentences what changed for callers between two revisions.")
    diff.epilog = "Without revisions: HEAD and the work tree. Exit code: 0 nothing, 1 changes, 2 usage."
    diff.add_argument("revisions", nargs="*", metavar="REV", help="one revision against the work tree, or two")
    diff.add_argument("--format", choices=sorted(reports.DIFFS), default="text", help="markdown for a pull request")
    _agents(diff)

    who = _verb(
        verbs,
        "who-answers",
        _who_answers,
        "Print which agent takes a call, and why every other candidate does not.",
    )
    who.epilog = "Exit code: 0 an agent answers, 1 nobody does, 2 usage."
    who.add_argument("--called", required=True, metavar="NUMBER", help="the number that is rung, such as +15550100001")
    who.add_argument("--caller", default="", metavar="NUMBER", help="the number that rings")
    who.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a SIP header of the call; may be repeated",
    )
    _agents(who)

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
    return parser


def _verb(verbs: Any, name: str, run: Any, description: str) -> argparse.ArgumentParser:
    summary = description.partition(". ")[0].rstrip(".")
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=summary, description=description)
    verb.set_defaults(verb=run)
    return verb


def _agents(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--agents", default="agents", metavar="PATH", help="the catalog's folder (default: agents)")


def _url(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--url", default="http://127.0.0.1:8080", help="the running host (default: http://127.0.0.1:8080)"
    )


def _seconds(written: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("between 0 and 3600 seconds")
    return seconds
