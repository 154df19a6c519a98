"""The environment to one frozen value, read once. The only module that reads the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from runtime.errors import SettingsError

DEFAULT_BASE_URL = "https://api.openai.com/v1"
_SECRETS = {
    "OPENAI_API_KEY": "Make the key for your project at platform.openai.com, API keys.",
    "OPENAI_WEBHOOK_SECRET": "The secret is shown once, when you make the webhook in your project's settings.",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a host needs to know beside its catalog. Secrets never show in a repr."""

    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    websocket_base_url: str = "wss://api.openai.com/v1"
    called_header: str | None = None


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings. Raises `SettingsError`, which says what is missing and where it comes from."""
    base_url = environment.get("OPENAI_BASE_URL", "").strip().rstrip("/") or DEFAULT_BASE_URL
    _check_url("OPENAI_BASE_URL", base_url, ("http", "https"))
    websocket = environment.get("OPENAI_WEBSOCKET_BASE_URL", "").strip().rstrip("/")
    if websocket:
        _check_url("OPENAI_WEBSOCKET_BASE_URL", websocket, ("ws", "wss"))
    missing = [name for name in _SECRETS if not _secret(environment, name)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise SettingsError(" and ".join(missing), f"{verb} not set", " ".join(_SECRETS[name] for name in missing))
    return Settings(
        api_key=_secret(environment, "OPENAI_API_KEY"),
        webhook_secrets=tuple(re.split(r"[\s,]+", _secret(environment, "OPENAI_WEBHOOK_SECRET"))),
        base_url=base_url,
        websocket_base_url=websocket or _websocket_url(base_url),
        called_header=called_header(environment),
    )


def called_header(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the SIP header that carries the called number, where the operator names one."""
    return environment.get("SWITCHBOARD_CALLED_HEADER", "").strip() or None


def _secret(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip().strip(",").strip()


def _check_url(name: str, url: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in schemes and bool(parts.hostname)
    except ValueError:
        known = False
    if not known:
        raise SettingsError(name, f"is not an address that begins with {schemes[-1]}://", "Correct it or unset it.")


def _websocket_url(base_url: str) -> str:
    """Return the socket's address: `http` becomes `ws`, host and path stay."""
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(scheme=parts.scheme.replace("http", "ws")))


def wants_color(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether colors are wanted: unless NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
