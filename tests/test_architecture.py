"""The architecture as a dict: who may import whom, who owns which dependency, what the core must not touch."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "runtime"

# A module imports only from floors below its own. The simulator stands apart: it imports nothing of ours.
FLOORS: list[set[str]] = [
    {"errors", "phone", "context", "transcript", "sip_codes", "redaction", "unreadable", "verdict"},
    {"outcome", "foreign", "misreadings"},
    {"chat"},
    {"document", "entrypoint", "template", "incoming", "hours", "hosts", "sound"},
    {"schema", "definition", "layers", "lines"},
    {"built_in", "agreements", "request", "soundness"},
    {"conflicts", "abilities", "scenarios"},
    {"teams"},
    {"draft"},
    {"catalog"},
    {"understanding", "company"},
    {"routing", "session", "conduct", "receipt", "chain", "commands", "wishes"},
    {"changes", "reconcile", "graph", "doctor", "cast", "expectations"},
    {"saving", "responses", "roles", "silence", "admission"},
    {"events", "scene"},
    {"confirmation", "recorded", "speech", "items"},
    {"deviations", "retold", "doubts", "tool_calls", "turns", "guard"},
    {"keypad", "transfers", "farewell", "refusals"},
    {"limits"},
    {"greeting"},
    {"answers"},
    {"conversation"},
    {"call"},
    # nothing above this line does I/O, waits, logs, or reads a clock or the environment
    {"threads"},
    {"settings", "files", "reports", "fields", "realtime", "current", "http_tools", "recording"},
    {"git", "modules", "runner", "terminal", "init", "replay", "results"},
    {"tools", "minds", "repertoire"},
    {"log", "call_log", "overheard", "reload", "host", "standin"},
    {"server", "examination", "ringing", "screen", "faults"},
    {"demo", "handset", "stage", "props", "crowd"},
    {"rehearsal"},
    {"players"},
    {"verbs"},
    {"cli"},
    {"__main__"},
]
# Who may import the simulator.
NEAR_THE_SIMULATOR = {"standin", "ringing", "demo", "handset", "verbs", "minds", "rehearsal", "stage", "props"}
CORE = set().union(*FLOORS[: FLOORS.index({"call"}) + 1])

OWNERS = {
    "yaml": {"document"},
    "jsonschema": {"schema"},
    "jinja2": {"template"},
    "openai": {"realtime"},
    "agents": {"realtime"},
    "mcp": {"realtime"},
    "websockets": {"realtime"},
    "pydantic": {"realtime"},
    "pydantic_core": {"realtime"},
    "starlette": {"host", "simulator"},
    "uvicorn": {"server", "simulator"},
    "httpx2": {"simulator", "realtime"},
    "httpcore2": {"http_tools"},
    "watchfiles": {"reload"},
    "zoneinfo": {"hours"},
}

FORBIDDEN_IN_CORE = {"asyncio", "socket", "time", "subprocess", "os", "threading", "sqlite3", "urllib.request"}


def modules() -> list[tuple[str, Path]]:
    """Return each file with its module's name, or its folder's for those in one. What `init` copies is none."""
    files = sorted(set(RUNTIME.rglob("*.py")) - set((RUNTIME / "scaffold").rglob("*.py")))
    return [(file.relative_to(RUNTIME).parts[0].removesuffix(".py"), file) for file in files]


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


@cache
def imports(file: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write imports from the root, so that this test can read them"
            assert node.module
            found.add(node.module)
            if node.module in ("runtime", "runtime.verbs"):
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def floor_of(name: str) -> int:
    for number, names in enumerate(FLOORS):
        if name in names:
            return number
    raise AssertionError(f"runtime/{name} stands on no floor: give it one in FLOORS and in the README's map")


@pytest.mark.parametrize(("name", "file"), modules(), ids=lambda value: str(value).rpartition("runtime/")[2])
def test_a_module_imports_only_from_floors_below(name: str, file: Path) -> None:
    ours = {one.split(".")[1] for one in imports(file) if one.startswith("runtime.")}
    if name == "simulator":
        assert ours <= {"simulator"}, f"{file.name}: the simulator is an independent witness and imports {ours}"
    elif name != "__init__":
        above = sorted(other for other in ours - {name} if other != "CallContext" and not _is_below(other, name))
        assert not above, f"runtime/{name} imports {above} from its own floor or above: decide lower, or move it up"


def _is_below(other: str, name: str) -> bool:
    return (other == "simulator" and name in NEAR_THE_SIMULATOR) or floor_of(other) < floor_of(name)


@pytest.mark.parametrize(("name", "file"), modules(), ids=lambda value: str(value).rpartition("runtime/")[2])
def test_each_dependency_has_one_owner(name: str, file: Path) -> None:
    for imported in imports(file):
        owners = OWNERS.get(imported.split(".")[0])
        assert owners is None or name in owners, f"runtime/{name} imports {imported}, which belongs to {owners}"


@pytest.mark.parametrize(("name", "file"), [pair for pair in modules() if pair[0] in CORE])
def test_the_core_neither_waits_nor_reads_the_world(name: str, file: Path) -> None:
    touched = imports(file) & FORBIDDEN_IN_CORE
    assert not touched, f"runtime/{name} is core and imports {touched}: take what it needs as an argument"
    tree = tree_of(file)
    waiting = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    assert not waiting, f"runtime/{name} is core and waits in line {waiting[0].lineno}"


def test_only_settings_reads_the_environment() -> None:
    readers = {name for name, file in modules() if "environ" in _attributes(file) and name != "settings"}
    assert not readers, f"{readers} read the environment: settings.py does that once"


def _attributes(file: Path) -> set[str]:
    return {node.attr for node in ast.walk(tree_of(file)) if isinstance(node, ast.Attribute)}


def test_catching_everything_happens_only_at_known_boundaries() -> None:
    """One call's runner and recording, one scenario's player, the host's background work, the doors to user code and to
    authors' expressions, and minds."""
    allowed = {"runner", "recording", "players", "host", "realtime", "threads", "entrypoint", "template", "simulator"}
    for name, file in modules():
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.ExceptHandler):
                kinds = ast.unparse(node.type) if node.type else "everything"
                wide = kinds in ("Exception", "BaseException", "everything")
                assert not wide or name in allowed, f"{file.name}:{node.lineno} catches {kinds}"


