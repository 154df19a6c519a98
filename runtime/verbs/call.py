"""`switchboard call`: finds whom a typing caller rings, and who plays the model. Holds no call."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.catalog import unknown_agent
from runtime.errors import SettingsError
from runtime.saving import demand_scenarios
from runtime.settings import live_endpoint
from runtime.tools import Tools
from runtime.verbs.places import catalog_of, placed, recorder_of
from runtime.verbs.words import (
    add_agents,
    add_caller,
    add_environment,
    add_record,
    add_verb,
    caller_of,
    demand_record,
    number_of,
)

if TYPE_CHECKING:
    from runtime.simulator.mind import Mind


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    call = add_verb(verbs, "call", _run, "Ring an agent from this terminal: you are the caller, and type what you say.")
    call.epilog = "Exit code: 0 a call, 1 it was not taken or broke, 2 usage."
    call.add_argument("rung", metavar="NAME|NUMBER", help="the agent to ring, or a number such as +15550100001")
    call.add_argument("--save", metavar="FILE", help="add the conversation to a scenario file, or make one")
    call.add_argument(
        "--model", default="", metavar="NAME", help="a text model answers, instead of the stand-in of simple rules"
    )
    call.add_argument("--live", action="store_true", help="the real service answers; needs a key, and costs tokens")
    add_caller(call)
    add_record(call)
    add_agents(call)
    add_environment(call)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.live and arguments.model:
        raise SettingsError("--model", "cannot be used with --live", "One of the two answers.")
    demand_record(arguments)
    caller, headers = caller_of(arguments)
    save, live = _file_to_add_to(arguments.save), live_endpoint() if arguments.live else None
    print("Starting the host …" if live else "Starting the host and the simulator …", file=sys.stderr, flush=True)
    tools = Tools(serving=True)
    catalog = catalog_of(arguments, tools.read)
    rung = arguments.rung
    is_number = rung not in catalog.agents and re.match(r"\+|[0-9]", rung) is not None
    if not is_number and rung not in catalog.agents:
        raise unknown_agent(rung, catalog)
    from runtime import handset, ringing

    if is_number:
        number = handset.Number(number_of("NUMBER", rung), caller or ringing.CALLERS[0], headers)
    else:
        found = ringing.ringing_for(catalog, rung, caller, headers)
        number = handset.Number(found.called, found.caller, found.headers)
    mind, told = _mind(arguments)
    recorder = recorder_of(arguments)
    background = (tools.kept_open, recorder.kept_open) if recorder else (tools.kept_open,)
    code = handset.run(catalog, number, mind, told, background=background, live=live, save=save, witness=recorder)
    if recorder:
        print(f"\nRecorded: play it against the agents as they are then with 'switchboard replay {arguments.record}/*'")
    return code


def _mind(arguments: argparse.Namespace) -> "tuple[Mind | None, str]":
    """Return who plays the model in a call that a person holds, and a sentence that says so. Raises `SettingsError`.

    The real service is no mind: it is the model.
    """
    if arguments.live:
        return None, "What you type is sent to it in writing, and it answers so."
    if arguments.model:
        from runtime.minds import mind_for

        return mind_for(arguments.model), f"The text model {arguments.model} plays the model."
    from runtime.standin import StandIn

    return StandIn(), "A stand-in of simple rules plays the model."


def _file_to_add_to(written: str | None) -> Path | None:
    """Return a scenario file, or one that can be made. Raises `SettingsError` where the conversation would have no
    place, before it is held."""
    if written is None:
        return None
    try:
        path = placed("--save", written)
        if path.exists():
            demand_scenarios(path.read_bytes(), written)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError("--save", f"cannot be written: '{written}': {reason}", "Name another file.") from error
    return path
