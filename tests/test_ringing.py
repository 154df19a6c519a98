"""Whom a call on this machine rings: a number, a caller and headers that the routing gives to one agent."""

import re

import pytest

from runtime.errors import SettingsError
from runtime.ringing import CALLERS, ringing_for
from tests.house import catalog

ALL = 'name: all\nanswers: ["*"]\ninstructions: x\n'
TENANT = "name: tenant\nanswers: [{called: '+15550100001', caller: '+4930*', headers: {X-Tenant: 'acme*'}}]\n"
TENANT += "instructions: x\n"
AGENTS = catalog(ALL, TENANT)


def test_a_caller_and_headers_are_found_where_none_are_given() -> None:
    found = ringing_for(AGENTS, "tenant")
    assert (found.called, found.caller, found.headers) == ("+15550100001", "+49300000000", (("x-tenant", "acme"),))
    assert ringing_for(AGENTS, "all").caller == CALLERS[0]


def test_who_rings_and_with_which_headers_may_be_given() -> None:
    found = ringing_for(AGENTS, "tenant", "+493012345678", (("X-Tenant", "acme-north"), ("X-Other", "1")))
    assert found.caller == "+493012345678"
    assert found.headers == (("X-Tenant", "acme-north"), ("X-Other", "1"))


def test_headers_that_a_rule_asks_for_are_added_to_those_that_are_given() -> None:
    found = ringing_for(AGENTS, "tenant", "", (("X-Other", "1"),))
    assert found.headers == (("X-Other", "1"), ("x-tenant", "acme"))


@pytest.mark.parametrize(("caller", "headers"), [("+15557654321", ()), ("", (("x-TENANT", "other"),))])
def test_an_agent_that_does_not_answer_such_a_call_cannot_be_rung(
    caller: str, headers: tuple[tuple[str, str], ...]
) -> None:
    told = "'tenant' cannot be rung: its rules fit no such caller or header, or other agents take the calls"
    with pytest.raises(SettingsError, match=re.escape(told)):
        ringing_for(AGENTS, "tenant", caller, headers)
