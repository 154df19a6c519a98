"""The verbs of the command `switchboard`. Each reads its words, calls one piece of the house, and prints."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from runtime import catalog as catalogs
from runtime import document, files, reports
from runtime.catalog import Catalog, Draft, ToolReader, unknown_agent
from runtime.definition import AgentDefinition, ToolDefinition
from runtime.errors import CatalogError, SettingsError, SwitchboardError, errors
from runtime.incoming import SAMPLE_CALL, incoming_call
from runtime.routing import Match, explain
from runtime.session import settings_for
from runtime.settings import called_header, read_settings

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


def _catalog(path: str, read_tool: ToolReader | None = _read_tool, *, revision: bool = False) -> Catalog:
    """Return the catalog of a folder; warnings go to standard error. Raises `CatalogError`."""
    folder = Path(path)
    _find_modules([folder])
    drafts = [catalogs.draft(source, read_tool) for source in files.sources([folder])]
    problems = catalogs.problems(drafts)
    if errors(problems):
        raise CatalogError(problems)
    for problem in problems:
        print(problem, file=sys.stderr)
    definitions = [draft.definition for draft in drafts if draft.definition]
    return catalogs.assemble(definitions, files.revision(folder) if revision else "")


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
    settings = read_settings()
    from runtime import log, server
    from runtime.current import Current
    from runtime.host import Host
    from runtime.realtime.webhook import check_secret

    for secret in settings.webhook_secrets:
        check_secret(secret)
    log.configure(logging.getLevelNamesMapping()[arguments.log_level.upper()])
    catalog = _catalog(arguments.path, revision=True)
    listener = server.listen(arguments.host, arguments.port)
    host = Host(Current(catalog), settings, observers=(log.record_to_log,))
    address = "http://{}:{}".format(*listener.getsockname()[:2])
    agents = reports.count(len(catalog.agents), "agent")
    print(f"{agents} at revision {catalog.revision}; the webhook is {address}/openai/webhook", flush=True)
    server.run(host, listener, arguments.drain_seconds)
    return 0


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
    catalog = _catalog(arguments.agents, revision=True)
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


def _seconds(written: str) -> float:
    seconds = float(written)
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("between 0 and 3600 seconds")
    return seconds
