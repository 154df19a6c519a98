import pytest

from runtime.errors import SettingsError
from runtime.settings import read_settings

COMPLETE = {"OPENAI_API_KEY": "sk-1", "OPENAI_WEBHOOK_SECRET": "whsec_YQ=="}


def test_the_sockets_address_is_derived_from_the_base_url() -> None:
    settings = read_settings({**COMPLETE, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"})
    assert (settings.base_url, settings.websocket_base_url) == ("http://127.0.0.1:9/v1", "ws://127.0.0.1:9/v1")
    assert read_settings(COMPLETE).websocket_base_url == "wss://api.openai.com/v1"


def test_the_sockets_address_can_be_another() -> None:
    settings = read_settings({**COMPLETE, "OPENAI_WEBSOCKET_BASE_URL": "wss://eu.api.openai.com/v1"})
    assert settings.websocket_base_url == "wss://eu.api.openai.com/v1"


@pytest.mark.parametrize("written", ["a b", "a,b", " a , b ", "a\nb"])
def test_several_webhook_secrets_are_understood(written: str) -> None:
    assert read_settings({**COMPLETE, "OPENAI_WEBHOOK_SECRET": written}).webhook_secrets == ("a", "b")


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_WEBHOOK_SECRET"])
@pytest.mark.parametrize("written", [None, "", "  "])
def test_what_is_missing_is_named_with_where_it_comes_from(name: str, written: str | None) -> None:
    environment = {key: value for key, value in COMPLETE.items() if key != name} | ({name: written} if written else {})
    with pytest.raises(SettingsError) as error:
        read_settings(environment)
    assert error.value.name == name
    assert error.value.cure


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY and OPENAI_WEBHOOK_SECRET are not set"):
        read_settings({})


@pytest.mark.parametrize("url", ["api.openai.com", "ftp://x", "http://", "https://[", "wss://x"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="OPENAI_BASE_URL is not an address"):
        read_settings({**COMPLETE, "OPENAI_BASE_URL": url})


def test_secrets_do_not_show_in_a_repr() -> None:
    assert "sk-1" not in repr(read_settings(COMPLETE))
    assert "whsec" not in repr(read_settings(COMPLETE))
