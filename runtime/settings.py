"""The environment to one frozen value, read once. The only module that reads the environment, or writes it."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from runtime.errors import SettingsError

DEFAULT_BASE_URL = "https://api.openai.com/v1"
_SECRETS = {
    "OPENAI_API_KEY": "Make the key for your project at platform.openai.com, API keys.",
    "OPENAI_WEBHOOK_SECRET": "The secret is shown once, when you make the webhook in your project's settings.",
}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a token, as the schema's own header names
_HOST = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a host needs to know beside its catalog. Secrets never show in a repr."""

    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    websocket_base_url: str = "wss://api.openai.com/v1"
    called_header: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service's address and the key for it, `""` for none."""

    base_url: str
    api_key: str = field(repr=False)


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings. Raises `SettingsError`, which says what is missing and where it comes from."""
    settings, wrong = inspect(environment)
    if wrong:
        raise wrong[0]
    return settings


def inspect(environment: Mapping[str, str] = os.environ) -> tuple[Settings, list[SettingsError]]:
    """Return the settings as far as they can be used, and everything that is wrong with them.

    What is wrong is `""`, left out or at its default in the settings.
    """
    wrong: list[SettingsError] = []
    base_url, websocket, api_key, header = DEFAULT_BASE_URL, "", "", None
    webhook_secrets: list[str] = []
    with _noting(wrong):
        base_url = _address(environment, "OPENAI_BASE_URL", ("http", "https")) or DEFAULT_BASE_URL
    with _noting(wrong):
        websocket = _address(environment, "OPENAI_WEBSOCKET_BASE_URL", ("ws", "wss"))
    if missing := [name for name in _SECRETS if not _secret(environment, name)]:
        verb = "is" if len(missing) == 1 else "are"
        cure = " ".join(_SECRETS[name] for name in missing)
        wrong.append(SettingsError(" and ".join(missing), f"{verb} not set", cure))
    with _noting(wrong):
        api_key = _checked_secret("OPENAI_API_KEY", _secret(environment, "OPENAI_API_KEY"))
    for written in re.split(r"[\s,]+", _secret(environment, "OPENAI_WEBHOOK_SECRET")):
        with _noting(wrong):
            webhook_secrets.append(_checked_secret("OPENAI_WEBHOOK_SECRET", written))
    with _noting(wrong):
        header = called_header(environment)
    return Settings(
        api_key=api_key,
        webhook_secrets=tuple(filter(None, webhook_secrets)),
        base_url=base_url,
        websocket_base_url=websocket or _websocket_url(base_url),
        called_header=header,
    ), wrong


def text_endpoint(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Return where text models are asked. Raises `SettingsError`. A server on this machine needs no key."""
    names = ("SWITCHBOARD_TEXT_BASE_URL", "OPENAI_BASE_URL")
    name = next((name for name in names if environment.get(name, "").strip()), "")
    base_url = _address(environment, name, ("http", "https")) if name else DEFAULT_BASE_URL
    host = urlsplit(base_url).hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        key = _secret(environment, "OPENAI_API_KEY")
        return Endpoint(base_url, _checked_secret("OPENAI_API_KEY", key) if key else "")
    local = "SWITCHBOARD_TEXT_BASE_URL=http://localhost:11434/v1 names its server."
    cure = f"{_SECRETS['OPENAI_API_KEY']} A model on this machine needs none: {local}"
    if name == names[0]:
        cure = f"{name} names a server that is not this machine: set its key, or any word where it wants none."
    return Endpoint(base_url, _api_key(environment, cure))


