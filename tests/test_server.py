"""The host as its own process, as an operator runs it."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from runtime.cli import main
from runtime.server import listen
from runtime.simulator import Script, Service, Turn, serving
from tests.house import MINIMAL, run
from tests.line import KEY, SECRET

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@asynccontextmanager
async def serve(folder: Path, openai_url: str, *words: str) -> AsyncIterator[tuple[Process, str]]:
    """Start `switchboard serve` and wait for its first line; the process is gone afterwards."""
    environment = {
        **os.environ, "OPENAI_API_KEY": KEY, "OPENAI_WEBHOOK_SECRET": SECRET, "OPENAI_BASE_URL": f"{openai_url}/v1",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "runtime", "serve", str(folder), "--port", "0", *words,
        stdout=PIPE, stderr=PIPE, cwd=ROOT, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        first = (await process.stdout.readline()).decode()
        assert "the webhook is http://127.0.0.1:" in first, first
        yield process, first.rpartition(" ")[2].strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_live_calls_say_goodbye_and_the_host_exits_with_0(sent: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text(MINIMAL + "greeting: Hello.\n")

    async def work() -> None:
        service = Service(api_key=KEY, pace=0, script=Script((Turn("Hello?", "Yes?"),), hangs_up=False))
        words = ("--drain-seconds", "0.1", "--record", str(tmp_path / "recordings"))
        async with serving(service.app) as url, serve(tmp_path, url, *words) as (process, webhook):
            call = service.new_call()
            assert await service.ring(call, webhook, SECRET) == 200
            while call.heard < 2:
                await call.moved(None)
            process.send_signal(sent)
            await call.ended.wait()
            assert call.outcome == "hung up by host"
            _, logged = await process.communicate()
            assert process.returncode == 0, logged.decode()
            assert "outcome=drained" in logged.decode()
            assert "Traceback" not in logged.decode()

    run(work(), 40)
    (recording,) = (tmp_path / "recordings").iterdir()
    assert json.loads(recording.read_text("utf-8").splitlines()[-1])["event"]["outcome"] == "drained"


def test_answers_are_sent_at_once_and_wait_for_no_acknowledgement() -> None:
    """asyncio switches Nagle's algorithm off only for sockets that are named as TCP."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_production_reloads_on_command_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "desk.yaml").write_text(MINIMAL)
    for name, value in {"OPENAI_API_KEY": KEY, "OPENAI_WEBHOOK_SECRET": SECRET}.items():
        monkeypatch.setenv(name, value)

    async def work() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9") as (process, webhook):
            url = webhook.removesuffix("/openai/webhook")

            async def command(*words: str) -> int:
                return await asyncio.to_thread(main, [*words, "--url", url])

            async with httpx2.AsyncClient(trust_env=False) as client:

                async def agents() -> int:
                    return int((await client.get(f"{url}/readyz")).json()["agents"])

                (tmp_path / "other.yaml").write_text(MINIMAL.replace("desk", "other").replace("001", "002"))
                assert await agents() == 1, "nothing changes by itself"
                assert await command("reload") == 0
                assert await agents() == 2
                (tmp_path / "other.yaml").write_text("name: other\n")
                assert await command("reload") == 1
                assert (await agents(), await command("status")) == (2, 1)
                (tmp_path / "other.yaml").unlink()
                process.send_signal(signal.SIGHUP)
                while await agents() != 1:
                    pass
                assert await command("status") == 0
                unsigned = await client.post(f"{url}/control/reload", content=b"{}")
                assert unsigned.status_code == 400

    run(work(), 40)


def test_a_staging_host_comes_up_beside_a_bad_save_and_takes_its_correction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "desk.yaml").write_text(MINIMAL)
    (tmp_path / "other.yaml").write_text("name: other\n")

    async def work() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9", "--watch") as (process, webhook):
            url = webhook.removesuffix("/openai/webhook")
            assert await asyncio.to_thread(main, ["status", "--url", url]) == 1
            first, second, *problems = capsys.readouterr().out.splitlines()
            assert first == "ready: 1 agent, 0 live calls"
            assert ", partly; live since 2" in second
            assert "other.yaml:1:1: 'instructions' is missing. " in problems[0]
            (tmp_path / "other.yaml").write_text(MINIMAL.replace("desk", "other").replace("001", "002"))
            assert process.stderr is not None
            while b"all is well again; 2 agents live" not in (said := await process.stderr.readline()):
                assert said, "it tells of its recovery"
            assert await asyncio.to_thread(main, ["status", "--url", url]) == 0

    run(work(), 40)


@pytest.mark.parametrize("signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT)])
def test_while_draining_the_door_answers_503_and_a_second_signal_ends_it(
    tmp_path: Path, signals: tuple[signal.Signals, signal.Signals]
) -> None:
    """A caller must not be left alone on a living call, however impatient the operator is."""
    (tmp_path / "desk.yaml").write_text(MINIMAL)

    async def work() -> None:
        service = Service(api_key=KEY, pace=0)
        async with serving(service.app) as url, serve(tmp_path, url) as (process, webhook):
            call = service.new_call()
            await service.ring(call, webhook, SECRET)
            await call.happened("session_update")
            process.send_signal(signals[0])
            async with httpx2.AsyncClient(trust_env=False) as client:
                ready = webhook.replace("openai/webhook", "readyz")
                while (await client.get(ready)).status_code != 503:
                    pass
            process.send_signal(signals[1])
            _, said = await process.communicate()
            assert process.returncode == 0
            assert call.peer.hung_up_by == "host"
            assert b"Traceback" not in (said or b"")

    run(work(), 40)
