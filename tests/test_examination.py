"""`switchboard doctor` against the simulator, the real host and a TLS listener, all on loopback."""

import asyncio
import ipaddress
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runtime import examination
from runtime.cli import main
from runtime.doctor import Answer, Mark, Step
from runtime.realtime.account import Account
from runtime.settings import Settings
from runtime.simulator import Account as Project
from runtime.simulator import Refused, Service, Webhook, serving
from runtime.verbs.places import ask
from tests.house import MINIMAL, catalog, run
from tests.line import KEY, SECRET, Line, line

OTHER_SECRET = "whsec_YW5vdGhlciBzZWNyZXQ="
AGENTS = catalog(MINIMAL)


def settings_for(url: str, key: str = KEY) -> Settings:
    return Settings(key, (SECRET,), f"{url}/v1", "ws://127.0.0.1:9/v1")


async def looked(settings: Settings, **more: Any) -> list[Step]:
    return [step async for step in examination.examine(settings, AGENTS, [], **more)]


def told(steps: list[Step]) -> dict[str, str]:
    return {step.name: step.mark.value for step in steps}


# ── the account ───────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def account(project: Project | None = None, key: str = KEY) -> AsyncIterator[Account]:
    service = Service(api_key=KEY, pace=0, account=project)
    async with serving(service.app) as url:
        yield Account(key, f"{url}/v1")


def test_a_model_is_told_with_its_last_day_and_the_clocks_are_compared() -> None:
    async def work() -> Answer:
        async with account() as asked:
            return await asyncio.to_thread(asked.model, "gpt-realtime")

    answer = run(work())
    assert (answer.status, answer.data) == (200, "2027-01-20")
    assert answer.ahead is not None
    assert abs(answer.ahead) < 5


def test_a_model_that_is_not_there_is_told_by_its_status() -> None:
    async def work() -> Answer:
        async with account() as asked:
            return await asyncio.to_thread(asked.model, "gpt/none")

    assert run(work()).status == 404


def test_the_services_sentence_about_a_wrong_key_is_left_out() -> None:
    async def work() -> Answer:
        async with account(key="sk-wrong") as asked:
            return await asyncio.to_thread(asked.model, "gpt-realtime")

    answer = run(work())
    assert (answer.status, answer.said) == (401, "the key is not known")


def test_a_key_in_what_the_service_says_is_hidden() -> None:
    refused = Refused(403, "missing_scope", f"The key {KEY} may not.\nAsk {'x' * 300}.")

    async def work() -> Answer:
        async with account(Project(refuses={"models": refused})) as asked:
            return await asyncio.to_thread(asked.model, "gpt-realtime")

    answer = run(work())
    assert answer.code == "missing_scope"
    assert KEY not in answer.said
    assert "\n" not in answer.said
    assert len(answer.said) <= 200


def test_a_service_that_cannot_be_reached_is_an_answer_too() -> None:
    answer = Account(KEY, "http://127.0.0.1:9/v1").model("gpt-realtime")
    assert (answer.status, answer.said) == (None, "Connection refused")


