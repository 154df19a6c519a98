"""Words that verbs share: options, and what is written behind an option as a value. Opens nothing that they name."""

import argparse
import re
from typing import Any

from runtime.errors import SettingsError
from runtime.phone import number_in
from runtime.settings import chosen_environment


def add_verb(verbs: Any, name: str, run: Any, description: str) -> argparse.ArgumentParser:
    """Add a verb that a function runs, and return its parser. Its line in the list is the first sentence."""
    summary = description.partition(". ")[0].rstrip(".")
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=summary, description=description)
    verb.set_defaults(verb=run)
    return verb


def add_agents(verb: argparse.ArgumentParser) -> None:
    """Add `--agents`, for verbs whose own words name something else than the catalog."""
    verb.add_argument("--agents", default="agents", metavar="PATH", help="the catalog's folder (default: agents)")


def add_folder(verb: argparse.ArgumentParser, name: str = "path") -> None:
    """Add the catalog's folder as a word of its own, for verbs that are about all of it."""
    verb.add_argument(name, nargs="?", default="agents", metavar="PATH", help="the catalog's folder (default: agents)")


def add_environment(verb: argparse.ArgumentParser) -> None:
    """Add `--environment`, which is `SWITCHBOARD_ENVIRONMENT` where it is not written."""
    verb.add_argument(
        "--environment",
        default=chosen_environment(),
        metavar="NAME",
        help="whose overrides agents have (default: SWITCHBOARD_ENVIRONMENT, or none)",
    )


def add_caller(verb: argparse.ArgumentParser) -> None:
    """Add `--caller` and `--header`, for verbs that make a call. `caller_of` reads them."""
    verb.add_argument("--caller", metavar="NUMBER", help="the number that rings")
    verb.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a SIP header of the call; may be repeated",
    )


def caller_of(arguments: argparse.Namespace) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return who rings, `""` where it is not written, and the call's own SIP headers. Raises `SettingsError`."""
    caller = number_of("--caller", arguments.caller) if arguments.caller is not None else ""
    return caller, tuple(map(_header, arguments.header))


def _header(written: str) -> tuple[str, str]:
    name, equals, value = written.partition("=")
    if not equals or not name:
        raise SettingsError("--header", f"is not NAME=VALUE: '{written}'", "For example: --header X-Tenant=acme")
    return name, value


def add_record(verb: argparse.ArgumentParser) -> None:
    """Add `--record` and `--record-speech`."""
    verb.add_argument(
        "--record", metavar="DIR", help="keep the events of each call in a file of its own, for 'switchboard replay'"
    )
    verb.add_argument(
        "--record-speech", action="store_true", help="record words and numbers as they are; without it none is readable"
    )


def demand_record(arguments: argparse.Namespace) -> None:
    """Raise `SettingsError` for words that are to be recorded nowhere."""
    if arguments.record_speech and arguments.record is None:
        raise SettingsError("--record-speech", "does nothing without --record", "Name a folder: --record recordings.")


def add_url(verb: argparse.ArgumentParser) -> None:
    """Add `--url`, for verbs that ask a running host."""
    verb.add_argument(
        "--url", default="http://127.0.0.1:8080", help="the running host (default: http://127.0.0.1:8080)"
    )


def number_of(option: str, written: str) -> str:
    """Return a phone number as E.164. Raises `SettingsError`, which names the option and what to write instead."""
    number = number_in(written)
    cure = 'Write "+15550100001".'
    if not number:
        raise SettingsError(option, f"is no phone number: '{written}'", cure)
    if number.startswith("+00"):
        raise SettingsError(option, f"is written with 00 and not with a plus: '{written}'", f'Write "+{number[3:]}".')
    if number.startswith("+0"):
        raise SettingsError(option, f"is written without its country code: '{written}'", cure)
    return number


def count_in(written: str) -> int:
    """Return a whole number from 1 on. Raises `ArgumentTypeError`, which argparse tells with the option's name."""
    if not re.fullmatch(r"[0-9]{1,9}", written) or not int(written):  # of more than 4300 digits Python makes none
        raise argparse.ArgumentTypeError(f"is not a whole number from 1 to 999999999: '{written}'")
    return int(written)


def seconds_in(written: str) -> float:
    """Return seconds, an hour at most. Raises `ArgumentTypeError`."""
    try:
        seconds = float(written)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"is not between 0 and 3600 seconds: '{written}'")
    return seconds


def pause_in(written: str) -> float:
    """Return seconds, one at least and an hour at most. Raises `ArgumentTypeError`."""
    seconds = seconds_in(written)
    if seconds < 1:
        raise argparse.ArgumentTypeError(f"is less than a second, which leaves no time for calls: '{written}'")
    return seconds


def port_in(written: str) -> int:
    """Return a port; 0 stands for any. Raises `ArgumentTypeError`."""
    if not re.fullmatch(r"[0-9]{1,5}", written) or int(written) > 65535:
        raise argparse.ArgumentTypeError(f"is not a number from 0 to 65535: '{written}'")
    return int(written)
