"""`switchboard serve`: puts the host together and runs it. Knows nothing of calls."""

import argparse
import gc
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from runtime import files, git
from runtime.catalog import Catalog
from runtime.errors import CatalogError, SettingsError, count, listing
from runtime.settings import read_settings
from runtime.tools import Tools
from runtime.verbs.places import placed, recorder_of
from runtime.verbs.words import (
    add_environment,
    add_folder,
    add_record,
    add_verb,
    count_in,
    demand_record,
    pause_in,
    port_in,
    seconds_in,
)

_EVERY_SECONDS = 30.0  # between two looks at a followed branch: soon enough for a merge, rare enough for a remote


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    serve = add_verb(verbs, "serve", _run, "Take calls: run the host that receives the webhook.")
    serve.epilog = "Needs OPENAI_API_KEY and OPENAI_WEBHOOK_SECRET in the environment. SIGTERM drains and exits."
    add_folder(serve)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument(
        "--port", type=port_in, default=8080, help="port to listen on; 0 lets the system choose (default: 8080)"
    )
    serve.add_argument(
        "--drain-seconds",
        type=seconds_in,
        default=60.0,
        help="time that live calls get to finish after SIGTERM (default: 60)",
    )
    serve.add_argument(
        "--max-calls", type=count_in, metavar="N", help="take no more calls than this at once; more are busy (486)"
    )
    serve.add_argument(
        "--call-log",
        metavar="FILE",
        help="append a JSON line for each call that has ended, with the messages that callers left",
    )
    add_record(serve)
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
        type=pause_in,
        metavar="SECONDS",
        help=f"how often to look at a followed branch (default: {_EVERY_SECONDS:g})",
    )
    serve.add_argument("--fetch", metavar="REMOTE", help="fetch a followed branch from a remote first")
    add_environment(serve)


def _run(arguments: argparse.Namespace) -> int:
    follows = arguments.follow is not None
    if arguments.revision is not None and follows:
        raise SettingsError("--revision", "cannot be used with --follow", "Serve a commit, or follow a branch.")
    if arguments.watch and (arguments.revision is not None or follows):
        raise SettingsError("--watch", "cannot be used with --revision or --follow", "A commit does not change.")
    for option, given in (("--every", arguments.every), ("--fetch", arguments.fetch)):
        if given is not None and not follows:
            raise SettingsError(option, "does nothing without --follow", "Name the branch: --follow main.")
    demand_record(arguments)
    settings = read_settings()
    gc.disable()  # nothing of the imports below becomes garbage; server.run enables it again
    from runtime import log, server
    from runtime.admission import Admission
    from runtime.call_log import CallLog
    from runtime.current import Current
    from runtime.host import Host
    from runtime.modules import ToolModules
    from runtime.realtime.webhook import check_secret
    from runtime.reload import Drafts, Reloader, follow, watch

    for secret in settings.webhook_secrets:
        check_secret(secret)
    log.configure(logging.getLevelNamesMapping()[arguments.log_level.upper()])
    folder = Path(arguments.path)
    if not folder.is_dir():
        cure = "Name the folder that holds the agents: switchboard serve FOLDER."
        raise SettingsError(str(folder), "is no folder", cure)
    files.let_import([folder])
    tools = Tools(serving=True)
    modules = ToolModules(files.import_folders([folder]), tools.imports)
    read = git.reader(folder, arguments.follow if follows else arguments.revision)
    drafts = Drafts(tools.read, arguments.environment)
    if problems := files.without_agents([folder], read(None).sources):
        raise CatalogError(problems)
    current = Current(Catalog({}))
    reloader = Reloader(current, read, drafts, modules, strict=not arguments.watch)
    reloader.start()
    background: list[Callable[[], Coroutine[Any, Any, None]]] = [tools.kept_open]
    if arguments.watch:
        background.append(lambda: watch(reloader, folder, modules))
    if follows:
        fetch = None if arguments.fetch is None else git.fetcher(folder, arguments.fetch, arguments.follow)
        background.append(lambda: follow(reloader, arguments.follow, arguments.every or _EVERY_SECONDS, fetch))
    call_log = _call_log(arguments.call_log, current.get())
    recorder = recorder_of(arguments)
    background += [recorder.kept_open] if recorder else []
    listener = server.listen(arguments.host, arguments.port)
    host = Host(
        current,
        settings,
        (log.record_to_log, CallLog(call_log)),
        admission=Admission(arguments.max_calls),
        reload=reloader.reload,
        background=background,
        witness=recorder,
    )
    address = "http://{}:{}".format(*listener.getsockname()[:2])
    catalog = current.get()
    agents = count(len(catalog.agents), "agent")
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
    return None if written is None else placed("--call-log", written)
