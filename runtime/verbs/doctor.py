"""`switchboard doctor`: prints each step that a call takes as it is looked at. Judges none."""

import argparse
import sys
from dataclasses import replace
from typing import Any

from runtime import catalog as catalogs
from runtime import doctor, files, reports
from runtime.errors import SettingsError
from runtime.settings import inspect
from runtime.sip_codes import explain as explain_code
from runtime.terminal import Paint, width
from runtime.tools import Tools
from runtime.verbs.places import ask, drafts_of, existing
from runtime.verbs.words import add_environment, add_folder, add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    look = add_verb(verbs, "doctor", _run, "Tell why calls fail: look at each step that a call takes, and what to do.")
    look.epilog = "Exit code: 0 nothing keeps a call away (warnings are allowed), 1 a step failed, 2 usage."
    add_folder(look)
    look.add_argument("--url", help="a running host, such as http://127.0.0.1:8080: has a test event sent to it")
    look.add_argument(
        "--sip-code", metavar="CODE", help="explain a SIP code or a Twilio error number instead, such as 400 or 32011"
    )
    look.add_argument("--format", choices=["json", "text"], default="text", help="how to print the steps")
    add_environment(look)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.sip_code is not None:
        return _explain_code(arguments)
    folder = existing(arguments.path, "switchboard doctor FOLDER")
    files.let_import([folder])
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
    drafts = drafts_of(sources, Tools().read, arguments.environment)
    problems = files.without_agents([folder], sources) + catalogs.problems(drafts)
    catalog = catalogs.assemble(made.definition for made in drafts if made.definition)
    url = arguments.url

    async def examine() -> None:
        ask_host = (lambda: ask(url, "/readyz")) if url else None
        async for step in examination.examine(settings, catalog, problems, url=url, ask=ask_host):
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
