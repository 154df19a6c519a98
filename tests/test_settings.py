import os
from pathlib import Path

import pytest

from runtime.errors import SettingsError
from runtime.settings import (
    called_header,
    chosen_environment,
    http_hosts,
    inspect,
    read_settings,
    samples_kept_in,
    tool_packages,
    variable,
)

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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:99999/v1", "has a port that cannot be one"),
        ("http://127.0.0.1:port/v1", "has a port that cannot be one"),
        ("https://api.openai.com/v1?x=1", "has a query or a fragment"),
        ("https://api.openai.com/v1#x", "has a query or a fragment"),
        ("https://api.openai.com/v 1", "is not an address that begins with http:// or https://"),
        ("api.openai.com", "is not an address that begins with http:// or https://"),
    ],
)
def test_a_base_url_is_refused_for_what_is_wrong_with_it(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"^OPENAI_BASE_URL {said}"):
        read_settings({**COMPLETE, "OPENAI_BASE_URL": url})


@pytest.mark.parametrize("url", ["https://eu.api.openai.com", "wss://eu.api.openai.com:0x1/v1", "wss://x/v1?a=b"])
def test_a_websocket_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^OPENAI_WEBSOCKET_BASE_URL "):
        read_settings({**COMPLETE, "OPENAI_WEBSOCKET_BASE_URL": url})


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("OPENAI_API_KEY", "sk-…", "holds a character that no key has"),
        ("OPENAI_API_KEY", "sk-12 34", "has a space or a line break inside"),
        ("OPENAI_API_KEY", "sk-12\n34", "has a space or a line break inside"),
        ("OPENAI_API_KEY", "sk-12\x0034", "holds a character that no key has"),
        ("OPENAI_API_KEY", '"sk-1234"', "is written with quotes around it"),
        ("OPENAI_WEBHOOK_SECRET", "whsec_…", "holds a character that no key has"),
        ("OPENAI_WEBHOOK_SECRET", "whsec_YQ==,whsec_…", "holds a character that no key has"),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused_and_never_shown(name: str, written: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} {said}") as error:
        read_settings({**COMPLETE, name: written})
    assert "12" not in str(error.value)
    assert "whsec_Y" not in str(error.value)


@pytest.mark.parametrize("written", ["X-Original-To: <sip:+1@x>", "X Original To", "<To>", "Tö"])
def test_the_header_of_the_called_number_must_be_a_headers_name(written: str) -> None:
    with pytest.raises(SettingsError, match=r"^SWITCHBOARD_CALLED_HEADER is not the name of a header"):
        called_header({"SWITCHBOARD_CALLED_HEADER": written})


def test_the_header_of_the_called_number_may_be_missing() -> None:
    assert called_header({}) is None
    assert called_header({"SWITCHBOARD_CALLED_HEADER": " X-Original-To "}) == "X-Original-To"


@pytest.mark.parametrize("before", [None, "elsewhere"])
def test_the_samples_keep_their_data_where_they_are_told_and_then_where_they_did(
    before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before is None:
        monkeypatch.delenv("SWITCHBOARD_SAMPLES_DB", raising=False)
    else:
        monkeypatch.setenv("SWITCHBOARD_SAMPLES_DB", before)
    with samples_kept_in(tmp_path / "db"):
        assert os.environ["SWITCHBOARD_SAMPLES_DB"] == str(tmp_path / "db")
    assert os.environ.get("SWITCHBOARD_SAMPLES_DB") == before


def test_everything_that_is_wrong_is_found_and_the_rest_can_be_used() -> None:
    written = {
        "OPENAI_API_KEY": "'sk-1'",
        "OPENAI_WEBHOOK_SECRET": "whsec_YQ==,whsec_…",
        "OPENAI_BASE_URL": "api.openai.com",
        "SWITCHBOARD_CALLED_HEADER": "To:",
    }
    settings, wrong = inspect(written)
    assert [error.name for error in wrong] == [
        "OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_WEBHOOK_SECRET", "SWITCHBOARD_CALLED_HEADER",
    ]  # fmt: skip
    assert (settings.api_key, settings.webhook_secrets) == ("", ("whsec_YQ==",))
    assert settings.base_url == "https://api.openai.com/v1"


def test_nothing_is_wrong_with_settings_that_are_complete() -> None:
    assert inspect(COMPLETE) == (read_settings(COMPLETE), [])


def test_secrets_do_not_show_in_a_repr() -> None:
    assert "sk-1" not in repr(read_settings(COMPLETE))
    assert "whsec" not in repr(read_settings(COMPLETE))


def test_the_environment_is_chosen_by_a_variable() -> None:
    assert chosen_environment({}) == chosen_environment({"SWITCHBOARD_ENVIRONMENT": " "}) == ""
    assert chosen_environment({"SWITCHBOARD_ENVIRONMENT": "staging"}) == "staging"


@pytest.mark.parametrize(("written", "read"), [({"TOKEN": " abc\n"}, "abc"), ({"TOKEN": " "}, None), ({}, None)])
def test_a_secret_that_an_author_names_is_read_without_the_space_around_it(
    written: dict[str, str], read: str | None
) -> None:
    assert variable("TOKEN", written) == read


@pytest.mark.parametrize("written", ["samples,company.tools", " samples , company.tools,", "samples\ncompany.tools"])
def test_the_packages_for_tools_are_a_list(written: str) -> None:
    assert tool_packages({"SWITCHBOARD_TOOL_PACKAGES": written}) == ("samples", "company.tools")


@pytest.mark.parametrize("environment", [{}, {"SWITCHBOARD_TOOL_PACKAGES": " , ", "SWITCHBOARD_HTTP_HOSTS": ""}])
def test_without_them_tools_may_come_from_any_module_and_call_any_host(environment: dict[str, str]) -> None:
    assert tool_packages(environment) is None
    assert http_hosts(environment) is None


@pytest.mark.parametrize("written", ["samples:find_table", "./samples", "samples.*", "samples..tools"])
def test_a_package_that_can_be_none_is_told(written: str) -> None:
    with pytest.raises(SettingsError, match=r"^SWITCHBOARD_TOOL_PACKAGES holds '"):
        tool_packages({"SWITCHBOARD_TOOL_PACKAGES": written})


def test_a_variable_that_is_empty_is_as_if_it_were_not_set() -> None:
    assert variable("ORDERS_TOKEN", {}) is variable("ORDERS_TOKEN", {"ORDERS_TOKEN": " "}) is None
    assert variable("ORDERS_TOKEN", {"ORDERS_TOKEN": "Bearer 1 "}) == "Bearer 1"


@pytest.mark.parametrize("written", ["https://shop.example.com", "shop.example.com/orders", "*.example.com", "a:b"])
def test_a_host_that_can_be_none_is_told(written: str) -> None:
    with pytest.raises(SettingsError, match=r"^SWITCHBOARD_HTTP_HOSTS holds '"):
        http_hosts({"SWITCHBOARD_HTTP_HOSTS": f"localhost:8080, [::1]:80, {written}"})


def test_the_hosts_that_tools_may_call_are_a_list() -> None:
    written = "shop.example.com,localhost:8080, [::1]:80"
    assert http_hosts({"SWITCHBOARD_HTTP_HOSTS": written}) == ("shop.example.com", "localhost:8080", "[::1]:80")