VERBS = sorted((RUNTIME / "verbs").glob("*.py"))


@pytest.mark.parametrize("file", VERBS, ids=lambda file: file.stem)
def test_a_verb_imports_no_other_verb(file: Path) -> None:
    others = imports(file) & {f"runtime.verbs.{other.stem}" for other in VERBS if other.stem not in ("places", "words")}
    assert not others, f"verbs/{file.name} imports {others}: what verbs share stands in places.py and words.py"


def test_agents_stays_a_plain_folder() -> None:
    assert not (ROOT / "agents" / "__init__.py").exists(), "'agents' is the import name of the OpenAI Agents SDK"


def test_importing_call_context_costs_no_heavy_import() -> None:
    import subprocess
    import sys

    code = "import sys; from runtime import CallContext; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"yaml", "jsonschema", "jinja2", "openai", "agents", "pydantic", "starlette", "asyncio"}
    assert not heavy & set(loaded.stdout.split())


def test_the_command_imports_no_sdk_before_a_tool_needs_it() -> None:
    import subprocess
    import sys

    code = "import sys; import runtime.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"openai", "agents", "pydantic", "starlette", "uvicorn"} & set(loaded.stdout.split())


def test_every_module_says_what_it_holds() -> None:
    silent = [str(file) for _, file in modules() if not ast.get_docstring(tree_of(file))]
    assert not silent
