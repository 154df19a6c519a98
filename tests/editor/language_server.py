"""Drives the editor's real YAML language server: JSON-RPC over its standard input and output, as an editor does.

Only what the tests ask: a workspace with its settings, open files and their diagnostics, completion, hover.
"""

import json
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

SERVER = Path(__file__).parents[2] / ".node/node_modules/yaml-language-server/bin/yaml-language-server"
_PATIENCE_SECONDS = 40.0  # it takes three on two cores

_CAPABILITIES = {
    "workspace": {"configuration": True, "workspaceFolders": True},
    "textDocument": {"hover": {"contentFormat": ["markdown"]}, "completion": {"completionItem": {}}},
}


class LanguageServer:
    """One running server over a workspace that has `.vscode/settings.json`. Use it as a context manager."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._settings = json.loads((workspace / ".vscode/settings.json").read_text("utf-8"))
        self._said: dict[str, list[str]] = {}
        self._last_id = 0
        self._configured = False

    def __enter__(self) -> "LanguageServer":
        command = ["node", str(SERVER), "--stdio"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._watchdog = threading.Timer(_PATIENCE_SECONDS, self._process.kill)
        self._watchdog.start()
        root = self._workspace.as_uri()
        folders = [{"uri": root, "name": self._workspace.name}]
        self._ask("initialize", processId=None, rootUri=root, workspaceFolders=folders, capabilities=_CAPABILITIES)
        self._send(method="initialized", params={})
        while not self._configured:
            self._hear()
        return self

    def __exit__(self, _: type | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._watchdog.cancel()
        self._process.kill()
        self._process.communicate()

    def diagnose(self, texts: Mapping[str, str]) -> dict[str, list[str]]:
        """Open files, paths inside the workspace with their text, and return what the editor underlines in each."""
        for path, text in texts.items():
            document = {"uri": self._uri(path), "languageId": "yaml", "version": 1, "text": text}
            self._send(method="textDocument/didOpen", params={"textDocument": document})
        while not all(self._uri(path) in self._said for path in texts):
            self._hear()
        return {path: self._said[self._uri(path)] for path in texts}

    def hover(self, path: str, line: int, column: int) -> str:
        """Return what the editor tells about the word at a place (from 1) of an open file."""
        told = self._ask("textDocument/hover", **self._place(path, line, column))
        return str(told["contents"]["value"]) if told else ""

    def complete(self, path: str, line: int, column: int) -> list[str]:
        """Return what the editor proposes at a place (from 1) of an open file."""
        told = self._ask("textDocument/completion", **self._place(path, line, column))
        return [item["label"] for item in told["items"]]

    def _place(self, path: str, line: int, column: int) -> dict[str, Any]:
        position = {"line": line - 1, "character": column - 1}
        return {"textDocument": {"uri": self._uri(path)}, "position": position}

    def _uri(self, path: str) -> str:
        return (self._workspace / path).as_uri()

    def _ask(self, method: str, **params: Any) -> Any:
        self._last_id += 1
        self._send(id=self._last_id, method=method, params=params)
        while True:
            heard = self._hear()
            if heard.get("id") == self._last_id and "method" not in heard:
                return heard["result"]

    def _hear(self) -> Any:
        """Take the server's next message, answer it when it asks for settings, and keep its diagnostics."""
        message = self._receive()
        match message.get("method"):
            case "workspace/configuration":
                self._send(id=message["id"], result=[self._section(item) for item in message["params"]["items"]])
                self._configured = True
            case "textDocument/publishDiagnostics":
                said = [diagnostic["message"] for diagnostic in message["params"]["diagnostics"]]
                self._said[message["params"]["uri"]] = said
            case str() if "id" in message:
                self._send(id=message["id"], result=None)
        return message

    def _section(self, item: Mapping[str, str]) -> Any:
        """Return one section of the settings as the editor gives it: dots in names are levels."""
        name, found = item["section"], dict[str, Any]()
        for key, value in self._settings.items():
            if key == name:
                return value
            if key.startswith(f"{name}."):
                *outer, last = key.removeprefix(f"{name}.").split(".")
                inner = found
                for part in outer:
                    inner = inner.setdefault(part, {})
                inner[last] = value
        return found

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self) -> Any:
        assert self._process.stdout
        size = 0
        while (line := self._process.stdout.readline()) != b"\r\n":
            assert line, "the language server has left, or was silent for too long"
            name, _, value = line.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        return json.loads(self._process.stdout.read(size))
