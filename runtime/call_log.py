"""The call log: one JSON line for each call that has ended, in a file that only its owner reads.

What it keeps is private: whole numbers and the messages that callers left. What was said otherwise is not kept.
"""

import json
import logging
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from runtime.commands import Record
from runtime.runner import Runner

logger = logging.getLogger(__name__)


class CallLog:
    """Writes a call's line when it ends; an observer of every record. Without a file, messages go to the log."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._calls: dict[str, dict[str, Any]] = {}

    def __call__(self, runner: Runner, record: Record) -> None:
        """Take one record of one call."""
        line = self._calls.setdefault(runner.call_id, {"call_id": runner.call_id, "messages": []})
        match record.what:
            case "incoming":
                line |= {"at": datetime.now().astimezone().isoformat(timespec="seconds"), **record.fields}
            case "matched":
                line |= record.fields
            case "message taken":
                self._keep_message(line, record)
            case "ended":
                line |= record.fields
                self._write(self._calls.pop(runner.call_id))

    def _keep_message(self, line: dict[str, Any], record: Record) -> None:
        line["messages"].append(dict(record.private["message"]))
        if self._file is None:  # better in the wrong place than lost
            fields = {"call_id": line["call_id"], "left": record.private["message"]}
            logger.warning("a message was taken and there is no --call-log to keep it", extra=fields)

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        text = json.dumps({key: value for key, value in line.items() if value != []}, ensure_ascii=False) + "\n"
        try:
            handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with open(handle, "w", encoding="utf-8", errors="backslashreplace") as out:  # half an emoji, as JSON has it
                out.write(text)
        except OSError as error:
            fields = {"call_id": line["call_id"], "file": str(self._file), "said": error.strerror}
            logger.error("the call log cannot be written", extra=fields)
            if line["messages"]:
                logger.warning("a message would be lost", extra={"call_id": line["call_id"], "left": line["messages"]})
