"""Tool modules: whose import takes too long, who waits for it and how long; and which files are behind a module."""

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runtime.definition import ToolDefinition
from runtime.errors import EntrypointError
from runtime.modules import IMPORT_SECONDS, Imports, files_behind

ROOT = Path(__file__).parents[1]
LATE = (
    "the module 'slow' is still being imported after 0.5 s. "
    "Show this to its engineer; its import should not wait for anything."
)


class Engineer:
    """Reads tools as the SDK would: those of the module `slow` only when the gate is open. Counts attempts."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.fails = False
        self.attempts: list[str] = []

    def read_tool(self, written: Mapping[str, Any]) -> ToolDefinition:
        spec = written["entrypoint"]
        self.attempts.append(spec)
        if spec.startswith("slow:"):
            self.gate.wait()
            if self.fails:
                raise EntrypointError(f"'{spec}' breaks when it is imported (TimeoutError: no answer)")
        return ToolDefinition("f", "", {}, written)


def read(imports: Imports, spec: str) -> str:
    try:
        return str(imports.read_tool({"entrypoint": spec}).written["entrypoint"])
    except EntrypointError as error:
        return str(error)


def until_ended(imports: Imports) -> None:
    while not imports.have_ended():
        pass


@pytest.fixture
def engineer() -> Engineer:
    return Engineer()


@pytest.fixture
def imports(engineer: Engineer) -> Imports:
    return Imports(engineer.read_tool, 0.5)


def test_an_import_that_takes_too_long_is_a_problem_and_the_others_are_read(
    imports: Imports, engineer: Engineer
) -> None:
    assert [read(imports, spec) for spec in ("slow:f", "well:f")] == [LATE, "well:f"]
    engineer.gate.set()


def test_nine_agents_wait_for_one_import_once(imports: Imports, engineer: Engineer) -> None:
    assert {read(imports, f"slow:f{number}") for number in range(9)} == {LATE}
    assert engineer.attempts == ["slow:f0"]
    assert not imports.have_ended()
    engineer.gate.set()


def test_an_import_that_ends_late_is_told_once_and_read_then(imports: Imports, engineer: Engineer) -> None:
    read(imports, "slow:f")
    engineer.gate.set()
    until_ended(imports)
    assert not imports.have_ended()
    assert read(imports, "slow:g") == "slow:g"


def test_an_import_that_fails_late_is_not_tried_again_until_it_has_changed(
    imports: Imports, engineer: Engineer
) -> None:
    engineer.fails = True
    read(imports, "slow:f")
    engineer.gate.set()
    until_ended(imports)
    assert "TimeoutError: no answer" in read(imports, "slow:f")
    assert engineer.attempts == ["slow:f"]
    engineer.fails = False
    imports.forget({"slow"})
    assert read(imports, "slow:f") == "slow:f"


def test_what_a_reader_raises_reaches_who_asked(engineer: Engineer) -> None:
    def interrupted(written: Mapping[str, Any]) -> ToolDefinition:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Imports(interrupted).read_tool({"entrypoint": "a:b"})


def test_a_command_is_told_before_it_gives_up_and_ends_though_an_import_does_not(tmp_path: Path) -> None:
    assert IMPORT_SECONDS < 60, "which is how long 'switchboard reload' waits"
    (tmp_path / "stuck.py").write_text("import threading\nthreading.Event().wait()\n")
    code = (
        "from runtime.catalog import check\n"
        "from runtime.draft import Source\n"
        "from runtime.entrypoint import resolve\n"
        "from runtime.modules import Imports\n"
        "text = b'name: desk\\ninstructions: x\\ntools: [{entrypoint: \"stuck:f\"}]\\n'\n"
        "imports = Imports(lambda written: resolve(written['entrypoint']), 0.1)\n"
        "print(*check([Source('desk.yaml', text, None)], imports.read_tool))\n"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(tmp_path)!r})\n{code}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    said = "desk.yaml:3:22: tools[1].entrypoint: the module 'stuck' is still being imported after 0.1 s. "
    assert done.stdout.startswith(said)


# ── what is behind a module ───────────────────────────────────────────────────────────────────────────────────


def behind(folder: Path, module: str, files: Mapping[str, str]) -> list[str]:
    """Write files and return which of them are behind a module."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    found = files_behind([module], [str(folder)])
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ("import book.store", ["store"]),
        ("from book import store", ["store"]),
        ("from book.store import table", ["store"]),
        ("from .store import table", ["store"]),
        ("from . import store, extra", ["extra", "store"]),
        ("from .deep import table", ["deep/__init__", "store"]),
        ("from .deep.down import table", ["deep/__init__", "deep/down", "store"]),
        ("from ..store import table", []),
        ("from .. import store", []),
        ("def (", []),
    ],
)
def test_behind_a_module_is_all_that_it_imports(tmp_path: Path, imports: str, found: list[str]) -> None:
    files = {
        "book/tools.py": imports, "book/store.py": "", "book/extra.py": "", "book/other.py": "", "store.py": "",
        "book/deep/__init__.py": "from ..store import table", "book/deep/down.py": "from . import nothing",
    }  # fmt: skip
    assert behind(tmp_path, "book.tools", files) == [f"book/{name}.py" for name in sorted([*found, "tools"])]


def test_a_module_in_no_package_has_nothing_beside_it(tmp_path: Path) -> None:
    assert behind(tmp_path, "tools", {"tools.py": "from .store import table", "store.py": ""}) == ["tools.py"]