def test_an_answer_that_is_none_of_the_services_is_no_failure_of_ours() -> None:
    async def work() -> Answer:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                headers = [(b"content-type", b"text/html")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": b"<p>Hello</p>"})

        async with serving(app) as url:
            return await asyncio.to_thread(Account(KEY, f"{url}/v1").webhooks)

    assert run(work()).status is None


# ── the whole chain ───────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def project(secret: str = SECRET, **more: Any) -> AsyncIterator[tuple[Line, Settings]]:
    """Serve a host, and a project whose webhook points at it."""
    own = Project(**more)
    async with line(MINIMAL, account=own) as served:
        own.webhooks.append(Webhook(served.webhook, secret))
        yield served, replace(served.host._settings)


async def with_host(served: Line, settings: Settings) -> list[Step]:
    return await looked(settings, url=served.address, ask=lambda: ask(served.address, "/readyz"))


def test_a_line_that_is_right_passes_every_step() -> None:
    async def work() -> list[Step]:
        async with project() as (served, settings):
            return await with_host(served, settings)

    steps = run(work())
    assert [step.name for step in steps] == [
        "key", "clock", "model", "transcription", "webhook", "host", "test event", "catalog", "numbers",
    ]  # fmt: skip
    assert all(step.mark is Mark.FINE for step in steps), steps


def test_a_test_event_is_only_sent_when_a_host_is_named() -> None:
    async def work() -> list[Step]:
        async with project() as (served, settings):
            steps = await looked(settings)
            assert served.host._webhooks["received"] == 0
            return steps

    assert "test event" not in told(run(work()))


def test_another_secret_is_found_by_the_test_event() -> None:
    async def work() -> list[Step]:
        async with project(OTHER_SECRET) as (served, settings):
            return await with_host(served, settings)

    (step,) = (step for step in run(work()) if step.name == "test event")
    assert step.mark is Mark.FAILED
    assert "invalid_signature" in step.saw


def test_a_webhook_that_leads_to_another_host_is_found_by_the_test_event() -> None:
    async def work() -> list[Step]:
        async with project() as (_, settings), line(MINIMAL) as other:
            return await with_host(other, settings)

    assert told(run(work()))["test event"] == "warning"


def test_a_webhook_that_leads_nowhere_is_found_by_the_test_event() -> None:
    async def work() -> list[Step]:
        async with project() as (served, settings):
            served.service.account.webhooks[:] = [Webhook("http://127.0.0.1:9/openai/webhook", SECRET)]
            return await with_host(served, settings)

    assert told(run(work()))["test event"] == "failed"


def test_a_key_that_is_not_known_fails_and_the_rest_is_looked_at() -> None:
    async def work() -> list[Step]:
        async with project() as (served, settings):
            return await with_host(served, replace(settings, api_key="sk-wrong"))

    assert told(run(work())) == {
        "key": "failed", "clock": "fine", "webhook": "warning", "host": "fine", "catalog": "fine", "numbers": "fine",
    }  # fmt: skip


def test_a_clock_that_is_wrong_is_found_by_the_services() -> None:
    async def work() -> list[Step]:
        async with project(clock_behind=90.0) as (_, settings):
            return await looked(settings)

    (step,) = (step for step in run(work()) if step.name == "clock")
    assert step.mark is Mark.FAILED
    assert "s ahead of the service's" in step.saw


def test_a_model_that_the_project_does_not_have_fails() -> None:
    async def work() -> list[Step]:
        async with project(models={"gpt-transcribe": None}) as (_, settings):
            return await looked(settings)

    found = told(run(work()))
    assert (found["key"], found["model"], found["transcription"]) == ("fine", "failed", "fine")


def test_a_key_that_may_not_ask_for_webhooks_is_a_warning() -> None:
    refused = {"webhook_endpoints": Refused(403, "missing_scope", "You may not.")}

    async def work() -> list[Step]:
        async with project(refuses=refused) as (_, settings):
            return await looked(settings)

    assert told(run(work()))["webhook"] == "warning"


def test_without_a_key_the_host_and_the_catalog_are_looked_at() -> None:
    async def work() -> list[Step]:
        async with project() as (served, settings):
            return await with_host(served, replace(settings, api_key=""))

    assert told(run(work())) == {"key": "warning", "host": "fine", "catalog": "fine", "numbers": "fine"}


def test_something_else_than_a_host_is_told_from_one() -> None:
    async def work() -> list[Step]:
        service = Service(api_key=KEY)
        async with serving(service.app) as url:
            ask = lambda: {"hello": "world"}  # noqa: E731
            return await looked(settings_for(url), url=url, ask=ask)

    (step,) = (step for step in run(work()) if step.name == "host")
    assert (step.mark, "something else" in step.saw) == (Mark.FAILED, True)


def test_a_secret_that_is_cut_short_is_found_before_anything_is_asked() -> None:
    (step,) = examination.look_at_settings(Settings(KEY, ("whsec_YQ",)), [])
    assert step.mark is Mark.FAILED
    assert "not complete" in step.saw


# ── the SIP address ───────────────────────────────────────────────────────────────────────────────────────────


def certificate(folder: Path, name: str, days: int = 1) -> Path:
    """Write a certificate for a name, signed by itself, with its key; `days` below zero make it an expired one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the tests")])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name[:1].isdigit():
        names = [x509.IPAddress(ipaddress.ip_address(name))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    kind = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return file


@contextmanager
def listening(file: Path | None) -> Iterator[int]:
    """Take one connection, with TLS where there is a certificate, and close it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # closed before anybody came
        with connection:
            if file is None:
                connection.sendall(b"SIP/2.0 400 Bad Request\r\n\r\n")
                return
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file)
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(1)
            except OSError:
                return  # the other side did not like the certificate

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def trusting(file: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if file is not None:
        context.load_verify_locations(file)
    return context


def sip_steps(port: int, trusted: ssl.SSLContext, host: str = "127.0.0.1") -> list[Step]:
    settings = Settings("", (SECRET,), "http://127.0.0.1:9/v1")
    steps = run(looked(settings, sip_address=(host, port), trusted=trusted))
    return [step for step in steps if step.name.startswith("SIP")]


def test_a_sip_address_with_a_certificate_of_its_own_is_fine(tmp_path: Path) -> None:
    file = certificate(tmp_path, "127.0.0.1")
    with listening(file) as port:
        steps = sip_steps(port, trusting(file))
    assert told(steps) == {"SIP address": "fine", "SIP port": "fine", "SIP TLS": "fine"}
    assert "127.0.0.1" in steps[-1].saw


def test_a_certificate_for_another_name_is_told(tmp_path: Path) -> None:
    file = certificate(tmp_path, "elsewhere.example")
    with listening(file) as port:
        steps = sip_steps(port, trusting(file))
    assert "elsewhere.example" in steps[-1].saw
    assert steps[-1].mark is Mark.WARNING


def test_a_certificate_that_nobody_vouches_for_is_told(tmp_path: Path) -> None:
    with listening(certificate(tmp_path, "127.0.0.1")) as port:
        steps = sip_steps(port, trusting(None))
    assert "self-signed" in steps[-1].saw


def test_a_certificate_that_has_expired_fails(tmp_path: Path) -> None:
    file = certificate(tmp_path, "127.0.0.1", days=-1)
    with listening(file) as port:
        steps = sip_steps(port, trusting(file))
    assert steps[-1].mark is Mark.FAILED


def test_a_port_that_speaks_no_tls_is_told() -> None:
    with listening(None) as port:
        steps = sip_steps(port, trusting(None))
    assert told(steps) == {"SIP address": "fine", "SIP port": "fine", "SIP TLS": "warning"}


def test_a_port_that_nobody_listens_on_is_told() -> None:
    steps = sip_steps(9, trusting(None))
    assert told(steps) == {"SIP address": "fine", "SIP port": "warning"}
    assert "Connection refused" in steps[-1].saw


def test_a_name_that_has_no_address_fails() -> None:
    assert told(sip_steps(5061, trusting(None), "sip..invalid")) == {"SIP address": "failed"}


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "desk.yaml").write_text(MINIMAL, "utf-8")
    for name in ("SWITCHBOARD_CALLED_HEADER", "SWITCHBOARD_ENVIRONMENT", "OPENAI_WEBSOCKET_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch, *words: str, key: str = KEY, secret: str = SECRET) -> int:
    """Run `doctor` against a project whose webhook points at a running host, whose address it is told."""

    async def work() -> int:
        async with project() as (served, settings):
            monkeypatch.setenv("OPENAI_BASE_URL", settings.base_url)
            monkeypatch.setenv("OPENAI_API_KEY", key)
            monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", secret)
            return await asyncio.to_thread(main, ["doctor", "--url", served.address, *words])

    return run(work())


def test_a_line_that_is_right_exits_with_0(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert command(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "✓ test event" in shown
    assert shown.endswith("\nNothing was found that keeps a call from its agent.\n")
    assert "\x1b" not in shown


def test_a_failed_step_exits_with_1_and_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert command(monkeypatch, key="sk-wrong") == 1
    shown = capsys.readouterr().out
    assert "✗ key           the service does not know it (401)\n" in shown
    assert "→ Make a new key" in shown
    assert "1 failed step stands between a caller and the agents." in shown


def test_a_program_gets_the_steps_as_json(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert command(monkeypatch, "--format", "json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["failed"] is False
    assert data["steps"][0]["name"] == "settings"
    assert {step["mark"] for step in data["steps"]} == {"fine"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_ever_shown(form: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    key, secret = "sk-very-secret-key", OTHER_SECRET
    command(monkeypatch, "--format", form, key=key, secret=f"{secret},'{secret}")
    output = capsys.readouterr()
    shown = output.out + output.err
    assert "quotes" in shown
    assert not any(word in shown for word in (key, "very-secret", secret, secret.removeprefix("whsec_")))


def test_the_key_is_not_sent_to_an_address_that_was_not_meant(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "htp://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "✗ settings      OPENAI_BASE_URL is not an address" in shown
    assert "! key           there is none that the service can be asked with" in shown


def test_a_catalog_with_problems_is_a_failed_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (folder / "agents" / "shop.yaml").write_text(f"{MINIMAL.replace('desk', 'shop')}voice: Marinn\n", "utf-8")
    assert command(monkeypatch) == 1
    shown = capsys.readouterr().out
    assert "✗ catalog       has " in shown
    assert "agents/shop.yaml:4:8: voice: " in shown


def test_a_folder_that_is_not_there_is_usage(folder: Path, capsys: Capture) -> None:
    assert main(["doctor", "nowhere"]) == 2
    assert "switchboard doctor FOLDER" in capsys.readouterr().err


def test_a_carriers_code_is_explained_without_key_and_network(folder: Path, capsys: Capture) -> None:
    assert main(["doctor", "--sip-code", "400"]) == 0
    assert capsys.readouterr().out.startswith("400 Bad Request\n\n1. The call was not accepted in time")
    assert main(["doctor", "--sip-code", "32011", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["number"] == 32011


def test_a_code_that_is_none_is_usage(folder: Path, capsys: Capture) -> None:
    assert main(["doctor", "--sip-code", "7"]) == 2
    assert "is neither a SIP code nor an error number of Twilio's: '7'" in capsys.readouterr().err


def test_a_code_is_explained_without_a_heavy_import() -> None:
    script = (
        "import sys; from runtime.cli import main; main(['doctor', '--sip-code', '486'])\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert not {"openai", "agents", "asyncio", "starlette"} & set(done.stderr.split())


@pytest.mark.slow
def test_interrupted_while_the_service_says_nothing_it_ends_at_once(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        environment = {"OPENAI_API_KEY": KEY, "OPENAI_WEBHOOK_SECRET": SECRET, "OPENAI_BASE_URL": url}
        words = [sys.executable, "-m", "runtime", "doctor"]
        path = str(Path(__file__).parents[1])
        started = subprocess.Popen(
            words, env={**environment, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        connection, _ = silent.accept()
        with connection:
            started.send_signal(signal.SIGINT)
            _, said = started.communicate(timeout=20)
    assert started.returncode == 130
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_service_that_says_nothing_costs_three_seconds(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = datetime.now()
        (step,) = (step for step in run(looked(settings_for(url))) if step.name == "key")
    assert step.mark is Mark.FAILED
    assert "no answer within 3 s" in step.saw
    assert datetime.now() - began < timedelta(seconds=8)