def live_endpoint(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Return where a session with the real service is opened, a `wss://` address. Raises `SettingsError`."""
    base_url = _address(environment, "OPENAI_BASE_URL", ("http", "https")) or DEFAULT_BASE_URL
    websocket = _address(environment, "OPENAI_WEBSOCKET_BASE_URL", ("ws", "wss"))
    return Endpoint(websocket or _websocket_url(base_url), _api_key(environment))


def _api_key(environment: Mapping[str, str], cure: str = _SECRETS["OPENAI_API_KEY"]) -> str:
    key = _secret(environment, "OPENAI_API_KEY")
    if not key:
        raise SettingsError("OPENAI_API_KEY", "is not set", cure)
    return _checked_secret("OPENAI_API_KEY", key)


@contextmanager
def _noting(wrong: list[SettingsError]) -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        wrong.append(error)


def called_header(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the SIP header that carries the called number, where the operator names one. Raises `SettingsError`."""
    name = environment.get("SWITCHBOARD_CALLED_HEADER", "").strip()
    if name and not _HEADER_NAME.fullmatch(name):
        cure = "Write the name alone, such as X-Original-To, or unset it."
        raise SettingsError("SWITCHBOARD_CALLED_HEADER", "is not the name of a header", cure)
    return name or None


def tool_packages(environment: Mapping[str, str] = os.environ) -> tuple[str, ...] | None:
    """Return the beginnings of the modules that tools may come from, None for any. Raises `SettingsError`."""
    packages = _words(environment, "SWITCHBOARD_TOOL_PACKAGES")
    for package in packages:
        if not all(part.isidentifier() for part in package.split(".")):
            cure = "Write the names of Python packages, such as samples or company.tools, with commas between them."
            raise SettingsError("SWITCHBOARD_TOOL_PACKAGES", f"holds '{package}', which is no package's name", cure)
    return packages or None


def http_hosts(environment: Mapping[str, str] = os.environ) -> tuple[str, ...] | None:
    """Return the hosts that tools may call, each a name or `name:port`; None for any that is public.

    Raises `SettingsError`.
    """
    hosts = _words(environment, "SWITCHBOARD_HTTP_HOSTS")
    for host in hosts:
        if not _HOST.fullmatch(host):
            cure = "Write names alone, such as shop.example.com or localhost:8080, with commas between them."
            raise SettingsError("SWITCHBOARD_HTTP_HOSTS", f"holds '{host}', which is no host's name", cure)
    return hosts or None


def variable(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the environment variable that an author names as a secret, None when it is not set or empty."""
    return environment.get(name, "").strip() or None


@contextmanager
def samples_kept_in(database: Path) -> Iterator[None]:
    """Make the sample tools keep their data in this file for the length of the block."""
    before = os.environ.get("SWITCHBOARD_SAMPLES_DB")
    os.environ["SWITCHBOARD_SAMPLES_DB"] = str(database)
    try:
        yield
    finally:
        del os.environ["SWITCHBOARD_SAMPLES_DB"]
        if before is not None:
            os.environ["SWITCHBOARD_SAMPLES_DB"] = before


def chosen_environment(environment: Mapping[str, str] = os.environ) -> str:
    """Return the environment whose overrides agents have, or `""`."""
    return environment.get("SWITCHBOARD_ENVIRONMENT", "").strip()


def _words(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[\s,]+", environment.get(name, "")) if word)


def _secret(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip().strip(",").strip()


def _address(environment: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str:
    url = environment.get(name, "").strip().rstrip("/")
    if url:
        _check_url(name, url, schemes)
    return url


def _checked_secret(name: str, secret: str) -> str:
    """Raise `SettingsError`, which never shows the value, for what can be no secret: it could not even be sent."""
    cure = "Copy it again, whole and alone; the … of an example stands for the rest of it."
    if secret[:1] in ("'", '"') or secret[-1:] in ("'", '"'):
        raise SettingsError(name, "is written with quotes around it", "Remove the quotes.")
    if re.search(r"\s", secret):
        raise SettingsError(name, "has a space or a line break inside", cure)
    if not (secret.isascii() and secret.isprintable()):
        raise SettingsError(name, "holds a character that no key has", cure)
    return secret


def _check_url(name: str, url: str, schemes: tuple[str, ...]) -> None:
    cure = "Correct it or unset it."
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket that is never closed
        parts = urlsplit("")
    if parts.scheme not in schemes or not parts.hostname or not re.fullmatch(r"[!-~]+", url):
        beginnings = " or ".join(f"{scheme}://" for scheme in schemes)
        raise SettingsError(name, f"is not an address that begins with {beginnings}", cure)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise SettingsError(name, "has a port that cannot be one", "A port is a number from 1 to 65535.")
    if "?" in url or "#" in url:
        raise SettingsError(name, "has a query or a fragment, and requests go below it", cure)


def _websocket_url(base_url: str) -> str:
    """Return the socket's address: `http` becomes `ws`, host and path stay."""
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(scheme=parts.scheme.replace("http", "ws")))


def wants_color(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether colors are wanted: unless NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
