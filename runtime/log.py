"""Log lines: stdlib logging, a static message, values as fields. What people say stays at DEBUG, numbers masked."""

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from runtime.commands import Record
from runtime.phone import mask
from runtime.runner import Runner

logger = logging.getLogger("switchboard.call")

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NUMBERS = {"called", "caller"}
_INDISCREET = "mcp"  # its lines quote what a server sent that could not be read: a caller's words, perhaps
_NOISY = ("httpx2", "httpcore2", "openai", "openai.agents", "websockets.client", "uvicorn.error", "watchfiles.main")


def record_to_log(runner: Runner, record: Record) -> None:
    """Write one record of a call: its fields at its level, its private part at DEBUG only."""
    if not logger.isEnabledFor(record.level):
        return
    fields: dict[str, Any] = {"call_id": runner.call_id}
    if runner.match is not None:
        fields["agent"] = runner.match.agent.name
    fields |= record.fields
    if logger.isEnabledFor(logging.DEBUG):
        fields |= record.private
    else:
        fields |= {key: mask(str(fields[key])) for key in _NUMBERS & fields.keys()}
        if "rule" in fields:
            del fields["rule"]  # it may hold whole numbers
    logger.log(record.level, record.what, extra={_told_as(key): value for key, value in fields.items()})


def _told_as(name: str) -> str:
    """Return a field's name as logging takes it: some names are its own."""
    return f"{name}_" if name in _STANDARD else name


class Formatter(logging.Formatter):
    """`12:00:00 INFO accepted call_id=rtc_1 agent=front-desk`: one line, then a traceback where there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return " ".join([super().formatMessage(record), *(f"{key}={_shown(fields[key])}" for key in fields)])


def _shown(value: Any) -> str:
    if isinstance(value, str):
        plain = value and not any(sign in value for sign in ' "=\n\t')
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def configure(level: int) -> None:
    """Send log lines to standard error; libraries speak from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_INDISCREET).setLevel(logging.WARNING if level <= logging.DEBUG else logging.CRITICAL)
