"""The command `switchboard`: its parser, what it says to wrong words, errors as exit codes. What a verb does, it
never holds: that stands in `verbs/`.
"""

import argparse
import contextlib
import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

from runtime.errors import CatalogError, SettingsError, SwitchboardError, did_you_mean, listing
from runtime.verbs import (
    PROBLEMS,
    STOPPED,
    USAGE,
    call,
    check,
    demo,
    diff,
    doctor,
    graph,
    init,
    reload,
    replay,
    schema,
    serve,
    show,
    status,
    test,
    who_answers,
)

# in the order of --help
_VERBS = (check, show, serve, reload, status, diff, replay, who_answers, graph, demo, call, doctor, test, init, schema)
_UNWRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 fine, 1 problems, 2 usage."""
    try:
        return _run(words)
    except CatalogError as error:
        return _fail(str(error), PROBLEMS)
    except SettingsError as error:
        return _fail(f"switchboard: {error}", USAGE)
    except SwitchboardError as error:
        return _fail(f"switchboard: {error}", PROBLEMS)
    except BrokenPipeError:  # whoever read our output has left; there is nobody to tell
        _abandon(sys.stdout, sys.stderr)
        return PROBLEMS
    except OSError as error:
        _abandon(sys.stdout)
        unwritten = error.errno in _UNWRITTEN and not error.filename
        what = "The output cannot be written" if unwritten else f"{error.filename or 'The system'} cannot be used"
        return _fail(f"switchboard: {what} ({error.strerror or error}).", USAGE)
    except KeyboardInterrupt:
        return STOPPED


def _run(words: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text
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


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"switchboard: {_in_our_words(message)}\nTry '{self.prog} --help'.\n")


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
    if found := re.fullmatch(r"argument (\S+): (is .*)", message, re.DOTALL):
        return f"{found[1]} {found[2]}."
    return message.replace("unrecognized arguments:", "This is not understood:").removeprefix("argument ")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib import metadata  # which no other command needs

        print(f"switchboard {metadata.version('switchboard')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="switchboard",
        description="Voice agents on the telephone, one YAML file each.",
        epilog="Begin with 'switchboard demo' to see a call, and 'switchboard check' after each edit.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for verb in _VERBS:
        verb.add(verbs)
    return parser
